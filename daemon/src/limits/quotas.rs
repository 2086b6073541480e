//! What quotas have counted, from one process to the next: `quotas.json` in the state folder.
//!
//! A thread writes it every five seconds where something changed, and once more at the end. So a clean stop loses
//! nothing, and a crash at most the calls of the last seconds. What cannot be read is set aside, never deleted.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use toolgate_protocol::limiter::{Meter, Period, Quota, Unit};
use tracing::{info, warn};

use super::Limits;
use super::counters::Counters;
use super::table::MOST;
use crate::gate::Gate;

/// The version of the format.
const FORMAT: u32 = 1;
/// How often it is written.
const INTERVAL: Duration = Duration::from_secs(5);

/// What all quotas have counted in their periods.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    format: u32,
    quotas: Vec<SavedQuota>,
}

/// What one of them has. Place, name, scope and period together say which.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedQuota {
    place: String,
    limit: String,
    per: String,
    /// `day` or `month`.
    unit: String,
    /// Days or months since 1970-01-01.
    number: u64,
    used: BTreeMap<String, u64>,
}

impl Limits {
    /// What quotas have counted.
    #[must_use]
    pub fn saved(&self, now: u64) -> Saved {
        let mut quotas = Vec::new();
        for applied in self.all() {
            let Meter::Quota(quota, period) = applied.meter_now(&self.shared.calendars, now) else { continue };
            let mut used = BTreeMap::new();
            applied.counters.each(|words, cell| {
                let count = quota.used(cell, period);
                if let Some(words) = words.filter(|_| count > 0) {
                    used.insert(words.to_owned(), count);
                }
            });
            if let Counters::Keyed(table) = &*applied.counters {
                used.extend(table.restored(period.number).into_iter().map(|(words, count)| (words.into(), count)));
            }
            if !used.is_empty() {
                let limit = &applied.limit;
                quotas.push(SavedQuota {
                    place: applied.place.to_string(),
                    limit: limit.name.clone(),
                    per: limit.per.to_string(),
                    unit: word(period).to_owned(),
                    number: period.number,
                    used,
                });
            }
        }
        Saved { format: FORMAT, quotas }
    }

    /// Goes on from what an earlier process counted, where the period is still the same.
    pub fn restore(&self, saved: &Saved, now: u64) {
        for applied in self.all() {
            let Meter::Quota(quota, period) = applied.meter_now(&self.shared.calendars, now) else { continue };
            let (limit, place) = (&applied.limit, &*applied.place);
            let same = saved.quotas.iter().find(|saved| {
                saved.place == place
                    && saved.limit == limit.name
                    && saved.per == limit.per.to_string()
                    && saved.unit == word(period)
                    && saved.number == period.number
            });
            if let Some(same) = same {
                restore(&applied.counters, quota, period, &same.used);
            }
        }
    }
}

fn restore(counters: &Counters, quota: Quota, period: Period, used: &BTreeMap<String, u64>) {
    match counters {
        Counters::Keyed(table) => {
            let mut used: Vec<_> = used.iter().collect();
            used.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            used.iter().take(MOST).for_each(|(words, count)| table.restore(words, **count, period.number));
        }
        known => known.each(|words, cell| {
            if let Some(count) = words.and_then(|words| used.get(words)) {
                quota.restore(cell, *count, period);
            }
        }),
    }
}

fn word(period: Period) -> &'static str {
    match period.unit {
        Unit::Day => "day",
        Unit::Month => "month",
    }
}

/// The thread that writes; ends when dropped, with a last write.
#[derive(Debug)]
pub struct Keeper {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Takes up what the last process left in the folder, and keeps it. Without a folder nothing is kept.
    pub fn start(gate: &Arc<Gate>, state: &Path) -> Option<Self> {
        if state.as_os_str().is_empty() {
            return None;
        }
        let path = state.join("quotas.json");
        let left = load(&path);
        gate.policy.load().limits.restore(&left, crate::clock::nanos());
        let (stop, stopped) = mpsc::channel::<()>();
        let mut writer = Writer { path, gate: Arc::clone(gate), written: left, is_failing: false };
        let thread = std::thread::Builder::new().name("quotas".into()).spawn(move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                writer.write();
            }
            writer.write();
        });
        match thread {
            Ok(thread) => Some(Self { stop: Some(stop), thread: Some(thread) }),
            Err(problem) => {
                warn!("what quotas count ends with the process: {problem}");
                None
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes quotas had panicked");
        }
    }
}

struct Writer {
    path: PathBuf,
    gate: Arc<Gate>,
    written: Saved,
    is_failing: bool,
}

impl Writer {
    fn write(&mut self) {
        let saved = self.gate.policy.load().limits.saved(crate::clock::nanos());
        if saved.quotas == self.written.quotas {
            return;
        }
        match replace(&self.path, &saved) {
            Ok(()) => {
                self.written = saved;
                if std::mem::take(&mut self.is_failing) {
                    info!("what quotas count is kept across a restart again");
                }
            }
            Err(problem) if !self.is_failing => {
                self.is_failing = true;
                warn!(file = %self.path.display(), "what quotas count is not kept across a restart: {problem}");
            }
            Err(_) => {}
        }
    }
}

/// Whoever reads sees the old file or the new one, whole.
fn replace(path: &Path, saved: &Saved) -> io::Result<()> {
    let text = serde_json::to_vec(saved).map_err(io::Error::other)?;
    let new = path.with_extension("json.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&text)?;
    File::sync_all(&file)?;
    fs::rename(new, path)
}

fn load(path: &Path) -> Saved {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Saved::default(),
        Err(problem) => {
            warn!(file = %path.display(), "what quotas had counted cannot be read: {problem}; they begin anew");
            return Saved::default();
        }
    };
    let why = match serde_json::from_slice::<Saved>(&text) {
        Ok(saved) if saved.format == FORMAT => return saved,
        Ok(saved) => format!("its format is {}, and this release reads {FORMAT}", saved.format),
        Err(problem) => problem.to_string(),
    };
    let aside = path.with_extension("json.unreadable");
    let _ = fs::rename(path, &aside);
    warn!(aside = %aside.display(), "what quotas had counted cannot be read: {why}; they begin anew");
    Saved::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("quotas.json");
        assert_eq!(load(&path), Saved::default());
        for text in ["", "{", "{\"format\":2,\"quotas\":[]}", "{\"format\":1}"] {
            fs::write(&path, text).unwrap();
            assert_eq!(load(&path), Saved::default());
            assert_eq!(fs::read_to_string(folder.path().join("quotas.json.unreadable")).unwrap(), text);
            assert!(!path.exists());
        }
        let saved = Saved { format: FORMAT, quotas: Vec::new() };
        replace(&path, &saved).unwrap();
        assert_eq!(load(&path), saved);
    }
}
