//! Whether lines are those that were written: all of them, in their order, unchanged.
//! Called with the bytes of the files, oldest first, in pieces of any size.
//! Must hold: the first finding names the first line at which the log is not what it was. What is beyond the head may be
//! torn: a crash does that, and the writer cuts it off when it goes on.

use std::io::{self, Read};

use super::{Hash, Head, Joint, Link};

/// SHA-256, from whichever library the caller has.
pub type Hasher = fn(&[u8]) -> Hash;

/// Findings that are told one by one.
const TOLD: usize = 100;
/// Bytes that are read at once.
const PIECE: usize = 256 << 10;
/// Bytes of a line; no writer makes longer ones.
const LONGEST: usize = 4 << 20;

/// What is wrong at a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It is not what was written, or the line before it is not.
    Changed,
    /// It is not there, nor are those up to this one.
    Missing(u64),
    /// It stands where another belongs: it was moved, or put in.
    OutOfPlace,
    /// Something stands in its place that is no line of the log.
    Unreadable,
}

impl Damage {
    /// As the admin sockets say it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Missing(_) => "missing",
            Self::OutOfPlace => "out-of-place",
            Self::Unreadable => "unreadable",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which file, counted from 0.
    pub file: usize,
    /// The line's number.
    pub number: u64,
    /// What is wrong with it.
    pub damage: Damage,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Number of the first line.
    pub first: u64,
    /// The last line that is linked to those before.
    pub last: Link,
    /// Lines that were read.
    pub lines: u64,
    /// Of those, how many are older than the chain.
    pub unchained: u64,
    /// What is wrong, in the order of the files; a hundred at most.
    pub findings: Vec<Finding>,
    /// What else is wrong.
    pub more: u64,
    /// Bytes behind the last line that a crash has left and no sync had promised.
    pub unsynced: Option<u64>,
}

impl Verdict {
    /// Whether everything is as it was written.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Reads the log from its first byte to its last.
#[derive(Debug)]
pub struct Verifier {
    hash: Hasher,
    head: Option<Head>,
    verdict: Verdict,
    /// A line of which the end has not come yet.
    carry: Vec<u8>,
    /// It was longer than any line is.
    overlong: bool,
    /// The current file, counted from 0; `None` before the first.
    file: Option<usize>,
    /// The line before.
    last: Option<Link>,
    /// A line with a link was there.
    chained: bool,
    /// A line that is not linked to the one before: which of the two was changed, the next one tells.
    suspect: Option<Finding>,
    /// Where bytes began that are no line, behind all that was promised.
    tail: Option<(Finding, u64)>,
}

impl Verifier {
    /// Begins; without a head it is not seen whether something is missing at the end.
    #[must_use]
    pub fn new(hash: Hasher, head: Option<Head>) -> Self {
        Self {
            hash,
            head,
            verdict: Verdict::default(),
            carry: Vec::new(),
            overlong: false,
            file: None,
            last: None,
            chained: false,
            suspect: None,
            tail: None,
        }
    }

    /// The next file begins.
    pub fn file(&mut self) {
        self.end_of_file();
        // Only the last file has a tail.
        if let Some((finding, _)) = self.tail.take() {
            self.found(finding);
        }
        self.file = Some(self.file.map_or(0, |file| file + 1));
    }

