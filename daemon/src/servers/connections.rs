//! Connections to servers in all: how many there may be, whichever server they are to.
//!
//! A pool asks when it opens a connection, never when it uses one again. Each has a share: the bound, divided by the
//! pools. At the bound idle connections of pools that have more than that give way, from the one that has most idle;
//! where there are none, whoever asks waits, and the pools take turns. A pool that has its share leaves a tenth of all
//! to those that have not, and more where that was too little, up to a quarter; and it waits apart, for a moment in which
//! none of those does. So a server that hangs, with all of its callers waiting, takes from no other what it needs to go
//! on, however often that asks.
//!
//! What must hold: whoever waits holds no connection, so nobody waits for itself; and while somebody waits, no
//! connection becomes idle in a pool that has more than its share.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use toolgate_protocol::permits;

use super::queue::{Flow, Permit, Queue};
use crate::lock::lock;

/// What a pool weighs that has no more than its share, beside one that has more: what is kept for it follows that.
const WEIGHT: u32 = permits::MAX_WEIGHT;

/// Tells pools apart where they wait.
static NEXT_POOL: AtomicU64 = AtomicU64::new(1);

/// A pool that can part with what it does not use.
pub trait Idle: Send + Sync {
    /// Connections in use or idle.
    fn open(&self) -> usize;

    /// Connections that nobody uses.
    fn idle(&self) -> usize;

    /// Closes the one that was unused for longest; whether there was one.
    fn close_one(&self) -> bool;
}

/// All connections to servers.
pub struct Connections {
    queue: Arc<Queue>,
    /// Those who have more than their share: one of them at a time looks whether it may have a connection.
    beyond: Arc<Queue>,
    /// Tells that one to look.
    freed: Notify,
    max: AtomicUsize,
    pools: Mutex<Vec<Weak<dyn Idle>>>,
    /// What each pool may have in peace.
    share: AtomicUsize,
}

/// A pool, as it asks for connections.
#[derive(Debug, Clone, Copy)]
pub struct Pool {
    /// Tells it from others.
    pub number: u64,
    /// Connections that it has.
    pub open: usize,
}

/// The right to a connection, given back when dropped.
#[derive(Debug)]
pub struct Right {
    permit: Option<Permit>,
    all: Arc<Connections>,
}

impl Drop for Right {
    fn drop(&mut self) {
        drop(self.permit.take());
        self.all.freed.notify_one();
    }
}

