//! The thread that notices when the time of a change by hand is over, of a key, or of a token.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::thread::Builder;
use std::time::Duration;

use super::super::daemon::Daemon;
use crate::lock::lock;

const INTERVAL: Duration = Duration::from_millis(500);

/// Looks until dropped.
#[derive(Debug)]
pub(in super::super) struct Expiry {
    /// Dropped, it ends the thread.
    _end: mpsc::Sender<()>,
}

impl Expiry {
    /// Starts the thread.
    pub(in super::super) fn start(daemon: &Arc<Daemon>) -> io::Result<Self> {
        let (end, ended) = mpsc::channel::<()>();
        let daemon: Weak<Daemon> = Arc::downgrade(daemon);
        Builder::new().name("expiry".into()).spawn(move || {
            while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let Some(daemon) = daemon.upgrade() else { return };
                daemon.look_for_ends();
            }
        })?;
        Ok(Self { _end: end })
    }
}

impl Daemon {
    fn look_for_ends(&self) {
        if self.gate.steering.tidy() {
            self.follow_by_hand();
        }
        self.end_at_deadlines();
        self.streams_are_over();
        self.keys_are_over();
        self.limits_are_over();
        self.level_is_over();
        self.gate.seal.tend();
        self.gate.policy.load().grants.follow_seal();
    }

    /// Ends limits by hand with their times by the wall clock: their own clock does not follow where it is set.
    fn limits_are_over(&self) {
        if self.gate.steering.forgotten(&self.gate.policy.load().limits).is_empty() {
            return;
        }
        // Whoever adds one has the turn until the book has it.
        let _turn = lock(&self.turn);
        let policy = self.gate.policy.load_full();
        if self.gate.steering.end_forgotten(&policy.limits) {
            self.gate.policy.store(Arc::new(policy.with_limits_anew()));
        }
    }
}
