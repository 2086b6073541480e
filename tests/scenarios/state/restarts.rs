//! Restarts in good order and kills, many of them, under load of every kind of client.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::LocalSet;
use toolgate_tests::caller::Caller;
use toolgate_tests::counter;
use toolgate_tests::gate::{Gate, Setup, program};
use toolgate_tests::mcp::Era;
use toolgate_tests::processes::{MARK_NAME, marked};
use toolgate_tests::wait;

use crate::workers::{Board, Worker};

/// Of each kind.
const EVENTS: usize = 20;

/// A gate under systemd in front of a counting server over stdio, once per session and once for all, and of one over
/// HTTP.
pub(crate) async fn gate(mark: &str, more: impl FnOnce(Setup) -> Setup) -> Gate {
    let command = command(mark, "");
    let http = counter::serve_http().await;
    let setup = Setup::default()
        .log("access = false")
        .server("counter", &format!("{command}\ninstances = {{ per = \"session\", max = 50, spares = 2 }}"))
        .server("shared", &format!("{command}\ninstances = {{ per = \"client\", max = 5 }}"))
        .http("web", &http)
        // A client of a busy machine may take longer than usual to send its next request, and is not to find its
        // connection closed.
        .daemon("drain_timeout = \"10s\"\nlame_duck = \"1s\"");
    more(setup).start_under_systemd().await
}

/// The lines that start the counting server, with more in its environment.
pub(crate) fn command(mark: &str, more: &str) -> String {
    format!("command = [\"{}\"]\nenv = {{ {MARK_NAME} = {mark:?}{more} }}", program("counter").display())
}

async fn workers(gate: &Gate, board: &Rc<Board>) -> Vec<Worker> {
    let mut all = Vec::new();
    for (kind, path, era, alone, number) in [
        ("hosted", "/mcp/counter", Era::Legacy, true, 4),
        ("client", "/mcp/shared", Era::Legacy, false, 2),
        ("mirrored", "/mcp/web", Era::Legacy, true, 3),
        ("merged", "/mcp", Era::Legacy, true, 2),
        ("web", "/mcp", Era::Legacy, true, 2),
        // Calls of one client with the same capabilities share an instance.
        ("modern", "/mcp/counter", Era::Modern, false, 3),
    ] {
        for place in 0..number {
            all.push(Worker::start(gate, path, era, alone, &format!("{kind}{place}"), board).await);
        }
    }
    all
}

