//! What waits to be delivered to somebody who may be away, in order.
//!
//! One at a time: the next goes only when the one before it was taken. Whoever delivers asks what is due and says how it
//! went. Times are milliseconds of any clock, and chance comes from the seed.

use std::collections::VecDeque;

use crate::chance::Chance;

/// The wait after the first failure; each further one doubles it.
const FIRST_MS: u64 = 1000;

/// The longest wait.
const LONGEST_MS: u64 = 60_000;

/// Refusals in a row after which one is left out.
pub const REFUSALS: u32 = 5;

/// Waits are shortened by up to a quarter, so that many gates do not knock in step.
const JITTER_PERCENT: u64 = 25;

/// Things that wait, the oldest first.
#[derive(Debug)]
pub struct Outbox<T> {
    waiting: VecDeque<(u64, T)>,
    most: usize,
    /// The number of the next.
    next: u64,
    lost: u64,
    /// Those that were left out, for they were refused again and again.
    left_out: u64,
    failures: u32,
    /// Refusals of the oldest.
    refusals: u32,
    due_at: u64,
    chance: Chance,
}

impl<T> Outbox<T> {
    /// Empty, with room for this many.
    #[must_use]
    pub fn new(most: usize, seed: u64) -> Self {
        Self {
            waiting: VecDeque::new(),
            most,
            next: 1,
            lost: 0,
            left_out: 0,
            failures: 0,
            refusals: 0,
            due_at: 0,
            chance: Chance::new(seed),
        }
    }

    /// Takes over what an earlier process left, with the number of its next.
    #[must_use]
    pub fn restored(self, waiting: impl IntoIterator<Item = (u64, T)>, next: u64) -> Self {
        let mut restored = self;
        for (number, item) in waiting {
            restored.next = restored.next.max(number);
            restored.push(item);
        }
        restored.next = restored.next.max(next);
        restored
    }

    /// Adds one; where there is no room the oldest is lost. Its number.
    pub fn push(&mut self, item: T) -> u64 {
        if self.waiting.len() == self.most && self.waiting.pop_front().is_some() {
            self.lost += 1;
            self.refusals = 0;
        }
        let number = self.next;
        self.next += 1;
        self.waiting.push_back((number, item));
        number
    }

    /// The one to deliver at `now`, with its number.
    #[must_use]
    pub fn due(&self, now: u64) -> Option<&(u64, T)> {
        self.waiting.front().filter(|_| now >= self.due_at)
    }

    /// Milliseconds until something is due; `None` where nothing waits.
    #[must_use]
    pub fn wait(&self, now: u64) -> Option<u64> {
        (!self.waiting.is_empty()).then(|| self.due_at.saturating_sub(now))
    }

    /// The one with this number was taken.
    pub fn delivered(&mut self, number: u64) {
        if self.is_first(number) {
            self.waiting.pop_front();
        }
        (self.failures, self.refusals, self.due_at) = (0, 0, 0);
    }

    /// Whoever takes them found fault with the one of this number. After [`REFUSALS`] it is left out, lest all that come
    /// later wait for it for ever; whether it was.
    pub fn refused(&mut self, number: u64, now: u64) -> bool {
        if self.is_first(number) {
            self.refusals += 1;
        }
        if self.refusals < REFUSALS {
            self.failed(now);
            return false;
        }
        self.delivered(number);
        self.left_out += 1;
        true
    }

    fn is_first(&self, number: u64) -> bool {
        self.waiting.front().is_some_and(|(first, _)| *first == number)
    }

    /// Nobody took it.
    pub fn failed(&mut self, now: u64) {
        self.failures = self.failures.saturating_add(1);
        let wait = LONGEST_MS.min(FIRST_MS << (self.failures - 1).min(16));
        let shortened = self.chance.below(wait * JITTER_PERCENT / 100 + 1);
        self.due_at = now.saturating_add(wait - shortened);
    }

    /// Whoever takes them is another one now: tried at once.
    pub fn hurry(&mut self) {
        (self.failures, self.refusals, self.due_at) = (0, 0, 0);
    }

