//! The files of the record: lines are appended to `audit.jsonl`, which gives way to a new one when it is full.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use toolgate_admin_api::AuditRecord;
use tracing::warn;

use crate::observe::rotated::give_way;

/// Bytes of one file.
const FULL: u64 = 10 * 1024 * 1024;
/// Files in all: `audit.jsonl`, then `audit.jsonl.1`, the newest, to `.9`.
const FILES: u32 = 10;

/// The file that is written.
#[derive(Debug)]
pub(super) struct Lines {
    path: PathBuf,
    file: File,
    /// Where the next line goes: what lies behind was not written whole.
    length: u64,
    full: u64,
    /// The last try to begin a new one failed.
    is_stuck: bool,
}

impl Lines {
    /// Opens the file in a folder.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        Self::open_of(folder, FULL)
    }

    pub(super) fn open_of(folder: &Path, full: u64) -> io::Result<Self> {
        let path = folder.join("audit.jsonl");
        let file = begin(&path)?;
        let mut lines = Self { length: file.metadata()?.len(), path, file, full, is_stuck: false };
        lines.end_the_last_line()?;
        Ok(lines)
    }

    /// A crash may have left a part of a line: it stays, as a line of its own.
    fn end_the_last_line(&mut self) -> io::Result<()> {
        if self.length == 0 {
            return Ok(());
        }
        let mut last = [0];
        self.file.seek(SeekFrom::Start(self.length - 1))?;
        self.file.read_exact(&mut last)?;
        if last == *b"\n" { Ok(()) } else { self.append(b"\n") }
    }

    /// Writes lines behind all others. After an error the file ends where it did before.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.length > 0 && self.length + lines.len() as u64 > self.full {
            self.turn();
        }
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.write_all(lines)?;
        self.file.sync_data()?;
        self.length += lines.len() as u64;
        Ok(())
    }

    /// Begins a new file. Where that cannot be, the old one goes on, and the next line tries again.
    fn turn(&mut self) {
        match give_way(&self.path, FILES, begin) {
            Ok(file) => (self.file, self.length, self.is_stuck) = (file, 0, false),
            Err(problem) => {
                if !std::mem::replace(&mut self.is_stuck, true) {
                    warn!(file = %self.path.display(), "the record of changes goes on in a full file: {problem}");
                }
            }
        }
    }

    /// The newest records of this file and the one before, the oldest of them first. Lines that cannot be read are
    /// passed over.
    pub(super) fn newest(&self, most: usize) -> io::Result<Vec<AuditRecord>> {
        // Bytes, since a crash may have torn a line within a character.
        let mut text = match std::fs::read(numbered(&self.path, 1)) {
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        text.extend(std::fs::read(&self.path)?);
        let lines = text.split(|byte| *byte == b'\n');
        let newest = lines.rev().filter_map(|line| serde_json::from_slice(line).ok()).take(most);
        let mut records: Vec<AuditRecord> = newest.collect();
        records.reverse();
        Ok(records)
    }
}

fn begin(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    path.with_extension(format!("jsonl.{number}"))
}
