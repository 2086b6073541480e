//! Connections of one server: which ones are kept, per core and last in first out. How many there may be is in
//! [`super::places`].
//!
//! Calls take and return them; a task per core, which exists only while something is idle, closes old ones. A reload
//! changes bounds and times under all of them: nothing is cut off, and what is too much then is closed when it is idle.
//!
//! The bound of all servers' connections stands behind: there a call may wait with its right, but without a connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::conn::Conn;
use super::error::SendErrorKind;
use super::keep::Keep;
use super::lanes::Lanes;
use super::places::{Places, Slot};
use crate::config::settings;
use crate::lock::lock;
use crate::servers::connections::{self, Connections, Right, Seen};
use crate::servers::queue::Permit;

/// Kept connections of one server.
pub(super) struct Pool {
    places: Places,
    cores: Box<[Core]>,
    /// Connections that calls share, where HTTP/2 is spoken.
    lanes: Option<Lanes>,
    keep: Arc<Keep>,
    all: Arc<Connections>,
    /// Tells it from others there.
    number: u64,
}

/// What a call gets that may have a connection.
pub(super) enum Place {
    /// One that has served a call before.
    Kept(Conn),
    /// Room for a new one.
    New(Slot),
}

/// What one core keeps. The lock is this core's own: others take it only at the bound of connections.
struct Core {
    idle: Mutex<Vec<Idle>>,
    reaping: AtomicBool,
    /// Tells who closes old ones that they are to be closed at other times.
    changed: Arc<Notify>,
}

struct Idle {
    endpoint: usize,
    since: Instant,
    until: Instant,
    conn: Conn,
}

impl Pool {
    /// `patience` is how long a call may wait for a connection to become free.
    pub(super) fn new(
        cores: usize,
        endpoints: usize,
        (bounds, keep): (&settings::Pool, &Arc<Keep>),
        patience: Duration,
        all: &Arc<Connections>,
    ) -> Arc<Self> {
        let core = |_| Core { idle: Mutex::default(), reaping: AtomicBool::new(false), changed: Arc::default() };
        let pool = Arc::new(Self {
            places: Places::new(endpoints, bounds, patience),
            cores: (0..cores.max(1)).map(core).collect(),
            lanes: bounds.http2.then(|| Lanes::new(cores.max(1), endpoints, keep)),
            keep: Arc::clone(keep),
            all: Arc::clone(all),
            number: connections::number(),
        });
        let this: Weak<Self> = Arc::downgrade(&pool);
        all.join(this);
        pool
    }

    /// Other bounds, after [`Keep`] has other times. Calls go on; idle connections that are too many are closed.
    pub(super) fn follow(&self, bounds: &settings::Pool) {
        let each_anew = self.places.follow(bounds);
        for core in &self.cores {
            let mut idle = lock(&core.idle);
            // The one that was unused for longest first. Each is closed before the next is looked at.
            idle.retain_mut(|idle| {
                idle.until = idle.since + self.keep.left(idle.conn.idle, idle.conn.born, idle.since);
                self.places.keep(idle.conn.slot(), idle.endpoint)
            });
            drop(idle);
            core.changed.notify_one();
        }
        if let Some(lanes) = &self.lanes {
            lanes.rest(&self.places);
            if each_anew {
                // Their calls hold no permit of the endpoint: further ones have connections that do.
                lanes.retire_busy();
            }
            self.narrow(lanes);
            lanes.look_again();
        }
    }

    /// Whether a shared connection without a call is kept.
    pub(super) fn keeps(&self, slot: &mut Slot, endpoint: usize) -> bool {
        self.places.keep(slot, endpoint)
    }

    /// Has as many shared connections take calls as there may be; others end with their last one.
    fn narrow(&self, lanes: &Lanes) {
        lanes.narrow_each(|endpoint| self.places.bound_to(endpoint));
        lanes.narrow(self.places.bound());
    }

    /// A shared connection stands whose call asked for it before a bound was lowered, maybe.
    pub(super) fn has_more_shared(&self, endpoint: usize) {
        if let Some(lanes) = self.lanes.as_ref().filter(|_| self.places.are_too_many(endpoint)) {
            self.narrow(lanes);
        }
    }

    /// Connections that calls share, where HTTP/2 is spoken.
    pub(super) fn lanes(&self) -> Option<&Lanes> {
        self.lanes.as_ref()
    }

