//! The queue of a server: a permit at once where one is free, else a bounded wait for one.
//!
//! The queue stage enters; the permit rides with the call until its answer has ended. `protocol::permits`
//! decides; here are the lock, the wake-ups and the deadline. Only a call that must wait, and the release
//! that serves it, take the lock. A permit that is on its way to a call that has gone passes on to the next.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use toolgate_protocol::permits::{Entry, Line, Load, Permits, Release, Ticket};

/// Whom a call counts for when waiting calls are ordered, such as a hash of its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flow(pub u64);

/// Permits of one server and those who wait for one, shared by all cores.
pub struct Queue {
    permits: Permits,
    line: Mutex<Line<Flow, Waiter>>,
    /// Waiting at once.
    max_size: usize,
    /// Longest wait.
    timeout: Duration,
}

struct Waiter {
    since: Instant,
    admit: oneshot::Sender<Permit>,
}

/// The right to one call in flight; given back when dropped.
pub struct Permit(Option<Arc<Queue>>);

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(queue) = self.0.take()
            && queue.permits.release() == Release::Owed
        {
            queue.serve_next();
        }
    }
}

/// Why a call got no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// As many wait as may.
    Full {
        /// How many wait.
        waiting: usize,
    },
    /// It waited as long as it may.
    Deadline {
        /// How many were before it when it came.
        position: usize,
        /// How long it waited.
        waited: Duration,
    },
}

/// What an operator sees of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// Calls in flight.
    pub in_flight: usize,
    /// Calls that wait.
    pub waiting: usize,
    /// Calls that may be in flight.
    pub cap: usize,
    /// How long the next in line has waited; zero when nobody waits.
    pub oldest: Duration,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({:?})", self.snapshot())
    }
}

impl Queue {
    /// A queue with `cap` permits, where at most `max_size` calls wait, each no longer than `timeout`.
    #[must_use]
    pub fn new(cap: usize, max_size: usize, timeout: Duration) -> Arc<Self> {
        Arc::new(Self { permits: Permits::new(cap), line: Mutex::default(), max_size, timeout })
    }

    /// A permit where one is free and nobody waits: one atomic operation.
    #[must_use]
    pub fn try_enter(self: &Arc<Self>) -> Option<Permit> {
        self.permits.try_acquire().then(|| self.permit())
    }

    /// A permit, after waiting for it if need be. Dropping the future leaves the queue.
    pub async fn enter(self: &Arc<Self>, flow: Flow) -> Result<Permit, Refusal> {
        if let Some(permit) = self.try_enter() {
            return Ok(permit);
        }
        let since = Instant::now();
        let (admit, admitted) = oneshot::channel();
        let entry = self.permits.enter(&mut self.line(), flow, self.max_size, || Waiter { since, admit });
        let (ticket, position) = match entry {
            Entry::Admitted => return Ok(self.permit()),
            Entry::Full { waiting } => return Err(Refusal::Full { waiting }),
            Entry::Waiting { ticket, position } => (ticket, position),
        };
        let mut place = Place { queue: self, ticket, admitted };
        match tokio::time::timeout_at(since + self.timeout, &mut place.admitted).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Refusal::Deadline { position, waited: since.elapsed() }),
        }
    }

    /// The numbers of this instant.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let Load { in_flight, waiting, cap } = self.permits.load();
        let oldest = if waiting == 0 { None } else { self.line().iter().next().map(|(_, _, next)| next.since) };
        Snapshot { in_flight, waiting, cap, oldest: oldest.map_or(Duration::ZERO, |since| since.elapsed()) }
    }

    /// Changes the number of permits; calls in flight go on.
    pub fn set_cap(self: &Arc<Self>, cap: usize) {
        let line = self.line();
        self.permits.set_cap(cap);
        drop(line);
        loop {
            // The lock is free again before a permit moves: one that its heir no longer wants comes back here.
            let heir = self.permits.hand_out(&mut self.line());
            let Some(heir) = heir else { return };
            drop(heir.admit.send(self.permit()));
        }
    }

    /// Passes an owed permit to the next in line who still wants it.
    fn serve_next(self: &Arc<Self>) {
        loop {
            let heir = self.permits.hand_over(&mut self.line());
            let Some(heir) = heir else { return };
            let Err(mut unwanted) = heir.admit.send(self.permit()) else { return };
            // The heir left in this very moment: the permit is owed again, without another release.
            unwanted.0 = None;
        }
    }

    fn permit(self: &Arc<Self>) -> Permit {
        Permit(Some(Arc::clone(self)))
    }

    fn line(&self) -> MutexGuard<'_, Line<Flow, Waiter>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the line; leaves it when dropped.
