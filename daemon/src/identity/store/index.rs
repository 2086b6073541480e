//! Which keys the store has, in memory: what every call asks, without a lock and without the disk.
//!
//! It is in shards, each replaced as a whole when one of its keys changes. A change is there before it is acknowledged,
//! under a new version; what was decided under an older one does not hold any more.

use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;

use super::record::Line;
use crate::identity::proofs::{Found, Proofs, Row};
use crate::lock::lock;

/// A power of two: of 100,000 keys each has some four hundred.
const SHARDS: usize = 256;

/// What the index knows of a key beside what opens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Grows with each change of the key.
    pub version: u64,
    /// When it ends; [`u64::MAX`]: never.
    pub expires_ms: u64,
    /// Since when its secret is the same; 0 where nobody knows.
    pub since_ms: u64,
}

/// The keys of the store.
#[derive(Debug)]
pub struct Index {
    state: RandomState,
    shards: Box<[ArcSwap<Proofs<Known>>]>,
    count: AtomicUsize,
    /// Held by whoever changes something.
    ends: Mutex<Ends>,
}

/// When keys end, and the last version that was given.
#[derive(Debug, Default)]
struct Ends {
    version: u64,
    by_time: BTreeSet<(u64, Arc<str>)>,
}

impl Default for Index {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| ArcSwap::from_pointee(Proofs::default())).collect();
        Self { state: RandomState::default(), shards, count: AtomicUsize::new(0), ends: Mutex::default() }
    }
}

impl Index {
    /// Takes note of keys that are new or changed, and gives the calls to come what they are now.
    pub fn put(&self, lines: impl IntoIterator<Item = (String, Line)>, now_ms: u64) {
        let mut ends = lock(&self.ends);
        let mut by_shard: Vec<Vec<_>> = (0..SHARDS).map(|_| Vec::new()).collect();
        for (id, line) in lines {
            ends.version += 1;
            let known = Known { version: ends.version, expires_ms: line.expires_ms, since_ms: line.since_ms };
            // What is over already has nothing left that would have to end.
            if line.expires_ms != u64::MAX && line.expires_ms > now_ms {
                ends.by_time.insert((line.expires_ms, id.as_str().into()));
            }
            by_shard[self.shard(&id)].push(Row::new(&id, line.proofs, known));
        }
        for (shard, rows) in self.shards.iter().zip(by_shard).filter(|(_, rows)| !rows.is_empty()) {
            let before = shard.load();
            let after = before.with(rows);
            self.count.fetch_add(after.len() - before.len(), Ordering::Relaxed);
            shard.store(Arc::new(after));
        }
    }

    /// Looks for a key as [`Proofs::look`] does.
    pub fn look<T>(
        &self,
        id: &str,
        sha256: &[u8; 32],
        now: impl FnOnce() -> u64,
        take: impl FnOnce(Found<'_, Known>) -> T,
    ) -> T {
        take(self.shards[self.shard(id)].load().look(id, sha256, now))
    }

    /// What is known of an id.
    pub fn of(&self, id: &str) -> Option<Known> {
        self.shards[self.shard(id)].load().of(id).copied()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes out the ends that have come: the ids of keys that may no longer be used.
    pub fn ended(&self, now_ms: u64) -> Vec<Arc<str>> {
        let mut ends = lock(&self.ends);
        let mut ended = Vec::new();
        while ends.by_time.first().is_some_and(|(end, _)| *end <= now_ms) {
            let Some((end, id)) = ends.by_time.pop_first() else { break };
            // One that was given another end since has that in the table.
            if self.of(&id).is_some_and(|known| known.expires_ms == end) {
                ended.push(id);
            }
        }
        ended
    }

    fn shard(&self, id: &str) -> usize {
        usize::try_from(self.state.hash_one(id) >> 32).unwrap_or_default() % SHARDS
    }
}

impl Index {
    /// The oldest keys that may be used still, by the age of their secrets: `most` of them, of those made before
    /// `before_ms`; and how many there are in all.
    pub fn old(&self, before_ms: u64, now_ms: u64, most: usize) -> (Vec<(String, u64)>, usize) {
        let mut old = Vec::new();
        for shard in &self.shards {
            let shard = shard.load();
            let rows = shard.rows().filter_map(|row| Some((row, row.value()?)));
            let aged =
                rows.filter(|(_, known)| known.since_ms > 0 && known.since_ms < before_ms && now_ms < known.expires_ms);
            old.extend(aged.map(|(row, known)| (known.since_ms, row.id().to_owned())));
        }
        let count = old.len();
        old.sort_unstable();
        old.truncate(most);
        (old.into_iter().map(|(since, id)| (id, since)).collect(), count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::proofs::Proof;

    fn line(secret: u8, expires_ms: u64, since_ms: u64) -> Line {
        Line { proofs: [Proof::lasting([secret; 32]), Proof::NONE], expires_ms, since_ms }
    }

    #[test]
    fn a_change_has_a_new_version_and_the_old_secret_opens_no_more() {
        let index = Index::default();
        index.put((0..2000).map(|number| (format!("key{number}"), line(1, u64::MAX, 0))), 0);
        assert_eq!(index.len(), 2000);
        let before = index.of("key7").unwrap();
        index.put([("key7".to_owned(), line(2, u64::MAX, 0))], 0);
        assert_eq!(index.len(), 2000);
        assert!(index.of("key7").unwrap().version > before.version);
        let opens = |secret: u8| index.look("key7", &[secret; 32], || 0, |found| found.proven.is_some());
        assert!(!opens(1) && opens(2));
        assert_eq!(index.of("key2000"), None);
    }

    #[test]
    fn each_end_is_told_once_and_one_that_was_moved_is_not() {
        let index = Index::default();
        index.put([("soon".to_owned(), line(1, 50, 0)), ("late".to_owned(), line(1, 100, 0))], 0);
        index.put([("soon".to_owned(), line(1, 80, 0))], 0);
        assert!(index.ended(79).is_empty());
        assert_eq!(index.ended(80), [Arc::from("soon")]);
        assert!(index.ended(80).is_empty());
        assert_eq!(index.ended(1000), [Arc::from("late")]);
    }

    #[test]
    fn the_oldest_come_first_and_what_is_over_does_not_count() {
        let index = Index::default();
        index.put(
            [
                ("new1".to_owned(), line(1, u64::MAX, 500)),
                ("old1".to_owned(), line(1, u64::MAX, 20)),
                ("old2".to_owned(), line(1, u64::MAX, 10)),
                ("over".to_owned(), line(1, 600, 10)),
                ("none".to_owned(), line(1, u64::MAX, 0)),
            ],
            0,
        );
        assert_eq!(index.old(500, 600, 1), (vec![("old2".to_owned(), 10)], 2));
    }
}
