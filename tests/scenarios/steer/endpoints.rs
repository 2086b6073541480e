//! Weights, checks, the level of the log and revisions, by hand.

use serde_json::json;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::Setup;
use toolgate_tests::wait;

use crate::stage::{change, newest, start, toolgate};

#[tokio::test]
async fn an_endpoint_without_weight_gets_calls_only_where_no_other_is() {
    let (one, two) = (Http::start(Speaks::Modern).await, Http::start(Speaks::Modern).await);

    let urls = [one.url.clone(), two.url.clone()];
    let lines = format!("endpoints = [\"{}\", \"{}\"]\n", urls[0], urls[1]);
    let gate = Setup::default().server("two", &lines).start().await;
    let client = Caller::modern(&gate, "/mcp/two");
    let outcome = change(&gate, "POST", "/v1/servers/two/weight", json!({"endpoint": urls[0], "weight": 0})).await;
    assert_eq!((&outcome["before"], &outcome["weight"]), (&json!(1), &json!(0)), "{outcome}");
    let calls = || one.record.of("tools/call").len();
    let before = calls();
    for _ in 0..20 {
        client.call("1", "echo", json!({})).await.answer().await;
    }
    assert_eq!(calls(), before);
    let record = newest(&gate).await;
    assert_eq!((&record["action"], &record["before"]), (&json!("server.weight"), &json!(1)), "{record}");
    let (code, said) = toolgate(&gate, &["server", "drain", "two", "--endpoint", &urls[1], "--wait"]).await;
    assert_eq!(code, 0, "{said}");
    client.call("1", "echo", json!({})).await.answer().await;
    assert_eq!(calls(), before + 1, "there is no other");
    let (code, said) = toolgate(&gate, &["server", "weight", "two", "--endpoint", &urls[0], "5"]).await;
    assert!(
        code == 0 && said.contains("weight 0 -> 5, until the files give it another one or this is set back."),
        "{said}"
    );
    let (code, said) = toolgate(&gate, &["server", "check", "two"]).await;
    assert!(code == 0 && said.matches(" answers, after ").count() == 2, "{said}");
    one.kill();
    let (code, said) = wait::until("the check to fail", || async {
        Some(toolgate(&gate, &["server", "check", "two", "--endpoint", &urls[0]]).await).filter(|(code, _)| *code != 0)
    })
    .await;
    assert!(code == 3, "{said}");
    let (status, _) =
        gate.control_with("POST", "/v1/servers/two/weight", &json!({"endpoint": urls[0], "weight": 1001})).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn the_log_is_finer_for_a_time_and_a_change_for_another_revision_is_refused() {
    let (_three, gate) = start().await;
    let (code, said) = toolgate(&gate, &["log", "set", "debug", "--for", "2s"]).await;
    assert_eq!((code, said.as_str()), (0, "info -> debug for 2s, and not across a restart.\n"));
    assert_eq!(newest(&gate).await["action"], "log.set");
    let outcome = change(&gate, "PUT", "/v1/log", json!({"level": "warn", "dry_run": true})).await;
    assert_eq!(outcome["before"], "debug");
    wait::until("the configured level", || async {
        let outcome = change(&gate, "PUT", "/v1/log", json!({"level": "warn", "dry_run": true})).await;
        (outcome["before"] == "info").then_some(())
    })
    .await;
    let (status, _) = gate.control_with("PUT", "/v1/log", &json!({"level": "loud"})).await;
    assert_eq!(status, 400);
    let (code, said) =
        toolgate(&gate, &["clients", "suspend", "key:test", "--confirm", "key:test", "--if-match", "99"]).await;
    assert!(code == 1 && said.contains("The running configuration is revision"), "{code} {said}");
}
