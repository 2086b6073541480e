//! Whether an answer that was kept may still be given.
//! Called for every look into the cache.
//! Must hold: nothing is given after its time, and nothing stale but where that was asked for.

/// How an answer stands at some age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It is as good as the server's own.
    Fresh,
    /// It is given only where the server cannot be reached, and marked.
    Stale,
    /// It is not given.
    Expired,
}

impl Freshness {
    /// Of an answer that is `age` old, lives for `ttl`, and may be given stale for `grace` after that; all in the same
    /// unit.
    #[must_use]
    pub const fn of(age: u64, ttl: u64, grace: u64) -> Self {
        if age < ttl {
            Self::Fresh
        } else if age < ttl.saturating_add(grace) {
            Self::Stale
        } else {
            Self::Expired
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_answer_lives_up_to_its_time_and_not_on_it() {
        for (age, expected) in [
            (0, Freshness::Fresh),
            (9, Freshness::Fresh),
            (10, Freshness::Stale),
            (14, Freshness::Stale),
            (15, Freshness::Expired),
        ] {
            assert_eq!(Freshness::of(age, 10, 5), expected, "{age}");
        }
        assert_eq!(Freshness::of(0, 0, 0), Freshness::Expired);
        assert_eq!(Freshness::of(u64::MAX - 1, 1, u64::MAX), Freshness::Stale);
    }

    proptest! {
        #[test]
        fn an_answer_only_gets_worse(age in any::<u64>(), later in any::<u64>(), ttl in any::<u64>(), grace in any::<u64>()) {
            let rank = |freshness| match freshness { Freshness::Fresh => 0, Freshness::Stale => 1, Freshness::Expired => 2 };
            let (now, then) = (Freshness::of(age, ttl, grace), Freshness::of(age.saturating_add(later), ttl, grace));
            prop_assert!(rank(then) >= rank(now));
            prop_assert!(grace > 0 || now != Freshness::Stale);
        }
    }
}