    /// Those that wait, with their numbers, the oldest first.
    pub fn waiting(&self) -> impl ExactSizeIterator<Item = &(u64, T)> {
        self.waiting.iter()
    }

    /// The number that the next one gets.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.next
    }

    /// Those that were lost for want of room.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Those that were left out, for they were refused again and again.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Failures in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_minute_and_begin_anew_with_a_success() {
        let mut outbox = Outbox::new(10, 1);
        outbox.push("a");
        let (mut now, mut waits) = (0, Vec::new());
        for _ in 0..9 {
            outbox.failed(now);
            let wait = outbox.wait(now).unwrap();
            assert!(outbox.due(now + wait - 1).is_none());
            now += wait;
            assert!(outbox.due(now).is_some());
            waits.push(wait);
        }
        for (wait, whole) in waits.iter().zip([1, 2, 4, 8, 16, 32, 60, 60, 60]) {
            assert!((whole * 750..=whole * 1000).contains(wait), "{waits:?}");
        }
        outbox.delivered(1);
        outbox.push("b");
        assert_eq!(outbox.due(now), Some(&(2, "b")));
        outbox.failed(now);
        outbox.hurry();
        assert_eq!(outbox.due(now), Some(&(2, "b")));
    }

    #[test]
    fn what_is_refused_again_and_again_lets_the_next_pass() {
        let mut outbox = Outbox::new(10, 1);
        outbox.push("unfit");
        outbox.push("next");
        let mut now = 0;
        for _ in 1..REFUSALS {
            assert!(!outbox.refused(1, now));
            // A failure of the way says nothing of what is on it.
            outbox.failed(now);
            now += outbox.wait(now).unwrap();
            assert_eq!(outbox.due(now), Some(&(1, "unfit")));
        }
        assert!(outbox.refused(1, now));
        assert_eq!((outbox.due(now), outbox.left_out(), outbox.failures()), (Some(&(2, "next")), 1, 0));
        assert!(!outbox.refused(2, now), "each has its own");
        outbox.delivered(2);
        assert_eq!((outbox.waiting().len(), outbox.lost()), (0, 0));
    }

    /// Whatever fails: the last thousand arrive, in order, each once.
    #[test]
    fn the_last_thousand_arrive_in_order() {
        for seed in 0..50 {
            let mut chance = Chance::new(seed);
            let mut outbox = Outbox::new(1000, seed);
            let (mut now, mut arrived, mut sent) = (0, Vec::new(), 0_u64);
            let outage = 1 + chance.below(1500);
            while arrived.last() != Some(&2000) {
                now += 1 + chance.below(100);
                if sent < 2000 {
                    sent += 1;
                    outbox.push(sent);
                }
                let Some((number, item)) = outbox.due(now).copied() else { continue };
                if sent < outage || chance.below(4) == 0 {
                    outbox.failed(now);
                } else {
                    arrived.push(item);
                    outbox.delivered(number);
                }
            }
            assert!(arrived.windows(2).all(|pair| pair[0] < pair[1]), "seed {seed}");
            assert_eq!(arrived.len() as u64 + outbox.lost(), 2000, "seed {seed}");
            assert!(arrived.ends_with(&(1001..=2000).collect::<Vec<_>>()) || outbox.lost() > 1000, "seed {seed}");
        }
    }

    #[test]
    fn what_was_left_keeps_its_order_and_new_ones_come_after() {
        let mut outbox = Outbox::new(3, 1).restored([(7, 'a'), (9, 'b')], 12);
        outbox.push('c');
        let left: Vec<_> = outbox.waiting().copied().collect();
        assert_eq!(left, [(7, 'a'), (9, 'b'), (12, 'c')]);
        outbox.push('d');
        assert_eq!((outbox.lost(), outbox.waiting().len()), (1, 3));
        // One that was lost while it was on its way takes nothing with it.
        outbox.delivered(7);
        assert_eq!(outbox.waiting().len(), 3);
    }
}
