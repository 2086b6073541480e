//! When something that is kept from elsewhere is fetched again, and what it is worth meanwhile.
//!
//! A machine without a clock, asked by whoever keeps keys of issuers: milliseconds of one monotonic clock are passed in.
//! Strangers may hurry it, and only once in a while: what they name may not exist.

use std::time::Duration;

/// Between two fetches that strangers ask for.
pub const GAP: Duration = Duration::from_secs(30);

/// After the first failure; each further one doubles it.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The longest wait after a failure.
const LAST_RETRY: Duration = Duration::from_secs(60);

/// How fresh it is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Between two fetches.
    pub every: Duration,
    /// How long it is used when it cannot be fetched again.
    pub keep: Duration,
}

/// What is kept, as far as time is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has tried yet.
    Unknown,
    /// The last fetch went well.
    Fresh,
    /// It could not be fetched again, and is still used.
    Stale,
    /// There is nothing that may be used.
    Gone,
}

/// The machine; due at once at first.
#[derive(Debug, Clone, Copy, Default)]
pub struct Refresh {
    had: Option<u64>,
    /// How old it was when it was had.
    aged: u64,
    due: u64,
    asked: Option<u64>,
    failures: u32,
}

impl Refresh {
    /// Milliseconds until it is to be fetched.
    #[must_use]
    pub fn wait(&self, now: u64) -> u64 {
        self.due.saturating_sub(now)
    }

    /// It was fetched, with word of how long that holds (RFC 9111, `max-age`). The word counts from a tenth to six times
    /// of what the rules say.
    pub fn had(&mut self, now: u64, rules: &Rules, max_age: Option<Duration>) {
        let every = max_age.map_or(rules.every, |age| age.clamp(rules.every / 10, rules.every * 6));
        (self.had, self.aged, self.failures, self.due) = (Some(now), 0, 0, now.saturating_add(millis(every)));
    }

    /// It is what somebody else had so long ago; it is still to be fetched.
    pub fn recalled(&mut self, now: u64, age: Duration) {
        (self.had, self.aged) = (Some(now), millis(age));
    }

    /// It could not be fetched.
    pub fn failed(&mut self, now: u64, rules: &Rules) {
        let retry = FIRST_RETRY.saturating_mul(1 << self.failures.min(6)).min(LAST_RETRY).min(rules.every);
        self.failures = self.failures.saturating_add(1);
        self.due = now.saturating_add(millis(retry));
    }

    /// A stranger names what is not there. Whether it is worth to wait for the next fetch, which is then due.
    pub fn ask(&mut self, now: u64) -> bool {
        if self.due <= now {
            return true;
        }
        if self.asked.is_some_and(|asked| now.saturating_sub(asked) < millis(GAP)) {
            return false;
        }
        (self.asked, self.due) = (Some(now), now);
        true
    }

    /// What is kept is worth.
    #[must_use]
    pub fn standing(&self, now: u64, rules: &Rules) -> Standing {
        match self.had {
            None if self.failures == 0 => Standing::Unknown,
            Some(_) if self.failures == 0 => Standing::Fresh,
            Some(_) if self.age(now).is_some_and(|age| age <= rules.keep) => Standing::Stale,
            _ => Standing::Gone,
        }
    }

    /// How old it is; none where there is nothing.
    #[must_use]
    pub fn age(&self, now: u64) -> Option<Duration> {
        self.had.map(|had| Duration::from_millis(now.saturating_sub(had).saturating_add(self.aged)))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: Rules = Rules { every: Duration::from_secs(600), keep: Duration::from_secs(86_400) };

    #[test]
    fn the_answers_word_counts_within_bounds() {
        for (age, wanted) in [(None, 600), (Some(1), 60), (Some(300), 300), (Some(1_000_000), 3600)] {
            let mut refresh = Refresh::default();
            assert_eq!(refresh.wait(7), 0);
            refresh.had(1000, &RULES, age.map(Duration::from_secs));
            assert_eq!(refresh.wait(1000), wanted * 1000);
        }
    }

    #[test]
    fn failures_are_tried_again_ever_more_seldom() {
        let mut refresh = Refresh::default();
        let waits: Vec<u64> = (0..9)
            .map(|_| {
                refresh.failed(0, &RULES);
                refresh.wait(0) / 1000
            })
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn what_cannot_be_fetched_again_is_kept_for_a_while() {
        let mut refresh = Refresh::default();
        assert_eq!(refresh.standing(0, &RULES), Standing::Unknown);
        refresh.failed(0, &RULES);
        assert_eq!(refresh.standing(0, &RULES), Standing::Gone);
        refresh.had(10, &RULES, None);
        assert_eq!(refresh.standing(10, &RULES), Standing::Fresh);
        refresh.failed(20, &RULES);
        assert_eq!(refresh.standing(86_400_010, &RULES), Standing::Stale);
        assert_eq!(refresh.standing(86_400_011, &RULES), Standing::Gone);
    }

    #[test]
    fn what_another_had_is_as_old_as_it_was() {
        let mut refresh = Refresh::default();
        refresh.recalled(0, Duration::from_secs(86_000));
        assert_eq!((refresh.wait(0), refresh.standing(0, &RULES)), (0, Standing::Fresh));
        refresh.failed(1, &RULES);
        assert_eq!(refresh.standing(400_000, &RULES), Standing::Stale);
        assert_eq!(refresh.standing(400_001, &RULES), Standing::Gone);
        refresh.had(500_000, &RULES, None);
        assert_eq!(refresh.age(500_001), Some(Duration::from_millis(1)));
    }

    proptest! {
        /// However often strangers ask: they cause no more than one fetch in each gap, and never one too few.
        #[test]
        fn strangers_hurry_it_once_in_a_while(steps in prop::collection::vec((0_u64..5_000, any::<bool>(), any::<bool>()), 1..400)) {
            let mut refresh = Refresh::default();
            let (mut now, mut asked, mut since_last) = (0, 0_u64, 0);
            refresh.had(0, &RULES, None);
            for (pause, asks, succeeds) in steps {
                now += pause;
                let was_due = refresh.wait(now) == 0;
                if asks {
                    let waits = refresh.ask(now);
                    prop_assert!(!waits || refresh.wait(now) == 0, "who waits, waits for something that comes");
                    if waits && !was_due {
                        prop_assert!(asked == 0 || now - since_last >= millis(GAP));
                        asked += 1;
                        since_last = now;
                    }
                }
                if refresh.wait(now) == 0 {
                    if succeeds { refresh.had(now, &RULES, None) } else { refresh.failed(now, &RULES) }
                    prop_assert!(refresh.wait(now) > 0, "no fetch follows another at once");
                }
            }
            prop_assert!(asked <= now / millis(GAP) + 1);
        }
    }
}
