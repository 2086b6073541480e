//! Waits for whatever ends an instance: the command, the front, or a signal.
//!
//! `instance` calls it once. Closing a connection ends nothing by itself, so a command that does
//! not end soon after the end of its input is left to be killed.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{Shutdown, shutdown};
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};

use super::notice::Cause;
use super::signals::Signals;
use super::timespec;

/// What a command gets between the end of its input and being killed.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// Returns why it is over, and the command's status unless it must be killed.
pub(super) fn until_end(child: Pid, connection: &OwnedFd, signals: &Signals) -> (Cause, Option<WaitStatus>) {
    let mut ending: Option<(Cause, Instant)> = None;
    loop {
        signals.clear();
        if let Some(status) = reap(child) {
            // A command that ends with its input may be seen before the hang-up that ended it.
            let otherwise = if hung_up(connection) { Cause::Hangup } else { Cause::Exited };
            return (ending.map_or(otherwise, |(cause, _)| cause), Some(status));
        }
        // Both must be asked for: a flag left set would stop the next instant.
        let stop = signals.take_stop() | signals.take_hangup();
        if stop && let Some((cause, _)) = ending {
            return (cause, None);
        }
        if stop {
            // The command reads what was sent already, and then the end of its input.
            let _ = shutdown(connection, Shutdown::Read);
            ending = Some((Cause::Stopped, Instant::now() + GRACE));
        }
        let signal = PollFd::new(signals, PollFlags::IN);
        let Some((cause, deadline)) = ending else {
            let _ = poll(&mut [signal, PollFd::new(connection, PollFlags::RDHUP)], None);
            if hung_up(connection) {
                ending = Some((Cause::Hangup, Instant::now() + GRACE));
            }
            continue;
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return (cause, None);
        }
        // The hang-up is not waited for any more: that state stays.
        let _ = poll(&mut [signal], Some(&timespec(left)));
    }
}

fn hung_up(connection: &OwnedFd) -> bool {
    let mut watched = [PollFd::new(connection, PollFlags::RDHUP)];
    poll(&mut watched, Some(&timespec(Duration::ZERO))).is_ok_and(|ready| ready > 0)
}

/// Reaps everything that has ended, adopted orphans too; the command's status if it is among them.
fn reap(child: Pid) -> Option<WaitStatus> {
    let mut found = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == child {
            found = Some(status);
        }
    }
    found
}
