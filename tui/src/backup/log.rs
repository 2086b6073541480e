//! The audit log in a backup: the head of its chain, the file that is written and the one before it, as they belong
//! together. Of what is longer than [`MOST`] the newest lines are kept.

use std::thread;

use toolgate_admin_api::Exit;
use toolgate_protocol::audit::{self, Head, Joint};

use super::state::{PAUSE, READINGS, Read, State};
use crate::failure::Failure;

/// What it is made of.
pub(super) const NAMES: [&str; 3] = [HEAD, CURRENT, BEFORE];
const HEAD: &str = audit::HEAD;
const CURRENT: &str = audit::NAME;
const BEFORE: &str = "audit.jsonl.1";
/// Bytes of lines.
const MOST: u64 = 128 << 20;

/// A file of the log, by its name.
type Named = (&'static str, Read);

/// Reads the log; the head comes first, so that what is written meanwhile is a tail and no gap.
pub(super) fn read(state: &State) -> Result<Vec<Named>, Failure> {
    for _ in 0..READINGS {
        if let Some(files) = read_once(state, MOST)? {
            return Ok(files);
        }
        thread::sleep(PAUSE);
    }
    Err(Failure::new(Exit::Failed, "The audit log begins new files faster than it can be read.")
        .remedy("Set `audit.rotate_size` to more, or try again when fewer calls are made."))
}

/// None where a new file was begun meanwhile.
fn read_once(state: &State, most: u64) -> Result<Option<Vec<Named>>, Failure> {
    let inode = state.inode(CURRENT)?;
    let head = state.read_end(HEAD, u64::from(u16::MAX))?;
    let mut current = state.read_end(CURRENT, most)?;
    let left = match &mut current {
        Some(read) => {
            let (length, is_cut) = (read.bytes.len() as u64, read.left_out > 0);
            whole_lines(read);
            if is_cut { 0 } else { most.saturating_sub(length) }
        }
        None => most,
    };
    let mut before = if left > 0 { state.read_end(BEFORE, left)? } else { None };
    if state.inode(CURRENT)? != inode || current.as_ref().map(|read| read.inode) != inode {
        return Ok(None);
    }
    before.iter_mut().for_each(whole_lines);
    let head = head.map(|head| begun_at(head, before.as_ref(), current.as_ref()));
    let files = [(HEAD, head), (BEFORE, before), (CURRENT, current)];
    Ok(Some(files.into_iter().filter_map(|(name, read)| Some((name, read?))).collect()))
}

/// Leaves out half a line at either end.
fn whole_lines(read: &mut Read) {
    let end = read.bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    read.bytes.truncate(end);
    if read.left_out > 0 {
        let first = read.bytes.iter().position(|byte| *byte == b'\n').map_or(0, |first| first + 1);
        read.bytes.drain(..first);
        read.left_out += first as u64;
    }
}

/// The head as it says from where on the lines are kept, and how many bytes of the current file it knows.
fn begun_at(mut read: Read, before: Option<&Read>, current: Option<&Read>) -> Read {
    let Some(mut head) = Head::read(&read.bytes) else { return read };
    let oldest = before.filter(|before| !before.bytes.is_empty()).or(current);
    let first = oldest.and_then(|oldest| Joint::read(oldest.bytes.split(|byte| *byte == b'\n').next()?));
    if let Some(first) = first {
        head.from = head.from.max(first.number);
    }
    head.length = head.length.saturating_sub(current.map_or(0, |current| current.left_out));
    *read.bytes = head.to_line().into_bytes();
    read
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use toolgate_protocol::audit::Link;

    use super::*;

    /// Writes a log of lines with these numbers into a folder: those before the file that is written, and those in it.
    fn log(folder: &Path, before: std::ops::Range<u64>, current: std::ops::Range<u64>) -> Head {
        let mut link = Link { number: before.start - 1, ..Link::default() };
        let mut head = Head { link, from: 1, length: 0 };
        for (name, numbers) in [(BEFORE, before), (CURRENT, current)] {
            let mut text = Vec::new();
            for _ in numbers {
                let start = text.len();
                link.seal(&mut text, |out| out.extend_from_slice(b"\"at\":\"now\""));
                link = link.next([7; 32]);
                assert!(text.len() > start);
                text.push(b'\n');
            }
            head = Head { link, length: text.len() as u64, ..head };
            std::fs::write(folder.join(name), text).expect("writes");
        }
        std::fs::write(folder.join(HEAD), head.to_line()).expect("writes");
        head
    }

    fn kept(folder: &Path, most: u64) -> (Head, Vec<(&'static str, Vec<u64>)>) {
        let state = State::open(folder).expect("a state");
        let files = read_once(&state, most).expect("reads").expect("nobody writes");
        let head = Head::read(&files[0].1.bytes).expect("a head");
        let numbers = |read: &Read| {
            let lines = read.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            lines.map(|line| Joint::read(line).expect("a line").number).collect()
        };
        (head, files[1..].iter().map(|(name, read)| (*name, numbers(read))).collect())
    }

    #[test]
    fn the_head_begins_where_the_lines_do() {
        let folder = tempfile::tempdir().expect("folder");
        let written = log(folder.path(), 40..45, 45..48);
        let (head, files) = kept(folder.path(), MOST);
        assert_eq!(head, Head { from: 40, ..written });
        assert_eq!(files, [(BEFORE, (40..45).collect()), (CURRENT, (45..48).collect())]);
    }

    #[test]
    fn of_a_long_log_the_newest_lines_are_kept() {
        let folder = tempfile::tempdir().expect("folder");
        let written = log(folder.path(), 1..11, 11..21);
        let line = written.length / 10;
        let (head, files) = kept(folder.path(), written.length + line * 5 / 2);
        assert_eq!(files[0].1, [9, 10], "two and a half lines are two");
        assert_eq!((head.from, head.length), (9, written.length));
        let (head, files) = kept(folder.path(), line * 5 / 2);
        assert_eq!(files, [(CURRENT, vec![19, 20])]);
        assert_eq!((head.from, head.length, head.link), (19, line * 2, written.link));
    }
}
