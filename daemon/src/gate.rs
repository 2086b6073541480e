//! What all cores share: the policy in force, sessions, limits, and the gauges that others read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Instant;

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::audit::Audit;
use crate::config::Settings;
use crate::identity::failures::Failures;
use crate::identity::store::Store;
use crate::identity::token::Terms;
use crate::identity::{self, Client};
use crate::listen::holders::Holders;
use crate::observe::Observed;
use crate::observe::ledger::Ledger;
use crate::observe::observed::Sample;
use crate::observe::traces::Traces;
use crate::overload::Overload;
use crate::policy::{self, Policy};
use crate::relay::crossing::parked::Parked;
use crate::seal::Seal;
use crate::sessions;
use crate::steering::Steering;

/// The shared state of the daemon. Everything in it is read without waiting.
#[derive(Debug)]
pub struct Gate {
    /// The configuration in force, for listeners and connections.
    pub settings: Arc<ArcSwap<Settings>>,
    /// What holds for calls that start now; made from `settings`.
    pub policy: ArcSwap<Policy>,
    /// Legacy sessions.
    pub sessions: sessions::Table,
    /// Calls in flight on all cores.
    pub calls: AtomicUsize,
    /// What calls leave behind.
    pub ledger: Arc<Ledger>,
    /// What a collector is told of calls.
    pub traces: Traces,
    /// Set at SIGTERM: not ready any more.
    pub draining: AtomicBool,
    /// How far the gate lets go of work because it has too much.
    pub overload: Overload,
    /// Calls that wait for a modern client to answer a legacy server.
    pub parked: Parked,
    /// Certificates that clients have shown lately.
    pub holders: Holders,
    /// When credentials end that something is open with.
    pub terms: Terms,
    /// Addresses that show wrong credentials.
    pub failures: Failures,
    /// What is known of the process, its certificates, and its alerts.
    pub observed: Observed,
    /// What systemd's units lack, with the command that mends it.
    pub units: ArcSwapOption<String>,
    /// What operators changed by hand.
    pub steering: Steering,
    /// Keys that stand in no file.
    pub keys: Store,
    /// Who called and changed what.
    pub audit: Audit,
    /// Seals cursors and other state that clients carry.
    pub seal: Arc<Seal>,
    /// When the process began to serve.
    pub started: Instant,
}

impl Gate {
    /// Ends sessions whose server or path a reload took away or changed, and gives them back.
    pub fn end_stale_sessions(&self) -> Vec<Arc<sessions::Session>> {
        let policy = self.policy.load_full();
        self.sessions.sweep(std::time::Duration::MAX, |session| is_stale(&policy, session))
    }

    /// How many sessions a reload to this configuration would end. Nothing is made of it, for what a policy is made of
    /// goes on with what the running one has counted.
    pub fn would_end(&self, next: &Settings) -> usize {
        self.sessions.filtered(|session| would_end(next, session)).len()
    }

    /// The client of a key's id: one of the files comes before one of the store.
    pub fn client_of_key(&self, id: &str) -> Option<Arc<Client>> {
        let policy = self.policy.load();
        if let Some(client) = policy.client(id) {
            return Some(Arc::clone(client));
        }
        self.keys.decision(id, &policy.settings).map(|decision| Arc::clone(&decision.client))
    }

    /// The process as it is now.
    pub fn sample(&self) -> Sample {
        let mut sample = self.observed.sample();
        // What a reload says holds at once.
        let limit = self.settings.load().overload.as_ref().and_then(|overload| overload.memory_limit);
        sample.process.memory_limit = limit.unwrap_or(sample.process.memory_limit);
        sample
    }

    /// Writes down for the next process what this one leaves; to be called when nothing runs on the
    /// cores any more.
    pub fn settle(&self) {
        self.sessions.settle();
        let policy = self.policy.load();
        policy.servers.values().filter_map(|server| server.instances()).for_each(|instances| instances.settle());
        if let Some(state) = &policy.state {
            state.flush();
        }
        policy.pins.settle();
        self.keys.settle();
    }

    /// A gate in force with this policy.
    pub fn new(policy: Policy) -> Arc<Self> {
        let state = policy.state.clone();
        // Where another process has the state, this one keeps nothing there.
        let kept = state.as_ref().map(|_| policy.settings.daemon.state_dir.clone());
        let keys = Store::open(kept.as_deref());
        let audit = Audit::start(kept.as_deref(), &policy.settings.audit);
        let steering = Steering::open(kept);
        let policy = steering.take_up_limits(policy);
        steering.bear_on(&policy);
        Arc::new(Self {
            settings: Arc::new(ArcSwap::new(Arc::clone(&policy.settings))),
            seal: Arc::clone(&policy.seal),
            policy: ArcSwap::from_pointee(policy),
            sessions: sessions::Table::kept_by(state),
            calls: AtomicUsize::new(0),
            ledger: Arc::default(),
            traces: Traces::default(),
            draining: AtomicBool::new(false),
            overload: Overload::default(),
            parked: Parked::default(),
            holders: Holders::default(),
            terms: Terms::default(),
            failures: Failures::default(),
            observed: Observed::default(),
            units: ArcSwapOption::empty(),
            steering,
            keys,
            audit,
            started: Instant::now(),
        })
    }
}

/// Whether a session cannot go on under a policy.
fn is_stale(policy: &Policy, session: &sessions::Session) -> bool {
    let Some(view) = policy.view(&session.view) else { return true };
    match &session.kind {
        // Where a second server joined a path, the names there are no longer the server's own.
        sessions::Kind::Mirrored(_) if view.single().is_none() => true,
        sessions::Kind::Mirrored(mirrored) => {
            let now = policy.servers.get(&mirrored.server.settings.name);
            let now = now.and_then(|now| now.like(&mirrored.server));
            now.is_none_or(|now| now.generation != mirrored.server.generation)
        }
        // A leg to a server that changed is opened anew by the next call.
        sessions::Kind::Hosted(hosted) => hosted.is_merged() != view.single().is_none(),
    }
}

/// Whether a session could not go on under a configuration: as [`is_stale`] finds once it is in force.
fn would_end(next: &Settings, session: &sessions::Session) -> bool {
    let Some(members) = policy::members(next, &session.view) else { return true };
    if identity::issuer_of(&session.client).is_some_and(|issuer| !next.issuers.contains_key(issuer)) {
        return true;
    }
    let merges = members.len() != 1;
    match &session.kind {
        sessions::Kind::Mirrored(mirrored) => {
            let next = next.servers.get(&mirrored.server.settings.name).filter(|server| server.enabled);
            merges || next.is_none_or(|next| !mirrored.server.goes_on_as(next))
        }
        sessions::Kind::Hosted(hosted) => hosted.is_merged() != merges,
    }
}
