//! `sizes`: the four sizes of machine that the field's scaling guides plan, against one gate with everything on.
//!
//! Starts a gate of its own; `tests/bench/sizes` builds and runs it. Prints errors, p50, p99, CPU and memory of each,
//! and exits with 1 where a call failed. Each size has sessions beside its connections that only listen. Answers are kept
//! of another tool and of lists: else hardly a call would reach the server.

#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::load::{Calls, Clients, Pace, Until};
use toolgate_tests::mcp::{Client, Era};
use toolgate_tests::processes::{cpu_seconds, memory, raise_descriptors};
use toolgate_tests::slow;

/// Connections, and calls per second of all together.
const SIZES: [(u32, u32); 4] = [(500, 100), (2000, 400), (4000, 2000), (9000, 5000)];

#[derive(Parser)]
struct Options {
    /// Seconds of each size.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Sessions that listen meanwhile, each on a stream of the server's.
    #[arg(long, default_value_t = 500)]
    listening: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    raise_descriptors();
    let options = Options::parse();
    let gate = gate().await;
    let listening = listen(&gate, options.listening).await;
    println!("{} sessions listen", listening.len());
    println!("connections  calls/s  errors  p50 us  p99 us  CPU of the gate  us per call  memory kB");
    let mut failed = 0;
    for (connections, rate) in SIZES {
        let calls = Calls { aim: gate.aim("/mcp/standin", Era::Legacy), tool: "echo".to_owned(), padding: 120 };
        let clients = Clients::connect(calls, connections, Pace::PerSecond(rate)).await;
        let (begun, before) = (Instant::now(), cpu_seconds(gate.pid()));
        let seen = clients.call(Until::Elapsed(Duration::from_secs(options.seconds))).await;
        let used = cpu_seconds(gate.pid()) - before;
        println!(
            "{connections:>11}  {:>7.0}  {:>6}  {:>6}  {:>6}  {:>13.1} %  {:>11.1}  {:>9}",
            seen.calls as f64 / seen.seconds,
            seen.failed,
            seen.p50_us,
            seen.p99_us,
            used / begun.elapsed().as_secs_f64() * 100.0,
            used * 1e6 / seen.calls.max(1) as f64,
            memory(gate.pid()).0,
        );
        seen.reasons.iter().for_each(|reason| println!("  {reason}"));
        failed += seen.failed;
    }
    drop(listening);
    ExitCode::from(u8::from(failed > 0))
}

/// Clients whose streams are open.
async fn listen(gate: &Gate, number: usize) -> Vec<Client> {
    let aim = gate.aim("/mcp/standin", Era::Legacy);
    let mut listening = Vec::with_capacity(number);
    for _ in 0..number {
        let mut client = aim.client().await.expect("a session");
        let head = client.open_stream().await.expect("an answer");
        assert_eq!(head.status, 200, "a stream");
        listening.push(client);
    }
    listening
}

/// Everything that a call may meet is on, with room for the largest size.
async fn gate() -> Gate {
    let url = slow::standin().await;
    let limits = ["rate = \"1000000/s\", burst = 1000000", "concurrent = 100000"];
    let mut setup = Setup::default()
        .server(
            "standin",
            &format!(
                "endpoints = [{url:?}]\nmax_calls = 100\nmax_calls_per_client = 10000\nadaptive = {{}}\n\
                 queue = {{ max_size = 10000, timeout = \"10s\" }}\npool = {{ max_connections = 100 }}\n\
                 max_streams_per_client = 1000\nguard = \"strict\"\npin = \"block\"\nmax_result = \"1MiB\"\n\
                 cache = {{ hints = true }}\ntool.slow.cache.ttl = \"1m\"\nbreaker = {{ failures = 5, failure_rate = \"50%\" }}\n\
                 health = {{ interval = \"1s\" }}\nretry = {{ attempts = 2 }}"
            ),
        )
        .daemon("max_connections = 20000\nmax_sessions = 20000\nmax_sessions_per_client = 20000")
        .log("access = false")
        .listener("bounds = { connections = 20000, connections_per_address = 20000 }")
        .table("[overload]\n[loops]\nwarn = 999998\nslow = 999999\nrefuse = 1000000\n[[limit]]\nper = \"global\"\nrate = \"1000000/s\"\nburst = 1000000");
    for limit in limits {
        setup = setup.limit(&format!("{{ per = \"client\", {limit} }}"));
    }
    setup.start().await
}
