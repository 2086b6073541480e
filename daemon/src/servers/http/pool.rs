//! Connections of one server: how many there may be, and which ones are kept, per core and last in first out.
//!
//! Calls take and return them; a task per core, which exists only while something is idle, closes old ones.
//!
//! What must hold: connections in use or idle never exceed the bound. A call holds a permit while it has, or is
//! about to have, a connection; there are as many permits as connections may be open. So whoever holds a permit
//! and no connection finds room for a new one, or an idle one somewhere: it never has to wait.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::time::Instant;

use toolgate_protocol::permits;

use super::conn::Conn;
use crate::lock::lock;
use crate::servers::queue::{Flow, Permit, Queue, Refusal};

/// A place among the server's connections, held from connecting to closing.
#[derive(Debug)]
pub(super) struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Kept connections of one server.
pub(super) struct Pool {
    /// Connections, each counted by its slot.
    open: Arc<AtomicUsize>,
    bound: usize,
    /// Calls with a connection, and those that wait for one.
    users: Arc<Queue>,
    cores: Box<[Core]>,
    idle_timeout: Duration,
    max_age: Option<Duration>,
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
    pub(super) fn new(cores: usize, settings: &crate::config::settings::Pool, patience: Duration) -> Arc<Self> {
        let core = |_| Core { idle: Mutex::new(Vec::new()), reaping: AtomicBool::new(false) };
        let bound = settings.max_connections.clamp(1, permits::MAX);
        Arc::new(Self {
            open: Arc::new(AtomicUsize::new(0)),
            bound,
            users: Queue::new(bound, permits::MAX, patience),
            cores: (0..cores.max(1)).map(core).collect(),
            idle_timeout: settings.idle_timeout,
            max_age: settings.max_age,
        })
    }

    /// Connections in use or idle, on all cores.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Calls that wait for a connection.
    pub(super) fn waiting(&self) -> usize {
        self.users.snapshot().waiting
    }

    /// The right to a connection, where it is to be had at once.
    pub(super) fn try_permit(&self) -> Option<Permit> {
        self.users.try_enter(None)
    }

    /// The right to a connection, in the order of asking.
    pub(super) async fn permit(&self) -> Result<Permit, Refusal> {
        self.users.enter(Flow::default()).await
    }

    /// Whether there is room for a connection that no call needs yet.
    pub(super) fn has_room(&self) -> bool {
        self.open() < self.bound
    }

    /// Idle connections to `endpoint` on this core that will be so for a moment yet.
    pub(super) fn kept(&self, core: usize, endpoint: usize, now: Instant) -> usize {
        self.idle(core).iter().filter(|idle| idle.endpoint == endpoint && idle.until > now).count()
    }

    /// A connection to `endpoint` or room for one, for the holder of a permit. `kept` allows one that was used before.
    pub(super) async fn place(&self, core: usize, endpoint: usize, now: Instant, kept: bool) -> Place {
        loop {
            if kept && let Some(conn) = self.take(core, endpoint, now) {
                return Place::Kept(conn);
            }
            if let Some(slot) = self.slot() {
                return Place::New(slot);
            }
            if kept && let Some(conn) = self.take_from_others(core, endpoint, now) {
                return Place::Kept(conn);
            }
            if !self.close_any(core) {
                // Another core is between two of these steps.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Room for a new connection, below the bound.
    fn slot(&self) -> Option<Slot> {
        let more = |open| (open < self.bound).then_some(open + 1);
        self.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(Slot(Arc::clone(&self.open)))
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

    fn take_from_others(&self, core: usize, endpoint: usize, now: Instant) -> Option<Conn> {
        self.others(core).find_map(|other| {
            let mut conn = self.take(other, endpoint, now)?;
            conn.rebind().is_ok().then_some(conn)
        })
    }

    /// Closes the idle connection that was unused for longest, on this core or else another.
    fn close_any(&self, core: usize) -> bool {
        std::iter::once(core).chain(self.others(core)).any(|core| {
            let mut idle = self.idle(core);
            let oldest = if idle.is_empty() { None } else { Some(idle.remove(0)) };
            drop(idle);
            oldest.is_some()
        })
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
        self.idle(core).push(Idle { endpoint, until, conn });
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

async fn reap(pool: Weak<Pool>, core: usize) {
    while let Some(next) = pool.upgrade().and_then(|pool| pool.reap(core)) {
        tokio::time::sleep_until(next).await;
    }
}
