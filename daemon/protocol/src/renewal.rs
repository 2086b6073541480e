//! When a token that lapses is asked for again: before it lapses, once at a time, and not in a hurry where that fails.
//!
//! `toolgated::servers::credentials` asks before each call that needs a new look, and tells how each question ended. Pure:
//! times are milliseconds of any monotonic clock, and chance comes from the seed.

use crate::chance::Chance;

/// A token is asked for again once it has lived for this share of its life.
const RENEWED_AT_PERCENT: u64 = 80;

/// So much of its life the renewal may come earlier, so that many servers' tokens do not lapse in step.
const JITTER_PERCENT: u64 = 10;

/// So long before its end a token is not shown any more: it would lapse on its way.
const MARGIN_MILLIS: u64 = 1_000;

/// The wait after the first failure; each further one doubles it.
const FIRST_MILLIS: u64 = 1_000;

/// The longest wait after a failure.
const CAP_MILLIS: u64 = 60_000;

/// A token that a server refuses is replaced no sooner after it was given: one that refuses all of them must not have
/// the authorization server asked with every call.
const REPLACED_AFTER_MILLIS: u64 = 10_000;

/// What whoever needs the token is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Show it.
    Show,
    /// Show it, and ask for the next one.
    ShowAndAsk,
    /// Ask for one, and wait for it.
    Ask,
    /// Wait for the one that was asked for.
    Wait,
    /// There is none, and none is asked for yet.
    Refuse {
        /// Until one is.
        millis: u64,
    },
}

#[derive(Debug, Clone, Copy)]
struct Life {
    given: u64,
    renewed: u64,
    over: u64,
}

/// The token of one server.
#[derive(Debug, Clone)]
pub struct Renewal {
    life: Option<Life>,
    asking: bool,
    /// Questions that failed in a row.
    failures: u32,
    /// None is asked before this.
    next: u64,
    chance: Chance,
}

