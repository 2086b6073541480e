//! Calls of the last while, in ten slots that are counted without a lock.
//!
//! A slot is one word: which turn of the clock it was used in, and what was counted then. A slot of an earlier
//! turn counts as empty. A turn is known by its last ten bits, so that a slot that nobody touched for exactly
//! 1024 windows would be taken for fresh: its few calls would then age with the others.

use std::sync::atomic::{AtomicU64, Ordering};

const SLOTS: u64 = 10;
const PLACES: usize = 10;
const TURN_BITS: u32 = 10;
const COUNT_BITS: u32 = 18;
const COUNT: u64 = (1 << COUNT_BITS) - 1;

/// What was counted within the window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) calls: u64,
    pub(super) failed: u64,
    pub(super) slow: u64,
}

#[derive(Debug, Default)]
pub(super) struct Window([AtomicU64; PLACES]);

impl Sum {
    fn unpack(word: u64) -> Self {
        let part = |place: u32| (word >> (place * COUNT_BITS)) & COUNT;
        Self { calls: part(0), failed: part(1), slow: part(2) }
    }

    /// A slot that is full counts no more: its shares stay what they are.
    fn plus(self, failed: bool, slow: bool) -> Self {
        if self.calls == COUNT {
            return self;
        }
        Self { calls: self.calls + 1, failed: self.failed + u64::from(failed), slow: self.slow + u64::from(slow) }
    }

    fn pack(self, turn: u64) -> u64 {
        (turn << (3 * COUNT_BITS)) | (self.slow << (2 * COUNT_BITS)) | (self.failed << COUNT_BITS) | self.calls
    }
}

fn turn_of(number: u64) -> u64 {
    (number / SLOTS) & ((1 << TURN_BITS) - 1)
}

fn counted(word: u64, turn: u64) -> Sum {
    if word >> (3 * COUNT_BITS) == turn { Sum::unpack(word) } else { Sum::default() }
}

impl Window {
    /// Counts a call at `now`, in a window of `length` milliseconds.
    pub(super) fn add(&self, length: u64, now: u64, failed: bool, slow: bool) {
        let number = now / (length / SLOTS).max(1);
        let turn = turn_of(number);
        let more = |word| Some(counted(word, turn).plus(failed, slow).pack(turn));
        // It always changes something, so that it cannot fail.
        let _ = self.slot(number).fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// What the window that ends at `now` holds.
    pub(super) fn sum(&self, length: u64, now: u64) -> Sum {
        let newest = now / (length / SLOTS).max(1);
        let numbers = newest.saturating_sub(SLOTS - 1)..=newest;
        numbers.map(|number| counted(self.slot(number).load(Ordering::Relaxed), turn_of(number))).fold(
            Sum::default(),
            |sum, slot| Sum {
                calls: sum.calls + slot.calls,
                failed: sum.failed + slot.failed,
                slow: sum.slow + slot.slow,
            },
        )
    }

    pub(super) fn clear(&self) {
        self.0.iter().for_each(|slot| slot.store(0, Ordering::Relaxed));
    }

    /// Takes over what another one holds.
    pub(super) fn go_on(&self, before: &Self) {
        self.0
            .iter()
            .zip(&before.0)
            .for_each(|(slot, other)| slot.store(other.load(Ordering::Relaxed), Ordering::Relaxed));
    }

    fn slot(&self, number: u64) -> &AtomicU64 {
        &self.0[usize::try_from(number % SLOTS).unwrap_or(0)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_full_slot_keeps_its_shares() {
        let window = Window::default();
        for call in 0..COUNT + 1000 {
            window.add(1000, 5, call % 2 == 0, false);
        }
        assert_eq!(window.sum(1000, 5), Sum { calls: COUNT, failed: COUNT.div_ceil(2), slow: 0 });
    }

    proptest! {
        /// Against a list of all calls: what is counted is what the last ten slots hold.
        #[test]
        fn it_holds_the_last_ten_slots(length in 10_u64..5000, steps in prop::collection::vec((0_u64..700, any::<bool>(), any::<bool>()), 1..200)) {
            let (window, slot) = (Window::default(), length / SLOTS);
            let (mut now, mut all) = (0, Vec::new());
            for (passed, failed, slow) in steps {
                now += passed;
                window.add(length, now, failed, slow);
                all.push((now / slot, failed, slow));
                let seen = |pick: &dyn Fn(&(u64, bool, bool)) -> bool| all.iter().filter(|call| call.0 + SLOTS > now / slot && pick(call)).count() as u64;
                let want = Sum { calls: seen(&|_| true), failed: seen(&|call| call.1), slow: seen(&|call| call.2) };
                prop_assert_eq!(window.sum(length, now), want);
            }
        }
    }
}
