//! Requests that are refused before their body was read: what is answered, and what comes next on the connection.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::http::{Connection, Head, request};

async fn gate() -> (Gate, Http) {
    let web = Http::start(Speaks::Both).await;
    let setup = Setup::default().server("web", &web.endpoints());
    let limited = setup
        .key("limited", "tier = \"tight\"")
        .table("[tier.tight]\nlimits = [{ per = \"client\", rate = \"1/h\", burst = 1 }]\n");
    (limited.start().await, web)
}

/// A modern call with a body of about so many bytes; its id stands first or last.
fn call(key: &str, id: &str, bytes: usize, id_first: bool, more: &[(&str, &str)]) -> Vec<u8> {
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}});
    let params = json!({"name": "echo", "arguments": {"text": "x".repeat(bytes)}, "_meta": meta});
    let body = if id_first {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{params}}}"#)
    } else {
        format!(r#"{{"method":"tools/call","params":{params},"jsonrpc":"2.0","id":{id}}}"#)
    };
    let authorization = format!("Bearer {key}");
    let headers = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("MCP-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", "echo"),
        ("Authorization", authorization.as_str()),
    ];
    request("POST", "/mcp/web", "localhost", &[&headers[..], more].concat(), body.as_bytes())
}

async fn exchange(connection: &mut Connection, raw: &[u8]) -> (Head, Value) {
    let answer = tokio::time::timeout(Duration::from_secs(20), connection.exchange(raw)).await;
    let (head, body) = answer.expect("an answer in time").expect("an answer");
    (head, serde_json::from_slice(&body).expect("JSON"))
}

#[tokio::test]
async fn a_short_refused_request_is_answered_by_its_id_and_the_connection_goes_on() {
    let (gate, _web) = gate().await;
    let mut connection = gate.target().connect().await.expect("a connection");
    for id_first in [true, false] {
        let (head, answer) = exchange(&mut connection, &call("tg_nobody_x", "\"a\"", 20_000, id_first, &[])).await;
        assert_eq!((head.status, head.is_last()), (401, false));
        assert_eq!(answer["id"], "a");
        let (head, answer) = exchange(&mut connection, &call(&gate.key(), "8", 10, true, &[])).await;
        assert_eq!((head.status, &answer["id"]), (200, &json!(8)));
    }
    // Both at once: neither answer takes the other's place.
    let both = [call("tg_nobody_x", "1", 50_000, false, &[]), call(&gate.key(), "2", 10, true, &[])].concat();
    let (head, answer) = exchange(&mut connection, &both).await;
    assert_eq!((head.status, &answer["id"]), (401, &json!(1)));
    let (head, answer) = exchange(&mut connection, b"").await;
    assert_eq!((head.status, &answer["id"]), (200, &json!(2)));
}

#[tokio::test]
async fn of_a_long_one_the_start_is_read_and_the_connection_closes_behind_the_answer() {
    let (gate, _web) = gate().await;
    for (id_first, id) in [(true, json!("a")), (false, json!(null))] {
        let mut connection = gate.target().connect().await.expect("a connection");
        // All of it is sent before anything is read, and another request behind it, which must not be answered.
        let first = call("tg_nobody_x", "\"a\"", 5_000_000, id_first, &[]);
        let raw = [first, call(&gate.key(), "2", 10, true, &[])].concat();
        let (head, answer) = exchange(&mut connection, &raw).await;
        assert_eq!((head.status, head.is_last()), (401, true));
        assert_eq!(answer.get("id").cloned().unwrap_or_default(), id);
        assert!(connection.exchange(b"").await.is_err(), "closed");
    }
}

#[tokio::test]
async fn a_client_that_withholds_its_body_does_not_hold_up_the_answer() {
    let (gate, _web) = gate().await;
    for more in [&[][..], &[("Expect", "100-continue")]] {
        let mut connection = gate.target().connect().await.expect("a connection");
        let raw = call("tg_nobody_x", "1", 5_000, true, more);
        let head = raw.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        let begun = Instant::now();
        let (head, answer) = exchange(&mut connection, &raw[..head]).await;
        assert_eq!((head.status, head.is_last()), (401, true), "{more:?}");
        assert_eq!(answer.get("id"), None);
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert!(connection.exchange(b"").await.is_err(), "closed");
    }
}

#[tokio::test]
async fn a_limit_refuses_by_the_headers_however_long_the_body_is() {
    let (gate, web) = gate().await;
    let key = gate.key_of("limited");
    let mut connection = gate.target().connect().await.expect("a connection");
    assert_eq!(exchange(&mut connection, &call(&key, "1", 10, true, &[])).await.0.status, 200);
    let (head, answer) = exchange(&mut connection, &call(&key, "2", 10, false, &[])).await;
    assert_eq!((head.status, head.is_last()), (503, false));
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(2), &json!(-31429)));
    // The rest of the body never comes.
    let raw = call(&key, "3", 5_000_000, true, &[]);
    let (head, answer) = exchange(&mut connection, &raw[..100_000]).await;
    assert_eq!((head.status, head.is_last()), (503, true));
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(3), &json!(-31429)));
    assert!(connection.exchange(b"").await.is_err(), "closed");
    assert_eq!(web.record.of("tools/call").len(), 1);
}

#[tokio::test]
async fn headers_that_say_another_thing_than_the_body_do_not_spare_a_limit() {
    let (gate, web) = gate().await;
    let key = gate.key_of("limited");
    let mut connection = gate.target().connect().await.expect("a connection");
    let raw = String::from_utf8(call(&key, "1", 10, true, &[])).expect("text");
    let disguised = raw.replace("Mcp-Method: tools/call", "Mcp-Method: tools/list");
    let (head, answer) = exchange(&mut connection, disguised.as_bytes()).await;
    assert_eq!((head.status, &answer["error"]["code"]), (400, &json!(-32020)));
    assert_eq!(web.record.of("tools/call").len(), 0);
}
