//! The queue of a server: a permit at once where one is free, else a bounded wait for one.
//!
//! The queue stage enters; the permit rides with the call until its answer has ended. `protocol::permits`
//! decides; here are the lock, the wake-ups and the deadline. Only a call that must wait, and the release
//! that serves it, take the lock. A permit that is on its way to a call that has gone passes on to the next.

mod apart;
mod meter;
mod seen;

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use toolgate_protocol::permits::{self, Entry, Line, Pace, Permits, Release, Ticket};

pub use meter::Sample;
pub use seen::{Snapshot, TierSeen, WaitingSeen};

use crate::clock;
use crate::identity::Client;
use crate::lock::lock;
use apart::{Aside, PerClient};
use meter::Meter;

/// Whom a waiting call counts for; the default is for callers that are all alike.
#[derive(Debug, Clone, Default)]
pub enum Flow {
    /// Nobody in particular.
    #[default]
    Alike,
    /// This client.
    Client(Arc<Client>),
    /// Something that is no client, such as one of several servers.
    Other(permits::Flow),
}

impl Flow {
    /// Calls of this client.
    #[must_use]
    pub fn of(client: &Arc<Client>) -> Self {
        Self::Client(Arc::clone(client))
    }

    fn client(&self) -> Option<&Arc<Client>> {
        match self {
            Self::Client(client) => Some(client),
            Self::Alike | Self::Other(_) => None,
        }
    }

    fn place(&self) -> permits::Flow {
        match self {
            Self::Alike => permits::Flow::default(),
            Self::Client(client) => client.flow,
            Self::Other(place) => *place,
        }
    }
}

/// Permits of one server and those who wait for one, shared by all cores.
pub struct Queue {
    permits: Permits,
    line: Mutex<Waiting>,
    /// Waiting at once.
    max_size: AtomicUsize,
    /// Longest wait, in nanoseconds.
    timeout: AtomicU64,
    /// Wakes those who wait when the bounds are others.
    rebound: Notify,
    /// What one client may have at once.
    clients: Option<PerClient>,
    /// Tiers have the same weight here.
    is_even: bool,
    meter: Meter,
}

#[derive(Default)]
struct Waiting {
    line: Line<Waiter>,
    pace: Pace,
}

struct Waiter {
    since: Instant,
    flow: Flow,
    /// Dropped unsent, it tells that the place went to somebody else.
    admit: oneshot::Sender<Result<Permit, Reason>>,
}

/// The right to one call in flight; given back when dropped.
#[derive(Default)]
pub struct Permit {
    queue: Option<Arc<Queue>>,
    /// The client's own permit, where each client has only so many.
    own: Option<Arc<Queue>>,
    /// When it was had, where that is measured.
    since: Option<Instant>,
    /// Whether its server has answered: else how long it was held says nothing of the server.
    answered: bool,
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(queue) = self.queue.take() else { return };
        if let Some(since) = self.since.filter(|_| self.answered) {
            queue.meter.note(since.elapsed());
        }
        queue.release();
        // Last: whoever waits behind this client's own calls joins the line after those who are in it.
        if let Some(own) = self.own.take() {
            own.release();
        }
    }
}

/// Why a call got no permit, and when it may come back, where that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// By how fast the line has moved.
    pub retry_after: Option<Duration>,
}

/// Why a call got no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// As many wait as may.
    Full,
    /// As many of this client wait behind its own calls as may.
    Own,
    /// The line was full, and the place went to one who had fewer.
    Displaced,
    /// It waited as long as it may.
    Deadline,
    /// The operator took it out.
    Purged,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({:?})", self.permits.load())
    }
}

impl Queue {
    /// A queue with `cap` permits, where at most `max_size` calls wait, each no longer than `timeout`.
    #[must_use]
    pub fn new(cap: usize, max_size: usize, timeout: Duration) -> Arc<Self> {
        Arc::new(Self::with(cap, max_size, timeout, None))
    }

    /// The same, where each client has at most `per_client` permits at once; 0: as many as there are.
    #[must_use]
    pub fn for_clients(cap: usize, per_client: usize, max_size: usize, timeout: Duration) -> Arc<Self> {
        let clients = PerClient::new(per_client, max_size, timeout);
        Arc::new(Self::with(cap, max_size, timeout, Some(clients)))
    }

    /// `cap` permits for what lasts long, of which each client has at most `per_client`: nobody waits for one, and none is
    /// held back for heavier tiers.
    #[must_use]
    pub fn for_lasting(cap: usize, per_client: usize) -> Arc<Self> {
        let clients = PerClient::new(per_client, 0, Duration::ZERO);
        Arc::new(Self { is_even: true, ..Self::with(cap, 0, Duration::ZERO, Some(clients)) })
    }

