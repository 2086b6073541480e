//! The thread that writes what tools are like, so that no core waits for a disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::{error, info};

use super::{Books, file};

use crate::lock::lock;

/// What changes within this is written at once.
const GATHER: Duration = Duration::from_millis(100);
/// Between two tries where it could not be written.
const AGAIN: Duration = Duration::from_secs(10);

/// Has the books written. The thread ends with it.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    books: Arc<Mutex<Books>>,
    state: Mutex<State>,
    /// One writes at a time: of two texts the older must not come last.
    writing: Mutex<()>,
    woken: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Something is not written yet.
    dirty: bool,
    over: bool,
    /// Why the last try failed.
    trouble: Option<String>,
}

impl Writer {
    pub(super) fn start(folder: &Path, books: Arc<Mutex<Books>>) -> io::Result<Self> {
        let (state, writing, woken) = Default::default();
        let shared = Arc::new(Shared { folder: folder.to_owned(), books, state, writing, woken });
        let works = Arc::clone(&shared);
        thread::Builder::new().name("pins".to_owned()).spawn(move || works.run())?;
        Ok(Self { shared })
    }

    /// Has the thread write.
    pub(super) fn wake(&self) {
        self.shared.lock().dirty = true;
        self.shared.woken.notify_one();
    }

    /// Writes now, on the thread of the caller.
    pub(super) fn flush(&self) {
        self.shared.write();
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
        loop {
            {
                let idle = |state: &mut State| !state.dirty && !state.over;
                let state = self.woken.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
                if state.over {
                    return;
                }
            }
            thread::sleep(GATHER);
            self.write();
            if self.lock().dirty {
                thread::sleep(AGAIN);
            }
        }
    }

    fn write(&self) {
        let _writing = lock(&self.writing);
        self.lock().dirty = false;
        // Copied, so that a core that learns of a tool does not wait until all is text.
        let books = lock(&self.books).clone();
        let text = file::text(&books);
        let saved = file::save(&self.folder, &text);
        let mut state = self.lock();
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
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}
