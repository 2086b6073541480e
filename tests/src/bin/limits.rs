//! `limits`: whether limits admit what they say, on a gate under load, and what a million keys weigh in it.
//!
//! Starts a gate before the stand-in, has 64 clients call it as fast as they are answered, and prints how many calls
//! each kind of limit admitted against what it says, alone and below others that the same calls meet, as one line of JSON. Prints, asserts nothing. Used by
//! `tests/bench/limits`.

use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::{Value, json};
use tokio::task::LocalSet;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::http::{Connection, request};
use toolgate_tests::mcp::{Client, Era};
use toolgate_tests::processes::memory;
use toolgate_tests::standin::{self, SLOW};

/// Calls that a limit of calls in flight lets in at once.
const AT_ONCE: u32 = 8;

#[derive(Parser)]
struct Options {
    /// How long each limit is tried.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Clients that call at the same time.
    #[arg(long, default_value_t = 64)]
    clients: u32,
    /// Addresses that call once each, for memory; 0: none.
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let options = Options::parse();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/mcp", listener.local_addr().expect("an address"));
    tokio::spawn(standin::serve(listener));
    LocalSet::new()
        .run_until(async {
            let mut kinds = Vec::new();
            for kind in kinds_of_limits(options.seconds) {
                kinds.push(measured(&options, &url, kind).await);
            }
            let keys = if options.keys > 0 { weighed(&options, &url).await } else { Value::Null };
            println!(
                "{}",
                json!({"clients": options.clients, "seconds": options.seconds, "limits": kinds, "keys": keys})
            );
        })
        .await;
}

/// What calls meet.
struct Kind {
    name: &'static str,
    /// Limits, the strictest last, as tables.
    limits: Vec<String>,
    tool: &'static str,
    /// How many calls are admitted in that time.
    exact: f64,
}

fn kinds_of_limits(seconds: u32) -> [Kind; 5] {
    let time = f64::from(seconds);
    let bucket = "{ per = \"client\", rate = \"100/s\", burst = 20 }";
    let window = "{ per = \"client\", rate = \"100/s\", algorithm = \"sliding-window\" }";
    let at_once = format!("{{ per = \"client\", concurrent = {AT_ONCE} }}");
    // What refused calls take from these, and give back, must not keep out those that are to be admitted.
    let wide = [
        "{ per = \"global\", rate = \"150/s\", algorithm = \"sliding-window\" }",
        "{ per = \"address\", rate = \"1000/s\", burst = 1000 }",
        "{ per = \"tool\", rate = \"9000/min\", algorithm = \"sliding-window\" }",
        "{ per = \"server\", quota = \"1000000000/day\" }",
        "{ per = \"tier\", concurrent = 1000 }",
    ];
    let below_others = |limit: &str| wide.iter().copied().chain([limit]).map(ToOwned::to_owned).collect();
    let kind = |name, limits, tool, exact| Kind { name, limits, tool, exact };
    [
        kind("token-bucket", vec![bucket.to_owned()], "echo", time * 100.0 + 20.0),
        kind("sliding-window", vec![window.to_owned()], "echo", time * 100.0),
        kind("concurrent", vec![at_once], "slow", time / SLOW.as_secs_f64() * f64::from(AT_ONCE)),
        kind("token-bucket below five others", below_others(bucket), "echo", time * 100.0 + 20.0),
        kind("sliding-window below five others", below_others(window), "echo", time * 100.0),
    ]
}

async fn measured(options: &Options, url: &str, kind: Kind) -> Value {
    let Kind { name, limits, tool, exact } = kind;
    let gate = gate(url, &limits).start().await;
    let mut clients = Vec::new();
    for _ in 0..options.clients {
        let client = Client::connect(gate.target(), "/mcp/standin", Some(&gate.key()), Era::Modern).await;
        clients.push(client.expect("a connection"));
    }
    let begun = Instant::now();
    let end = begun + Duration::from_secs(options.seconds.into());
    let tasks: Vec<_> = clients.into_iter().map(|client| tokio::task::spawn_local(calls(client, tool, end))).collect();
    let mut seen = Seen::default();
    for task in tasks {
        seen.add(&task.await.expect("a client's task"));
    }
    let admitted = u32::try_from(seen.admitted).map_or(f64::MAX, f64::from);
    json!({"limit": name, "admitted": seen.admitted, "exact": exact, "difference_percent": (admitted / exact - 1.0) * 100.0,
        "refused": seen.refused, "other": seen.other})
}

