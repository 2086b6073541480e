//! Which configuration a start serves: that of the files, or the last accepted one.
//!
//! `run` asks once. A start must not go further back than the last accepted revision: an older one
//! may know keys that were taken away since.

use std::path::Path;

use tracing::{error, warn};

use super::history::{self, History};
use crate::config::settings::{OnBadConfig, Origin};
use crate::config::{self, Environment, Report, Scrutiny, Settings, Severity, Snapshot};

/// What a start serves.
pub(super) struct Boot {
    /// The configuration.
    pub(super) settings: Settings,
    /// What was accepted before.
    pub(super) history: History,
    /// What the files hold, to be kept once it serves; none where they cannot be used.
    pub(super) accepted: Option<Snapshot>,
    complaint: Option<String>,
}

/// Reads the files, or takes the last accepted revision where they cannot be used. The error is for
/// people: why nothing can be served.
pub(super) fn boot(file: &Path) -> Result<Boot, String> {
    let environment = Environment::of_process(Scrutiny::Start);
    match config::load(file, &environment) {
        Ok((mut settings, report)) => {
            eprint!("{}", report.render(false));
            let history = History::open(&settings.daemon.state_dir);
            let accepted = Snapshot::of(&report, file);
            settings.revision = history.number_of(&accepted);
            Ok(Boot { settings, history, accepted: Some(accepted), complaint: None })
        }
        Err(report) => last_good(file, &report, &environment),
    }
}

fn last_good(file: &Path, report: &Report, environment: &Environment) -> Result<Boot, String> {
    let told = report.render(false);
    let history = History::open(&config::state_dir(file, environment));
    if let Some(revision) = history.unreadable() {
        return Err(format!("{told}revision {revision}, which was accepted last, cannot be read by this release\n"));
    }
    let Some(newest) = history.last_accepted() else { return Err(told) };
    let revision = newest.revision;
    let mut settings = match config::load_snapshot(file, &history::written(&newest), environment) {
        Ok((settings, _)) => settings,
        Err(also) => {
            return Err(format!(
                "{told}\nrevision {revision}, which was accepted last, does not help:\n\n{}",
                also.render(false)
            ));
        }
    };
    if settings.daemon.on_bad_config == OnBadConfig::Refuse {
        return Err(format!("{told}revision {revision} is not served instead: daemon.on_bad_config = \"refuse\"\n"));
    }
    settings.revision = revision;
    let errors = report.problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    settings.origin = Origin::History { errors };
    let complaint = settings.from_history().map(|sentence| format!("{sentence}\n{told}"));
    Ok(Boot { settings, history, accepted: None, complaint })
}

impl Boot {
    /// Logs what an operator has to know: the files cannot be used, a server cannot be called, or the past cannot be
    /// gone back to. To be called once the log is there.
    pub(super) fn complain(&self) {
        for server in self.settings.servers.values().filter(|server| server.enabled) {
            if let Some(why) = server.lacks() {
                warn!(server = server.name, why, "the server cannot be called: a secret is missing");
            }
        }
        if let Some(revision) = self.history.unreadable() {
            warn!(
                revision,
                "revision {revision}, which was accepted last, cannot be read by this release: no start can go back to it"
            );
        }
        if let Some(complaint) = &self.complaint {
            error!("{complaint}");
        }
    }
}