struct Place<'a> {
    queue: &'a Queue,
    ticket: Ticket,
    admitted: oneshot::Receiver<Permit>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // A permit that was sent meanwhile is released with the receiver.
        drop(self.queue.permits.leave(&mut self.queue.line(), self.ticket));
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Waker};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    /// Polls once.
    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn permits_go_to_those_who_wait_in_their_order() {
        runtime().block_on(async {
            let queue = Queue::new(1, 2, LONG);
            let held = queue.enter(Flow(1)).await.unwrap();
            let (mut second, mut third) = (pin!(queue.enter(Flow(2))), pin!(queue.enter(Flow(1))));
            assert!(poll(second.as_mut()).is_pending() && poll(third.as_mut()).is_pending());
            assert_eq!(queue.enter(Flow(3)).await.unwrap_err(), Refusal::Full { waiting: 2 });
            assert_eq!((queue.snapshot().in_flight, queue.snapshot().waiting), (1, 2));
            drop(held);
            assert!(queue.try_enter().is_none(), "nobody overtakes");
            assert!(poll(third.as_mut()).is_pending());
            let held = second.await.unwrap();
            drop(held);
            drop(third.await.unwrap());
            assert_eq!((queue.snapshot().in_flight, queue.snapshot().waiting), (0, 0));
        });
    }

    #[test]
    fn a_wait_ends_at_its_deadline() {
        runtime().block_on(async {
            let queue = Queue::new(1, 2, Duration::from_millis(5));
            let held = queue.try_enter().unwrap();
            let Err(Refusal::Deadline { position: 0, waited }) = queue.enter(Flow(0)).await else { panic!() };
            assert!(waited >= Duration::from_millis(5));
            assert_eq!(queue.snapshot().waiting, 0);
            drop(held);
            assert!(queue.try_enter().is_some());
        });
    }

    #[test]
    fn one_who_leaves_takes_nothing_along() {
        runtime().block_on(async {
            let queue = Queue::new(1, 2, LONG);
            let held = queue.try_enter().unwrap();
            {
                let (mut gone, mut chosen) = (Box::pin(queue.enter(Flow(0))), Box::pin(queue.enter(Flow(0))));
                assert!(poll(gone.as_mut()).is_pending() && poll(chosen.as_mut()).is_pending());
                drop(gone);
                assert_eq!(queue.snapshot().waiting, 1);
                // The permit is sent, and its receiver dies before it looks.
                drop(held);
                assert_eq!(queue.snapshot().in_flight, 1);
            }
            assert_eq!((queue.snapshot().in_flight, queue.snapshot().waiting), (0, 0));
            let queue = Arc::into_inner(queue).expect("no permit is left");
            assert!(queue.line().is_empty());
        });
    }

    #[test]
    fn a_raised_cap_admits_those_who_wait() {
        runtime().block_on(async {
            let queue = Queue::new(1, 9, LONG);
            let _held = queue.try_enter().unwrap();
            let mut next = pin!(queue.enter(Flow(0)));
            assert!(poll(next.as_mut()).is_pending());
            queue.set_cap(2);
            next.await.unwrap();
        });
    }

    const CAP: usize = 3;

    async fn used(permit: Option<Permit>, inside: &AtomicUsize, served: &AtomicUsize) {
        let Some(permit) = permit else { return };
        assert!(inside.fetch_add(1, Ordering::SeqCst) < CAP, "more than the cap are in flight");
        tokio::task::yield_now().await;
        inside.fetch_sub(1, Ordering::SeqCst);
        served.fetch_add(1, Ordering::Relaxed);
        drop(permit);
    }

    #[test]
    fn cores_that_come_and_go_lose_no_permit_and_never_exceed_the_cap() {
        let queue = Queue::new(CAP, 16, LONG);
        let (inside, served) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for core in 0..4_u64 {
                let (queue, inside, served) = (&queue, &inside, &served);
                scope.spawn(move || {
                    runtime().block_on(tokio::task::LocalSet::new().run_until(async {
                        let call = async |number: u64| {
                            let mut entered = pin!(queue.enter(Flow(core)));
                            // Every third one goes away unless it is admitted within a few turns.
                            for _ in 0..number % 3 * 2 {
                                if let Poll::Ready(result) = poll(entered.as_mut()) {
                                    return result.ok();
                                }
                                tokio::task::yield_now().await;
                            }
                            if number % 3 == 1 { None } else { entered.await.ok() }
                        };
                        for round in 0..400 {
                            let one = async |number| used(call(number).await, inside, served).await;
                            tokio::join!(one(round), one(round + 1), one(round + 2));
                        }
                    }));
                });
            }
        });
        assert_eq!((queue.snapshot().in_flight, queue.snapshot().waiting), (0, 0));
        assert!(served.load(Ordering::Relaxed) > 1000, "{served:?} calls were served");
    }
}
