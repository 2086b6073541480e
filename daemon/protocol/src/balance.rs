//! Which of several endpoints a call goes to: of two that chance picks by weight, the less busy one.
//!
//! `toolgated::servers::endpoints` asks for every call without a session. Looking at two and not at all keeps
//! calls that start together from all running to the one that was idle a moment ago. Pure.

use crate::chance::Chance;

/// An endpoint as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its share of calls, against the weights of others; at least 1.
    pub weight: u32,
    /// Calls that are with it.
    pub outstanding: usize,
}

impl Candidate {
    /// Whether it is busier than another for its weight.
    fn is_busier_than(&self, other: &Self) -> bool {
        self.outstanding as u128 * u128::from(other.weight) > other.outstanding as u128 * u128::from(self.weight)
    }
}

/// The number of the endpoint for a call, of `count`; `candidate` yields `None` for those that take no call.
pub fn pick(count: usize, candidate: impl Fn(usize) -> Option<Candidate>, chance: &mut Chance) -> Option<usize> {
    let (one, first) = draw(count, &candidate, None, chance)?;
    let Some((other, second)) = draw(count, &candidate, Some(one), chance) else { return Some(one) };
    Some(if first.is_busier_than(&second) { other } else { one })
}

/// One by chance, in proportion to the weights, but not `except`.
fn draw(
    count: usize,
    candidate: &impl Fn(usize) -> Option<Candidate>,
    except: Option<usize>,
    chance: &mut Chance,
) -> Option<(usize, Candidate)> {
    let all = || (0..count).filter(|number| Some(*number) != except).filter_map(|at| Some((at, candidate(at)?)));
    let total: u64 = all().map(|(_, candidate)| u64::from(candidate.weight)).sum();
    let mut drawn = chance.below(total);
    for (at, candidate) in all() {
        match drawn.checked_sub(u64::from(candidate.weight)) {
            Some(rest) => drawn = rest,
            None => return Some((at, candidate)),
        }
    }
    // One that stopped taking calls between the two passes.
    all().next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shares(candidates: &[Option<Candidate>], calls: usize) -> Vec<usize> {
        let mut chance = Chance::new(1);
        let mut shares = vec![0; candidates.len()];
        for _ in 0..calls {
            if let Some(at) = pick(candidates.len(), |at| candidates[at], &mut chance) {
                shares[at] += 1;
            }
        }
        shares
    }

    fn idle(weight: u32) -> Candidate {
        Candidate { weight, outstanding: 0 }
    }

    #[test]
    fn idle_endpoints_share_by_weight() {
        let got = shares(&[Some(idle(1)), None, Some(idle(3))], 40_000);
        assert!(got[1] == 0 && (9_500..10_500).contains(&got[0]), "{got:?}");
        assert_eq!(shares(&[None, None], 10), [0, 0]);
    }

    #[test]
    fn of_two_the_less_busy_one_is_taken_for_its_weight() {
        let busy = |weight, outstanding| Some(Candidate { weight, outstanding });
        assert_eq!(shares(&[busy(1, 5), busy(1, 4)], 100), [0, 100]);
        assert_eq!(shares(&[busy(2, 5), busy(1, 4)], 100), [100, 0]);
    }

    proptest! {
        /// Calls of random length: the load per weight of all endpoints stays together.
        #[test]
        fn load_follows_weight(seed in any::<u64>(), weights in prop::collection::vec(1_u32..5, 2..8)) {
            let mut chance = Chance::new(seed);
            let mut outstanding = vec![0_usize; weights.len()];
            let mut calls = Vec::new();
            for _ in 0..2000 {
                let at = pick(weights.len(), |at| Some(Candidate { weight: weights[at], outstanding: outstanding[at] }), &mut chance);
                let at = at.expect("all take calls");
                outstanding[at] += 1;
                calls.push(at);
                if calls.len() > 400 {
                    let ended = calls.swap_remove(usize::try_from(chance.below(calls.len() as u64)).unwrap());
                    outstanding[ended] -= 1;
                }
            }
            let total: u32 = weights.iter().sum();
            for (weight, load) in weights.iter().zip(&outstanding) {
                let fair = 400 * *weight as usize / total as usize;
                prop_assert!(load.abs_diff(fair) <= fair / 2 + 20, "{load} of {outstanding:?} for {weights:?}");
            }
        }
    }
}
