//! A start with files that cannot be used.

use rustix::process::Signal;
use serde_json::json;
use toolgate_tests::mcp::{Client, Era};
use toolgate_tests::site::Site;
use toolgate_tests::wait;

use super::server;

/// A site that has served, was stopped, and whose main file was then broken.
async fn broken(main: impl FnOnce(String) -> String) -> Site {
    let mut site = Site::new();
    let text = main(site.main_text());
    site.write("toolgate.toml", &text);
    site.start().await;
    site.write("conf.d/a.toml", &server(1));
    site.toolgate(&["config", "reload"]).done();
    site.stop().await;
    site.write("toolgate.toml", &text.replace("cores = 1", "cores = [1"));
    site
}

#[tokio::test]
async fn the_last_revision_is_served_and_everybody_is_told() {
    let mut site = broken(|text| text).await;
    site.start().await;
    let (status, health) = site.page("/health").await;
    assert_eq!((status, &health["status"]), (200, &"warning".into()), "{health}");
    let sentence = health["checks"]["config"]["message"].as_str().expect("a sentence");
    assert!(sentence.starts_with("serving revision 2 from history, the files have "), "{sentence}");
    assert_eq!(site.page("/ready").await.0, 200);
    let status = site.toolgate(&["status"]);
    assert!(
        status.out.contains("serving revision 2 from history") && status.out.contains("toolgated check"),
        "{status:?}"
    );
    assert!(status.out.contains("s1"), "the servers of the last revision are there: {}", status.out);
    wait::until("the whole report in the log", async || {
        let log = site.log();
        (log.contains("toolgate.toml:5:1") && log.contains("= help: ")).then_some(())
    })
    .await;
    let history = site.toolgate(&["config", "history", "--json"]).done().json();
    assert_eq!((&history["running"], history["revisions"].as_array().map(Vec::len)), (&2.into(), Some(2)));
    let refused = site.toolgate(&["config", "reload"]);
    assert_eq!(refused.code, 78);
    assert!(refused.err.trim_end().ends_with("revision 2 is still serving."), "{}", refused.err);
    site.signal(Signal::HUP);
    wait::until("the refusal in the log", async || {
        let refusals = site.log().matches("a reload was refused").count();
        (refusals >= 2).then_some(())
    })
    .await;
    assert!(site.runs());

    site.toolgate(&["config", "rollback", "--yes"]).done();
    let (_, health) = site.page("/health").await;
    let config = health["checks"]["config"]["message"].to_string();
    assert!(!config.contains("from history"), "{health}");
    assert_eq!(site.read("toolgate.toml").expect("a file"), site.main_text());
    let history = site.toolgate(&["config", "history", "--json"]).done().json();
    assert_eq!((&history["running"], history.get("from_history")), (&2.into(), None), "{history}");
}

#[tokio::test]
async fn a_gate_may_refuse_to_serve_the_past() {
    let mut site = broken(|text| text.replace("[log]", "on_bad_config = \"refuse\"\n\n[log]")).await;
    let status = site.start_in_vain().await;
    assert_eq!(status.code(), Some(78), "{}", site.log());
    let log = site.log();
    assert!(log.contains("revision 2 is not served instead") && log.contains("toolgate.toml:5:1"), "{log}");
    let state = site.path("state").display().to_string();
    let config = site.path("toolgate.toml").display().to_string();
    // Without a daemon the past is in its folder.
    let said = site.toolgate(&["config", "rollback", "--yes", "--state-dir", &state, "--config", &config]).done();
    assert!(said.out.contains("toolgate.toml written back."), "{}", said.out);
    site.start().await;
    assert_eq!(site.control("GET", "/v1/version").await.1["revision"], 2);
}

#[tokio::test]
async fn without_a_past_a_bad_file_is_the_end() {
    let mut site = Site::new();
    site.write("conf.d/a.toml", "[server.x]\ncomand = [\"x\"]\n");
    assert_eq!(site.start_in_vain().await.code(), Some(78));
    assert!(site.log().contains("a.toml:2:1"), "{}", site.log());
    assert!(!site.path("state/config").exists(), "what was never accepted is not kept");
}

