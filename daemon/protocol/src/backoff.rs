//! When a server that keeps crashing may be started again.
//!
//! Whoever starts instances keeps one `Backoff` per server, asks before each start and tells how it
//! went. Pure: times are milliseconds of any monotonic clock, and chance comes from the seed.

use crate::chance::Chance;

/// The wait after the first failure; each further one doubles it.
const FIRST_MILLIS: u64 = 500;

/// The longest wait before quarantine.
const CAP_MILLIS: u64 = 60_000;

/// Failures in a row after which a server is quarantined: some three minutes of trying.
const QUARANTINE_AFTER: u32 = 10;

/// A quarantined server gets one more try after this, so that an outage behind it heals by itself.
const QUARANTINE_MILLIS: u64 = 600_000;

/// Waits vary by up to a quarter in both directions, so that many servers do not start in step.
const JITTER_PERCENT: u64 = 25;

/// Whether an instance may be started now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Start,
    /// It crashed lately.
    Wait {
        /// Until the next try.
        millis: u64,
    },
    /// It has crashed so often that somebody should look; it is tried again every ten minutes.
    Quarantined,
}

/// The crash-loop state of one server.
#[derive(Debug, Clone)]
pub struct Backoff {
    /// Failures since the last success.
    failures: u32,
    /// Nothing starts before this.
    next: u64,
    chance: Chance,
}

impl Backoff {
    /// A server that has not failed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { failures: 0, next: 0, chance: Chance::new(seed) }
    }

    /// Whether an instance may be started at `now`.
    #[must_use]
    pub fn verdict(&self, now: u64) -> Verdict {
        if now >= self.next {
            return Verdict::Start;
        }
        if self.failures >= QUARANTINE_AFTER {
            return Verdict::Quarantined;
        }
        Verdict::Wait { millis: self.next - now }
    }

    /// An instance failed to start, or ended by itself soon after.
    ///
    /// Instances that were started together fail together: while a wait runs, further failures
    /// say nothing new and are not counted.
    pub fn failed(&mut self, now: u64) {
        if now < self.next {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let wait = if self.failures >= QUARANTINE_AFTER {
            QUARANTINE_MILLIS
        } else {
            CAP_MILLIS.min(FIRST_MILLIS << (self.failures - 1))
        };
        self.next = now.saturating_add(self.jittered(wait));
    }

    /// An instance ran for long enough, or did what it was asked: the past is forgotten.
    pub fn succeeded(&mut self) {
        self.failures = 0;
        self.next = 0;
    }

    fn jittered(&mut self, wait: u64) -> u64 {
        let spread = wait * JITTER_PERCENT / 100;
        wait - spread + self.chance.below(2 * spread + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How often a quarantined server is asked about.
    const LOOK_MILLIS: u64 = 1000;

    /// Starts whenever it may, and crashes at once: the times of the starts.
    fn crash_loop(seed: u64, until: u64) -> Vec<u64> {
        let mut backoff = Backoff::new(seed);
        let mut starts = Vec::new();
        let mut now = 0;
        while now < until {
            match backoff.verdict(now) {
                Verdict::Start => {
                    starts.push(now);
                    backoff.failed(now);
                }
                Verdict::Wait { millis } => now += millis,
                Verdict::Quarantined => now += LOOK_MILLIS,
            }
        }
        starts
    }

    #[test]
    fn a_first_crash_costs_half_a_second() {
        let mut backoff = Backoff::new(1);
        assert_eq!(backoff.verdict(0), Verdict::Start);
        backoff.failed(1000);
        let Verdict::Wait { millis } = backoff.verdict(1000) else { panic!("it must wait") };
        assert!((375..=625).contains(&millis), "{millis}");
        assert_eq!(backoff.verdict(1000 + millis), Verdict::Start);
    }

    #[test]
    fn instances_that_fall_together_count_once() {
        let mut backoff = Backoff::new(1);
        (0..100).for_each(|_| backoff.failed(1000));
        assert!(matches!(backoff.verdict(1000), Verdict::Wait { millis } if millis <= 625));
    }

    #[test]
    fn a_success_forgets_everything() {
        let mut backoff = Backoff::new(1);
        for round in 0..30 {
            backoff.failed(round * QUARANTINE_MILLIS * 2);
        }
        let now = 29 * QUARANTINE_MILLIS * 2;
        assert_eq!(backoff.verdict(now), Verdict::Quarantined);
        backoff.succeeded();
        assert_eq!(backoff.verdict(now), Verdict::Start);
        backoff.failed(now);
        assert!(matches!(backoff.verdict(now), Verdict::Wait { millis } if millis <= 625));
    }

    #[test]
    fn servers_do_not_start_in_step() {
        let second: std::collections::BTreeSet<u64> = (0..50).map(|seed| crash_loop(seed, 20_000)[4]).collect();
        assert!(second.len() > 25, "{second:?}");
    }

    proptest! {
        /// A day of crashes: every wait is within its bounds, and tries never stop.
        #[test]
        fn a_crash_loop_is_bounded(seed in any::<u64>()) {
            const DAY: u64 = 86_400_000;
            let starts = crash_loop(seed, DAY);
            for (number, pair) in starts.windows(2).enumerate() {
                let wait = pair[1] - pair[0];
                let wanted = match u32::try_from(number).unwrap() + 1 {
                    failures if failures >= QUARANTINE_AFTER => QUARANTINE_MILLIS,
                    failures => CAP_MILLIS.min(FIRST_MILLIS << (failures - 1)),
                };
                prop_assert!(wait >= wanted * 3 / 4 && wait <= wanted * 5 / 4 + LOOK_MILLIS, "wait {} was {}", number, wait);
            }
            prop_assert!(*starts.last().unwrap() + QUARANTINE_MILLIS * 5 / 4 + LOOK_MILLIS >= DAY);
        }

        /// Whatever happens in whatever order, time passing leads to a start.
        #[test]
        fn nothing_is_forever(seed in any::<u64>(), events in proptest::collection::vec((0_u64..100_000, any::<bool>()), 0..100)) {
            let mut backoff = Backoff::new(seed);
            let mut now = 0;
            for (passed, failure) in events {
                now += passed;
                if failure { backoff.failed(now) } else { backoff.succeeded() }
                if let Verdict::Wait { millis } = backoff.verdict(now) {
                    prop_assert!(millis > 0 && millis <= CAP_MILLIS * 5 / 4);
                }
            }
            prop_assert_eq!(backoff.verdict(now + QUARANTINE_MILLIS * 5 / 4), Verdict::Start);
        }
    }
}
