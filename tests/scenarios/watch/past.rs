//! The past of a gate: across restarts, from the command line, and in a file that a colleague gets.

use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;
use serde_json::json;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::{Gate, program};
use toolgate_tests::mcp::Era;
use toolgate_tests::wait;

use super::{client, gate};

/// What a command printed, and its exit status.
fn toolgate(gate: &Gate, words: &[&str]) -> (i32, String) {
    let output = Command::new(program("toolgate")).args(words).arg("--socket-dir").arg(gate.runtime_dir()).output();
    let output = output.expect("toolgate");
    let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
    (output.status.code().expect("no signal"), text)
}

/// The samples of a series that there are.
async fn samples(gate: &Gate, series: &str) -> Vec<f64> {
    let (status, answer) = gate.control("GET", &format!("/v1/history?series={series}")).await;
    assert_eq!(status, 200, "{answer}");
    let points = answer["series"][0]["points"].as_array().cloned().unwrap_or_default();
    points.iter().filter_map(Value::as_f64).collect()
}

#[tokio::test]
async fn what_was_is_still_there_after_a_clean_end_and_after_a_crash() {
    let server = Http::start(Speaks::Both).await;
    let mut gate = gate(&server).await;
    let mut modern = client(&gate, Era::Modern).await;
    for _ in 0..25 {
        modern.call("echo", json!({})).await.expect("an answer");
    }
    let called = async |gate: &Gate| {
        wait::until("a sample with calls", async || {
            samples(gate, "calls:fake").await.into_iter().reduce(f64::max).filter(|most| *most > 0.0)
        })
        .await
    };
    let most = called(&gate).await;
    for signal in [Signal::TERM, Signal::KILL] {
        gate.restart(signal).await;
        assert!((called(&gate).await - most).abs() < 1e-6, "after {signal:?}");
    }
    assert!(samples(&gate, "memory").await.iter().all(|bytes| *bytes > 1e6));
    let (code, said) = toolgate(&gate, &["rewind", "--at", "1s", "--span", "10m"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.lines().any(|line| line.starts_with("calls:fake ") && line.contains("/s")), "{said}");
    let (code, said) = toolgate(&gate, &["rewind", "--at", "1s", "--json"]);
    assert_eq!(code, 0, "{said}");
    let history: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(history["series"][0]["name"], "calls");
    let (code, said) = toolgate(&gate, &["rewind", "--at", "2020-01-01T00:00"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("the oldest sample is of"), "{said}");
}

#[tokio::test]
async fn what_was_recorded_is_shown_again_and_is_not_written_over() {
    let server = Http::start(Speaks::Both).await;
    let gate = gate(&server).await;
    let file = gate.folder().join("tape.jsonl");
    let name = file.to_str().expect("a name");
    let client = Caller::modern(&gate, "/mcp/fake");
    let calls = async {
        loop {
            client.call("1", "echo", json!({"text": "x"})).await.answer().await;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let mut recording = tokio::process::Command::new(program("toolgate"));
    recording.arg("--socket-dir").arg(gate.runtime_dir()).args(["record", name, "--for", "2s"]);
    let recorded = tokio::select! {
        recorded = recording.output() => recorded.expect("toolgate"),
        () = calls => unreachable!("calls go on"),
    };
    assert!(recorded.status.success(), "{recorded:?}");
    let tape = std::fs::read_to_string(&file).expect("a recording");
    let lines: Vec<Value> = tape.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines[0]["type"], "hello");
    for topic in
        ["overview", "servers", "sessions", "tools", "limits", "clients", "health", "calls", "queues", "config"]
    {
        assert!(lines.iter().any(|line| line["topic"] == topic), "{topic} is missing");
    }
    let call = lines.iter().find(|line| line["type"] == "request").expect("a call that ended");
    assert_eq!((&call["name"], &call["server"]), (&json!("echo"), &json!("fake")), "{call}");
    let (code, said) = toolgate(&gate, &["replay", name, "--json"]);
    assert_eq!(code, 0, "{said}");
    let shown: Value = serde_json::from_str(&said).expect("JSON");
    assert!(shown.to_string().contains("\"fake\""), "the servers are in it: {shown}");
    let (code, said) = toolgate(&gate, &["record", name, "--for", "1s"]);
    assert_eq!(code, 1, "a recording is not written over: {said}");
    std::fs::write(&file, "not a line\n").expect("writes");
    let (code, said) = toolgate(&gate, &["replay", name]);
    assert!(code == 1 && said.contains("is no recording"), "{said}");
}
