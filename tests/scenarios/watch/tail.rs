//! The tail of a gate that is called.

use serde_json::json;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::lines::Lines;
use toolgate_tests::mcp::Era;

use super::{client, gate};

#[tokio::test]
async fn a_tail_shows_the_calls_that_fit_and_no_other() {
    let server = Http::start(Speaks::Both).await;
    let gate = gate(&server).await;
    let mut tail = Lines::follow(&gate.runtime_dir(), "/v1/requests/tail?filter=tool=echo").await;
    let mut modern = client(&gate, Era::Modern).await;
    modern.call("other", json!({})).await.expect("an answer");
    let answer = modern.call("echo", json!({})).await.expect("an answer");
    let line = tail.until("a call", |line| (line["type"] == "request").then(|| line.clone())).await;
    assert_eq!((&line["name"], &line["outcome"], &line["server"]), (&json!("echo"), &json!("ok"), &json!("fake")));
    assert_eq!(line["id"].as_str(), answer.head.header("x-request-id"), "the answer and the line have one id");
    assert!(line["total_us"].as_u64() > Some(0), "{line}");
}

#[tokio::test]
async fn a_flood_is_shown_at_the_rate_that_was_asked_for_and_the_rest_is_counted() {
    const CALLS: u64 = 120;
    let server = Http::start(Speaks::Both).await;
    let gate = gate(&server).await;
    let mut tail = Lines::follow(&gate.runtime_dir(), "/v1/requests/tail?filter=tool=echo&rate=2").await;
    let mut modern = client(&gate, Era::Modern).await;
    for _ in 0..CALLS {
        modern.call("echo", json!({})).await.expect("an answer");
    }
    let (mut shown, mut left_out) = (0, 0);
    while shown + left_out < CALLS {
        let line = tail.next().await;
        match line["type"].as_str() {
            Some("request") => shown += 1,
            Some("lagged") => left_out += line["count"].as_u64().expect("a count"),
            _ => {}
        }
    }
    assert_eq!(shown + left_out, CALLS, "every call is shown or counted");
    assert!(left_out > 0 && shown > 0, "{shown} shown, {left_out} left out");
}
