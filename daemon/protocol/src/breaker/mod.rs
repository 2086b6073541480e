//! Whether calls to an endpoint or a stdio server go through: a circuit breaker.
//!
//! `toolgated::servers::endpoints` asks [`Breaker::admit`] before a call and tells [`Breaker::record`] or
//! [`Breaker::abandon`] how it went. Pure: times are milliseconds of any monotonic clock, and chance comes
//! from the seed. The rules come with each question, so that a reload may change them under a running breaker.
//!
//! What must hold: while it is closed a question costs one load; between open and closed exactly one call is let
//! through at a time; a probe that is dropped frees its place; what a call brings counts only in the period in
//! which it began; what the operator forced stays until the operator says otherwise.

mod rules;
mod window;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::chance::Chance;
pub use rules::{Cause, Rules};
use window::Window;

/// The share of a wait that chance may take off, so that breakers that opened together do not probe together.
const JITTER_PERCENT: u64 = 10;

/// When to ask again while a probe is under way, in milliseconds.
const WHILE_PROBING: u64 = 1000;

/// Doublings of the wait that are counted; it has reached any cap by then.
const MOST_DOUBLINGS: u32 = 20;

/// The breaker of one endpoint.
#[derive(Debug)]
pub struct Breaker {
    /// The period and its state. A period begins with every change of state.
    word: AtomicU64,
    /// When a probe may go, in an open period.
    until: AtomicU64,
    /// Failures since the last success.
    in_a_row: AtomicU32,
    window: Window,
    /// Held for every change of state.
    memory: Mutex<Memory>,
}

/// What changes of state need to know of earlier ones.
#[derive(Debug)]
struct Memory {
    chance: Chance,
    /// Probes that failed since it was closed.
    doublings: u32,
    cause: Option<Cause>,
    opened: u64,
}

/// What calls meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Calls go through.
    Closed,
    /// Calls are refused until a probe may go.
    Open,
    /// One call is out to see; others are refused.
    HalfOpen,
    /// Calls are refused because the operator says so.
    ForcedOpen,
    /// Calls go through whatever happens because the operator says so.
    ForcedClosed,
}

const STATE_BITS: u32 = 3;

impl State {
    fn of(word: u64) -> Self {
        match word & ((1 << STATE_BITS) - 1) {
            0 => Self::Closed,
            1 => Self::Open,
            2 => Self::HalfOpen,
            3 => Self::ForcedOpen,
            _ => Self::ForcedClosed,
        }
    }
}

fn period(word: u64) -> u64 {
    word >> STATE_BITS
}

/// The right to make one call; to be given to [`Breaker::record`] or [`Breaker::abandon`].
#[derive(Debug)]
#[must_use = "a probe that is not given back keeps everybody else out"]
pub struct Pass {
    period: u64,
    probe: bool,
}

impl Pass {
    /// Whether everything waits for this one.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.probe
    }
}

/// Whether a call may be made.
#[derive(Debug)]
pub enum Verdict {
    /// Yes.
    Pass(Pass),
    /// No.
    Refused {
        /// When to ask again; `None` where only the operator knows.
        millis: Option<u64>,
    },
}

/// How a call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered, whatever the answer says.
    Answered {
        /// After this long.
        millis: u64,
    },
    /// It was not answered, or with something that is no answer.
    Failed,
}

/// What a call has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Calls are refused from now on.
    Opened {
        /// What it took.
        cause: Cause,
        /// For how long.
        millis: u64,
    },
    /// Calls go through again.
    Closed,
}

/// What the operator sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glance {
    /// What calls meet.
    pub state: State,
    /// Until a probe may go, in an open period.
    pub millis: Option<u64>,
    /// What opened it last, while it is not closed.
    pub cause: Option<Cause>,
    /// How often it opened.
    pub opened: u64,
}

