//! Where calls to a server go: its endpoints over HTTP, or the one place that all of its instances stand for.
//!
//! Whoever sends asks for an [`Attempt`] first, and tells it how the call went. What is known of an endpoint lives as
//! long as its server runs, across reloads; rules and weights are those of the call's own configuration.

mod attempt;
pub mod checks;
mod endpoint;
mod refusal;
mod standing;
pub mod warm;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};
use smallvec::SmallVec;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use toolgate_protocol::balance::{self, Candidate};
use toolgate_protocol::breaker::{Pass, Verdict};
use toolgate_protocol::chance::Chance;
use toolgate_protocol::retry::Budget;

use super::Server;
use crate::clock;
use crate::config::settings;
use crate::failure::Failure;
pub use attempt::Attempt;
pub use checks::Checked;
pub use endpoint::Endpoint;
pub use standing::Mode;

/// Which endpoint a call may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// Whichever is best.
    Any,
    /// Whichever is best, but another one than this where there is one.
    AnyBut(usize),
    /// The one that knows the call's session.
    Session(usize),
    /// The same, to be told that the session is over: whatever speaks against it.
    Farewell(usize),
}

/// The endpoints of a server, at least one.
#[derive(Debug)]
pub struct Endpoints {
    each: Box<[Endpoint]>,
    /// Legs outlive the policy that they were opened under, but not the rules that hold for them.
    settings: ArcSwap<settings::Server>,
    /// Whether somebody wants to know how calls go.
    watched: AtomicBool,
    /// Whether calls may be made once more.
    retried: AtomicBool,
    /// Choices made: the place in the sequence of chance.
    choices: AtomicU64,
    /// Tries beyond the first.
    retries: AtomicU64,
    /// What further tries may cost.
    pub budget: Budget,
    /// Wakes those who wait for their turn when an endpoint may take no calls any more.
    turned: Arc<Notify>,
}

impl Endpoints {
    /// Those of a server that was configured so.
    pub fn new(settings: &Arc<settings::Server>) -> Self {
        let labels = match &settings.transport {
            settings::Transport::Http(http) => http.endpoints.iter().map(|endpoint| endpoint.url.clone()).collect(),
            settings::Transport::Sse(_) | settings::Transport::Stdio(_) => vec![String::new()],
        };
        let turned = Arc::default();
        let endpoint = |(label, seed)| Endpoint::new(label, seed, &turned);
        let endpoints = Self {
            each: labels.into_iter().zip(clock::unix_millis()..).map(endpoint).collect(),
            settings: ArcSwap::from(Arc::clone(settings)),
            watched: AtomicBool::new(false),
            retried: AtomicBool::new(false),
            choices: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            budget: Budget::default(),
            turned,
        };
        endpoints.follow(settings);
        endpoints
    }

    /// Takes over what operators said of endpoints with the same URLs, and what breakers counted, from a server that this one stands for now.
    pub fn go_on(&self, before: &Self) {
        for endpoint in &self.each {
            if let Some(old) = before.each.iter().find(|old| old.label == endpoint.label) {
                endpoint.go_on(old);
            }
        }
    }

    /// The endpoint with this label.
    pub fn at(&self, label: &str) -> Option<usize> {
        self.each.iter().position(|endpoint| endpoint.label == label)
    }

