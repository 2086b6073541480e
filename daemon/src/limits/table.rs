//! The cells of one limit, by key: what is counted together is one cell.
//!
//! Used by the check. A shard's lock is held to find or add a cell, never while deciding. Keys are kept as
//! keyed 64-bit hashes, so that a key costs the same whatever its text: with a million keys the chance that
//! any two share a cell is one in forty million.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use toolgate_protocol::hashed::Map;
use toolgate_protocol::limiter::{Cell, Meter, Period, Quota};

use crate::lock::lock;

/// Locks among which keys are spread: so many that forgetting one shard's idle keys out of a million
/// takes well under a millisecond.
const SHARDS: usize = 256;
/// Keys of a shard below which looking for idle ones does not pay.
const FEW: usize = 16;
/// Keys of a quota that are remembered. They are idle only when their period ends, which may be a month away.
pub(super) const MOST: usize = 1 << 17;
/// Of one shard.
const MOST_OF_SHARD: usize = MOST / SHARDS;
/// At the bound one in so many is forgotten.
const PART: usize = 4;

/// Cells by the hash of their key.
#[derive(Debug)]
pub(super) struct Table {
    keyed: RandomState,
    shards: [Mutex<Shard>; SHARDS],
    /// Of quotas, which survive the process: keys have their words as well.
    ledger: Option<Mutex<Restored>>,
    /// Keys that were forgotten before their time.
    forgotten: AtomicU64,
}

/// What the last process counted, by the words of its key, until a call comes for it.
#[derive(Debug, Default)]
struct Restored {
    /// Of the period.
    number: u64,
    used: HashMap<Box<str>, u64>,
}

#[derive(Debug, Default)]
struct Shard {
    cells: Map<Cell>,
    /// The words of keys, where they are wanted.
    words: Map<Box<str>>,
    /// Grown to this, a shard first forgets: twice what was left, so that forgetting costs each key once.
    sweep_at: usize,
}

impl Table {
    /// An empty table; `keeps_words` where keys are to be known by their words as well.
    pub(super) fn new(keeps_words: bool) -> Self {
        Self {
            keyed: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
            ledger: keeps_words.then(Mutex::default),
            forgotten: AtomicU64::new(0),
        }
    }

    /// The cell of the key that `write` writes and `words` tells; a new one where it has none.
    pub(super) fn cell(
        &self,
        write: impl FnOnce(&mut dyn Hasher),
        words: impl FnOnce() -> String,
        meter: &Meter,
        now: u64,
    ) -> Cell {
        let mut hasher = self.keyed.build_hasher();
        write(&mut hasher);
        let hash = hasher.finish();
        // The table uses the low bits and the seven highest.
        let shard = &self.shards[(hash >> 40) as usize % SHARDS];
        let mut shard = lock(shard);
        if let Some(cell) = shard.cells.get(&hash) {
            return cell.clone();
        }
        if shard.cells.len() >= shard.sweep_at.max(FEW) {
            shard.sweep(meter, now);
        }
        if let Meter::Quota(quota, period) = meter
            && shard.cells.len() >= MOST_OF_SHARD
        {
            shard.sweep(meter, now);
            self.forgotten.fetch_add(shard.forget_least(*quota, *period), Ordering::Relaxed);
        }
        let cell = shard.cells.entry(hash).or_insert_with(|| meter.cell()).clone();
        if let Some(ledger) = &self.ledger {
            let words = words().into_boxed_str();
            if let Meter::Quota(quota, period) = meter
                && let Some(used) = lock(ledger).take(&words, period.number)
            {
                quota.restore(&cell, used, *period);
            }
            shard.words.insert(hash, words);
        }
        cell
    }

    /// What an earlier process counted for the key of these words in a period.
    pub(super) fn restore(&self, words: &str, used: u64, number: u64) {
        if let Some(ledger) = &self.ledger {
            let mut ledger = lock(ledger);
            ledger.number = number;
            ledger.used.insert(words.into(), used);
        }
    }

    /// What was restored of a period and no call has come for yet.
    pub(super) fn restored(&self, number: u64) -> Vec<(Box<str>, u64)> {
        let Some(ledger) = &self.ledger else { return Vec::new() };
        let mut ledger = lock(ledger);
        ledger.turn(number);
        ledger.used.iter().map(|(words, used)| (words.clone(), *used)).collect()
    }

    /// How many keys were forgotten before their time: quotas have a bound of keys.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// Forgets idle keys.
    pub(super) fn sweep(&self, meter: &Meter, now: u64) {
        for shard in &self.shards {
            lock(shard).sweep(meter, now);
        }
    }

