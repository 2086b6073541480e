//! The health of the gate: what each part of it says, and what that means together.
//!
//! Looked at whenever an operator asks, so that it is never older than the question; what would have to be waited for
//! (files, the operator's checks) was found by [`super::watch`] before. Pages on listeners share a look for a moment
//! ([`recent`]): whoever may ask them could otherwise have the cores look at nothing else.

mod checks;
mod identity;
pub mod page;

pub use checks::days;
pub use identity::{blocked, lists, of_list};

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use toolgate_admin_api as api;
use toolgate_protocol::verdict::Status;

use crate::gate::Gate;
use crate::policy::Policy;

/// Names of what the gate looks at by itself, which no check of an operator may have. Others have a `:`.
pub const OWN: &[&str] = &[
    "alerts",
    "audit",
    "authentication",
    "config",
    "cpu",
    "descriptors",
    "disk",
    "error_rate",
    "grants",
    "keys",
    "lag",
    "listeners",
    "memory",
    "overload",
    "pools",
    "queues",
    "response_time",
    "traces",
    "units",
    "webhook",
];

/// What was found of one part.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Such as `memory`, `server:weather`, or the name of the operator's check.
    pub name: String,
    /// How well it does.
    pub status: Status,
    /// What was found. It may name files and servers: not for everybody.
    pub message: String,
    /// The gate is neither ready nor healthy without it.
    pub critical: bool,
    /// Milliseconds since it was found.
    pub age_ms: u64,
    /// Microseconds that it took.
    pub took_us: u64,
    /// The era that a server speaks.
    pub era: Option<&'static str>,
    /// Nobody is to be woken for it: it will stay so until somebody changes the configuration, or was not looked at yet.
    pub quiet: bool,
}

impl Finding {
    fn new(name: impl Into<String>, status: Status, message: impl Into<String>) -> Self {
        let (name, message) = (name.into(), message.into());
        Self { name, status, message, critical: false, age_ms: 0, took_us: 0, era: None, quiet: false }
    }

    fn critical(self, critical: bool) -> Self {
        Self { critical, ..self }
    }

    /// The server that it is about.
    #[must_use]
    pub fn server(&self) -> Option<&str> {
        self.name.strip_prefix("server:")
    }
}

/// What was found of all parts.
#[derive(Debug, Clone)]
pub struct Report {
    /// What it means together.
    pub status: Status,
    /// By part.
    pub findings: Vec<Finding>,
}

/// Looks at all parts.
pub fn look(gate: &Gate) -> Report {
    let findings = checks::all(gate);
    let status = Status::together(findings.iter().map(|found| (found.status, found.critical)));
    Report { status, findings }
}

/// How long a look serves the pages.
const FRESH: Duration = Duration::from_millis(200);

/// A look, and what it was taken of.
#[derive(Debug)]
pub struct Recent {
    at: Instant,
    policy: Weak<Policy>,
    report: Report,
}

impl Recent {
    /// A reload, or a change by hand, makes it void.
    fn holds(&self, gate: &Gate, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < FRESH && self.policy.as_ptr() == Arc::as_ptr(&gate.policy.load())
    }
}

/// What the last look found, where it was a moment ago; else what a new one does.
pub fn recent(gate: &Gate) -> Arc<Recent> {
    let now = Instant::now();
    let known = gate.observed.health.load_full();
    if let Some(known) = known.filter(|known| known.holds(gate, now)) {
        return known;
    }
    let policy = Arc::downgrade(&gate.policy.load());
    let fresh = Arc::new(Recent { at: now, policy, report: look(gate) });
    gate.observed.health.store(Some(Arc::clone(&fresh)));
    fresh
}

/// Why new calls should not come here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReady {
    /// What everybody may know.
    pub public: String,
    /// What operators should know.
    pub full: String,
}

/// Why new calls should not come here; `None` where they may.
pub fn not_ready(gate: &Gate) -> Option<NotReady> {
    draining(gate).or_else(|| failed(&checks::all(gate)))
}

/// The same by a look of a moment ago, but for the drain, which is seen at once.
pub fn not_ready_of_late(gate: &Gate) -> Option<NotReady> {
    draining(gate).or_else(|| failed(&recent(gate).report.findings))
}

fn draining(gate: &Gate) -> Option<NotReady> {
    if gate.draining.load(Ordering::Relaxed) {
        let reason = "draining: the gate is shutting down".to_owned();
        return Some(NotReady { public: reason.clone(), full: reason });
    }
    None
}

fn failed(findings: &[Finding]) -> Option<NotReady> {
    let failed = findings.iter().find(|found| found.critical && found.status == Status::Unhealthy)?;
    let what = match failed.server() {
        Some(server) => format!("critical server {server}"),
        None => format!("critical check {}", failed.name),
    };
    Some(NotReady { full: format!("{what}: {}", failed.message), public: format!("{what} fails") })
}

/// Health as operators see it.
pub fn status(gate: &Gate) -> api::Health {
    let report = look(gate);
    let check = |found: Finding| api::Check {
        name: found.name,
        status: found.status.word().to_owned(),
        message: found.message,
        critical: found.critical,
        age_ms: found.age_ms,
        took_us: found.took_us,
    };
    api::Health {
        status: report.status.word().to_owned(),
        checks: report.findings.into_iter().map(check).collect(),
        alerts: gate.observed.alarms.listed(),
        advice: gate.observed.advice.load().as_deref().cloned(),
        process: gate.sample().process,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn policy() -> Policy {
        Policy::new(Arc::new(config::from_text("version = 1").unwrap()), None).unwrap()
    }

    #[test]
    fn what_warnings_of_the_configuration_mean_is_a_finding_of_its_own() {
        let warned = config::from_text("version = 1\n[alerts]\nbearer = \"credential:none\"").unwrap();
        assert!(!warned.warnings.is_empty());
        let gate = Gate::new(Policy::new(Arc::new(warned), None).unwrap());
        let report = look(&gate);
        let why: Vec<_> = report.findings.iter().filter(|found| found.status != Status::Healthy).collect();
        let [config] = &why[..] else { panic!("{why:?}") };
        assert_eq!((report.status, config.name.as_str(), config.quiet), (Status::Warning, "config", true));
        assert!(config.message.contains("there is no listener"), "{}", config.message);
        assert!(not_ready(&gate).is_none());
    }

    #[test]
    fn every_part_of_the_gate_has_a_name_that_is_its_own() {
        let gate = Gate::new(policy());
        let names: Vec<_> = look(&gate).findings.into_iter().map(|found| found.name).collect();
        let all = names.iter().map(String::as_str).chain(checks::NOTES).chain([identity::AUTHENTICATION]);
        for name in all.filter(|name| !name.contains(':')) {
            assert!(OWN.contains(&name), "{name}");
        }
    }

    #[test]
    fn pages_share_a_look_until_it_is_old_or_something_was_changed() {
        let gate = Gate::new(policy());
        let first = recent(&gate);
        assert!(first.holds(&gate, first.at) && !first.holds(&gate, first.at + FRESH));
        gate.policy.store(Arc::new(policy()));
        assert!(!first.holds(&gate, first.at), "what a reload says holds at once");
        assert!(!Arc::ptr_eq(&first, &recent(&gate)));
        gate.draining.store(true, Ordering::Relaxed);
        assert!(not_ready_of_late(&gate).is_some(), "a drain is seen at once");
    }
}
