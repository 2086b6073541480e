//! `streams`: how long an event takes from a server through the gate to its client, with many streams open.
//!
//! Starts a gate before two HTTP servers of this process, opens the streams as calls of a few sessions, has each
//! server say an event per stream and second, and prints what the clients saw as one line of JSON. Prints, asserts
//! nothing. Used by `tests/bench/streams`.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use toolgate_tests::caller::{Caller, Reply};
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::{Gate, Setup};

#[derive(Parser)]
struct Options {
    /// Streams that are open at once.
    #[arg(long, default_value_t = 1000)]
    streams: usize,
    /// Events of each.
    #[arg(long, default_value_t = 10)]
    events: u64,
    /// Between two events of a stream, in milliseconds.
    #[arg(long, default_value_t = 1000)]
    every: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let options = Options::parse();
    let (web, other) = (Http::start(Speaks::Legacy).await, Http::start(Speaks::Legacy).await);
    let gate = Setup::default()
        .server("web", &format!("{}max_calls = 100000\nmax_streams = 100000\nmax_streams_per_client = 100000\npool = {{ max_connections = 100000 }}\n", web.endpoints()))
        .server("other", &other.endpoints())
        .daemon("max_server_connections = 100000")
        .start()
        .await;
    let clients = opened(&gate).await;
    let (seen, mut delays) = mpsc::unbounded_channel();
    let before = memory(gate.pid());
    for number in 0..options.streams {
        let client = clients[number % clients.len()].clone();
        // Spread over a period, as streams of different clients are.
        let after = options.every * number as u64 / options.streams as u64;
        let arguments = json!({"count": options.events, "every": options.every, "after": after});
        let seen = seen.clone();
        // A stream's head comes with its first event, or after a while.
        tokio::spawn(async move {
            let reply = client.call_with_progress(&number.to_string(), "1", "web__ticks", arguments).await;
            follow(reply, seen).await;
        });
    }
    drop(seen);
    let (mut micros, mut most) = (Vec::new(), before);
    while let Some(delay) = delays.recv().await {
        micros.push(delay);
        if micros.len() % options.streams == 0 {
            most = most.max(memory(gate.pid()));
        }
    }
    let taken = most - before;
    micros.sort_unstable();
    let at = |share: usize| micros.get((micros.len() * share / 1000).min(micros.len().saturating_sub(1))).copied();
    let answer = json!({"streams": options.streams, "events": micros.len(), "kb_per_stream": taken / options.streams as u64,
        "p50_us": at(500), "p99_us": at(990), "p999_us": at(999), "max_us": micros.last()});
    println!("{answer}");
}

/// Sessions of one client.
async fn opened(gate: &Gate) -> Vec<Caller> {
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(Caller::legacy(gate, "/mcp").await);
    }
    clients
}

/// Tells how many microseconds each event took.
async fn follow(mut reply: Reply, seen: mpsc::UnboundedSender<u64>) {
    while let Some(text) = reply.next().await {
        let message: Value = serde_json::from_str(&text).unwrap_or_default();
        let said = message["params"]["message"].as_str().and_then(|text| text.parse::<u64>().ok());
        if let Some(said) = said {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
            let now = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
            seen.send(now.saturating_sub(said)).ok();
        }
    }
}

/// Kilobytes of resident memory.
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}