    /// Whether some other server's calls wait for one of these connections to be closed.
    pub(super) fn is_wanted(&self) -> bool {
        self.all.wants_from(self.open())
    }

    /// Connections to all servers.
    pub(super) fn all(&self) -> &Arc<Connections> {
        &self.all
    }

    /// Room among the connections to all servers, for the holder of a slot, where there is some at once.
    pub(super) fn try_open_one(&self) -> Option<Right> {
        self.all.try_open(connections::Pool { number: self.number, open: self.open() })
    }

    /// The same after waiting for it, if need be.
    pub(super) async fn open_one(&self, deadline: Instant) -> Option<Right> {
        self.all.open(connections::Pool { number: self.number, open: self.open() }, deadline).await
    }

    /// Connections in use or idle, on all cores.
    pub(super) fn open(&self) -> usize {
        self.places.open()
    }

    /// Calls that wait for a connection.
    pub(super) fn waiting(&self) -> usize {
        self.places.waiting() + self.lanes.as_ref().map_or(0, Lanes::waiting)
    }

    /// The same with the bound and those who wait, and how many are to each endpoint.
    pub(super) fn seen(&self) -> (Seen, Vec<usize>) {
        self.places.seen(self.lanes.as_ref().map_or(0, Lanes::waiting))
    }

    /// See [`Places::try_permit`].
    pub(super) fn try_permit(&self, endpoint: usize) -> Option<Permit> {
        self.places.try_permit(endpoint)
    }

    /// See [`Places::permit`].
    pub(super) async fn permit(&self, endpoint: usize) -> Result<Permit, SendErrorKind> {
        self.places.permit(endpoint).await
    }

    /// Whether there is room for a connection that no call needs yet.
    pub(super) fn has_room(&self, endpoint: usize) -> bool {
        let all = self.all.seen();
        all.open < all.max && self.places.has_room(endpoint)
    }

    /// Idle connections to `endpoint` on this core that will be so for a moment yet.
    pub(super) fn kept(&self, core: usize, endpoint: usize, now: Instant) -> usize {
        self.idle(core).iter().filter(|idle| idle.endpoint == endpoint && idle.until > now).count()
    }

    /// A connection to `endpoint` or room for one, for the holder of a permit: of the server's, or `of_endpoint` as well.
    /// `kept` allows one that was used before.
    pub(super) async fn place(
        &self,
        core: usize,
        (endpoint, of_endpoint): (usize, bool),
        now: Instant,
        kept: bool,
    ) -> Place {
        let to = (endpoint, of_endpoint);
        if !kept {
            return Place::New(self.room(core, to).await);
        }
        loop {
            if let Some(mut conn) = self.take(core, endpoint, now) {
                conn.slot().goes_to(of_endpoint);
                return Place::Kept(conn);
            }
            if let Some(slot) = self.places.slot(endpoint, of_endpoint) {
                return Place::New(slot);
            }
            if let Some(conn) = self.take_from_others(core, to, now) {
                return Place::Kept(conn);
            }
            self.make_room(core, to).await;
        }
    }

    /// Room for a new connection, for the holder of such a permit.
    pub(super) async fn room(&self, core: usize, (endpoint, of_endpoint): (usize, bool)) -> Slot {
        loop {
            if let Some(slot) = self.places.slot(endpoint, of_endpoint) {
                return slot;
            }
            self.make_room(core, (endpoint, of_endpoint)).await;
        }
    }

    async fn make_room(&self, core: usize, (endpoint, of_endpoint): (usize, bool)) {
        let is_full = of_endpoint && self.places.is_full(endpoint);
        if !self.close_any(core, is_full.then_some(endpoint)) {
            // Another core is between two steps.
            tokio::task::yield_now().await;
        }
    }

    /// The connection to `endpoint` that was used last and is still open.
    fn take(&self, core: usize, endpoint: usize, now: Instant) -> Option<Conn> {
        loop {
            let mut idle = self.idle(core);
            let at = idle.iter().rposition(|idle| idle.endpoint == endpoint)?;
            let mut found = idle.remove(at);
            drop(idle);
            if found.until > now && found.conn.is_quiet() {
                return Some(found.conn);
            }
        }
    }

