//! Whether somebody does far more than it usually does: counts of a minute against the mean of its own last hour.
//!
//! The minutes of one client; whoever keeps it tells the count so far, and when a minute is over.

/// Minutes that are remembered.
const MINUTES: usize = 60;

/// Minutes that must be known before anything is unusual.
const KNOWN: usize = 10;

/// A minute with fewer is never unusual.
pub const LEAST: u64 = 60;

/// What one client has done in its last minutes.
#[derive(Debug, Clone, Default)]
pub struct Baseline {
    minutes: Vec<u32>,
    /// Where the next one goes.
    next: usize,
}

impl Baseline {
    /// A minute is over, with this count.
    pub fn minute(&mut self, count: u64) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        if self.minutes.len() < MINUTES {
            self.minutes.push(count);
        } else {
            self.minutes[self.next] = count;
        }
        self.next = (self.next + 1) % MINUTES;
    }

    /// The mean of its last hour, at least 1; `None` while too little is known.
    #[must_use]
    pub fn mean(&self) -> Option<u64> {
        if self.minutes.len() < KNOWN {
            return None;
        }
        let sum: u64 = self.minutes.iter().map(|count| u64::from(*count)).sum();
        Some((sum / self.minutes.len() as u64).max(1))
    }

    /// Whether `count` in a minute is more than `multiple` times the mean; the mean then.
    #[must_use]
    pub fn exceeded(&self, count: u64, multiple: u64) -> Option<u64> {
        let mean = self.mean()?;
        (count >= LEAST && count > mean.saturating_mul(multiple)).then_some(mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_is_unusual_for_who_is_known_to_be_quiet() {
        let mut baseline = Baseline::default();
        (0..9).for_each(|_| baseline.minute(10));
        assert_eq!(baseline.exceeded(1000, 5), None, "it is not known for long enough");
        baseline.minute(10);
        assert_eq!((baseline.exceeded(60, 5), baseline.exceeded(50, 5)), (Some(10), None));
        (0..60).for_each(|_| baseline.minute(100));
        assert_eq!((baseline.exceeded(500, 5), baseline.exceeded(501, 5)), (None, Some(100)));
    }

    #[test]
    fn silence_is_quiet_too() {
        let mut baseline = Baseline::default();
        (0..60).for_each(|_| baseline.minute(0));
        assert_eq!((baseline.exceeded(59, 5), baseline.exceeded(60, 5)), (None, Some(1)));
    }

    proptest! {
        #[test]
        fn the_mean_is_that_of_the_last_hour(counts in prop::collection::vec(0_u64..10_000, 10..200)) {
            let mut baseline = Baseline::default();
            for count in &counts {
                baseline.minute(*count);
            }
            let late = &counts[counts.len().saturating_sub(60)..];
            prop_assert_eq!(baseline.mean(), Some((late.iter().sum::<u64>() / late.len() as u64).max(1)));
        }
    }
}
