//! Calls under way that others wait for, since they ask the same.
//!
//! Who comes first leads, the others follow, as long as nothing has made all answers void since it came: its answer may be
//! from before that. A leader that is cancelled leaves its place to one of those that follow;
//! one that fails, or whose answer cannot be kept, lets them all go their own ways.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use foldhash::fast::RandomState;
use tokio::sync::watch;

use super::Entry;
use super::key::Key;

use crate::lock::lock;

/// Calls under way by what they ask.
#[derive(Debug, Default)]
pub(super) struct Flights {
    calls: Mutex<HashMap<Place, watch::Receiver<Landing>, RandomState>>,
    /// Those that follow.
    waiting: AtomicU64,
}

/// What is asked, and in which of the cache's epochs.
type Place = (Key, u64);

/// How a flight stands.
#[derive(Debug, Clone)]
enum Landing {
    Flying,
    Landed(Arc<Entry>),
    Failed,
}

/// Whose turn it is to call.
pub(super) enum Joined {
    Leads(Flight),
    Follows(Follower),
}

/// A call that others wait for. Dropped before it has landed, its place is free.
#[derive(Debug)]
pub(super) struct Flight {
    flights: Arc<Flights>,
    place: Place,
    landing: watch::Sender<Landing>,
}

/// A call that waits for another.
pub(in crate::answers) struct Follower {
    flights: Arc<Flights>,
    landing: watch::Receiver<Landing>,
}

/// What comes of waiting.
pub(in crate::answers) enum Waited {
    /// The answer.
    Landed(Arc<Entry>),
    /// There will be none to share.
    Failed,
    /// Nobody works at it any more.
    Abandoned,
}

impl Flights {
    pub(super) fn join(self: &Arc<Self>, key: Key, epoch: u64) -> Joined {
        let place = (key, epoch);
        let mut flights = self.lock();
        if let Some(landing) = flights.get(&place) {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            return Joined::Follows(Follower { flights: Arc::clone(self), landing: landing.clone() });
        }
        let (landing, watched) = watch::channel(Landing::Flying);
        flights.insert(place, watched);
        Joined::Leads(Flight { flights: Arc::clone(self), place, landing })
    }

    /// How many calls wait for another.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Place, watch::Receiver<Landing>, RandomState>> {
        lock(&self.calls)
    }
}

impl Flight {
    /// Gives the answer to all who wait. Whoever comes later finds it in the cache already.
    pub(super) fn land(self, entry: &Arc<Entry>) {
        self.landing.send_replace(Landing::Landed(Arc::clone(entry)));
    }

    /// Sends all who wait to the server.
    pub(super) fn fail(self) {
        self.landing.send_replace(Landing::Failed);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.place);
    }
}

impl Follower {
    /// Waits for the end of the flight.
    pub(in crate::answers) async fn wait(&mut self) -> Waited {
        match self.landing.wait_for(|landing| !matches!(landing, Landing::Flying)).await.as_deref() {
            Ok(Landing::Landed(entry)) => Waited::Landed(Arc::clone(entry)),
            Ok(Landing::Failed | Landing::Flying) => Waited::Failed,
            Err(_) => Waited::Abandoned,
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.flights.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = [1; 32];

    fn leader(flights: &Arc<Flights>) -> Flight {
        match flights.join(KEY, 0) {
            Joined::Leads(flight) => flight,
            Joined::Follows(_) => panic!("somebody else leads"),
        }
    }

    fn follower(flights: &Arc<Flights>) -> Follower {
        match flights.join(KEY, 0) {
            Joined::Follows(follower) => follower,
            Joined::Leads(_) => panic!("nobody leads"),
        }
    }

    #[tokio::test]
    async fn one_answer_is_for_all_who_ask_the_same() {
        let flights = Arc::default();
        let flight = leader(&flights);
        let (mut one, mut two) = (follower(&flights), follower(&flights));
        assert_eq!(flights.waiting(), 2);
        assert!(matches!(flights.join([2; 32], 0), Joined::Leads(_)), "who asks something else waits for nobody");
        let entry = Arc::new(Entry::for_tests(b"{}"));
        flight.land(&entry);
        for waiting in [&mut one, &mut two] {
            assert!(matches!(waiting.wait().await, Waited::Landed(landed) if Arc::ptr_eq(&landed, &entry)));
        }
        drop(one);
        assert_eq!((flights.len(), flights.waiting()), (0, 1));
    }

    #[tokio::test]
    async fn nobody_follows_a_call_from_before_a_change() {
        let flights = Arc::default();
        let before = leader(&flights);
        let mut early = follower(&flights);
        let Joined::Leads(after) = flights.join(KEY, 1) else { panic!("its answer would be void") };
        assert!(matches!(flights.join(KEY, 1), Joined::Follows(_)));
        // The end of one is not the end of the other.
        drop(before);
        assert!(matches!(early.wait().await, Waited::Abandoned));
        assert!(matches!(flights.join(KEY, 1), Joined::Follows(_)));
        drop(after);
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn a_leader_that_is_gone_leaves_its_place_and_one_that_fails_lets_all_go() {
        let flights = Arc::default();
        let flight = leader(&flights);
        let (mut one, mut two) = (follower(&flights), follower(&flights));
        drop(flight);
        assert!(matches!(one.wait().await, Waited::Abandoned));
        let second = leader(&flights);
        assert!(matches!(two.wait().await, Waited::Abandoned));
        let mut three = follower(&flights);
        second.fail();
        assert!(matches!(three.wait().await, Waited::Failed));
        assert_eq!(flights.len(), 0);
    }
}
