//! Answers that are compressed towards clients who ask for it.

use serde_json::{Value, json};
use toolgate_tests::caller::{Caller, Reply};
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::fake::stdio::Stdio;
use toolgate_tests::gate::{Gate, Setup};

use crate::coded::plain;

const OFFERED: &str = "compression = [\"zstd\", \"br\", \"gzip\"]";

/// The gate, and the servers that end with their values.
async fn gate(lines: &str) -> (Gate, Http, Stdio) {
    let (web, new) = (Http::start(Speaks::Both).await, Stdio::new(Speaks::Both));
    let setup = Setup::default()
        .server("web", &web.endpoints())
        .server("new", &new.command())
        .table("[profile.duo]\nservers = [\"web\", \"new\"]\n")
        .listener(lines);
    (setup.start().await, web, new)
}

fn coding(reply: &Reply) -> Option<String> {
    reply.head.header("content-encoding").map(str::to_owned)
}

#[tokio::test]
async fn answers_come_as_the_client_asks_on_every_path() {
    let (gate, _web, _new) = gate(OFFERED).await;
    for (path, prefix) in [("/mcp/web", ""), ("/mcp/new", ""), ("/mcp/duo", "web__"), ("/mcp/duo", "new__")] {
        let client = Caller::modern(&gate, path);
        for (asked, expected) in [
            ("gzip", Some("gzip")),
            ("gzip, deflate, br, zstd", Some("zstd")),
            ("gzip;q=1, br;q=0.5", Some("gzip")),
            ("br", Some("br")),
            ("", None),
            ("identity", None),
            ("gzip;q=0", None),
            ("deflate", None),
        ] {
            let client = client.clone().with("Accept-Encoding", asked);
            // In one piece, in slices, and longer than any buffer between.
            for bytes in [2_000, 100_000, 3_000_000] {
                let reply = client.call("7", &format!("{prefix}long"), json!({"bytes": bytes})).await;
                assert_eq!(reply.head.status, 200, "{path} {asked} {bytes}");
                assert_eq!(reply.head.header("vary"), Some("accept-encoding"), "{path} {asked} {bytes}");
                let coding = coding(&reply);
                assert_eq!(coding.as_deref(), expected, "{path} {asked} {bytes}");
                let body = reply.raw().await;
                let text = coding.map_or_else(|| body.clone(), |coding| plain(&coding, &body));
                assert!(expected.is_none() || body.len() < text.len() / 2, "{path} {asked} {bytes}: {}", body.len());
                let answer: Value = serde_json::from_slice(&text).expect("JSON");
                assert_eq!(answer["id"], 7);
                let length = answer["result"]["content"][0]["text"].as_str().map(str::len);
                assert_eq!(length, Some(bytes), "{path} {asked}");
            }
        }
    }
}

#[tokio::test]
async fn short_answers_and_events_are_left_alone() {
    let (gate, _web, _new) = gate(OFFERED).await;
    let client = Caller::modern(&gate, "/mcp/web").with("Accept-Encoding", "gzip");
    let short = client.call("1", "echo", json!({})).await;
    assert_eq!((coding(&short), short.head.header("vary")), (None, None));
    let long = "x".repeat(5000);
    let mut events = client.call_with_progress("1", "1", "progress", json!({"text": long})).await;
    assert!(events.head.is_stream());
    assert_eq!(coding(&events), None);
    assert_eq!(events.message().await["method"], "notifications/progress");
    assert_eq!(events.message().await["result"]["params"]["arguments"]["text"], long);
}

#[tokio::test]
async fn nothing_is_compressed_unless_the_operator_says_so() {
    let (gate, _web, _new) = gate("lenient = false").await;
    let client = Caller::modern(&gate, "/mcp/web").with("Accept-Encoding", "gzip");
    let reply = client.call("1", "long", json!({"bytes": 5000})).await;
    assert_eq!((coding(&reply), reply.head.header("vary")), (None, None));
}