fn gate(url: &str, limits: &[String]) -> Setup {
    let setup = Setup::default().server("standin", &format!("endpoints = [{url:?}]\n")).log("access = false");
    limits.iter().fold(setup, |setup, limit| setup.limit(limit))
}

/// What clients saw.
#[derive(Default)]
struct Seen {
    admitted: u64,
    refused: u64,
    /// What is neither.
    other: u64,
}

impl Seen {
    fn add(&mut self, other: &Self) {
        self.admitted += other.admitted;
        self.refused += other.refused;
        self.other += other.other;
    }
}

/// Calls until `end`; a call counts when it began before.
async fn calls(mut client: Client, tool: &str, end: Instant) -> Seen {
    let raw = client.raw_call(tool, 16);
    let mut seen = Seen::default();
    while Instant::now() < end {
        match client.connection().exchange(&raw).await {
            Ok((head, _)) if head.status == 200 => seen.admitted += 1,
            Ok((head, _)) if head.status == 503 && head.header("retry-after").is_some() => seen.refused += 1,
            Ok(_) | Err(_) => seen.other += 1,
        }
    }
    seen
}

/// Memory of a gate that was called from many addresses, and how soon it forgets those that do not count any more.
async fn weighed(options: &Options, url: &str) -> Value {
    let limits = [
        "[[limit]]\nname = \"long\"\nper = \"address\"\nrate = \"1/h\"\n",
        "[[limit]]\nname = \"brief\"\nper = \"address\"\nrate = \"1/5s\"\n",
    ];
    let gate =
        Rc::new(gate(url, &[]).listener("trusted_proxies = [\"127.0.0.1\"]").table(&limits.concat()).start().await);
    let before = memory(gate.pid()).0;
    let next = Rc::new(std::cell::Cell::new(0));
    let tasks: Vec<_> = (0..options.clients)
        .map(|_| tokio::task::spawn_local(from_addresses(Rc::clone(&gate), Rc::clone(&next), options.keys)))
        .collect();
    for task in tasks {
        task.await.expect("a client's task");
    }
    let (grown, at_once) = (memory(gate.pid()).0.saturating_sub(before), remembered(&gate).await);
    // Idle for five seconds, and the sweep comes every five.
    tokio::time::sleep(Duration::from_secs(11)).await;
    json!({"addresses": options.keys, "grown_mb": grown / 1024, "remembered": at_once, "after_11_s": remembered(&gate).await})
}

/// One connection that speaks for the next address until all have called.
async fn from_addresses(gate: Rc<Gate>, next: Rc<std::cell::Cell<u64>>, keys: u64) {
    let client = Client::connect(gate.target(), "/mcp/standin", Some(&gate.key()), Era::Modern).await;
    let mut client = client.expect("a connection");
    let raw = String::from_utf8(client.raw_call("echo", 16)).expect("text");
    let (line, rest) = raw.split_once("\r\n").expect("a head");
    while next.get() < keys {
        let number = next.replace(next.get() + 1);
        let [_, _, _, _, a, b, c, d] = number.to_be_bytes();
        let call = format!("{line}\r\nX-Forwarded-For: {}.{b}.{c}.{d}\r\n{rest}", 11 + a);
        let (head, _) = client.connection().exchange(call.as_bytes()).await.expect("an answer");
        assert_eq!(head.status, 200, "an address that called before");
    }
}

/// Keys that each limit remembers.
async fn remembered(gate: &Gate) -> Value {
    let socket = gate.folder().join("run/view/view.sock");
    let mut connection = Connection::unix(&socket).await.expect("the view socket");
    let raw = request("GET", "/v1/limits", "localhost", &[], b"");
    let (_, body) = connection.exchange(&raw).await.expect("limits");
    let view: Value = serde_json::from_slice(&body).expect("JSON");
    let limits = view["limits"].as_array().into_iter().flatten();
    limits
        .map(|limit| (limit["name"].as_str().unwrap_or_default().to_owned(), limit["keys"].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
