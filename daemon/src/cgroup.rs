//! A control group, and what the kernel counts in it.
//!
//! A wrapper finds its own and names it to the gate, which reads its numbers; the keeper makes
//! groups below its own. Where there are none, or the kernel counts less, a number is absent.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// Where the unified hierarchy is mounted on every machine that systemd runs.
const ROOT: &str = "/sys/fs/cgroup";

/// The slice of all instances that systemd starts.
const SLICE: &str = "toolgate.slice/toolgate-servers.slice";

/// What the processes of a group use together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// The most bytes so far.
    pub memory_peak: Option<u64>,
    /// Processes and threads.
    pub tasks: Option<u64>,
    /// Processes that the kernel killed because memory ran out.
    pub oom_kills: Option<u64>,
}

impl Usage {
    /// The numbers of this moment.
    #[must_use]
    pub fn of(group: &Path) -> Self {
        let number = |file: &str| fs::read_to_string(group.join(file)).ok()?.trim().parse().ok();
        let events = fs::read_to_string(group.join("memory.events")).unwrap_or_default();
        Self {
            memory: memory(group),
            memory_peak: number("memory.peak"),
            tasks: number("pids.current"),
            oom_kills: events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok()),
        }
    }
}

/// Bytes of memory that a group uses.
#[must_use]
pub fn memory(group: &Path) -> Option<u64> {
    fs::read_to_string(group.join("memory.current")).ok()?.trim().parse().ok()
}

/// This process's own group; the error says why it has none.
pub(crate) fn own() -> Result<PathBuf, String> {
    let membership = fs::read_to_string("/proc/self/cgroup").map_err(|e| format!("/proc/self/cgroup: {e}"))?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(|e| format!("/proc/self/mountinfo: {e}"))?;
    own_group(&membership, &mounts).ok_or_else(|| "no cgroup v2 here".to_owned())
}

/// The group that an instance names as its own, where it can be one.
#[must_use]
pub fn named(path: &Path) -> Option<PathBuf> {
    let straight = path.components().all(|part| part != Component::ParentDir);
    (straight && path.starts_with(ROOT)).then(|| path.to_owned())
}

/// The group of an instance of which only the process is known, where systemd started it.
#[must_use]
pub fn of_instance(server: &str, pid: u32) -> Option<PathBuf> {
    let groups = fs::read_dir(Path::new(ROOT).join(SLICE)).ok()?;
    let prefix = format!("toolgate-server-{server}@");
    let mut groups = groups.flatten().filter(|group| group.file_name().to_string_lossy().starts_with(&prefix));
    groups.find_map(|group| {
        let processes = fs::read_to_string(group.path().join("cgroup.procs")).ok()?;
        processes.lines().any(|line| line.parse() == Ok(pid)).then(|| group.path())
    })
}

/// Where this process's group of the unified hierarchy is in the file system.
fn own_group(membership: &str, mounts: &str) -> Option<PathBuf> {
    let group = Path::new(membership.lines().find_map(|line| line.strip_prefix("0::"))?);
    mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        if kind.split(' ').next()? != "cgroup2" {
            return None;
        }
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        Some(Path::new(point).join(group.strip_prefix(root).ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "30 25 0:26 / /sys/fs/cgroup rw,nosuid - tmpfs tmpfs rw\n\
        31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:5 - cgroup2 cgroup2 rw\n\
        32 30 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n";

    #[test]
    fn the_own_group_is_found_beside_those_of_the_first_version() {
        let membership = "8:pids:/x\n4:memory:/y\n0::/user.slice/s-1.scope\n";
        assert_eq!(own_group(membership, MOUNTS), Some("/sys/fs/cgroup/unified/user.slice/s-1.scope".into()));
        assert_eq!(own_group("0::/\n", MOUNTS), Some("/sys/fs/cgroup/unified/".into()));
        assert_eq!(own_group("8:pids:/x\n", MOUNTS), None);
        assert_eq!(own_group("0::/x\n", ""), None);
    }

    #[test]
    fn a_mount_of_a_part_of_the_tree_is_understood() {
        let mounts = "31 30 0:27 /box /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(own_group("0::/box/inner\n", mounts), Some("/sys/fs/cgroup/inner".into()));
        assert_eq!(own_group("0::/other\n", mounts), None);
    }

    #[test]
    fn a_number_that_the_kernel_does_not_count_is_absent() {
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| fs::write(folder.path().join(file), text).unwrap();
        assert_eq!(Usage::of(folder.path()), Usage::default());
        write("memory.current", "4096\n");
        write("memory.events", "low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\noom_group_kill 0\n");
        write("pids.current", "3\n");
        let usage = Usage { memory: Some(4096), memory_peak: None, tasks: Some(3), oom_kills: Some(1) };
        assert_eq!(Usage::of(folder.path()), usage);
    }

    #[test]
    fn a_name_leads_nowhere_but_to_groups() {
        assert!(named(Path::new("/sys/fs/cgroup/a")).is_some());
        assert!(named(Path::new("/etc")).is_none());
        assert!(named(Path::new("/sys/fs/cgroup/../../../etc")).is_none());
    }
}