    /// Reads the next file to its end.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn read(&mut self, mut file: impl Read) -> io::Result<()> {
        self.file();
        let mut piece = vec![0; PIECE];
        loop {
            match file.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(read) => self.feed(&piece[..read]),
                Err(problem) if problem.kind() == io::ErrorKind::Interrupted => {}
                Err(problem) => return Err(problem),
            }
        }
    }

    /// Takes the file's next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(at) = memchr::memchr(b'\n', rest) {
            if self.carry.is_empty() && !self.overlong {
                self.line(&rest[..at], true);
            } else {
                self.keep(&rest[..at]);
                let (line, overlong) = (std::mem::take(&mut self.carry), std::mem::take(&mut self.overlong));
                self.line(&line, !overlong);
            }
            rest = &rest[at + 1..];
        }
        self.keep(rest);
    }

    /// Everything was read.
    #[must_use]
    pub fn finish(mut self) -> Verdict {
        self.end_of_file();
        self.resolve(None);
        if let Some(head) = self.head {
            let last = self.last.map_or(head.from.saturating_sub(1), |last| last.number);
            if last < head.link.number {
                self.find(last + 1, Damage::Missing(head.link.number));
            }
        }
        self.verdict.unsynced = self.tail.take().map(|(_, bytes)| bytes);
        self.verdict.last = self.last.unwrap_or_default();
        self.verdict
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.carry.len() + bytes.len() > LONGEST {
            self.overlong = true;
            self.carry.clear();
        }
        if !self.overlong {
            self.carry.extend_from_slice(bytes);
        }
    }

    fn end_of_file(&mut self) {
        let line = std::mem::take(&mut self.carry);
        if std::mem::take(&mut self.overlong) || !line.is_empty() {
            self.line(&line, false);
        }
    }

    /// Takes a line; `sound` where it has an end and a length that lines have.
    fn line(&mut self, line: &[u8], sound: bool) {
        self.verdict.lines += 1;
        let joint = if sound { Joint::read(line) } else { None };
        let hash = self.hash;
        let sealed = |number| Link { number, hash: hash(line) };
        match joint {
            Some(Joint { number, prev: Some(prev) }) => {
                let this = sealed(number);
                if self.is_tail(&this, &prev) {
                    self.torn(line);
                } else {
                    self.chained(this, prev);
                }
            }
            _ if self.is_beyond() || self.tail.is_some() || (!sound && self.head.is_none()) => self.torn(line),
            Some(Joint { number, prev: None }) if !self.chained => {
                self.verdict.unchained += 1;
                self.begins(number);
                self.last = Some(sealed(number));
            }
            // Before the chain a crash left parts of lines, each as a line of its own.
            None if !self.chained && sound => {
                self.verdict.unchained += 1;
                self.last = Some(sealed(self.last.map_or(0, |last| last.number)));
            }
            Some(old) => self.find(old.number, Damage::OutOfPlace),
            None => self.find(self.last.map_or(1, |last| last.number + 1), Damage::Unreadable),
        }
    }

    /// Everything that the head promises was there.
    fn is_beyond(&self) -> bool {
        self.chained && self.head.is_some_and(|head| self.last.is_some_and(|last| last.number >= head.link.number))
    }

    /// Whether a line that can be read belongs to what a crash left behind all that was promised.
    fn is_tail(&self, link: &Link, prev: &Hash) -> bool {
        let follows = self.last.is_some_and(|last| last.number + 1 == link.number && last.hash == *prev);
        self.is_beyond() && !follows && self.last.is_some_and(|last| link.number > last.number)
    }

    fn torn(&mut self, line: &[u8]) {
        let finding = self.finding(self.last.map_or(1, |last| last.number + 1), Damage::Unreadable);
        let (_, bytes) = self.tail.get_or_insert((finding, 0));
        *bytes += line.len() as u64;
    }

    fn chained(&mut self, link: Link, prev: Hash) {
        // A line that follows proves that what stands before it was no tail.
        if let Some((finding, _)) = self.tail.take() {
            self.found(finding);
        }
        self.resolve(Some((link.number, prev)));
        let expected = match self.last {
            Some(last) if self.chained || self.verdict.unchained > 0 => Some(last),
            _ if link.number == 1 => Some(Link::default()),
            _ => None,
        };
        self.begins(link.number);
        self.chained = true;
        match expected {
            // It is the next one, under another number.
            Some(last) if last.hash == prev && link.number != last.number + 1 => {
                self.find(last.number + 1, Damage::Changed);
                self.last = Some(last.next(link.hash));
                return;
            }
            Some(last) if link.number <= last.number => return self.find(link.number, Damage::OutOfPlace),
            Some(last) if link.number > last.number + 1 => {
                self.find(last.number + 1, Damage::Missing(link.number - 1));
            }
            Some(last) if last.hash != prev => self.suspect = Some(self.finding(link.number, Damage::Changed)),
            _ => {}
        }
        self.last = Some(link);
        if self.head.is_some_and(|head| head.link.number == link.number && head.link.hash != link.hash) {
            self.suspect = None;
            self.find(link.number, Damage::Changed);
        }
    }

    /// The first line tells what is missing before it.
    fn begins(&mut self, number: u64) {
        if self.last.is_some() {
            return;
        }
        self.verdict.first = number;
        if let Some(head) = self.head
            && number > head.from.max(1)
        {
            self.find(head.from.max(1), Damage::Missing(number - 1));
        }
    }

    /// A line that was not linked to the one before is as it was written where the next is linked to it: then it is the
    /// one before that was changed.
    fn resolve(&mut self, next: Option<(u64, Hash)>) {
        let Some(suspect) = self.suspect.take() else { return };
        let is_sound = match (next, self.last) {
            (Some((number, prev)), Some(last)) => number == suspect.number + 1 && prev == last.hash,
            // The last line: the head would have told where it is another's.
            _ => true,
        };
        let number = if is_sound { (suspect.number - 1).max(1) } else { suspect.number };
        self.found(Finding { number, ..suspect });
    }

    fn finding(&self, number: u64, damage: Damage) -> Finding {
        Finding { file: self.file.unwrap_or_default(), number, damage }
    }

    fn find(&mut self, number: u64, damage: Damage) {
        self.found(self.finding(number, damage));
    }

    fn found(&mut self, finding: Finding) {
        let findings = &mut self.verdict.findings;
        // One place is told once, however many signs of it there are.
        if findings.last().is_some_and(|last| last.number == finding.number) {
            return;
        }
        if findings.len() < TOLD { findings.push(finding) } else { self.verdict.more += 1 }
    }
}