impl Breaker {
    /// A closed one.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            word: AtomicU64::new(0),
            until: AtomicU64::new(0),
            in_a_row: AtomicU32::new(0),
            window: Window::default(),
            memory: Mutex::new(Memory { chance: Chance::new(seed), doublings: 0, cause: None, opened: 0 }),
        }
    }

    /// Whether a call may be made at `now`.
    pub fn admit(&self, now: u64) -> Verdict {
        let word = self.word.load(Ordering::Acquire);
        match self.ask(word, now) {
            Err(millis) => Verdict::Refused { millis },
            Ok(()) if State::of(word) == State::Open => self.probe(word),
            Ok(()) => Verdict::Pass(Pass { period: period(word), probe: false }),
        }
    }

    /// Whether [`Breaker::admit`] would let a call through; nobody takes a probe's place by asking.
    ///
    /// # Errors
    /// When to ask again; `None` where only the operator knows.
    pub fn would_admit(&self, now: u64) -> Result<(), Option<u64>> {
        self.ask(self.word.load(Ordering::Acquire), now)
    }

    fn ask(&self, word: u64, now: u64) -> Result<(), Option<u64>> {
        match State::of(word) {
            State::Closed | State::ForcedClosed => Ok(()),
            State::ForcedOpen => Err(None),
            State::HalfOpen => Err(Some(WHILE_PROBING)),
            State::Open => match self.until.load(Ordering::Relaxed).saturating_sub(now) {
                0 => Ok(()),
                left => Err(Some(left)),
            },
        }
    }

    /// The one call that sees whether it works again, unless another was faster.
    fn probe(&self, seen: u64) -> Verdict {
        let _memory = self.memory();
        if self.word.load(Ordering::Relaxed) != seen {
            return Verdict::Refused { millis: Some(WHILE_PROBING) };
        }
        Verdict::Pass(Pass { period: self.enter(State::HalfOpen), probe: true })
    }

    /// Counts how a call went at `now`; what that changed.
    pub fn record(&self, rules: &Rules, pass: &Pass, outcome: Outcome, now: u64) -> Option<Change> {
        let word = self.word.load(Ordering::Acquire);
        if period(word) != pass.period {
            return None;
        }
        match State::of(word) {
            State::Closed => {
                let cause = self.count(rules, outcome, now)?;
                let memory = self.memory_of(pass)?;
                Some(self.open(memory, rules, cause, 0, now))
            }
            State::HalfOpen => {
                let memory = self.memory_of(pass)?;
                let Some(cause) = rules.condemn(outcome) else { return Some(self.close(memory)) };
                let doublings = memory.doublings.saturating_add(1).min(MOST_DOUBLINGS);
                Some(self.open(memory, rules, cause, doublings, now))
            }
            State::Open | State::ForcedOpen | State::ForcedClosed => None,
        }
    }

    /// The call ended without saying anything of its server, such as by its client's leaving.
    pub fn abandon(&self, pass: &Pass) {
        if !pass.probe {
            return;
        }
        let Some(_memory) = self.memory_of(pass) else { return };
        // The next call probes at once: nothing speaks against it.
        self.until.store(0, Ordering::Relaxed);
        self.enter(State::Open);
    }

    /// Lets calls through, as if nothing had happened.
    pub fn reset(&self) {
        self.close(self.memory());
    }

    /// Refuses all calls until the operator says otherwise.
    pub fn force_open(&self) {
        let mut memory = self.memory();
        memory.cause = None;
        self.enter(State::ForcedOpen);
    }

    /// Lets all calls through until the operator says otherwise.
    pub fn force_closed(&self) {
        let mut memory = self.memory();
        memory.cause = None;
        self.enter(State::ForcedClosed);
    }

    /// Takes over what another one is at and has counted, of the same endpoint. Its probe stays its own: where one is out,
    /// the next call here is another.
    pub fn go_on(&self, before: &Self) {
        let theirs = before.memory();
        let (state, until) = match State::of(before.word.load(Ordering::Relaxed)) {
            State::HalfOpen => (State::Open, 0),
            state => (state, before.until.load(Ordering::Relaxed)),
        };
        let mut memory = self.memory();
        (memory.doublings, memory.cause, memory.opened) = (theirs.doublings, theirs.cause, theirs.opened);
        self.window.go_on(&before.window);
        self.in_a_row.store(before.in_a_row.load(Ordering::Relaxed), Ordering::Relaxed);
        self.until.store(until, Ordering::Relaxed);
        self.enter(state);
    }

    /// What the operator sees at `now`.
    #[must_use]
    pub fn glance(&self, now: u64) -> Glance {
        let memory = self.memory();
        let state = State::of(self.word.load(Ordering::Relaxed));
        let left = self.until.load(Ordering::Relaxed).saturating_sub(now);
        let millis = (state == State::Open).then_some(left);
        Glance { state, millis, cause: memory.cause, opened: memory.opened }
    }

    /// What makes an outcome one too many.
    fn count(&self, rules: &Rules, outcome: Outcome, now: u64) -> Option<Cause> {
        let failed = outcome == Outcome::Failed;
        let slow = rules.is_slow(outcome);
        if rules.needs_window() {
            self.window.add(rules.window, now, failed, slow);
        }
        if failed {
            let row = self.in_a_row.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            if rules.failures.is_some_and(|most| row >= most) {
                return Some(Cause::InARow(row));
            }
        } else if self.in_a_row.load(Ordering::Relaxed) != 0 {
            self.in_a_row.store(0, Ordering::Relaxed);
        }
        if (failed || slow) && rules.needs_window() { rules.judge(self.window.sum(rules.window, now)) } else { None }
    }

    fn open(&self, mut memory: Held<'_>, rules: &Rules, cause: Cause, doublings: u32, now: u64) -> Change {
        let wait = rules.open_for.saturating_mul(1 << doublings).min(rules.max_open.max(rules.open_for));
        let millis = wait - memory.chance.below(wait / 100 * JITTER_PERCENT + 1);
        memory.doublings = doublings;
        memory.cause = Some(cause);
        memory.opened += 1;
        self.until.store(now.saturating_add(millis), Ordering::Relaxed);
        self.enter(State::Open);
        Change::Opened { cause, millis }
    }

    fn close(&self, mut memory: Held<'_>) -> Change {
        memory.doublings = 0;
        memory.cause = None;
        self.in_a_row.store(0, Ordering::Relaxed);
        self.window.clear();
        self.enter(State::Closed);
        Change::Closed
    }

    /// Begins a period. Whoever calls holds the memory.
    fn enter(&self, state: State) -> u64 {
        let next = period(self.word.load(Ordering::Relaxed)) + 1;
        self.word.store((next << STATE_BITS) | state as u64, Ordering::Release);
        next
    }

    /// The memory, where the period of `pass` goes on.
    fn memory_of(&self, pass: &Pass) -> Option<Held<'_>> {
        let memory = self.memory();
        (period(self.word.load(Ordering::Relaxed)) == pass.period).then_some(memory)
    }

    fn memory(&self) -> Held<'_> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Held<'a> = MutexGuard<'a, Memory>;

#[cfg(test)]
mod tests;
