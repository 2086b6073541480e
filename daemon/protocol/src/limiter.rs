//! Limits on one key: a rate (the generic cell rate algorithm, a token bucket in one word) or a number in flight.
//!
//! `toolgated::limits` keeps one [`Cell`] per key and asks here. Time is nanoseconds of a monotonic clock.
//!
//! What must hold: in any span `t` a rate admits at most `burst + t / interval` calls, whatever the cores'
//! order; a cell that [`Meter::is_idle`] may be forgotten without changing any later decision.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What one key has used: for a rate the time at which its bucket is full again, else the number in flight.
#[derive(Debug, Default)]
pub struct Cell(AtomicU64);

impl Cell {
    /// A cell that goes on from [`Cell::get`] of another.
    #[must_use]
    pub fn new(state: u64) -> Self {
        Self(AtomicU64::new(state))
    }

    /// Nanoseconds or a count, by the meter that uses it.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meter {
    /// Calls per time.
    Rate(Rate),
    /// Calls in flight.
    Concurrent {
        /// At once.
        max: u64,
    },
}

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Nanoseconds in which one token comes back.
    interval: u64,
    /// Nanoseconds by which calls may be ahead of the rate: all tokens but one.
    tolerance: u64,
}

impl Rate {
    /// `count` calls per `period`, `burst` at once. Zeros count as one; the interval is rounded up, so that the
    /// rate is never exceeded.
    #[must_use]
    pub fn new(count: u64, period: Duration, burst: u64) -> Self {
        let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX).max(1);
        let interval = period.div_ceil(count.max(1)).max(1);
        Self { interval, tolerance: interval.saturating_mul(burst.max(1) - 1) }
    }
}

/// A refusal: nanoseconds until the same call would be admitted if nobody else calls, where that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over {
    /// `None` where it depends on when others end.
    pub wait: Option<u64>,
}

impl Meter {
    /// Takes one call's worth, or says why not and takes nothing.
    pub fn take(&self, cell: &Cell, now: u64) -> Result<(), Over> {
        let mut before = cell.0.load(Ordering::Relaxed);
        loop {
            let after = self.after(before, now)?;
            // Nothing else is published by this word, so no ordering is needed.
            match cell.0.compare_exchange_weak(before, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(other) => before = other,
            }
        }
    }

    /// What [`Meter::take`] would say, without taking.
    pub fn peek(&self, cell: &Cell, now: u64) -> Result<(), Over> {
        self.after(cell.get(), now).map(|_| ())
    }

