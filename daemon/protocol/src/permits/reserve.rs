//! Permits that lighter tiers leave free, so that a heavier one's calls need not wait until one of a flood's has ended.
//!
//! A tier is there from its first call on until none came for [`LOOKS`] looks. While a heavier one is there, a tier
//! leaves a part of the permits free: a tenth, and as many more as calls of the heaviest tier had to wait for one, up to
//! a quarter; less as much of it as its weight is of the heaviest's. What turned out to be needed, and is used, is let go so
//! slowly that finding out anew makes far fewer than one call in a hundred wait: callers that come in bunches need as many
//! permits as there are callers, and the last one is missed by every bunch. What is not used is let go within seconds.
//! Where all have the same weight nothing is held back, and a call pays for two loads to know it.

use std::sync::atomic::{AtomicU32, Ordering};

/// Looks without a call after which a tier is not there any more.
pub const LOOKS: u32 = 60;

/// One in so many permits is held back from a tier that weighs nothing beside the heaviest.
const PART: usize = 10;
/// At most one in so many is, whatever the heaviest wants.
const MOST: usize = 4;
/// One in so many of those that are held back beyond [`PART`] is let go with each look, half of them in 44: while half of
/// them are used, and while they are not.
const LETS_GO: [u32; 2] = [64, 8];
/// Looks after a cut of the cap in which it is the cut that calls wait for.
const CUT: u32 = 3;
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
pub(super) struct Missed {
    parts: AtomicU32,
    /// The most of all that is held back that was in use at once since the last look.
    used: AtomicU32,
    /// Looks in which nothing counts.
    cut: AtomicU32,
}

impl Missed {
    /// A call of the heaviest tier found none, though it was its tier's turn.
    pub(super) fn note(&self, cap: usize) {
        if self.cut.load(Ordering::Relaxed) > 0 {
            return;
        }
        let most = u32::try_from(cap / MOST).map_or(u32::MAX, |most| most.saturating_mul(PARTS));
        let more = |parts: u32| (parts < most).then(|| parts.saturating_add(PARTS).min(most));
        let _ = self.parts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// A call of the heaviest tier has one, and with it as many are in use of those that are held back.
    pub(super) fn uses(&self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        if count > self.used.load(Ordering::Relaxed) {
            self.used.fetch_max(count, Ordering::Relaxed);
        }
    }

    /// The cap is another one; cut by much, as where it is tried what a call takes of a server that has little to do, it has
    /// calls wait that need no more permits than before.
    pub(super) fn recap(&self, before: usize, after: usize) {
        if after < before - before / MOST {
            self.cut.store(CUT, Ordering::Relaxed);
        }
    }

    /// One look more, at a server with this cap; whether fewer are held back from now on.
    pub(super) fn look(&self, cap: usize) -> bool {
        let _ = self.cut.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |cut| cut.checked_sub(1));
        let used = self.used.swap(0, Ordering::Relaxed) as usize;
        let is_used = 2 * used.saturating_sub(cap / PART) >= self.count();
        let one_in = LETS_GO[usize::from(!is_used)];
        let fewer = |parts: u32| (parts > 0).then(|| parts - parts.div_ceil(one_in));
        let before = self.parts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
        before.is_ok_and(|before| before.div_ceil(PARTS) > (before - before.div_ceil(one_in)).div_ceil(PARTS))
    }

    /// The tier is gone, and whoever comes next needs what it needs.
    pub(super) fn forget(&self) {
        self.parts.store(0, Ordering::Relaxed);
    }

    /// A part of a permit is held back as a whole one.
    pub(super) fn count(&self) -> usize {
        self.parts.load(Ordering::Relaxed).div_ceil(PARTS) as usize
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

    /// Looks until nothing is held back any more; fewer are each time when a look says so.
    fn looks(used: usize) -> usize {
        let missed = Missed::default();
        (0..90).for_each(|_| missed.note(100));
        let (mut looks, mut count) = (0, missed.count());
        assert_eq!(count, 25);
        while missed.count() > 0 {
            missed.uses(used);
            assert_eq!(missed.look(100), missed.count() < count, "after {looks} looks");
            (looks, count) = (looks + 1, missed.count());
        }
        assert!(!missed.look(100));
        looks
    }

    #[test]
    fn what_was_missed_is_let_go_slowly_while_it_is_used_and_soon_else() {
        assert!((300..600).contains(&looks(25)), "{}", looks(25));
        // Of the tenth and of 25 more, 21 are too few: a half of those that are more.
        assert!((30..60).contains(&looks(10)), "{}", looks(10));
        assert!((looks(10)..looks(25)).contains(&looks(17)));
    }

    #[test]
    fn what_a_cut_of_the_cap_has_calls_wait_for_is_not_missed() {
        let missed = Missed::default();
        missed.recap(100, 50);
        for _ in 0..CUT {
            missed.note(50);
            assert!(!missed.look(50));
        }
        assert_eq!(missed.count(), 0);
        missed.recap(50, 45);
        missed.note(45);
        assert_eq!(missed.count(), 1, "a small step is no cut");
        missed.forget();
        assert_eq!(missed.count(), 0);
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
