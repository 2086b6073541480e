//! What the daemon says where systemd's units are not those that the configuration asks for.
//!
//! Looked at after the start, with each reload and check, and every few seconds: an operator
//! mends it with a command that the daemon is not told of.

use std::sync::Arc;

use toolgate_admin_api as api;
use tracing::{info, warn};

use super::daemon::Daemon;
use crate::generator::drift::{self, Drift};

impl Daemon {
    /// Compares the units with the files on disk, and remembers what status and health say of it.
    pub(super) fn look_at_units(&self) -> Option<Drift> {
        let drift = drift::find(&self.file);
        let now = drift.as_ref().map(Drift::sentence);
        let before = self.gate.units.swap(now.clone().map(Arc::new));
        match (before.as_deref(), &now) {
            (before, Some(now)) if before != Some(now) => warn!("{now}"),
            (Some(_), None) => info!("systemd's units are those of the configuration again"),
            _ => {}
        }
        drift
    }
}

/// The same as a problem of the configuration.
pub(super) fn problem(drift: Drift) -> api::ConfigProblem {
    api::ConfigProblem {
        severity: api::Severity::Warning,
        remedy: drift.remedy(),
        message: drift.what,
        file: None,
        line: None,
        column: None,
        key: None,
        report: None,
    }
}