impl Renewal {
    /// Nobody was asked yet.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { life: None, asking: false, failures: 0, next: 0, chance: Chance::new(seed) }
    }

    /// What to do at `now`. After [`Turn::Ask`] and [`Turn::ShowAndAsk`] the caller is the one who asks, and tells.
    pub fn turn(&mut self, now: u64) -> Turn {
        let life = self.life.filter(|life| now < life.over);
        let due = life.is_none_or(|life| now >= life.renewed);
        let asks = due && !self.asking && now >= self.next;
        self.asking |= asks;
        match (life.is_some(), asks) {
            (true, true) => Turn::ShowAndAsk,
            (true, false) => Turn::Show,
            (false, true) => Turn::Ask,
            (false, false) if self.asking => Turn::Wait,
            (false, false) => Turn::Refuse { millis: self.next - now },
        }
    }

    /// Until when [`Renewal::turn`] would say [`Turn::Show`]; `None` where there is nothing to show.
    #[must_use]
    pub fn shown_until(&self) -> Option<u64> {
        self.life.map(|life| life.renewed.min(life.over))
    }

    /// The question was answered at `now` with a token that lapses `lifetime` milliseconds later.
    pub fn granted(&mut self, now: u64, lifetime: u64) {
        let early = self.chance.below(lifetime / 100 * JITTER_PERCENT + 1);
        let renewed = now.saturating_add((lifetime / 100 * RENEWED_AT_PERCENT).saturating_sub(early));
        // A token of a second or two is shown at least once.
        let over = now.saturating_add(lifetime.saturating_sub(MARGIN_MILLIS).max(1));
        self.life = Some(Life { given: now, renewed, over });
        self.asking = false;
        self.failures = 0;
        self.next = 0;
    }

    /// The question was not answered with a token.
    pub fn failed(&mut self, now: u64) {
        let wait = CAP_MILLIS.min(FIRST_MILLIS << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        self.asking = false;
        self.next = now.saturating_add(wait / 2 + self.chance.below(wait / 2 + 1));
    }

    /// Nobody waits for the answer to the question any more, and nobody will tell how it ended.
    pub fn abandoned(&mut self) {
        self.asking = false;
    }

    /// What kept questions from being answered may be mended: the next one is asked at once.
    pub fn hurry(&mut self) {
        self.next = 0;
    }

    /// The server refused the token that is shown now. Whether another one is to be asked for.
    pub fn refused(&mut self, now: u64) -> bool {
        match self.life {
            Some(life) if now.saturating_sub(life.given) < REPLACED_AFTER_MILLIS => false,
            Some(_) => {
                self.life = None;
                true
            }
            None => true,
        }
    }

    /// Questions that failed since the last that did not.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = 3_600_000;

    #[test]
    fn a_token_is_shown_and_renewed_before_its_end() {
        let mut renewal = Renewal::new(1);
        assert_eq!(renewal.turn(0), Turn::Ask);
        assert_eq!(renewal.turn(1), Turn::Wait);
        renewal.granted(10, HOUR);
        let due = renewal.shown_until().unwrap();
        assert!((10 + HOUR * 7 / 10..=10 + HOUR * 8 / 10).contains(&due), "{due}");
        assert_eq!(renewal.turn(due - 1), Turn::Show);
        assert_eq!(renewal.turn(due), Turn::ShowAndAsk);
        assert_eq!(renewal.turn(due + 1), Turn::Show);
        assert_eq!(renewal.turn(10 + HOUR - MARGIN_MILLIS), Turn::Wait);
    }

    #[test]
    fn failures_back_off_and_the_old_token_is_shown_meanwhile() {
        let mut renewal = Renewal::new(7);
        renewal.turn(0);
        renewal.granted(0, HOUR);
        let mut now = renewal.shown_until().unwrap();
        assert_eq!(renewal.turn(now), Turn::ShowAndAsk);
        renewal.failed(now);
        assert_eq!(renewal.turn(now + FIRST_MILLIS / 2 - 1), Turn::Show);
        now += FIRST_MILLIS;
        assert_eq!(renewal.turn(now), Turn::ShowAndAsk);
        renewal.failed(now);
        let over = HOUR;
        assert_eq!(renewal.turn(over), Turn::Ask);
        renewal.failed(over);
        assert!(matches!(renewal.turn(over), Turn::Refuse { millis } if millis <= 4 * FIRST_MILLIS));
    }

    #[test]
    fn a_refused_token_is_replaced_but_not_with_every_call() {
        let mut renewal = Renewal::new(3);
        renewal.turn(0);
        renewal.granted(0, HOUR);
        assert!(!renewal.refused(REPLACED_AFTER_MILLIS - 1), "a new one would be refused as well");
        assert!(renewal.refused(REPLACED_AFTER_MILLIS));
        assert_eq!(renewal.turn(REPLACED_AFTER_MILLIS), Turn::Ask);
        assert!(renewal.refused(REPLACED_AFTER_MILLIS), "whoever was refused as well waits for the same");
        assert_eq!(renewal.turn(REPLACED_AFTER_MILLIS), Turn::Wait);
    }

    #[test]
    fn a_question_that_was_given_up_is_asked_by_the_next() {
        let mut renewal = Renewal::new(3);
        assert_eq!(renewal.turn(0), Turn::Ask);
        renewal.abandoned();
        assert_eq!(renewal.turn(0), Turn::Ask);
    }

    proptest! {
        /// Whatever happens in whatever order: one question at a time, none while it is to wait, and never a lapsed token.
        #[test]
        fn one_asks_and_nobody_shows_what_has_lapsed(seed: u64, steps in prop::collection::vec((0u64..90_000, 0u8..5, 1u64..200_000), 1..200)) {
            let (mut renewal, mut now, mut asking, mut over) = (Renewal::new(seed), 0, false, 0);
            for (passed, what, lifetime) in steps {
                now += passed;
                match what {
                    0 if asking => {
                        renewal.granted(now, lifetime);
                        (asking, over) = (false, now + lifetime);
                    }
                    1 if asking => {
                        renewal.failed(now);
                        asking = false;
                    }
                    2 if asking => {
                        renewal.abandoned();
                        asking = false;
                    }
                    3 => over = if renewal.refused(now) { 0 } else { over },
                    _ => {}
                }
                match renewal.turn(now) {
                    Turn::Show => prop_assert!(now < over),
                    Turn::ShowAndAsk => {
                        prop_assert!(now < over && !asking);
                        asking = true;
                    }
                    Turn::Ask => {
                        prop_assert!(!asking);
                        asking = true;
                    }
                    Turn::Wait => prop_assert!(asking),
                    Turn::Refuse { millis } => prop_assert!(!asking && (1..=CAP_MILLIS).contains(&millis)),
                }
            }
        }
    }
}
