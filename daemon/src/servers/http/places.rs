//! How many connections one server may have, in all and to each endpoint, and which calls may have one. A reload changes
//! the bounds under calls and connections.
//!
//! What must hold: a call has a permit while it has, or is about to have, a connection. There may be as many connections
//! as permits, or as many as calls have permits where a lowered bound has left these more. So whoever holds a permit and
//! no connection finds room for a new one, or an idle one somewhere: it never has to wait.
//!
//! The same holds of each endpoint, among calls that hold its permit too. A call that began before endpoints had a bound
//! holds none: its connection is not counted there, so that it takes no room from those who do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use toolgate_protocol::permits::{self, Load};

use super::error::SendErrorKind;
use crate::config::settings;
use crate::servers::connections::Seen;
use crate::servers::queue::{Flow, Permit, Queue};

/// One of a number, until dropped.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(count))
    }

    fn below(count: &Arc<AtomicUsize>, bound: usize) -> Option<Self> {
        let more = |number| (number < bound).then_some(number + 1);
        count.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(Self(Arc::clone(count)))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A place among the server's connections, held from connecting to closing.
#[derive(Debug)]
pub(super) struct Slot {
    _open: Counted,
    _open_to: Counted,
    /// Among those of the endpoint that its bound counts.
    of_endpoint: Option<Counted>,
}

impl Slot {
    /// Its connection goes to a call, which holds the endpoint's permit or does not.
    pub(super) fn goes_to(&mut self, of_endpoint: bool) {
        if !of_endpoint {
            self.of_endpoint = None;
        }
    }
}

/// The places of one server.
pub(super) struct Places {
    /// Connections, each counted by its slot.
    open: Arc<AtomicUsize>,
    /// Calls with a connection, and those that wait for one.
    users: Arc<Queue>,
    each: Box<[Endpoint]>,
    /// Whether endpoints have a bound of their own. Set before, and unset after, their queues are asked for it.
    are_bounded: AtomicBool,
}

struct Endpoint {
    open: Arc<AtomicUsize>,
    /// Those that the bound counts.
    counted: Arc<AtomicUsize>,
    /// As of the server; nobody asks where there is no bound.
    users: Arc<Queue>,
}

/// As many as there may be, or are where a bound was lowered.
fn most(load: Load) -> usize {
    load.cap.max(load.in_flight)
}

fn bound(bounds: &settings::Pool) -> usize {
    bounds.max_connections.clamp(1, permits::MAX)
}

fn bound_to_each(bounds: &settings::Pool) -> usize {
    bounds.max_per_endpoint.map_or(permits::MAX, |each| each.clamp(1, bound(bounds)))
}

impl Places {
    /// `patience` is how long a call may wait for a connection to become free.
    pub(super) fn new(endpoints: usize, bounds: &settings::Pool, patience: Duration) -> Self {
        let queue = |cap| Queue::new(cap, permits::MAX, patience);
        let endpoint =
            |_| Endpoint { open: Arc::default(), counted: Arc::default(), users: queue(bound_to_each(bounds)) };
        Self {
            open: Arc::default(),
            users: queue(bound(bounds)),
            each: (0..endpoints).map(endpoint).collect(),
            are_bounded: AtomicBool::new(bounds.max_per_endpoint.is_some()),
        }
    }

    /// Other bounds. Whether endpoints have some now, and had none.
    ///
    /// Idle connections are to be shown to [`Places::keep`] then.
    pub(super) fn follow(&self, bounds: &settings::Pool) -> bool {
        let bounded = bounds.max_per_endpoint.is_some();
        if !bounded {
            self.are_bounded.store(false, Ordering::Release);
        }
        self.users.set_cap(bound(bounds));
        self.each.iter().for_each(|endpoint| endpoint.users.set_cap(bound_to_each(bounds)));
        bounded && !self.are_bounded.swap(true, Ordering::AcqRel)
    }

    /// Connections in use or idle.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// As many as there may be.
    pub(super) fn bound(&self) -> usize {
        self.users.load().cap
    }

    /// As many as there may be to each endpoint.
    pub(super) fn bound_to(&self, endpoint: usize) -> usize {
        if self.are_bounded() { self.each[endpoint].users.load().cap } else { permits::MAX }
    }

    fn are_bounded(&self) -> bool {
        self.are_bounded.load(Ordering::Relaxed)
    }

    /// Calls that wait for a connection.
    pub(super) fn waiting(&self) -> usize {
        let endpoints = self.each.iter().map(|endpoint| endpoint.users.load().waiting).sum::<usize>();
        self.users.load().waiting + endpoints
    }

    /// What an operator sees; `waiting` calls wait elsewhere.
    pub(super) fn seen(&self, waiting: usize) -> (Seen, Vec<usize>) {
        let seen = Seen { open: self.open(), max: self.bound(), waiting: self.waiting() + waiting };
        (seen, self.each.iter().map(|endpoint| endpoint.open.load(Ordering::Relaxed)).collect())
    }

    /// The right to a connection, where it is to be had at once. It is of the endpoint too where that has a bound.
    pub(super) fn try_permit(&self, endpoint: usize) -> Option<Permit> {
        if !self.are_bounded() {
            return self.users.try_enter(None);
        }
        let own = self.each[endpoint].users.try_enter(None)?;
        Some(self.users.try_enter(None)?.with(Some(own)))
    }

    /// The right to a connection, in the order of asking: first the endpoint's, so that calls which wait for a busy
    /// endpoint are in nobody's way. The bound that was reached, where it is not to be had in time.
    pub(super) async fn permit(&self, endpoint: usize) -> Result<Permit, SendErrorKind> {
        let own = if self.are_bounded() {
            let entered = self.each[endpoint].users.enter(Flow::default()).await;
            Some(entered.map_err(|_| SendErrorKind::EndpointBound)?)
        } else {
            None
        };
        let permit = self.users.enter(Flow::default()).await.map_err(|_| SendErrorKind::Bound)?;
        Ok(permit.with(own))
    }

    /// Room for a new connection of a call, which holds the endpoint's permit or does not.
    pub(super) fn slot(&self, endpoint: usize, of_endpoint: bool) -> Option<Slot> {
        let to = &self.each[endpoint];
        let open = Counted::below(&self.open, most(self.users.load()))?;
        let of_endpoint = if of_endpoint { Some(Counted::below(&to.counted, most(to.users.load()))?) } else { None };
        Some(Slot { _open: open, _open_to: Counted::new(&to.open), of_endpoint })
    }

    /// Whether those with the endpoint's permit find no room until a connection to it is closed.
    pub(super) fn is_full(&self, endpoint: usize) -> bool {
        let to = &self.each[endpoint];
        to.counted.load(Ordering::Acquire) >= most(to.users.load())
    }

    /// Whether there is room for a connection that no call needs yet.
    pub(super) fn has_room(&self, endpoint: usize) -> bool {
        self.open() < self.bound() && self.each[endpoint].open.load(Ordering::Relaxed) < self.bound_to(endpoint)
    }

    /// Whether there are more than may be, since a bound was lowered.
    pub(super) fn are_too_many(&self, endpoint: usize) -> bool {
        self.open() > self.bound() || self.each[endpoint].open.load(Ordering::Relaxed) > self.bound_to(endpoint)
    }

    /// Whether a connection may be idle; asked under the lock of those that are.
    pub(super) fn keep(&self, slot: &mut Slot, endpoint: usize) -> bool {
        if self.are_too_many(endpoint) {
            return false;
        }
        if self.are_bounded() && slot.of_endpoint.is_none() {
            let to = &self.each[endpoint];
            slot.of_endpoint = Counted::below(&to.counted, most(to.users.load()));
            return slot.of_endpoint.is_some();
        }
        true
    }
}
