//! The thread that writes what tools are like, so that no core waits for a disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{error, info};

use super::{Shelf, file};

use crate::lock::lock;

/// What changes within this is written at once.
const GATHER: Duration = Duration::from_millis(100);
/// From one write to the next: a server whose tools change all the time wears no disk out.
const GAP: Duration = Duration::from_secs(5);
/// Between two tries where it could not be written.
const AGAIN: Duration = Duration::from_secs(10);
/// How long somebody waits who relies on what is written.
const PATIENCE: Duration = Duration::from_secs(5);

/// Has the books written. The thread ends with it.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    shelf: Arc<Shelf>,
    state: Mutex<State>,
    /// There is something to do for the thread.
    woken: Condvar,
    /// The thread has tried to write.
    tried: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Something is not written yet.
    dirty: bool,
    over: bool,
    /// How often somebody wanted to wait until all is written, and the last of them for whom it was tried.
    asked: u64,
    served: u64,
    /// Why the last try failed.
    trouble: Option<String>,
}

impl State {
    /// Nobody waits, and the thread is not to end.
    fn has_time(&mut self) -> bool {
        self.served == self.asked && !self.over
    }
}

impl Writer {
    pub(super) fn start(folder: &Path, shelf: Arc<Shelf>) -> io::Result<Self> {
        let (state, woken, tried) = Default::default();
        let shared = Arc::new(Shared { folder: folder.to_owned(), shelf, state, woken, tried });
        let works = Arc::clone(&shared);
        thread::Builder::new().name("pins".to_owned()).spawn(move || works.run())?;
        Ok(Self { shared })
    }

    /// Has the thread write.
    pub(super) fn wake(&self) {
        self.shared.lock().dirty = true;
        self.shared.woken.notify_one();
    }

    /// Has the thread write now, and waits until it has tried.
    pub(super) fn flush(&self) {
        let mut state = self.shared.lock();
        state.dirty = true;
        state.asked += 1;
        let ticket = state.asked;
        self.shared.woken.notify_one();
        let unserved = |state: &mut State| state.served < ticket;
        let waited = self.shared.tried.wait_timeout_while(state, PATIENCE, unserved);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Why what was seen last is not written.
    pub(super) fn trouble(&self) -> Option<String> {
        self.shared.lock().trouble.clone()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.woken.notify_one();
    }
}

impl Shared {
    fn run(&self) {
        let (mut last, mut failed) = (None, false);
        loop {
            {
                let idle = |state: &mut State| !state.dirty && !state.over;
                let state = self.woken.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
                let pause = pause(last.map(|last: Instant| last.elapsed()), failed);
                let paused = self.woken.wait_timeout_while(state, pause, State::has_time);
                let (state, _) = paused.unwrap_or_else(PoisonError::into_inner);
                if state.over {
                    return;
                }
            }
            failed = !self.write();
            last = Some(Instant::now());
        }
    }

    /// Gives back whether all is written.
    fn write(&self) -> bool {
        let asked = {
            let mut state = self.lock();
            state.dirty = false;
            state.asked
        };
        let text = file::text(&self.shelf.books());
        let saved = file::save(&self.folder, &text);
        let mut state = self.lock();
        let written = saved.is_ok();
        match saved {
            Ok(()) => {
                if state.trouble.take().is_some() {
                    info!("what tools are like is remembered across a restart again");
                }
            }
            Err(problem) => {
                state.dirty = true;
                let told = format!("what tools are like is not remembered across a restart: {problem}");
                if state.trouble.as_ref() != Some(&told) {
                    error!(folder = %self.folder.display(), "{told}");
                }
                state.trouble = Some(told);
            }
        }
        state.served = asked;
        self.tried.notify_all();
        written
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// How long the thread waits for more before it writes, this long after its last try.
fn pause(since: Option<Duration>, failed: bool) -> Duration {
    let gap = if failed { AGAIN } else { GAP };
    since.map_or(GATHER, |since| gap.saturating_sub(since).max(GATHER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_all_the_time_is_written_now_and_then() {
        assert_eq!(pause(None, false), GATHER);
        assert_eq!(pause(Some(Duration::ZERO), false), GAP);
        assert_eq!(pause(Some(GAP), false), GATHER, "after a while of quiet a change is written at once");
        assert_eq!(pause(Some(Duration::ZERO), true), AGAIN);
    }
}