#[tokio::test]
async fn a_start_goes_back_one_revision_and_no_further() {
    let mut site = broken(|text| text).await;
    let newest = site.path("state/config/0000000002.json");
    let text = std::fs::read_to_string(&newest).expect("a revision").replace("\"format\":1", "\"format\":9");
    std::fs::write(&newest, text).expect("a revision");
    assert_eq!(site.start_in_vain().await.code(), Some(78));
    assert!(
        site.log().contains("revision 2, which was accepted last, cannot be read by this release"),
        "{}",
        site.log()
    );
    site.write("toolgate.toml", &site.main_text());
    site.start().await;
    assert_eq!(site.control("GET", "/v1/version").await.1["revision"], 3, "its number is not given again");
    wait::until("what cannot be gone back to in the log", async || {
        site.log().contains("no start can go back to it").then_some(())
    })
    .await;
}

/// A server that wants the secret of a file, on which nobody listens.
const SEALED: &str =
    "[server.sealed]\nendpoints = \"http://127.0.0.1:1/mcp\"\ncritical = true\nbearer = \"file:../token\"\n";

#[tokio::test]
async fn a_secret_that_is_missing_at_the_start_costs_its_own_server() {
    let mut site = Site::new();
    site.write("conf.d/a.toml", &format!("{SEALED}{}", server(1)));
    site.start().await;
    let (_, health) = site.page("/health").await;
    let check = &health["checks"]["server:sealed"];
    let message = check["message"].as_str().expect("a message");
    assert_eq!((&check["status"], &health["checks"]["server:s1"]["status"]), (&"unhealthy".into(), &"healthy".into()));
    assert!(message.contains("token cannot be read") && message.contains("create it"), "{message}");
    let config = health["checks"]["config"]["message"].as_str().expect("a warning about the files, which serve");
    assert!(config.contains("token cannot be read"), "{config}");
    assert_eq!(site.page("/ready").await.0, 503, "it is critical");
    assert!(site.log().contains("token cannot be read"), "{}", site.log());

    let mut client = Client::connect(&site.target(), "/mcp/sealed", None, Era::Modern).await.expect("connects");
    let answer = client.call("x", json!({})).await.expect("an answer");
    let said = answer.body.to_string();
    assert!(said.contains("The server sealed cannot be called") && !said.contains("token"), "{said}");
    assert_eq!(answer.head.status, 503, "{said}");

    // Whoever is there to read the answer is told, and what serves goes on.
    let refused = site.toolgate(&["config", "reload"]);
    assert!(refused.code == 78 && refused.err.contains("a.toml:4:10"), "{refused:?}");
    site.write("token", "abc\n");
    site.toolgate(&["config", "reload"]).done();
    wait::until("health to know", async || {
        let (_, health) = site.page("/health").await;
        health["checks"]["server:sealed"].get("message").is_none_or(|now| now != message).then_some(())
    })
    .await;
    let answer = client.call("x", json!({})).await.expect("an answer");
    assert!(answer.body.to_string().contains("cannot be reached"), "{}", answer.body);
}

#[tokio::test]
async fn the_last_revision_is_served_without_a_secret_that_is_gone() {
    let mut site = Site::new();
    site.write("token", "abc\n");
    site.write("conf.d/a.toml", &format!("{SEALED}{}", server(1)));
    site.start().await;
    site.stop().await;
    std::fs::remove_file(site.path("token")).expect("the secret");
    site.write("conf.d/b.toml", "[server.x]\ncomand = [\"x\"]\n");
    site.start().await;
    let (_, health) = site.page("/health").await;
    let messages = ["config", "server:sealed"].map(|check| health["checks"][check]["message"].to_string());
    assert!(messages[0].contains("serving revision 1 from history"), "{health}");
    assert!(messages[1].contains("token cannot be read"), "{health}");
}

#[tokio::test]
async fn the_same_refusal_is_told_once() {
    let mut site = Site::new();
    site.write("conf.d/a.toml", "[server.x]\ncomand = [\"x\"]\n");
    let told = |site: &Site| (site.log().matches("a.toml:2:1").count(), site.log().matches("still cannot").count());
    for wanted in [(1, 0), (1, 1)] {
        assert_eq!(site.start_in_vain().await.code(), Some(78));
        assert_eq!(told(&site), wanted, "{}", site.log());
    }
    std::fs::remove_file(site.path("conf.d/a.toml")).expect("the file");
    site.start().await;
    site.stop().await;
    std::fs::remove_dir_all(site.path("state/config")).expect("the history");
    site.write("conf.d/a.toml", "[server.x]\ncomand = [\"x\"]\n");
    assert_eq!(site.start_in_vain().await.code(), Some(78));
    assert_eq!(told(&site), (2, 1), "it served meanwhile: {}", site.log());
}
