//! A file of the log that gives way to a new one: when it is full, or with each day.
//!
//! Written by one thread ([`super::writer`]). The old ones are numbered, the newest is 1; a line is never cut in two.

use std::fs::{File, OpenOptions, rename};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::config::settings::Rotate;

/// Bytes of a file that gives way when it is full.
const FULL: u64 = 10_485_760;

/// Files of one day each.
const DAYS: u32 = 30;

/// The file that is written.
#[derive(Debug)]
pub(super) struct Rotated {
    path: PathBuf,
    file: File,
    length: u64,
    /// The last byte ended a line.
    is_whole: bool,
    /// Bytes after which it gives way.
    full: Option<u64>,
    /// The day that it is of, where each has its own.
    day: Option<u64>,
    /// Files in all.
    files: u32,
    /// The last try to begin a new one failed.
    is_stuck: bool,
}

impl Rotated {
    /// Opens the file; `files` are kept in all where they give way by their size.
    pub(super) fn open(path: PathBuf, rotate: Rotate, files: u32) -> io::Result<Self> {
        let file = open(&path)?;
        let data = file.metadata()?;
        let (full, day, files) = match rotate {
            Rotate::Size => (Some(FULL), None, files),
            Rotate::Daily => (None, Some(day_of(data.modified()?)), DAYS),
        };
        // What an earlier process left unfinished stays a line of its own.
        Ok(Self { path, file, length: data.len(), is_whole: true, full, day, files, is_stuck: false })
    }

    fn is_over(&self, more: usize, today: u64) -> bool {
        let is_full = self.full.is_some_and(|full| self.length + more as u64 > full);
        let is_old = self.day.is_some_and(|day| day != today);
        self.length > 0 && self.is_whole && (is_full || is_old)
    }

    /// Begins a new file. Where that cannot be, the old one goes on, and the next write tries again.
    fn turn(&mut self) {
        match give_way(&self.path, self.files, open) {
            Ok(file) => (self.file, self.length, self.is_stuck) = (file, 0, false),
            Err(problem) => {
                if !std::mem::replace(&mut self.is_stuck, true) {
                    tracing::warn!(file = %self.path.display(), "the log goes on in a file that should give way: {problem}");
                }
            }
        }
    }

    fn write_on(&mut self, bytes: &[u8], today: u64) -> io::Result<usize> {
        if self.is_over(bytes.len(), today) {
            self.turn();
        }
        if self.length == 0 {
            self.day = self.day.map(|_| today);
        }
        let written = self.file.write(bytes)?;
        self.length += written as u64;
        self.is_whole = bytes[..written].last().is_none_or(|last| *last == b'\n');
        Ok(written)
    }
}

impl Write for Rotated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_on(bytes, day_of(SystemTime::now()))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Begins a new file in the place of one that is full; of `files` in all the oldest goes. The new one is there before
/// anything is moved, and what failed half-way can be tried again without another file being lost.
///
/// # Errors
/// Where files cannot be made or moved; whoever has the old one open may go on with it.
pub fn give_way(path: &Path, files: u32, open: impl Fn(&Path) -> io::Result<File>) -> io::Result<File> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let file = open(fresh.as_ref())?;
    if path.try_exists()? {
        let last = files.saturating_sub(1);
        // Only up to the first gap: what an earlier try has moved stays where it is.
        let gap = (1..last).find(|number| !numbered(path, *number).exists()).unwrap_or(last);
        for number in (1..gap).rev() {
            rename(numbered(path, number), numbered(path, number + 1))?;
        }
        rename(path, numbered(path, 1))?;
    }
    rename(fresh, path)?;
    Ok(file)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// Days since 1970, in UTC.
fn day_of(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 86_400
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn a_full_file_gives_way_between_lines_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all.log");
        let mut file = Rotated::open(path.clone(), Rotate::Size, 3).unwrap();
        file.full = Some(8);
        for line in ["one\n", "two\n", "thr", "ee\n", "four\n", "five\n"] {
            file.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(text(&path), "five\n");
        assert_eq!(text(&numbered(&path, 1)), "four\n");
        assert_eq!(text(&numbered(&path, 2)), "three\n", "no line is cut");
        assert!(!numbered(&path, 3).exists());
    }

    #[test]
    fn where_no_new_file_can_be_made_the_old_one_goes_on_and_none_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all.log");
        let in_the_way = folder.path().join("all.log.new");
        let mut file = Rotated::open(path.clone(), Rotate::Size, 3).unwrap();
        file.full = Some(4);
        file.write_all(b"one\n").unwrap();
        file.write_all(b"two\n").unwrap();
        std::fs::create_dir(&in_the_way).unwrap();
        for line in ["a\n", "b\n", "c\n"] {
            file.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!((text(&path), text(&numbered(&path, 1))), ("two\na\nb\nc\n".to_owned(), "one\n".to_owned()));
        std::fs::remove_dir(&in_the_way).unwrap();
        file.write_all(b"d\n").unwrap();
        assert_eq!((text(&path), text(&numbered(&path, 2))), ("d\n".to_owned(), "one\n".to_owned()));
        std::fs::remove_file(&path).unwrap();
        file.write_all(b"four\n").unwrap();
        assert_eq!((text(&path), text(&numbered(&path, 1))), ("four\n".to_owned(), "two\na\nb\nc\n".to_owned()));
    }

    #[test]
    fn each_day_has_a_file_and_a_restart_goes_on_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("errors.log");
        let today = day_of(SystemTime::now());
        let mut file = Rotated::open(path.clone(), Rotate::Daily, 5).unwrap();
        file.write_on(b"a\n", today).unwrap();
        drop(file);
        let mut file = Rotated::open(path.clone(), Rotate::Daily, 5).unwrap();
        file.write_on(b"b\n", today).unwrap();
        file.write_on(b"c\n", today + 1).unwrap();
        assert_eq!((text(&path), text(&numbered(&path, 1))), ("c\n".to_owned(), "a\nb\n".to_owned()));
        for day in 2..40 {
            file.write_on(b"d\n", today + day).unwrap();
        }
        assert!(numbered(&path, 29).exists() && !numbered(&path, 30).exists());
    }
}