    fn with(cap: usize, max_size: usize, timeout: Duration, clients: Option<PerClient>) -> Self {
        let (permits, line, meter) = (Permits::new(cap), Mutex::default(), Meter::default());
        let (max_size, timeout) = (AtomicUsize::new(max_size), AtomicU64::new(nanos(timeout)));
        Self { permits, line, max_size, timeout, rebound: Notify::new(), clients, is_even: false, meter }
    }

    /// How many may wait, and for how long.
    #[must_use]
    pub fn bounds(&self) -> (usize, Duration) {
        let timeout = Duration::from_nanos(self.timeout.load(Ordering::Relaxed));
        (self.max_size.load(Ordering::Relaxed), timeout)
    }

    /// Other bounds: how many may wait, for calls that come from now on; how long, also for those that wait already.
    pub fn bound(&self, max_size: usize, timeout: Duration) {
        self.max_size.store(max_size, Ordering::Relaxed);
        if self.timeout.swap(nanos(timeout), Ordering::Release) != nanos(timeout) {
            self.rebound.notify_waiters();
        }
        if let Some(clients) = &self.clients {
            clients.bound(max_size, timeout);
        }
    }

    /// A permit where one is free and nobody waits: one atomic operation, and one more where clients are bounded.
    #[must_use]
    pub fn try_enter(self: &Arc<Self>, client: Option<&Client>) -> Option<Permit> {
        let own = match client.and_then(|client| self.own(client.flow.client)) {
            Some(own) => Some(own.try_enter(None)?),
            None => None,
        };
        let flow = client.map(|client| client.flow).unwrap_or_default();
        self.permits.try_acquire(flow).then(|| self.permit().with(own))
    }

    /// The same for something that is no client.
    #[must_use]
    pub fn try_enter_as(self: &Arc<Self>, place: permits::Flow) -> Option<Permit> {
        self.permits.try_acquire(place).then(|| self.permit())
    }

    /// A permit, after waiting for it if need be. Dropping the future leaves the queue.
    pub async fn enter(self: &Arc<Self>, flow: Flow) -> Result<Permit, Refusal> {
        let since = Instant::now();
        let own = match flow.client().and_then(|client| self.own(client.flow.client)) {
            Some(own) => Some(self.enter_own(&own, since).await?),
            None => None,
        };
        Ok(self.wait(flow, since).await?.with(own))
    }

    /// A permit of the client's own; the rest of its calls wait for it beside the line, where they are in nobody's way.
    async fn enter_own(&self, own: &Arc<Self>, since: Instant) -> Result<Permit, Refusal> {
        if let Some(permit) = own.try_enter(None) {
            return Ok(permit);
        }
        let full = || Refusal { reason: Reason::Own, retry_after: None };
        let _aside: Aside<'_> = self.clients.as_ref().and_then(PerClient::step_aside).ok_or_else(full)?;
        let waited = own.wait(Flow::default(), since).await;
        waited.map_err(|refusal| match refusal.reason {
            Reason::Full => Refusal { reason: Reason::Own, ..refusal },
            _ => refusal,
        })
    }

    async fn wait(self: &Arc<Self>, flow: Flow, since: Instant) -> Result<Permit, Refusal> {
        let (admit, admitted) = oneshot::channel();
        let weight = if self.is_even { 1 } else { flow.place().weight };
        let (place, now) = (permits::Flow { weight, ..flow.place() }, clock::nanos());
        let (entry, refused_until, heirs) = {
            let mut waiting = self.waiting();
            let Waiting { line, pace } = &mut *waiting;
            let nobody = line.is_empty();
            let max = self.max_size.load(Ordering::Relaxed);
            let entry = self.permits.enter(line, place, max, || Waiter { since, flow, admit });
            let (mut until, mut heirs) = (None, Vec::new());
            match &entry {
                Entry::Waiting { .. } => {
                    if nobody {
                        pace.begins(now);
                    }
                    heirs.extend(std::iter::from_fn(|| self.permits.hand_out(line)));
                }
                Entry::Full { waiting } => until = pace.come_back(*waiting, now).map(Duration::from_nanos),
                Entry::Admitted => {}
            }
            (entry, until, heirs)
        };
        for heir in heirs {
            drop(heir.admit.send(Ok(self.permit())));
        }
        let ticket = match entry {
            Entry::Admitted => return Ok(self.permit()),
            Entry::Full { .. } => return Err(Refusal { reason: Reason::Full, retry_after: refused_until }),
            // The one that lost its place learns of it by its sender's end, outside of the lock.
            Entry::Waiting { ticket, displaced } => (ticket, drop(displaced)).0,
        };
        let mut place = Place { queue: self, ticket, admitted };
        let reason = loop {
            // Before the bound is read: one that is set in between is not missed.
            let rebound = self.rebound.notified();
            tokio::select! {
                biased;
                admitted = &mut place.admitted => match admitted {
                    Ok(Ok(permit)) => return Ok(permit),
                    Ok(Err(reason)) => break reason,
                    Err(_) => break Reason::Displaced,
                },
                () = tokio::time::sleep_until(since + self.bounds().1) => break Reason::Deadline,
                () = rebound => {}
            }
        };
        drop(place);
        Err(Refusal { reason, retry_after: self.come_back() })
    }

