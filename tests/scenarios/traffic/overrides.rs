//! Limits as operators see them, and set them to another value for a time.

use std::process::Command;

use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::{Gate, Setup, program};
use toolgate_tests::wait;

/// What `toolgate` says, and its exit status.
fn toolgate(gate: &Gate, words: &[&str]) -> (i32, String) {
    let output = Command::new(program("toolgate"))
        .arg("--socket-dir")
        .arg(gate.folder().join("run"))
        .args(words)
        .output()
        .expect("toolgate");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("no signal"), text(&output.stdout) + &text(&output.stderr))
}

fn limits(gate: &Gate) -> Vec<Value> {
    let (code, text) = toolgate(gate, &["limits", "--json"]);
    assert_eq!(code, 0, "{text}");
    let view: Value = serde_json::from_str(&text).expect("JSON");
    view["limits"].as_array().expect("a list").clone()
}

async fn served(client: &Caller, times: usize) -> usize {
    let mut served = 0;
    for _ in 0..times {
        served += usize::from(client.call("1", "echo", json!({})).await.answer().await.get("result").is_some());
    }
    served
}

#[tokio::test]
async fn an_override_holds_for_its_time_and_over_reloads() {
    let web = Http::start(Speaks::Both).await;
    let server = web.endpoints();
    let setup = move |more: &str| {
        let setup = Setup::default().server("web", &(server.clone() + more));
        setup
            .limit("{ name = \"free calls\", per = \"client\", rate = \"3/h\" }")
            .limit("{ per = \"client\", concurrent = 9 }")
    };
    let mut gate = setup("").start().await;
    wait::until("the control socket", async || gate.folder().join("run/control/control.sock").exists().then_some(()))
        .await;
    let client = Caller::modern(&gate, "/mcp/web");
    assert_eq!(served(&client, 5).await, 3);
    let all = limits(&gate);
    assert_eq!(all.len(), 2);
    let limit = &all[0];
    assert_eq!(
        (&limit["name"], &limit["place"], &limit["per"]),
        (&json!("free calls"), &json!("tier.test"), &json!("client"))
    );
    assert_eq!((&limit["used"], &limit["capacity"], &limit["rejected"]), (&json!(3), &json!(3), &json!(2)));
    assert_eq!(limit["top"], json!([{"key": "client=key:test", "rejected": 2}]));

    let set = ["limits", "set", "free calls", "8/h", "--for", "10m", "--reason", "a demo"];
    let (code, said) = toolgate(&gate, &[&set[..], &["--dry-run"]].concat());
    assert_eq!((code, said.as_str()), (0, "Nothing was changed. free calls: 3/h -> 8/h for 10m.\n"));
    assert_eq!(served(&client, 1).await, 0);
    let (code, said) = toolgate(&gate, &set);
    assert_eq!((code, said.as_str()), (0, "free calls: 3/h -> 8/h for 10m.\n"));
    assert_eq!(served(&client, 9).await, 5, "what was counted goes on");
    gate.change(|_| setup("\nmax_calls = 7"));
    gate.reload().await;
    let limit = &limits(&gate)[0];
    assert_eq!(
        (&limit["configured"], &limit["effective"], &limit["override"]["reason"]),
        (&json!("3/h"), &json!("8/h"), &json!("a demo"))
    );
    assert_eq!(served(&client, 1).await, 0);
    let (_, shown) = toolgate(&gate, &["limits"]);
    assert!(shown.contains("free calls") && shown.contains("8/h (") && shown.contains("client=key:test ("), "{shown}");
    let (code, said) = toolgate(&gate, &["limits", "revert", "free calls"]);
    assert_eq!((code, said.as_str()), (0, "free calls: 8/h -> 3/h.\n"));
    assert!(limits(&gate)[0].get("override").is_none());
    let log = gate.log();
    assert!(log.contains("a limit is overridden") && log.contains("an override of a limit is taken away"), "{log}");

    // It ends by itself.
    let brief = json!({"value": "2", "seconds": 1});
    let (status, answer) = gate.control_with("PUT", "/v1/limits/tier.test.2/override", &brief).await;
    assert_eq!((status, &answer["after"]), (200, &json!("2 at once")));
    wait::until("its end", async || (limits(&gate)[1]["effective"] == "9 at once").then_some(())).await;
}

#[tokio::test]
async fn what_cannot_be_overridden_is_told_how() {
    let web = Http::start(Speaks::Both).await;
    let gate = Setup::default()
        .server("web", &web.endpoints())
        .limit("{ name = \"twice\", per = \"client\", rate = \"3/h\" }")
        .limit("{ name = \"twice\", per = \"client\", concurrent = 3 }")
        .limit("{ name = \"daily\", per = \"client\", quota = \"3/day\" }")
        .start()
        .await;
    for (name, body, status, remedy) in [
        ("none", json!({"value": "1/s", "seconds": 9}), 404, "`toolgate limits` lists them."),
        ("twice", json!({"value": "1/s", "seconds": 9}), 400, "Give each a `name` of its own"),
        ("daily", json!({"value": "1/month", "seconds": 9}), 400, "A quota keeps its period"),
        ("daily", json!({"value": "x", "seconds": 9}), 400, "Write calls per day or month"),
        ("daily", json!({"value": "1/day"}), 400, "Say how long it holds"),
        ("%GG", json!({"value": "1/day", "seconds": 9}), 400, ""),
        ("daily", json!({"value": "1/day", "second": 9}), 400, "documented fields"),
    ] {
        let (got, answer) = gate.control_with("PUT", &format!("/v1/limits/{name}/override"), &body).await;
        assert_eq!(got, status, "{name} {body}: {answer}");
        assert!(answer["remedy"].as_str().unwrap_or_default().contains(remedy), "{name} {body}: {answer}");
    }
    let (code, said) = toolgate(&gate, &["limits", "set", "daily", "5/day", "--for", "soon"]);
    assert_eq!(code, 2, "{said}");
}
