//! Limits that no file has, for a client and a tool, and what a call would meet.

use rustix::process::Signal;
use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::gate::Gate;
use toolgate_tests::wait;

use crate::stage::{change, newest, of_key, start, toolgate};

async fn served(client: &Caller, tool: &str) -> Option<String> {
    let answer = client.call("5", tool, json!({})).await.answer().await;
    if answer.get("result").is_some() { None } else { Some(answer["error"]["message"].to_string()) }
}

async fn limits(gate: &Gate) -> Vec<Value> {
    let (_, view) = gate.control("GET", "/v1/limits").await;
    view["limits"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn a_limit_for_one_client_and_one_tool_bounds_nothing_else_and_outlives_a_restart() {
    let (_three, mut gate) = start().await;
    let looping = Caller::modern(&gate, "/mcp/web");
    let other = of_key(&gate, Caller::modern(&gate, "/mcp/web"), "other");
    let add =
        ["limits", "add", "2/h", "--client", "key:test", "--tool", "web/echo", "--for", "1h", "--say", "You loop."];
    let (code, said) = toolgate(&gate, &[&add[..], &["--dry-run"]].concat()).await;
    assert_eq!((code, said.as_str()), (0, "Nothing was changed. temporary: - -> 2/h for 1h.\n"));
    assert!(limits(&gate).await.is_empty());
    let (code, said) = toolgate(&gate, &[&add[..], &["--reason", "a loop"]].concat()).await;
    assert_eq!((code, said.as_str()), (0, "temporary.1: - -> 2/h for 1h.\n"));
    assert_eq!((served(&looping, "echo").await, served(&looping, "echo").await), (None, None));
    let refused = served(&looping, "echo").await.expect("a refusal");
    assert!(refused.contains("You loop. Nothing was executed. Wait"), "{refused}");
    assert_eq!((served(&looping, "progress").await, served(&other, "echo").await), (None, None));
    let legacy = Caller::legacy(&gate, "/mcp/pair").await;
    assert!(served(&legacy, "web__echo").await.is_some(), "it is the same tool in another view");
    let limit = &limits(&gate).await[0];
    assert_eq!((&limit["name"], &limit["place"]), (&json!("temporary.1"), &json!("temporary")), "{limit}");
    assert_eq!(limit["override"]["reason"], "a loop", "{limit}");
    let record = newest(&gate).await;
    assert_eq!((&record["action"], &record["target"]), (&json!("limit.add"), &json!("web/echo/key:test")), "{record}");
    gate.reload().await;
    assert!(served(&looping, "echo").await.is_some());
    gate.restart(Signal::TERM).await;
    assert_eq!(limits(&gate).await[0]["override"]["reason"], "a loop");
    let (code, said) = toolgate(&gate, &["limits", "revert", "temporary.1"]).await;
    assert!(code == 0 && said.starts_with("temporary.1: 2/h -> -"), "{said}");
    assert!(limits(&gate).await.is_empty());
    for _ in 0..3 {
        assert_eq!(served(&looping, "echo").await, None);
    }
}

#[tokio::test]
async fn nothing_is_let_through_for_a_time() {
    let (_three, gate) = start().await;
    let client = Caller::modern(&gate, "/mcp/web");
    let (code, said) = toolgate(&gate, &["limits", "add", "0", "--client", "key:test", "--for", "1h"]).await;
    assert!(code == 2 && said.contains("--confirm key:test"), "{code} {said}");
    change(&gate, "POST", "/v1/limits", json!({"client": "key:test", "value": "0", "seconds": 2})).await;
    let refused = served(&client, "echo").await.expect("a refusal");
    assert!(refused.contains("Wait 2 s") || refused.contains("Wait 1 s"), "{refused}");
    wait::until("its end", || async { served(&client, "echo").await.is_none().then_some(()) }).await;
    for (body, field) in [
        (json!({"value": "1/s", "seconds": 9}), "client"),
        (json!({"client": "key:nobody", "value": "1/s", "seconds": 9}), "path"),
        (json!({"tool": "nowhere/echo", "value": "1/s", "seconds": 9}), "tool"),
        (json!({"tool": "web/echo", "value": "often", "seconds": 9}), "value"),
        (json!({"tool": "web/echo", "value": "1/s"}), "seconds"),
    ] {
        let (status, answer) = gate.control_with("POST", "/v1/limits", &body).await;
        assert!(status == 400 || status == 404, "{body}: {answer}");
        assert_eq!(answer["field"], field, "{body}: {answer}");
    }
}

#[tokio::test]
async fn what_a_call_would_meet_is_told_with_what_is_left_and_where_it_is_written() {
    let (_three, setup) = toolgate_tests::fake::three::Three::start("").await;
    let gate = setup
        .limit("{ name = \"calls\", per = \"client\", rate = \"5/h\" }")
        .table("[[limit]]\nname = \"near\"\nper = \"address\"\nrate = \"9/h\"\n")
        .start()
        .await;
    let client = Caller::modern(&gate, "/mcp/web");
    assert_eq!(served(&client, "echo").await, None);
    let ask = "/v1/limits/explain?client=key:test&tool=web/echo";
    let (status, told) = gate.control("GET", ask).await;
    assert_eq!(status, 200, "{told}");
    let limits = told["limits"].as_array().expect("a list");
    assert_eq!(limits.iter().map(|limit| &limit["name"]).collect::<Vec<_>>(), ["near", "calls"], "{told}");
    assert_eq!((&limits[1]["remaining"], &limits[1]["key"]), (&json!(4), &json!("client=key:test")), "{told}");
    let origin = limits[1]["origin"].as_str().expect("text");
    let (file, line) = origin.rsplit_once(':').expect("FILE:LINE");
    let text = std::fs::read_to_string(file).expect("the file");
    let line = text.lines().nth(line.parse::<usize>().expect("a number") - 1).expect("the line");
    assert!(line.contains("calls"), "{origin}: {line}");
    for _ in 0..4 {
        assert_eq!(served(&client, "echo").await, None);
    }
    let (code, said) = toolgate(&gate, &["limits", "explain", "--client", "key:test", "--tool", "web/echo"]).await;
    assert!(code == 0 && said.contains("The next call is refused by calls."), "{said}");
    let (status, _) = gate.control("GET", "/v1/limits/explain?client=key:nobody&tool=web/echo").await;
    assert_eq!(status, 404);
    let (status, _) = gate.control("GET", "/v1/limits/explain?client=key:test&tool=web").await;
    assert_eq!(status, 400);
}
