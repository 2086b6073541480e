//! An instance that outlives the process: its record, and its connection in the descriptor store.
//!
//! The instance's link holds it and tells it what changes; all of that is rare, so that a plain call
//! costs nothing here. Must hold: it is written before the instance or a client learns of it.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::entry::{self, Entry, Introduction, Left, Role};
use super::{Record, State, descriptors};

/// Requests of an instance that are remembered while they wait for an answer; beyond it the oldest is forgotten.
const ASKED: usize = 256;

/// Such an instance.
#[derive(Debug)]
pub struct Keep {
    record: Record,
    says: Mutex<Says>,
}

#[derive(Debug)]
struct Says {
    entry: entry::Instance,
    /// Gathered while the process ends, for [`Keep::settle`].
    left: Left,
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
        if let Err(problem) = stored.await.unwrap_or_else(|panic| Err(std::io::Error::other(panic))) {
            keep.end();
            return Err(problem);
        }
        Ok(keep)
    }

    /// An instance with this record, which is written.
    pub(super) fn with(state: &Arc<State>, entry: entry::Instance) -> Arc<Self> {
        let record = Record::new(state);
        record.write(&Entry::Instance(entry.clone()));
        Arc::new(Self { record, says: Mutex::new(Says { entry, left: Left::default(), ended: false }) })
    }

    /// What tells the instance from all others.
    pub fn number(&self) -> u64 {
        self.lock().entry.number
    }

    /// The first id for requests to it.
    pub fn first_id(&self) -> u64 {
        self.record.state.first_id()
    }

    /// Whom it is there for from now on.
    pub fn serves(&self, role: Role) {
        self.change(|entry| entry.role = role);
    }

    /// What was negotiated on it.
    pub fn introduced(&self, introduction: Introduction) {
        self.change(|entry| entry.introduction = Some(introduction));
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

    /// The process ends in good order, and nobody reads or writes any more.
    pub fn settle(&self) {
        let left = std::mem::take(&mut self.lock().left);
        self.change(|entry| (entry.cut, entry.left) = (false, Some(left)));
    }

    /// The instance ends, or has ended.
    pub fn end(&self) {
        if std::mem::replace(&mut self.lock().ended, true) {
            return;
        }
        self.record.erase();
        let name = self.name();
        // systemd may be slow to take what it is told, and a core must not wait.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || descriptors::remove(&name))),
            Err(_) => descriptors::remove(&name),
        }
    }

    fn name(&self) -> String {
        let says = self.lock();
        descriptors::name(&says.entry.server, says.entry.number)
    }

    fn change(&self, change: impl FnOnce(&mut entry::Instance)) {
        let mut says = self.lock();
        change(&mut says.entry);
        // Under the lock, so that an older word never comes last.
        self.record.write(&Entry::Instance(says.entry.clone()));
    }

    fn lock(&self) -> MutexGuard<'_, Says> {
        self.says.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
