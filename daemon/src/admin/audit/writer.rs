//! The thread that writes records, and what was recorded of late.

use std::collections::VecDeque;
use std::path::Path;
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
            let mut line = serde_json::to_vec(&record).unwrap_or_default();
            line.push(b'\n');
            if state.waiting.len() >= MOST_WAITING {
                state.waiting.pop_front();
            }
            state.waiting.push_back((record.number, line));
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

/// Opens the file, takes up its numbers, and starts the thread.
fn begin(folder: &Path, shared: &Arc<Shared>) -> Option<JoinHandle<()>> {
    let opened = Lines::open(folder).and_then(|lines| Ok((lines.newest(REMEMBERED)?, lines)));
    let started = opened.and_then(|(recent, lines)| {
        {
            let mut state = lock(&shared.state);
            state.last = recent.iter().map(|record| record.number).max().unwrap_or(0);
            state.recent = recent.into();
            state.writes = true;
        }
        let works = Arc::clone(shared);
        Builder::new().name("audit".to_owned()).spawn(move || works.run(lines))
    });
    match started {
        Ok(thread) => Some(thread),
        Err(problem) => {
            let told = format!(
                "changes are recorded in the journal only: {}: {problem}",
                folder.join("audit.jsonl").display()
            );
            error!("{told}");
            let mut state = lock(&shared.state);
            state.writes = false;
            state.trouble = Some(told);
            None
        }
    }
}

impl Shared {
    fn run(&self, mut lines: Lines) {
        loop {
            let (last, text) = {
                let idle = |state: &mut State| state.waiting.is_empty() && !state.over;
                let state = self.woken.wait_while(lock(&self.state), idle).unwrap_or_else(PoisonError::into_inner);
                let Some((last, _)) = state.waiting.back() else { return };
                (*last, state.waiting.iter().flat_map(|(_, line)| line.iter().copied()).collect::<Vec<u8>>())
            };
            let written = lines.append(&text);
            let mut state = lock(&self.state);
            match written {
                Ok(()) => {
                    state.waiting.retain(|(number, _)| *number > last);
                    if state.trouble.take().is_some() {
                        info!("changes are recorded in their file again");
                    }
                }
                Err(problem) => {
                    if state.trouble.is_none() {
                        error!("changes are recorded in the journal only: {problem}");
                    }
                    state.trouble = Some(format!("changes are recorded in the journal only: {problem}"));
                }
            }
            self.done.notify_all();
            if state.trouble.is_some() {
                if state.over {
                    return;
                }
                drop(self.woken.wait_timeout_while(state, AGAIN, |state| !state.over));
            }
        }
    }
}
