//! The thread that writes records, and what was recorded of late.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use toolgate_admin_api::AuditRecord;
use tracing::{error, info};

use super::REMEMBERED;
use super::file::Lines;
use crate::lock::lock;

/// How long a change waits for its record.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two tries where a record could not be written.
const AGAIN: Duration = Duration::from_secs(5);
/// Records that wait for a disk; beyond, the oldest is given up: it is in the journal, and its number is a gap.
const MOST_WAITING: usize = 1000;

/// Has records written. Dropped, it writes what waits and ends.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Something is to be written, or it is over.
    woken: Condvar,
    /// Something was written.
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The number of the last record.
    last: u64,
    recent: VecDeque<AuditRecord>,
    waiting: VecDeque<(u64, Vec<u8>)>,
    /// Whether there is a thread.
    writes: bool,
    over: bool,
    trouble: Option<String>,
}

impl Writer {
    pub(super) fn start(folder: Option<&Path>) -> Self {
        let shared = Arc::new(Shared::default());
        let thread = folder.and_then(|folder| begin(folder, &shared));
        Self { shared, thread }
    }

    /// Gives a record its number and takes it.
    pub(super) fn add(&self, mut record: AuditRecord) -> AuditRecord {
        let mut state = lock(&self.shared.state);
        state.last += 1;
        record.number = state.last;
        if state.recent.len() >= REMEMBERED {
            state.recent.pop_front();
        }
        state.recent.push_back(record.clone());
        if state.writes {
            if state.waiting.len() >= MOST_WAITING {
                state.waiting.pop_front();
            }
            state.waiting.push_back(line_of(&record));
            self.shared.woken.notify_one();
        }
        record
    }

    /// Waits until a record is written; no longer than a moment, and not at all while the disk is known not to take it.
    pub(super) fn written(&self, number: u64) {
        let until = Instant::now() + PATIENCE;
        let mut state = lock(&self.shared.state);
        let waits = |state: &State| {
            state.trouble.is_none() && state.waiting.front().is_some_and(|(waiting, _)| *waiting <= number)
        };
        while waits(&state) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            (state, _) = self.shared.done.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn newest(&self, most: usize) -> Vec<AuditRecord> {
        let state = lock(&self.shared.state);
        state.recent.iter().skip(state.recent.len().saturating_sub(most)).cloned().collect()
    }

    pub(super) fn trouble(&self) -> Option<String> {
        lock(&self.shared.state).trouble.clone()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        lock(&self.shared.state).over = true;
        self.shared.woken.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!("the thread that writes the record of changes had panicked");
        }
    }
}

/// Opens the file, takes up its numbers, and starts the thread, which goes on trying where that failed.
fn begin(folder: &Path, shared: &Arc<Shared>) -> Option<JoinHandle<()>> {
    let lines = shared.open(folder).map_err(|problem| shared.fails(&mut lock(&shared.state), &problem)).ok();
    lock(&shared.state).writes = true;
    let (works, folder) = (Arc::clone(shared), folder.to_owned());
    match Builder::new().name("audit".to_owned()).spawn(move || works.run(&folder, lines)) {
        Ok(thread) => Some(thread),
        Err(problem) => {
            let mut state = lock(&shared.state);
            state.writes = false;
            shared.fails(&mut state, &problem);
            None
        }
    }
}

/// The number of a record, and its line.
fn line_of(record: &AuditRecord) -> (u64, Vec<u8>) {
    let mut line = serde_json::to_vec(record).unwrap_or_default();
    line.push(b'\n');
    (record.number, line)
}

impl Shared {
    /// Opens the file and takes up its numbers. What was recorded meanwhile comes after what is in it, and is to be
    /// written.
    fn open(&self, folder: &Path) -> io::Result<Lines> {
        let named = |problem: io::Error| {
            let file: PathBuf = folder.join("audit.jsonl");
            io::Error::new(problem.kind(), format!("{}: {problem}", file.display()))
        };
        let lines = Lines::open(folder).map_err(named)?;
        let before = lines.newest(REMEMBERED).map_err(named)?;
        let begun = before.iter().map(|record| record.number).max().unwrap_or(0);
        let mut state = lock(&self.state);
        let mut meanwhile = std::mem::take(&mut state.recent);
        for record in &mut meanwhile {
            record.number += begun;
        }
        state.last += begun;
        state.waiting = meanwhile.iter().map(line_of).collect();
        let surplus = (before.len() + meanwhile.len()).saturating_sub(REMEMBERED);
        state.recent = before.into_iter().skip(surplus).chain(meanwhile).collect();
        Ok(lines)
    }

    fn fails(&self, state: &mut State, problem: &io::Error) {
        let told = format!("changes are recorded in the journal only: {problem}");
        if state.trouble.is_none() {
            error!("{told}");
        }
        state.trouble = Some(told);
        self.done.notify_all();
    }

    /// What waits, and the number of the last of it; `None` where nothing does and it is over.
    fn batch(&self) -> Option<(u64, Vec<u8>)> {
        let idle = |state: &mut State| state.waiting.is_empty() && !state.over;
        let state = self.woken.wait_while(lock(&self.state), idle).unwrap_or_else(PoisonError::into_inner);
        let (last, _) = state.waiting.back()?;
        Some((*last, state.waiting.iter().flat_map(|(_, line)| line.iter().copied()).collect()))
    }

    fn run(&self, folder: &Path, mut lines: Option<Lines>) {
        loop {
            // After a failure a while passes; at the end there is one more try.
            let rests = |state: &mut State| state.trouble.is_some() && !state.over;
            let waited = self.woken.wait_timeout_while(lock(&self.state), AGAIN, rests);
            let is_last = waited.unwrap_or_else(PoisonError::into_inner).0.over;
            let done = match &mut lines {
                Some(lines) => {
                    let Some((last, text)) = self.batch() else { return };
                    lines.append(&text).map(|()| last)
                }
                None => self.open(folder).map(|opened| {
                    lines = Some(opened);
                    0
                }),
            };
            let mut state = lock(&self.state);
            match done {
                Ok(last) => {
                    state.waiting.retain(|(number, _)| *number > last);
                    if state.trouble.take().is_some() {
                        info!("changes are recorded in their file again");
                    }
                    self.done.notify_all();
                }
                Err(problem) => {
                    self.fails(&mut state, &problem);
                    if is_last {
                        return;
                    }
                }
            }
        }
    }
}
