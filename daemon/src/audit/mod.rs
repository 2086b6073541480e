//! The audit log: who called what, what was decided and by which rule, and who changed what by hand.
//!
//! Each line is a line of JSON with a number and the hash of the line before (`toolgate_protocol::audit` has the chain).
//! A core writes what a call says that is worth a line, and leaves it in a bounded place of its own ([`Ring`]); a thread
//! takes all of it at once, seals, writes and commits the lines (`work.rs`). Whoever changes something by hand waits for its line, a second at most. Without a
//! state folder there is no log: changes are remembered, and told in the journal.
//!
//! What is promised: what a commit has taken survives a loss of power, and follows a line within a second; what was
//! written before survives the process. A line that is lost, because a disk takes nothing, is counted, and a line says
//! so as soon as one can.

mod batch;
mod ended;
mod event;
mod failures;
mod file;
mod line;
mod lines;
mod members;
pub mod redact;
mod ring;
mod search;
#[cfg(test)]
mod tests;
mod verify;
mod work;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use toolgate_admin_api::{AuditRecord, AuditVerdict};
use tracing::{error, info};

use crate::config::settings::AuditRules;
use crate::lock::lock;
use crate::observe::logging::AUDIT;
pub use ended::End;
pub use event::Event;
pub use ring::Ring;
pub use search::Query;
use writer::{Said, Shared};

/// Changes that are kept to be looked at.
pub const REMEMBERED: usize = 1000;

/// The log.
pub struct Audit {
    shared: Arc<Shared>,
    folder: Option<PathBuf>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Audit({:?})", self.folder)
    }
}

impl Audit {
    /// Goes on with the log in a folder; without one, in memory and in the journal.
    #[must_use]
    pub fn start(folder: Option<&Path>, rules: &AuditRules) -> Self {
        let shared = Shared::new(rules);
        let thread = folder.and_then(|folder| shared.start(folder));
        Self { shared, folder: folder.map(Path::to_owned), thread: Mutex::new(thread) }
    }

    /// Goes on by other rules.
    pub fn configure(&self, rules: &AuditRules) {
        self.shared.configure(rules);
    }

    /// What a core hands its calls to, where there is a log.
    #[must_use]
    pub fn ring(&self) -> Option<Ring> {
        self.shared.ring()
    }

    /// Adds a change, and waits until it is on the disk, but not for long.
    pub fn add(&self, mut record: AuditRecord) {
        let ticket = self.shared.say(Said::Change(record.clone()));
        record.number = self.shared.written(ticket);
        info!(
            target: AUDIT,
            number = record.number,
            uid = record.uid,
            user = record.user,
            pid = record.pid,
            action = record.action,
            object = record.target,
            before = %record.before,
            after = %record.after,
            reason = record.reason,
            outcome = record.outcome,
            revision = record.revision,
            "{} {}: {}", record.action, record.target, record.outcome,
        );
    }

    /// Adds something that was decided or ended, without waiting for it.
    pub fn tell(&self, event: Event) {
        self.shared.say(Said::Event(event.into_members()));
    }

    /// The newest changes, the oldest of them first.
    #[must_use]
    pub fn newest(&self, most: usize) -> Vec<AuditRecord> {
        self.shared.newest(most)
    }

    /// Lines that fit, the oldest of them first; what waits is written before.
    ///
    /// # Errors
    /// Where there is no log, or its files cannot be read.
    pub fn search(&self, query: &Query) -> std::io::Result<toolgate_admin_api::AuditLines> {
        let Some(folder) = &self.folder else { return Err(none()) };
        self.shared.flush();
        Ok(toolgate_admin_api::AuditLines { lines: search::search(folder, query)? })
    }

    /// Reads all of the log, and says whether it is as it was written.
    ///
    /// # Errors
    /// As [`Audit::search`].
    pub fn verify(&self) -> std::io::Result<AuditVerdict> {
        let Some(folder) = &self.folder else { return Err(none()) };
        self.shared.flush();
        verify::verify(folder, &self.shared.renaming)
    }

    /// Why lines are not written, or not all.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.shared.trouble()
    }

    /// Looks whether the thread waits for a disk: to be asked now and then.
    pub fn look(&self) {
        self.shared.look();
    }

    /// Lines that are on the disk, and lines that were lost, since the start.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        self.shared.counts()
    }

    /// Writes what waits, and ends. A disk that does not answer keeps nobody from ending.
    pub fn end(&self) {
        let Some(thread) = lock(&self.thread).take() else { return };
        self.tell(Event::new("stop"));
        if self.shared.end() && thread.join().is_err() {
            error!("the thread that writes the audit log had panicked");
        }
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.end();
    }
}

fn none() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::NotFound, "there is no state folder, and so no audit log")
}
