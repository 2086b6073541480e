//! `asks`: how soon the admin sockets answer a gate's operator, idle, saturated, and with a full queue.
//!
//! Prints one line of JSON with the worst, the 95th of 100 and the median of each, in milliseconds. Asserts nothing. Used by
//! `tests/bench/admin`.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::mcp::{Client, Era};
use toolgate_tests::standin;

/// What an operator's programs ask for on the view socket.
const PATHS: [&str; 4] = ["/v1/status", "/v1/servers", "/v1/queues", "/v1/calls"];

/// A change that is made and recorded, and changes nothing that is measured.
const CHANGE: &str = "/v1/servers/standin/resume";

/// What a console begins with, which has no end.
const WATCH: &str = "/v1/watch?topics=overview,servers";

#[derive(Parser)]
struct Options {
    /// Asks of each state of the gate.
    #[arg(long, default_value_t = 200)]
    asks: u32,
    /// Clients that call as fast as they are answered.
    #[arg(long, default_value_t = 64)]
    clients: u32,
    /// Calls that wait in the queue.
    #[arg(long, default_value_t = 1_000)]
    queued: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("{}", run(&Options::parse()).await);
}

async fn run(options: &Options) -> Value {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/mcp", listener.local_addr().expect("an address"));
    tokio::spawn(standin::serve(listener));
    let queue = format!("max_calls = 1\nqueue = {{ max_size = {}, timeout = \"10m\" }}", options.queued);
    let gate = Setup::default()
        .server("standin", &format!("endpoints = [{url:?}]\n"))
        .server("full", &format!("endpoints = [{url:?}]\n{queue}\n"))
        .log("access = false")
        .start()
        .await;
    let idle = asked(&gate, options.asks).await;
    let mut load = JoinSet::new();
    for _ in 0..options.clients {
        let client = Client::connect(gate.target(), "/mcp/standin", Some(&gate.key()), Era::Modern).await;
        load.spawn(calls(client.expect("a connection"), "echo"));
    }
    let saturated = asked(&gate, options.asks).await;
    load.shutdown().await;
    let mut waiting = JoinSet::new();
    // One is answered after a while, the queue is full behind it, and whoever comes then is refused.
    for _ in 0..=options.queued {
        let client = Client::connect(gate.target(), "/mcp/full", Some(&gate.key()), Era::Modern).await;
        waiting.spawn(calls(client.expect("a connection"), "wait-60000"));
    }
    toolgate_tests::wait::until("a full queue", async || {
        let (_, queues) = gate.control("GET", "/v1/queues").await;
        let waiting =
            queues["servers"].as_array()?.iter().find(|queue| queue["server"] == "full")?["waiting"].as_u64()?;
        (waiting >= options.queued as u64).then_some(())
    })
    .await;
    let full = asked(&gate, options.asks).await;
    json!({"asks": options.asks, "milliseconds": {"idle": idle, "saturated": saturated, "full_queue": full}})
}

/// Calls without an end.
async fn calls(mut client: Client, tool: &'static str) {
    let raw = client.raw_call(tool, 16);
    while client.connection().exchange(&raw).await.is_ok() {}
}

/// The worst of so many asks, the 95th of 100 and the median, in milliseconds: of reads, of changes, which are on the disk
/// when they are answered, and of watches until their first topic.
async fn asked(gate: &Gate, asks: u32) -> Value {
    let folder = gate.runtime_dir();
    // On a thread of its own: what is measured is not how late this one looks while it makes the load.
    let asked = tokio::task::spawn_blocking(move || {
        let (view, control) = (folder.join("view/view.sock"), folder.join("control/control.sock"));
        let mut reads = PATHS.iter().cycle();
        json!({
            "reads": times(asks, || ask(&view, "GET", reads.next().expect("a path"), b"}")),
            "changes": times(asks, || ask(&control, "POST", CHANGE, b"}")),
            "watches": times(asks, || ask(&view, "GET", WATCH, b"\"type\":\"topic\"")),
        })
    });
    asked.await.expect("answers")
}

fn times(asks: u32, mut ask: impl FnMut() -> Duration) -> Value {
    let mut times: Vec<_> = (0..asks).map(|_| ask()).collect();
    times.sort_unstable();
    let millis = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1e3);
    let at = |share: usize| millis(times.get(times.len() * share / 100));
    json!({"worst": millis(times.last()), "p95": at(95), "median": at(50)})
}

/// One ask on a connection of its own, as `toolgate` makes them, until what is awaited has come or all has; and a pause.
fn ask(socket: &Path, method: &str, path: &str, awaited: &[u8]) -> Duration {
    let begun = Instant::now();
    let mut connection = UnixStream::connect(socket).expect("the socket");
    let ask = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    connection.write_all(ask.as_bytes()).expect("asks");
    let (mut answer, mut piece) = (Vec::new(), [0; 16 * 1024]);
    let has_come = |answer: &[u8]| answer.windows(awaited.len()).any(|part| part == awaited);
    loop {
        let read = connection.read(&mut piece).expect("an answer");
        answer.extend_from_slice(&piece[..read]);
        if read == 0 || path == WATCH && has_come(&answer) {
            break;
        }
    }
    let took = begun.elapsed();
    assert!(answer.starts_with(b"HTTP/1.1 200") && has_come(&answer), "{path}: {}", String::from_utf8_lossy(&answer));
    std::thread::sleep(Duration::from_millis(10));
    took
}
