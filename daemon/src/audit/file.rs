//! The files of the log: lines are appended to `audit.jsonl`, which gives way to a new one when it is full, and the head
//! of their chain is kept in `audit.head`.
//!
//! What is sealed waits in memory until a commit has put it on the disk: a write or a sync that failed is made once more
//! from there, from where the last commit ended, so that no line is written otherwise than it was sealed.

use std::fs::{File, OpenOptions, Permissions, set_permissions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use toolgate_protocol::audit::{HEAD, Hash, Head, Joint, Link, NAME, in_order, numbered};
use tracing::{info, warn};

use super::lines::Forwards;
use crate::config::settings::AuditRules;
use crate::observe::rotated::give_way;

/// Where files also have an age, each is of a day at most.
const DAY: Duration = Duration::from_secs(86_400);

/// How large files become, and how many are kept for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) size: u64,
    pub(super) keep: u32,
    pub(super) keep_for: Option<Duration>,
}

impl Bounds {
    pub(super) fn of(rules: &AuditRules) -> Self {
        Self { size: rules.rotate_size, keep: rules.keep, keep_for: rules.keep_for }
    }
}

/// Files that were taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Removed {
    pub(super) files: u32,
    pub(super) first: u64,
    pub(super) last: u64,
}

/// What a start found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Bytes of a line that a crash had left in part; they were cut off.
    pub(super) cut: u64,
    /// The head was not there, or could not be read, although there were lines.
    pub(super) headless: bool,
    /// The file was shorter than the head says.
    pub(super) shortened: bool,
}

/// The file that is written, and the chain.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    file: File,
    head_file: File,
    /// Of what is on the disk.
    head: Head,
    /// Of what is sealed.
    link: Link,
    /// Lines that are sealed and not known to be on the disk.
    pending: Vec<u8>,
    /// Bytes of them that were written.
    written: usize,
    /// When the file was begun.
    begun: SystemTime,
    /// The last try to begin a new one failed.
    is_stuck: bool,
    /// A new file was begun, and the disk may not know it yet.
    has_turned: bool,
}

/// The hash of a line.
pub(super) fn hash(line: &[u8]) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(digest(&SHA256, line).as_ref());
    hash
}

impl Files {
    /// Goes on with the log in a folder.
    pub(super) fn open(folder: &Path) -> io::Result<(Self, Found)> {
        let path = folder.join(NAME);
        let (file, head_file) = (begin(&path)?, begin(&folder.join(HEAD))?);
        let mut found = Found::default();
        let mut text = vec![0; Head::BYTES];
        let read = head_file.read_at(&mut text, 0)?;
        let known = Head::read(&text[..read]);
        let length = file.metadata()?.len();
        let head = match known {
            Some(head) => head,
            None => headless(folder, &path, &mut found)?,
        };
        let mut files = Self {
            folder: folder.to_owned(),
            begun: begun(&path)?,
            file,
            head_file,
            head,
            link: head.link,
            pending: Vec::new(),
            written: 0,
            is_stuck: false,
            has_turned: false,
        };
        if known.is_some() {
            files.take_up(&path, length, &mut found)?;
        }
        files.write_head()?;
        Ok((files, found))
    }

    /// Takes up what was written behind the head and ends in whole lines of the chain; the rest is cut off.
    fn take_up(&mut self, path: &Path, length: u64, found: &mut Found) -> io::Result<()> {
        self.follow_turn(path, found)?;
        // A file that has just begun, of which the head does not know yet; or somebody cut it off.
        if length < self.head.length {
            found.shortened = length > 0;
            self.head.length = length;
            return if length > 0 { self.end_the_last_line() } else { Ok(()) };
        }
        (self.link, self.head.length) = follow(path, self.head.length, self.link)?;
        self.head.link = self.link;
        found.cut = length - self.head.length;
        self.file.set_len(self.head.length)?;
        self.file.sync_data()
    }

    /// A head from before the file was begun, as a loss of power can leave it, goes on through the files before.
    fn follow_turn(&mut self, path: &Path, found: &mut Found) -> io::Result<()> {
        let first = joint_of(path)?;
        if self.head.length == 0 || first.is_some_and(|first| first.number <= self.link.number) {
            return Ok(());
        }
        let older: Vec<_> = self.older().collect();
        let known = |path: &PathBuf| first_of(path).ok().flatten().is_some_and(|first| first <= self.head.link.number);
        let newer = older.iter().position(known).map_or(0, |at| at + 1);
        let mut at = self.head.length;
        for path in older[..newer].iter().rev() {
            self.link = follow(path, at, self.link)?.0;
            at = 0;
        }
        let Some(first) = first else { return Ok(()) };
        if continues(&first, &self.link) {
            self.head.length = 0;
        } else {
            // Nothing that stands there is cut off because the head does not know it.
            self.head = Head { from: self.head.from, ..headless(&self.folder, path, found)? };
            self.link = self.head.link;
        }
        Ok(())
    }

