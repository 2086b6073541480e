//! Whether a server's tools were listed lately enough to rely on, and the one list for which all wait who must.
//!
//! What a tool wants may be asked for again behind a call's back ([`super::tools`]); whether it is still what was
//! accepted may not: that call waits, or is refused.

use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use toolgate_protocol::revision::MODERN;

use super::{Extent, FRESH, list};
use crate::clock;
use crate::core::Core;
use crate::failure::{Failure, Kind};
use crate::lock::lock;
use crate::servers::Server;
use crate::servers::eras::introduced_in_any;

/// No time at all.
const NEVER: u64 = u64::MAX;

/// When a server's tools were last listed, all of them.
#[derive(Debug)]
pub(super) struct Recent {
    /// When that list began, by our clock in milliseconds, so that whatever changed since counts as unknown. [`NEVER`]
    /// where the server has said since that they changed.
    since: AtomicU64,
    /// How often that was said. Its lock is held by whoever writes the time.
    changes: Mutex<u64>,
    /// The list that calls wait for.
    flight: Mutex<Option<Flight>>,
}

/// Set when the list has ended; the sender goes with it.
type Flight = watch::Receiver<Option<Result<(), Failure>>>;

/// A list that has begun.
#[derive(Debug, Clone, Copy)]
pub(super) struct Began {
    at: u64,
    changes: u64,
}

impl Default for Recent {
    fn default() -> Self {
        Self { since: AtomicU64::new(NEVER), changes: Mutex::default(), flight: Mutex::default() }
    }
}

impl Recent {
    /// Whether all tools were listed within the last minute.
    pub(super) fn holds(&self) -> bool {
        let since = self.since.load(Ordering::Acquire);
        since != NEVER && clock::millis_since(since) < FRESH
    }

    /// A list begins.
    pub(super) fn begins(&self) -> Began {
        Began { at: clock::millis(), changes: *lock(&self.changes) }
    }

    /// It has ended, and was whole. One in which the server said that its tools changed may have begun with the old ones.
    pub(super) fn ends(&self, began: Began) {
        let changes = lock(&self.changes);
        if *changes == began.changes {
            self.since.store(began.at, Ordering::Release);
        }
    }

    /// The server says that its tools have changed.
    pub(super) fn void(&self) {
        let mut changes = lock(&self.changes);
        *changes += 1;
        self.since.store(NEVER, Ordering::Release);
    }

    /// The list that is under way, or the one that `begin` begins. One whose core has ended will not be answered.
    fn join(&self, begin: impl FnOnce() -> Flight) -> Flight {
        let mut flight = lock(&self.flight);
        match &*flight {
            Some(flight) if flight.has_changed().is_ok() => flight.clone(),
            _ => flight.insert(begin()).clone(),
        }
    }
}

/// Waits until all tools of a server have been listed within the last minute. All who wait share one list, which goes
/// on when one of them leaves.
///
/// # Errors
/// Why they could not be listed, all of them.
pub async fn recently_listed(core: &Rc<Core>, server: &Arc<Server>) -> Result<(), Failure> {
    let recent = &server.catalog.recent;
    if recent.holds() {
        return Ok(());
    }
    let mut flight = recent.join(|| depart(core, server));
    let landed = flight.wait_for(Option::is_some).await.ok().and_then(|landed| landed.clone());
    landed.unwrap_or_else(|| Err(trouble(server, "was not asked for its tools to the end")))
}

fn depart(core: &Rc<Core>, server: &Arc<Server>) -> Flight {
    let (lands, flight) = watch::channel(None);
    let (core, server) = (Rc::clone(core), Arc::clone(server));
    tokio::task::spawn_local(async move {
        lands.send_replace(Some(list_whole(&core, &server).await));
    });
    flight
}

async fn list_whole(core: &Rc<Core>, server: &Arc<Server>) -> Result<(), Failure> {
    // Whoever has been silent may have to be started first, and has a time of its own for that.
    introduced_in_any(core, server, MODERN).await?;
    let _asking = server.catalog.asking.lock().await;
    if server.catalog.recent.holds() {
        // Somebody else listed them meanwhile.
        return Ok(());
    }
    match list(core, server).await?.1 {
        Extent::Whole => Ok(()),
        Extent::Refused => Err(trouble(server, "answered with an error where it was asked for its tools")),
        Extent::Endless => Err(trouble(server, "has a list of tools that does not come to an end")),
    }
}

fn trouble(server: &Server, what: &str) -> Failure {
    Failure::new(Kind::ServerGarbage, format!("The server {} {what}.", server.settings.name))
}

#[cfg(test)]
mod tests;
