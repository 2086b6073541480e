//! An instance that outlives the process: its record, and its connection in the descriptor store.
//!
//! The instance's link holds it and tells it what changes; all of that is rare, so that a plain call
//! costs nothing here. Must hold: it is written before the instance or a client learns of it.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tracing::{debug, warn};

use super::entry::{self, Entry, Introduction, Left, Role};
use super::{Record, State, descriptors};
use crate::clock;
use crate::lock::lock;

/// Requests of an instance that are remembered while they wait for an answer; beyond it the oldest is forgotten.
const ASKED: usize = 256;

/// Bytes that the id of a server's own request may have: each is part of a record.
pub const MAX_ID: usize = 256;

/// Bytes of an introduction that are kept: each write of the record writes them anew.
const INTRODUCTION: usize = 64 << 10;

/// Ids are taken in blocks of this many, so that a call need not write any down. Small enough that they
/// stay below 31 bits, the most that some servers take, for many thousand restarts.
const BLOCK: u64 = 1 << 14;

/// Blocks that are taken at once: more than anybody uses up while the record is written.
const AHEAD: u64 = 4;

/// Ids that are passed over for each earlier process that could not write down which it took.
const SKIPPED: u64 = 1 << 20;

/// Such an instance.
#[derive(Debug)]
pub struct Keep {
    record: Record,
    first_id: u64,
    says: Mutex<Says>,
}

/// Where a later process begins when this id was taken.
fn after(id: u64) -> u64 {
    (id / BLOCK + AHEAD) * BLOCK
}

#[derive(Debug)]
struct Says {
    entry: entry::Instance,
    /// Gathered while the process ends, for [`Keep::settle`].
    left: Left,
    /// Where a later process begins, as far as that is written.
    written_ids: u64,
    /// Messages that follow what is left to be written.
    unsent: Vec<Bytes>,
    ended: bool,
}

impl Keep {
    /// An instance that has just started: its record is written and its connection handed over, which
    /// takes a moment on another thread.
    pub async fn begin(
        state: &Arc<State>,
        (server, likeness): (&str, &str),
        pid: u32,
        role: Role,
        connection: OwnedFd,
    ) -> std::io::Result<Arc<Self>> {
        let mut number = [0; 8];
        aws_lc_rs::rand::fill(&mut number).expect("the system has a random source");
        let entry = entry::Instance {
            number: u64::from_ne_bytes(number),
            server: server.to_owned(),
            likeness: likeness.to_owned(),
            pid,
            role,
            started: clock::unix_millis(),
            leaving: false,
            ids: 1,
            introduction: None,
            asked: Vec::new(),
            cut: false,
            left: None,
        };
        let keep = Self::with(state, entry);
        let name = keep.name();
        let stored = tokio::task::spawn_blocking(move || {
            let connection = connection;
            descriptors::store(&name, std::os::fd::AsFd::as_fd(&connection))
        });
        let (stored, _) = tokio::join!(stored, keep.written());
        if let Err(problem) = stored.unwrap_or_else(|panic| Err(std::io::Error::other(panic))) {
            keep.end();
            return Err(problem);
        }
        Ok(keep)
    }

    /// An instance with this record, which is written.
    pub(super) fn with(state: &Arc<State>, mut entry: entry::Instance) -> Arc<Self> {
        let record = Record::new(state);
        let first_id = entry.ids + SKIPPED * u64::from(state.missed);
        let written_ids = after(first_id);
        entry.ids = written_ids;
        record.write(Entry::Instance(entry.clone()));
        Arc::new(Self {
            record,
            first_id,
            says: Mutex::new(Says { entry, left: Left::default(), written_ids, unsent: Vec::new(), ended: false }),
        })
    }

    /// Waits until all that was told is written, but not for long.
    pub async fn written(&self) -> bool {
        self.record.written().await
    }

    /// The same for whom it serves: a later process that finds an older word would have one client served by
    /// another's instance.
    pub async fn serves_for_sure(&self) {
        if !(self.written().await && self.record.is_found()) {
            self.give_up().await;
        }
    }

    /// What a later process must not find out of date is not written: the connection is taken back, and the
    /// instance ends with this process.
    async fn give_up(&self) {
        let Some(name) = self.over() else { return };
        warn!(name, "an instance will end with the gate: what became of it cannot be written");
        drop(tokio::task::spawn_blocking(move || descriptors::remove(&name)).await);
    }

    /// What tells the instance from all others.
    pub fn number(&self) -> u64 {
        self.lock().entry.number
    }

    /// The first id for requests to it.
    pub fn first_id(&self) -> u64 {
        self.first_id
    }

