//! The configurations that were accepted, as files below the state folder.
//!
//! The start and every reload keep theirs here; a start with files that cannot be used, the admin sockets and
//! `toolgate config rollback` read them. Nobody waits for the disk with a lock: what was accepted last is known without
//! it, and a writer of its own keeps it.

mod disk;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use toolgate_admin_api::history::{HISTORY_FORMAT, history_folder};
use toolgate_admin_api::{Accepted, Revision};

use self::disk::{numbers, read, withdrawn};
use self::writer::{Job, Writer};
use crate::config::Snapshot;
use crate::lock::lock;

/// What was accepted before.
pub(super) struct History {
    /// None where nothing is to survive a restart.
    disk: Option<Disk>,
    known: Mutex<Known>,
}

struct Disk {
    folder: PathBuf,
    writer: Writer,
}

/// What is known without the disk.
struct Known {
    /// What was accepted last, whether it could be written or not.
    newest: Option<Arc<Revision>>,
    /// The number of what was accepted last, as far as the folder tells.
    last: u64,
    /// The highest number that was ever given.
    given: u64,
}

impl Known {
    fn number_of(&self, snapshot: &Snapshot) -> u64 {
        match &self.newest {
            Some(newest) if written(newest).says_the_same(snapshot) => newest.revision,
            _ => self.given + 1,
        }
    }
}

impl History {
    /// The history below a state folder, empty for none; nothing is written yet.
    pub(super) fn open(state_dir: &Path) -> Self {
        Self::of(Some(state_dir).filter(|folder| !folder.as_os_str().is_empty()).map(history_folder))
    }

    fn of(folder: Option<PathBuf>) -> Self {
        let numbers = folder.as_deref().map(numbers).unwrap_or_default();
        let newest = folder.as_deref().and_then(|folder| numbers.iter().rev().find_map(|&number| read(folder, number)));
        let last = numbers.last().copied().unwrap_or(0);
        let withdrawn = folder.as_deref().and_then(|folder| withdrawn(folder).into_iter().max()).unwrap_or(0);
        let known = Known { newest: newest.map(Arc::new), last, given: last.max(withdrawn) };
        let disk = folder.map(|folder| Disk { writer: Writer::new(folder.clone()), folder });
        Self { disk, known: Mutex::new(known) }
    }

    /// What was accepted last; none where that cannot be read, whatever may have been accepted before it.
    pub(super) fn last_accepted(&self) -> Option<Arc<Revision>> {
        let known = lock(&self.known);
        known.newest.clone().filter(|newest| newest.revision == known.last)
    }

    /// The number of what was accepted last, where it cannot be read.
    pub(super) fn unreadable(&self) -> Option<u64> {
        let last = lock(&self.known).last;
        (last > 0 && self.last_accepted().is_none()).then_some(last)
    }

    /// Why it is not kept, where it could not be written, or the disk does not answer.
    pub(super) fn trouble(&self) -> Option<String> {
        self.disk.as_ref().and_then(|disk| disk.writer.trouble())
    }

    /// Waits until all is kept, for a moment at most; why it is not.
    pub(super) fn settle(&self) -> Option<String> {
        self.disk.as_ref().and_then(|disk| disk.writer.settle())
    }

    /// The number of a configuration: that of the newest revision where it says the same, else the next.
    pub(super) fn number_of(&self, snapshot: &Snapshot) -> u64 {
        lock(&self.known).number_of(snapshot)
    }

    /// What is gone back to where the newest revision was only a try: the one before it, if that says what is to be
    /// accepted now. Reads the disk.
    pub(super) fn before_try(&self, revision: u64, snapshot: &Snapshot) -> Option<Revision> {
        let folder = &self.disk.as_ref()?.folder;
        self.newest().filter(|newest| newest.revision == revision)?;
        let before = numbers(folder).into_iter().rev().filter(|number| *number < revision);
        let before = before.into_iter().find_map(|number| read(folder, number))?;
        written(&before).says_the_same(snapshot).then_some(before)
    }

    /// Forgets the newest revision for [the one before it](Self::before_try), which serves again. Its number is not
    /// given again, by a later process neither.
    pub(super) fn withdraw(&self, before: Revision) {
        let withdrawn = {
            let mut known = lock(&self.known);
            known.last = before.revision;
            known.newest.replace(Arc::new(before))
        };
        if let (Some(disk), Some(withdrawn)) = (&self.disk, withdrawn) {
            disk.writer.push(Job::Withdraw(withdrawn.revision));
        }
    }

    /// Has what was accepted just now kept. What says the same as the newest revision is that revision.
    ///
    /// A failure is told by [`trouble`](Self::trouble); numbers go on all the same.
    pub(super) fn keep(&self, snapshot: Snapshot, who: &str, reason: Option<&str>, at_ms: u64) {
        let kept = self.trouble().is_none();
        let revision = {
            let mut known = lock(&self.known);
            let revision = known.number_of(&snapshot);
            if kept && known.newest.as_ref().is_some_and(|newest| newest.revision == revision) {
                return;
            }
            let revision = Arc::new(Revision {
                format: HISTORY_FORMAT,
                revision,
                accepted_at_ms: at_ms,
                who: who.to_owned(),
                reason: reason.map(str::to_owned),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                files: snapshot.files,
                overrides: snapshot.overrides,
            });
            known.last = revision.revision;
            known.given = known.given.max(known.last);
            known.newest = Some(Arc::clone(&revision));
            revision
        };
        if let Some(disk) = &self.disk {
            disk.writer.push(Job::Keep(revision));
        }
    }

    /// Newest first: the newest revision, and those that are on disk.
    pub(super) fn list(&self) -> Vec<Accepted> {
        let newest = self.newest();
        let before = newest.as_ref().map_or(u64::MAX, |newest| newest.revision);
        let newest = newest.iter().map(|newest| newest.summary());
        let Some(Disk { folder, .. }) = &self.disk else { return newest.collect() };
        let numbers = numbers(folder).into_iter().rev().filter(|number| *number < before);
        newest.chain(numbers.filter_map(|number| Some(read(folder, number)?.summary()))).collect()
    }

    /// One of them.
    pub(super) fn get(&self, number: u64) -> Option<Revision> {
        match self.newest() {
            Some(newest) if newest.revision == number => Some(Revision::clone(&newest)),
            _ => read(&self.disk.as_ref()?.folder, number),
        }
    }

    fn newest(&self) -> Option<Arc<Revision>> {
        lock(&self.known).newest.clone()
    }
}

/// What a revision was read from.
pub(super) fn written(revision: &Revision) -> Snapshot {
    Snapshot { files: revision.files.clone(), overrides: revision.overrides.clone() }
}

#[cfg(test)]
mod tests;
