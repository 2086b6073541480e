//! Ending processes, and counting what is left: processes that carry a mark, zombies, and descriptors.
//!
//! Scenarios give every program that they cause to run a mark in its environment, which children inherit
//! whatever else they do; a process cannot leave the count by forking, by `setsid` or by another name.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, kill_process_group, setrlimit};

/// Marks programs: `MARK_NAME=value` in their environment.
pub const MARK_NAME: &str = "TOOLGATE_TEST_MARK";

/// Live processes with this mark in their environment or in their command line: pid and command line.
#[must_use]
pub fn marked(mark: &str) -> Vec<(u32, String)> {
    let wanted = format!("{MARK_NAME}={mark}");
    pids()
        .map(|pid| (pid, command_line(pid)))
        .filter(|(pid, command)| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            command.contains(mark) || environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
        })
        .collect()
}

/// Children of `parent` that ended and were not waited for.
#[must_use]
pub fn zombies(parent: u32) -> Vec<u32> {
    pids()
        .filter(|pid| {
            let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
                return false;
            };
            let fields: Vec<_> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
            fields.first() == Some(&"Z") && fields.get(1) == Some(&parent.to_string().as_str())
        })
        .collect()
}

/// The threads of a process: name, and state as in `proc_pid_stat(5)`.
#[must_use]
pub fn states_of_threads(pid: u32) -> Vec<(String, char)> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let stats = threads.filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
    stats
        .filter_map(|stat| {
            let (name, fields) = stat.rsplit_once(") ")?;
            Some((name.split_once('(')?.1.to_owned(), fields.chars().next()?))
        })
        .collect()
}

/// Open descriptors of a process.
#[must_use]
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Sockets among them.
#[must_use]
pub fn sockets(pid: u32) -> usize {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    links
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter(|to| to.to_string_lossy().starts_with("socket:"))
        .count()
}

/// Memory of a process in kB: resident now, and the most that it ever was.
///
/// # Panics
/// When there is no such process.
#[must_use]
pub fn memory(pid: u32) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    (line("VmRSS:").expect("a number"), line("VmHWM:").expect("a number"))
}

/// User and system time of a process so far, in seconds.
///
/// # Panics
/// When there is no such process.
#[must_use]
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a running process");
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
    let ticks: u32 = fields.filter_map(|field| field.parse::<u32>().ok()).sum();
    f64::from(ticks) / 100.0
}

/// Raises the limit of open descriptors, of this process and those that it starts, as far as it may be.
///
/// # Panics
/// When the kernel refuses what it says is allowed.
pub fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("the soft limit up to the hard one");
}

/// Ends a process that leads a group, and then whatever is left of the group.
pub fn end_group(child: &mut Child) {
    // The keeper ends its instances at SIGTERM; what is killed outright cannot.
    if child.try_wait().is_ok_and(|ended| ended.is_none()) {
        kill_process(Pid::from_child(child), Signal::TERM).ok();
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while child.try_wait().is_ok_and(|ended| ended.is_none()) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    kill_process_group(Pid::from_child(child), Signal::KILL).ok();
    child.wait().ok();
}

fn pids() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").expect("/proc").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn command_line(pid: u32) -> String {
    let raw = fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&raw).replace('\0', " ")
}
