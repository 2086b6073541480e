//! The health of the gate: what each part of it says, and what that means together.
//!
//! Looked at whenever somebody asks, so that it is never older than the question; what would have to be waited for
//! (files, the operator's checks) was found by [`super::watch`] before.

mod checks;
mod identity;
pub mod page;

pub use checks::days;
pub use identity::{blocked, lists, of_list};

use std::sync::atomic::Ordering;

use toolgate_admin_api as api;
use toolgate_protocol::verdict::Status;

use crate::gate::Gate;

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
    let warned = !gate.policy.load().settings.warnings.is_empty();
    let status = Status::together(findings.iter().map(|found| (found.status, found.critical)));
    Report { status: status.max(if warned { Status::Warning } else { Status::Healthy }), findings }
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
    if gate.draining.load(Ordering::Relaxed) {
        let reason = "draining: the gate is shutting down".to_owned();
        return Some(NotReady { public: reason.clone(), full: reason });
    }
    let findings = checks::all(gate);
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
