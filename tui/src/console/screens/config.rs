//! Screen 9: what is configured and where it comes from, what is wrong with it, and who changed what.

use toolgate_admin_api::{AuditRecord, ConfigProblem, ConfigValue};

use super::super::details::Details;
use super::super::object::Object;
use super::super::table::{Cell, Column, Listing, Row};
use super::super::theme::Role;
use super::super::units::{clock, date, to_float};
use super::View;

pub(super) const VIEWS: &[&str] = &["values", "problems", "changes"];

const VALUES: &[Column] = &[
    Column::wide("KEY", 28, 0),
    Column::wide("VALUE", 20, 0),
    Column::wide("DEFAULT", 12, 3),
    Column::text("IN EFFECT", 18, 2),
    Column::text("FROM", 26, 1),
];

const PROBLEMS: &[Column] =
    &[Column::text("SEVERITY", 8, 0), Column::text("WHERE", 28, 1), Column::wide("WHAT", 28, 0)];

const CHANGES: &[Column] = &[
    Column::number("NUMBER", 6, 3),
    Column::text("TIME", 16, 1),
    Column::text("WHO", 12, 0),
    Column::text("ACTION", 18, 0),
    Column::wide("OF", 18, 0),
    Column::text("OUTCOME", 14, 1),
    Column::wide("REASON", 16, 2),
];

/// Values, problems or changes, as the view says.
pub(super) fn listing(view: &View<'_>) -> Listing {
    match VIEWS.get(view.part) {
        Some(&"problems") => problems(view),
        Some(&"changes") => changes(view),
        _ => values(view),
    }
}

fn values(view: &View<'_>) -> Listing {
    let config = view.data.config.as_deref();
    let rows = config.map(|config| config.values.iter().map(value).collect()).unwrap_or_default();
    let empty = match config {
        Some(_) => "The daemon does not tell its values here. `toolgated check --dump` prints what the files say.",
        None => "Waiting for the daemon to tell its configuration.",
    };
    Listing { columns: VALUES, rows, total: None, empty }
}

fn value(value: &ConfigValue) -> Row {
    let default = value.origin == "default";
    let role = if default { Role::Dim } else { Role::Text };
    let cells = vec![
        Cell::new(value.key.clone()).role(if default { Role::Text } else { Role::Strong }),
        Cell::new(value.value.clone()).role(role),
        Cell::new(value.default.clone().unwrap_or_default()).role(Role::Dim),
        Cell::new(value.in_effect.clone()).role(Role::Dim),
        Cell::new(value.origin.clone()).role(Role::Dim),
    ];
    let row = Row::new(Object::Value(value.key.clone()), cells).field("key", &value.key).field("from", &value.origin);
    match value.key.strip_prefix("server.").and_then(|rest| rest.split('.').next()) {
        Some(server) => row.field("server", server),
        None => row,
    }
}

/// When a changed value holds, as a sentence; empty where an older daemon does not say.
fn in_effect(class: &str) -> &'static str {
    match class {
        "next call" => "holds with the next call after a reload",
        "new connections" => "holds for connections that are accepted after a reload",
        "server starts anew" => "starts the server's instances or connections anew at a reload",
        "restart" => "needs a restart of the daemon",
        "not yet" => "has no effect in this version",
        _ => "",
    }
}

/// Warnings of what runs, and all problems of the files on disk once they were checked.
fn all_problems(view: &View<'_>) -> Vec<(String, String, String)> {
    let place = |problem: &ConfigProblem| match (&problem.file, problem.line) {
        (Some(file), Some(line)) => format!("{file}:{line}"),
        (Some(file), None) => file.clone(),
        _ => problem.key.clone().unwrap_or_default(),
    };
    if let Some(checked) = &view.data.checked {
        let line = |problem: &ConfigProblem| {
            let word = if problem.is_error() { "error" } else { "warning" };
            let remedy = problem.remedy.as_ref().map_or_else(String::new, |remedy| format!(" {remedy}"));
            (word.to_owned(), place(problem), format!("{}{remedy}", problem.message))
        };
        return checked.problems.iter().map(line).collect();
    }
    let warnings = view.data.config.as_ref().map(|config| config.warnings.as_slice()).unwrap_or_default();
    warnings.iter().map(|text| ("warning".to_owned(), "running".to_owned(), text.clone())).collect()
}

