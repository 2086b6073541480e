//! The key store: keys that operators make, change and take away while the daemon runs.
//!
//! [`Store`] is what calls and admin routes ask. Its [`Index`] has all keys in memory and answers every look; what else
//! is known of a key is read from the file when its secret was proven, and kept as a [`Decision`]. The file belongs to
//! one thread. Without a state folder there is no file, and nobody is known.

pub mod change;
pub mod decisions;
pub mod file;
pub mod index;
pub mod record;
mod uses;
mod writer;

use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use self::change::Change;
use self::decisions::{Decision, Decisions};
use self::file::{File, Outcome, Problem, Use};
use self::index::{Index, Known};
use self::record::{Record, Stored};
use self::uses::Uses;
use self::writer::{Order, Writer};
use crate::config::Settings;
use crate::lock::lock;

/// Its file in the state folder.
pub const NAME: &str = "keys.redb";

/// The longest that a start waits for the file.
const PATIENCE: Duration = Duration::from_secs(10);
/// Keys that a sentence names.
const NAMED: usize = 5;
/// Changes that wait for the thread.
const WAITING: usize = 256;

/// The keys of this gate that stand in no file of the configuration.
#[derive(Debug, Default)]
pub struct Store {
    inner: Arc<Inner>,
    decisions: Decisions,
    thread: Option<Thread>,
}

/// What the thread shares with those who ask.
#[derive(Debug, Default)]
struct Inner {
    index: Index,
    uses: Uses,
    /// None while it cannot be used.
    file: ArcSwapOption<File>,
    trouble: Mutex<Option<Problem>>,
}

#[derive(Debug)]
struct Thread {
    orders: SyncSender<Order>,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl Inner {
    fn trouble_told(&self) -> Problem {
        lock(&self.trouble).clone().unwrap_or_else(|| "the key store is not open".to_owned())
    }
}

impl Store {
    /// Opens the store of a state folder; without one, nothing can be stored.
    #[must_use]
    pub fn open(folder: Option<&Path>) -> Self {
        let Some(folder) = folder else { return Self::default() };
        let inner = Arc::<Inner>::default();
        let (orders, waiting) = sync_channel(WAITING);
        let (opened, is_open) = sync_channel(1);
        let writer = Writer { path: folder.join(NAME), inner: Arc::clone(&inner), orders: waiting };
        let started = Builder::new().name("keys".into()).spawn(move || writer.run(&opened));
        let thread = match started {
            Ok(handle) => Some(Thread { orders, handle: Mutex::new(Some(handle)) }),
            Err(problem) => {
                *lock(&inner.trouble) = Some(format!("the key store has no thread: {problem}"));
                None
            }
        };
        if thread.is_some() && is_open.recv_timeout(PATIENCE).is_err() {
            *lock(&inner.trouble) = Some(format!("the key store {} does not open", folder.join(NAME).display()));
        }
        Self { inner, thread, decisions: Decisions::default() }
    }

    /// The keys, as every call asks for one.
    pub fn index(&self) -> &Index {
        &self.inner.index
    }

    /// What is decided about a key whose secret was proven, for these settings: kept, or made from what the file says.
    ///
    /// # Errors
    /// Why the file cannot be read.
    pub fn decide(&self, id: &str, known: Known, settings: &Arc<Settings>) -> Result<Arc<Decision>, Problem> {
        if let Some(kept) = self.decisions.get(id, known.version, settings) {
            return Ok(kept);
        }
        // The file is not older than the index: what is read is of this version, or of a later one, which is read again.
        let record = self.read(|file| file.record(id))?.ok_or_else(|| format!("the key {id} is gone"))?;
        let decision = Arc::new(Decision::new(id, &record, self.inner.uses.of(id), known.version, settings));
        self.decisions.put(id, &decision);
        Ok(decision)
    }

    /// The same for whoever has not to prove anything; `None` where there is no such key, or it cannot be read.
    pub fn decision(&self, id: &str, settings: &Arc<Settings>) -> Option<Arc<Decision>> {
        self.decide(id, self.inner.index.of(id)?, settings).ok()
    }

    /// A key with when it was used.
    ///
    /// # Errors
    /// Why the file cannot be read.
    pub fn key(&self, id: &str) -> Result<Option<(Stored, Use)>, Problem> {
        let found = self.read(|file| file.key(id))?;
        Ok(found.map(|(key, used)| (key, self.used(id, used))))
    }

    /// Keys in the order of their ids, behind one of them, for as long as `each` says.
    ///
    /// # Errors
    /// Why the file cannot be read.
    pub fn walk(&self, after: Option<&str>, mut each: impl FnMut(&str, Record, Use) -> bool) -> Result<(), Problem> {
        self.read(|file| file.walk(after, |id, record, used| each(id, record, self.used(id, used))))
    }

    fn used(&self, id: &str, written: Use) -> Use {
        let (last, count) = self.inner.uses.unwritten(id);
        (last.max(written.0), written.1.saturating_add(count))
    }

    fn read<T>(&self, read: impl FnOnce(&File) -> Result<T, Problem>) -> Result<T, Problem> {
        let file = self.inner.file.load_full().ok_or_else(|| self.inner.trouble_told())?;
        read(&file)
    }

    /// Makes changes that belong together, all or none. It has happened, and holds for every call from then on, when
    /// this returns.
    ///
    /// # Errors
    /// Why the file cannot be written; whether the change will be there after a restart is not known then.
    pub fn change(&self, changes: Vec<(String, Change)>) -> Result<Outcome, Problem> {
        let thread = self.thread.as_ref().ok_or("this gate keeps no state (daemon.state_dir), and so no keys")?;
        let (tell, told) = sync_channel(1);
        let ended = |_| self.inner.trouble_told();
        thread.orders.send(Order::Change(changes, tell)).map_err(|_| self.inner.trouble_told())?;
        told.recv().map_err(ended)?
    }

    /// Keys that stand in the files too, in a sentence for people.
    #[must_use]
    pub fn told_of_both(&self, settings: &Settings) -> Option<String> {
        let both = settings.keys.keys().filter(|id| self.index().of(id).is_some());
        let both: Vec<_> = both.map(String::as_str).collect();
        let named = both.get(..NAMED).map_or_else(|| both.join(", "), |some| format!("{}, …", some.join(", ")));
        let (count, is) = (both.len(), if both.len() == 1 { "key is" } else { "keys are" });
        (count > 0).then(|| {
            format!("{count} {is} in the files and in the key store, and what the files say holds: {named}; take the lines out of the files, then reload")
        })
    }

    /// Why the store cannot be used.
    #[must_use]
    pub fn trouble(&self) -> Option<Problem> {
        lock(&self.inner.trouble).clone()
    }

    /// Writes down what is not yet, and lets go of the file.
    pub fn settle(&self) {
        let Some(thread) = &self.thread else { return };
        // It has ended already where sending fails.
        let _ = thread.orders.send(Order::End);
        if let Some(handle) = lock(&thread.handle).take()
            && handle.join().is_err()
        {
            tracing::error!("the thread of the key store had panicked");
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.settle();
    }
}

#[cfg(test)]
mod tests;
