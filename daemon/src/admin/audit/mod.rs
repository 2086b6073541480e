//! The record of changes: who changed what through the admin sockets, or tried to.
//!
//! [`watched`] is what every route that changes something goes through, so that no change can forget it. Each record
//! is a line of the audit log and one of the journal; the change is answered once its line is on the disk, or after a
//! second.

mod note;
mod search;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use toolgate_admin_api::{ApiError, ErrorCode};
use tracing::warn;

use super::operations::{Operations, Peer};
use super::routes::{Answer, Request, Route};
use crate::clock;
use crate::lock::lock;
use crate::observe::logging::AUDIT;
use crate::observe::{Shown, panics};
pub use note::who;
pub(super) use note::{MOST_REASON, action, says_too_much};
pub(super) use search::query;
pub(crate) use search::unreadable;

/// Between two lines of one user's refused changes.
const SELDOM: Duration = Duration::from_secs(10);

/// Runs a route that changes something, and records what came of it. What was only rehearsed is not recorded.
pub(super) fn watched(route: &Route, daemon: &dyn Operations, request: &Request) -> Answer {
    let answer = match panics::catch(|| in_time(route, daemon, request)) {
        Ok(answer) => answer,
        Err(_) => Err(ApiError::new(ErrorCode::Internal, "The daemon failed at this; its log says how.")),
    };
    let asked = note::asked(&request.body);
    if !asked.dry_run {
        let at_ms = clock::unix_millis();
        daemon.record(note::record(route, request, &asked, &answer, (at_ms, daemon.version().revision)));
    }
    answer
}

/// A change that was made for another revision than the running one is refused.
fn in_time(route: &Route, daemon: &dyn Operations, request: &Request) -> Answer {
    match route.is_for(request) {
        None => route.perform(daemon, request),
        Some(revision) => daemon.at_revision(revision, &mut || route.perform(daemon, request)),
    }
}

/// A change that somebody tried on the socket that changes nothing: for the journal alone, since whoever may only look
/// must not be able to fill the record; nor the journal: a line for each user in [`SELDOM`].
pub(super) fn refused(peer: &Peer, method: &http::Method, path: &str) {
    static TOLD: Mutex<Refusals> = Mutex::new(Refusals(BTreeMap::new()));
    let Some(untold) = lock(&TOLD).tell(peer.uid, Instant::now()) else { return };
    warn!(target: AUDIT, uid = peer.uid, pid = peer.pid, %method, path = %Shown(path), untold, "a change was refused on the view socket");
}

/// When each user was last told of, and how many refusals were not since.
#[derive(Debug)]
struct Refusals(BTreeMap<u32, (Instant, u64)>);

impl Refusals {
    /// Takes note of a refusal; where it is to be told, with how many before it were not.
    fn tell(&mut self, uid: u32, now: Instant) -> Option<u64> {
        let is_over = |since: Instant| now.saturating_duration_since(since) >= SELDOM;
        if let Some((since, untold)) = self.0.get_mut(&uid)
            && !is_over(*since)
        {
            *untold += 1;
            return None;
        }
        let untold = self.0.remove(&uid).map_or(0, |(_, untold)| untold);
        // Those of whom nothing is left to tell.
        self.0.retain(|_, (since, untold)| *untold > 0 || !is_over(*since));
        self.0.insert(uid, (now, 0));
        Some(untold)
    }
}
