//! The thread that writes records: a disk that does not answer holds up nobody else.
//!
//! It makes the file, writes what waits in the [`Queue`], and has the file take the place of the
//! last process's, which stays where it is until everything of this one's is written.

use std::io;
use std::sync::Arc;
use std::thread::Builder;

use super::file::Records;
use super::folder::Folder;
use super::place::{Place, Word};
use super::queue::Queue;
use super::record::{Key, MAX_PAYLOAD};
use super::storage::Open;

/// Has what is in a queue written until it is dropped.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) queue: Arc<Queue>,
}

/// The thread's own.
struct Desk {
    queue: Arc<Queue>,
    folder: Arc<Folder>,
    open: Open,
    epoch: u32,
    /// None while none can be made.
    records: Option<Records>,
    /// The next process finds them.
    is_found: bool,
}

impl Writer {
    /// Starts the thread, for the process with this number.
    pub(super) fn start(folder: &Arc<Folder>, epoch: u32, open: Open) -> io::Result<Self> {
        let queue = Arc::<Queue>::default();
        let desk =
            Desk { queue: Arc::clone(&queue), folder: Arc::clone(folder), open, epoch, records: None, is_found: false };
        // So that it makes the file at once.
        queue.retry();
        Builder::new().name("state".into()).spawn(move || desk.work())?;
        Ok(Self { queue })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Desk {
    fn work(mut self) {
        while self.queue.wait() {
            self.make_file();
            while let Some(place) = self.queue.next() {
                self.write(&place);
            }
            if !self.is_found && self.records.is_some() && self.queue.is_to_be_found() {
                self.take_over();
            }
            // What was erased and could not be is found by the next process.
            let tidied = self.records.as_mut().map_or(Ok(()), Records::tidy);
            if let Err(problem) = &tidied {
                self.queue.complain(problem);
            }
            self.queue.rest(self.is_found, tidied.is_ok());
        }
        let queue = Arc::clone(&self.queue);
        // With it the folder's lock goes, which the next process waits for.
        drop(self);
        queue.end();
    }

    fn make_file(&mut self) {
        if self.records.is_some() {
            return;
        }
        let key = Key::new(&self.folder.key("records"));
        let made = (self.open)(&self.folder.new_records()).and_then(|file| Records::begin(file, key, self.epoch));
        match made {
            Ok(records) => self.records = Some(records),
            Err(problem) => self.queue.complain(&problem),
        }
    }

    fn write(&mut self, place: &Arc<Place>) {
        let Some((word, number)) = place.take() else { return };
        let written = match &word {
            Word::Says(entry) => entry.to_payload(MAX_PAYLOAD).and_then(|payload| match &mut self.records {
                Some(records) => records.write(&mut place.slot(), &payload),
                None => Err(io::ErrorKind::StorageFull.into()),
            }),
            Word::Nothing => {
                if let Some(records) = &mut self.records {
                    records.erase(&mut place.slot());
                }
                Ok(())
            }
        };
        match written {
            Ok(()) => place.is_written(number, matches!(word, Word::Says(_))),
            Err(problem) => {
                self.queue.complain(&problem);
                self.queue.fail(place, word, number);
            }
        }
    }

    fn take_over(&mut self) {
        match std::fs::rename(self.folder.new_records(), self.folder.records()) {
            Ok(()) => self.is_found = true,
            Err(problem) => self.queue.complain(&problem),
        }
    }
}