    fn come_back(&self) -> Option<Duration> {
        let mut waiting = self.waiting();
        let length = waiting.line.len();
        waiting.pace.come_back(length, clock::nanos()).map(Duration::from_nanos)
    }

    /// Changes the number of permits; calls in flight go on.
    pub fn set_cap(self: &Arc<Self>, cap: usize) {
        if self.permits.load().cap == cap {
            return;
        }
        let line = self.waiting();
        self.permits.set_cap(cap);
        drop(line);
        self.hand_out();
    }

    /// To be called once a second: tiers that have not called for a minute have nothing held back for them.
    pub fn tick(self: &Arc<Self>) {
        if self.permits.look() {
            self.hand_out();
        }
    }

    fn hand_out(self: &Arc<Self>) {
        loop {
            // The lock is free again before a permit moves: one that its heir no longer wants comes back here.
            let heir = self.permits.hand_out(&mut self.waiting().line);
            let Some(heir) = heir else { return };
            drop(heir.admit.send(Ok(self.permit())));
        }
    }

    /// The numbers of this instant: one load.
    pub(super) fn load(&self) -> permits::Load {
        self.permits.load()
    }

    /// Whether somebody waits: one load.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.permits.load().waiting > 0
    }

    /// Whether somebody has a permit: one load.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.permits.load().in_flight > 0
    }

    /// Takes calls out of the line, those of one client or all, and has them refused; how many they are.
    pub fn purge(self: &Arc<Self>, client: Option<u64>) -> usize {
        let purged = self.permits.purge(&mut self.waiting().line, client);
        let aside = self.clients.as_ref().map_or(0, |clients| clients.purge(client));
        let count = purged.len();
        // Each learns of it outside of the lock.
        for waiter in purged {
            drop(waiter.admit.send(Err(Reason::Purged)));
        }
        // Those who are left may have room that was kept for them.
        self.hand_out();
        count + aside
    }

    /// Changes how many permits a client may have at once; 0: as many as there are.
    pub fn set_per_client(&self, max: usize) {
        if let Some(clients) = &self.clients {
            clients.set_max(max);
        }
    }

    /// Forgets clients that have no call here. To be called now and then.
    pub fn sweep(&self) {
        if let Some(clients) = &self.clients {
            clients.sweep();
        }
    }

    /// Measures, or no longer, how long permits are held.
    pub fn measure(&self, on: bool) {
        self.meter.measure(on);
    }

    /// What was measured since the last question.
    pub fn sample(&self) -> Sample {
        self.meter.take()
    }

    fn release(self: &Arc<Self>) {
        if self.permits.release() == Release::Owed {
            self.serve_next();
        }
    }

    /// Passes an owed permit to the next in line who still wants it.
    fn serve_next(self: &Arc<Self>) {
        loop {
            let heir = {
                let mut waiting = self.waiting();
                let heir = self.permits.hand_over(&mut waiting.line);
                if heir.is_some() {
                    waiting.pace.moves(clock::nanos());
                }
                heir
            };
            let Some(heir) = heir else { return };
            let Err(Ok(mut unwanted)) = heir.admit.send(Ok(self.permit())) else { return };
            // The heir left in this very moment: the permit is owed again, without another release.
            unwanted.queue = None;
        }
    }

    fn own(&self, client: u64) -> Option<Arc<Self>> {
        self.clients.as_ref()?.of(client)
    }

    fn permit(self: &Arc<Self>) -> Permit {
        let since = self.meter.is_on().then(Instant::now);
        Permit { queue: Some(Arc::clone(self)), own: None, since, answered: false }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.line)
    }
}

impl Permit {
    /// Whether another one is given back with it.
    pub(super) fn has_own(&self) -> bool {
        self.own.is_some()
    }

    /// Its server has begun to answer the call.
    pub fn answered(&mut self) {
        self.answered = true;
    }

    /// Gives another one back with itself, right after it.
    #[must_use]
    pub fn with(mut self, own: Option<Self>) -> Self {
        self.own = own.and_then(|mut own| own.queue.take());
        self
    }
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A place in the line; leaves it when dropped.
struct Place<'a> {
    queue: &'a Queue,
    ticket: Ticket,
    admitted: oneshot::Receiver<Result<Permit, Reason>>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // A permit that was sent meanwhile is released with the receiver.
        drop(self.queue.permits.leave(&mut self.queue.waiting().line, self.ticket));
    }
}

#[cfg(test)]
mod tests;
