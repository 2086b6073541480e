//! What the operator and the checks say of an endpoint, in one word that calls read.

use std::sync::atomic::{AtomicU64, Ordering};

/// What the operator wants of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It serves.
    Ready,
    /// No new sessions and no calls without one; sessions go on.
    Drain,
    /// The same, until the deadline ends its sessions.
    Maintenance,
}

/// Why an endpoint takes no call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Away {
    /// The operator opened its breaker by hand.
    Broken,
    /// The operator drains it.
    Drained,
    /// The operator works on it.
    Maintained,
    /// It does not answer checks.
    Unfit,
}

const DRAIN: u64 = 1;
const MAINTENANCE: u64 = 1 << 1;
const CLOSED: u64 = 1 << 2;
const UNFIT: u64 = 1 << 3;
/// The breaker was opened by hand. It stands here, so that it asks for no rules, and costs nothing where it is not so.
const BROKEN: u64 = 1 << 4;
/// What [`Standing::set_mode`] decides.
const MODE: u64 = DRAIN | MAINTENANCE | CLOSED;

/// Zero where nothing is to be said.
#[derive(Debug, Default)]
pub(super) struct Standing(AtomicU64);

impl Standing {
    /// Whether it takes whatever comes.
    pub(super) fn is_plain(&self) -> bool {
        self.load() == 0
    }

    /// Whether it takes a call; `session`: of a session that it has.
    pub(super) fn allows(&self, session: bool) -> Result<(), Away> {
        let word = self.load();
        if word & BROKEN != 0 {
            return Err(Away::Broken);
        }
        if word & CLOSED != 0 || (word & MAINTENANCE != 0 && !session) {
            return Err(Away::Maintained);
        }
        if word & DRAIN != 0 && !session {
            return Err(Away::Drained);
        }
        if word & UNFIT != 0 { Err(Away::Unfit) } else { Ok(()) }
    }

    pub(super) fn mode(&self) -> Mode {
        match self.load() {
            word if word & MAINTENANCE != 0 => Mode::Maintenance,
            word if word & DRAIN != 0 => Mode::Drain,
            _ => Mode::Ready,
        }
    }

    /// Takes the operator's word.
    pub(super) fn set_mode(&self, mode: Mode) {
        let flag = match mode {
            Mode::Ready => 0,
            Mode::Drain => DRAIN,
            Mode::Maintenance => MAINTENANCE,
        };
        self.say(MODE, flag);
    }

    /// Whether the operator opened its breaker by hand.
    pub(super) fn is_broken(&self) -> bool {
        self.load() & BROKEN != 0
    }

    pub(super) fn set_broken(&self, broken: bool) {
        self.say(BROKEN, if broken { BROKEN } else { 0 });
    }

    /// Takes over what the operator said of the same place before; what checks found is for new ones to find.
    pub(super) fn go_on(&self, before: &Self) {
        self.say(MODE | BROKEN, before.load());
    }

    /// Changes these flags alone.
    fn say(&self, these: u64, said: u64) {
        let changed = |word: u64| Some((word & !these) | (said & these));
        // It always changes.
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, changed);
    }

    /// The deadline of its mode has come; whether its sessions were not over before.
    pub(super) fn close(&self) -> bool {
        let closed = |word: u64| (word & (DRAIN | MAINTENANCE) != 0 && word & CLOSED == 0).then_some(word | CLOSED);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, closed).is_ok()
    }

    /// Whether its sessions are over.
    pub(super) fn is_closed(&self) -> bool {
        self.load() & CLOSED != 0
    }

    pub(super) fn is_fit(&self) -> bool {
        self.load() & UNFIT == 0
    }

    pub(super) fn set_fit(&self, fit: bool) {
        if fit {
            self.0.fetch_and(!UNFIT, Ordering::AcqRel);
        } else {
            self.0.fetch_or(UNFIT, Ordering::AcqRel);
        }
    }

    fn load(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drained_endpoint_keeps_its_sessions_and_one_in_maintenance_until_the_deadline() {
        let standing = Standing::default();
        standing.set_mode(Mode::Drain);
        assert_eq!((standing.allows(true), standing.allows(false)), (Ok(()), Err(Away::Drained)));
        standing.set_mode(Mode::Maintenance);
        assert_eq!((standing.allows(true), standing.allows(false)), (Ok(()), Err(Away::Maintained)));
        assert!(standing.close() && standing.is_closed() && !standing.close(), "they end once");
        assert_eq!(standing.allows(true), Err(Away::Maintained));
        standing.set_mode(Mode::Ready);
        assert!(standing.is_plain() && !standing.is_closed());
    }

    #[test]
    fn nothing_is_closed_that_serves() {
        let standing = Standing::default();
        standing.set_mode(Mode::Maintenance);
        standing.set_mode(Mode::Ready);
        assert!(!standing.close() && !standing.is_closed());
    }

    #[test]
    fn a_breaker_opened_by_hand_refuses_whatever_comes_and_leaves_the_mode_alone() {
        let standing = Standing::default();
        standing.set_mode(Mode::Drain);
        standing.set_broken(true);
        assert_eq!((standing.allows(true), standing.allows(false)), (Err(Away::Broken), Err(Away::Broken)));
        standing.set_fit(false);
        standing.set_mode(Mode::Ready);
        assert!(standing.is_broken() && !standing.is_plain());
        standing.set_broken(false);
        assert_eq!((standing.allows(true), standing.mode()), (Err(Away::Unfit), Mode::Ready));
    }

    #[test]
    fn a_place_that_begins_anew_keeps_what_operators_said_but_not_what_checks_found() {
        let (before, after) = (Standing::default(), Standing::default());
        before.set_fit(false);
        before.set_mode(Mode::Maintenance);
        assert!(before.close());
        after.go_on(&before);
        assert_eq!((after.mode(), after.is_fit(), after.is_closed()), (Mode::Maintenance, true, true));
        before.set_broken(true);
        after.go_on(&before);
        assert!(after.is_broken());
    }

    #[test]
    fn checks_and_operators_do_not_undo_each_other() {
        let standing = Standing::default();
        standing.set_fit(false);
        standing.set_mode(Mode::Drain);
        standing.set_mode(Mode::Ready);
        assert_eq!(standing.allows(true), Err(Away::Unfit));
        standing.set_mode(Mode::Drain);
        standing.set_fit(true);
        assert_eq!((standing.mode(), standing.allows(true)), (Mode::Drain, Ok(())));
    }
}
