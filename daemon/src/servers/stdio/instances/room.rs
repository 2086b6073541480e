//! Room for instances: a caller finds a place below the maximum, is made one, or waits.
//!
//! What gives way is the longest idle of those that nobody would miss, or that idle for over a
//! minute. While somebody waits it is looked again, since what was busy may idle by now; never do
//! more give way than wait.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};
use tracing::info;

use super::{Instances, Role, Slot, Start};
use crate::lock::lock;

use crate::failure::{Failure, Kind};
use crate::servers::stdio::link::Link;

/// An instance that sessions of clients live in is not ended for another's sake while it idles for
/// less, in milliseconds.
const YOUNG: u64 = 60_000;
/// The same of one that only calls share: longer than from its start to its first message, and from
/// one message of a greeting to the next.
const PAUSE: u64 = 1_000;
/// Instances that one client has at most by declaring something else each time.
pub(super) const PER_CLIENT: usize = 8;
/// How often whoever waits looks for an instance that could give way.
const LOOK: Duration = Duration::from_millis(250);
/// An instance that was told to end and has not left by then is not counted on.
const PARTING: Duration = Duration::from_secs(5);

/// Who waits for a place, and what makes room.
#[derive(Debug, Default)]
pub(super) struct Room {
    waiting: AtomicUsize,
    /// Told to end, and since when; their places are not free before they have left.
    leaving: Mutex<Vec<(Link, Instant)>>,
}

/// A caller that waits; no more once this is dropped.
struct Waiting<'r>(&'r Room);

impl<'r> Waiting<'r> {
    fn begin(room: &'r Room) -> Self {
        room.waiting.fetch_add(1, Ordering::Relaxed);
        Self(room)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Instances {
    /// Calls that wait for a place below the maximum.
    pub fn waiting(&self) -> usize {
        self.room.waiting.load(Ordering::Relaxed)
    }

    /// A place below the maximum, for a caller that has waited since then; it waits for as long as callers may.
    pub(super) async fn place(&self, since: Instant) -> Result<OwnedSemaphorePermit, Failure> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(place);
        }
        let _waiting = Waiting::begin(&self.room);
        let mut place = pin!(Arc::clone(&self.places).acquire_owned());
        loop {
            self.make_room();
            let deadline = since + self.wait();
            match timeout_at(deadline.min(Instant::now() + LOOK), &mut place).await {
                Ok(Ok(place)) => return Ok(place),
                Err(_) if Instant::now() < deadline => {}
                Ok(Err(_)) | Err(_) => return Err(self.full()),
            }
        }
    }

    /// The start of an owner's instance, where its client has room for another: those of the client are of owners that
    /// begin so. The longest idle of them gives way to one too many.
    pub(super) fn start_of(&self, owner: &str, all: &str) -> Result<Arc<Start>, Failure> {
        let mut starting = lock(&self.starting);
        starting.retain(|_, start| Arc::strong_count(start) > 1);
        if let Some(start) = starting.get(owner) {
            return Ok(Arc::clone(start));
        }
        let mut running = self.lock();
        let own = |slot: &Slot| match &slot.role {
            Role::Shared { owner, .. } => owner.starts_with(all) && !slot.link.is_ended(),
            Role::Spare | Role::Dedicated => false,
        };
        let is_running = |owner: &str| {
            running.values().any(|slot| matches!(&slot.role, Role::Shared { owner: other, .. } if other == owner))
        };
        let begun = starting.keys().filter(|other| other.starts_with(all) && !is_running(other)).count();
        if begun + running.values().filter(|slot| own(slot)).count() >= PER_CLIENT {
            let idle = running.iter().filter(|(_, slot)| own(slot) && slot.may_give_way());
            let longest = idle.max_by_key(|(_, slot)| (slot.is_done(), slot.link.idle_millis()));
            let number = longest.map(|(number, _)| *number).ok_or_else(too_many)?;
            if let Some(slot) = running.remove(&number) {
                slot.link.end();
            }
        }
        Ok(Arc::clone(starting.entry(owner.to_owned()).or_default()))
    }

    fn full(&self) -> Failure {
        Failure::new(
            Kind::QueueTimeout,
            format!("All instances of the server {} are in use. Try again in a moment.", self.server),
        )
        .retry_after(self.wait())
    }

    /// Ends an instance, unless as many are leaving as callers wait.
    fn make_room(&self) {
        let mut leaving = lock(&self.room.leaving);
        leaving.retain(|(link, since)| !link.has_left() && since.elapsed() < PARTING);
        if leaving.len() >= self.room.waiting.load(Ordering::Relaxed) {
            return;
        }
        if let Some(link) = self.take_longest_idle() {
            info!(server = self.server, pid = link.pid(), "the longest idle instance gives way");
            link.end();
            leaving.push((link, Instant::now()));
        }
    }

    fn take_longest_idle(&self) -> Option<Link> {
        let mut running = self.lock();
        let idle = running.iter().filter(|(_, slot)| slot.may_give_way());
        // One that is replaced is of no use to anybody.
        let number =
            idle.max_by_key(|(_, slot)| (slot.is_done(), slot.link.idle_millis())).map(|(number, _)| *number)?;
        running.remove(&number).map(|slot| slot.link)
    }
}

fn too_many() -> Failure {
    Failure::new(
        Kind::NoRoom,
        format!(
            "This client uses {PER_CLIENT} instances of the server at once. Declare the same capabilities on each request, or wait for a call to end."
        ),
    )
    .retry_after(Duration::from_secs(1))
}

impl Slot {
    fn may_give_way(&self) -> bool {
        let idle = self.link.idle_millis();
        if self.is_done() {
            return true;
        }
        match self.role {
            Role::Spare => false,
            // A client of the modern era has no session that it could miss: its next call opens another.
            Role::Shared { lasting: false, .. } => idle > YOUNG || (idle > PAUSE && !self.link.news().is_heard()),
            Role::Shared { lasting: true, .. } | Role::Dedicated => idle > YOUNG,
        }
    }
}
