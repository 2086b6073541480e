//! What operators changed by hand and what holds until it is taken back or its time is over, across reloads and restarts.
//!
//! The admin sockets write it, each part of the gate that it bears on reads its own. What holds is written into
//! `steering.json` of the state folder before the change is answered, unless the disk does not answer; a time ends by the
//! wall clock, as its operator reads it.

mod book;
pub mod clients;
pub mod endpoints;
mod keeper;
pub mod limits;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::warn;

pub use book::{Book, Bounds, TemporaryLimit, Value};

use crate::clock;
use crate::lock::lock;
use crate::policy::Policy;
use crate::servers::Server;
use clients::Clients;
use keeper::Keeper;

/// What holds by hand.
#[derive(Debug, Default)]
pub struct Steering {
    /// Clients that may do nothing.
    pub clients: Clients,
    book: Mutex<Book>,
    /// Writes it down; none where nothing outlives the process.
    keeper: Option<Keeper>,
    /// Why nothing holds of what the last process left.
    unread: Option<String>,
}

impl Steering {
    /// What the last process left in the folder, as far as it still holds.
    #[must_use]
    pub fn open(folder: Option<PathBuf>) -> Self {
        let (mut unread, mut in_the_way) = (None, false);
        let mut book = match folder.as_deref().map(book::load) {
            Some(Ok(book)) => book,
            Some(Err(problem)) => {
                let kept = folder.as_deref().is_some_and(|folder| book::set_aside(folder).is_ok());
                in_the_way = !kept;
                let told =
                    format!("what was changed by hand before the start cannot be read: {problem}; nothing of it holds");
                let file = folder.as_deref().map(book::aside).unwrap_or_default();
                warn!(aside = kept.then(|| file.display().to_string()), "{told}");
                unread = Some(told);
                Book::default()
            }
            None => Book::default(),
        };
        book.forget_what_is_over(clock::unix_millis());
        let keeper = folder.map(|folder| Keeper::new(folder, in_the_way));
        let this = Self { clients: Clients::default(), book: Mutex::new(book), keeper, unread };
        this.publish(&lock(&this.book));
        this
    }

    /// What holds now.
    #[must_use]
    pub fn book(&self) -> Book {
        let mut book = lock(&self.book).clone();
        book.forget_what_is_over(clock::unix_millis());
        book
    }

    /// Changes what holds, has everybody know, and writes it down.
    pub fn change<T>(&self, change: impl FnOnce(&mut Book) -> T) -> T {
        let (changed, number) = {
            let mut book = lock(&self.book);
            let changed = change(&mut book);
            book.forget_what_is_over(clock::unix_millis());
            self.publish(&book);
            // Under the lock: of two books the older must not come last.
            (changed, self.keep(&book))
        };
        if let Some((keeper, number)) = number {
            keeper.wait(number);
        }
        changed
    }

    /// Takes note of times that are over; whether there were any.
    pub fn tidy(&self) -> bool {
        let mut book = lock(&self.book);
        if !book.forget_what_is_over(clock::unix_millis()) {
            return false;
        }
        self.publish(&book);
        self.keep(&book);
        true
    }

    /// Has the servers of a policy keep to what holds: tools that are off, bounds of queues, and endpoints. Gives back
    /// those whose tools are others than before.
    pub fn bear_on(&self, policy: &Policy) -> Vec<Arc<Server>> {
        let book = self.book();
        self.bear_on_endpoints(policy, &book);
        let mut changed = Vec::new();
        for (name, server) in &policy.servers {
            if server.off.set(book.tools.get(name)) {
                changed.push(Arc::clone(server));
            }
            let (configured, by_hand) = (&server.settings.queue, book.queues.get(name));
            let size = by_hand.and_then(|bounds| bounds.max_size).and_then(|size| usize::try_from(size).ok());
            let timeout = by_hand.and_then(|bounds| bounds.timeout_ms).map(Duration::from_millis);
            let timeout = timeout.unwrap_or(configured.timeout);
            server.queue.bound(size.unwrap_or(configured.max_size), timeout);
            if let Some(instances) = server.instances() {
                instances.set_wait(timeout);
            }
        }
        changed
    }

    /// Why what holds would not outlive the process.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.keeper.as_ref().and_then(Keeper::trouble)
    }

    /// Why nothing holds of what was changed by hand before this process began: suspended clients may call.
    #[must_use]
    pub fn unread(&self) -> Option<String> {
        self.unread.clone()
    }

    fn publish(&self, book: &Book) {
        self.clients.set(&book.clients);
    }

    fn keep(&self, book: &Book) -> Option<(&Keeper, u64)> {
        let keeper = self.keeper.as_ref()?;
        Some((keeper, keeper.keep(book.clone())))
    }
}

#[cfg(test)]
mod tests {
    use toolgate_admin_api::Suspension;

    use super::*;

    fn suspended(until_ms: Option<u64>) -> Suspension {
        Suspension { say: "You loop.".into(), until_ms, ..Suspension::default() }
    }

    #[test]
    fn what_holds_is_there_after_a_restart_and_what_is_over_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Steering::open(Some(folder.path().to_owned()));
        let first = open();
        assert!(!first.clients.any());
        first.change(|book| {
            book.clients.insert("key:ann".into(), suspended(None));
            book.clients.insert("key:bob".into(), suspended(Some(clock::unix_millis() + 3_600_000)));
            book.clients.insert("key:old".into(), suspended(Some(1)));
        });
        assert!(first.clients.of("key:ann").is_some() && first.clients.of("key:old").is_none());
        let again = open();
        assert_eq!(again.book(), first.book());
        assert!(again.clients.any() && again.clients.of("key:bob").is_some());
        again.change(|book| book.clients.clear());
        assert!(!again.clients.any() && again.clients.of("key:bob").is_none());
        assert_eq!(open().book(), Book::default());
    }

    #[test]
    fn what_cannot_be_read_is_set_aside_and_what_cannot_be_written_is_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("steering.json"), "{\"version\":9}").unwrap();
        let steering = Steering::open(Some(folder.path().to_owned()));
        assert_eq!(steering.book(), Book::default());
        assert!(folder.path().join("steering.json.aside").exists());
        assert!(steering.unread().is_some_and(|told| told.contains("version 9")) && steering.trouble().is_none());
        let missing = Steering::open(Some(folder.path().join("missing")));
        assert!(missing.trouble().is_none());
        missing.change(|book| book.clients.insert("key:ann".into(), suspended(None)));
        assert!(missing.clients.any() && missing.trouble().is_some() && missing.unread().is_none());
    }

    #[test]
    fn what_cannot_be_set_aside_is_not_replaced_before_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (file, aside) = (folder.path().join("steering.json"), folder.path().join("steering.json.aside"));
        std::fs::write(&file, "torn").unwrap();
        std::fs::create_dir(&aside).unwrap();
        let steering = Steering::open(Some(folder.path().to_owned()));
        let suspend = || steering.change(|book| book.clients.insert("key:ann".into(), suspended(None)));
        suspend();
        assert_eq!(std::fs::read(&file).unwrap(), b"torn");
        assert!(steering.unread().is_some() && steering.trouble().is_some());
        std::fs::remove_dir(&aside).unwrap();
        suspend();
        assert_eq!(std::fs::read(&aside).unwrap(), b"torn");
        assert!(steering.trouble().is_none());
        assert_eq!(Steering::open(Some(folder.path().to_owned())).book(), steering.book());
    }
}
