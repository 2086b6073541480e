//! Who has failed to prove who he is so often that nothing more of his is looked at for a while.
//! Called for one address, or what counts as one, by whoever keeps a table of them.
//! Must hold: who never fails is never blocked; a block ends after its time, whatever was tried meanwhile.

use std::time::Duration;

use crate::limiter::{Cell, Meter, Rate};

/// When an address is blocked, and for how long. Time is nanoseconds of a monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    meter: Meter,
    block: u64,
}

impl Rules {
    /// `count` failures per `period` are let pass, `burst` at once; the next one blocks for `block`.
    #[must_use]
    pub fn new(count: u64, period: Duration, burst: u64, block: Duration) -> Self {
        let block = u64::try_from(block.as_nanos()).unwrap_or(u64::MAX);
        Self { meter: Meter::Rate(Rate::new(count, period, burst)), block }
    }
}

/// What is known of one address.
#[derive(Debug)]
pub struct Failures {
    cell: Cell,
    until: u64,
}

impl Failures {
    /// An address that has not failed yet.
    #[must_use]
    pub fn new(rules: &Rules) -> Self {
        Self { cell: rules.meter.cell(), until: 0 }
    }

    /// Nanoseconds for which it is still blocked.
    #[must_use]
    pub fn blocked(&self, now: u64) -> Option<u64> {
        self.until.checked_sub(now).filter(|left| *left > 0)
    }

    /// It has failed once more; whether that is what blocks it.
    pub fn fail(&mut self, rules: &Rules, now: u64) -> bool {
        if self.blocked(now).is_some() {
            return false;
        }
        let over = rules.meter.take(&self.cell, 1, now).is_err();
        if over {
            self.until = now.saturating_add(rules.block);
        }
        over
    }

    /// Whether it may be forgotten without changing what is decided later.
    #[must_use]
    pub fn is_idle(&self, rules: &Rules, now: u64) -> bool {
        self.blocked(now).is_none() && rules.meter.is_idle(&self.cell, now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn rules() -> Rules {
        Rules::new(10, Duration::from_secs(60), 3, Duration::from_secs(30))
    }

    #[test]
    fn the_failure_after_the_burst_blocks_and_the_block_ends() {
        let (rules, now) = (rules(), 5 * SECOND);
        let mut address = Failures::new(&rules);
        assert_eq!((0..3).map(|_| address.fail(&rules, now)).collect::<Vec<_>>(), [false; 3]);
        assert_eq!(address.blocked(now), None);
        assert!(address.fail(&rules, now));
        assert_eq!(address.blocked(now), Some(30 * SECOND));
        assert!(!address.fail(&rules, now + 29 * SECOND), "blocked already");
        assert_eq!(address.blocked(now + 30 * SECOND), None);
        assert!(!address.is_idle(&rules, now + SECOND) && address.is_idle(&rules, now + 60 * SECOND));
    }

    proptest! {
        /// Against a model that remembers every failure that counted.
        #[test]
        fn no_more_failures_pass_than_the_rate_allows(gaps in proptest::collection::vec(0_u64..20 * SECOND, 1..200)) {
            let rules = rules();
            let mut address = Failures::new(&rules);
            let (mut now, mut passed) = (SECOND, Vec::new());
            for gap in gaps {
                now += gap;
                let blocked = address.blocked(now);
                prop_assert!(blocked.is_none_or(|left| left <= 30 * SECOND));
                if blocked.is_none() && !address.fail(&rules, now) {
                    passed.push(now);
                }
                let minute = passed.iter().filter(|at| now - **at < 60 * SECOND).count();
                prop_assert!(minute <= 3 + 10, "{minute} in a minute");
            }
        }
    }
}
