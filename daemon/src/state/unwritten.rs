//! Records, and what could not be written of them: it is written again until it can be.
//!
//! A full disk keeps what changed from the file, not from the next attempt. The last process's file
//! stays where it is until everything of this one's is in the new file.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use tracing::warn;

use super::entry::Entry;
use super::file::{Records, Slot};
use super::record::MAX_PAYLOAD;

/// Records that are written again in one go: a core must not wait for long.
const AT_ONCE: usize = 1024;

/// A file of records that may be missing or full.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    file: OnceLock<Records>,
    /// The next process finds the file.
    found: AtomicBool,
    /// Places with something that is not written; perhaps some without, or one twice.
    places: Mutex<Vec<Weak<Place>>>,
}

/// The place of one thing's record.
#[derive(Debug, Default)]
pub(super) struct Place {
    slot: Slot,
    /// What it says, where that is not written. Held while it is written, so that an older word never comes last.
    unwritten: Mutex<Option<Entry>>,
    /// The same, for those who must not wait.
    waits: AtomicBool,
}

impl Unwritten {
    /// From now on there is a file.
    pub(super) fn write_to(&self, file: Records) {
        drop(self.file.set(file));
    }

    /// Whether there is one.
    pub(super) fn has_file(&self) -> bool {
        self.file.get().is_some()
    }

    /// The next process finds the file from now on.
    pub(super) fn are_found(&self) {
        self.found.store(true, Ordering::Relaxed);
    }

    /// Whether it does.
    pub(super) fn is_found(&self) -> bool {
        self.found.load(Ordering::Relaxed)
    }

    /// Whether everything is written.
    pub(super) fn are_written(&self) -> bool {
        self.has_file() && !lock(&self.places).iter().any(waits)
    }

    /// Writes what a thing's record says from now on, at once or later.
    pub(super) fn write(&self, place: &Arc<Place>, entry: &Entry) {
        let mut unwritten = lock(&place.unwritten);
        match self.try_write(place, entry) {
            Ok(()) => place.is_written(&mut unwritten),
            Err(problem) => {
                *unwritten = Some(entry.clone());
                if place.waits.swap(true, Ordering::Relaxed) {
                    return;
                }
                let mut places = lock(&self.places);
                if !places.iter().any(waits) && self.has_file() {
                    warn!("what changes now in sessions and instances is not kept across a restart: {problem}");
                }
                places.push(Arc::downgrade(place));
            }
        }
    }

    /// Writes what could not be written, as far as there is room by now.
    pub(super) fn retry(&self) {
        let places: Vec<_> = lock(&self.places).iter().filter(|place| waits(place)).take(AT_ONCE).cloned().collect();
        for place in places.iter().filter_map(Weak::upgrade) {
            let mut unwritten = lock(&place.unwritten);
            match unwritten.as_ref().map(|entry| self.try_write(&place, entry)) {
                Some(Ok(())) => place.is_written(&mut unwritten),
                Some(Err(problem)) if problem.kind() != io::ErrorKind::FileTooLarge => break,
                Some(Err(_)) | None => {}
            }
        }
        lock(&self.places).retain(waits);
    }

    /// Has a thing's record say nothing, until it is written again.
    pub(super) fn withhold(&self, place: &Place) {
        let mut unwritten = lock(&place.unwritten);
        if let Some(file) = self.file.get() {
            file.withhold(&place.slot);
        }
        place.is_written(&mut unwritten);
    }

    /// Erases a thing's record for good.
    pub(super) fn erase(&self, place: &Place) {
        let mut unwritten = lock(&place.unwritten);
        match self.file.get() {
            Some(file) => file.erase(&place.slot),
            None => place.slot.close(),
        }
        place.is_written(&mut unwritten);
    }

    /// Has no room for anything more.
    #[cfg(test)]
    pub(super) fn fill(&self) {
        self.file.get().unwrap().fill();
    }

    fn try_write(&self, place: &Place, entry: &Entry) -> io::Result<()> {
        let file = self.file.get().ok_or_else(|| io::Error::from(io::ErrorKind::StorageFull))?;
        file.write(&place.slot, &entry.to_payload(MAX_PAYLOAD)?)
    }
}

impl Place {
    fn is_written(&self, unwritten: &mut Option<Entry>) {
        *unwritten = None;
        self.waits.store(false, Ordering::Relaxed);
    }
}

fn waits(place: &Weak<Place>) -> bool {
    place.upgrade().is_some_and(|place| place.waits.load(Ordering::Relaxed))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