    /// Gives back what was taken: by a call in flight that has ended, or one that another limit refused.
    pub fn give_back(&self, cell: &Cell) {
        let amount = match self {
            Self::Rate(rate) => rate.interval,
            Self::Concurrent { .. } => 1,
        };
        let less = |state: u64| Some(state.saturating_sub(amount));
        let _ = cell.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Whether the cell decides like a new one.
    #[must_use]
    pub fn is_idle(&self, cell: &Cell, now: u64) -> bool {
        match self {
            Self::Rate(_) => cell.get() <= now,
            Self::Concurrent { .. } => cell.get() == 0,
        }
    }

    /// Calls that would be admitted at once, and nanoseconds until all of them are available again, where known.
    #[must_use]
    pub fn remaining(&self, cell: &Cell, now: u64) -> (u64, Option<u64>) {
        let state = cell.get();
        match self {
            Self::Rate(rate) => {
                let ahead = state.saturating_sub(now);
                let room = rate.tolerance.saturating_add(rate.interval).saturating_sub(ahead);
                (room / rate.interval, Some(ahead))
            }
            Self::Concurrent { max } => (max.saturating_sub(state), None),
        }
    }

    fn after(&self, state: u64, now: u64) -> Result<u64, Over> {
        match self {
            Self::Rate(rate) => {
                let full = state.max(now);
                let ahead = full - now;
                if ahead > rate.tolerance {
                    return Err(Over { wait: Some(ahead - rate.tolerance) });
                }
                Ok(full.saturating_add(rate.interval))
            }
            Self::Concurrent { max } if state >= *max => Err(Over { wait: None }),
            Self::Concurrent { .. } => Ok(state + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn rate(count: u64, seconds: u64, burst: u64) -> Meter {
        Meter::Rate(Rate::new(count, Duration::from_secs(seconds), burst))
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let (meter, cell) = (rate(10, 1, 3), Cell::default());
        let now = 7 * SECOND;
        assert_eq!(meter.remaining(&cell, now), (3, Some(0)));
        for left in [2, 1, 0] {
            assert_eq!(meter.take(&cell, now), Ok(()));
            assert_eq!(meter.remaining(&cell, now).0, left);
        }
        assert_eq!(meter.take(&cell, now), Err(Over { wait: Some(SECOND / 10) }));
        assert_eq!(meter.take(&cell, now + SECOND / 10 - 1), Err(Over { wait: Some(1) }));
        assert_eq!(meter.take(&cell, now + SECOND / 10), Ok(()));
        assert!(!meter.is_idle(&cell, now + SECOND / 10));
        assert!(meter.is_idle(&cell, now + SECOND));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let (meter, cell) = (rate(1, 60, 1), Cell::default());
        meter.take(&cell, SECOND).unwrap();
        assert!(meter.peek(&cell, SECOND).is_err());
        meter.give_back(&cell);
        assert_eq!(meter.peek(&cell, SECOND), Ok(()));
        meter.take(&cell, SECOND).unwrap();
    }

    #[test]
    fn a_number_in_flight() {
        let (meter, cell) = (Meter::Concurrent { max: 2 }, Cell::default());
        assert_eq!((meter.take(&cell, 0), meter.take(&cell, 0)), (Ok(()), Ok(())));
        assert_eq!(meter.take(&cell, 0), Err(Over { wait: None }));
        meter.give_back(&cell);
        assert_eq!((meter.remaining(&cell, 0), meter.take(&cell, 0)), ((1, None), Ok(())));
        meter.give_back(&cell);
        meter.give_back(&cell);
        assert!(meter.is_idle(&cell, 0));
    }

    #[test]
    fn extreme_numbers_neither_panic_nor_open_the_gate() {
        for meter in [rate(0, 0, 0), rate(u64::MAX, 1, u64::MAX), rate(1, u64::MAX / SECOND, u64::MAX)] {
            let cell = Cell::default();
            meter.take(&cell, u64::MAX).unwrap();
            let _ = (meter.take(&cell, 0), meter.remaining(&cell, 0));
        }
        assert!(Meter::Concurrent { max: 0 }.take(&Cell::default(), 0).is_err());
    }

    #[test]
    fn cores_together_admit_no_more_than_one_would() {
        let (meter, cell) = (rate(1000, 1, 50), Cell::default());
        let admitted = std::sync::atomic::AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    // Every thread sees the same second, in steps of a millisecond.
                    for step in 0..1000 {
                        for _ in 0..3 {
                            let taken = meter.take(&cell, 5 * SECOND + step * SECOND / 1000).is_ok();
                            admitted.fetch_add(u64::from(taken), Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        let admitted = admitted.into_inner();
        assert!((1000..=1050).contains(&admitted), "{admitted} calls were admitted");
    }

    /// A bucket of tokens as a textbook writes it, in exact fractions of a token.
    struct Bucket {
        level: u64,
        at: u64,
        interval: u64,
        burst: u64,
    }

    impl Bucket {
        fn take(&mut self, now: u64) -> bool {
            self.level = (self.level + (now - self.at)).min(self.burst * self.interval);
            self.at = now;
            let admitted = self.level >= self.interval;
            if admitted {
                self.level -= self.interval;
            }
            admitted
        }
    }

    proptest! {
        #[test]
        fn it_decides_as_a_token_bucket_does(
            count in 1..2000_u64,
            burst in 1..100_u64,
            steps in prop::collection::vec(0..20_000_000_u64, 1..400),
        ) {
            let (meter, cell) = (rate(count, 1, burst), Cell::default());
            let interval = SECOND.div_ceil(count);
            let mut now = SECOND;
            let mut bucket = Bucket { level: burst * interval, at: now, interval, burst };
            for step in steps {
                now += step;
                let decision = meter.take(&cell, now);
                prop_assert_eq!(decision.is_ok(), bucket.take(now), "at {}", now);
                if let Err(Over { wait }) = decision {
                    let wait = wait.unwrap();
                    prop_assert!(meter.peek(&cell, now + wait).is_ok() && meter.peek(&cell, now + wait - 1).is_err());
                }
                // Forgetting an idle cell changes nothing.
                if meter.is_idle(&cell, now) {
                    prop_assert_eq!(meter.remaining(&cell, now), meter.remaining(&Cell::default(), now));
                }
            }
        }

        #[test]
        fn a_clock_that_steps_back_admits_nothing_more(
            jumps in prop::collection::vec(0..4 * SECOND, 1..200),
        ) {
            let (meter, cell) = (rate(5, 1, 5), Cell::default());
            let admitted = jumps.iter().filter(|jump| meter.take(&cell, **jump).is_ok()).count() as u64;
            prop_assert!(admitted <= 5 + 5 * 4);
        }
    }
}
