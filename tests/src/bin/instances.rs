//! `instances`: thousands of sessions at stdio servers with every bad habit, and what the others notice of them.
//!
//! Starts a gate of its own before eight such servers and one over HTTP. A session makes its calls, each of which must
//! be answered: with a result where the server can give one, else with an error of the gate that says why. At the end
//! no process, zombie or descriptor may be left. `tests/bench/instances` builds and runs it; exits with 1 where a bar
//! is missed.

use std::collections::BTreeMap;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use toolgate_tests::gate::{Gate, Setup, program};
use toolgate_tests::load::Aim;
use toolgate_tests::mcp::{Answer, Client, Era};
use toolgate_tests::processes::{MARK_NAME, descriptors, marked, zombies};
use toolgate_tests::slow::{measure, standin};
use toolgate_tests::wait;

/// What a server is like: its name, its habits, and whether it can answer a call.
type Like = (&'static str, &'static [&'static str], bool);

const SERVERS: [Like; 8] = [
    ("tidy", &[], true),
    ("deaf", &["--ignore-eof"], true),
    ("littering", &["--leave-behind"], true),
    ("worst", &["--ignore-eof", "--leave-behind"], true),
    ("garbage", &["--garbage"], true),
    ("endless", &["--endless"], false),
    ("silent", &["--silent"], false),
    ("exiting", &["--exit"], false),
];

/// The one over HTTP, which others call: sessions there cost what sessions cost, and nothing else.
const WELL_BEHAVED: [Like; 1] = [("standin", &[], true)];

#[derive(Parser)]
struct Options {
    /// Sessions in all.
    #[arg(long, default_value_t = 10_000)]
    sessions: usize,
    /// Sessions that begin in a second; a machine that they keep busy says nothing of the gate.
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// Sessions that are open at the same time.
    #[arg(long, default_value_t = 100)]
    at_once: usize,
    /// Seconds for which the others are measured alone, and again beside as many sessions at a well-behaved server.
    #[arg(long, default_value_t = 10)]
    alone: u64,
    /// Only this server, to find out which habit it is that others notice.
    #[arg(long)]
    only: Option<String>,
    /// Servers over stdio have a processor of their own: what others still notice is the gate's doing, and not that of
    /// a kernel that lets a program which computes go on for a while before another one has its turn.
    #[arg(long)]
    apart: bool,
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == name)
    }
}

/// What became of a session's calls.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Answered,
    Refused(i64),
    /// What no client should see.
    Wrong(String),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = Options::parse();
    let mark = format!("left-{}", std::process::id());
    let gate = gate(&mark).await;
    let keeper = gate.keeper_pid().expect("a keeper");
    if options.apart {
        processors(keeper, 1);
        processors(gate.pid(), 0);
        processors(std::process::id(), 0);
    }
    let servers: Vec<_> = SERVERS.into_iter().filter(|(name, ..)| options.wants(name)).collect();
    assert!(!servers.is_empty(), "no such server");
    sessions(&gate, &servers, servers.len(), &options).await;
    let clean = cleared(&gate, &mark).await;
    let before = (descriptors(gate.pid()), descriptors(keeper));
    let time = Duration::from_secs(options.alone);
    let alone = measure(&gate, time).await;
    let as_many = usize::try_from(options.alone * u64::from(options.rate)).unwrap_or(usize::MAX);
    let (beside, well) = tokio::join!(measure(&gate, time), sessions(&gate, &WELL_BEHAVED, as_many, &options));

    let begun = Instant::now();
    let length = Duration::from_secs(1) * u32::try_from(options.sessions).unwrap_or(u32::MAX) / options.rate;
    let (among, fates) = tokio::join!(measure(&gate, length), sessions(&gate, &servers, options.sessions, &options));
    println!("{} sessions in {:.0} s", options.sessions, begun.elapsed().as_secs_f64());
    for ((server, fate), count) in fates.iter().chain(&well) {
        println!("  {server:<10} {count:>6} {fate:?}");
    }
    let clean = cleared(&gate, &mark).await && clean;
    let count = || (descriptors(gate.pid()), descriptors(keeper));
    // Connections of clients, and those to the server over HTTP, may still be closing.
    let closed = || async { Some(count()).filter(|now| now.0 <= before.0 && now.1 <= before.1).ok_or_else(count) };
    let after = wait::or_last(closed).await.unwrap_or_else(|more| more);
    println!("left                processes: {}, zombies: {}", marked(&mark).len(), left_zombies(&gate).len());
    println!("descriptors         front {} -> {}, keeper {} -> {}", before.0, after.0, before.1, after.1);
    for (name, seen) in [("alone", &alone), ("beside others", &beside), ("among them", &among)] {
        println!(
            "calls, {name:<13} {} calls, {} failed, p50 {} us, p99 {} us",
            seen.calls, seen.failed, seen.p50_us, seen.p99_us
        );
    }
    let wrong = fates.keys().chain(well.keys()).any(|(_, fate)| matches!(fate, Fate::Wrong(_)));
    let kept = clean && !wrong && beside.failed == 0 && among.failed == 0 && after.0 <= before.0 && after.1 <= before.1;
    println!("{}", if kept { "every bar is met" } else { "a bar is missed" });
    ExitCode::from(u8::from(!kept))
}

