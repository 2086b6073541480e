//! What operators said of endpoints, over the end of the process; and breakers that nobody configured, held by hand.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::fake::three::Three;
use toolgate_tests::gate::Gate;
use toolgate_tests::wait;

use crate::stage::{PATHS, change, start, tool, toolgate};

/// One call of a modern client, and its answer.
async fn call(gate: &Gate, path: &str) -> Value {
    answer(&Caller::modern(gate, path), path).await
}

async fn answer(client: &Caller, path: &str) -> Value {
    client.call("1", &tool(path, "echo"), json!({})).await.answer().await
}

fn reason(answer: &Value) -> &str {
    answer["error"]["data"]["reason"].as_str().unwrap_or("none")
}

/// Two servers of two endpoints each: `drained` and `weighed`.
async fn pairs(names: [&str; 2]) -> (Three, [[Http; 2]; 2], Gate) {
    let (three, mut setup) = Three::start("").await;
    let pair = async || [Http::start(Speaks::Both).await, Http::start(Speaks::Both).await];
    let pairs = [pair().await, pair().await];
    for (name, [one, two]) in names.iter().zip(&pairs) {
        setup = setup.server(name, &format!("endpoints = [\"{}\", \"{}\"]\n", one.url, two.url));
    }
    (three, pairs, setup.start().await)
}

fn calls(http: &Http) -> usize {
    http.record.of("tools/call").len()
}

/// What holds by hand of a server's first endpoint.
async fn by_hand(gate: &Gate, server: &str) -> Value {
    gate.control("GET", &format!("/v1/servers/{server}")).await.1["endpoints"][0]["by_hand"].clone()
}

fn now_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis()
}

#[tokio::test]
async fn what_was_said_of_endpoints_is_so_after_a_restart_until_it_is_taken_back() {
    let (_three, [drained, weighed], mut gate) = pairs(["drained", "weighed"]).await;
    let why = "disks";
    change(&gate, "POST", "/v1/servers/drained/drain", json!({"endpoint": drained[0].url, "reason": why})).await;
    change(&gate, "POST", "/v1/servers/weighed/weight", json!({"endpoint": weighed[0].url, "weight": 0})).await;
    change(&gate, "POST", "/v1/servers/old/maintenance", json!({"reason": why})).await;
    change(&gate, "POST", "/v1/breakers/web/open", json!({"reason": why})).await;
    change(&gate, "POST", "/v1/breakers/new/open", json!({"reason": why})).await;
    let said = by_hand(&gate, "drained").await;
    assert_eq!((&said[0]["what"], &said[0]["reason"]), (&json!("drain"), &json!(why)), "{said}");

    for _ in 0..2 {
        gate.restart(Signal::TERM).await;
        assert_eq!(by_hand(&gate, "drained").await, said, "who, when and why as before");
        for _ in 0..8 {
            assert_eq!(reason(&call(&gate, "/mcp/drained").await), "none");
            assert_eq!(reason(&call(&gate, "/mcp/weighed").await), "none");
        }
        assert_eq!((calls(&drained[0]), calls(&weighed[0])), (0, 0));
        assert_eq!(reason(&call(&gate, "/mcp/old").await), "server-unavailable");
        assert_eq!(reason(&call(&gate, "/mcp/web").await), "breaker-open");
        assert_eq!(reason(&call(&gate, "/mcp/new").await), "breaker-open");
    }
    let (_, shown) = toolgate(&gate, &["server", "show", "web"]).await;
    assert!(shown.contains("By hand, until it is taken back:") && shown.contains("breaker open, since "), "{shown}");
    assert!(shown.contains(": disks"), "{shown}");

    for (path, body) in [
        ("/v1/servers/drained/resume", json!({})),
        ("/v1/servers/weighed/weight", json!({"endpoint": weighed[0].url, "weight": 1})),
        ("/v1/servers/old/resume", json!({})),
        ("/v1/breakers/web/reset", json!({})),
        ("/v1/breakers/new/reset", json!({})),
    ] {
        change(&gate, "POST", path, body).await;
    }
    gate.restart(Signal::TERM).await;
    for server in ["drained", "weighed", "old", "web", "new"] {
        assert_eq!(by_hand(&gate, server).await, Value::Null, "{server}");
        assert_eq!(reason(&call(&gate, &format!("/mcp/{server}")).await), "none", "{server}");
    }
    wait::until("calls at both endpoints", || async {
        call(&gate, "/mcp/drained").await;
        call(&gate, "/mcp/weighed").await;
        (calls(&drained[0]) > 0 && calls(&weighed[0]) > 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_deadline_that_comes_while_the_gate_is_down_ends_sessions_at_the_start() {
    let (_three, mut gate) = start().await;
    let client = Caller::legacy(&gate, "/mcp/web").await;
    let outcome = change(&gate, "POST", "/v1/servers/web/maintenance", json!({"deadline_ms": 2000})).await;
    assert_eq!(outcome["deadline_ms"], 2000, "{outcome}");
    let end = by_hand(&gate, "web").await[0]["until_ms"].as_u64().expect("an end");
    gate.signal(Signal::TERM);
    gate.ended().await;
    wait::until("the deadline", || async { (now_ms() > u128::from(end)).then_some(()) }).await;
    gate.start_again().await;
    assert_eq!(by_hand(&gate, "web").await[0]["until_ms"], end);
    wait::until("the end of the session", || async {
        (client.call("1", "echo", json!({})).await.head.status == 404).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_breaker_that_nobody_configured_is_held_open_by_hand_and_let_go() {
    let (_three, gate) = start().await;
    let mut sessions = Vec::new();
    for path in PATHS {
        sessions.push((path, Caller::legacy(&gate, path).await));
    }
    for server in ["web", "old"] {
        let path = format!("/v1/breakers/{server}/open");
        let outcome = change(&gate, "POST", &path, json!({"dry_run": true})).await;
        assert_eq!((&outcome["state"], &outcome["applied"]), (&json!("forced_open"), &json!(false)), "{outcome}");
    }
    for (path, client) in &sessions {
        assert_eq!(reason(&answer(client, path).await), "none", "{path}");
    }
    for server in ["web", "old"] {
        let (code, said) = toolgate(&gate, &["breaker", "open", server, "--confirm", server]).await;
        assert!(code == 0 && said.contains("refuses all calls"), "{said}");
    }
    for (path, client) in &sessions {
        let refused = answer(client, path).await;
        assert_eq!(reason(&refused), "breaker-open", "{path}: {refused}");
        let text = refused["error"]["message"].as_str().expect("words");
        assert!(text.contains("its operator has opened its breaker by hand"), "{text}");
        if *path != "/mcp/pair" {
            assert_eq!(reason(&call(&gate, path).await), "breaker-open", "{path}");
        }
    }
    let (_, server) = gate.control("GET", "/v1/servers/web").await;
    assert_eq!(server["endpoints"][0]["breaker"]["state"], "forced_open", "{server}");
    for server in ["web", "old"] {
        change(&gate, "POST", &format!("/v1/breakers/{server}/reset"), json!({})).await;
    }
    for (path, client) in &sessions {
        assert_eq!(reason(&answer(client, path).await), "none", "{path}");
        assert_eq!(reason(&call(&gate, path).await), "none", "{path}");
    }
    let (_, server) = gate.control("GET", "/v1/servers/web").await;
    assert_eq!(server["endpoints"][0].get("breaker"), None, "{server}");
}
