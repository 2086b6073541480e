//! The ledger: what every call leaves behind, in memory. Whatever is shown of calls comes from here.
//!
//! Shape: each core has a [`Desk`], which its calls pass when they begin ([`Desk::begin`]), when it is known what they
//! are ([`Desk::learn`]), at each [`Stage`], and when they end ([`Desk::end`], from `stages/record.rs`). A desk counts
//! into a shelf of its own, whose locks are taken by that core and by readers, for one entry or for a few hundred steps. The one
//! [`Ledger`] of the gate sums all shelves for readers, on whichever thread asks, and gives types of the admin API:
//!
//! * [`Ledger::traffic`], [`Ledger::servers`], [`Ledger::server`], [`Ledger::methods`]: [`Traffic`](toolgate_admin_api::Traffic);
//! * [`Ledger::tools`], [`Ledger::clients`], [`Ledger::heat`]: rows of tables, in no order;
//! * [`Ledger::calls`], [`Ledger::call`]: calls in flight, and those that ended last;
//! * [`Ledger::subscribe`]: calls as they end, for the live tail;
//! * [`sessions`], [`picked_sessions`], [`session`]: conversations, with what went on in them.
//!
//! What counts: each JSON-RPC request, also one message of a batch, and each request that was refused before it was
//! read. Notifications, answers of clients and streams of sessions do not; the tail and the log have them all the same.
//! Rates are of the last minute, in parts of ten seconds. Times are of calls that were not refused.
//!
//! Must hold: all tables are bounded, and names that clients make up make no entry unless a server answers to them.

mod book;
mod conversations;
mod count;
mod desk;
mod heat;
mod live;
mod outcome;
mod past;
mod read;
mod row;
pub mod said;
mod series;
mod shelf;
mod spent;
mod tail;
mod telling;
mod totals;
mod what;

use std::sync::{Arc, Mutex};

pub use conversations::{picked_sessions, session, sessions};
pub use desk::{Desk, Facts};
pub use live::{Place, Stage};
pub use outcome::Outcome;
pub use row::{cut, server_of};
pub use spent::Spent;
pub use tail::{Filter, Tail};
pub use what::What;

use crate::core::Load;
use crate::lock::lock;
use shelf::Shelf;

/// The gate's ledger: the shelves of all cores.
#[derive(Debug, Default)]
pub struct Ledger {
    shelves: Mutex<Vec<Arc<Shelf>>>,
    answered: desk::Answered,
    /// Whoever makes metrics; the others wait.
    scrape: Arc<tokio::sync::Mutex<()>>,
}

impl Ledger {
    /// The side of one more core.
    #[must_use]
    pub fn desk(&self, load: &Arc<Load>) -> Desk {
        let fresh = Arc::new(Shelf::new(Arc::clone(load)));
        lock(&self.shelves).push(Arc::clone(&fresh));
        Desk::new(fresh, Arc::clone(&self.answered))
    }

    /// Shows calls that fit as they end, until the returned value is dropped; `None` where too many watch already.
    pub fn subscribe(&self, filter: Filter) -> Option<Tail> {
        // Held meanwhile, so that two who come at once find no more places than there are.
        let shelves = lock(&self.shelves);
        tail::subscribe(filter, shelves.iter().map(|shelf| &shelf.tails))
    }

    /// Has its caller make metrics, one after the other: it is work that must not multiply.
    pub async fn scrape<T: Send + 'static>(&self, make: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let turn = Arc::clone(&self.scrape).lock_owned().await;
        // The turn is the work's: whoever asked may be gone before it is done.
        let work = move || {
            let _turn = turn;
            make()
        };
        tokio::task::spawn_blocking(work).await.ok()
    }

    fn shelves(&self) -> Vec<Arc<Shelf>> {
        lock(&self.shelves).clone()
    }
}

#[cfg(test)]
mod tests;
