//! A client that is suspended: what runs for it ends, it reads the operator's words, and a restart changes nothing.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::gate::Gate;
use toolgate_tests::mcp::Era;

use crate::stage::{PATHS, change, held, newest, of_key, start, tool, until_running};

const WORDS: &str = "You ask the same again and again. Tell your user.";

fn is_told(answer: &Value, id: u64) {
    let said = answer["error"]["message"].as_str().unwrap_or_default();
    assert!(said.starts_with(WORDS), "{answer}");
    assert_eq!(answer["error"]["data"]["reason"], "suspended", "{answer}");
    assert_eq!(answer["id"], id, "{answer}");
}

async fn suspend(gate: &Gate) -> Value {
    let body = json!({"say": WORDS, "reason": "a loop"});
    let began = Instant::now();
    let outcome = change(gate, "POST", "/v1/clients/key%3Atest/suspend", body).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    outcome
}

async fn resume(gate: &Gate) {
    let outcome = change(gate, "POST", "/v1/clients/key%3Atest/resume", json!({})).await;
    assert_eq!((&outcome["suspended"], &outcome["before"]), (&json!(false), &json!(true)));
}

/// How its call is refused, in the way of its era.
async fn refused(client: &Caller, path: &str, era: Era) {
    let reply = client.call("5", &tool(path, "echo"), json!({})).await;
    assert_eq!(reply.head.status, if era == Era::Modern { 403 } else { 200 }, "{path}");
    is_told(&reply.answer().await, 5);
}

#[tokio::test]
async fn all_that_a_suspended_client_does_ends_with_words_and_others_go_on() {
    let (_three, gate) = start().await;
    for path in PATHS {
        let (legacy, modern) = (Caller::legacy(&gate, path).await, Caller::modern(&gate, path));
        let other = of_key(&gate, Caller::modern(&gate, path), "other");
        let mut stream = legacy.stream().await;
        let calls = [held(&legacy, path), held(&modern, path)];
        until_running(&gate, 3).await;
        let outcome = change(&gate, "POST", "/v1/clients/key%3Atest/suspend", json!({"dry_run": true})).await;
        assert_eq!(
            (&outcome["applied"], &outcome["sessions"], &outcome["calls"]),
            (&json!(false), &json!(1), &json!(3))
        );
        let outcome = suspend(&gate).await;
        assert_eq!((&outcome["sessions"], &outcome["calls"]), (&json!(1), &json!(3)), "{path}: {outcome}");
        for call in calls {
            is_told(&call.await.expect("no panic"), 7);
        }
        while stream.next().await.is_some() {}
        refused(&legacy, path, Era::Legacy).await;
        refused(&modern, path, Era::Modern).await;
        let refusal = Caller::new(&gate, path, Era::Legacy).initialize().await.answer().await;
        is_told(&refusal, 0);
        let answer = other.call("5", &tool(path, "echo"), json!({})).await.answer().await;
        assert!(answer.get("result").is_some(), "{path}: {answer}");
        let record = newest(&gate).await;
        assert_eq!((&record["action"], &record["target"]), (&json!("client.suspend"), &json!("key:test")), "{record}");
        resume(&gate).await;
        assert_eq!(newest(&gate).await["action"], "client.resume");
        let answer = modern.call("5", &tool(path, "echo"), json!({})).await.answer().await;
        assert!(answer.get("result").is_some(), "{path}: {answer}");
    }
}

#[tokio::test]
async fn calls_that_wait_leave_the_queue() {
    let (three, setup) =
        toolgate_tests::fake::three::Three::start("max_calls = 1\nqueue = { timeout = \"60s\" }\n").await;
    let gate = setup.start().await;
    let (modern, other) =
        (Caller::modern(&gate, "/mcp/web"), of_key(&gate, Caller::modern(&gate, "/mcp/web"), "other"));
    let running = held(&other, "/mcp/web");
    until_running(&gate, 1).await;
    let waiting = [held(&modern, "/mcp/web"), held(&modern, "/mcp/web")];
    until_running(&gate, 3).await;
    let outcome = suspend(&gate).await;
    assert_eq!((&outcome["queued"], &outcome["calls"]), (&json!(2), &json!(2)), "{outcome}");
    for call in waiting {
        is_told(&call.await.expect("no panic"), 7);
    }
    until_running(&gate, 1).await;
    running.abort();
    drop(three);
}

#[tokio::test]
async fn a_suspension_outlives_reload_and_restart_and_ends_with_its_time() {
    let (_three, mut gate) = start().await;
    let client = Caller::modern(&gate, "/mcp/web");
    suspend(&gate).await;
    gate.change(|setup| setup.daemon("lame_duck = \"0s\""));
    gate.reload().await;
    refused(&client, "/mcp/web", Era::Modern).await;
    for signal in [Signal::TERM, Signal::KILL] {
        gate.restart(signal).await;
        refused(&client, "/mcp/web", Era::Modern).await;
    }
    let number = newest(&gate).await["number"].clone();
    resume(&gate).await;
    assert!(newest(&gate).await["number"].as_u64() > number.as_u64(), "numbers go on, also those of calls between");
    let brief = json!({"say": WORDS, "seconds": 1});
    change(&gate, "POST", "/v1/clients/key%3Atest/suspend", brief).await;
    refused(&client, "/mcp/web", Era::Modern).await;
    toolgate_tests::wait::until("its end", || async {
        let answer = client.call("5", "echo", json!({})).await.answer().await;
        answer.get("result").is_some().then_some(())
    })
    .await;
    for (client, code) in [("key%3Anobody", 404), ("nonsense", 404), ("address%3A1.2.3.4", 200)] {
        let (status, answer) = gate.control_with("POST", &format!("/v1/clients/{client}/suspend"), &json!({})).await;
        assert_eq!(status, code, "{client}: {answer}");
    }
}
