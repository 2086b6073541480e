//! Keeps revisions on a thread of its own, so that a disk that does not answer holds up neither a reload nor whoever asks
//! how the gate does.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use toolgate_admin_api::Revision;
use tracing::{info, warn};

use super::disk::{self, KEPT};
use crate::lock::lock;

/// How long a reload waits for the disk.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is to be done in the folder.
pub(super) enum Job {
    /// To write a revision.
    Keep(Arc<Revision>),
    /// To leave nothing of a revision but its number.
    Withdraw(u64),
}

impl Job {
    fn revision(&self) -> u64 {
        match self {
            Self::Keep(revision) => revision.revision,
            Self::Withdraw(number) => *number,
        }
    }
}

/// The writer of one folder; its thread begins with the first job.
pub(super) struct Writer(Arc<Shared>);

struct Shared {
    folder: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    /// The revision that the thread is at, and since when.
    writing: Option<(u64, Instant)>,
    /// Whether the thread runs.
    runs: bool,
    /// Nothing more comes.
    is_over: bool,
    trouble: Option<String>,
}

impl Writer {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self(Arc::new(Shared { folder, state: Mutex::default(), changed: Condvar::new() }))
    }

    /// Has a job done after those that wait. Of more than are kept at all, the oldest is left out.
    pub(super) fn push(&self, job: Job) {
        let mut state = lock(&self.0.state);
        if !state.runs {
            let shared = Arc::clone(&self.0);
            if let Err(problem) = std::thread::Builder::new().name("revisions".into()).spawn(move || shared.run()) {
                state.trouble = Some(self.0.not_kept(job.revision(), &problem.to_string()));
                return;
            }
            state.runs = true;
        }
        if state.waiting.len() >= KEPT {
            state.waiting.pop_front();
        }
        state.waiting.push_back(job);
        self.0.changed.notify_all();
    }

    /// Waits until nothing waits: for a moment, and not at all while the disk is known not to answer. Why what was
    /// accepted last is not kept.
    pub(super) fn settle(&self) -> Option<String> {
        let until = Instant::now() + PATIENCE;
        let mut state = lock(&self.0.state);
        while state.is_busy() && !state.hangs() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let writing = state.writing.map(|(revision, _)| revision);
        match writing.or_else(|| state.waiting.front().map(Job::revision)) {
            Some(revision) => Some(self.0.not_yet(revision)),
            None => state.trouble.clone(),
        }
    }

    /// Why what was accepted last is not kept.
    pub(super) fn trouble(&self) -> Option<String> {
        let state = lock(&self.0.state);
        match &state.writing {
            Some((revision, _)) if state.hangs() => Some(self.0.not_yet(*revision)),
            _ => state.trouble.clone(),
        }
    }
}

impl Drop for Writer {
    /// What waits is still written; a disk that hangs keeps nobody from ending.
    fn drop(&mut self) {
        lock(&self.0.state).is_over = true;
        self.0.changed.notify_all();
    }
}

impl State {
    fn is_busy(&self) -> bool {
        self.runs && (self.writing.is_some() || !self.waiting.is_empty())
    }

    /// Whether the disk is known not to answer.
    fn hangs(&self) -> bool {
        self.writing.is_some_and(|(_, since)| since.elapsed() >= PATIENCE)
    }
}

impl Shared {
    fn run(&self) {
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = state.waiting.pop_front() {
                state.writing = Some((job.revision(), Instant::now()));
                drop(state);
                let done = self.perform(&job);
                state = lock(&self.state);
                if state.hangs() && done.is_ok() {
                    info!(revision = job.revision(), "the disk answers again: what was accepted is kept");
                }
                state.writing = None;
                match (job, done) {
                    (Job::Keep(revision), done) => {
                        state.trouble = done.err().map(|error| self.not_kept(revision.revision, &error.to_string()));
                    }
                    (Job::Withdraw(revision), Err(error)) => {
                        warn!("revision {revision}, which was only a try, stays on disk: {error}");
                    }
                    (Job::Withdraw(_), Ok(())) => {}
                }
                self.changed.notify_all();
            } else if state.is_over {
                return;
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn perform(&self, job: &Job) -> io::Result<()> {
        match job {
            Job::Keep(revision) => disk::write(&self.folder, revision),
            Job::Withdraw(revision) => disk::mark_withdrawn(&self.folder, *revision),
        }
    }

    fn not_kept(&self, revision: u64, why: &str) -> String {
        format!("revision {revision} is not kept in {}: {why}", self.folder.display())
    }

    fn not_yet(&self, revision: u64) -> String {
        self.not_kept(revision, "the disk does not answer; it is written when it does")
    }
}