    /// What somebody else has left of a line stays, as a line of its own.
    fn end_the_last_line(&mut self) -> io::Result<()> {
        let mut last = [0];
        self.file.read_exact_at(&mut last, self.head.length - 1)?;
        if last != *b"\n" {
            self.file.write_all_at(b"\n", self.head.length)?;
            self.head.length += 1;
        }
        Ok(())
    }

    /// Whether something is sealed that is not on the disk.
    pub(super) fn is_behind(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Seals the next line; what it says is members of an object.
    pub(super) fn seal(&mut self, members: &[u8]) -> u64 {
        let start = self.pending.len();
        self.link.seal(&mut self.pending, |out| out.extend_from_slice(members));
        self.link = self.link.next(hash(&self.pending[start..]));
        self.pending.push(b'\n');
        self.link.number
    }

    /// Writes what is sealed, where a crash of the process cannot lose it.
    pub(super) fn write(&mut self) -> io::Result<()> {
        self.settle_turn()?;
        let at = self.head.length + self.written as u64;
        let written = self.put(at);
        // What failed half-way is written once more, from where the last commit ended.
        self.written = if written.is_ok() { self.pending.len() } else { 0 };
        written
    }

    fn put(&mut self, at: u64) -> io::Result<()> {
        if self.written == 0 {
            self.file.set_len(at)?;
        }
        self.file.write_all_at(&self.pending[self.written..], at)
    }

    /// Has what is sealed on the disk, where no loss of power can lose it.
    pub(super) fn commit(&mut self) -> io::Result<()> {
        if !self.is_behind() {
            return Ok(());
        }
        self.keep_up()?;
        self.write()?;
        // After a sync that failed nobody knows what is on the disk: all of it is written once more.
        self.file.sync_data().inspect_err(|_| self.written = 0)?;
        self.head = Head { link: self.link, length: self.head.length + self.pending.len() as u64, ..self.head };
        self.pending.clear();
        self.written = 0;
        self.write_head()
    }

    /// Where somebody took the file away or put another there, that one is written from now on: what is missing is found
    /// by its numbers.
    fn keep_up(&mut self) -> io::Result<()> {
        let path = self.folder.join(NAME);
        let there = path.metadata().map(|data| data.ino()).ok();
        if there == Some(self.file.metadata()?.ino()) {
            return Ok(());
        }
        warn!(file = NAME, "the file of the audit log is not the one that was written: a new one begins");
        self.file = begin(&path)?;
        (self.head.length, self.written) = (self.file.metadata()?.len(), 0);
        if self.head.length > 0 { self.end_the_last_line() } else { Ok(()) }
    }

    /// One over another: what a crash leaves is one of the two. It may lag behind the lines, never lead them.
    fn write_head(&mut self) -> io::Result<()> {
        self.head_file.write_all_at(self.head.to_line().as_bytes(), 0)
    }

    /// Begins a new file where it is time for one, and takes old ones away. To be called when nothing is pending.
    pub(super) fn turn(&mut self, bounds: Bounds, now: SystemTime) -> io::Result<Option<Removed>> {
        let age = now.duration_since(self.begun).unwrap_or_default();
        let is_old = bounds.keep_for.is_some() && age >= DAY;
        if self.head.length > 0 && !self.is_behind() && (self.head.length >= bounds.size || is_old) {
            self.begin_anew(now);
        }
        self.sweep(bounds, now)
    }

    /// Begins a new file. Where that cannot be, the old one goes on, and the next line tries again.
    fn begin_anew(&mut self, now: SystemTime) {
        // The head on the disk knows the whole of the file that gives way, whatever is lost from here on.
        let known = self.head_file.sync_data();
        match known.and_then(|()| give_way(&self.folder.join(NAME), u32::MAX, begin)) {
            Ok(file) => {
                (self.file, self.begun, self.is_stuck, self.has_turned) = (file, now, false, true);
                self.head.length = 0;
                let Link { number, .. } = self.head.link;
                // Whoever keeps the log's lines elsewhere can hold the chain against them.
                info!(number, head = self.head.to_line().trim_end(), "the audit log begins a new file");
                if let Err(problem) = self.settle_turn() {
                    warn!("the audit log's folder cannot be synced: {problem}");
                }
            }
            Err(problem) => {
                if !std::mem::replace(&mut self.is_stuck, true) {
                    warn!(file = NAME, "the audit log goes on in a file that should give way: {problem}");
                }
            }
        }
    }

    /// No line goes into a new file before the disk has its name and, after that, a head of it: a head of the one before
    /// would take its lines for what follows there, and a head of the new one would cut the one before.
    fn settle_turn(&mut self) -> io::Result<()> {
        if self.has_turned {
            File::open(&self.folder)?.sync_all()?;
            self.write_head()?;
            self.head_file.sync_data()?;
            self.has_turned = false;
        }
        Ok(())
    }

    /// Files that gave way, the youngest first.
    fn older(&self) -> impl Iterator<Item = PathBuf> {
        let folder = self.folder.clone();
        (1..).map(move |age| folder.join(numbered(age))).take_while(|path| path.exists())
    }

    /// Takes old files away, the oldest first; before, the head says from when on the log is kept.
    fn sweep(&mut self, bounds: Bounds, now: SystemTime) -> io::Result<Option<Removed>> {
        let ages = (1..).zip(self.older());
        let old = |path: &Path| {
            let written = path.metadata().and_then(|data| data.modified());
            let age = written.map(|written| now.duration_since(written).unwrap_or_default());
            bounds.keep_for.zip(age.ok()).is_some_and(|(most, age)| age > most)
        };
        let files: Vec<_> = ages.collect();
        let Some(at) = files.iter().position(|(age, path)| *age >= bounds.keep || old(path)) else { return Ok(None) };
        let (kept, gone) = files.split_at(at);
        let first = |path: &Path| first_of(path).unwrap_or(None);
        let begun = gone.last().and_then(|(_, path)| first(path)).unwrap_or(self.head.from);
        let oldest = kept.last().map_or_else(|| self.folder.join(NAME), |(_, path)| path.clone());
        let from = first(&oldest).unwrap_or(self.head.link.number + 1);
        self.head.from = from;
        self.write_head()?;
        self.head_file.sync_data()?;
        for (_, path) in gone.iter().rev() {
            std::fs::remove_file(path)?;
        }
        let files = u32::try_from(gone.len()).unwrap_or(u32::MAX);
        Ok(Some(Removed { files, first: begun, last: from.saturating_sub(1) }))
    }
}

/// The chain of a log whose head is not there: what its lines say.
fn headless(folder: &Path, path: &Path, found: &mut Found) -> io::Result<Head> {
    let names: Vec<String> =
        std::fs::read_dir(folder)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let oldest = in_order(names.iter().map(String::as_str)).first().map(|name| folder.join(name));
    let from = oldest.and_then(|path| first_of(&path).ok().flatten()).unwrap_or_default();
    let (mut link, mut length) = (Link::default(), 0);
    for part in [folder.join(numbered(1)), path.to_owned()] {
        if !part.exists() {
            continue;
        }
        length = 0;
        let mut lines = Forwards::open(&part, 0)?;
        for read in &mut lines {
            let text = read?;
            let joint = Joint::read(&text);
            found.headless |= joint.is_some_and(|joint| joint.prev.is_some());
            link = Link { number: joint.map_or(link.number, |joint| joint.number), hash: hash(&text) };
            length += text.len() as u64 + 1;
        }
        if lines.rest() > 0 {
            // Versions before the chain kept what a crash had left, as a line of its own.
            let file = begin(&part)?;
            let mut torn = vec![0; usize::try_from(lines.rest()).unwrap_or_default()];
            file.read_exact_at(&mut torn, length)?;
            file.write_all_at(b"\n", length + lines.rest())?;
            link.hash = hash(&torn);
            length += lines.rest() + 1;
        }
    }
    Ok(Head { link, from, length })
}

/// The number of a file's first line.
fn first_of(path: &Path) -> io::Result<Option<u64>> {
    Ok(joint_of(path)?.map(|joint| joint.number))
}

/// What ties a file's first line to what is before.
fn joint_of(path: &Path) -> io::Result<Option<Joint>> {
    let Some(line) = Forwards::open(path, 0)?.next() else { return Ok(None) };
    Ok(Joint::read(&line?))
}

fn continues(joint: &Joint, link: &Link) -> bool {
    joint.number == link.number + 1 && joint.prev == Some(link.hash)
}

/// How far whole lines of the chain go on from a place in a file, and where they end.
fn follow(path: &Path, mut at: u64, mut link: Link) -> io::Result<(Link, u64)> {
    for read in Forwards::open(path, at)? {
        let text = read?;
        if !Joint::read(&text).is_some_and(|joint| continues(&joint, &link)) {
            break;
        }
        link = link.next(hash(&text));
        at += text.len() as u64 + 1;
    }
    Ok((link, at))
}

fn begun(path: &Path) -> io::Result<SystemTime> {
    let data = path.metadata()?;
    data.created().or_else(|_| data.modified())
}

fn begin(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    // Whatever the umask of an earlier process was.
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        set_permissions(path, Permissions::from_mode(0o600))?;
    }
    Ok(file)
}