    /// Whether the idle connection to `endpoint` that was used last, of some core, turns out closed. It is given up.
    pub(super) fn has_lost(&self, endpoint: usize, now: Instant) -> bool {
        let of_http1 = (0..self.cores.len()).any(|core| {
            let mut idle = self.idle(core);
            let newest = idle.iter().rposition(|idle| idle.endpoint == endpoint && idle.until > now);
            let lost = newest.filter(|at| !idle[*at].conn.is_quiet()).map(|at| idle.remove(at));
            drop(idle);
            lost.is_some()
        });
        self.lanes.as_ref().is_some_and(|lanes| lanes.has_lost(endpoint)) || of_http1
    }

    /// The same of another core.
    pub(super) fn take_from_others(
        &self,
        core: usize,
        (endpoint, of_endpoint): (usize, bool),
        now: Instant,
    ) -> Option<Conn> {
        self.others(core).find_map(|other| {
            let mut conn = self.take(other, endpoint, now)?;
            conn.slot().goes_to(of_endpoint);
            conn.rebind().is_ok().then_some(conn)
        })
    }

    /// Closes the idle connection that was unused for longest, to `endpoint` where only that helps: on this core or
    /// else another.
    fn close_any(&self, core: usize, endpoint: Option<usize>) -> bool {
        let fits = |idle: &Idle| endpoint.is_none_or(|endpoint| idle.endpoint == endpoint);
        std::iter::once(core).chain(self.others(core)).any(|core| {
            let mut idle = self.idle(core);
            let oldest = idle.iter().position(fits).map(|at| idle.remove(at));
            drop(idle);
            oldest.is_some()
        }) || self.lanes.as_ref().is_some_and(|lanes| lanes.close_one(endpoint))
    }

    fn others(&self, core: usize) -> impl Iterator<Item = usize> {
        (1..self.cores.len()).map(move |step| (core + step) % self.cores.len())
    }

    fn idle(&self, core: usize) -> MutexGuard<'_, Vec<Idle>> {
        lock(&self.cores[core].idle)
    }

    /// Keeps a connection whose answer was read to its clean end.
    pub(super) fn put(self: &Arc<Self>, core: usize, endpoint: usize, mut conn: Conn, now: Instant) {
        conn.trim();
        conn.reused = true;
        let home = &self.cores[core];
        // What follows is asked under the lock: a reload looks at what is idle after it has changed the answers.
        let mut idle = self.idle(core);
        let keep = self.keep.left(conn.idle, conn.born, now);
        if keep.is_zero() || !self.places.keep(conn.slot(), endpoint) {
            drop(idle);
            return;
        }
        idle.push(Idle { endpoint, since: now, until: now + keep, conn });
        // Likewise: whoever stands in line from here on finds it when it looks for idle ones.
        let given_up = if self.is_wanted() { idle.pop() } else { None };
        drop(idle);
        if given_up.is_some() {
            return;
        }
        if !home.reaping.swap(true, Ordering::AcqRel) {
            tokio::spawn(reap(Arc::downgrade(self), core, Arc::clone(&home.changed)));
        }
    }

    /// Closes what is too old; when the next one will be.
    fn reap(&self, core: usize) -> Option<Instant> {
        let home = &self.cores[core];
        let now = Instant::now();
        let mut idle = self.idle(core);
        let old: Vec<Idle> = idle.extract_if(.., |idle| idle.until <= now).collect();
        let next = idle.iter().map(|idle| idle.until).min();
        // Under the lock, so that a connection put from now on starts a new task.
        home.reaping.store(next.is_some(), Ordering::Release);
        drop(idle);
        drop(old);
        next
    }
}

impl connections::Idle for Pool {
    fn open(&self) -> usize {
        Pool::open(self)
    }

    fn idle(&self) -> usize {
        let of_http1: usize = (0..self.cores.len()).map(|core| self.idle(core).len()).sum();
        of_http1 + self.lanes.as_ref().map_or(0, Lanes::idle)
    }

    fn close_one(&self) -> bool {
        self.close_any(0, None)
    }
}

async fn reap(pool: Weak<Pool>, core: usize, changed: Arc<Notify>) {
    while let Some(next) = pool.upgrade().and_then(|pool| pool.reap(core)) {
        // Either way it looks again.
        let _ = timeout_at(next, changed.notified()).await;
    }
}
