//! Connections to servers in all: how many there may be, whichever server they are to.
//!
//! A pool asks when it opens a connection, never when it uses one again. At the bound the idle connections of others
//! give way, from the pool that has most; where none is idle, whoever asks waits in the order of asking. What must
//! hold: whoever waits holds no connection, so nobody waits for itself; and while somebody waits, no connection
//! becomes idle.

use std::pin::pin;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use toolgate_protocol::permits;

use super::queue::{Flow, Permit, Queue};
use crate::lock::lock;

/// A pool that can part with what it does not use.
pub trait Idle: Send + Sync {
    /// Connections that nobody uses.
    fn idle(&self) -> usize;

    /// Closes the one that was unused for longest; whether there was one.
    fn close_one(&self) -> bool;
}

/// All connections to servers.
pub struct Connections {
    queue: Arc<Queue>,
    pools: Mutex<Vec<Weak<dyn Idle>>>,
}

/// Connections in all, as operators see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// In use or idle.
    pub open: usize,
    /// As many as may be.
    pub max: usize,
    /// Calls that wait for one.
    pub waiting: usize,
}

impl Connections {
    /// Room for so many.
    #[must_use]
    pub fn new(max: usize) -> Arc<Self> {
        // Whoever asks has a deadline of its own.
        let queue = Queue::new(bound(max), permits::MAX, Duration::from_secs(3600));
        Arc::new(Self { queue, pools: Mutex::default() })
    }

    /// Changes how many there may be. Those that are open stay.
    pub fn set_max(&self, max: usize) {
        self.queue.set_cap(bound(max));
    }

    /// The numbers of this instant.
    #[must_use]
    pub fn seen(&self) -> Seen {
        let seen = self.queue.snapshot();
        Seen { open: seen.in_flight, max: seen.cap, waiting: seen.waiting }
    }

    /// Whether somebody waits: one load.
    #[must_use]
    pub fn are_awaited(&self) -> bool {
        self.queue.is_awaited()
    }

    /// A pool whose idle connections count from now on.
    pub fn join(&self, pool: Weak<dyn Idle>) {
        let mut pools = lock(&self.pools);
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(pool);
    }

    /// Room for a connection where there is some at once.
    #[must_use]
    pub fn try_open(&self) -> Option<Permit> {
        self.queue.try_enter(None)
    }

    /// Room for a connection; `None` where there was none until the deadline.
    pub async fn open(&self, deadline: Instant) -> Option<Permit> {
        if let Some(permit) = self.try_open() {
            return Some(permit);
        }
        let mut entering = pin!(self.queue.enter(Flow::default()));
        let making_room = async {
            self.close_one();
            std::future::pending::<()>().await;
        };
        let entered = async {
            tokio::select! {
                // First it stands in line: whatever becomes idle from then on is closed by whoever puts it back.
                biased;
                entered = &mut entering => entered.ok(),
                () = making_room => None,
            }
        };
        timeout_at(deadline, entered).await.ok().flatten()
    }

    fn close_one(&self) {
        let mut pools: Vec<_> = lock(&self.pools).iter().filter_map(Weak::upgrade).collect();
        pools.sort_by_cached_key(|pool| std::cmp::Reverse(pool.idle()));
        // One that has had some may have lent them meanwhile.
        let _ = pools.iter().any(|pool| pool.close_one());
    }
}

fn bound(max: usize) -> usize {
    max.clamp(1, permits::MAX)
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connections({:?})", self.seen())
    }
}
