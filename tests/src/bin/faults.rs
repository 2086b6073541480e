//! `faults`: a server that fails in eight ways, and what callers of a healthy one beside it notice.
//!
//! Starts a gate of its own; `tests/bench/faults` builds and runs it. For each fault it prints how long the breaker took
//! to open and after how many calls, how long calls took to get through again, and the healthy server's p99 alone and
//! beside the fault, in interleaved rounds. Then the same without a breaker, with more callers of a server that hangs than
//! the gate may have connections. Exits with 1 where a bar is missed.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::json;
use tokio::task::JoinSet;
use toolgate_tests::caller::Caller;
use toolgate_tests::faulty::{Fault, Faulty};
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::load::{Calls, Clients, Pace, Seen, Until};
use toolgate_tests::mcp::Era;
use toolgate_tests::slow::standin;

#[derive(Parser)]
struct Options {
    /// Interleaved rounds for each fault.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each half of a round.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Callers of the server that fails.
    #[arg(long, default_value_t = 16)]
    callers: usize,
    /// Callers of a server that hangs and has no breaker: more than connections in all.
    #[arg(long, default_value_t = 700)]
    crowd: usize,
}

/// How long the healthy server takes for each call.
const SERVICE: Duration = Duration::from_millis(50);
/// The healthy server's callers, and their calls per second.
const CLIENTS: u32 = 32;
const PER_SECOND: u32 = 200;
/// Failures in a row that open the breaker, and calls of which half are slow.
const FAILURES: usize = 5;
const MIN_CALLS: usize = 10;
/// The longest that the breaker stays open.
const MAX_OPEN: Duration = Duration::from_secs(2);
/// The healthy server's p99 beside a fault, against its own alone.
const BAR: f64 = 1.25;
/// A caller that was refused comes back after this.
const PAUSE: Duration = Duration::from_millis(200);
/// How often recovery is looked for.
const LOOK: Duration = Duration::from_millis(10);

const NAME: &str = "bad.toolgate.test";

/// The faults; one in ten of their real size where they take time. The last one needs root.
const FAULTS: [(&str, Fault); 8] = [
    ("hangs", Fault::Hangs),
    ("answers garbage", Fault::Babbles),
    ("resets", Fault::Resets),
    ("answers with 500", Fault::Fails),
    ("opens a stream, is mute", Fault::Opens),
    ("takes 1 s (of 10)", Fault::Slow(Duration::from_secs(1))),
    ("accepts, never answers", Fault::Deaf),
    ("gone from the names", Fault::None),
];

struct Bench {
    gate: Gate,
    faulty: Faulty,
    hosts: Option<std::path::PathBuf>,
    callers: usize,
}

/// What happened to the server that fails.
#[derive(Default)]
struct Course {
    opened: Duration,
    through: usize,
    recovered: Duration,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = Options::parse();
    let folder = tempfile::tempdir().expect("a folder");
    let bench = Bench::start(folder.path(), options.callers).await;
    println!("fault                    opened after      calls  through again after   p99 alone   beside   ratio");
    let mut kept = true;
    for (name, fault) in FAULTS {
        if fault == Fault::None && bench.hosts.is_none() {
            println!("{name:<24} passed over: it takes root");
            continue;
        }
        kept &= bench.rounds(name, fault, &options).await;
    }
    for (name, fault) in [("hangs before a crowd", Fault::Hangs), ("mute before a crowd", Fault::Opens)] {
        kept &= bench.crowded(name, fault, &options).await;
    }
    println!("{}", if kept { "every bar is met" } else { "a bar is missed" });
    ExitCode::from(u8::from(!kept))
}

