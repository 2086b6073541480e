//! The story of a session.

use std::time::Instant;

use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::wait::PATIENCE;

use crate::stage::Stage;

/// Kinds and methods of a session's events.
fn story(detail: &Value) -> Vec<(String, String)> {
    let events = detail["events"].as_array().unwrap_or_else(|| panic!("no events: {detail}"));
    let text = |event: &Value, field: &str| event[field].as_str().expect("a text").to_owned();
    events.iter().map(|event| (text(event, "kind"), text(event, "method"))).collect()
}

#[tokio::test]
async fn a_sessions_events_tell_what_went_on_in_it() {
    let stage = Stage::new().await;
    for (path, server) in [("/mcp/web", "web"), ("/mcp/old", "old"), ("/mcp/pair", "old")] {
        let prefix = if path == "/mcp/pair" { "old__" } else { "" };
        let client = Caller::legacy(&stage.gate, path).await;
        client.call("1", &format!("{prefix}echo"), json!({})).await.answer().await;
        client.call_with_progress("2", "7", &format!("{prefix}progress"), json!({})).await.text().await;
        client.call("3", &format!("{prefix}fail"), json!({})).await.answer().await;
        let row = stage.row("sessions", "key:test").await;
        let id = client.session.as_deref().expect("a session");
        let handle = row["id"].as_str().expect("a handle");
        assert!(handle.len() == 16 && !id.contains(handle), "{row}");
        assert_eq!(
            (&row["client"], &row["calls"], &row["errors"]),
            (&json!("key:test"), &json!(3), &json!(1)),
            "{row}"
        );
        assert_eq!(row["protocol"], "2025-11-25", "{row}");
        assert_eq!(row["last"], "tools/call fail", "{row}");
        let servers = row["servers"].as_array().expect("a list");
        assert!(servers.contains(&json!(server)), "{row}");
        let counted = stage.get(&format!("/v1/servers/{server}")).await;
        assert_eq!(counted["sessions"], 1, "{path}: {counted}");
        let detail = stage.get(&format!("/v1/sessions/{handle}")).await;
        let told = story(&detail);
        let has = |kind: &str, method: &str| told.contains(&(kind.to_owned(), method.to_owned()));
        assert_eq!(told[0].0, "opened", "{told:?}");
        assert!(has("notification", "notifications/initialized"), "{path}: {told:?}");
        assert!(has("request", "tools/call") && has("answer", "tools/call"), "{path}: {told:?}");
        assert!(has("progress", "notifications/progress"), "{path}: {told:?}");
        assert!(has("error", "tools/call"), "{path}: {told:?}");
        let events = detail["events"].as_array().expect("events");
        let progress = events.iter().find(|event| event["kind"] == "progress").expect("one");
        assert_eq!(progress["detail"], "1/2", "{progress}");
        let call = progress["call"].as_str().filter(|call| !call.is_empty()).expect("its call");
        let of_call: Vec<_> = events.iter().filter(|event| event["call"] == call).map(|event| &event["kind"]).collect();
        assert_eq!(of_call, ["request", "progress", "answer"], "{detail}");
        assert_eq!(client.end().await, 200);
        let (status, _) = stage.gate.control("GET", &format!("/v1/sessions/{handle}")).await;
        assert_eq!(status, 404, "it has ended");
        let stolen = Caller::new(&stage.gate, path, toolgate_tests::mcp::Era::Legacy);
        let stolen = stolen.with("Mcp-Session-Id", handle);
        assert_eq!(stolen.request("1", "ping", json!({})).await.head.status, 404, "a handle opens nothing");
    }
}

#[tokio::test]
async fn streams_and_questions_of_servers_are_part_of_it() {
    let stage = Stage::new().await;
    let client = Caller::legacy(&stage.gate, "/mcp/old").await;
    let mut stream = client.stream().await;
    client.call("1", "log", json!({})).await.text().await;
    let mut asking = client.call("2", "ask", json!({})).await;
    let question = asking.message().await;
    assert_eq!(question["method"], "elicitation/create", "{question}");
    assert_eq!(client.respond(&question["id"], json!({"action": "accept"})).await, 202);
    asking.message().await;
    let row = stage
        .until("the stream to be counted", "/v1/sessions", |sessions| {
            Some(sessions["sessions"][0].clone()).filter(|row| row["streams"] == 1 && row["in_flight"] == 0)
        })
        .await;
    let detail = stage.get(&format!("/v1/sessions/{}", row["id"].as_str().expect("a handle"))).await;
    let told = story(&detail);
    let kinds: Vec<_> = told.iter().map(|(kind, _)| kind.as_str()).collect();
    assert!(kinds.contains(&"stream") && kinds.contains(&"asked"), "{told:?}");
    let events = detail["events"].as_array().expect("events");
    assert!(events.iter().any(|event| event["detail"] == "the client's answer"), "{detail}");
    drop(stream.message());
}

#[tokio::test]
async fn a_client_that_reads_slowly_is_told_of_once_per_stream() {
    let stage = Stage::new().await;
    let client = Caller::legacy(&stage.gate, "/mcp/old").await;
    // More than sockets take, so that what is said has to wait for the client.
    let arguments = json!({"count": 4_000, "pad": 4_000});
    let mut stream = client.call_with_progress("1", "7", "steps", arguments).await;
    let row = stage.row("sessions", "key:test").await;
    let path = format!("/v1/sessions/{}", row["id"].as_str().expect("a handle"));
    let told = async || {
        let detail = stage.get(&path).await;
        let is_slow = |event: &&Value| event["detail"].as_str().is_some_and(|detail| detail.starts_with("slow: "));
        let events = detail["events"].as_array().expect("events").iter().filter(is_slow).cloned();
        events.collect::<Vec<_>>()
    };
    let deadline = Instant::now() + PATIENCE;
    let event = loop {
        stream.message().await;
        if let Some(event) = told().await.pop() {
            break event;
        }
        assert!(Instant::now() < deadline, "nothing waited for a client that hardly reads");
    };
    assert_eq!(event["kind"], "stream", "{event}");
    assert!(!event["call"].as_str().expect("a text").is_empty(), "{event}");
    assert!(event["detail"].as_str().is_some_and(|text| text.ends_with(" ms for the client")), "{event}");
    for _ in 0..50 {
        stream.message().await;
    }
    let all = told().await;
    assert!(all.len() <= 1, "once per stream: {all:?}");
}
