//! The file of records: each thing that is kept has one, rewritten in another place before the old one goes.
//!
//! Nothing here is synced: what was written outlives the process, which is all that is promised.
//! The writer owns the file, and calls everything here that writes.

use std::io;
use std::path::Path;

use super::record::{self, CELL, Key, MAX_PAYLOAD, Unreadable};
use super::storage::Storage;

/// Cells that the file grows by.
const STEP: u32 = 2048;

/// An open file.
#[derive(Debug)]
pub(super) struct Records {
    file: Box<dyn Storage>,
    key: Key,
    room: Room,
    /// What is to be freed and could not be.
    owed: Vec<Run>,
    generation: u64,
}

/// Where one thing's record is.
#[derive(Debug, Default)]
pub(super) struct Slot(Option<Run>);

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
    /// Begins an empty file.
    pub(super) fn begin(file: Box<dyn Storage>, key: Key, epoch: u32) -> io::Result<Self> {
        file.write(&record::head(&key, epoch), 0)?;
        let room = Room { end: 1, reserved: 1, free: std::array::from_fn(|_| Vec::new()) };
        Ok(Self { file, key, room, owed: Vec::new(), generation: 1 })
    }

    /// Writes what a thing's record says from now on.
    pub(super) fn write(&mut self, slot: &mut Slot, payload: &[u8]) -> io::Result<()> {
        if payload.len() > MAX_PAYLOAD {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too long to be kept"));
        }
        let run = self.take(record::cells(payload.len()).next_power_of_two().ilog2())?;
        let text = record::write(&self.key, run.cell, self.generation, payload);
        self.generation += 1;
        if let Err(error) = self.file.write(&text, offset(run.cell)) {
            self.free(run);
            return Err(error);
        }
        if let Some(old) = slot.0.replace(run) {
            self.free(old);
        }
        Ok(())
    }

    /// Has a thing's record say nothing.
    pub(super) fn erase(&mut self, slot: &mut Slot) {
        if let Some(run) = slot.0.take() {
            self.free(run);
        }
    }

    fn take(&mut self, class: u32) -> io::Result<Run> {
        let room = &mut self.room;
        if let Some(cell) = room.free[class as usize].pop() {
            return Ok(Run { cell, class });
        }
        let cell = room.end;
        let end = cell.checked_add(1 << class).ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        if end > room.reserved {
            let reserved = end.next_multiple_of(STEP);
            self.file.reserve(u64::from(reserved) * CELL as u64)?;
            room.reserved = reserved;
        }
        room.end = end;
        Ok(Run { cell, class })
    }

    /// A record whose mark is gone is none; its room is found again only afterwards.
    fn free(&mut self, run: Run) {
        if self.clear(run).is_err() {
            self.owed.push(run);
        }
    }

    fn clear(&mut self, run: Run) -> io::Result<()> {
        self.file.write(&[0; 4], offset(run.cell))?;
        self.room.free[run.class as usize].push(run.cell);
        Ok(())
    }

    /// Frees what could not be freed before.
    pub(super) fn tidy(&mut self) -> io::Result<()> {
        while let Some(run) = self.owed.last().copied() {
            self.clear(run)?;
            self.owed.pop();
        }
        Ok(())
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
    use crate::state::storage;

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
        let mut records = Records::begin(storage::open(&path).unwrap(), key(), 5).unwrap();
        let [mut one, mut two, mut three] = std::array::from_fn(|_| Slot::default());
        records.write(&mut one, b"one").unwrap();
        records.write(&mut two, "two ".repeat(500).as_bytes()).unwrap();
        records.write(&mut three, b"three").unwrap();
        records.write(&mut one, b"one again").unwrap();
        records.erase(&mut two);
        assert_eq!(said(&path), ["three", "one again"]);
        records.write(&mut two, b"two again").unwrap();
        records.erase(&mut three);
        assert_eq!(said(&path), ["one again", "two again"]);
        assert_eq!(load(&path, &key()).unwrap().epoch, 5);
    }

    #[test]
    fn room_is_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        let mut records = Records::begin(storage::open(&path).unwrap(), key(), 1).unwrap();
        for number in 0..10_000_u32 {
            let mut slot = Slot::default();
            records.write(&mut slot, &vec![b'x'; number as usize % 3000]).unwrap();
            records.write(&mut slot, b"shorter").unwrap();
            records.erase(&mut slot);
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
