//! Connections of one server: how many there may be, and which ones are kept, per core and last in first out.
//!
//! Calls take and return them; a task per core, which exists only while something is idle, closes old ones.
//!
//! What must hold: connections in use or idle never exceed the bound. A call holds a permit while it has, or is
//! about to have, a connection; there are as many permits as connections may be open. So whoever holds a permit
//! and no connection finds room for a new one, or an idle one somewhere: it never has to wait. The same holds of each
//! endpoint, where these have a bound. The bound of all servers' connections stands behind both: there a call may wait
//! with its right, but without a connection.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::time::Instant;

use toolgate_protocol::permits;

use super::conn::Conn;
use super::error::SendErrorKind;
use super::lanes::Lanes;
use crate::lock::lock;
use crate::servers::connections::{self, Connections, Right, Seen};
use crate::servers::queue::{Flow, Permit, Queue};

/// A place among the server's connections, held from connecting to closing.
#[derive(Debug)]
pub(super) struct Slot {
    /// The server's, and the endpoint's.
    counts: [Arc<AtomicUsize>; 2],
}

impl Drop for Slot {
    fn drop(&mut self) {
        for count in &self.counts {
            count.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Kept connections of one server.
pub(super) struct Pool {
    /// Connections, each counted by its slot.
    open: Arc<AtomicUsize>,
    bound: usize,
    /// Those to each endpoint.
    open_to: Box<[Arc<AtomicUsize>]>,
    bound_to_each: usize,
    /// Calls with a connection, and those that wait for one.
    users: Arc<Queue>,
    /// Those of each endpoint, where endpoints have a bound of their own.
    users_of: Option<Box<[Arc<Queue>]>>,
    cores: Box<[Core]>,
    /// Connections that calls share, where HTTP/2 is spoken.
    lanes: Option<Lanes>,
    idle_timeout: Duration,
    max_age: Option<Duration>,
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
}

struct Idle {
    endpoint: usize,
    until: Instant,
    conn: Conn,
}

impl Pool {
    /// `patience` is how long a call may wait for a connection to become free.
    pub(super) fn new(
        cores: usize,
        endpoints: usize,
        settings: &crate::config::settings::Pool,
        patience: Duration,
        all: &Arc<Connections>,
    ) -> Arc<Self> {
        let core = |_| Core { idle: Mutex::new(Vec::new()), reaping: AtomicBool::new(false) };
        let bound = settings.max_connections.clamp(1, permits::MAX);
        let bound_to_each = settings.max_per_endpoint.map_or(bound, |each| each.clamp(1, bound));
        let queue = |_| Queue::new(bound_to_each, permits::MAX, patience);
        let pool = Arc::new(Self {
            open: Arc::default(),
            bound,
            open_to: (0..endpoints).map(|_| Arc::default()).collect(),
            bound_to_each,
            users: Queue::new(bound, permits::MAX, patience),
            users_of: settings.max_per_endpoint.map(|_| (0..endpoints).map(queue).collect()),
            cores: (0..cores.max(1)).map(core).collect(),
            lanes: settings.http2.then(|| Lanes::new(cores.max(1), endpoints, settings.idle_timeout, settings.max_age)),
            idle_timeout: settings.idle_timeout,
            max_age: settings.max_age,
            all: Arc::clone(all),
            number: connections::number(),
        });
        let this: Weak<Self> = Arc::downgrade(&pool);
        all.join(this);
        pool
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
        self.open.load(Ordering::Relaxed)
    }

    /// Calls that wait for a connection.
    pub(super) fn waiting(&self) -> usize {
        let endpoints = self.users_of.iter().flatten().map(|users| users.snapshot().waiting).sum::<usize>();
        self.users.snapshot().waiting + endpoints + self.lanes.as_ref().map_or(0, Lanes::waiting)
    }

    /// The same with the bound and those who wait, and how many are to each endpoint.
    pub(super) fn seen(&self) -> (Seen, Vec<usize>) {
        let seen = Seen { open: self.open(), max: self.bound, waiting: self.waiting() };
        (seen, self.open_to.iter().map(|open| open.load(Ordering::Relaxed)).collect())
    }

    /// The right to a connection, where it is to be had at once.
    pub(super) fn try_permit(&self, endpoint: usize) -> Option<Permit> {
        let own = match &self.users_of {
            None => return self.users.try_enter(None),
            Some(users) => users[endpoint].try_enter(None)?,
        };
        Some(self.users.try_enter(None)?.with(Some(own)))
    }

    /// The right to a connection, in the order of asking: first the endpoint's, so that calls which wait for a busy
    /// endpoint are in nobody's way. The bound that was reached, where it is not to be had in time.
    pub(super) async fn permit(&self, endpoint: usize) -> Result<Permit, SendErrorKind> {
        let own = match &self.users_of {
            None => None,
            Some(users) => {
                let entered = users[endpoint].enter(Flow::default()).await;
                Some(entered.map_err(|_| SendErrorKind::EndpointBound)?)
            }
        };
        let permit = self.users.enter(Flow::default()).await.map_err(|_| SendErrorKind::Bound)?;
        Ok(permit.with(own))
    }

    /// Whether there is room for a connection that no call needs yet.
    pub(super) fn has_room(&self, endpoint: usize) -> bool {
        let all = self.all.seen();
        all.open < all.max && self.open() < self.bound && !self.is_full(endpoint)
    }

    fn is_full(&self, endpoint: usize) -> bool {
        self.open_to[endpoint].load(Ordering::Acquire) >= self.bound_to_each
    }

    /// Idle connections to `endpoint` on this core that will be so for a moment yet.
    pub(super) fn kept(&self, core: usize, endpoint: usize, now: Instant) -> usize {
        self.idle(core).iter().filter(|idle| idle.endpoint == endpoint && idle.until > now).count()
    }

    /// A connection to `endpoint` or room for one, for the holder of a permit. `kept` allows one that was used before.
    pub(super) async fn place(&self, core: usize, endpoint: usize, now: Instant, kept: bool) -> Place {
        if !kept {
            return Place::New(self.room(core, endpoint).await);
        }
        loop {
            if let Some(conn) = self.take(core, endpoint, now) {
                return Place::Kept(conn);
            }
            if let Some(slot) = self.slot(endpoint) {
                return Place::New(slot);
            }
            if let Some(conn) = self.take_from_others(core, endpoint, now) {
                return Place::Kept(conn);
            }
            self.make_room(core, endpoint).await;
        }
    }

    /// Room for a new connection, for the holder of a permit.
    pub(super) async fn room(&self, core: usize, endpoint: usize) -> Slot {
        loop {
            if let Some(slot) = self.slot(endpoint) {
                return slot;
            }
            self.make_room(core, endpoint).await;
        }
    }

    async fn make_room(&self, core: usize, endpoint: usize) {
        if !self.close_any(core, self.is_full(endpoint).then_some(endpoint)) {
            // Another core is between two steps.
            tokio::task::yield_now().await;
        }
    }

    /// Room for a new connection, below both bounds.
    fn slot(&self, endpoint: usize) -> Option<Slot> {
        let below = |bound| move |open| (open < bound).then_some(open + 1);
        let (open, to) = (&self.open, &self.open_to[endpoint]);
        open.fetch_update(Ordering::AcqRel, Ordering::Acquire, below(self.bound)).ok()?;
        if to.fetch_update(Ordering::AcqRel, Ordering::Acquire, below(self.bound_to_each)).is_err() {
            open.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        Some(Slot { counts: [Arc::clone(open), Arc::clone(to)] })
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
    pub(super) fn take_from_others(&self, core: usize, endpoint: usize, now: Instant) -> Option<Conn> {
        self.others(core).find_map(|other| {
            let mut conn = self.take(other, endpoint, now)?;
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
        // The margin keeps a call from meeting the server's own close.
        let announced = conn.idle.map(|idle| idle.saturating_sub(Duration::from_secs(1)));
        let mut keep = announced.map_or(self.idle_timeout, |announced| announced.min(self.idle_timeout));
        if let Some(max_age) = self.max_age {
            keep = keep.min(max_age.saturating_sub(now.saturating_duration_since(conn.born)));
        }
        if keep.is_zero() {
            return;
        }
        conn.trim();
        conn.reused = true;
        let home = &self.cores[core];
        let until = now + keep;
        let mut idle = self.idle(core);
        idle.push(Idle { endpoint, until, conn });
        // Asked under the lock: whoever stands in line from here on finds it when it looks for idle ones.
        let given_up = if self.is_wanted() { idle.pop() } else { None };
        drop(idle);
        if given_up.is_some() {
            return;
        }
        if !home.reaping.swap(true, Ordering::AcqRel) {
            tokio::spawn(reap(Arc::downgrade(self), core));
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

async fn reap(pool: Weak<Pool>, core: usize) {
    while let Some(next) = pool.upgrade().and_then(|pool| pool.reap(core)) {
        tokio::time::sleep_until(next).await;
    }
}
