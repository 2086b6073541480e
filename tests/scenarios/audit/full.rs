//! A disk that is full: calls go on and are counted, or are refused, as the operator wants it. Needs root.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::mcp::Era;
use toolgate_tests::wait;

use crate::stage::{state, toolgate, until, verify};

/// A small file system over a folder, until it is dropped.
struct Small(PathBuf);

impl Small {
    fn over(folder: &Path) -> Self {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(folder).status();
        assert!(mounted.expect("mount").success(), "a file system cannot be mounted here");
        Self(folder.to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// A gate whose state lies on such a file system.
async fn start(table: &str) -> (Http, Gate, Small) {
    let web = Http::start(Speaks::Both).await;
    let table = format!("[audit]\nmin_free = 0\n{table}\n");
    let mut gate = Setup::default().server("web", &web.endpoints()).table(&table).start().await;
    gate.signal(rustix::process::Signal::TERM);
    gate.ended().await;
    let small = Small::over(&state(&gate));
    gate.start_again().await;
    (web, gate, small)
}

fn fill(gate: &Gate) -> PathBuf {
    let path = state(gate).join("filling");
    // As much as there is room for.
    let _ = std::fs::write(&path, vec![0; 4 << 20]);
    path
}

/// Waits until the status tells of the log, or of nothing.
async fn until_told(gate: &Gate, wanted: Option<&str>) {
    wait::until(&format!("{wanted:?} in the status"), async || {
        let (_, status) = gate.control("GET", "/v1/status").await;
        let warnings = status["warnings"].to_string();
        let told = warnings.contains("the audit log");
        wanted.map_or(!told, |text| told && warnings.contains(text)).then_some(())
    })
    .await;
}

async fn call(client: &Caller, id: u32) -> (u16, Value) {
    let reply = client.call(&id.to_string(), "echo", json!({"text": "x".repeat(500)})).await;
    (reply.head.status, reply.answer().await)
}

/// Calls until the disk is known to take no more.
async fn call_until_full(gate: &Gate, client: &Caller) {
    wait::until("the disk to be full", async || {
        call(client, 1).await;
        let (_, status) = gate.control("GET", "/v1/status").await;
        status["warnings"].to_string().contains("the audit log is not written").then_some(())
    })
    .await;
}

#[tokio::test]
async fn calls_go_on_and_what_is_lost_is_counted() {
    let (_web, gate, _small) = start("").await;
    let client = Caller::modern(&gate, "/mcp/web");
    call(&client, 1).await;
    until(&gate, "kind=call", 1).await;
    let filling = fill(&gate);
    call_until_full(&gate, &client).await;
    for id in 2..20 {
        assert_eq!(call(&client, id).await.0, 200, "nobody is refused");
    }
    until_told(&gate, Some("lines of calls are lost")).await;
    let (code, said) = toolgate(&gate, &["log", "set", "info", "--reason", "while it is full"]).await;
    assert_eq!(code, 0, "a change is not held up: {said}");
    wait::until("an alert", async || {
        let (_, health) = gate.control("GET", "/v1/health").await;
        health.to_string().contains("audit_log").then_some(())
    })
    .await;
    std::fs::remove_file(filling).expect("removed");
    until_told(&gate, None).await;
    let lost = until(&gate, "kind=lost", 1).await;
    assert!(lost.iter().filter_map(|line| line["count"].as_u64()).sum::<u64>() >= 18, "{lost:?}");
    let changes = until(&gate, "kind=change", 1).await;
    assert_eq!(changes[0]["reason"], "while it is full", "it is written once there is room");
    call(&client, 99).await;
    let (code, verdict) = verify(&state(&gate)).await;
    assert_eq!(code, 0, "{verdict}");
}

#[tokio::test]
async fn calls_are_refused_until_there_is_room() {
    let (_web, gate, _small) = start("on_full = \"deny\"").await;
    let client = Caller::modern(&gate, "/mcp/web");
    call(&client, 1).await;
    let filling = fill(&gate);
    call_until_full(&gate, &client).await;
    until_told(&gate, Some("new calls are refused")).await;
    let (status, answer) = call(&client, 2).await;
    assert_eq!(status, 503, "{answer}");
    let message = answer["error"]["message"].as_str().expect("words");
    assert!(message.contains("cannot record") && answer["error"]["data"]["reason"] == "audit-full", "{answer}");
    let legacy = Caller::new(&gate, "/mcp/web", Era::Legacy);
    assert_eq!(legacy.initialize().await.head.status, 200, "its era has the words in the answer");
    std::fs::remove_file(filling).expect("removed");
    until_told(&gate, None).await;
    assert_eq!(call(&client, 3).await.0, 200);
    until(&gate, "kind=refused", 1).await;
    let (code, verdict) = verify(&state(&gate)).await;
    assert_eq!(code, 0, "{verdict}");
}
