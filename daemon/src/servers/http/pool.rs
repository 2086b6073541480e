//! Kept connections of one server, per core and endpoint, last in first out.
//!
//! Calls take and return them; a task per core, which exists only while something is idle, closes old ones.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::conn::Conn;

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
    open: Arc<AtomicUsize>,
    cores: Box<[Core]>,
    idle_timeout: Duration,
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
    pub(super) fn new(cores: usize, settings: &crate::config::settings::Pool) -> Arc<Self> {
        let core = |_| Core { idle: Mutex::new(Vec::new()), reaping: AtomicBool::new(false) };
        Arc::new(Self {
            open: Arc::new(AtomicUsize::new(0)),
            cores: (0..cores).map(core).collect(),
            idle_timeout: settings.idle_timeout,
        })
    }

    /// Connections in use or idle, on all cores.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    pub(super) fn slot(&self) -> Slot {
        self.open.fetch_add(1, Ordering::AcqRel);
        Slot(Arc::clone(&self.open))
    }

    /// The connection to `endpoint` that was used last and is still open.
    pub(super) fn take(&self, core: usize, endpoint: usize) -> Option<Conn> {
        let now = Instant::now();
        loop {
            let mut idle = self.cores[core].idle.lock().unwrap_or_else(PoisonError::into_inner);
            let at = idle.iter().rposition(|idle| idle.endpoint == endpoint)?;
            let mut found = idle.remove(at);
            drop(idle);
            if found.until > now && found.conn.is_quiet() {
                return Some(found.conn);
            }
        }
    }

    /// Keeps a connection whose answer was read to its clean end.
    pub(super) fn put(self: &Arc<Self>, core: usize, endpoint: usize, mut conn: Conn) {
        // The margin keeps a call from meeting the server's own close.
        let announced = conn.idle.map(|idle| idle.saturating_sub(Duration::from_secs(1)));
        let keep = announced.map_or(self.idle_timeout, |announced| announced.min(self.idle_timeout));
        if keep.is_zero() {
            return;
        }
        conn.trim();
        conn.reused = true;
        let home = &self.cores[core];
        let until = Instant::now() + keep;
        home.idle.lock().unwrap_or_else(PoisonError::into_inner).push(Idle { endpoint, until, conn });
        if !home.reaping.swap(true, Ordering::AcqRel) {
            tokio::spawn(reap(Arc::downgrade(self), core));
        }
    }

    /// Closes what is too old; when the next one will be.
    fn reap(&self, core: usize) -> Option<Instant> {
        let home = &self.cores[core];
        let now = Instant::now();
        let mut idle = home.idle.lock().unwrap_or_else(PoisonError::into_inner);
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
