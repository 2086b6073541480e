//! Control groups: the one means that no process escapes.
//!
//! The keeper asks once which means it has. A group per instance lives below the group that was
//! delegated to the keeper, and is removed after its instance.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Pid, getpid, test_kill_process};

use super::Service;
use crate::cgroup;

/// What groups of keepers are called: this, the keeper's process id, the server, a number.
const PREFIX: &str = "toolgate-";

/// Microseconds over which processor time is shared out; the kernel's own default.
const CPU_PERIOD: u64 = 100_000;

/// How the keeper ends all processes of an instance.
pub(super) enum Means {
    /// A group per instance below this one.
    Groups { base: PathBuf, next: AtomicU64 },
    /// Descendants are found and killed; why there are no groups.
    Subreaper(String),
}

impl Means {
    pub(super) fn find() -> Self {
        match delegated() {
            Ok(base) => Self::Groups { base, next: AtomicU64::new(0) },
            Err(reason) => Self::Subreaper(reason),
        }
    }

    /// A fresh group with the server's limits; none where the means is another.
    pub(super) fn group(&self, service: &Service) -> io::Result<Option<Group>> {
        let Self::Groups { base, next } = self else { return Ok(None) };
        let number = next.fetch_add(1, Ordering::Relaxed);
        let group = Group(base.join(format!("{PREFIX}{}-{}-{number}", getpid(), service.name)));
        fs::create_dir(&group.0)?;
        let limits = [
            ("memory.max", service.memory.map(|bytes| bytes.to_string())),
            ("pids.max", service.tasks.map(|tasks| tasks.to_string())),
            ("cpu.max", service.cpu.map(|percent| format!("{} {CPU_PERIOD}", percent * CPU_PERIOD / 100))),
        ];
        for (file, limit) in limits {
            // Without the controller the file is missing, and the limit cannot be had.
            if let Some(limit) = limit.filter(|_| group.0.join(file).exists()) {
                fs::write(group.0.join(file), limit)?;
            }
        }
        Ok(Some(group))
    }

    /// Kills what instances left whose keeper was killed together with their wrappers, and
    /// returns their groups, still to be removed.
    pub(super) fn end_leftovers(&self) -> Vec<Group> {
        let Self::Groups { base, .. } = self else { return Vec::new() };
        let entries = fs::read_dir(base).into_iter().flatten().flatten();
        let leftovers: Vec<Group> = entries
            .filter(|entry| entry.file_name().to_str().is_some_and(is_left_over))
            .map(|entry| Group(entry.path()))
            .collect();
        leftovers.iter().for_each(Group::kill);
        leftovers
    }

    /// Whether limits of this controller, such as `pids`, have an effect.
    pub(super) fn limits(&self, controller: &str) -> bool {
        let Self::Groups { base, .. } = self else { return false };
        fs::read_to_string(base.join("cgroup.subtree_control"))
            .is_ok_and(|enabled| enabled.split_whitespace().any(|name| name == controller))
    }
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Groups { base, .. } => write!(f, "control groups below {}", base.display()),
            Self::Subreaper(reason) => write!(f, "subreaper ({reason})"),
        }
    }
}

/// One instance's group.
pub(super) struct Group(PathBuf);

impl Group {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Kills every process in it at once, forks in progress included.
    pub(super) fn kill(&self) {
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
    }

    /// Removes it with the groups that its processes made; false while a process is in it.
    pub(super) fn remove(&self) -> bool {
        remove(&self.0)
    }
}

fn remove(folder: &Path) -> bool {
    let below = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove(&entry.path());
    }
    match fs::remove_dir(folder) {
        Ok(()) => true,
        Err(e) => e.kind() == io::ErrorKind::NotFound,
    }
}

/// The group below which this process may make others; the error says why there is none.
fn delegated() -> Result<PathBuf, String> {
    let own = cgroup::own()?;
    // systemd marks what it delegates; with `DelegateSubgroup=` that is the group above ours.
    let base = own.parent().filter(|parent| is_delegated(parent)).map_or_else(|| own.clone(), Path::to_owned);
    if !base.join("cgroup.kill").exists() {
        return Err("the control group is the root, or the kernel is older than 5.14".to_owned());
    }
    let trial = base.join(format!("{PREFIX}{}-trial", getpid()));
    fs::create_dir(&trial).map_err(|e| format!("no control group is delegated: {e}"))?;
    let usable = fs::OpenOptions::new().write(true).open(base.join("cgroup.procs"));
    let _ = fs::remove_dir(&trial);
    usable.map_err(|e| format!("no control group is delegated: {e}"))?;
    // Possible only where no process is in the group itself; the limits are then the kernel's. Apart,
    // because one controller that is missing refuses all that are written with it.
    let _ = fs::write(base.join("cgroup.subtree_control"), "+memory +pids");
    let _ = fs::write(base.join("cgroup.subtree_control"), "+cpu");
    Ok(base)
}

fn is_delegated(group: &Path) -> bool {
    let mut value = [0; 8];
    ["user.delegate", "trusted.delegate"]
        .iter()
        .any(|name| rustix::fs::getxattr(group, *name, &mut value).is_ok_and(|length| &value[..length] == b"1"))
}

/// Whether the keeper that made this group is dead.
fn is_left_over(name: &str) -> bool {
    let keeper =
        name.strip_prefix(PREFIX).and_then(|name| name.split('-').next()?.parse().ok()).and_then(Pid::from_raw);
    keeper.is_some_and(|keeper| keeper == getpid() || test_kill_process(keeper) == Err(rustix::io::Errno::SRCH))
}