    /// An id is about to be used. The first of a block has a later process begin some blocks behind it, where
    /// there are enough for those who go on meanwhile.
    pub async fn uses(&self, id: u64) {
        if !id.is_multiple_of(BLOCK) || after(id) <= self.lock().entry.ids {
            return;
        }
        self.change(|entry| entry.ids = after(id));
        if self.written().await {
            self.lock().written_ids = after(id);
            return;
        }
        // A process that finds an older file passes ids over.
        let runs_out = self.lock().written_ids < id + 2 * BLOCK;
        if runs_out && self.record.is_found() {
            self.give_up().await;
        }
    }

    /// Whom it is there for from now on.
    pub fn serves(&self, role: Role) {
        self.change(|entry| (entry.role, entry.started) = (role, clock::unix_millis()));
    }

    /// For how long it has run, in milliseconds.
    pub fn age(&self) -> u64 {
        clock::unix_millis().saturating_sub(self.lock().entry.started)
    }

    /// Nothing new begins with it: no later process goes on with it.
    pub fn leaves(&self) {
        self.change(|entry| entry.leaving = true);
    }

    /// What was negotiated on it. Of an instance whose introduction is too long no later process knows it,
    /// and the instance ends with this one.
    pub fn introduced(&self, introduction: Introduction) {
        let introduction = Some(introduction).filter(|introduction| {
            let fits = introduction.bytes() <= INTRODUCTION;
            if !fits {
                let pid = self.lock().entry.pid;
                debug!(
                    pid,
                    "a shared instance will end with the gate: its answer to initialize is too long to be kept"
                );
            }
            fits
        });
        self.change(|entry| entry.introduction = introduction);
    }

    /// The instance asks something and waits.
    pub fn asks(&self, id: &[u8]) {
        self.change(|entry| {
            if entry.asked.len() >= ASKED {
                entry.asked.remove(0);
            }
            entry.asked.push(id.into());
        });
    }

    /// Whether it waits for an answer.
    pub fn waits(&self) -> bool {
        !self.lock().entry.asked.is_empty()
    }

    /// It waits no more for what it asked under this id.
    pub fn answered(&self, id: &[u8]) {
        if self.lock().entry.asked.iter().any(|asked| asked.0 == id) {
            self.change(|entry| entry.asked.retain(|asked| asked.0 != id));
        }
    }

    /// What it waits for an answer to.
    pub fn asked(&self) -> Vec<Bytes> {
        self.lock().entry.asked.iter().map(|asked| asked.0.clone()).collect()
    }

    /// Whether a line that is about to be written may be cut by the process's end.
    pub fn may_be_cut(&self, cut: bool) {
        self.change(|entry| entry.cut = cut);
    }

    /// Bytes that were read and belong to a line that is not whole; told when the reader is dropped.
    pub fn leave_unread(&self, bytes: &[u8], skipping: bool) {
        let left = &mut self.lock().left;
        (left.unread, left.skipping) = (bytes.into(), skipping);
    }

    /// Bytes that were not written; told when the writer is dropped.
    pub fn leave_unwritten(&self, bytes: &[u8]) {
        self.lock().left.unwritten = bytes.into();
    }

    /// Messages that the writer has not taken; told when what hands them to it is dropped.
    pub fn leave_unsent(&self, messages: &[Bytes]) {
        self.lock().unsent = messages.to_vec();
    }

    /// The process ends in good order, and nobody reads or writes any more.
    pub fn settle(&self) {
        let (mut left, unsent) = {
            let mut says = self.lock();
            (std::mem::take(&mut says.left), std::mem::take(&mut says.unsent))
        };
        if !unsent.is_empty() {
            let behind = unsent.iter().flat_map(|message| [&message[..], b"\n"]);
            let all: Vec<&[u8]> = std::iter::once(&left.unwritten.0[..]).chain(behind).collect();
            left.unwritten = all.concat()[..].into();
        }
        self.change(|entry| (entry.cut, entry.left) = (false, Some(left)));
    }

    /// The instance ends, or has ended.
    pub fn end(&self) {
        let Some(name) = self.over() else { return };
        // systemd may be slow to take what it is told, and a core must not wait.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || descriptors::remove(&name))),
            Err(_) => descriptors::remove(&name),
        }
    }

    /// No later process goes on with it; gives back the name of its connection, once.
    fn over(&self) -> Option<String> {
        if std::mem::replace(&mut self.lock().ended, true) {
            return None;
        }
        self.record.erase();
        Some(self.name())
    }

    /// Whether no later process goes on with it.
    #[cfg(test)]
    pub(super) fn is_over(&self) -> bool {
        self.lock().ended
    }

    fn name(&self) -> String {
        let says = self.lock();
        descriptors::name(&says.entry.server, says.entry.number)
    }

    fn change(&self, change: impl FnOnce(&mut entry::Instance)) {
        let mut says = self.lock();
        change(&mut says.entry);
        // Under the lock, so that an older word never comes last.
        self.record.write(Entry::Instance(says.entry.clone()));
    }

    fn lock(&self) -> MutexGuard<'_, Says> {
        lock(&self.says)
    }
}

#[cfg(test)]
mod tests;
