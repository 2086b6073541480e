//! A gate that is killed at random moments while it records calls and changes.
//!
//! `TOOLGATE_KILLS=1000 cargo test -p toolgate-tests --test audit killed` is the whole run; a few rounds are the usual.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::Setup;
use toolgate_tests::http::{Connection, request};
use toolgate_tests::load::Aim;
use toolgate_tests::mcp::Era;

use crate::stage::{state, verify};

/// Rounds where nobody says how many.
const ROUNDS: u64 = 8;

/// Numbers that look random and are the same each time.
fn scattered(round: u64) -> u64 {
    let mut state = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xd1b5_4a32_d192_ed03;
    state ^= state >> 29;
    state.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33
}

/// Calls until the gate is gone.
async fn calls(aim: Aim) {
    let Ok(mut client) = aim.client().await else { return };
    let raw = client.raw_call("echo", 2_000);
    while client.connection().exchange(&raw).await.is_ok() {}
}

/// Makes changes by hand until the gate is gone; the reasons of those that were answered.
async fn changes(socket: std::path::PathBuf, round: u64, over: Arc<AtomicBool>) -> Vec<String> {
    let mut answered = Vec::new();
    let Ok(mut connection) = Connection::unix(&socket).await else { return answered };
    for turn in 0_u64.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let reason = format!("round-{round}-turn-{turn}");
        let body = json!({"level": "info", "reason": reason}).to_string();
        let raw = request("PUT", "/v1/log", "localhost", &[("Content-Type", "application/json")], body.as_bytes());
        match connection.exchange(&raw).await {
            Ok((head, _)) if head.status == 200 => answered.push(reason),
            Ok((head, body)) => panic!("{} {}", head.status, String::from_utf8_lossy(&body)),
            Err(_) => break,
        }
    }
    answered
}

#[tokio::test]
async fn a_gate_that_is_killed_loses_no_change_that_was_answered_and_its_chain_goes_on() {
    let rounds = std::env::var("TOOLGATE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let web = Http::start(Speaks::Both).await;
    let table = "[audit]\nrotate_size = \"256KiB\"\nkeep = 1000\n";
    let mut gate = Setup::default().server("web", &web.endpoints()).table(table).log("access = false").start().await;
    let (mut torn, mut promised, mut seen) = (0_u64, BTreeSet::new(), 0_u64);
    for round in 0..rounds {
        let over = Arc::new(AtomicBool::new(false));
        let calls: Vec<_> = (0..4).map(|_| tokio::spawn(calls(gate.aim("/mcp/web", Era::Modern)))).collect();
        let socket = gate.runtime_dir().join("control/control.sock");
        let hand = tokio::spawn(changes(socket, round, Arc::clone(&over)));
        tokio::time::sleep(Duration::from_micros(scattered(round) % 400_000)).await;
        gate.signal(Signal::KILL);
        over.store(true, Ordering::Relaxed);
        gate.ended().await;
        promised.extend(hand.await.expect("changes"));
        for call in calls {
            call.await.expect("calls");
        }
        // What is there is whole, or is what a crash leaves.
        let (code, verdict) = verify(&state(&gate)).await;
        assert_eq!(code, 0, "round {round}: {verdict}");
        torn += u64::from(verdict["unsynced"].is_u64());
        seen = verdict["last"].as_u64().filter(|last| *last >= seen).expect("no line was taken back");
        gate.start_again().await;
    }
    gate.signal(Signal::TERM);
    gate.ended().await;
    let (code, verdict) = verify(&state(&gate)).await;
    assert!(code == 0 && verdict["unsynced"].is_null(), "{verdict}");
    let kept = reasons(&state(&gate), &verdict);
    let lost: Vec<_> = promised.difference(&kept).collect();
    assert!(lost.is_empty(), "{} changes that were answered are lost: {lost:?}", lost.len());
    eprintln!(
        "{rounds} kills: {} lines in {} files, {} changes answered and none lost, a torn line was left {torn} times",
        verdict["last"],
        verdict["files"].as_array().map_or(0, Vec::len),
        promised.len(),
    );
}

/// The reasons of all changes in the log.
fn reasons(folder: &std::path::Path, verdict: &Value) -> BTreeSet<String> {
    let files = verdict["files"].as_array().expect("files");
    let texts =
        files.iter().filter_map(Value::as_str).map(|name| std::fs::read_to_string(folder.join(name)).expect("a file"));
    let texts: Vec<String> = texts.collect();
    let lines = texts.iter().flat_map(|text| text.lines()).filter(|line| line.contains(r#""kind":"change""#));
    lines.filter_map(|line| serde_json::from_str::<Value>(line).ok()?["reason"].as_str().map(str::to_owned)).collect()
}
