//! Checks of endpoints: what they found, and what calls found beside them.
//!
//! [`start`] keeps one task per endpoint that is to be checked, on the first core. A check has its own deadline and
//! goes past queue and breaker; an endpoint that fails so often in a row gets no calls until it answers so often again.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use tokio::time::{interval, sleep, timeout};
use toolgate_protocol::chance;
use toolgate_protocol::health::{Health, Thresholds};
use tracing::{info, warn};

use super::{Endpoint, Mode};
use crate::clock;
use crate::config::settings;
use crate::core::Core;
use crate::cores::Cores;
use crate::lock::lock;
use crate::servers::{Server, probe};

/// How soon a server that a reload brought is checked.
const LOOK: Duration = Duration::from_secs(1);

/// How long a check may take where the configuration has none.
const PATIENCE: Duration = Duration::from_secs(5);

/// An interval varies by up to this share in both directions, so that checks do not fall into step.
const JITTER_PERCENT: u64 = 10;

/// What is known from checks.
#[derive(Debug, Default)]
pub(super) struct Checks {
    health: Health,
    last: Option<Checked>,
}

/// One check.
#[derive(Debug, Clone)]
pub struct Checked {
    /// When, by our clock, in milliseconds.
    pub at: u64,
    /// How long it took.
    pub took: Duration,
    /// What was wrong.
    pub problem: Option<String>,
}

impl Endpoint {
    fn checks(&self) -> MutexGuard<'_, Checks> {
        lock(&self.checks)
    }

    /// The last check.
    pub fn last_check(&self) -> Option<Checked> {
        self.checks().last.clone()
    }

    /// Takes in what a call found, where endpoints are looked after.
    pub(super) fn learn(&self, rules: &settings::Server, good: bool) {
        let Some(health) = &rules.health else { return };
        if !good || self.doubted.load(Ordering::Relaxed) {
            self.note(rules, good, health.thresholds, "calls failed");
        }
    }

    fn checked(&self, rules: &settings::Server, thresholds: Thresholds, checked: Checked) {
        let good = checked.problem.is_none();
        let why = checked.problem.clone().unwrap_or_else(|| "checks".to_owned());
        self.checks().last = Some(checked);
        self.note(rules, good, thresholds, &why);
    }

    fn note(&self, rules: &settings::Server, good: bool, thresholds: Thresholds, why: &str) {
        let mut checks = self.checks();
        let change = checks.health.note(good, thresholds);
        self.doubted.store(!checks.health.is_sure(), Ordering::Relaxed);
        let Some(up) = change else { return };
        self.standing.set_fit(up);
        drop(checks);
        self.turned.notify_waiters();
        let (name, endpoint) = (&rules.name, &self.label);
        if up {
            info!(server = name, endpoint, "an endpoint is back: it gets calls again");
        } else {
            warn!(server = name, endpoint, why, "an endpoint does not answer: it gets no calls");
        }
    }

    /// What checks said before does not hold where none are made any more.
    fn forget_checks(&self) {
        *self.checks() = Checks::default();
        self.doubted.store(false, Ordering::Relaxed);
        self.standing.set_fit(true);
    }
}

/// A server as it runs, and one of its endpoints.
type Watched = (u64, usize);

/// Checks endpoints from the first core until it ends.
pub fn start(cores: &Cores) {
    let watching = cores.try_spawn(0, |core| async move {
        let watched = Rc::new(RefCell::new(HashSet::new()));
        let mut ticks = interval(LOOK);
        loop {
            ticks.tick().await;
            watch_new(&core, &watched);
        }
    });
    if let Err(problem) = watching {
        warn!("no endpoint will be checked: {problem}");
    }
}

fn watch_new(core: &Rc<Core>, watched: &Rc<RefCell<HashSet<Watched>>>) {
    let policy = core.policy();
    for server in policy.servers.values() {
        for (at, endpoint) in server.endpoints.each().iter().enumerate() {
            if server.settings.health.is_none() {
                if !endpoint.is_fit() {
                    endpoint.forget_checks();
                }
                continue;
            }
            let key = (server.generation, at);
            if watched.borrow_mut().insert(key) {
                let (core, name, watched) = (Rc::clone(core), server.settings.name.clone(), Rc::clone(watched));
                tokio::task::spawn_local(async move {
                    watch(core, name, key).await;
                    watched.borrow_mut().remove(&key);
                });
            }
        }
    }
}

/// The server, as long as it is the same one and to be checked.
fn current(core: &Core, name: &str, generation: u64) -> Option<Arc<Server>> {
    let policy = core.policy();
    let server = policy.servers.get(name).filter(|server| server.generation == generation);
    server.filter(|server| server.settings.health.is_some()).cloned()
}

async fn watch(core: Rc<Core>, name: String, (generation, at): Watched) {
    let mut first = true;
    loop {
        let Some(server) = current(&core, &name, generation) else { return };
        let Some(health) = &server.settings.health else { return };
        let wait = if std::mem::take(&mut first) { health.initial_delay } else { health.interval };
        sleep(jittered(wait, server.endpoints.chance())).await;
        // It may have changed while nothing was asked.
        let Some(server) = current(&core, &name, generation) else { return };
        check(&core, &server, at).await;
    }
}

async fn check(core: &Rc<Core>, server: &Arc<Server>, at: usize) {
    let endpoint = server.endpoints.get(at);
    let Some(health) = &server.settings.health else { return };
    if endpoint.mode() == Mode::Maintenance {
        return;
    }
    let begun = std::time::Instant::now();
    let found = timeout(health.timeout, probe::ask(core, server, at)).await;
    let problem = found.unwrap_or_else(|_| Err("gives no answer in time".to_owned())).err();
    let checked = Checked { at: clock::millis(), took: begun.elapsed(), problem };
    endpoint.checked(&server.settings, health.thresholds, checked);
}

/// Checks an endpoint now, also where none are made by themselves: then what is found is told, and changes nothing.
pub async fn check_now(core: &Rc<Core>, server: &Arc<Server>, at: usize) {
    if server.settings.health.is_some() {
        return check(core, server, at).await;
    }
    let begun = std::time::Instant::now();
    let found = timeout(PATIENCE, probe::ask(core, server, at)).await;
    let problem = found.unwrap_or_else(|_| Err("gives no answer in time".to_owned())).err();
    let checked = Checked { at: clock::millis(), took: begun.elapsed(), problem };
    server.endpoints.get(at).checks().last = Some(checked);
}

fn jittered(interval: Duration, place: u64) -> Duration {
    let percent = 100 - JITTER_PERCENT + chance::at(place) % (2 * JITTER_PERCENT + 1);
    interval * u32::try_from(percent).unwrap_or(100) / 100
}
