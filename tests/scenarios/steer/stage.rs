//! What the scenarios of steering share: a gate before three servers, clients in every way, and the record of changes.

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::three::Three;
use toolgate_tests::gate::{Gate, program};
use toolgate_tests::wait;

/// Paths whose sessions the gate keeps in different ways: mirrored, at a command, merged.
pub(crate) const PATHS: [&str; 3] = ["/mcp/web", "/mcp/old", "/mcp/pair"];

/// A gate that keeps its state, before `web`, `old` and `new`, with a second client `other`.
pub(crate) async fn start() -> (Three, Gate) {
    let (three, setup) = Three::start("").await;
    (three, setup.start().await)
}

/// The name of a tool in a view.
pub(crate) fn tool(path: &str, own: &str) -> String {
    if path == "/mcp/pair" { format!("old__{own}") } else { own.to_owned() }
}

/// A client of this key.
pub(crate) fn of_key(gate: &Gate, client: Caller, key: &str) -> Caller {
    client.with("Authorization", &format!("Bearer {}", gate.key_of(key)))
}

/// A call that its server holds until it is given up.
pub(crate) fn held(client: &Caller, path: &str) -> JoinHandle<Value> {
    let (client, name) = (client.clone(), tool(path, "hold"));
    tokio::spawn(async move {
        let never = json!({"until": "/nonexistent/never"});
        client.call("7", &name, never).await.answer().await
    })
}

/// A change that must succeed.
pub(crate) async fn change(gate: &Gate, method: &str, path: &str, body: Value) -> Value {
    let (status, outcome) = gate.control_with(method, path, &body).await;
    assert_eq!(status, 200, "{method} {path} {body}: {outcome}\n{}", gate.log());
    outcome
}

/// The newest record of changes.
pub(crate) async fn newest(gate: &Gate) -> Value {
    // After a start those of earlier processes are read by and by.
    let record = wait::until("a record", || async {
        let (status, audit) = gate.control("GET", "/v1/audit?limit=1").await;
        assert_eq!(status, 200, "{audit}");
        audit["records"].get(0).cloned()
    })
    .await;
    let file = std::fs::read_to_string(gate.folder().join("state/audit.jsonl")).expect("the file of the record");
    let last = file.lines().rev().find(|line| line.contains(r#""kind":"change""#)).expect("a line");
    let mut last: Value = serde_json::from_str(last).expect("JSON");
    for member in ["kind", "prev"] {
        last.as_object_mut().expect("an object").remove(member);
    }
    assert_eq!(last, record, "the file says what the socket says");
    record
}

/// Waits until so many calls run.
pub(crate) async fn until_running(gate: &Gate, number: u64) {
    wait::until(&format!("{number} calls to run"), || async {
        let (_, status) = gate.control("GET", "/v1/status").await;
        (status["calls_in_flight"] == number).then_some(())
    })
    .await;
}

/// `toolgate` at a prompt: its exit status and what it said.
pub(crate) async fn toolgate(gate: &Gate, words: &[&str]) -> (i32, String) {
    let mut command = std::process::Command::new(program("toolgate"));
    command.arg("--socket-dir").arg(gate.runtime_dir()).args(words);
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("a thread").expect("toolgate");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("no signal"), text(&output.stdout) + &text(&output.stderr))
}
