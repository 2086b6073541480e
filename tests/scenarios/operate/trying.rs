//! Servers that are tried outside of a gate.

use tokio::net::TcpListener;
use toolgate_tests::gate::program;
use toolgate_tests::site::Site;
use toolgate_tests::standin;

#[test]
fn a_program_of_either_era_is_met() {
    let site = Site::new();
    let (fake, record) = (program("fake").display().to_string(), site.path("record").display().to_string());
    site.write("record", "");
    for (speaks, era) in [("legacy", "legacy"), ("both", "legacy"), ("modern", "modern"), ("touchy", "legacy")] {
        let said = site.toolgate(&["server", "try", "anything", "--json", "--", &fake, &record, speaks]).done().json();
        assert_eq!(said["era"], era, "{speaks}: {said}");
        let named = said["tools"].as_array().is_some_and(|tools| tools.iter().any(|tool| tool["name"] == "echo"));
        assert!(named, "{speaks}: {said}");
    }
    assert!(site.drop_ins().is_empty());
}

#[test]
fn a_program_that_does_not_start_says_why() {
    let site = Site::new();
    let said = site.toolgate(&["server", "try", "--", "sh", "-c", "echo no licence >&2; exit 4"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("no licence") && said.err.contains("status 4"), "{}", said.err);
    let said = site.toolgate(&["server", "try", "--", "no-such-program-here"]);
    assert!(said.code == 1 && said.err.contains("no such program"), "{said:?}");
    let said = site.toolgate(&["server", "try", "--", "echo", "hello"]);
    assert!(
        said.code == 1 && said.err.contains("other things than messages") && said.err.contains("hello"),
        "{said:?}"
    );
    let said = site.toolgate(&["server", "try", "--timeout", "1", "--", "sleep", "60"]);
    assert!(said.code == 1 && said.err.contains("within 1 s"), "{said:?}");
    let said = site.toolgate(&["server", "try", "--timeout", "1", "--json", "--", "sleep", "60"]);
    assert!(said.code == 1 && said.json()["error"]["message"].is_string(), "{said:?}");
}

#[tokio::test]
async fn a_server_at_a_url_is_met() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/mcp", listener.local_addr().expect("its address"));
    tokio::spawn(standin::serve(listener));
    // The stand-in is served by this thread.
    let tried = tokio::task::spawn_blocking(move || {
        let site = Site::new();
        [&url[..], "http://127.0.0.1:1/mcp"].map(|url| site.toolgate(&["server", "try", "weather", url]))
    });
    let [met, missed] = tried.await.expect("no panic");
    let met = met.done();
    assert!(met.out.contains("legacy era") && met.out.contains("echo"), "{}", met.out);
    assert!(missed.code == 1 && missed.err.contains("cannot be reached"), "{missed:?}");
}
