//! What a limit has refused, and whom most.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock;
use crate::lock::lock;

/// Seconds that a rate is of: the last that have ended.
const SECONDS: u64 = 10;

/// Seconds that are counted apart: those, and the one that has not ended.
const PLACES: usize = 11;

/// Keys of which refusals are told.
const TOP: usize = 16;

/// The refusals of one limit. Only a refused call comes here.
#[derive(Debug, Default)]
pub(super) struct Tally {
    refused: AtomicU64,
    recent: Recent,
    top: Mutex<Vec<(String, u64)>>,
}

impl Tally {
    /// Notes a refusal; `key` tells whose.
    pub(super) fn refused(&self, key: impl FnOnce() -> String) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.recent.note(clock::millis() / 1_000);
        // Who is refused most comes so often that a miss does not matter.
        let Ok(mut top) = self.top.try_lock() else { return };
        let key = key();
        if let Some((_, count)) = top.iter_mut().find(|(known, _)| *known == key) {
            *count += 1;
        } else if top.len() < TOP {
            top.push((key, 1));
        } else if let Some(least) = top.iter_mut().min_by_key(|(_, count)| *count) {
            // Space-saving: a newcomer takes over the least one's count, so that whoever is frequent stays.
            *least = (key, least.1 + 1);
        }
    }

    /// Refusals since the limit is there.
    pub(super) fn count(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Refusals per second, of late.
    pub(super) fn rate(&self) -> f64 {
        self.recent.rate(clock::millis() / 1_000)
    }

    /// Keys that were refused most, with about how often.
    pub(super) fn top(&self) -> Vec<(String, u64)> {
        let mut top = lock(&self.top).clone();
        top.sort_by(|(one, few), (other, many)| many.cmp(few).then_with(|| one.cmp(other)));
        top
    }
}

/// Refusals of the last seconds: each place has the number of its second above, and below how many there were.
#[derive(Debug, Default)]
struct Recent([AtomicU64; PLACES]);

impl Recent {
    fn note(&self, second: u64) {
        let begun = second << 32;
        let place = &self.0[usize::try_from(second).unwrap_or(0) % PLACES];
        let _ = place.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |told| {
            Some(if told >> 32 == second { told + 1 } else { begun | 1 })
        });
    }

    fn rate(&self, now: u64) -> f64 {
        let told = self.0.iter().map(|place| place.load(Ordering::Relaxed));
        let ended = told.filter(|told| (now.saturating_sub(SECONDS)..now).contains(&(told >> 32)));
        let count: u64 = ended.map(|told| told & u64::from(u32::MAX)).sum();
        f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / 10.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_of_the_ten_seconds_that_ended_last() {
        let recent = Recent::default();
        for second in 100..120 {
            (0..=second - 100).for_each(|_| recent.note(second));
        }
        let rates = [120, 119, 125, 129, 130].map(|now| format!("{:.1}", recent.rate(now)));
        // As many as 11 to 20, 10 to 19, 16 to 20, 20, and none.
        assert_eq!(rates, ["15.5", "14.5", "9.0", "2.0", "0.0"]);
        assert!(Recent::default().rate(5).abs() < f64::EPSILON);
    }

    #[test]
    fn whoever_is_refused_most_is_known_among_thousands() {
        let tally = Tally::default();
        for number in 0..5000 {
            tally.refused(|| format!("passer-by {number}"));
            if number % 3 == 0 {
                tally.refused(|| "agent".to_owned());
            }
        }
        assert_eq!(tally.count(), 5000 + 1667);
        assert_eq!(tally.top().len(), TOP);
        assert_eq!(tally.top()[0].0, "agent");
    }
}
