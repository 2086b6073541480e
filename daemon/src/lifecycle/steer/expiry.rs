//! The thread that notices when the time of a change by hand is over.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::thread::Builder;
use std::time::Duration;

use super::super::daemon::Daemon;

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
        self.level_is_over();
    }
}
