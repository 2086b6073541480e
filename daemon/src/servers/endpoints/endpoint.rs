//! What is known of one endpoint.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use toolgate_protocol::breaker::{Breaker, Change, Glance, Outcome, Pass, State};
use tracing::{info, warn};

use super::checks::Checks;
use super::standing::{Mode, Standing};
use crate::clock;
use crate::config::settings;
use crate::servers::fitness::Fitness;

/// One endpoint, or the place of all instances.
#[derive(Debug)]
pub struct Endpoint {
    /// Its URL; empty for the place of all instances.
    pub label: String,
    /// Whether it answers calls.
    pub fitness: Fitness,
    pub(super) breaker: Breaker,
    pub(super) standing: Standing,
    pub(super) checks: Mutex<Checks>,
    /// Whether the last that was found did not speak for it, so that a call that goes well has something to say.
    pub(super) doubted: AtomicBool,
    /// Wakes those who wait for their turn: this or another endpoint of the server may take no calls any more.
    pub(super) turned: Arc<Notify>,
    outstanding: AtomicUsize,
    /// Instead of the configured weight; [`u32::MAX`] where nobody set one.
    weight: AtomicU32,
}

impl Endpoint {
    pub(super) fn new(label: String, seed: u64, turned: &Arc<Notify>) -> Self {
        Self {
            label,
            fitness: Fitness::default(),
            breaker: Breaker::new(seed),
            standing: Standing::default(),
            checks: Mutex::default(),
            doubted: AtomicBool::new(false),
            turned: Arc::clone(turned),
            outstanding: AtomicUsize::new(0),
            weight: AtomicU32::new(u32::MAX),
        }
    }

    /// Takes over what the operator said of the same endpoint before, and what its breaker has counted.
    pub(super) fn go_on(&self, before: &Self) {
        self.standing.go_on(&before.standing);
        self.breaker.go_on(&before.breaker);
    }

    /// Calls that are with it, as far as somebody wants to know.
    pub fn outstanding(&self) -> usize {
        self.outstanding.load(Ordering::Relaxed)
    }

    /// The weight that was set by hand.
    pub fn weight(&self) -> Option<u32> {
        Some(self.weight.load(Ordering::Relaxed)).filter(|weight| *weight != u32::MAX)
    }

    /// Sets it, or with none gives the configured one back.
    pub fn set_weight(&self, weight: Option<u32>) {
        self.weight.store(weight.unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    pub(super) fn enter(&self) {
        self.outstanding.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn leave(&self) {
        self.outstanding.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether neither operator nor checks have anything against it.
    pub(super) fn is_plain(&self) -> bool {
        self.standing.is_plain()
    }

    /// Whether it takes a call at `now`; `session`: of a session that it has.
    pub(super) fn takes(&self, session: bool, rules: &settings::Server, now: u64) -> bool {
        self.standing.allows(session).is_ok() && (rules.breaker.is_none() || self.breaker.would_admit(now).is_ok())
    }

    /// What the operator wants of it.
    pub fn mode(&self) -> Mode {
        self.standing.mode()
    }

    /// Takes the operator's word.
    pub fn set_mode(&self, mode: Mode) {
        self.standing.set_mode(mode);
        self.turned.notify_waiters();
    }

    /// The deadline of its mode has come; whether its sessions are to be ended now.
    pub fn close(&self) -> bool {
        let closed = self.standing.close();
        self.turned.notify_waiters();
        closed
    }

    /// Whether its sessions are over.
    pub fn is_closed(&self) -> bool {
        self.standing.is_closed()
    }

    /// Whether it answers checks, as far as they are made.
    pub fn is_fit(&self) -> bool {
        self.standing.is_fit()
    }

    /// Holds the breaker open or closed, whether rules are written for it or not; any other state lets it count from
    /// here on.
    pub fn force(&self, wanted: State) {
        match wanted {
            State::ForcedOpen => self.breaker.force_open(),
            State::ForcedClosed => self.breaker.force_closed(),
            State::Closed | State::Open | State::HalfOpen => self.breaker.reset(),
        }
        self.standing.set_broken(wanted == State::ForcedOpen);
        // Those who wait for their turn learn of it, too.
        self.turned.notify_waiters();
    }

    /// How the breaker is held by hand.
    pub fn forced(&self) -> Option<State> {
        Some(self.glance().state).filter(|state| matches!(state, State::ForcedOpen | State::ForcedClosed))
    }

    /// Whether there is something to say of its breaker: it has rules, or is held by hand.
    pub fn has_breaker(&self, rules: &settings::Server) -> bool {
        rules.breaker.is_some() || self.forced().is_some()
    }

    /// What the breaker does.
    pub fn glance(&self) -> Glance {
        self.breaker.glance(clock::millis())
    }

    /// Why it takes no calls, in words that say nothing of addresses.
    pub fn trouble(&self, rules: &settings::Server) -> Option<String> {
        match self.mode() {
            Mode::Maintenance => return Some("is in maintenance".to_owned()),
            Mode::Drain => return Some("is being drained".to_owned()),
            Mode::Ready => {}
        }
        if self.standing.is_broken() {
            return Some("is refused calls by its operator: the breaker was opened by hand".to_owned());
        }
        if !self.is_fit() {
            return Some("does not answer checks".to_owned());
        }
        rules.breaker.as_ref()?;
        let glance = self.glance();
        let cause = glance.cause.map_or_else(String::new, |cause| format!(": {cause}"));
        match glance.state {
            State::Closed | State::ForcedClosed | State::ForcedOpen => None,
            State::HalfOpen => Some(format!("is being tried again{cause}")),
            State::Open => {
                let seconds = glance.millis.unwrap_or(0).div_ceil(1000);
                Some(format!("is refused calls for another {seconds} s{cause}"))
            }
        }
    }

    /// Tells the breaker how a call went, and the log what that changed.
    pub(super) fn record(&self, rules: &settings::Server, pass: &Pass, outcome: Outcome, now: u64) {
        let Some(breaker) = &rules.breaker else { return self.breaker.abandon(pass) };
        let (name, endpoint) = (&rules.name, &self.label);
        match self.breaker.record(breaker, pass, outcome, now) {
            None => {}
            Some(Change::Opened { cause, millis }) => {
                self.turned.notify_waiters();
                warn!(server = name, endpoint, %cause, for_ms = millis, "a breaker opens: calls are refused");
            }
            Some(Change::Closed) => info!(server = name, endpoint, "a breaker closes: calls go through again"),
        }
    }
}