    /// A call is tried once more.
    pub fn tries_again(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Tries of calls beyond the first.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Goes on under other rules and weights.
    pub fn follow(&self, settings: &Arc<settings::Server>) {
        self.settings.store(Arc::clone(settings));
        let watched = settings.breaker.is_some() || settings.health.is_some() || settings.retry.is_some();
        self.watched.store(watched || self.are_several(), Ordering::Release);
        self.retried.store(settings.retry.is_some(), Ordering::Release);
    }

    /// Whether somebody wants to know which endpoint has a call.
    pub fn are_counted(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    /// When a call is made once more.
    pub fn retry(&self) -> Option<settings::Retry> {
        if self.retried.load(Ordering::Relaxed) { self.settings().retry.clone() } else { None }
    }

    /// A call is made; whether another try may follow.
    pub fn begin_call(&self) -> bool {
        let retried = self.retried.load(Ordering::Relaxed);
        if retried && let Some(retry) = &self.settings().retry {
            self.budget.earn(retry.budget);
        }
        retried
    }

    /// Why calls are likely to fail: no endpoint takes them.
    pub fn trouble(&self) -> Option<String> {
        let rules = self.settings();
        let troubles: Vec<_> = self.each.iter().map_while(|endpoint| endpoint.trouble(&rules)).collect();
        (troubles.len() == self.each.len()).then(|| troubles.into_iter().next()).flatten()
    }

    /// What is wrong with some endpoints while others work. What the operator wants so is not wrong.
    pub fn degradation(&self) -> Option<String> {
        if !self.are_several() {
            return None;
        }
        let (rules, all) = (self.settings(), self.each.len());
        let trouble = |endpoint: &Endpoint| endpoint.trouble(&rules).or_else(|| endpoint.fitness.trouble());
        let wanted = self.each.iter().enumerate().filter(|(_, endpoint)| endpoint.mode() == Mode::Ready);
        let told: Vec<_> = wanted
            .filter_map(|(at, endpoint)| Some(format!("endpoint {} of {all} {}", at + 1, trouble(endpoint)?)))
            .collect();
        (!told.is_empty()).then(|| told.join("; "))
    }

    /// The rules in force.
    fn settings(&self) -> Guard<Arc<settings::Server>> {
        self.settings.load()
    }

    /// All of them, in the order of the configuration.
    pub fn each(&self) -> &[Endpoint] {
        &self.each
    }

    /// One of them; the first where there is no such.
    pub fn get(&self, endpoint: usize) -> &Endpoint {
        self.each.get(endpoint).unwrap_or(&self.each[0])
    }

    /// Whether there is a choice.
    pub fn are_several(&self) -> bool {
        self.each.len() > 1
    }

    /// A number by chance.
    pub fn chance(&self) -> u64 {
        self.choices.fetch_add(1, Ordering::Relaxed)
    }

    /// Ends when an endpoint turns that took calls until now; from its making on it misses nothing.
    pub fn turn(&self) -> Notified<'_> {
        self.turned.notified()
    }

    /// The only endpoint that a call may go to.
    fn lone(&self, to: To) -> Option<usize> {
        match to {
            To::Session(endpoint) | To::Farewell(endpoint) => Some(endpoint),
            To::Any | To::AnyBut(_) => (!self.are_several()).then_some(0),
        }
    }

    /// Which endpoint a call of no session goes to at `now`; `None` where none takes it.
    fn choose(&self, avoided: &[usize], now: u64) -> Option<usize> {
        let settings = self.settings();
        // One without weight gets calls only where no other takes them.
        let pick = |least: u32| {
            let candidate = |at: usize| {
                let endpoint = &self.each[at];
                let weight = weight(endpoint, &settings, at);
                let takes = !avoided.contains(&at) && weight >= least && endpoint.takes(false, &settings, now);
                takes.then(|| Candidate { weight: weight.max(1), outstanding: endpoint.outstanding() })
            };
            balance::pick(self.each.len(), candidate, &mut Chance::new(self.chance()))
        };
        pick(1).or_else(|| pick(0))
    }
}

impl Endpoints {
    /// Leave of an endpoint's breaker; none where there are no breakers. An error is how long it refuses calls, where it
    /// knows.
    fn pass(&self, at: usize, now: u64) -> Result<Option<Pass>, Option<u64>> {
        if self.settings().breaker.is_none() {
            return Ok(None);
        }
        match self.get(at).breaker.admit(now) {
            Verdict::Pass(pass) => {
                if pass.is_probe() {
                    self.turned.notify_waiters();
                }
                Ok(Some(pass))
            }
            Verdict::Refused { millis } => Err(millis),
        }
    }
}

/// The weight of an endpoint: by hand, or as it is configured.
pub fn weight(endpoint: &Endpoint, settings: &settings::Server, at: usize) -> u32 {
    endpoint.weight().unwrap_or_else(|| configured_weight(settings, at))
}

/// The weight that the files give an endpoint.
pub fn configured_weight(settings: &settings::Server, at: usize) -> u32 {
    settings.weights.get(at).copied().unwrap_or(1)
}

/// Whether something new may begin with a server that is reached through instances.
///
/// # Errors
/// Where its operator keeps that from it.
pub fn admit_new(server: &Server) -> Result<(), Failure> {
    let place = server.endpoints.get(0);
    place.standing.allows(false).map_err(|why| refusal::standing(server, place, why))
}

/// Leave to make a call, and which endpoint it goes to. There is no attempt to tell where nobody wants to know how it
/// went.
///
/// # Errors
/// Where every endpoint that the call could go to refuses calls.
pub fn admit(
    server: &Arc<Server>,
    to: To,
    patience: std::time::Duration,
) -> Result<(usize, Option<Box<Attempt>>), Failure> {
    let endpoints = &server.endpoints;
    if let To::Farewell(endpoint) = to {
        return Ok((endpoint, None));
    }
    let lone = endpoints.lone(to);
    if let Some(at) = lone
        && !endpoints.watched.load(Ordering::Acquire)
        && endpoints.get(at).is_plain()
    {
        return Ok((at, None));
    }
    let now = clock::millis();
    let (at, pass) = if let Some(at) = lone {
        let endpoint = endpoints.get(at);
        let in_session = matches!(to, To::Session(_));
        endpoint.standing.allows(in_session).map_err(|why| refusal::standing(server, endpoint, why))?;
        (at, endpoints.pass(at, now).map_err(|millis| refusal::broken(server, endpoint, millis))?)
    } else {
        let choose = |avoided: &[usize]| endpoints.choose(avoided, now);
        among(to, choose, |at| endpoints.pass(at, now).ok()).ok_or_else(|| refusal::of_all(server, now))?
    };
    Ok((at, Some(Box::new(Attempt::new(server, at, pass, patience, now)))))
}

/// Whether [`admit`] would let a call through, so that it may wait for its turn: else it would wait for a refusal. A call
/// takes nobody's place by asking. `None` where a session may be found for it that is not known yet.
///
/// # Errors
/// The same.
pub fn would_admit(server: &Server, to: Option<To>) -> Result<(), Failure> {
    if matches!(to, Some(To::Farewell(_))) {
        return Ok(());
    }
    let (endpoints, now) = (&server.endpoints, clock::millis());
    let in_session = !matches!(to, Some(To::Any | To::AnyBut(_)));
    if let Some(at) = endpoints.lone(to.unwrap_or(To::Any)) {
        let endpoint = endpoints.get(at);
        endpoint.standing.allows(in_session).map_err(|why| refusal::standing(server, endpoint, why))?;
        if endpoints.settings().breaker.is_none() {
            return Ok(());
        }
        return endpoint.breaker.would_admit(now).map_err(|millis| refusal::broken(server, endpoint, millis));
    }
    let rules = endpoints.settings();
    let taken = endpoints.each.iter().any(|endpoint| endpoint.takes(in_session, &rules, now));
    if taken { Ok(()) } else { Err(refusal::of_all(server, now)) }
}

/// The best endpoint that takes the call, with its leave. One that was chosen may be another call's probe by then: the
/// next best is asked.
fn among<T>(
    to: To,
    mut choose: impl FnMut(&[usize]) -> Option<usize>,
    mut pass: impl FnMut(usize) -> Option<T>,
) -> Option<(usize, T)> {
    let mut last_resort = if let To::AnyBut(at) = to { Some(at) } else { None };
    let mut avoided: SmallVec<[usize; 4]> = last_resort.into_iter().collect();
    loop {
        if let Some(at) = choose(&avoided) {
            match pass(at) {
                Some(pass) => return Some((at, pass)),
                None => avoided.push(at),
            }
        } else {
            // Rather the one that was to be avoided than none.
            let back = last_resort.take()?;
            avoided.retain(|at| *at != back);
        }
    }
}

#[cfg(test)]
mod tests;
