//! Notices renewed certificates on disk, without a signal from whoever renewed them.
//!
//! A thread of its own, started with the listeners: a file system that hangs must not hold up
//! anything that serves.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::open::OpenListener;

/// Between two looks. A change is served by the second look after it, so that health tells within a second what is
/// served from now on.
const INTERVAL: Duration = Duration::from_millis(300);

/// Looks after the certificates of these listeners until dropped.
#[derive(Debug)]
pub struct Renewal {
    listeners: Arc<ArcSwap<Vec<Arc<OpenListener>>>>,
    /// Dropped, it ends the thread at its next turn.
    _end: mpsc::Sender<()>,
}

impl Renewal {
    /// Starts with no listeners.
    pub fn start() -> io::Result<Self> {
        let listeners: Arc<ArcSwap<Vec<_>>> = Arc::default();
        let (end, ended) = mpsc::channel::<()>();
        let watched = Arc::clone(&listeners);
        Builder::new().name("certificates".into()).spawn(move || {
            while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                watched.load().iter().for_each(look);
            }
        })?;
        Ok(Self { listeners, _end: end })
    }

    /// Those that it looks after, whichever they are at the time.
    pub fn followed(&self) -> Arc<ArcSwap<Vec<Arc<OpenListener>>>> {
        Arc::clone(&self.listeners)
    }

    /// Looks after these from now on.
    pub fn follow(&self, listeners: Vec<Arc<OpenListener>>) {
        self.listeners.store(Arc::new(listeners));
    }
}

fn look(listener: &Arc<OpenListener>) {
    let Some(secured) = listener.secured() else {
        return;
    };
    for error in secured.certificates.poll(Instant::now()) {
        tracing::error!(
            listener = listener.settings().name,
            "a new certificate is not served, the one before still is: {error}"
        );
    }
}
