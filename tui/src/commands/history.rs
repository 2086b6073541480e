//! `toolgate config history`: what was accepted, when, by whom, and why.
//!
//! Where no daemon runs, its state folder is read: going back must also work after a start that was
//! refused.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use toolgate_admin_api::history::{HISTORY_FORMAT, history_folder, revision_file, revision_of_file};
use toolgate_admin_api::{Accepted, Exit, HistoryView, Revision, Shown};

use super::Context;
use crate::args::History;
use crate::client::admin::AdminClient;
use crate::edit::refused;
use crate::failure::Failure;
use crate::output;

/// Prints the list, newest first.
pub(super) async fn run(context: &Context, history: &History) -> Result<Exit, Failure> {
    let view = Past::open(context, history).await?.list().await?;
    if context.json {
        output::json(&view);
        return Ok(Exit::Done);
    }
    let head = ["REVISION", "ACCEPTED", "BY", "FILES", "REASON"].map(String::from).to_vec();
    let rows = view.revisions.iter().map(|accepted| row(accepted, view.running));
    output::raw(output::table(&std::iter::once(head).chain(rows).collect::<Vec<_>>()).as_bytes());
    if let Some(sentence) = &view.from_history {
        output::line(&format!("\nwarning: {}", Shown(sentence)));
    }
    Ok(Exit::Done)
}

fn row(accepted: &Accepted, running: u64) -> Vec<String> {
    let mark = if accepted.revision == running { "*" } else { "" };
    vec![
        format!("{}{mark}", accepted.revision),
        time(accepted.accepted_at_ms),
        Shown(&accepted.who).to_string(),
        accepted.files.len().to_string(),
        Shown(accepted.reason.as_deref().unwrap_or_default()).to_string(),
    ]
}

/// The past, as a daemon tells it or as its folder does.
pub(super) enum Past {
    Daemon(AdminClient),
    Folder(std::path::PathBuf),
}

impl Past {
    /// Asks the daemon, or looks into the state folder where none runs.
    pub(super) async fn open(context: &Context, history: &History) -> Result<Self, Failure> {
        match AdminClient::view(&context.runtime_dir).await {
            Ok(client) => Ok(Self::Daemon(client)),
            Err(failure) if failure.exit == Exit::Unreachable => {
                let folder = history_folder(&history.state_dir);
                if folder.is_dir() { Ok(Self::Folder(folder)) } else { Err(failure) }
            }
            Err(failure) => Err(failure),
        }
    }

    /// As [`open`](Self::open), for those who read texts: the daemon tells them to who may act alone.
    pub(super) async fn open_texts(context: &Context, history: &History) -> Result<Self, Failure> {
        match Self::open(context, history).await? {
            Self::Daemon(_) => Ok(Self::Daemon(AdminClient::control(&context.runtime_dir).await?)),
            folder @ Self::Folder(_) => Ok(folder),
        }
    }

    /// Newest first. Without a daemon nothing runs, and `running` is what was accepted last.
    pub(super) async fn list(&mut self) -> Result<HistoryView, Failure> {
        match self {
            Self::Daemon(client) => client.get("/v1/config/history").await?.read(),
            Self::Folder(folder) => {
                let revisions = read_folder(folder)?;
                let running = revisions.first().map_or(0, |accepted| accepted.revision);
                Ok(HistoryView { running, from_history: None, revisions })
            }
        }
    }

    /// One revision with its texts.
    pub(super) async fn revision(&mut self, number: u64) -> Result<Revision, Failure> {
        match self {
            Self::Daemon(client) => client.get(&format!("/v1/config/history/{number}")).await?.read(),
            Self::Folder(folder) => read_file(folder, number)?.ok_or_else(|| {
                Failure::new(Exit::Failed, format!("Revision {number} is not in the history."))
                    .remedy("`toolgate config history` lists what is.")
            }),
        }
    }
}

fn read_folder(folder: &Path) -> Result<Vec<Accepted>, Failure> {
    let entries = fs::read_dir(folder).map_err(|error| refused(folder, "read", &error))?;
    let names = entries.filter_map(Result::ok).map(|entry| entry.file_name());
    let mut numbers: Vec<u64> = names.filter_map(|name| revision_of_file(name.to_str()?)).collect();
    numbers.sort_unstable();
    let revisions = numbers.into_iter().rev().filter_map(|number| read_file(folder, number).transpose());
    revisions.map(|revision| revision.map(|revision| revision.summary())).collect()
}

/// None where it is not there, or of a later release.
fn read_file(folder: &Path, number: u64) -> Result<Option<Revision>, Failure> {
    let path = folder.join(revision_file(number));
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused(&path, "read", &error)),
    };
    let revision: Option<Revision> = serde_json::from_slice(&bytes).ok();
    Ok(revision.filter(|revision| revision.format <= HISTORY_FORMAT))
}

/// `2026-11-27 07:14:05Z`: every machine that reads it means the same.
pub(super) fn time(millis: u64) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}Z", rest / 3_600, rest / 60 % 60, rest % 60)
}

/// The date of a day since 1970, by Howard Hinnant's `civil_from_days`.
fn date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        let known = [
            (0, "1970-01-01 00:00:00Z"),
            (951_782_400_000, "2000-02-29 00:00:00Z"),
            (1_795_764_845_999, "2026-11-27 07:34:05Z"),
            (4_102_444_799_000, "2099-12-31 23:59:59Z"),
        ];
        for (millis, shown) in known {
            assert_eq!(time(millis), shown);
        }
    }
}
