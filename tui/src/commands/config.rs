//! `toolgate config check`, `reload` and `show`.

use std::path::Path;
use std::process::Command;

use toolgate_admin_api::{CheckOutcome, ConfigProblem, ConfigView, Exit, ReloadOutcome, ReloadRequest, Shown};

use super::Context;
use crate::args::Reload;
use crate::client::admin::{AdminClient, Answer};
use crate::failure::Failure;
use crate::output;

/// Has the daemon read its files; 78 when they have errors.
pub(super) async fn check(context: &Context) -> Result<Exit, Failure> {
    let mut client = AdminClient::control(&context.runtime_dir).await?;
    let answer = client.post("/v1/config/check", &serde_json::json!({}), None).await?;
    let outcome: CheckOutcome = answer.read()?;
    if !print_json(context, &answer) {
        print_problems(&outcome.problems);
        let verdict = if outcome.ok { "can be used" } else { "has errors" };
        output::line(&format!("The configuration {verdict}: {}", files(&outcome.files)));
    }
    Ok(if outcome.ok { Exit::Done } else { Exit::BadConfiguration })
}

/// Checks a file without a daemon: `toolgated check` knows how, this only starts it.
pub(super) fn check_file(context: &Context, file: &Path) -> Result<Exit, Failure> {
    let mut command = Command::new(daemon_program());
    command.arg("check");
    if context.json {
        command.arg("--json");
    }
    let status = command.arg("--").arg(file).status().map_err(|error| no_daemon_program(&error))?;
    Ok(match status.code() {
        Some(0) => Exit::Done,
        Some(code) if code == i32::from(Exit::BadConfiguration.code()) => Exit::BadConfiguration,
        Some(code) if code == i32::from(Exit::Usage.code()) => Exit::Usage,
        _ => Exit::Failed,
    })
}

/// The daemon's program: the one beside this program, else the one in `PATH`.
pub(super) fn daemon_program() -> std::path::PathBuf {
    let beside = std::env::current_exe().ok().map(|program| program.with_file_name("toolgated"));
    beside.filter(|program| program.is_file()).unwrap_or_else(|| "toolgated".into())
}

/// It could not be started.
pub(super) fn no_daemon_program(error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("toolgated cannot be started: {error}."))
        .remedy("Install toolgated, or start the daemon, which can do the same.")
}

/// Has the daemon take its files over; 78 when it refuses them.
pub(super) async fn reload(context: &Context, reload: Reload) -> Result<Exit, Failure> {
    let mut client = AdminClient::control(&context.runtime_dir).await?;
    let request = ReloadRequest { dry_run: reload.dry_run, reason: reload.reason, withdraws: None };
    let answer = client.post("/v1/config/reload", &request, reload.if_match).await?;
    let outcome: ReloadOutcome = answer.read()?;
    if !print_json(context, &answer) {
        print_reload(&outcome);
    }
    Ok(Exit::Done)
}

/// What a reload did, or would do, for people.
pub(super) fn print_reload(outcome: &ReloadOutcome) {
    print_problems(&outcome.problems);
    for change in &outcome.changes {
        output::line(&format!("- {}", Shown(change)));
    }
    for restart in &outcome.needs_restart {
        output::line(&format!("! {}", Shown(restart)));
    }
    output::line(&if outcome.applied {
        format!("Configuration {} is running.", outcome.revision)
    } else {
        format!("Nothing was changed; configuration {} is running.", outcome.revision)
    });
}

/// Prints what is running.
pub(super) async fn show(context: &Context) -> Result<Exit, Failure> {
    let answer = AdminClient::view(&context.runtime_dir).await?.get("/v1/config").await?;
    let view: ConfigView = answer.read()?;
    if print_json(context, &answer) {
        return Ok(Exit::Done);
    }
    output::line(&format!("Configuration {} from {}", view.revision, files(&view.files)));
    if let Some(sentence) = &view.from_history {
        output::line(&format!("warning: {}", Shown(sentence)));
    }
    for warning in &view.warnings {
        output::line(&format!("warning: {}", Shown(warning)));
    }
    let rows: Vec<_> = view
        .values
        .iter()
        .map(|value| [&value.key, &value.value, &value.origin].map(|text| Shown(text).to_string()).to_vec())
        .collect();
    output::raw(output::table(&rows).as_bytes());
    Ok(Exit::Done)
}

fn print_json(context: &Context, answer: &Answer) -> bool {
    if context.json {
        output::raw(answer.json());
        output::raw(b"\n");
    }
    context.json
}

/// Problems go to standard error: they are not what was asked for.
pub(super) fn print_problems(problems: &[ConfigProblem]) {
    for problem in problems {
        eprintln!("{}", output::problem(problem));
    }
}

fn files(files: &[String]) -> String {
    Shown(&files.join(", ")).to_string()
}
