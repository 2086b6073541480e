//! Lines of a file, from a place on or from its end back, without holding the file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes that are read at once.
const PIECE: u64 = 256 << 10;
/// Bytes of a line; what is longer is none of the log's, and is given in parts.
const LONGEST: u64 = 4 << 20;

/// Whole lines, without their ends, in their order.
pub(super) struct Forwards {
    reader: BufReader<File>,
    rest: u64,
}

impl Forwards {
    pub(super) fn open(path: &Path, from: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(from))?;
        Ok(Self { reader: BufReader::new(file), rest: 0 })
    }

    /// Bytes behind the last whole line, once there are no more.
    pub(super) fn rest(&self) -> u64 {
        self.rest
    }
}

impl Iterator for Forwards {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        match self.reader.by_ref().take(LONGEST).read_until(b'\n', &mut line) {
            Err(problem) => Some(Err(problem)),
            Ok(_) if line.last() == Some(&b'\n') => {
                line.pop();
                Some(Ok(line))
            }
            Ok(_) => {
                self.rest += line.len() as u64;
                None
            }
        }
    }
}

/// Lines from the last to the first; what follows the last end of a line is none.
pub(super) struct Backwards {
    file: File,
    /// Bytes before this place are not read yet.
    at: u64,
    /// What was read and not given.
    held: Vec<u8>,
    /// The end of a line was seen whose beginning was not.
    is_open: bool,
}

impl Backwards {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        Ok(Self { at: file.metadata()?.len(), file, held: Vec::new(), is_open: false })
    }

    /// Reads the piece before; false where there is none.
    fn read(&mut self) -> io::Result<bool> {
        let length = PIECE.min(self.at);
        if length == 0 || self.held.len() as u64 > LONGEST {
            return Ok(false);
        }
        let mut piece = vec![0; usize::try_from(length).unwrap_or_default()];
        self.file.read_exact_at(&mut piece, self.at - length)?;
        self.at -= length;
        piece.append(&mut self.held);
        self.held = piece;
        Ok(true)
    }

    fn before(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = memchr::memrchr(b'\n', &self.held) {
                let line = self.held.split_off(end + 1);
                self.held.pop();
                // Behind the last end there is nothing that is whole.
                if std::mem::replace(&mut self.is_open, true) {
                    return Ok(Some(line));
                }
                continue;
            }
            if !self.read()? {
                break;
            }
        }
        let line = std::mem::take(&mut self.held);
        Ok(std::mem::take(&mut self.is_open).then_some(line))
    }
}

impl Iterator for Backwards {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.before().transpose()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn both_ways_give_the_same_whole_lines(lines in prop::collection::vec(".{0,30}", 0..40), torn in ".{0,9}", long in 0_usize..3) {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("lines");
            let mut lines: Vec<String> = lines.iter().map(|line| line.replace('\n', " ")).collect();
            if let Some(line) = lines.get_mut(long) {
                *line = "x".repeat(700_000);
            }
            let text = lines.iter().fold(String::new(), |text, line| text + line + "\n") + &torn.replace('\n', "");
            std::fs::write(&path, text).expect("written");
            let mut forwards = Forwards::open(&path, 0).expect("opened");
            let there: Vec<_> = (&mut forwards).map(|line| String::from_utf8(line.expect("read")).expect("text")).collect();
            let back = Backwards::open(&path).expect("opened");
            let mut back: Vec<_> = back.map(|line| String::from_utf8(line.expect("read")).expect("text")).collect();
            back.reverse();
            prop_assert!(there == lines && back == lines);
            prop_assert_eq!(forwards.rest(), torn.replace('\n', "").len() as u64);
        }
    }
}
