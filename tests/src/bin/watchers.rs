//! `watchers`: what those who watch cost a gate with many sessions and tools, and what one who never reads does to it.
//!
//! Prints one line of JSON, asserts nothing. Used by `tests/bench/watchers`.

use std::time::Duration;

use clap::Parser;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::lines::Lines;
use toolgate_tests::mcp::{Client, Era};
use toolgate_tests::processes::{cpu_seconds, memory};
use toolgate_tests::standin;

/// What a console asks for that shows everything at once.
const ALL: &str = "/v1/watch?topics=overview,servers,sessions,tools,limits,clients,health,calls,queues,config";

/// What it asks for while somebody looks at the first screen.
const ONE_SCREEN: &str = "/v1/watch?topics=overview,servers";

#[derive(Parser)]
struct Options {
    /// Sessions that are open.
    #[arg(long, default_value_t = 10_000)]
    sessions: u32,
    /// Tools that were called.
    #[arg(long, default_value_t = 1_000)]
    tools: u32,
    /// Readers at the end.
    #[arg(long, default_value_t = 50)]
    watchers: usize,
    /// How long each is measured.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let options = Options::parse();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/mcp", listener.local_addr().expect("an address"));
    tokio::spawn(standin::serve(listener));
    let gate = Setup::default()
        .server("standin", &format!("endpoints = [{url:?}]\n"))
        .log("access = false")
        .daemon("max_sessions = 20000\nmax_sessions_per_client = 20000")
        .start()
        .await;
    fill(&gate, &options).await;
    let span = Duration::from_secs(options.seconds);
    let alone = busy(&gate, span).await;
    let mut readers = Vec::new();
    let mut measured = serde_json::Map::new();
    for (name, question) in [("one_screen", ONE_SCREEN), ("everything", ALL)] {
        let reader = watch(&gate, question).await;
        sleep(Duration::from_secs(3)).await;
        measured.insert(name.to_owned(), json!(busy(&gate, span).await - alone));
        reader.abort();
    }
    for _ in 0..options.watchers {
        readers.push(watch(&gate, ALL).await);
    }
    // It is kept, and not looked at.
    let _unread = Lines::follow(&gate.runtime_dir(), ALL).await;
    sleep(Duration::from_secs(3)).await;
    let before = memory(gate.pid()).0;
    let all = busy(&gate, span).await - alone;
    let after = memory(gate.pid()).0;
    let lines: usize = {
        let mut sum = 0;
        for reader in readers {
            reader.abort();
            sum += usize::from(reader.await.is_err());
        }
        sum
    };
    println!(
        "{}",
        json!({
            "sessions": options.sessions, "tools": options.tools,
            "percent_of_a_core": {"nobody": alone, "one_more": measured, "all": all},
            "watchers": lines, "kib_before": before, "kib_after": after,
        })
    );
}

/// Opens the sessions and calls the tools.
async fn fill(gate: &Gate, options: &Options) {
    let mut legacy =
        Client::connect(gate.target(), "/mcp/standin", Some(&gate.key()), Era::Legacy).await.expect("a client");
    for _ in 1..options.sessions {
        legacy.open_session().await.expect("a session");
    }
    let mut modern =
        Client::connect(gate.target(), "/mcp/standin", Some(&gate.key()), Era::Modern).await.expect("a client");
    for number in 0..options.tools {
        modern.call(&format!("tool_{number}"), json!({})).await.expect("an answer");
    }
}

/// A reader that takes every line as it comes.
async fn watch(gate: &Gate, question: &str) -> JoinHandle<()> {
    let mut lines = Lines::follow(&gate.runtime_dir(), question).await;
    tokio::spawn(async move { while lines.raw().await.is_ok() {} })
}

/// The daemon's processor time over a span, in hundredths of a core.
async fn busy(gate: &Gate, span: Duration) -> f64 {
    let (begun, before) = (Instant::now(), cpu_seconds(gate.pid()));
    sleep(span).await;
    (cpu_seconds(gate.pid()) - before) / begun.elapsed().as_secs_f64() * 100.0
}
