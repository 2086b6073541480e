//! The processes below this one, and their end.
//!
//! The wrapper and the keeper are subreapers: an orphan among their descendants becomes their own
//! child. So killing the children, again and again, reaches every descendant; and the process id
//! of a child cannot be reused before its parent has reaped it, so no stranger is ever hit.

use std::fs;
use std::io;
use std::time::Instant;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, wait, waitpid};

/// Kills and reaps every descendant, those that left their group or session included.
///
/// `reaped` is told each process that ended. Returns once none is left. Processes that fork faster
/// than they are killed can outrun it until the deadline, which is an error; a control group, where
/// there is one, ends them.
pub(crate) fn end_all(deadline: Instant, mut reaped: impl FnMut(Pid, WaitStatus)) -> io::Result<()> {
    loop {
        if Instant::now() >= deadline {
            return Err(io::Error::other("they fork faster than they are killed"));
        }
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => reaped(pid, status),
            // Without children there are no descendants: the orphans among them are children.
            Err(Errno::CHILD) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
            Ok(None) => {
                for child in children()? {
                    let _ = kill_process(child, Signal::KILL);
                    if let Ok(Some((pid, status))) = waitpid(Some(child), WaitOptions::empty()) {
                        reaped(pid, status);
                    }
                }
            }
        }
    }
}

/// Process ids of this process's children, zombies included.
pub(crate) fn children() -> io::Result<Vec<Pid>> {
    let own = getpid();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else {
            continue;
        };
        // A process that ended meanwhile is no longer of interest.
        let Ok(stat) = fs::read(entry.path().join("stat")) else { continue };
        if parent(&stat) == Some(own) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// The parent in a line of `/proc/PID/stat`. The name before it is in parentheses and may itself
/// contain parentheses and spaces: the last one ends it.
fn parent(stat: &[u8]) -> Option<Pid> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let parent = stat.get(end + 1..)?.split(|&byte| byte == b' ').filter(|field| !field.is_empty()).nth(1)?;
    Pid::from_raw(std::str::from_utf8(parent).ok()?.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_the_parent() {
        assert_eq!(parent(b"12 (sh) S 7 12 12 0 -1"), Pid::from_raw(7));
        assert_eq!(parent(b"12 (x) S 1 (y) S 7 12"), Pid::from_raw(7));
        assert_eq!(parent(b"12 (kthreadd) S 0 0 0"), None);
        assert_eq!(parent(b"12 (sh"), None);
        assert_eq!(parent(b"12 (sh)"), None);
    }

    #[test]
    fn nobody_is_killed_for_ever() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        // Past already: other tests have children too, which must not be touched.
        let ended = end_all(Instant::now(), |_, _| {});
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(ended.is_err());
    }

    #[test]
    fn a_child_is_found() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let found = children().unwrap();
        child.kill().unwrap();
        let pid = Pid::from_child(&child);
        child.wait().unwrap();
        assert!(found.contains(&pid));
        assert!(!children().unwrap().contains(&pid));
    }
}
