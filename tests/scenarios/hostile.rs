//! What a server says of itself never steers the terminal of whoever reads the log or asks for the status.

use serde_json::{Value, json};
use toolgate_tests::gate::{Gate, Setup, program};
use toolgate_tests::hostile::{WORDS, steers};
use toolgate_tests::mcp::{Client, Era};
use toolgate_tests::wait;

/// The longest text of a log line or of the status, and the longest line of the keeper.
const TEXT: usize = 4 * 256 * 8;
const LINE: usize = 2048 * 4;

async fn gate() -> Gate {
    let unruly = program("unruly");
    let unruly = unruly.to_str().expect("a path in UTF-8");
    Setup::default()
        .stdio("hostile", &[unruly, "--hostile"], "per = \"session\"")
        .stdio("refusing", &[unruly, "--hostile", "--refuse"], "per = \"session\"")
        .start()
        .await
}

/// Every text of a JSON value, keys included.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::Object(members) => {
            members.iter().flat_map(|(key, value)| [vec![key.clone()], texts(value)].concat()).collect()
        }
        _ => vec![],
    }
}

fn assert_texts_fit(what: &str, value: &Value) {
    for text in texts(value) {
        assert_fit(what, &text, TEXT);
    }
}

fn assert_fit(what: &str, text: &str, longest: usize) {
    let bad: Vec<char> = text.chars().filter(|character| steers(*character)).collect();
    assert!(bad.is_empty(), "{what} holds {bad:?}: {text:?}");
    assert!(text.len() <= longest, "{what} has {} bytes: {text}", text.len());
}

#[tokio::test]
async fn words_of_servers_are_fit_to_be_read() {
    let gate = gate().await;
    for path in ["/mcp", "/mcp/hostile", "/mcp/refusing"] {
        for era in [Era::Legacy, Era::Modern] {
            let Ok(mut client) = Client::connect(gate.target(), path, Some(&gate.key()), era).await else { continue };
            client.request("tools/list", json!({})).await.ok();
            for tool in ["a", "hostile__a", WORDS] {
                let answer = client.call(tool, json!({})).await.expect("an answer");
                // What the gate says by itself; what a server says to its client is between the two.
                if answer.body["error"]["data"]["callId"].is_string() {
                    assert_texts_fit("an answer", &answer.body);
                }
            }
        }
    }
    // The last words come with the end of the instance.
    let said = || gate.log().contains("owned").then_some(());
    wait::until("its words to be in the log", || std::future::ready(said())).await;
    let log = gate.log();
    let mut lines = 0;
    for line in log.lines() {
        match serde_json::from_str::<Value>(line) {
            Ok(record) => assert_texts_fit("the log", &record),
            Err(_) => assert_fit("a line of the keeper", line, LINE),
        }
        lines += 1;
    }
    assert!(lines < 500, "{lines} lines of log for a few calls");
    for path in ["/v1/status", "/v1/config"] {
        let (status, answer) = gate.control("GET", path).await;
        assert_eq!(status, 200);
        assert_texts_fit(path, &answer);
    }
}

#[tokio::test]
async fn long_lines_that_are_no_messages_cost_no_call() {
    let unruly = program("unruly");
    let unruly = unruly.to_str().expect("a path in UTF-8");
    let gate = Setup::default().stdio("babbling", &[unruly, "--garbage"], "per = \"session\"").start().await;
    let mut client = gate.aim("/mcp/babbling", Era::Legacy).client().await.expect("a session");
    for _ in 0..3 {
        let answer = client.call("pid", json!({})).await.expect("an answer");
        assert!(answer.succeeded(), "{answer:?}");
    }
}