/// Each worker has been answered since, so that each has a call in flight or about to be.
async fn all_answered(answered: &[Rc<Cell<u64>>], board: &Board) {
    let before: Vec<u64> = answered.iter().map(|count| count.get()).collect();
    wait::until("every client to be answered", async || {
        let all = answered.iter().zip(&before).all(|(count, before)| count.get() > *before);
        (all || board.stop.get()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn restarts_and_kills_lose_no_session_and_no_server() {
    LocalSet::new()
        .run_until(async {
            let mark = format!("state-{}", std::process::id());
            let mut gate = gate(&mark, |setup| setup).await;
            let board = Rc::<Board>::default();
            let workers = workers(&gate, &board).await;
            let answered: Vec<_> = workers.iter().map(|worker| Rc::clone(&worker.answered)).collect();
            let running: Vec<_> = workers.into_iter().map(|worker| tokio::task::spawn_local(worker.run())).collect();
            all_answered(&answered, &board).await;
            let mut pids = pids(&mark);
            for (signal, name) in [(Signal::TERM, "restart"), (Signal::KILL, "kill")] {
                let (begun, before, excused) = (Instant::now(), board.calls.get(), board.excused.get());
                for _ in 0..EVENTS {
                    all_answered(&answered, &board).await;
                    let kills = u64::from(signal == Signal::KILL);
                    board.kills.set(board.kills.get() + kills);
                    let status = gate.restart(signal).await;
                    board.kills.set(board.kills.get() + kills);
                    assert_eq!(status.success(), signal == Signal::TERM, "{status}\n{}", gate.log());
                    if !board.failures.borrow().is_empty() {
                        break;
                    }
                }
                all_answered(&answered, &board).await;
                println!(
                    "{name}: {EVENTS} times in {:?}, {} calls answered, {} of those in flight lost",
                    begun.elapsed(),
                    board.calls.get() - before,
                    board.excused.get() - excused
                );
                assert!(board.failures.borrow().is_empty(), "{:#?}\n{}", board.failures.borrow(), tail(&gate));
                // Spares may be taken or added; nobody has gone.
                let now = self::pids(&mark);
                assert!(pids.iter().all(|pid| now.contains(pid)), "{pids:?} {now:?}\n{}", tail(&gate));
                pids = now;
            }
            board.stop.set(true);
            for worker in running {
                worker.await.expect("a worker");
            }
            println!(
                "descriptors stored and taken out: {:?}, now {}",
                gate.systemd().traffic(),
                gate.systemd().stored().len()
            );
            // A real stop: nothing is kept, and nothing stays.
            gate.signal(Signal::TERM);
            assert!(gate.ended().await.success());
            assert_eq!(self::pids(&mark), pids, "a drain ends no instance");
            gate.systemd().forget();
            wait::until("every process to end", async || self::pids(&mark).is_empty().then_some(())).await;
        })
        .await;
}

/// The counting processes.
fn pids(mark: &str) -> Vec<u32> {
    let mut pids: Vec<u32> = marked(mark)
        .into_iter()
        .filter(|(_, command)| command.trim_end().ends_with("/counter") && !command.contains("toolgated"))
        .map(|(pid, _)| pid)
        .collect();
    pids.sort_unstable();
    pids
}

pub(crate) fn tail(gate: &Gate) -> String {
    let log = gate.log();
    let lines: Vec<_> = log.lines().filter(|line| !line.contains("toolgated::stages::record")).collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

/// What the counter's tool says.
pub(crate) fn told(answer: &Value) -> Value {
    let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no result: {answer}"));
    serde_json::from_str(text).unwrap_or_else(|problem| panic!("{problem}: {text}"))
}

#[tokio::test]
async fn a_server_that_waits_for_its_client_at_a_crash_is_answered() {
    let mark = format!("asked-{}", std::process::id());
    let mut gate = gate(&mark, |setup| setup).await;
    for signal in [Signal::KILL, Signal::TERM] {
        let client = Caller::legacy(&gate, "/mcp/counter").await;
        let mut asking = client.call("1", "ask", json!({})).await;
        let question = asking.message().await;
        assert_eq!(question["method"], "roots/list", "{question}");
        drop(asking);
        gate.restart(signal).await;
        let answers = wait::until("the server to be answered", async || {
            let answers = told(&client.call("2", "answers", json!({})).await.answer().await);
            answers.as_array().is_some_and(|answers| !answers.is_empty()).then_some(answers)
        })
        .await;
        assert_eq!(answers[0]["id"], "asked-1");
        assert!(answers[0]["error"]["code"].is_number(), "{answers}");
        assert_eq!(answers.as_array().map(Vec::len), Some(1), "{answers}");
    }
}

#[tokio::test]
async fn a_crash_in_the_middle_of_a_start_loses_nothing() {
    let mark = format!("start-{}", std::process::id());
    let mut gate = gate(&mark, |setup| setup).await;
    let mut clients = Vec::new();
    for path in ["/mcp/counter", "/mcp/shared", "/mcp/web", "/mcp"] {
        let tool = if path == "/mcp" { "counter__count" } else { "count" };
        let client = Caller::legacy(&gate, path).await;
        let counted = told(&client.call("1", tool, json!({})).await.answer().await);
        clients.push((client, tool, counted["pid"].clone()));
    }
    gate.signal(Signal::KILL);
    gate.ended().await;
    for step in 0..20 {
        gate.begin_again();
        // Nobody waits for a state here: each round ends at another one.
        tokio::time::sleep(Duration::from_millis(step * 3)).await;
        gate.signal(Signal::KILL);
        gate.ended().await;
    }
    gate.start_again().await;
    for (client, tool, pid) in clients {
        let counted = told(&client.call("2", tool, json!({})).await.answer().await);
        assert_eq!((&counted["pid"], &counted["count"]), (&pid, &json!(2)), "{}", tail(&gate));
    }
}
