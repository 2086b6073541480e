//! What outlives the process: legacy sessions, the connections of stdio servers.
//!
//! Each session and each instance has a record that is written before anybody relies on it, and the
//! connections lie in systemd's descriptor store. [`restore`] brings all of it back at the next
//! start. Without a folder nothing is kept; without systemd, sessions are and connections are not.

mod descriptors;
pub mod entry;
mod file;
mod folder;
mod keep;
mod likeness;
mod place;
mod queue;
mod record;
pub mod restore;
mod storage;
mod writer;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use tracing::{debug, error, warn};

pub use self::descriptors::is_ours;
use self::entry::Entry;
use self::folder::Folder;
pub use self::keep::{Keep, MAX_ID};
use self::place::Place;
use self::storage::Open;
use self::writer::Writer;
use crate::config::settings::{Daemon, Stdio};

/// Epochs that an id over HTTP has room for, and ids of one epoch: some servers take no more than 31 bits.
const EPOCHS: u64 = 1 << 11;
const IDS: u64 = 1 << 20;
/// Events of one epoch.
const EVENTS: u64 = 1 << 32;

/// The longest that a start, or an end, waits for the disk.
const BOUND: Duration = Duration::from_secs(5);

/// The state of this process, as the next one will find it.
#[derive(Debug)]
pub struct State {
    /// Its lock is held as long as anybody has the state.
    #[cfg_attr(not(test), expect(dead_code, reason = "it is there to be held"))]
    folder: Arc<Folder>,
    writer: Writer,
    epoch: u32,
    /// Earlier processes that never took over: they have used numbers, and gone on with instances, of which no record
    /// tells.
    missed: u32,
    likeness: hmac::Key,
    /// Whether connections are kept.
    keeps_connections: bool,
}

/// What the last process left.
#[derive(Debug, Default)]
pub struct Left {
    entries: Vec<Entry>,
}

/// The place of one thing's record, and whose state it is part of.
#[derive(Debug)]
pub struct Record {
    state: Arc<State>,
    place: Arc<Place>,
}

impl State {
    /// Opens the state where there is a place for it. A daemon without one serves all the same.
    pub fn open(daemon: &Daemon) -> Option<(Arc<Self>, Left)> {
        let path = &daemon.state_dir;
        if path.as_os_str().is_empty() {
            debug!("no folder for state: sessions end with the process");
            return None;
        }
        match Self::open_in(path, descriptors::is_there()) {
            Ok(opened) => Some(opened),
            Err(problem) => {
                error!(
                    folder = %path.display(),
                    "sessions will end with the process, for their state cannot be kept: {problem}"
                );
                None
            }
        }
    }

    fn open_in(path: &std::path::Path, keeps_connections: bool) -> io::Result<(Arc<Self>, Left)> {
        Self::open_on(path, keeps_connections, Box::new(storage::open))
    }

    /// The same on the disk that `open` makes files on.
    fn open_on(path: &std::path::Path, keeps_connections: bool, open: Open) -> io::Result<(Arc<Self>, Left)> {
        let folder = Arc::new(Folder::take(path)?);
        let loaded = folder.load()?;
        let epoch = folder.count(loaded.epoch);
        let missed = epoch.wrapping_sub(loaded.epoch).saturating_sub(1);
        let likeness = hmac::Key::new(hmac::HMAC_SHA256, &folder.key("likeness"));
        let left = Left::of(&loaded.payloads);
        let writer = Writer::start(&folder, epoch, open)?;
        Ok((Arc::new(Self { folder, writer, epoch, missed, likeness, keeps_connections }), left))
    }

    /// From now on the next process finds what this one writes, instead of what the last one left: as soon
    /// as all of that is written anew. Waits for it, but not for long.
    fn take_over(&self) {
        self.writer.queue.take_over();
        self.flush();
    }