impl Bench {
    async fn start(folder: &Path, callers: usize) -> Self {
        let behind = address(&standin().await);
        let (faulty, good) = (Faulty::before(behind).await, Faulty::before(behind).await);
        good.set(Fault::Slow(SERVICE));
        let hosts = rustix::process::geteuid().is_root().then(|| folder.join("hosts"));
        let host = if hosts.is_some() { NAME } else { "127.0.0.1" };
        let rules = format!(
            "timeout = {{ connect = \"500ms\", first_byte = \"1500ms\" }}\n\
             breaker = {{ failures = {FAILURES}, slow = \"500ms\", min_calls = {MIN_CALLS}, window = \"30s\", open_for = \"500ms\", max_open = \"{}ms\" }}",
            MAX_OPEN.as_millis()
        );
        let setup = Setup::default()
            .server("bad", &format!("endpoints = \"http://{host}:{}/mcp\"\n{rules}", faulty.address.port()))
            .server(
                "crowded",
                &format!(
                    "endpoints = \"http://127.0.0.1:{}/mcp\"\ntimeout.first_byte = \"30s\"\npool = {{ max_connections = 1000 }}",
                    faulty.address.port()
                ),
            )
            .http("good", &format!("http://{}/mcp", good.address))
            .log("access = false");
        let setup = match &hosts {
            Some(hosts) => {
                std::fs::write(hosts, names(true)).expect("a file");
                setup.hosts(hosts)
            }
            None => setup,
        };
        // It serves for as long as the process lives.
        std::mem::forget(good);
        let gate = setup.start().await;
        // It becomes known which era it speaks.
        call(&Caller::modern(&gate, "/mcp/bad")).await;
        call(&Caller::modern(&gate, "/mcp/crowded")).await;
        Self { gate, faulty, hosts, callers }
    }

    async fn rounds(&self, name: &str, fault: Fault, options: &Options) -> bool {
        let time = Duration::from_secs(options.seconds);
        let mut courses = Vec::new();
        let (mut alone, mut beside, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        let mut failed = 0;
        for _ in 0..options.rounds {
            let first = self.healthy(time).await;
            let (course, second) = self.broken(fault, time).await;
            courses.push(course);
            failed += first.failed + second.failed;
            ratios.push(f64::from(second.p99_us) / f64::from(first.p99_us.max(1)));
            alone.push(f64::from(first.p99_us));
            beside.push(f64::from(second.p99_us));
        }
        let ratio = median(ratios);
        let most = courses.iter().map(|course| course.through).max().unwrap_or(0);
        let bound = if matches!(fault, Fault::Slow(_)) { 2 * MIN_CALLS } else { FAILURES } + self.callers;
        let seconds =
            |pick: fn(&Course) -> Duration| median(courses.iter().map(|course| pick(course).as_secs_f64()).collect());
        let recovered = courses.iter().map(|course| course.recovered).max().unwrap_or_default();
        println!(
            "{name:<24} {:>9.2} s {most:>12} {:>10.2} s (most {:.2}) {:>8.1} ms {:>6.1} ms {ratio:>7.2}",
            seconds(|course| course.opened),
            seconds(|course| course.recovered),
            recovered.as_secs_f64(),
            median(alone) / 1000.0,
            median(beside) / 1000.0,
        );
        // What was in flight when it opened is no call that a closed breaker let through.
        failed == 0 && most <= bound && ratio <= BAR && recovered <= MAX_OPEN + Duration::from_secs(1)
    }

    /// The healthy server alone, and beside one that has every connection that it can get and gives none back.
    async fn crowded(&self, name: &str, fault: Fault, options: &Options) -> bool {
        let time = Duration::from_secs(options.seconds);
        let (mut ratios, mut failed, mut most) = (Vec::new(), 0, 0);
        for _ in 0..options.rounds {
            let first = self.healthy(time).await;
            self.set(fault, true).await;
            let mut callers = JoinSet::new();
            for _ in 0..options.crowd {
                let client = Caller::modern(&self.gate, "/mcp/crowded");
                callers.spawn(async move {
                    loop {
                        call(&client).await;
                        tokio::time::sleep(PAUSE).await;
                    }
                });
            }
            // Each opens a connection for each call: that they all come at once is not what is measured.
            most = most.max(self.settled().await);
            let second = self.healthy(time).await;
            callers.shutdown().await;
            self.set(fault, false).await;
            failed += first.failed + second.failed;
            ratios.push(f64::from(second.p99_us) / f64::from(first.p99_us.max(1)));
        }
        let ratio = median(ratios);
        println!(
            "{name:<24} {} callers have {most} connections; {failed} calls failed beside them {ratio:>7.2}",
            options.crowd
        );
        failed == 0 && ratio <= BAR
    }

    /// Waits until no more connections to servers are opened; how many there are.
    async fn settled(&self) -> u64 {
        let mut before = 0;
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let (_, status) = self.gate.control("GET", "/v1/status").await;
            let open = status["server_connections"]["open"].as_u64().unwrap_or_default();
            if open == before {
                return open;
            }
            before = open;
        }
    }

