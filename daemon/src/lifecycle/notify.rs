//! What systemd is told of the process. Without systemd each call does nothing.
//!
//! `run`, the reload, the drain and the watchdog call it. A message that cannot be delivered is
//! logged and costs nothing else.

use std::time::Duration;

use sd_notify::NotifyState;

/// Listeners are bound and the first pass over critical servers is done.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A reload begins. It ends when this is dropped, whatever came of it; `line` is the status from then on.
#[must_use]
pub fn reloading<L: Fn() -> String>(line: L) -> Reloading<L> {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!("systemd is not told of the reload: {error}"),
    }
    Reloading(line)
}

/// A reload that runs.
#[derive(Debug)]
pub struct Reloading<L: Fn() -> String>(L);

impl<L: Fn() -> String> Drop for Reloading<L> {
    fn drop(&mut self) {
        ready(&(self.0)());
    }
}

/// One line for `systemctl status`.
pub fn status(status: &str) {
    send(&[NotifyState::Status(status)]);
}

/// The drain begins and may take this long.
pub fn stopping(within: Duration) {
    let within = u32::try_from(within.as_micros()).unwrap_or(u32::MAX);
    send(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(within)]);
}

/// Everything that must make progress does.
pub fn alive() {
    send(&[NotifyState::Watchdog]);
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("systemd is not told of {state:?}: {error}");
    }
}
