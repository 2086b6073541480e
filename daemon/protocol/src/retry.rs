//! How many calls may be made once more: a share of those that were made.
//!
//! `toolgated::servers::http_call` tells of each call and asks before each further try. Without a budget a server
//! that fails would get several times the load that it fails under. Pure, and without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::chance;

/// What a further try costs; a call earns as many hundredths of it as the budget has percent.
const TRY: u64 = 100;

/// Tries that are saved up at most, and that a new budget begins with: one that was quiet may try again at once.
const SAVED: u64 = 10;

/// The first pause before a further try at the same endpoint, in milliseconds; each next one is twice as long.
const FIRST_PAUSE: u64 = 25;

/// The longest, in milliseconds.
const LONGEST_PAUSE: u64 = 1000;

/// Further tries that a server may be given.
#[derive(Debug)]
pub struct Budget {
    saved: AtomicU64,
    tries: AtomicU64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { saved: AtomicU64::new(SAVED * TRY), tries: AtomicU64::new(0) }
    }
}

impl Budget {
    /// A call is made, and earns its share. While nothing fails this is one load.
    pub fn earn(&self, percent: u64) {
        let more = |saved: u64| (saved < SAVED * TRY).then(|| (saved + percent).min(SAVED * TRY));
        // Refused only where there is nothing to earn.
        let _ = self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Whether a further try may be made, which is then paid.
    #[must_use]
    pub fn spend(&self) -> bool {
        let less = |saved: u64| saved.checked_sub(TRY);
        let paid = self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok();
        if paid {
            self.tries.fetch_add(1, Ordering::Relaxed);
        }
        paid
    }

    /// Further tries that were made.
    #[must_use]
    pub fn tries(&self) -> u64 {
        self.tries.load(Ordering::Relaxed)
    }
}

/// Milliseconds before the try with this number, from 1, at an endpoint that was tried already: half of it by chance,
/// so that calls that failed together do not come back together.
#[must_use]
pub fn pause(number: u32, place: u64) -> u64 {
    let whole = FIRST_PAUSE.saturating_mul(1 << number.saturating_sub(1).min(16)).min(LONGEST_PAUSE);
    whole / 2 + chance::at(place) % (whole / 2 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pauses_double_within_their_bounds() {
        for number in 1..20 {
            let whole = (25 << (number - 1).min(10)).min(1000);
            let pauses: Vec<_> = (0..50).map(|place| pause(number, place)).collect();
            assert!(pauses.iter().all(|pause| (whole / 2..=whole).contains(pause)), "{number}: {pauses:?}");
            assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{pauses:?}");
        }
    }

    proptest! {
        /// Whatever the order: never more tries than were saved and earned, and none refused that was.
        #[test]
        fn tries_are_a_share_of_calls(percent in 0_u64..=100, order in prop::collection::vec(any::<bool>(), 0..2000)) {
            let budget = Budget::default();
            let (mut calls, mut tries, mut saved) = (0_u64, 0_u64, SAVED * TRY);
            for call in order {
                if call {
                    calls += 1;
                    saved = (saved + percent).min(SAVED * TRY);
                    budget.earn(percent);
                } else {
                    prop_assert_eq!(budget.spend(), saved >= TRY);
                    if saved >= TRY {
                        saved -= TRY;
                        tries += 1;
                    }
                }
                prop_assert!(tries <= SAVED + calls * percent / 100);
            }
            prop_assert_eq!(budget.tries(), tries);
        }
    }
}