    /// Waits until what was said is written, or cannot be; not for long where the disk does not answer.
    pub fn flush(&self) {
        if !self.writer.queue.flush(BOUND) {
            warn!("the state is not written within {BOUND:?}: the disk is slow, or does not answer");
        }
    }

    /// Has what could not be written tried again; to be called now and then.
    pub fn retry(&self) {
        if !self.writer.queue.is_kept() {
            self.writer.queue.look();
            self.writer.queue.retry();
        }
    }

    /// What an orderly end left of an instance, taken out of its record, and whether a line that was being written to it
    /// may be cut. A process that went on with it since has dealt with what was left, and may itself have left anything.
    fn left_of(&self, entry: &mut entry::Instance) -> (Option<entry::Left>, bool) {
        let left = entry.left.take();
        if self.missed > 0 {
            return (None, true);
        }
        (left, entry.cut)
    }

    /// Whether connections of instances outlive the process.
    pub fn keeps_connections(&self) -> bool {
        self.keeps_connections
    }

    /// The first id for requests over HTTP: what the last process has in flight has other ids, and is over
    /// before they come round again.
    pub fn first_id(&self) -> u64 {
        u64::from(self.epoch) % EPOCHS * IDS + 1
    }

    /// The first event of a stream that goes on from process to process.
    pub fn first_event(&self) -> u64 {
        u64::from(self.epoch) * EVENTS
    }

    /// What keeps changes from being kept.
    pub fn trouble(&self) -> Option<&'static str> {
        (!self.writer.queue.is_kept()).then_some(
            "the state cannot be written: what changed in sessions since then ends with the process; the log says why",
        )
    }
}

impl Left {
    /// Of several records of one thing the newest counts.
    fn of(payloads: &[Vec<u8>]) -> Self {
        let mut entries = std::collections::BTreeMap::new();
        for payload in payloads {
            match Entry::of_payload(payload) {
                Ok(entry) => drop(entries.insert(entry.subject(), entry)),
                Err(problem) => warn!(%problem, "a record of the last process says nothing that this one understands"),
            }
        }
        Self { entries: entries.into_values().collect() }
    }
}

impl Record {
    /// A record that says nothing yet.
    pub fn new(state: &Arc<State>) -> Self {
        Self { state: Arc::clone(state), place: Arc::default() }
    }

    /// Has it say this from now on: it is written as soon as the disk takes it.
    pub fn write(&self, entry: Entry) {
        self.state.writer.queue.write(&self.place, entry);
    }

    /// Whether what it was told to say so far is written. Waits for that, for a second at most: whoever waits
    /// goes on all the same, and the thing is not kept until the disk has taken it.
    pub async fn written(&self) -> bool {
        self.state.writer.queue.written(&self.place).await
    }

    /// Whether the next process looks where this one writes.
    fn is_found(&self) -> bool {
        self.state.writer.queue.is_found()
    }

    /// Says nothing, until something is said again: no later process finds it.
    pub fn withhold(&self) {
        self.state.writer.queue.withhold(&self.place);
    }

    /// The thing is no more.
    pub fn erase(&self) {
        self.state.writer.queue.erase(&self.place);
    }
}

/// The record of what is known of a server's eras.
#[derive(Debug, Default)]
pub struct Verdicts(Option<(Record, entry::Server)>);

impl Verdicts {
    /// Those of a stdio server.
    pub fn of(state: &Arc<State>, name: &str, stdio: &Stdio) -> Self {
        let (name, likeness) = (name.to_owned(), state.likeness(stdio));
        Self(Some((Record::new(state), entry::Server { name, likeness, legacy: None, modern: None })))
    }

    /// Keeps what is known from now on.
    pub fn keep(&self, legacy: Option<bool>, modern: Option<bool>) {
        if let Some((record, server)) = &self.0 {
            record.write(Entry::Server(entry::Server { legacy, modern, ..server.clone() }));
        }
    }
}

#[cfg(test)]
mod tests;