/// A number for a pool.
#[must_use]
pub fn number() -> u64 {
    NEXT_POOL.fetch_add(1, Ordering::Relaxed)
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
        let long = Duration::from_secs(3600);
        let (queue, beyond) = (Queue::new(bound(max), permits::MAX, long), Queue::new(1, permits::MAX, long));
        let (max, share) = (AtomicUsize::new(bound(max)), AtomicUsize::new(bound(max)));
        Arc::new(Self { queue, beyond, freed: Notify::new(), max, pools: Mutex::default(), share })
    }

    /// Changes how many there may be. Those that are open stay.
    pub fn set_max(&self, max: usize) {
        self.max.store(bound(max), Ordering::Relaxed);
        self.queue.set_cap(bound(max));
        self.divide(&mut lock(&self.pools));
        self.freed.notify_one();
    }

    /// To be called once a second: what is kept for pools that have less than their share follows what they need.
    pub fn tick(&self) {
        self.queue.tick();
        self.freed.notify_one();
    }

    /// Whether a pool with so many connections has no more than it may have in peace.
    fn is_within_share(&self, open: usize) -> bool {
        open <= self.share.load(Ordering::Relaxed)
    }

    /// Divides the bound by the pools that there are.
    fn divide(&self, pools: &mut Vec<Weak<dyn Idle>>) {
        pools.retain(|pool| pool.strong_count() > 0);
        self.share.store(self.max.load(Ordering::Relaxed) / pools.len().max(1), Ordering::Relaxed);
    }

    /// The numbers of this instant.
    #[must_use]
    pub fn seen(&self) -> Seen {
        let (seen, beyond) = (self.queue.snapshot(), self.beyond.snapshot());
        Seen { open: seen.in_flight, max: seen.cap, waiting: seen.waiting + beyond.in_flight + beyond.waiting }
    }

    /// Whether somebody waits for a connection that a pool with so many has to give up: two loads where nobody waits.
    #[must_use]
    pub fn wants_from(&self, open: usize) -> bool {
        (self.queue.is_awaited() || self.beyond.is_in_use()) && !self.is_within_share(open)
    }

    /// A pool whose idle connections count from now on.
    pub fn join(&self, pool: Weak<dyn Idle>) {
        let mut pools = lock(&self.pools);
        pools.push(pool);
        self.divide(&mut pools);
    }

    /// Where a pool stands that asks with its next connection counted already.
    fn place(&self, pool: Pool) -> permits::Flow {
        let weight = if self.is_within_share(pool.open) { WEIGHT } else { 1 };
        permits::Flow { tier: 0, weight, client: pool.number }
    }

    /// Room for a connection of a pool that has counted it, where there is some at once and nobody waits who is before
    /// it.
    #[must_use]
    pub fn try_open(self: &Arc<Self>, pool: Pool) -> Option<Right> {
        let place = self.place(pool);
        if place.weight < WEIGHT && self.beyond.is_in_use() {
            return None;
        }
        self.queue.try_enter_as(place).map(|permit| self.right(permit))
    }

    /// Room for a connection of a pool that has counted it; `None` where there was none until the deadline.
    pub async fn open(self: &Arc<Self>, pool: Pool, deadline: Instant) -> Option<Right> {
        if let Some(right) = self.try_open(pool) {
            return Some(right);
        }
        let place = self.place(pool);
        let entered =
            async { if place.weight < WEIGHT { self.enter_beyond(place).await } else { self.enter(place).await } };
        let permit = timeout_at(deadline, entered).await.ok().flatten()?;
        Some(self.right(permit))
    }

    fn right(self: &Arc<Self>, permit: Permit) -> Right {
        Right { permit: Some(permit), all: Arc::clone(self) }
    }

    async fn enter(&self, place: permits::Flow) -> Option<Permit> {
        let mut entering = pin!(self.queue.enter(Flow::Other(place)));
        let making_room = async {
            self.close_one();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            // First it stands in line: whatever becomes idle from then on is closed by whoever puts it back.
            biased;
            entered = &mut entering => entered.ok(),
            () = making_room => None,
        }
    }

    /// The same for one that has more than its share: it never stands before anybody who has not.
    async fn enter_beyond(&self, place: permits::Flow) -> Option<Permit> {
        let _turn = self.beyond.enter(Flow::Other(place)).await.ok()?;
        loop {
            // What is closed here or given back meanwhile is told, and kept for the next look.
            if let Some(permit) = self.queue.try_enter_as(place) {
                return Some(permit);
            }
            self.close_one();
            self.freed.notified().await;
        }
    }

    fn close_one(&self) {
        let mut pools: Vec<_> = lock(&self.pools).iter().filter_map(Weak::upgrade).collect();
        pools.retain(|pool| !self.is_within_share(pool.open()));
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

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::pin::Pin;
    use std::task::Poll;

    use proptest::prelude::*;

    use super::*;

    /// A pool that has nothing idle.
    struct Busy(AtomicUsize);

    impl Idle for Busy {
        fn open(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }

        fn idle(&self) -> usize {
            0
        }

        fn close_one(&self) -> bool {
            false
        }
    }

    /// What is ready at once.
    async fn at_once<T>(mut asked: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        poll_fn(|context| match asked.as_mut().poll(context) {
            Poll::Ready(had) => Poll::Ready(Some(had)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    /// Lets each of a crowd have what it can, which it keeps.
    async fn pressed<F: Future<Output = Option<Right>>>(crowd: &mut Vec<Pin<Box<F>>>, taken: &mut Vec<Right>) {
        let mut rest = Vec::new();
        for mut asked in crowd.drain(..) {
            match at_once(asked.as_mut()).await {
                Some(had) => taken.extend(had),
                None => rest.push(asked),
            }
        }
        *crowd = rest;
    }

    fn pools(all: &Connections, number: usize) -> Vec<Arc<Busy>> {
        let pools: Vec<_> = (0..number).map(|_| Arc::new(Busy(AtomicUsize::new(0)))).collect();
        for pool in &pools {
            let joins: Weak<Busy> = Arc::downgrade(pool);
            all.join(joins);
        }
        pools
    }

    fn on_a_clock_that_stands<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(work)
    }

    proptest! {
        /// One pool has a crowd that wants connections and gives none back. Whatever the others open and close, a tenth
        /// of all is theirs at once, however often they come; and nobody ever has more than there are.
        #[test]
        fn a_pool_that_gives_nothing_back_leaves_the_others_their_tenth(
            cap in 20..120usize, others in 1..5usize, steps in prop::collection::vec((0..4usize, any::<bool>()), 1..400)
        ) {
            on_a_clock_that_stands(async {
                let all = Connections::new(cap);
                let pools = pools(&all, others + 1);
                let end = Instant::now() + Duration::from_secs(1000);
                let mut crowd: Vec<_> = (1..=2 * cap)
                    .map(|open| Box::pin(all.open(Pool { number: 1000, open }, end)))
                    .collect();
                let mut taken = Vec::new();
                pressed(&mut crowd, &mut taken).await;
                let share = cap / (others + 1);
                let tenth = (cap / 10).min(share);
                let mut open: Vec<(usize, Right)> = Vec::new();
                for (pool, opens) in steps {
                    let pool = pool % others;
                    if opens && open.len() < tenth {
                        let count = pools[pool].0.fetch_add(1, Ordering::Relaxed) + 1;
                        let mut asked = Box::pin(all.open(Pool { number: pool as u64, open: count }, end));
                        let had = at_once(asked.as_mut()).await.flatten();
                        prop_assert!(had.is_some(), "{} of {tenth} are open", open.len());
                        open.extend(had.map(|permit| (pool, permit)));
                    } else if let Some(at) = open.iter().position(|(of, _)| *of == pool) {
                        drop(open.remove(at));
                        pools[pool].0.fetch_sub(1, Ordering::Relaxed);
                    }
                    pressed(&mut crowd, &mut taken).await;
                    prop_assert!(all.seen().open <= cap, "{:?}", all.seen());
                }
                Ok(())
            })?;
        }
    }

    #[test]
    fn a_lone_pool_may_have_everything() {
        on_a_clock_that_stands(async {
            let all = Connections::new(100);
            let _pools = pools(&all, 1);
            let end = Instant::now() + Duration::from_secs(1);
            let mut had = Vec::new();
            for open in 1..=100 {
                had.push(all.open(Pool { number: 1, open }, end).await.expect("room"));
            }
            assert_eq!(all.seen(), Seen { open: 100, max: 100, waiting: 0 });
        });
    }
}
