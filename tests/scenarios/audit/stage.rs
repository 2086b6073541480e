//! What the scenarios of the audit log share.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use toolgate_tests::gate::{Gate, program};
use toolgate_tests::wait;

/// Lines of the log that fit, as the control socket tells them.
pub(crate) async fn search(gate: &Gate, query: &str) -> Vec<Value> {
    let (status, found) = gate.control("GET", &format!("/v1/audit/search?{query}")).await;
    assert_eq!(status, 200, "{found}");
    found["lines"].as_array().cloned().unwrap_or_default()
}

/// Waits until so many lines fit.
pub(crate) async fn until(gate: &Gate, query: &str, count: usize) -> Vec<Value> {
    wait::until(&format!("{count} lines of {query}"), async || {
        let found = search(gate, query).await;
        (found.len() >= count).then_some(found)
    })
    .await
}

/// `toolgate` at a prompt: its exit status and what it said.
pub(crate) async fn toolgate(gate: &Gate, words: &[&str]) -> (i32, String) {
    let mut command = Command::new(program("toolgate"));
    command.arg("--socket-dir").arg(gate.runtime_dir()).args(words);
    said(command).await
}

/// `toolgate audit verify` on a folder, without a daemon.
pub(crate) async fn verify(folder: &Path) -> (i32, Value) {
    let mut command = Command::new(program("toolgate"));
    command.args(["--json", "audit", "verify"]).arg(folder);
    let (code, said) = said(command).await;
    (code, serde_json::from_str(&said).unwrap_or_else(|_| panic!("{code} {said}")))
}

async fn said(mut command: Command) -> (i32, String) {
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("a thread").expect("toolgate");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("no signal"), text(&output.stdout) + &text(&output.stderr))
}

pub(crate) fn state(gate: &Gate) -> PathBuf {
    gate.folder().join("state")
}
