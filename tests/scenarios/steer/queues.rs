//! Queues that are bounded otherwise for a time, and calls that are taken out.

use rustix::process::Signal;
use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::three::Three;
use toolgate_tests::gate::Gate;
use toolgate_tests::wait;

use crate::stage::{change, held, newest, of_key, toolgate, until_running};

async fn queue(gate: &Gate) -> Value {
    let (_, queues) = gate.control("GET", "/v1/queues").await;
    queues["servers"].as_array().expect("a list").iter().find(|queue| queue["server"] == "web").expect("web").clone()
}

async fn busy() -> (Three, Gate) {
    let (three, setup) = Three::start("max_calls = 1\nqueue = { timeout = \"60s\", max_size = 10 }\n").await;
    (three, setup.start().await)
}

#[tokio::test]
async fn calls_are_taken_out_of_the_line_with_words() {
    let (_three, gate) = busy().await;
    let path = "/mcp/web";
    let (legacy, modern) = (Caller::legacy(&gate, path).await, Caller::modern(&gate, path));
    let other = of_key(&gate, Caller::modern(&gate, path), "other");
    let running = held(&other, path);
    until_running(&gate, 1).await;
    let (waiting, staying) = ([held(&legacy, path), held(&modern, path)], held(&other, path));
    wait::until("three to wait", || async { (queue(&gate).await["waiting"] == 3).then_some(()) }).await;
    let route = "/v1/servers/web/queue/purge";
    let outcome = change(&gate, "POST", route, json!({"client": "key:test", "dry_run": true})).await;
    assert_eq!((&outcome["purged"], &outcome["applied"]), (&json!(2), &json!(false)), "{outcome}");
    let outcome = change(&gate, "POST", route, json!({"client": "key:test", "reason": "a flood"})).await;
    assert_eq!(outcome["purged"], 2, "{outcome}");
    for call in waiting {
        let answer = call.await.expect("no panic");
        let said = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(said.contains("taken your call out of the queue of the server web. Nothing was done."), "{answer}");
    }
    assert_eq!(queue(&gate).await["waiting"], 1);
    let record = newest(&gate).await;
    assert_eq!((&record["action"], &record["target"]), (&json!("queue.purge"), &json!("web/key:test")), "{record}");
    let (code, said) = toolgate(&gate, &["queues", "purge", "web"]).await;
    assert!(code == 2 && said.contains("refuses 1 calls") && said.contains("--confirm web"), "{code} {said}");
    let (code, said) = toolgate(&gate, &["queues", "purge", "web", "--confirm", "web"]).await;
    assert!(code == 0 && said.contains("1 calls were taken out"), "{code} {said}");
    assert!(staying.await.expect("no panic").get("error").is_some());
    running.abort();
}

#[tokio::test]
async fn other_bounds_hold_for_their_time_and_across_a_restart() {
    let (_three, mut gate) = busy().await;
    let path = "/mcp/web";
    let client = Caller::modern(&gate, path);
    let running = held(&client, path);
    until_running(&gate, 1).await;
    let set = ["queues", "set", "web", "--timeout-ms", "50", "--for", "10m"];
    let (code, said) = toolgate(&gate, &[&set[..], &["--dry-run"]].concat()).await;
    assert_eq!(
        (code, said.as_str()),
        (0, "Nothing was changed. web: 60000 ms, 10 calls -> 50 ms, 10 calls for 10m.\n")
    );
    let (code, said) = toolgate(&gate, &set).await;
    assert_eq!((code, said.as_str()), (0, "web: 60000 ms, 10 calls -> 50 ms, 10 calls for 10m.\n"));
    let answer = client.call("5", "echo", json!({})).await.answer().await;
    assert_eq!(answer["error"]["data"]["reason"], "queue-timeout", "{answer}");
    assert_eq!(newest(&gate).await["before"], json!({"timeout_ms": 60000, "max_size": 10}));
    running.abort();
    gate.reload().await;
    gate.restart(Signal::TERM).await;
    assert_eq!(queue(&gate).await["timeout_ms"], 50);
    change(&gate, "DELETE", "/v1/servers/web/queue/override", json!({})).await;
    assert_eq!(queue(&gate).await["timeout_ms"], 60_000);
    change(&gate, "PUT", "/v1/servers/web/queue/override", json!({"max_size": 3, "seconds": 1})).await;
    assert_eq!(queue(&gate).await["max_size"], 3);
    wait::until("its end", || async { (queue(&gate).await["max_size"] == 10).then_some(()) }).await;
    for body in [json!({"seconds": 9}), json!({"timeout_ms": 5}), json!({"timeout_ms": 0, "seconds": 9})] {
        let (status, answer) = gate.control_with("PUT", "/v1/servers/web/queue/override", &body).await;
        assert_eq!(status, 400, "{body}: {answer}");
    }
}
