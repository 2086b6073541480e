//! Counts what a keeper and its instances leave: processes, zombies, descriptors.
//!
//! Processes are known by a variable in their environment, which every descendant inherits
//! whatever group, session or parent it moves to. A zombie has none: those are counted by parent.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The variable that marks.
pub(crate) const VARIABLE: &str = "TOOLGATE_CENSUS";

/// Process ids of all processes that carry `mark`. A process that is just executing a program has
/// no environment for a moment: to find nobody once proves nothing, see [`nobody`].
pub(crate) fn marked(mark: &str) -> Vec<u32> {
    let wanted = format!("{VARIABLE}={mark}");
    let carries = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|pair| pair == wanted.as_bytes())
    };
    processes().filter(carries).collect()
}

/// Process ids of all children of `parent`, zombies included.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let is_child = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line.strip_prefix("PPid:").is_some_and(|value| value.trim() == parent.to_string()))
    };
    processes().filter(is_child).collect()
}

/// Open descriptors of a process.
pub(crate) fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Whether `look` finds no process, several times in a row and so whatever one was executing.
pub(crate) fn nobody(look: impl Fn() -> Vec<u32>) -> bool {
    (0..4).all(|_| {
        std::thread::sleep(Duration::from_millis(2));
        look().is_empty()
    })
}

/// Kills every process with `mark` until there is none.
pub(crate) fn end(mark: &str) {
    eventually("all marked processes are killed", || {
        for pid in marked(mark) {
            kill(pid, Signal::KILL);
        }
        nobody(|| marked(mark))
    });
}

/// A process that is gone is what was wanted.
pub(crate) fn kill(pid: u32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal);
}

fn processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Asks again and again until the answer is yes.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_planted_survivor_is_found() {
    let mark = format!("planted-{}", std::process::id());
    assert!(nobody(|| marked(&mark)));
    let mut survivor =
        Command::new("setsid").args(["sleep", "600"]).env(VARIABLE, &mark).stdin(Stdio::null()).spawn().unwrap();
    eventually("the survivor is counted", || marked(&mark) == [survivor.id()]);
    end(&mark);
    assert!(children(std::process::id()).contains(&survivor.id()), "its zombie is counted too");
    survivor.wait().unwrap();
    assert!(!children(std::process::id()).contains(&survivor.id()));
}
