//! Writes what holds by hand into its file, on a thread of its own, so that a disk that does not answer holds up no change.
//!
//! Of several books only the newest is written. Whoever changes something waits until its book is written, for a moment
//! at most, and not at all while the disk is known not to answer.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::book::{self, Book};
use crate::lock::lock;

/// How long a change waits for the disk.
const PATIENCE: Duration = Duration::from_secs(1);

/// The writer of one folder; its thread begins with the first book.
#[derive(Debug)]
pub(super) struct Keeper {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The newest book, until the thread takes it.
    waiting: Option<Book>,
    /// How many books there were.
    said: u64,
    /// The number of the last one that is written, or cannot be.
    done: u64,
    /// When the thread began with what it is writing.
    writing: Option<Instant>,
    /// Whether the thread runs.
    runs: bool,
    /// Nothing more comes.
    is_over: bool,
    /// Its file is in the way still: it must not be replaced.
    in_the_way: bool,
    trouble: Option<String>,
}

impl Keeper {
    /// `in_the_way`: a file is there that must be set aside first.
    pub(super) fn new(folder: PathBuf, in_the_way: bool) -> Self {
        let state = Mutex::new(State { in_the_way, ..State::default() });
        Self { shared: Arc::new(Shared { folder, state, changed: Condvar::new() }) }
    }

    /// Has a book written; its number.
    pub(super) fn keep(&self, book: Book) -> u64 {
        let mut state = lock(&self.shared.state);
        state.waiting = Some(book);
        state.said += 1;
        if !state.runs {
            let shared = Arc::clone(&self.shared);
            match std::thread::Builder::new().name("steering".into()).spawn(move || shared.run()) {
                Ok(_) => state.runs = true,
                Err(problem) => state.fail(&problem.to_string()),
            }
        }
        self.shared.changed.notify_all();
        state.said
    }

    /// Waits until a book is written, or cannot be.
    pub(super) fn wait(&self, number: u64) {
        let until = Instant::now() + PATIENCE;
        let mut state = lock(&self.shared.state);
        while state.runs && state.done < number {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || state.hangs() {
                if state.trouble.is_none() {
                    state.fail("the disk does not answer; it is written when it does");
                }
                return;
            }
            state = self.shared.wait(state, left);
        }
    }

    /// Why what holds would not outlive the process.
    pub(super) fn trouble(&self) -> Option<String> {
        lock(&self.shared.state).trouble.clone()
    }
}

impl Drop for Keeper {
    /// What waits is still written; a disk that hangs keeps nobody from ending.
    fn drop(&mut self) {
        lock(&self.shared.state).is_over = true;
        self.shared.changed.notify_all();
    }
}

impl State {
    /// Whether the disk is known not to answer.
    fn hangs(&self) -> bool {
        self.writing.is_some_and(|since| since.elapsed() >= PATIENCE)
    }

    fn fail(&mut self, why: &str) {
        let told = format!("what was changed by hand is not kept across a restart: {why}");
        warn!("{told}");
        self.trouble = Some(told);
    }
}

impl Shared {
    fn run(&self) {
        let mut state = lock(&self.state);
        loop {
            if let Some(book) = state.waiting.take() {
                let (number, in_the_way) = (state.said, state.in_the_way);
                state.writing = Some(Instant::now());
                drop(state);
                let written = self.write(&book, in_the_way);
                state = lock(&self.state);
                state.writing = None;
                state.done = number;
                match written {
                    Ok(()) => {
                        state.in_the_way = false;
                        if state.trouble.take().is_some() {
                            info!("what was changed by hand is kept across a restart again");
                        }
                    }
                    Err(problem) => state.fail(&problem.to_string()),
                }
                self.changed.notify_all();
            } else if state.is_over {
                return;
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// A file that could not be read is set aside first, where that did not succeed yet.
    fn write(&self, book: &Book, in_the_way: bool) -> io::Result<()> {
        if in_the_way {
            book::set_aside(&self.folder)?;
        }
        book::save(&self.folder, book)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, left: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, Mode, mkfifoat};
    use toolgate_admin_api::Suspension;

    use super::*;

    fn book(client: &str) -> Book {
        let mut book = Book::default();
        book.clients.insert(client.to_owned(), Suspension::default());
        book
    }

    #[test]
    fn a_disk_that_does_not_answer_holds_up_nobody_for_long_and_gets_the_newest_when_it_does() {
        let folder = tempfile::tempdir().unwrap();
        let new = folder.path().join("steering.json.new");
        // Whoever opens a pipe to write waits until somebody reads it, as one does for a disk that hangs.
        mkfifoat(CWD, &new, Mode::RUSR | Mode::WUSR).unwrap();
        let keeper = Keeper::new(folder.path().to_owned(), false);
        keeper.wait(keeper.keep(book("key:a")));
        assert!(keeper.trouble().is_some_and(|told| told.contains("does not answer")));
        while !lock(&keeper.shared.state).hangs() {
            std::thread::sleep(Duration::from_millis(10));
        }
        // Nobody waits any more, so that these do not take a second each.
        let numbers: Vec<_> = (0..20).map(|n| keeper.keep(book(&format!("key:{n}")))).collect();
        for number in &numbers {
            keeper.wait(*number);
        }
        // Out of the way before it is read, so that the next book finds a file.
        let reader = std::thread::spawn({
            let pipe = folder.path().join("pipe");
            std::fs::rename(&new, &pipe).unwrap();
            move || std::fs::read(pipe).unwrap()
        });
        let until = Instant::now() + Duration::from_secs(20);
        while keeper.trouble().is_some() && Instant::now() < until {
            keeper.wait(*numbers.last().unwrap());
        }
        assert_eq!(keeper.trouble(), None);
        assert!(!reader.join().unwrap().is_empty());
        assert_eq!(book::load(folder.path()), Ok(book("key:19")));
    }
}
