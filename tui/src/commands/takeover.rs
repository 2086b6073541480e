//! Changed files become the running configuration, or are taken back.
//!
//! Everything that writes files ends here: check, start what starts commands, reload. Whatever is
//! refused leaves the files as they were before.

use std::process::Command;

use serde::Deserialize;
use toolgate_admin_api::{
    ApiError, CheckOutcome, ConfigProblem, ErrorCode, FileText, ReloadOutcome, ReloadRequest, Severity,
};

use super::starter::{Moves, Starter};
use super::{Context, config};
use crate::client::admin::AdminClient;
use crate::edit::{Change, Place};
use crate::failure::Failure;
use crate::output;

/// A change that was taken over.
#[derive(Debug)]
pub(super) struct Taken {
    change: Change,
    moves: Moves,
    /// What the reload did; absent where no daemon runs.
    pub(super) reload: Option<ReloadOutcome>,
}

/// Takes a change over. `before` are the files without it; the reason goes into the history.
pub(super) async fn run(
    context: &Context,
    place: &Place,
    before: &[FileText],
    change: Change,
    reason: &str,
) -> Result<Taken, Failure> {
    let prepared = match check(context, place).await {
        Ok(()) => place.read(),
        Err(failure) => Err(failure),
    };
    let after = match prepared {
        Ok(after) => after,
        Err(failure) => {
            change.undo();
            return Err(failure);
        }
    };
    let moves = Moves::between(before, &after);
    let starter = Starter::find(&context.runtime_dir);
    // Before the reload, which looks whether everything is there, and nothing more.
    let reloaded = match starter.follow(&moves) {
        Ok(()) if place.served => reload(context, reason, None).await.map(Some),
        Ok(()) => Ok(None),
        Err(failure) => Err(failure),
    };
    match reloaded {
        Ok(reload) => Ok(Taken { change, moves, reload }),
        Err(failure) => {
            change.undo();
            take_back(&starter, &moves);
            Err(failure)
        }
    }
}

/// The files are as they were before: so is who starts commands. What fails is told.
fn take_back(starter: &Starter, moves: &Moves) {
    if let Err(failure) = starter.follow(&moves.reversed()) {
        failure.print(false);
    }
}

impl Taken {
    /// Everything as it was before, also in the daemon.
    pub(super) async fn give_back(self, context: &Context, reason: &str) -> Result<(), Failure> {
        self.change.undo();
        take_back(&Starter::find(&context.runtime_dir), &self.moves);
        match &self.reload {
            Some(outcome) => reload(context, reason, Some(outcome.revision)).await.map(drop),
            None => Ok(()),
        }
    }

    /// What a person should know of it.
    pub(super) fn print(&self) {
        match &self.reload {
            Some(outcome) => config::print_reload(outcome),
            None => output::line("No daemon runs; it will read the files when it starts: `systemctl start toolgated`."),
        }
    }
}

async fn reload(context: &Context, reason: &str, withdraws: Option<u64>) -> Result<ReloadOutcome, Failure> {
    let mut client = AdminClient::control(&context.runtime_dir).await?;
    let request = ReloadRequest { dry_run: false, reason: Some(reason.to_owned()), withdraws };
    client.post("/v1/config/reload", &request, None).await?.read()
}

/// Whether the files can be used: the daemon knows best what it may read, else `toolgated check` says.
async fn check(context: &Context, place: &Place) -> Result<(), Failure> {
    let outcome = if place.served {
        let mut client = AdminClient::control(&context.runtime_dir).await?;
        client.post("/v1/config/check", &serde_json::json!({}), None).await?.read()?
    } else {
        check_offline(place)?
    };
    if outcome.ok {
        return Ok(());
    }
    let errors: Vec<_> = outcome.problems.into_iter().filter(ConfigProblem::is_error).collect();
    let error = ApiError::new(ErrorCode::BadConfiguration, "The configuration would have errors.")
        .remedy("Nothing was changed: the files are as they were.");
    Err(ApiError { problems: errors, ..error }.into())
}

/// The report of `toolgated check --json`.
#[derive(Debug, Deserialize)]
struct Report {
    usable: bool,
    problems: Vec<Reported>,
}

#[derive(Debug, Deserialize)]
struct Reported {
    severity: Severity,
    message: String,
    help: Option<String>,
    file: Option<String>,
    line: Option<u64>,
    column: Option<u64>,
}

fn check_offline(place: &Place) -> Result<CheckOutcome, Failure> {
    let checked = Command::new(config::daemon_program()).args(["check", "--json", "--"]).arg(&place.main).output();
    let output = checked.map_err(|error| config::no_daemon_program(&error))?;
    let report: Report = serde_json::from_slice(&output.stdout)
        .map_err(|error| Failure::local("What `toolgated check` says cannot be read", error))?;
    let problem = |reported: Reported| ConfigProblem {
        severity: reported.severity,
        message: reported.message,
        remedy: reported.help,
        file: reported.file,
        line: reported.line,
        column: reported.column,
        key: None,
        report: None,
    };
    let problems = report.problems.into_iter().map(problem).collect();
    Ok(CheckOutcome { ok: report.usable, files: Vec::new(), problems })
}