async fn gate(mark: &str) -> Gate {
    let url = standin().await;
    let unruly = program("unruly");
    let unruly = unruly.to_str().expect("a path in UTF-8");
    let mut setup = Setup::default()
        .server("standin", &format!("endpoints = [{url:?}]\npool = {{ idle_timeout = \"1s\" }}"))
        .daemon("max_sessions_per_client = 10000");
    for (name, habits, _) in SERVERS {
        let command = [&[unruly], habits].concat();
        setup = setup.server(
            name,
            &format!(
                "command = {command:?}\nenv = {{ {MARK_NAME} = {mark:?} }}\ntimeout = {{ first_byte = \"1s\" }}\n\
                 instances = {{ per = \"session\", max = 200, idle = \"10s\" }}"
            ),
        );
    }
    setup.start().await
}

/// Keeps all threads of a process, and what it starts from now on, on one processor.
fn processors(process: u32, processor: usize) {
    let mut set = CpuSet::new();
    set.set(processor);
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).expect("the process");
    for thread in threads.filter_map(Result::ok) {
        let id = thread.file_name().to_str().and_then(|id| id.parse().ok()).and_then(Pid::from_raw);
        match sched_setaffinity(id, &set) {
            // The thread has ended meanwhile.
            Ok(()) | Err(Errno::SRCH) => {}
            Err(problem) => panic!("a machine with two processors: {problem}"),
        }
    }
}

/// Opens sessions at the servers in turn, and counts what became of their calls.
async fn sessions(
    gate: &Gate,
    servers: &[Like],
    number: usize,
    options: &Options,
) -> BTreeMap<(&'static str, Fate), usize> {
    let places = Arc::new(Semaphore::new(options.at_once));
    let mut running = JoinSet::new();
    let begun = Instant::now();
    for index in 0..number {
        let due = begun + Duration::from_secs(1) * u32::try_from(index).unwrap_or(u32::MAX) / options.rate;
        tokio::time::sleep_until(due.into()).await;
        let place = Arc::clone(&places).acquire_owned().await.expect("places");
        let (name, _, answers) = servers[index % servers.len()];
        let aim = gate.aim(&format!("/mcp/{name}"), Era::Legacy);
        // Every other one of a server is killed while a call is pending.
        let killed = (index / servers.len()) % 2 == 1 && name != "standin";
        running.spawn(async move {
            let fate = session(&aim, answers, killed).await;
            drop(place);
            (name, fate)
        });
    }
    let mut fates = BTreeMap::new();
    for fate in running.join_all().await {
        *fates.entry(fate).or_default() += 1;
    }
    fates
}

async fn session(aim: &Aim, answers: bool, killed: bool) -> Fate {
    let mut client = match aim.client().await {
        Ok(client) => client,
        Err(problem) => return if answers { Fate::Wrong(problem.to_string()) } else { greeting_refused(&problem) },
    };
    let fate = call(&mut client, "pid").await;
    let fate = match fate {
        Ok(answer) if answers && answer.succeeded() => {
            if killed {
                kill(&mut client, &answer).await
            } else {
                Fate::Answered
            }
        }
        Ok(answer) if !answers => refused(&answer.body),
        Ok(answer) => Fate::Wrong(answer.body.to_string()),
        Err(wrong) => wrong,
    };
    match client.close().await {
        // A session whose server will never be introduced may be over already.
        Ok(200..=299 | 404) => fate,
        other => Fate::Wrong(format!("DELETE: {other:?}")),
    }
}

/// Kills the server's process while it owes an answer.
async fn kill(client: &mut Client, answer: &Answer) -> Fate {
    let text = answer.body["result"]["content"][0]["text"].as_str();
    let Some(pid) = text.and_then(|text| text.parse().ok()).and_then(Pid::from_raw) else {
        return Fate::Wrong(answer.body.to_string());
    };
    // The call is under way when the process ends, or it finds it ended: either way it is answered.
    let killer = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        kill_process(pid, Signal::KILL)
    });
    let fate = match call(client, "hang").await {
        Ok(answer) => refused(&answer.body),
        Err(wrong) => wrong,
    };
    match killer.await.expect("the killer") {
        Ok(()) => fate,
        Err(problem) => Fate::Wrong(format!("the server ended before it was killed: {problem}")),
    }
}

async fn call(client: &mut Client, tool: &str) -> Result<Answer, Fate> {
    match tokio::time::timeout(Duration::from_secs(30), client.call(tool, json!({}))).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(problem)) => Err(Fate::Wrong(format!("{tool}: {problem}"))),
        Err(_) => Err(Fate::Wrong(format!("{tool}: no answer"))),
    }
}

/// A server that cannot be introduced: its client is told so instead of being given a session.
fn greeting_refused(problem: &io::Error) -> Fate {
    let text = problem.to_string();
    let body = text.find('{').and_then(|at| serde_json::from_str(&text[at..]).ok());
    body.map_or(Fate::Wrong(text), |body| refused(&body))
}

/// An error of the gate, with a sentence.
fn refused(body: &Value) -> Fate {
    let error = &body["error"];
    match (error["code"].as_i64(), error["message"].as_str()) {
        (Some(code @ -31999..=-31000), Some(message)) if message.len() > 20 => Fate::Refused(code),
        _ => Fate::Wrong(body.to_string()),
    }
}

fn left_zombies(gate: &Gate) -> Vec<u32> {
    [Some(gate.pid()), gate.keeper_pid()].into_iter().flatten().flat_map(zombies).collect()
}

/// Waits until nothing of an instance is left; whether that came to be.
async fn cleared(gate: &Gate, mark: &str) -> bool {
    let seen = wait::or_last(|| async {
        let left = (marked(mark), left_zombies(gate));
        if left.0.is_empty() && left.1.is_empty() { Ok(()) } else { Err(left) }
    });
    match seen.await {
        Ok(()) => true,
        Err(left) => {
            println!("left: {left:?}");
            false
        }
    }
}
