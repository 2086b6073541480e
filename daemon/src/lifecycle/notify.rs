//! What systemd is told. Outside of systemd nothing is sent.

use std::time::Duration;

use sd_notify::{NotifyState, notify};
use tracing::debug;

/// Ready, after the start and after each reload.
pub fn ready() {
    send(&[NotifyState::Ready]);
}

/// A reload begins; the stamp must be of the monotonic clock and in the same datagram.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(stamp) => send(&[NotifyState::Reloading, stamp]),
        Err(problem) => debug!(%problem, "the reload was not announced"),
    }
}

/// The end begins and may take this long.
pub fn stopping(time: Duration) {
    let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    send(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(micros)]);
}

/// One line for `systemctl status`.
pub fn status(text: &str) {
    send(&[NotifyState::Status(text)]);
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(problem) = notify(states) {
        debug!(%problem, "systemd was not told");
    }
}
