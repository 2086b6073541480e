//! The cells of one limit, by key: what is counted together is one cell.
//!
//! Used by the check. A shard's lock is held to find or add a cell, never while deciding. Keys are kept as
//! keyed 64-bit hashes, so that a key costs the same whatever its text: with a million keys the chance that
//! any two share a cell is one in forty million.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use toolgate_protocol::limiter::{Cell, Meter};

/// Locks among which keys are spread: so many that forgetting one shard's idle keys out of a million
/// takes well under a millisecond.
const SHARDS: usize = 256;
/// Keys of a shard below which looking for idle ones does not pay.
const FEW: usize = 16;

/// Cells by the hash of their key.
#[derive(Debug)]
pub(super) struct Table {
    keyed: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    cells: HashMap<u64, Arc<Cell>, BuildHasherDefault<Hashed>>,
    /// Grown to this, a shard first forgets: twice what was left, so that forgetting costs each key once.
    sweep_at: usize,
}

/// Takes a key's hash as it is.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl Table {
    pub(super) fn new() -> Self {
        Self { keyed: RandomState::new(), shards: std::array::from_fn(|_| Mutex::default()) }
    }

    /// The cell of the key that `write` writes; a new one where it has none.
    pub(super) fn cell(&self, write: impl FnOnce(&mut dyn Hasher), meter: &Meter, now: u64) -> Arc<Cell> {
        let mut hasher = self.keyed.build_hasher();
        write(&mut hasher);
        let hash = hasher.finish();
        // The table uses the low bits and the seven highest.
        let shard = &self.shards[(hash >> 40) as usize % SHARDS];
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = shard.cells.get(&hash) {
            return Arc::clone(cell);
        }
        if shard.cells.len() >= shard.sweep_at.max(FEW) {
            shard.sweep(meter, now);
        }
        Arc::clone(shard.cells.entry(hash).or_default())
    }

    /// Forgets idle keys.
    pub(super) fn sweep(&self, meter: &Meter, now: u64) {
        for shard in &self.shards {
            shard.lock().unwrap_or_else(PoisonError::into_inner).sweep(meter, now);
        }
    }

    /// Keys that have a cell.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).cells.len()).sum()
    }
}

impl Shard {
    fn sweep(&mut self, meter: &Meter, now: u64) {
        // A cell that somebody else holds is about to be used. It was given out under this lock.
        self.cells.retain(|_, cell| Arc::strong_count(cell) > 1 || !meter.is_idle(cell, now));
        self.sweep_at = self.cells.len() * 2;
        if self.cells.capacity() > self.sweep_at.max(FEW) * 2 {
            self.cells.shrink_to(self.sweep_at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use toolgate_protocol::limiter::Rate;

    use super::*;

    #[test]
    fn keys_have_cells_of_their_own_and_keep_them() {
        let (table, meter) = (Table::new(), Meter::Concurrent { max: 1 });
        let cell = |key: u64| table.cell(|hasher| hasher.write_u64(key), &meter, 0);
        let held: Vec<_> = (0..1000).map(cell).collect();
        assert_eq!(table.len(), 1000);
        assert!(held.iter().zip(0..).all(|(held, key)| Arc::ptr_eq(held, &cell(key))));
        table.sweep(&meter, 0);
        assert_eq!(table.len(), 1000, "what is held is not forgotten");
        drop(held);
        table.sweep(&meter, 0);
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn a_flood_of_keys_leaves_only_those_that_still_count() {
        let (table, second) = (Table::new(), 1_000_000_000);
        let meter = Meter::Rate(Rate::new(1, Duration::from_secs(1), 1));
        for key in 0..100_000_u64 {
            // A thousand new keys per second, each idle after one.
            let now = second + key * second / 1000;
            meter.take(&table.cell(|hasher| hasher.write_u64(key), &meter, now), now).unwrap();
        }
        assert!((1000..10_000).contains(&table.len()), "{} keys are left", table.len());
    }
}
