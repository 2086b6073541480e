//! What one client may have of a server at once, where the operator bounds it.
//!
//! A client at its bound is not refused: its further calls wait for its own to end, in a line of their own, and
//! enter the server's line only then. So one client never has more places there than it may have calls in flight.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use foldhash::fast::RandomState;
use toolgate_protocol::permits;

use super::Queue;

use crate::lock::lock;

/// Locks among which clients are spread, so that calls of different clients seldom meet.
const SHARDS: usize = 16;

/// One client's part of all that may wait for its own calls, so that others have room there too.
const SHARE: usize = 4;

type Shard = HashMap<u64, Arc<Queue>, RandomState>;

/// A queue per client that has calls at the server.
pub(super) struct PerClient {
    /// Calls of a client at once; 0: no bound.
    max: AtomicUsize,
    shards: [Mutex<Shard>; SHARDS],
    /// Calls of all clients that wait for their own.
    aside: AtomicUsize,
    max_aside: AtomicUsize,
    /// Nanoseconds.
    timeout: AtomicU64,
}

/// A call that waits for its client's own; counted until dropped.
pub(super) struct Aside<'a>(&'a AtomicUsize);

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a bound means as a number of permits.
fn cap(max: usize) -> usize {
    if max == 0 { permits::MAX } else { max }
}

impl PerClient {
    pub(super) fn new(max: usize, max_aside: usize, timeout: Duration) -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        let (max_aside, timeout) = (AtomicUsize::new(max_aside), AtomicU64::new(super::nanos(timeout)));
        Self { max: AtomicUsize::new(max), shards, aside: AtomicUsize::new(0), max_aside, timeout }
    }

    /// The client's own queue; `None` where there is no bound.
    pub(super) fn of(&self, client: u64) -> Option<Arc<Queue>> {
        if self.max.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut shard = self.shard(client);
        // Read again: a new bound is set before the queues that have the old one are looked for.
        let max = self.max.load(Ordering::Relaxed);
        let new = || {
            let (max_size, timeout) = self.bounds();
            Queue::new(cap(max), max_size, timeout)
        };
        Some(Arc::clone(shard.entry(client).or_insert_with(new)))
    }

    /// Room for a call that has to wait for its client's own.
    pub(super) fn step_aside(&self) -> Option<Aside<'_>> {
        let max = self.max_aside.load(Ordering::Relaxed);
        let more = |waiting| (waiting < max).then_some(waiting + 1);
        self.aside.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Aside(&self.aside))
    }

    pub(super) fn waiting(&self) -> usize {
        self.aside.load(Ordering::Relaxed)
    }

    pub(super) fn set_max(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
        let queues: Vec<_> = self.all().flat_map(|shard| shard.values().cloned().collect::<Vec<_>>()).collect();
        // Without a lock of ours: whoever is let in goes on at once.
        for queue in queues {
            queue.set_cap(cap(max));
        }
    }

    /// How many calls of one client may wait for its own, and for how long.
    fn bounds(&self) -> (usize, Duration) {
        let timeout = Duration::from_nanos(self.timeout.load(Ordering::Relaxed));
        (self.max_aside.load(Ordering::Relaxed).div_ceil(SHARE), timeout)
    }

    pub(super) fn bound(&self, max_aside: usize, timeout: Duration) {
        self.max_aside.store(max_aside, Ordering::Relaxed);
        self.timeout.store(super::nanos(timeout), Ordering::Relaxed);
        let (max_size, timeout) = self.bounds();
        for shard in self.all() {
            shard.values().for_each(|queue| queue.bound(max_size, timeout));
        }
    }

    /// Has calls refused that wait for their clients' own.
    pub(super) fn purge(&self, client: Option<u64>) -> usize {
        let own = |shard: MutexGuard<'_, Shard>| -> Vec<Arc<Queue>> {
            let meant = shard.iter().filter(|(number, _)| client.is_none_or(|client| client == **number));
            meant.map(|(_, queue)| Arc::clone(queue)).collect()
        };
        let queues: Vec<_> = self.all().flat_map(own).collect();
        queues.iter().map(|queue| queue.purge(None)).sum()
    }

    pub(super) fn sweep(&self) {
        // Whoever holds a permit or waits for one holds the queue too, and finds it under this very lock.
        self.all().for_each(|mut shard| shard.retain(|_, queue| Arc::strong_count(queue) > 1));
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.all().all(|shard| shard.is_empty())
    }

    fn shard(&self, client: u64) -> MutexGuard<'_, Shard> {
        // The numbers are hashes already.
        let at = usize::try_from(client % SHARDS as u64).unwrap_or(0);
        lock(&self.shards[at])
    }

    fn all(&self) -> impl Iterator<Item = MutexGuard<'_, Shard>> {
        self.shards.iter().map(lock)
    }
}
