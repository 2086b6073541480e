//! What the daemon says where systemd's units are not those that the configuration asks for.
//!
//! Looked at after the start, with each reload and check, and every few seconds: an operator
//! mends it with a command that the daemon is not told of.

use std::sync::Arc;

use toolgate_admin_api as api;
use tracing::{info, warn};

use super::daemon::Daemon;
use crate::config::Settings;
use crate::config::settings::Origin;
use crate::generator::drift::{self, Drift};

impl Daemon {
    /// Compares the units with the files on disk, and remembers what status and health say of it.
    ///
    /// Says nothing while a revision from the history is served: what the files lack is served then.
    pub(super) fn look_at_units(&self) -> Option<Drift> {
        let drift = drift_of(&self.gate.settings.load(), || drift::find(&self.file));
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

fn drift_of(served: &Settings, of_files: impl FnOnce() -> Option<Drift>) -> Option<Drift> {
    match served.origin {
        Origin::Files => of_files(),
        Origin::History { .. } => None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_to_stop_what_is_served_from_the_history() {
        let gone = || Some(Drift { what: "listener a is gone".into(), command: None });
        let mut served = crate::config::from_text("version = 1\n").unwrap();
        assert_eq!(drift_of(&served, gone), gone());
        served.origin = Origin::History { errors: 1 };
        assert_eq!(drift_of(&served, gone), None);
    }
}
