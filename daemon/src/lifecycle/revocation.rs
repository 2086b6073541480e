//! The thread that notices revoked certificates of clients, and ends what goes on in their names.
//!
//! It looks so often that what goes on ends within a second of a new list. Requests need it only to notice: each holds
//! its connection's certificate against what is known by then.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::thread::Builder;
use std::time::Duration;

use super::daemon::Daemon;
use crate::audit::Event;
use crate::gate::Gate;
use crate::listen::open::OpenListener;
use crate::running::Whom;
use crate::stages::certified;

/// Twice this is how long a change takes to be noticed, once it has come to rest.
const INTERVAL: Duration = Duration::from_millis(250);

/// Looks until dropped.
#[derive(Debug)]
pub(super) struct Revocation {
    /// Dropped, it ends the thread at its next turn.
    _end: mpsc::Sender<()>,
}

impl Revocation {
    /// Starts the thread.
    pub(super) fn start(daemon: &Arc<Daemon>) -> io::Result<Self> {
        let (end, ended) = mpsc::channel::<()>();
        let daemon: Weak<Daemon> = Arc::downgrade(daemon);
        Builder::new().name("revocation".into()).spawn(move || {
            let mut known = Generations::new();
            while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let Some(daemon) = daemon.upgrade() else { return };
                let now = look(&daemon.gate);
                if now != known {
                    known = now;
                    daemon.end_unfit();
                }
            }
        })?;
        Ok(Self { _end: end })
    }
}

/// Of the listeners that ask for certificates, and that did.
type Generations = BTreeMap<String, u64>;

/// Reads what changed on disk.
fn look(gate: &Gate) -> Generations {
    let mut generations = Generations::new();
    for listener in gate.observed.listeners() {
        poll(&listener);
        let generation = listener.clients.load(Ordering::Acquire);
        generations.insert(listener.settings().name.clone(), generation);
    }
    generations
}

fn poll(listener: &OpenListener) {
    let secured = listener.secured();
    let Some(authority) = secured.as_ref().and_then(|secured| secured.clients.as_ref()) else { return };
    if let Some(error) = authority.poll() {
        tracing::error!(
            listener = listener.settings().name,
            "clients' certificates are not held against a new file, the one before still holds: {error}"
        );
    }
}

impl Daemon {
    /// Ends the calls of connections whose certificates are not good any more, and the sessions of clients who have
    /// shown no other certificate that is.
    fn end_unfit(&self) {
        let failure = Arc::new(certified::cut_short());
        let connections: usize = self
            .on_each_core(move |core| {
                let unfit = core.certified.unfit();
                let count = unfit.len();
                if count > 0 {
                    core.running.order(&Whom::Certified(Arc::new(unfit)), &failure);
                    core.drain.ring();
                }
                count
            })
            .into_iter()
            .sum();
        let lost = self.gate.holders.review();
        if connections == 0 && lost.is_empty() {
            return;
        }
        let outcome = self.end_those(|session| lost.contains(&session.client), false);
        for client in &lost {
            self.gate.audit.tell(Event::new("ended").with("client", client).with("reason", "certificate"));
        }
        tracing::warn!(
            connections,
            clients = lost.len(),
            sessions = outcome.sessions,
            "certificates of clients are not good any more: what went on in their names has ended"
        );
    }
}
