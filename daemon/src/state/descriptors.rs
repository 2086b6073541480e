//! systemd's descriptor store: connections that outlive the process.
//!
//! An instance's connection goes there before its first message and leaves it when it ends. The
//! names say whose they are; what comes back under a name that nobody knows is closed.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use sd_notify::NotifyState;

/// What the names of our descriptors begin with; no listener's name has a dot.
const PREFIX: &str = "instance.";
/// How long systemd may take to take a descriptor in.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether somebody would keep descriptors for this process.
pub(super) fn is_there() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// The name of an instance's connection.
pub(super) fn name(server: &str, number: u64) -> String {
    format!("{PREFIX}{server}.{number:016x}")
}

/// The number of the instance whose connection has this name; `None` where it is none of ours.
pub(super) fn number(name: &str) -> Option<u64> {
    let (_, number) = name.strip_prefix(PREFIX)?.rsplit_once('.')?;
    u64::from_str_radix(number, 16).ok()
}

/// Whether a descriptor's name is one of ours.
pub fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// Hands a copy of a descriptor over, and waits until it has been taken in. Blocks.
pub(super) fn store(name: &str, descriptor: BorrowedFd<'_>) -> io::Result<()> {
    sd_notify::notify_with_fds(&[NotifyState::FdStore, NotifyState::FdName(name)], &[descriptor])?;
    barrier()
}

/// Has the copy of that name closed.
pub(super) fn remove(name: &str) {
    let removed = sd_notify::notify(&[NotifyState::FdStoreRemove, NotifyState::FdName(name)]);
    if let Err(error) = removed {
        tracing::warn!(name, "systemd is not told that a connection has ended: {error}");
    }
}

/// Waits until everything that was sent has been worked on (`sd_notify_barrier(3)`): the receiver
/// closes the end of a pipe when its turn has come.
fn barrier() -> io::Result<()> {
    let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
    sd_notify::notify_with_fds(&[NotifyState::Custom("BARRIER=1")], &[theirs.as_fd()])?;
    drop(theirs);
    hung_up(&ours, Instant::now() + PATIENCE)
}

fn hung_up(pipe: &OwnedFd, deadline: Instant) -> io::Result<()> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = Timespec::try_from(left).unwrap_or_default();
        match poll(&mut [PollFd::new(pipe, PollFlags::empty())], Some(&wait)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            // Nothing but the hang-up was asked for.
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_which_instance_and_is_a_valid_one() {
        let name = name("my-files", 0xab);
        assert_eq!(name, "instance.my-files.00000000000000ab");
        assert!(name.len() <= 255 && !name.contains(':'));
        assert_eq!(number(&name), Some(0xab));
        for other in ["", "public", "instance", "instance.x", "instance.x.y"] {
            assert_eq!(number(other), None, "{other}");
        }
    }
}
