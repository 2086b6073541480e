//! Servers that compress unasked: what passes, what is undone, what is refused.

use serde_json::json;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::stdio::Stdio;
use toolgate_tests::gate::{Gate, Setup};

use crate::coded::{Coded, Manner, code};

const CODINGS: [&str; 4] = ["gzip", "deflate", "br", "zstd"];

async fn stage() -> (Gate, Coded, Stdio) {
    let (coded, new) = (Coded::start().await, Stdio::new(Speaks::Both));
    let setup = Setup::default()
        .http("coded", &coded.url)
        .server("new", &new.command())
        .table("[profile.duo]\nservers = [\"coded\", \"new\"]\n")
        .key("narrow", "scopes = [\"coded/echo\"]");
    (setup.start().await, coded, new)
}

fn as_it_says(coding: &'static str) -> Manner {
    Manner { says: coding, does: coding, ..Manner::default() }
}

#[tokio::test]
async fn a_coding_that_the_client_allows_passes_untouched_and_others_are_undone() {
    let (gate, coded, _new) = stage().await;
    let client = Caller::modern(&gate, "/mcp/coded");
    for coding in CODINGS {
        for longer in [0, 200_000] {
            coded.answers(Manner { longer, ..as_it_says(coding) });
            let decoded = client.call("1", "echo", json!({})).await;
            assert_eq!(decoded.head.header("content-encoding"), None, "{coding}");
            assert_eq!(decoded.head.header("vary"), Some("accept-encoding"), "{coding}");
            let text = decoded.text().await;
            assert!(text.starts_with(r#"{"id":1"#) && text.len() > longer, "{coding}: {text:.80}");
            let reply = client.clone().with("Accept-Encoding", coding).call("1", "echo", json!({})).await;
            assert_eq!(reply.head.header("content-encoding"), Some(coding));
            assert_eq!(reply.raw().await, code(coding, text.as_bytes()), "{coding}");
        }
    }
    assert_eq!(*coded.asked.lock().expect("unpoisoned"), [] as [String; 0], "the gate asks for no coding");
}

#[tokio::test]
async fn what_the_gate_looks_into_is_decoded() {
    let (gate, coded, _new) = stage().await;
    let narrow = format!("Bearer {}", gate.key_of("narrow"));
    for coding in CODINGS {
        for events in [false, true] {
            coded.answers(Manner { events, ..as_it_says(coding) });
            // A client that takes the coding gets the gate's own words all the same.
            let client = Caller::modern(&gate, "/mcp/coded").with("Accept-Encoding", coding);
            let filtered = client.clone().with("Authorization", &narrow).request("1", "tools/list", json!({})).await;
            let filtered = filtered.answer().await;
            assert_eq!(filtered["result"]["tools"].as_array().map(Vec::len), Some(1), "{coding} {events}: {filtered}");
            let merged = Caller::modern(&gate, "/mcp/duo");
            let list = merged.request("1", "tools/list", json!({})).await.text().await;
            assert!(list.contains("coded__secret"), "{coding} {events}: {list}");
            let called = merged.call("1", "coded__echo", json!({})).await.answer().await;
            assert_eq!(called["result"]["text"], "", "{coding} {events}: {called}");
            let legacy = Caller::legacy(&gate, "/mcp/coded").await.call("5", "echo", json!({})).await.answer().await;
            assert_eq!(legacy["id"], 5, "{coding} {events}: {legacy}");
        }
    }
}

#[tokio::test]
async fn bombs_and_what_is_not_what_it_says_are_refused() {
    let (gate, coded, _new) = stage().await;
    let bomb = |coding| Manner { longer: 20 << 20, ..as_it_says(coding) };
    let manners = CODINGS.map(bomb).into_iter().chain([
        Manner { says: "gzip", does: "", ..Manner::default() },
        Manner { says: "br", does: "gzip", ..Manner::default() },
        Manner { says: "compress", does: "", ..Manner::default() },
        Manner { says: "gzip, gzip", does: "gzip", ..Manner::default() },
    ]);
    for manner in manners {
        coded.answers(manner.clone());
        let narrow = format!("Bearer {}", gate.key_of("narrow"));
        for (path, tool) in [("/mcp/coded", "echo"), ("/mcp/duo", "coded__echo")] {
            let client = Caller::modern(&gate, path);
            let (status, answer) = if path == "/mcp/coded" {
                let list = client.clone().with("Authorization", &narrow).request("3", "tools/list", json!({})).await;
                (list.head.status, list.answer().await)
            } else {
                let reply = client.call("3", tool, json!({})).await;
                (reply.head.status, reply.answer().await)
            };
            assert_eq!((status, &answer["error"]["code"]), (502, &json!(-31502)), "{path} {manner:?}: {answer}");
            assert_eq!(answer["id"], 3, "{path} {manner:?}");
            let sentence = answer["error"]["message"].as_str().unwrap_or_default();
            assert!(sentence.contains("compressed its answer"), "{sentence}");
        }
        coded.answers(Manner::default());
        let next = Caller::modern(&gate, "/mcp/coded").call("4", "echo", json!({})).await;
        assert_eq!(next.head.status, 200, "{manner:?}");
    }
}
