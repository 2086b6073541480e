//! What an instance's processes use together, counted one by one where no control group counts them.
//!
//! `servers::stdio` asks with the wrapper's process id; `/proc` is read from it downwards, so that other processes cost
//! nothing. Where `/proc` hides them, the numbers are absent.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use crate::cgroup::{self, Usage};

/// Processes of an instance that are looked at: one that forks without end must not hold up who looks.
const MOST: usize = 1_000;

/// What an instance uses: as its group counts, else as its processes add up to.
#[must_use]
pub fn usage(group: Option<&Path>, wrapper: u32) -> Usage {
    let counted = group.map_or_else(Usage::default, Usage::of);
    if counted.memory.is_some() {
        return counted;
    }
    let Some((memory, tasks)) = added(Path::new("/proc"), wrapper) else { return counted };
    Usage { memory: Some(memory), tasks: counted.tasks.or(Some(tasks)), ..counted }
}

/// The memory alone.
#[must_use]
pub fn memory(group: Option<&Path>, wrapper: u32) -> Option<u64> {
    group.and_then(cgroup::memory).or_else(|| added(Path::new("/proc"), wrapper).map(|(memory, _)| memory))
}

/// Resident bytes, what is shared counted in each, and threads, of a wrapper and all below it.
fn added(proc: &Path, wrapper: u32) -> Option<(u64, u64)> {
    // Seen from another namespace, the number may be somebody else's.
    let command = fs::read(proc.join(wrapper.to_string()).join("cmdline")).ok()?;
    command.split(|byte| *byte == 0).nth(1).filter(|word| *word == b"instance")?;
    let (mut memory, mut tasks) = (0, 0);
    let (mut left, mut seen) = (vec![wrapper], HashSet::new());
    while let Some(pid) = left.pop() {
        if seen.len() == MOST || !seen.insert(pid) {
            continue;
        }
        let folder = proc.join(pid.to_string());
        // One that has ended meanwhile uses nothing.
        memory += resident(&folder).unwrap_or(0);
        for thread in fs::read_dir(folder.join("task")).into_iter().flatten().flatten() {
            tasks += 1;
            left.extend(children(&thread.path()));
        }
    }
    (memory > 0).then_some((memory, tasks))
}

fn resident(folder: &Path) -> Option<u64> {
    let text = fs::read_to_string(folder.join("statm")).ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

fn children(thread: &Path) -> Vec<u32> {
    let text = fs::read_to_string(thread.join("children")).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Processes as `/proc` shows them: id, pages, children.
    fn proc(processes: &[(u32, u64, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (pid, pages, children) in processes {
            let process = folder.path().join(pid.to_string());
            let thread = process.join("task").join(pid.to_string());
            fs::create_dir_all(&thread).unwrap();
            fs::write(process.join("statm"), format!("9999 {pages} 1 1 0 1 0\n")).unwrap();
            fs::write(process.join("cmdline"), "toolgated\0instance\0web\0").unwrap();
            fs::write(thread.join("children"), children).unwrap();
        }
        folder
    }

    #[test]
    fn all_below_a_wrapper_are_added_and_nobody_else() {
        let proc = proc(&[(7, 10, "8 9 "), (8, 20, "10"), (9, 5, ""), (10, 1, "7"), (11, 1000, "")]);
        let page = rustix::param::page_size() as u64;
        assert_eq!(added(proc.path(), 7), Some((36 * page, 4)));
    }

    #[test]
    fn a_process_that_is_no_wrapper_is_not_counted() {
        let proc = proc(&[(7, 10, "")]);
        fs::write(proc.path().join("7/cmdline"), "sshd\0-D\0").unwrap();
        assert_eq!(added(proc.path(), 7), None);
        assert_eq!(added(proc.path(), 8), None);
    }

    #[test]
    fn what_a_group_counts_is_preferred() {
        let group = tempfile::tempdir().unwrap();
        fs::write(group.path().join("memory.current"), "4096\n").unwrap();
        assert_eq!(usage(Some(group.path()), u32::MAX).memory, Some(4096));
        assert_eq!(memory(Some(group.path()), u32::MAX), Some(4096));
        assert_eq!(usage(None, u32::MAX), Usage::default());
    }
}
