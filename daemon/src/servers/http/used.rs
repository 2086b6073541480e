//! How a connection of HTTP/2 is used, for all who have it: its lane, its task and its calls.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::places::Slot;
use crate::clock;
use crate::lock::lock;
use crate::servers::connections::Right;
use crate::servers::queue::Permit;

/// How a connection is used, for all who have it.
pub(super) struct Used {
    /// Changed under the lock of the lane only.
    pub(super) streams: AtomicUsize,
    /// As its server says, once it has.
    pub(super) limit: AtomicUsize,
    /// Calls so far.
    pub(super) calls: AtomicU64,
    /// When the last call ended, or it was opened.
    pub(super) last: AtomicU64,
    /// When anything was last read from it.
    pub(super) heard: Arc<AtomicU64>,
    pub(super) born: Instant,
    /// It takes no calls any more.
    retired: AtomicBool,
    /// Its task is to look whether it is to end; or its opener, whether it takes calls.
    pub(super) changed: Notify,
    pub(super) ready: Notify,
    held: Mutex<Held>,
}

/// What it holds; in the order in which it is given back: whoever gets the permit finds the slot.
#[derive(Default)]
pub(super) struct Held {
    places: Option<(Slot, Right)>,
    permit: Option<Permit>,
}

impl Held {
    /// Holds a permit; the one that it had before.
    fn hold(&mut self, permit: Permit) -> Option<Permit> {
        if let Some((slot, _)) = &mut self.places {
            slot.goes_to(permit.has_own());
        }
        self.permit.replace(permit)
    }
}

impl Used {
    pub(super) fn new(permit: Permit, places: (Slot, Right)) -> Self {
        Self {
            streams: AtomicUsize::new(0),
            limit: AtomicUsize::new(0),
            calls: AtomicU64::new(0),
            last: AtomicU64::new(clock::nanos()),
            heard: Arc::new(AtomicU64::new(0)),
            born: Instant::now(),
            retired: AtomicBool::new(false),
            changed: Notify::new(),
            ready: Notify::new(),
            held: Mutex::new(Held { permit: Some(permit), places: Some(places) }),
        }
    }

    /// Whether its server has said how many calls it takes.
    pub(super) fn is_ready(&self) -> bool {
        self.limit.load(Ordering::SeqCst) > 0
    }

    pub(super) fn is_idle(&self) -> bool {
        self.streams.load(Ordering::SeqCst) == 0
    }

    /// Whether it takes no calls and has none.
    pub(super) fn is_over(&self) -> bool {
        self.retired.load(Ordering::SeqCst) && self.is_idle()
    }

    /// It takes no calls any more; what it holds is given back with its last one.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
        if self.is_idle() {
            self.give_back();
        }
        self.changed.notify_one();
    }

    /// The socket is closed by its task, in the same turn or the next one.
    pub(super) fn give_back(&self) {
        drop(std::mem::take(&mut *lock(&self.held)));
    }

    /// Has it take calls with this permit, where it has none; else gives it back.
    pub(super) fn wake(&self, permit: Permit) -> Option<Permit> {
        let mut held = lock(&self.held);
        if held.permit.is_none() && held.places.is_some() { held.hold(permit) } else { Some(permit) }
    }

    /// What it need not hold without a call; to be dropped outside of locks, for others may get it.
    pub(super) fn let_go(&self) -> Held {
        let mut held = lock(&self.held);
        let is_over = self.retired.load(Ordering::SeqCst);
        let places = if is_over { held.places.take() } else { None };
        if places.is_some() {
            self.changed.notify_one();
        }
        Held { places, permit: held.permit.take() }
    }

    /// Has it hold a permit, if it does not yet; whether it does.
    pub(super) fn hold(&self, permit: impl FnOnce() -> Option<Permit>) -> bool {
        let mut held = lock(&self.held);
        if held.permit.is_none()
            && let Some(permit) = permit()
        {
            held.hold(permit);
        }
        held.permit.is_some()
    }

    /// Whether it may be there without a call.
    pub(super) fn keep(&self, asked: impl FnOnce(&mut Slot) -> bool) -> bool {
        lock(&self.held).places.as_mut().is_none_or(|(slot, _)| asked(slot))
    }

    pub(super) fn is_older(&self, age: Option<Duration>) -> bool {
        age.is_some_and(|age| self.born.elapsed() >= age)
    }
}
