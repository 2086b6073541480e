//! Alerts, and what of them waits for the webhook, from one process to the next: `alerts.json` in the state folder.
//!
//! Written by the watching thread a moment after something changed, and once more at the end. What cannot be read is set
//! aside, never deleted.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toolgate_protocol::alerts::{Alert, Alerts, Condition, Severity};
use toolgate_protocol::outbox::Outbox;
use tracing::{info, warn};

use super::{Alarms, WAITING};
use crate::clock;

/// The version of the format.
const FORMAT: u32 = 1;

/// What the last process told is not over before this, unless it is seen again: rates, breakers and checks know nothing
/// yet.
const SETTLING_MS: u64 = 60_000;

#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    format: u32,
    alerts: Vec<SavedAlert>,
    waiting: Vec<(u64, String)>,
    next: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedAlert {
    id: String,
    severity: String,
    step: u8,
    message: String,
    remedy: String,
    spacing_ms: u64,
    since: u64,
    recovered: Option<u64>,
    told: u64,
    last: Option<(u64, String, u8)>,
    owed: bool,
    acknowledged: Option<String>,
    silenced_until: Option<u64>,
}

impl From<&Alert> for SavedAlert {
    fn from(alert: &Alert) -> Self {
        let condition = alert.condition.clone();
        Self {
            id: condition.id,
            severity: condition.severity.word().to_owned(),
            step: condition.step,
            message: condition.message,
            remedy: condition.remedy,
            spacing_ms: condition.spacing_ms,
            since: alert.since,
            recovered: alert.recovered,
            told: alert.told,
            last: alert.last.map(|(at, (severity, step))| (at, severity.word().to_owned(), step)),
            owed: alert.owed,
            acknowledged: alert.acknowledged.clone(),
            silenced_until: alert.silenced_until,
        }
    }
}

impl SavedAlert {
    fn read(self) -> Option<Alert> {
        let condition = Condition {
            id: self.id,
            severity: Severity::of(&self.severity)?,
            step: self.step,
            message: self.message,
            remedy: self.remedy,
            spacing_ms: self.spacing_ms,
        };
        let last = self.last.and_then(|(at, severity, step)| Some((at, (Severity::of(&severity)?, step))));
        Some(Alert {
            condition,
            since: self.since,
            recovered: self.recovered,
            told: self.told,
            last,
            owed: self.owed,
            acknowledged: self.acknowledged,
            silenced_until: self.silenced_until,
        })
    }
}

/// Keeps the file.
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
    written: u64,
    is_failing: bool,
}

impl Keeper {
    /// Takes up what the last process left in the folder. Without a folder nothing is kept.
    pub fn open(alarms: &Alarms, state: &Path) -> Option<Self> {
        if state.as_os_str().is_empty() {
            return None;
        }
        let path = state.join("alerts.json");
        if let Some(saved) = load(&path) {
            let now = clock::unix_millis();
            let mut state = alarms.lock();
            state.alerts = Alerts::restored(saved.alerts.into_iter().filter_map(SavedAlert::read), now, SETTLING_MS);
            state.outbox = Outbox::new(WAITING, now).restored(saved.waiting, saved.next);
        }
        Some(Self { path, written: 0, is_failing: false })
    }

    /// Whether something changed since it was written.
    pub fn is_behind(&self, alarms: &Alarms) -> bool {
        alarms.lock().changes != self.written
    }

    /// Writes it where something changed.
    pub fn write(&mut self, alarms: &Alarms) {
        let (changes, text) = {
            let state = alarms.lock();
            if state.changes == self.written {
                return;
            }
            let saved = Saved {
                format: FORMAT,
                alerts: state.alerts.listed().into_iter().map(SavedAlert::from).collect(),
                waiting: state.outbox.waiting().cloned().collect(),
                next: state.outbox.next_number(),
            };
            (state.changes, serde_json::to_vec(&saved))
        };
        let written = text.map_err(io::Error::other).and_then(|text| replace(&self.path, &text));
        match written {
            Ok(()) => {
                self.written = changes;
                if std::mem::take(&mut self.is_failing) {
                    info!("alerts are kept across a restart again");
                }
            }
            Err(problem) if !self.is_failing => {
                self.is_failing = true;
                warn!(file = %self.path.display(), "alerts are not kept across a restart: {problem}");
            }
            Err(_) => {}
        }
    }
}

/// Whoever reads sees the old file or the new one, whole.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let new = path.with_extension("json.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text)?;
    File::sync_all(&file)?;
    fs::rename(new, path)
}

fn load(path: &Path) -> Option<Saved> {
    let why = match fs::read(path).map(|text| serde_json::from_slice::<Saved>(&text)) {
        Ok(Ok(saved)) if saved.format == FORMAT => return Some(saved),
        Ok(Ok(saved)) => format!("its format is {}, and this release reads {FORMAT}", saved.format),
        Ok(Err(problem)) => problem.to_string(),
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => return None,
        Err(problem) => problem.to_string(),
    };
    let aside = path.with_extension("json.unreadable");
    let _ = fs::rename(path, &aside);
    warn!(aside = %aside.display(), "alerts of the last process cannot be read: {why}; they begin anew");
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_and_what_waits_are_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let alarms = Alarms::default();
        let mut keeper = Keeper::open(&alarms, folder.path()).unwrap();
        let now = clock::unix_millis();
        {
            let mut state = alarms.lock();
            let condition = Condition::new("cpu", Severity::Warning, "It is wrong.", "Mend it.");
            assert_eq!(state.alerts.observe(now, vec![condition], 1000).len(), 1);
            state.alerts.acknowledge("cpu", "uid 0");
            state.outbox.push("one".into());
            state.outbox.push("two".into());
            state.outbox.delivered(1);
            state.changes += 1;
        }
        keeper.write(&alarms);
        let again = Alarms::default();
        drop(Keeper::open(&again, folder.path()).unwrap());
        assert_eq!(again.listed(), alarms.listed());
        assert_eq!(again.lock().outbox.waiting().cloned().collect::<Vec<_>>(), [(2, "two".to_owned())]);
        assert_eq!(again.lock().outbox.next_number(), 3);
    }

    #[test]
    fn what_cannot_be_read_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.json");
        for text in ["", "{", r#"{"format":9,"alerts":[],"waiting":[],"next":1}"#] {
            fs::write(&path, text).unwrap();
            assert!(Keeper::open(&Alarms::default(), folder.path()).is_some());
            assert_eq!(fs::read_to_string(folder.path().join("alerts.json.unreadable")).unwrap(), text);
            assert!(!path.exists());
        }
        assert!(Keeper::open(&Alarms::default(), Path::new("")).is_none());
    }
}
