//! A thousand stdio sessions, opened and dropped in every way: nothing is left, and it is counted.

use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use toolgate_tests::gate::{Gate, Setup, program};
use toolgate_tests::mcp::{Client, Era};
use toolgate_tests::processes::{MARK_NAME, descriptors, marked, sockets, zombies};
use toolgate_tests::wait;

const SESSIONS: usize = 1000;
/// Sessions that are open at the same time.
const AT_ONCE: usize = 20;

/// How a session ends.
#[derive(Clone, Copy)]
enum End {
    /// The client says DELETE.
    Deleted,
    /// Its instance is killed first.
    Killed,
}

async fn gate(mark: &str) -> Gate {
    let unruly = program("unruly");
    let unruly = unruly.to_str().expect("a path in UTF-8");
    let mut setup = Setup::default();
    for (name, habits) in [
        ("tidy", vec![]),
        ("deaf", vec!["--ignore-eof"]),
        ("littering", vec!["--leave-behind"]),
        ("worst", vec!["--ignore-eof", "--leave-behind"]),
    ] {
        let command = [&[unruly], &habits[..]].concat();
        let lines = format!(
            "command = {command:?}\nenv = {{ {MARK_NAME} = {mark:?} }}\ninstances = {{ per = \"session\", max = 100, idle = \"10s\" }}"
        );
        setup = setup.server(name, &lines);
    }
    setup.start().await
}

#[tokio::test]
async fn a_thousand_sessions_leave_no_process_zombie_or_descriptor() {
    let mark = format!("left-{}", std::process::id());
    let gate = gate(&mark).await;
    let keeper = gate.keeper_pid().expect("a keeper");
    // One session on each server first, so that what is opened once and kept is not counted as a leak.
    batch(&gate, 4, End::Deleted).await;
    nothing_left(&mark).await;
    let before = (descriptors(gate.pid()), descriptors(keeper));
    for round in 0..SESSIONS / AT_ONCE {
        batch(&gate, AT_ONCE, if round % 2 == 0 { End::Deleted } else { End::Killed }).await;
    }
    nothing_left(&mark).await;
    for parent in [gate.pid(), keeper] {
        wait::until("the last zombie to go", || async { zombies(parent).is_empty().then_some(()) }).await;
    }
    // A connection of the test itself may still be closing.
    wait::until("descriptors to be closed", || async {
        (descriptors(gate.pid()) <= before.0 && descriptors(keeper) <= before.1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_session_that_loses_its_instance_again_and_again_holds_one_connection() {
    let gate = gate(&format!("lost-{}", std::process::id())).await;
    let mut client = gate.aim("/mcp/tidy", Era::Legacy).client().await.expect("a session");
    let mut before = None;
    for _ in 0..10 {
        let answer = client.call("pid", json!({})).await.expect("an answer");
        let text = answer.body["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer:?}"));
        let pid = Pid::from_raw(text.parse().expect("a process id")).expect("a process id");
        let now = sockets(gate.pid());
        let before = *before.get_or_insert(now);
        wait::until("one connection", || async { (sockets(gate.pid()) <= before).then_some(()) }).await;
        kill_process(pid, Signal::KILL).expect("a running instance");
        // Else the next call may reach the instance before its end is known, and is lost with it.
        wait::until("its end", || async { (sockets(gate.pid()) < before).then_some(()) }).await;
    }
}

async fn batch(gate: &Gate, sessions: usize, end: End) {
    let mut open = Vec::new();
    for number in 0..sessions {
        let path = ["/mcp/tidy", "/mcp/deaf", "/mcp/littering", "/mcp/worst"][number % 4];
        let mut client = gate.aim(path, Era::Legacy).client().await.expect("a session");
        let answer = client.call("pid", json!({})).await.expect("an answer");
        assert!(answer.succeeded(), "{answer:?}\n{}", gate.log());
        let pid = answer.body["result"]["content"][0]["text"].as_str().and_then(|text| text.parse().ok());
        open.push((client, pid.and_then(Pid::from_raw).expect("a process id")));
    }
    for (client, pid) in open {
        finish(client, pid, end).await;
    }
}

async fn finish(client: Client, pid: Pid, end: End) {
    if matches!(end, End::Killed) {
        kill_process(pid, Signal::KILL).expect("a running instance");
    }
    client.close().await.expect("an answer to DELETE");
}

/// Waits until no process of an instance is there.
async fn nothing_left(mark: &str) {
    let left = wait::or_last(|| async {
        let left = marked(mark);
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
    assert!(left.is_ok(), "processes of instances are left: {:#?}", left.err());
}

/// What `tests/bench/instances` does with ten thousand.
#[test]
fn every_bad_habit_is_answered_and_leaves_nothing() {
    let run =
        Command::new(program("instances")).args(["--sessions", "160", "--alone", "1"]).output().expect("a program");
    assert!(run.status.success(), "{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
}

#[test]
fn the_count_finds_a_survivor() {
    let mark = format!("planted-{}", std::process::id());
    let mut planted = Command::new("setsid").args(["sleep", "600"]).env(MARK_NAME, &mark).spawn().expect("a program");
    // Until the program has replaced the fork that it starts as, it has the environment of this one.
    let found = eventually(|| marked(&mark).iter().any(|(pid, _)| *pid == planted.id()));
    planted.kill().expect("a running program");
    let zombie = eventually(|| zombies(std::process::id()).contains(&planted.id()));
    planted.wait().expect("its end");
    assert!(found, "a survivor is not found");
    assert!(zombie, "a zombie is not found");
    assert!(marked(&mark).is_empty());
}

fn eventually(mut holds: impl FnMut() -> bool) -> bool {
    let deadline = std::time::Instant::now() + wait::PATIENCE;
    while std::time::Instant::now() < deadline {
        if holds() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}
