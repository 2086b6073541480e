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
/// Which change of the operator's mind was the last, so that the end of an earlier deadline does nothing.
const CHANGES: u32 = 4;

/// The number of the last change of any endpoint: none is given twice, also where a server begins anew.
static LAST: AtomicU64 = AtomicU64::new(0);

/// Zero where nothing is to be said and nothing was.
#[derive(Debug, Default)]
pub(super) struct Standing(AtomicU64);

impl Standing {
    /// Whether it takes whatever comes.
    pub(super) fn is_plain(&self) -> bool {
        self.load() & (DRAIN | MAINTENANCE | CLOSED | UNFIT) == 0
    }

    /// Whether it takes a call; `session`: of a session that it has.
    pub(super) fn allows(&self, session: bool) -> Result<(), Away> {
        let word = self.load();
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

    /// Takes the operator's word; the number of this change.
    pub(super) fn set_mode(&self, mode: Mode) -> u64 {
        let flag = match mode {
            Mode::Ready => 0,
            Mode::Drain => DRAIN,
            Mode::Maintenance => MAINTENANCE,
        };
        let change = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        self.say((change << CHANGES) | flag);
        change
    }

    /// Takes over what the operator said of the same place before; what checks found is for new ones to find.
    pub(super) fn go_on(&self, before: &Self) {
        self.say(before.load() & !UNFIT);
    }

    fn say(&self, operator: u64) {
        let changed = |word: u64| Some(operator | (word & UNFIT));
        // It always changes.
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, changed);
    }

    /// The deadline of a change has come; whether that change still holds.
    pub(super) fn close(&self, change: u64) -> bool {
        let closed =
            |word: u64| (word >> CHANGES == change && word & (DRAIN | MAINTENANCE) != 0).then_some(word | CLOSED);
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
        let change = standing.set_mode(Mode::Maintenance);
        assert_eq!((standing.allows(true), standing.allows(false)), (Ok(()), Err(Away::Maintained)));
        assert!(standing.close(change) && standing.is_closed());
        assert_eq!(standing.allows(true), Err(Away::Maintained));
        standing.set_mode(Mode::Ready);
        assert!(standing.is_plain() && !standing.is_closed());
    }

    #[test]
    fn a_deadline_that_was_overtaken_closes_nothing() {
        let standing = Standing::default();
        let first = standing.set_mode(Mode::Maintenance);
        standing.set_mode(Mode::Ready);
        standing.set_mode(Mode::Maintenance);
        assert!(!standing.close(first) && !standing.is_closed());
    }

    #[test]
    fn a_place_that_begins_anew_keeps_its_mode_and_deadline_but_not_what_checks_found() {
        let (before, other, after) = (Standing::default(), Standing::default(), Standing::default());
        before.set_fit(false);
        let change = before.set_mode(Mode::Maintenance);
        assert_ne!(other.set_mode(Mode::Maintenance), change);
        after.go_on(&before);
        assert_eq!((after.mode(), after.is_fit(), after.allows(true)), (Mode::Maintenance, true, Ok(())));
        assert!(!other.close(change) && after.close(change) && after.is_closed());
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
