//! The bound of connections to all servers: who waits, what whoever waits in vain is told, and what the operator sees.

use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::{Gate, Setup};

async fn call(gate: &Gate, server: &str) -> Value {
    Caller::modern(gate, &format!("/mcp/{server}")).call("1", "echo", json!({})).await.answer().await
}

async fn connections(gate: &Gate) -> Value {
    gate.control("GET", "/v1/status").await.1["server_connections"].clone()
}

#[tokio::test]
async fn a_server_that_has_its_share_takes_nobody_elses_and_a_reload_makes_room() {
    let (busy, other) = (Http::start(Speaks::Both).await, Http::start(Speaks::Both).await);
    let lines = "timeout = { connect = \"200ms\", first_byte = \"60s\" }\n";
    let mut gate = Setup::default()
        .server("busy", &(busy.endpoints() + lines))
        .server("other", &(other.endpoints() + lines))
        .daemon("max_server_connections = 2")
        .start()
        .await;
    // Each has one, and uses it again.
    for _ in 0..3 {
        for server in ["busy", "other"] {
            assert!(call(&gate, server).await.get("result").is_some());
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let go = folder.path().join("go");
    let client = Caller::modern(&gate, "/mcp/busy");
    let mut held = client.call_with_progress("1", "1", "hold", json!({ "until": go })).await;
    held.message().await;
    // The other connection is the other server's share.
    assert_eq!(connections(&gate).await, json!({"open": 2, "max": 2, "waiting": 0}));
    let refused = call(&gate, "busy").await;
    assert_eq!(refused["error"]["data"]["reason"], "queue-timeout", "{refused}");
    let text = refused["error"]["message"].as_str().expect("a text");
    assert!(text.contains("that this gate may have to servers"), "{text}");
    assert!(call(&gate, "other").await.get("result").is_some());
    let (_, server) = gate.control("GET", "/v1/servers/busy").await;
    assert_eq!((&server["connections"]["open"], &server["endpoints"][0]["connections"]), (&json!(1), &json!(1)));
    gate.change(|setup| setup.daemon("max_server_connections = 4"));
    gate.reload().await;
    assert!(call(&gate, "busy").await.get("result").is_some());
    assert_eq!(connections(&gate).await["max"], 4);
    std::fs::write(&go, "").expect("a file");
    assert!(held.answer().await.get("result").is_some(), "the call in flight went on");
}
