//! `watchers`: what those who look cost a gate with many sessions, tools and servers: watches, one who never reads, a
//! console in a pseudo-terminal, and a scrape of `/metrics`.
//!
//! Prints one line of JSON, asserts nothing. Used by `tests/bench/watchers`.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use toolgate_tests::gate::{Gate, Setup, free_port, program};
use toolgate_tests::http::{Target, request};
use toolgate_tests::lines::Lines;
use toolgate_tests::mcp::{Client, Era};
use toolgate_tests::processes::{cpu_seconds, memory};
use toolgate_tests::standin;

/// What a console asks for that shows everything at once.
const ALL: &str = "/v1/watch?topics=overview,servers,sessions,tools,limits,clients,health,calls,queues,config";

/// What it asks for while somebody looks at the first screen.
const ONE_SCREEN: &str = "/v1/watch?topics=overview,servers";

/// Scrapes of `/metrics`.
const SCRAPES: usize = 50;

#[derive(Parser)]
struct Options {
    /// Servers behind the gate, which share sessions and tools.
    #[arg(long, default_value_t = 1)]
    servers: u32,
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
    /// Measure the console as well: from a key to its picture, processor time and memory.
    #[arg(long)]
    console: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let options = Options::parse();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/mcp", listener.local_addr().expect("an address"));
    tokio::spawn(standin::serve(listener));
    let scraped = free_port();
    let setup = Setup::default()
        .log("access = false")
        .daemon("max_sessions = 20000\nmax_sessions_per_client = 20000")
        .table(&format!("[listener.scraped]\naddress = \"127.0.0.1:{scraped}\"\nserve = [\"metrics\"]\n"));
    let servers = (0..options.servers).map(name);
    let gate =
        servers.fold(setup, |setup, name| setup.server(&name, &format!("endpoints = [{url:?}]\n"))).start().await;
    fill(&gate, &options).await;
    let metrics = scrapes(scraped).await;
    let span = Duration::from_secs(options.seconds);
    let alone = busy(&gate, span).await;
    let mut measured = serde_json::Map::new();
    for (name, question) in [("one_screen", ONE_SCREEN), ("everything", ALL)] {
        let reader = watch(&gate, question).await;
        sleep(Duration::from_secs(3)).await;
        measured.insert(name.to_owned(), json!(busy(&gate, span).await - alone));
        reader.abort();
    }
    let console = if options.console { console(&gate, options.seconds).await } else { Value::Null };
    let mut readers = Vec::new();
    for _ in 0..options.watchers {
        readers.push(watch(&gate, ALL).await);
    }
    // It is kept, and not looked at.
    let _unread = Lines::follow(&gate.runtime_dir(), ALL).await;
    sleep(Duration::from_secs(3)).await;
    let before = memory(gate.pid()).0;
    let all = busy(&gate, span).await - alone;
    let after = memory(gate.pid()).0;
    let mut watching = 0;
    for reader in readers {
        reader.abort();
        watching += usize::from(reader.await.is_err());
    }
    println!(
        "{}",
        json!({
            "servers": options.servers, "sessions": options.sessions, "tools": options.tools,
            "percent_of_a_core": {"nobody": alone, "one_more": measured, "all": all},
            "watchers": watching, "kib_before": before, "kib_after": after,
            "metrics": metrics, "console": console,
        })
    );
}

fn name(number: u32) -> String {
    format!("s{number}")
}

/// Opens the sessions and calls the tools, as many with each server.
async fn fill(gate: &Gate, options: &Options) {
    for number in 0..options.servers {
        let share = |all: u32| all / options.servers + u32::from(number < all % options.servers);
        let path = format!("/mcp/{}", name(number));
        let client = async |era| Client::connect(gate.target(), &path, Some(&gate.key()), era).await.expect("a client");
        let mut legacy = client(Era::Legacy).await;
        for _ in 1..share(options.sessions) {
            legacy.open_session().await.expect("a session");
        }
        let mut modern = client(Era::Modern).await;
        for tool in 0..share(options.tools) {
            modern.call(&format!("tool_{tool}"), json!({})).await.expect("an answer");
        }
    }
}

/// How long a scrape takes, in milliseconds, and how large it is.
async fn scrapes(port: u16) -> Value {
    let raw = request("GET", "/metrics", &format!("localhost:{port}"), &[], b"");
    let mut connection = Target::plain(port).connect().await.expect("a connection");
    let (mut times, mut bytes) = (Vec::new(), 0);
    for _ in 0..SCRAPES {
        let begun = Instant::now();
        let (head, body) = connection.exchange(&raw).await.expect("an answer");
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        assert_eq!(head.status, 200, "{}", String::from_utf8_lossy(&body));
        bytes = body.len();
    }
    times.sort_by(f64::total_cmp);
    json!({"milliseconds": {"median": times[SCRAPES / 2], "worst": times[SCRAPES - 1]}, "bytes": bytes})
}

/// What `console.py` measures, and what its watch costs the gate meanwhile.
async fn console(gate: &Gate, seconds: u64) -> Value {
    let script = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/bench/console.py"));
    let (begun, before) = (Instant::now(), cpu_seconds(gate.pid()));
    let run = tokio::process::Command::new(script)
        .arg("--toolgate")
        .arg(program("toolgate"))
        .arg("--socket-dir")
        .arg(gate.runtime_dir())
        .args(["--seconds", &seconds.to_string()])
        .stderr(Stdio::inherit())
        .output();
    let said = run.await.expect("python3");
    assert!(said.status.success(), "console.py: {}", said.status);
    let used = (cpu_seconds(gate.pid()) - before) / begun.elapsed().as_secs_f64() * 100.0;
    let mut measured: Value = serde_json::from_slice(&said.stdout).expect("a line of JSON");
    measured["gate_percent_of_a_core"] = json!(used);
    measured
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
