//! One thing's record between those who say what it says and the one thread that writes it.
//!
//! Only the newest word waits: it takes the place of an older one that is not written yet. Must
//! hold: no lock here is held while the disk is asked for anything, but for the writer's own.

use std::sync::{Mutex, MutexGuard};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::entry::Entry;
use super::file::Slot;
use crate::lock::lock;

/// The place of one thing's record.
#[derive(Debug, Default)]
pub(super) struct Place {
    said: Mutex<Said>,
    /// Only the writer asks for it.
    slot: Mutex<Slot>,
    changed: Notify,
}

/// What a record is to say.
#[derive(Debug)]
pub(super) enum Word {
    /// This.
    Says(Box<Entry>),
    /// Nothing: no later process finds it.
    Nothing,
}

/// What was said of one thing, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// The newest word, unless it was taken to be written.
    pub(super) word: Option<Word>,
    /// Its turn in the queue.
    pub(super) turn: Option<u64>,
    /// Words so far, the last one that is written, and the last one that could not be.
    pub(super) words: u64,
    pub(super) written: u64,
    pub(super) failed: u64,
    /// The file may hold something of it.
    pub(super) is_held: bool,
    /// The thing is no more: nothing that is said later counts.
    pub(super) is_over: bool,
}

impl Place {
    /// What was said of it.
    pub(super) fn said(&self) -> MutexGuard<'_, Said> {
        lock(&self.said)
    }

    /// Where it lies in the file; for the writer.
    pub(super) fn slot(&self) -> MutexGuard<'_, Slot> {
        lock(&self.slot)
    }

    /// The newest word, with its number, for the writer.
    pub(super) fn take(&self) -> Option<(Word, u64)> {
        let mut said = self.said();
        said.turn = None;
        let word = said.word.take()?;
        said.is_held = true;
        Some((word, said.words))
    }

    /// The word of this number is written.
    pub(super) fn is_written(&self, number: u64, is_held: bool) {
        let mut said = self.said();
        (said.written, said.is_held) = (number, is_held);
        drop(said);
        self.changed.notify_waiters();
    }

    /// Wakes whoever waits for what came of a word.
    pub(super) fn tell(&self) {
        self.changed.notify_waiters();
    }

    /// What comes of it next.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }
}

impl Said {
    /// Whether the word of this number, or a newer one, is written; `None` while nobody knows.
    pub(super) fn outcome(&self, number: u64) -> Option<bool> {
        if self.written >= number {
            return Some(true);
        }
        (self.failed >= number).then_some(false)
    }
}
