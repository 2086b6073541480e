//! What a limit has refused, and whom most.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::lock::lock;

/// Keys of which refusals are told.
const TOP: usize = 16;

/// The refusals of one limit. Only a refused call comes here.
#[derive(Debug, Default)]
pub(super) struct Tally {
    refused: AtomicU64,
    top: Mutex<Vec<(String, u64)>>,
}

impl Tally {
    /// Notes a refusal; `key` tells whose.
    pub(super) fn refused(&self, key: impl FnOnce() -> String) {
        self.refused.fetch_add(1, Ordering::Relaxed);
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

    /// Keys that were refused most, with about how often.
    pub(super) fn top(&self) -> Vec<(String, u64)> {
        let mut top = lock(&self.top).clone();
        top.sort_by(|(one, few), (other, many)| many.cmp(few).then_with(|| one.cmp(other)));
        top
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