    /// The healthy server's callers while the other one fails, and how that one fares.
    async fn broken(&self, fault: Fault, time: Duration) -> (Course, Seen) {
        let over = Arc::new(AtomicBool::new(false));
        self.set(fault, true).await;
        let begun = Instant::now();
        let mut callers = JoinSet::new();
        for _ in 0..self.callers {
            callers.spawn(nag(Caller::modern(&self.gate, "/mcp/bad"), Arc::clone(&over), begun));
        }
        let seen = self.healthy(time).await;
        over.store(true, Ordering::Relaxed);
        let nagged = callers.join_all().await;
        let mended = Instant::now();
        self.set(fault, false).await;
        let client = Caller::modern(&self.gate, "/mcp/bad");
        while !call(&client).await.contains("\"result\"") {
            tokio::time::sleep(LOOK).await;
        }
        let opened = nagged.iter().filter_map(|(opened, _)| *opened).min().unwrap_or(Duration::MAX);
        let before = |when: &&Duration| **when <= opened;
        let through = nagged.iter().flat_map(|(_, ended)| ended).filter(before).count();
        (Course { opened, through, recovered: mended.elapsed() }, seen)
    }

    async fn set(&self, fault: Fault, broken: bool) {
        match (&self.hosts, fault) {
            (Some(hosts), Fault::None) => {
                std::fs::write(hosts, names(!broken)).expect("a file");
                // What was looked up before holds for a second.
                if broken {
                    tokio::time::sleep(Duration::from_millis(1200)).await;
                }
                // Connections that are open are cut, as by the machine's end.
                self.faulty.set(Fault::Gone);
                self.faulty.set(Fault::None);
            }
            _ => self.faulty.set(if broken { fault } else { Fault::None }),
        }
    }

    /// In a thread of its own, so that the work of others is not taken for the gate's.
    async fn healthy(&self, time: Duration) -> Seen {
        let calls = Calls { aim: self.gate.aim("/mcp/good", Era::Modern), tool: "echo".to_owned(), padding: 100 };
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                Clients::connect(calls, CLIENTS, Pace::PerSecond(PER_SECOND)).await.call(Until::Elapsed(time)).await
            })
        };
        tokio::task::spawn_blocking(work).await.expect("the healthy server's callers")
    }
}

/// Calls until told to stop: when the breaker answered first, and when calls ended that it let through.
async fn nag(client: Caller, over: Arc<AtomicBool>, begun: Instant) -> (Option<Duration>, Vec<Duration>) {
    let (mut opened, mut ended) = (None, Vec::new());
    while !over.load(Ordering::Relaxed) {
        if call(&client).await.contains("breaker-open") {
            opened.get_or_insert_with(|| begun.elapsed());
            tokio::time::sleep(PAUSE).await;
        } else {
            ended.push(begun.elapsed());
        }
    }
    (opened, ended)
}

async fn call(client: &Caller) -> String {
    client.call("1", "echo", json!({})).await.text().await
}

fn names(known: bool) -> String {
    let bad = if known { format!("127.0.0.1 {NAME}\n") } else { String::new() };
    format!("127.0.0.1 localhost\n{bad}")
}

fn address(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").trim_end_matches("/mcp").parse().expect("an address")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