fn problems(view: &View<'_>) -> Listing {
    let row = |(index, (severity, place, message)): (usize, (String, String, String))| {
        let role = if severity == "error" { Role::Bad } else { Role::Warn };
        let cells = vec![Cell::new(severity).role(role), Cell::new(place).role(Role::Dim), Cell::new(message)];
        Row::new(Object::Problem(index), cells)
    };
    let rows = all_problems(view).into_iter().enumerate().map(row).collect();
    let empty = "No problem is known. Press C to check the files on disk.";
    Listing { columns: PROBLEMS, rows, total: None, empty }
}

fn changes(view: &View<'_>) -> Listing {
    let records = view.data.audit.as_ref().map(|audit| audit.records.as_slice()).unwrap_or_default();
    let empty = match view.data.audit {
        Some(_) => "Nobody changed anything yet.",
        None => "The record of changes is told on the control socket only, to members of the group toolgate-control.",
    };
    Listing { columns: CHANGES, rows: records.iter().rev().map(change).collect(), total: None, empty }
}

fn who(record: &AuditRecord) -> String {
    if record.user.is_empty() { format!("uid {}", record.uid) } else { record.user.clone() }
}

fn change(record: &AuditRecord) -> Row {
    let role = if record.outcome == "done" { Role::Good } else { Role::Warn };
    let cells = vec![
        Cell::number(record.number.to_string(), to_float(record.number)),
        Cell::new(date(record.at_ms)).role(Role::Dim),
        Cell::new(who(record)),
        Cell::new(record.action.clone()).role(Role::Strong),
        Cell::new(record.target.clone()),
        Cell::new(record.outcome.clone()).role(role),
        Cell::new(record.reason.clone().unwrap_or_default()).role(Role::Dim),
    ];
    Row::new(Object::Record(record.number), cells)
        .field("who", who(record))
        .field("action", &record.action)
        .field("target", &record.target)
}

/// Everything about a value, a problem or a change.
pub(super) fn details(object: &Object, view: &View<'_>) -> Details {
    let mut details = Details::default();
    match object {
        Object::Value(key) => {
            let values = view.data.config.as_ref().map(|config| config.values.as_slice()).unwrap_or_default();
            let Some(value) = values.iter().find(|value| value.key == *key) else { return details };
            details.heading(key.as_str());
            details.pair("value", value.value.as_str(), Role::Strong);
            details.value("from", value.origin.as_str());
            details.value("default", value.default.clone().unwrap_or_else(|| "nothing".to_owned()));
            details.value("a change", in_effect(&value.in_effect));
            details.value("meaning", value.meaning.as_str());
        }
        Object::Problem(index) => {
            let Some((severity, place, message)) = all_problems(view).into_iter().nth(*index) else { return details };
            details.heading(severity);
            details.value("where", place);
            details.text(message, Role::Text);
        }
        Object::Record(number) => record(&mut details, *number, view),
        _ => return details,
    }
    if let Some(config) = view.data.config.as_deref() {
        details.heading(format!("Revision {}", config.revision));
        details.value("taken over", format!("{} UTC", date(config.loaded_at_ms)));
        details.value("files", config.files.join(", "));
        details.value("from history", config.from_history.clone().unwrap_or_default());
    }
    details
}

fn record(details: &mut Details, number: u64, view: &View<'_>) {
    let records = view.data.audit.as_ref().map(|audit| audit.records.as_slice()).unwrap_or_default();
    let Some(record) = records.iter().find(|record| record.number == number) else { return };
    details.heading(format!("Change {number}: {} of {}", record.action, record.target));
    let pid = record.pid.map_or_else(String::new, |pid| format!(", pid {pid}"));
    details.value("who", format!("{} (uid {}{pid})", who(record), record.uid));
    details.value("when", format!("{} {} UTC", date(record.at_ms), clock(record.at_ms)));
    details.value("reason", record.reason.clone().unwrap_or_default());
    details.value("outcome", record.outcome.as_str());
    details.value("before", record.before.to_string());
    details.value("after", record.after.to_string());
    details.value("revision", record.revision.to_string());
}
