//! Chance that a seed decides: jitter and choices that a simulation can repeat.

/// A generator of even numbers in the statistical sense: `SplitMix64`, for which every seed, zero
/// included, will do. Not for secrets.
#[derive(Debug, Clone)]
pub struct Chance(u64);

/// What the generator's state grows by.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Chance {
    /// The sequence of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next of all 64-bit numbers.
    pub fn random(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mixed(self.0)
    }

    /// A number below `bound`; 0 where the bound is.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.random().checked_rem(bound).unwrap_or(0)
    }
}

/// The random number of this place in the sequence of seed 0: for places that several threads count.
#[must_use]
pub fn at(place: u64) -> u64 {
    mixed(place.wrapping_add(1).wrapping_mul(STEP))
}

fn mixed(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_the_number_of_the_sequence() {
        let mut chance = Chance::new(0);
        for place in 0..100 {
            assert_eq!(chance.random(), at(place));
        }
        assert_eq!(chance.below(0), 0);
    }

    #[test]
    fn numbers_are_spread_evenly() {
        let mut chance = Chance::new(7);
        let mut seen = [0_u32; 10];
        for _ in 0..10_000 {
            seen[usize::try_from(chance.below(10)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|count| (850..1150).contains(count)), "{seen:?}");
    }
}
