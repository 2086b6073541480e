//! Has secrets in files read again when they change, without a signal from whoever changed them.
//!
//! A thread of its own, started with the cores: a file system that hangs must not hold up anything that serves.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::Builder;
use std::time::Duration;

use crate::gate::Gate;

/// Between two looks: who replaces a secret sees it in use within a second.
const INTERVAL: Duration = Duration::from_millis(500);

/// Looks until it is dropped.
#[derive(Debug)]
pub struct Watch {
    /// Dropped, it ends the thread at its next turn.
    _end: mpsc::Sender<()>,
}

impl Watch {
    /// Looks after the secrets of all servers, whichever these are at the time.
    pub fn start(gate: &Arc<Gate>) -> io::Result<Self> {
        let (end, ended) = mpsc::channel::<()>();
        let gate = Arc::clone(gate);
        Builder::new().name("secrets".into()).spawn(move || {
            while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                for server in gate.policy.load_full().servers.values() {
                    server.look_at_secrets();
                }
            }
        })?;
        Ok(Self { _end: end })
    }
}
