//! Permits that lighter tiers leave free, so that a heavier one's calls need not wait until one of a flood's has ended.
//!
//! A tier is there from its first call on until none came for [`LOOKS`] looks. While a heavier one is there, a tier
//! leaves a part of the permits free: a tenth, and as many more as calls of the heaviest tier had to wait for one, up to
//! a quarter; less as much of it as its weight is of the heaviest's. What turned out to be needed is let go so slowly that
//! finding out anew makes far fewer than one call in a hundred wait: callers that come in bunches need as many permits as
//! there are callers, and the last one is missed by every bunch. Where all have the same weight nothing is held back,
//! and a call pays for two loads to know it.

use std::sync::atomic::{AtomicU32, Ordering};

/// Looks without a call after which a tier is not there any more.
pub const LOOKS: u32 = 60;

/// One in so many permits is held back from a tier that weighs nothing beside the heaviest.
const PART: usize = 10;
/// At most one in so many is, whatever the heaviest wants.
const MOST: usize = 4;
/// One in so many of those that are held back beyond [`PART`] is let go with each look: half of them in 44.
const LETS_GO: u32 = 64;
/// Parts of a permit that are counted.
const PARTS: u32 = 256;

const AGE_BITS: u32 = 8;
const AGE: u32 = (1 << AGE_BITS) - 1;

/// The heaviest weight that is there: above the looks since its last call.
#[derive(Debug, Default)]
pub(super) struct Heaviest(AtomicU32);

impl Heaviest {
    /// A call of this weight comes; the heaviest that is there.
    pub(super) fn note(&self, weight: u32) -> u32 {
        let word = self.0.load(Ordering::Relaxed);
        let heaviest = word >> AGE_BITS;
        if weight < heaviest || (weight == heaviest && word & AGE == 0) {
            return heaviest;
        }
        let young = |word: u32| (word >> AGE_BITS <= weight).then_some(weight << AGE_BITS);
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, young) {
            Ok(_) => weight,
            Err(word) => word >> AGE_BITS,
        }
    }

    /// The heaviest that is there.
    pub(super) fn weight(&self) -> u32 {
        self.0.load(Ordering::Relaxed) >> AGE_BITS
    }

    /// One look more; whether it was the last one at a tier that is gone.
    pub(super) fn look(&self) -> bool {
        let older = |word: u32| match word & AGE {
            _ if word == 0 => None,
            age if age < LOOKS => Some(word + 1),
            _ => Some(0),
        };
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, older);
        before.is_ok_and(|word| word & AGE >= LOOKS)
    }
}

/// How many permits more the heaviest tier would have needed, in [`PARTS`].
#[derive(Debug, Default)]
pub(super) struct Missed(AtomicU32);

impl Missed {
    /// A call of the heaviest tier found none, though it was its tier's turn.
    pub(super) fn note(&self, cap: usize) {
        let most = u32::try_from(cap / MOST).map_or(u32::MAX, |most| most.saturating_mul(PARTS));
        let more = |missed: u32| (missed < most).then(|| missed.saturating_add(PARTS).min(most));
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// One look more; whether fewer are held back from now on.
    pub(super) fn look(&self) -> bool {
        let fewer = |missed: u32| (missed > 0).then(|| missed - missed.div_ceil(LETS_GO));
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
        before.is_ok_and(|before| before.div_ceil(PARTS) > (before - before.div_ceil(LETS_GO)).div_ceil(PARTS))
    }

    /// A part of a permit is held back as a whole one.
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed).div_ceil(PARTS) as usize
    }
}

/// How many of `cap` permits a call of this weight leaves free while the heaviest that is there has `heaviest`, and
/// lately `missed` so many.
pub(super) fn held_back(cap: usize, weight: u32, heaviest: u32, missed: usize) -> usize {
    if weight >= heaviest {
        return 0;
    }
    let all = (cap / PART + missed).min(cap / MOST);
    (all * (heaviest - weight) as usize).div_ceil(heaviest as usize)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::permits::{MAX, MAX_WEIGHT};

    #[test]
    fn a_tier_is_there_until_it_has_not_called_for_a_while() {
        let heaviest = Heaviest::default();
        assert_eq!([heaviest.note(1), heaviest.note(6), heaviest.note(1)], [1, 6, 6]);
        for _ in 0..3 {
            for _ in 0..LOOKS {
                assert!(!heaviest.look());
                assert_eq!(heaviest.note(1), 6);
            }
            assert_eq!(heaviest.note(6), 6, "seen again");
        }
        let lapsed = (0..=LOOKS).filter(|_| heaviest.look()).count();
        assert_eq!((lapsed, heaviest.weight()), (1, 0));
        assert!(!heaviest.look(), "nobody is there");
        assert_eq!(heaviest.note(3), 3);
    }

    #[test]
    fn what_is_held_back_follows_the_weights() {
        assert_eq!([1, 3, 5, 6, 7].map(|weight| held_back(100, weight, 6, 0)), [9, 5, 2, 0, 0]);
        assert_eq!([0, 1, 9, 10, 11, 20].map(|cap| held_back(cap, 1, 6, 0)), [0, 0, 0, 1, 1, 2]);
        assert_eq!([1, 8, 90].map(|missed| held_back(100, 1, 6, missed)), [10, 15, 21], "a quarter at most");
        assert_eq!(held_back(100, 1, 0, 0), 0, "nobody is there");
    }

    #[test]
    fn what_was_missed_is_forgotten_in_minutes_and_one_at_a_time() {
        let missed = Missed::default();
        (0..90).for_each(|_| missed.note(100));
        assert_eq!(missed.count(), 25);
        let (mut looks, mut counts) = (0, vec![25]);
        while missed.count() > 0 {
            let is_fewer = missed.look();
            assert_eq!(is_fewer, counts.last() != Some(&missed.count()), "after {looks} looks");
            counts.extend(is_fewer.then(|| missed.count()));
            looks += 1;
        }
        assert_eq!(counts, (0..=25).rev().collect::<Vec<_>>());
        assert!((300..600).contains(&looks), "{looks}");
        assert!(!missed.look());
    }

    proptest! {
        /// At least one where a tenth is one, at most a quarter, never more for a heavier one.
        #[test]
        fn it_is_a_quarter_at_most(
            cap in 0..=MAX, weight in 1..MAX_WEIGHT, more in 1..MAX_WEIGHT, missed in 0..MAX
        ) {
            let held = held_back(cap, weight, weight + more, missed);
            prop_assert!(held <= cap / MOST);
            prop_assert!(held > 0 || cap < PART);
            prop_assert!(held_back(cap, weight + 1, weight + more, missed) <= held);
        }
    }
}
