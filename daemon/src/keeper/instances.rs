//! Running instances: started, counted, reaped, and ended to the last process.
//!
//! The keeper owns one set. Its children are wrappers, and the orphans of wrappers that were
//! killed: whatever is a child and no wrapper belongs to nobody, and is killed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, wait};

use super::Service;
use super::cgroup::{Group, Means};
use crate::instance::family;

/// This very program, also after its file was replaced by an upgrade.
const PROGRAM: &str = "/proc/self/exe";

/// How long processes may be killed one by one at the end.
const END_TIME: Duration = Duration::from_secs(10);

/// Refused connections of one server are reported once in this time.
const REPORT_PAUSE: Duration = Duration::from_secs(5);

pub(super) struct Instances {
    means: Means,
    running: HashMap<Pid, Instance>,
    /// Control groups of ended instances that could not be removed yet.
    ended_groups: Vec<Group>,
    /// A wrapper died without ending its descendants: orphans may be ours now, or soon.
    orphaned: bool,
    reported: HashMap<String, Instant>,
}

struct Instance {
    server: String,
    group: Option<Group>,
}

impl Instances {
    pub(super) fn new(means: Means) -> Self {
        let ended_groups = means.end_leftovers();
        Self { means, running: HashMap::new(), ended_groups, orphaned: false, reported: HashMap::new() }
    }

    /// Gives the connection to a fresh wrapper, or closes it where all instances are taken.
    pub(super) fn start(&mut self, service: &Arc<Service>, connection: UnixStream) -> io::Result<()> {
        let running = self.running.values().filter(|instance| instance.server == service.name).count();
        if running >= service.max {
            self.report_full(service);
            return Ok(());
        }
        let group = self.means.group(service)?;
        let spawned =
            wrapper(service, group.as_ref()).and_then(|mut command| command.stdin(OwnedFd::from(connection)).spawn());
        match spawned {
            Ok(child) => {
                let pid = Pid::from_child(&child);
                tracing::debug!(server = service.name, pid = child.id(), "instance started");
                self.running.insert(pid, Instance { server: service.name.clone(), group });
                Ok(())
            }
            Err(e) => {
                self.ended_groups.extend(group);
                Err(e)
            }
        }
    }

    fn report_full(&mut self, service: &Service) {
        let now = Instant::now();
        if self.reported.get(&service.name).is_some_and(|at| now < *at + REPORT_PAUSE) {
            return;
        }
        self.reported.insert(service.name.clone(), now);
        tracing::warn!(
            server = service.name,
            instances = service.max,
            "all instances are taken; connections are closed"
        );
    }

    /// Takes note of every child that ended and ends what it left behind.
    pub(super) fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if let Some(instance) = self.running.remove(&pid) {
                self.note_end(instance, pid, status);
            }
        }
        if self.orphaned {
            self.end_orphans();
        }
        self.ended_groups.retain(|group| !group.remove());
    }

    fn note_end(&mut self, instance: Instance, pid: Pid, status: WaitStatus) {
        tracing::debug!(server = instance.server, %pid, "instance ended");
        if status.exit_status() != Some(0) {
            tracing::warn!(server = instance.server, %pid, signal = status.terminating_signal(), "a wrapper died; ending its orphans");
            self.orphaned = true;
        }
        if let Some(group) = instance.group {
            group.kill();
            self.ended_groups.push(group);
        }
    }

    /// An orphan's own children come to us when it has ended, which is announced by a signal, so
    /// one look is enough as long as another follows whenever one was found.
    fn end_orphans(&mut self) {
        let children = match family::children() {
            Ok(children) => children,
            Err(e) => return tracing::error!("orphans cannot be found in /proc: {e}"),
        };
        let orphans: Vec<Pid> = children.into_iter().filter(|pid| !self.running.contains_key(pid)).collect();
        self.orphaned = !orphans.is_empty();
        for orphan in orphans {
            let _ = kill_process(orphan, Signal::KILL);
        }
    }

    /// Something is left that no signal announces.
    pub(super) fn is_untidy(&self) -> bool {
        self.orphaned || !self.ended_groups.is_empty()
    }

    pub(super) fn all_ended(&self) -> bool {
        self.running.is_empty() && !self.is_untidy()
    }

    /// Signals every wrapper.
    pub(super) fn signal(&self, signal: Signal) {
        for &pid in self.running.keys() {
            let _ = kill_process(pid, signal);
        }
    }

    /// Kills wrappers and everything below them, and waits for it.
    pub(super) fn end_now(&mut self) {
        for instance in self.running.values() {
            tracing::warn!(server = instance.server, "an instance did not end in time and is killed");
        }
        for group in self.running.values().filter_map(|instance| instance.group.as_ref()).chain(&self.ended_groups) {
            group.kill();
        }
        if let Err(e) = family::end_all(Instant::now() + END_TIME, |_, _| {}) {
            tracing::error!("processes of instances are left: {e}");
        }
        let groups = self.running.drain().filter_map(|(_, instance)| instance.group);
        self.ended_groups.extend(groups);
        self.ended_groups.retain(|group| !group.remove());
    }
}

/// The command line of `toolgated instance`. Secrets are not on it.
fn wrapper(service: &Service, group: Option<&Group>) -> io::Result<Command> {
    let mut command = Command::new(PROGRAM);
    command.arg0("toolgated").arg("instance").args(["--keeper", &getpid().to_string()]);
    if let Some(directory) = &service.directory {
        command.arg("--directory").arg(directory);
    }
    let access = &service.access;
    for path in &access.read {
        command.arg("--read").arg(path);
    }
    for path in &access.write {
        command.arg("--write").arg(path);
    }
    if !access.read.is_empty() || !access.write.is_empty() {
        command.args(["--write", "/tmp", "--write", "/var/tmp"]);
    }
    match group.map(Group::path) {
        Some(path) => drop(command.arg("--cgroup").arg::<&Path>(path)),
        None => drop(service.memory.map(|bytes| command.args(["--memory", &bytes.to_string()]))),
    }
    if service.environment.is_empty() {
        command.stdout(Stdio::null());
    } else {
        command.arg("--environment-on-stdout").stdout(environment(service)?);
    }
    command.arg(&service.name).arg("--").args(&service.command);
    // Ctrl-C at a terminal is for the keeper, which ends its instances in order.
    command.process_group(0);
    Ok(command)
}

/// The environment as a file without a name, read by the wrapper and then gone.
fn environment(service: &Service) -> io::Result<File> {
    let mut file = File::from(memfd_create("environment", MemfdFlags::CLOEXEC)?);
    for (name, value) in &service.environment {
        write!(file, "{name}={}\0", value.expose())?;
    }
    file.rewind()?;
    Ok(file)
}
