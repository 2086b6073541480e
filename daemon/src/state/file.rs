//! The file of records: each thing that is kept has one, rewritten in another place before the old one goes.
//!
//! Nothing here is synced: what was written outlives the process, which is all that is promised.
//! Whoever writes holds no lock but that of its own record, and one for as long as room is found.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FallocateFlags, fallocate};

use super::record::{self, CELL, Key, MAX_PAYLOAD, Unreadable};

/// Cells that the file grows by.
const STEP: u32 = 2048;

/// An open file.
#[derive(Debug)]
pub(super) struct Records {
    file: File,
    key: Key,
    room: Mutex<Room>,
    generation: AtomicU64,
}

/// The place of one thing's record. What is written to one that was erased is dropped.
#[derive(Debug, Default)]
pub(super) struct Slot(Mutex<Place>);

#[derive(Debug, Default, Clone, Copy)]
enum Place {
    #[default]
    None,
    At(Run),
    Erased,
}

/// Cells in a row, as many as a power of two.
#[derive(Debug, Clone, Copy)]
struct Run {
    cell: u32,
    class: u32,
}

/// What was in a file.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// Of the process that wrote it; 0 where there was none.
    pub(super) epoch: u32,
    /// What the records say, the oldest first.
    pub(super) payloads: Vec<Vec<u8>>,
    /// Records that were not whole.
    pub(super) damaged: usize,
}

/// Why a file could not be read.
#[derive(Debug)]
pub(super) enum LoadError {
    /// The system says why.
    Io(io::Error),
    /// What is in it says why.
    Unreadable(Unreadable),
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Unreadable(why) => why.fmt(f),
        }
    }
}

/// Reads a file; one that does not exist holds nothing.
pub(super) fn load(path: &Path, key: &Key) -> Result<Loaded, LoadError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Loaded::default()),
        Err(error) => return Err(LoadError::Io(error)),
    };
    let epoch = record::read_head(key, &bytes).map_err(LoadError::Unreadable)?;
    let mut found = record::read(key, &bytes);
    found.records.sort_by_key(|record| record.generation);
    let payloads = found.records.iter().map(|record| record.payload.to_vec()).collect();
    Ok(Loaded { epoch, payloads, damaged: found.damaged })
}

impl Records {
    /// Makes a file without records, in the place of any that is there.
    pub(super) fn create(path: &Path, key: Key, epoch: u32) -> io::Result<Self> {
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all_at(&record::head(&key, epoch), 0)?;
        let room = Room { end: 1, reserved: 1, free: std::array::from_fn(|_| Vec::new()) };
        Ok(Self { file, key, room: Mutex::new(room), generation: AtomicU64::new(1) })
    }

    /// Writes what a thing's record says from now on.
    pub(super) fn write(&self, slot: &Slot, payload: &[u8]) -> io::Result<()> {
        if payload.len() > MAX_PAYLOAD {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too long to be kept"));
        }
        let mut place = slot.lock();
        if matches!(*place, Place::Erased) {
            return Ok(());
        }
        let run = self.take(record::cells(payload.len()).next_power_of_two().ilog2())?;
        let generation = self.generation.fetch_add(1, Ordering::Relaxed);
        let text = record::write(&self.key, run.cell, generation, payload);
        if let Err(error) = self.file.write_all_at(&text, offset(run.cell)) {
            self.free(run);
            return Err(error);
        }
        if let Place::At(old) = std::mem::replace(&mut *place, Place::At(run)) {
            self.free(old);
        }
        Ok(())
    }

    /// Erases a thing's record for good.
    pub(super) fn erase(&self, slot: &Slot) {
        if let Place::At(run) = std::mem::replace(&mut *slot.lock(), Place::Erased) {
            self.free(run);
        }
    }

    /// Has no room for anything more.
    #[cfg(test)]
    pub(super) fn fill(&self) {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        room.end = u32::MAX;
        room.free.iter_mut().for_each(Vec::clear);
    }

    /// Has a thing's record say nothing, until it is written again.
    pub(super) fn withhold(&self, slot: &Slot) {
        let mut place = slot.lock();
        if let Place::At(run) = *place {
            *place = Place::None;
            self.free(run);
        }
    }

    fn take(&self, class: u32) -> io::Result<Run> {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = room.free[class as usize].pop() {
            return Ok(Run { cell, class });
        }
        let cell = room.end;
        let end = cell.checked_add(1 << class).ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        if end > room.reserved {
            let reserved = end.next_multiple_of(STEP);
            let grown = fallocate(&self.file, FallocateFlags::empty(), 0, u64::from(reserved) * CELL as u64);
            match grown {
                // Not every file system can; then the file grows with what is written.
                Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => room.reserved = reserved,
                Err(errno) => return Err(errno.into()),
            }
        }
        room.end = end;
        Ok(Run { cell, class })
    }

    /// A record whose mark is gone is none; its room is found again only afterwards.
    fn free(&self, run: Run) {
        if self.file.write_all_at(&[0; 4], offset(run.cell)).is_ok() {
            self.room.lock().unwrap_or_else(PoisonError::into_inner).free[run.class as usize].push(run.cell);
        }
    }
}

impl Slot {
    /// A thing that is no more before anything was written of it.
    pub(super) fn close(&self) {
        *self.lock() = Place::Erased;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Place> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which cells are free, by the size of their runs.
#[derive(Debug)]
struct Room {
    end: u32,
    reserved: u32,
    free: [Vec<u32>; 32],
}

fn offset(cell: u32) -> u64 {
    u64::from(cell) * CELL as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::new(&[7; 32])
    }

    fn said(path: &Path) -> Vec<String> {
        let loaded = load(path, &key()).unwrap();
        assert_eq!(loaded.damaged, 0);
        loaded.payloads.iter().map(|payload| String::from_utf8(payload.clone()).unwrap()).collect()
    }

    #[test]
    fn what_was_written_last_is_read_and_what_was_erased_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        assert_eq!(said(&path), [""; 0], "a file that does not exist is empty");
        let records = Records::create(&path, key(), 5).unwrap();
        let [one, two, three] = std::array::from_fn(|_| Slot::default());
        records.write(&one, b"one").unwrap();
        records.write(&two, "two ".repeat(500).as_bytes()).unwrap();
        records.write(&three, b"three").unwrap();
        records.write(&one, b"one again").unwrap();
        records.withhold(&two);
        assert_eq!(said(&path), ["three", "one again"]);
        records.write(&two, b"two again").unwrap();
        records.erase(&three);
        records.write(&three, b"three, too late").unwrap();
        assert_eq!(said(&path), ["one again", "two again"]);
        assert_eq!(load(&path, &key()).unwrap().epoch, 5);
    }

    #[test]
    fn room_is_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        let records = Records::create(&path, key(), 1).unwrap();
        for number in 0..10_000_u32 {
            let slot = Slot::default();
            records.write(&slot, &vec![b'x'; number as usize % 3000]).unwrap();
            records.write(&slot, b"shorter").unwrap();
            records.erase(&slot);
        }
        assert!(std::fs::metadata(&path).unwrap().len() <= u64::from(STEP) * CELL as u64);
        assert_eq!(said(&path), [""; 0]);
    }

    #[test]
    fn a_file_of_another_make_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        std::fs::write(&path, "hello").unwrap();
        assert!(matches!(load(&path, &key()), Err(LoadError::Unreadable(Unreadable::Foreign))));
    }
}