    /// Keys that have a cell.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).cells.len()).sum()
    }

    /// Every cell, with the words of its key where they are kept. Each shard is locked for its turn.
    pub(super) fn each(&self, mut look: impl FnMut(Option<&str>, &Cell)) {
        for shard in &self.shards {
            let shard = lock(shard);
            for (hash, cell) in &shard.cells {
                look(shard.words.get(hash).map(|words| &**words), cell);
            }
        }
    }
}

impl Restored {
    /// Forgets what belongs to another period.
    fn turn(&mut self, number: u64) {
        if self.number != number {
            self.used = HashMap::new();
        }
    }

    fn take(&mut self, words: &str, number: u64) -> Option<u64> {
        self.turn(number);
        self.used.remove(words)
    }
}

impl Shard {
    /// Forgets a part of the keys of a full shard, those that have used least; how many.
    fn forget_least(&mut self, quota: Quota, period: Period) -> u64 {
        let before = self.cells.len();
        if before < MOST_OF_SHARD {
            return 0;
        }
        let mut used: Vec<u64> = self.cells.values().map(|cell| quota.used(cell, period)).collect();
        let least = *used.select_nth_unstable(before / PART).1;
        let below = used.iter().filter(|used| **used < least).count();
        let mut alike = before / PART - below;
        self.cells.retain(|_, cell| {
            let used = quota.used(cell, period);
            let goes = used < least || (used == least && alike > 0);
            alike -= usize::from(goes && used == least);
            // Somebody is about to use it.
            cell.is_shared() || !goes
        });
        self.words.retain(|hash, _| self.cells.contains_key(hash));
        (before - self.cells.len()) as u64
    }

    fn sweep(&mut self, meter: &Meter, now: u64) {
        // A cell that somebody else holds is about to be used. It was given out under this lock.
        self.cells.retain(|_, cell| {
            meter.settle(cell, now);
            cell.is_shared() || !meter.is_idle(cell, now)
        });
        self.words.retain(|hash, _| self.cells.contains_key(hash));
        self.sweep_at = self.cells.len() * 2;
        if self.cells.capacity() > self.sweep_at.max(FEW) * 2 {
            self.cells.shrink_to(self.sweep_at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use toolgate_protocol::limiter::{Rate, Unit};

    use super::*;

    #[test]
    fn keys_have_cells_of_their_own_and_keep_them() {
        let (table, meter) = (Table::new(false), Meter::Concurrent { max: 1 });
        let cell = |key: u64| table.cell(|hasher| hasher.write_u64(key), String::new, &meter, 0);
        let held: Vec<_> = (0..1000).map(cell).collect();
        assert_eq!(table.len(), 1000);
        assert!(
            held.iter()
                .zip(0..)
                .all(|(held, key)| meter.take(&cell(key), 1, 0).is_ok() && meter.take(held, 1, 0).is_err())
        );
        for cell in &held {
            meter.give_back(cell, 1, 0);
        }
        table.sweep(&meter, 0);
        assert_eq!(table.len(), 1000, "what is held is not forgotten");
        drop(held);
        table.sweep(&meter, 0);
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn a_quota_remembers_those_that_use_it_and_not_everybody_who_came_by() {
        let period = Period { unit: Unit::Month, number: 7, ends: u64::MAX };
        let (table, quota) = (Table::new(true), Quota::new(1000));
        let meter = Meter::Quota(quota, period);
        let call = |key: u64| {
            let cell = table.cell(|hasher| hasher.write_u64(key), || key.to_string(), &meter, 0);
            meter.take(&cell, 1, 0).unwrap();
            quota.used(&cell, period)
        };
        for key in 0..1000 {
            assert_eq!([call(key), call(key)], [1, 2]);
        }
        for key in 1000..5 * MOST as u64 {
            assert_eq!(call(key), 1);
        }
        assert!(table.len() <= MOST && table.len() > MOST / 2, "{} keys are left", table.len());
        assert_eq!(table.forgotten(), 5 * MOST as u64 - table.len() as u64);
        assert!(
            (0..1000).all(|key| call(key) == 3),
            "one that has used more is not forgotten for one that has used less"
        );
        let mut words = 0;
        table.each(|text, _| words += usize::from(text.is_some()));
        assert_eq!(words, table.len());
    }

    #[test]
    fn a_flood_of_keys_leaves_only_those_that_still_count() {
        let (table, second) = (Table::new(false), 1_000_000_000);
        let meter = Meter::Rate(Rate::new(1, Duration::from_secs(1), 1));
        for key in 0..100_000_u64 {
            // A thousand new keys per second, each idle after one.
            let now = second + key * second / 1000;
            meter.take(&table.cell(|hasher| hasher.write_u64(key), String::new, &meter, now), 1, now).unwrap();
        }
        assert!((1000..10_000).contains(&table.len()), "{} keys are left", table.len());
    }
}
