//! Connections of HTTP/2 to one server: calls share them, each in a stream of its own.
//!
//! Each core has its own to each endpoint, and takes a stream of another core's only where it may open no connection. Calls
//! only take streams; connections are opened and driven by tasks ([`opening`](super::opening), [`drive`](super::drive)).
//!
//! What must hold: a connection holds a slot and a place among all connections from before it is opened until it takes no
//! calls and has none; and a permit while it has calls, as a call over HTTP/1.1 does while it has a connection. So one that
//! is idle gives way like any other. No more streams are begun than its server allows.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;

use super::error::{SendError, SendErrorKind};
use super::keep::Keep;
use super::line::{Handed, Line};
use super::places::Places;
use super::pool::Pool;
use super::used::Used;
use crate::clock;
use crate::lock::lock;
use crate::servers::queue::Permit;

/// Calls of one connection at once, where its server allows more.
pub(super) const STREAMS: u32 = 100;

/// The lanes of one server, by core and endpoint.
pub(super) struct Lanes(Box<[Box<[Arc<Lane>]>]>);

impl Lanes {
    pub(super) fn new(cores: usize, endpoints: usize, keep: &Arc<Keep>) -> Self {
        let lines: Vec<Arc<Line>> = (0..endpoints).map(|_| Arc::default()).collect();
        let lane = |(endpoint, line): (usize, &Arc<Line>)| {
            Arc::new(Lane {
                endpoint,
                channels: Mutex::default(),
                opening: AtomicBool::new(false),
                stage: AtomicU8::new(Stage::Rests as u8),
                plain: AtomicBool::new(false),
                lost: AtomicBool::new(false),
                line: Arc::clone(line),
                keep: Arc::clone(keep),
            })
        };
        Self((0..cores).map(|_| lines.iter().enumerate().map(lane).collect()).collect())
    }

    pub(super) fn of(&self, core: usize, endpoint: usize) -> &Arc<Lane> {
        &self.0[core][endpoint]
    }

    /// Hands streams of other cores' connections to whoever waits.
    pub(super) fn serve_from_others(&self, core: usize, endpoint: usize, pool: &Arc<Pool>) {
        let cores = self.0.len();
        for step in 1..cores {
            self.of((core + step) % cores, endpoint).serve(pool);
        }
    }

    /// Has an idle connection of another core take calls with this permit, those who wait first; gives it back where there
    /// is none.
    pub(super) fn wake_other(&self, core: usize, endpoint: usize, pool: &Arc<Pool>, permit: Permit) -> Option<Permit> {
        let (cores, mut permit) = (self.0.len(), permit);
        for step in 1..cores {
            let lane = self.of((core + step) % cores, endpoint);
            permit = lane.wake(permit).or_else(|| {
                lane.serve_and_rest(pool);
                None
            })?;
        }
        Some(permit)
    }

    /// Gives up the connection that has been without a call for longest, to `endpoint` where only that helps, of some core.
    pub(super) fn close_one(&self, endpoint: Option<usize>) -> bool {
        let fits = |lane: &&Arc<Lane>| endpoint.is_none_or(|endpoint| endpoint == lane.endpoint);
        let lanes = self.0.iter().flatten().filter(fits);
        let oldest = lanes.filter_map(|lane| Some((lane.unused_since()?, lane))).min_by_key(|(since, _)| *since);
        oldest.is_some_and(|(_, lane)| lane.close_idle())
    }

    /// Connections without a call, on all cores.
    pub(super) fn idle(&self) -> usize {
        let idle = |lane: &Arc<Lane>| lane.channels().iter().filter(|channel| channel.used.is_idle()).count();
        self.0.iter().flatten().map(idle).sum()
    }

    /// Calls that wait at a bound, and not for a connection that is being opened; without those who open one for them, which
    /// wait for a permit like a call.
    pub(super) fn waiting(&self) -> usize {
        let Some(of_one_core) = self.0.first() else { return 0 };
        let stages = |endpoint: usize| self.0.iter().map(move |core| core[endpoint].stage());
        let waiting = |endpoint: usize| {
            let openers = stages(endpoint).filter(|stage| *stage == Stage::Pool).count();
            of_one_core[endpoint].line.count().saturating_sub(openers)
        };
        let at_bound = |endpoint: &usize| stages(*endpoint).any(|stage| stage != Stage::Connects);
        (0..of_one_core.len()).filter(at_bound).map(waiting).sum()
    }

    /// Bounds are others: closes idle connections that are too many.
    pub(super) fn rest(&self, places: &Places) {
        for lane in self.0.iter().flatten() {
            let keep = |used: &Used| used.keep(|slot| places.keep(slot, lane.endpoint));
            lane.retire_where(|used| used.is_idle() && used.is_ready() && !keep(used));
        }
    }

    /// Has connections with calls take no further ones.
    pub(super) fn retire_busy(&self) {
        self.0.iter().flatten().for_each(|lane| lane.retire_where(|used| !used.is_idle()));
    }

    /// Has no more than `most` take calls: of the endpoint that has most, and so on. Others end with their last call.
    pub(super) fn narrow(&self, most: usize) {
        loop {
            let lengths: Vec<usize> = self.endpoints().map(|endpoint| self.len(endpoint)).collect();
            let longest = lengths.iter().copied().enumerate().max_by_key(|(_, length)| *length);
            let Some((endpoint, length)) = longest.filter(|_| lengths.iter().sum::<usize>() > most) else { return };
            self.narrow_one(endpoint, length.saturating_sub(1));
        }
    }

    /// The same for each endpoint.
    pub(super) fn narrow_each(&self, most: impl Fn(usize) -> usize) {
        self.endpoints().for_each(|endpoint| self.narrow_one(endpoint, most(endpoint)));
    }

    fn narrow_one(&self, endpoint: usize, most: usize) {
        while self.len(endpoint) > most {
            let fullest = self.0.iter().map(|core| &core[endpoint]).max_by_key(|lane| lane.channels().len());
            if let Some(used) = fullest.and_then(|lane| lane.remove_where(|_| true)) {
                used.retire();
            }
        }
    }

    fn endpoints(&self) -> std::ops::Range<usize> {
        0..self.0.first().map_or(0, |core| core.len())
    }

    /// Connections to an endpoint that take calls, on all cores.
    pub(super) fn len(&self, endpoint: usize) -> usize {
        self.0.iter().map(|core| core[endpoint].channels().len()).sum()
    }

    /// Times are others: connections are to be closed earlier, or later.
    pub(super) fn look_again(&self) {
        for lane in self.0.iter().flatten() {
            lane.channels().iter().for_each(|channel| channel.used.changed.notify_one());
        }
    }

    /// Whether a connection to an endpoint that took calls has ended by itself since this was asked last.
    pub(super) fn has_lost(&self, endpoint: usize) -> bool {
        // All are asked, for each forgets it.
        self.0.iter().fold(false, |lost, core| core[endpoint].lost.swap(false, Ordering::Relaxed) | lost)
    }
}

/// What the opening of a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stage {
    /// None is being opened: all that may be are.
    Rests,
    /// One of the pool's connections, or of the endpoint's.
    Pool,
    /// One of all connections.
    Gate,
    /// The server.
    Connects,
}

/// One core's connections to one endpoint.
pub(super) struct Lane {
    endpoint: usize,
    channels: Mutex<Vec<Channel>>,
    /// One is being opened, for all who wait.
    opening: AtomicBool,
    stage: AtomicU8,
    /// The server has chosen HTTP/1.1.
    plain: AtomicBool,
    pub(super) lost: AtomicBool,
    /// Of all cores' lanes to this endpoint.
    pub(super) line: Arc<Line>,
    keep: Arc<Keep>,
}

/// A connection that takes calls.
pub(super) struct Channel {
    pub(super) send: SendRequest<Bytes>,
    pub(super) used: Arc<Used>,
}

/// A stream of a connection, for one call.
pub(super) struct Lease {
    pub(super) send: SendRequest<Bytes>,
    /// The connection has served a call before.
    pub(super) reused: bool,
    /// It is so old that another one is to take its place.
    pub(super) is_old: bool,
    used: Arc<Used>,
    lane: Arc<Lane>,
    pool: Arc<Pool>,
}

impl Lease {
    /// Has further calls use other connections.
    pub(super) fn retire(&self) {
        self.lane.remove(&self.used);
        self.used.retire();
    }

    /// The same where nothing was read from the connection since then: it is not known whether its server is there.
    pub(super) fn retire_where_silent(&self, since: u64) {
        if self.used.heard.load(Ordering::Relaxed) < since {
            self.retire();
        }
    }
}

/// What came of taking a stream.
enum Taken {
    Lease(Lease),
    /// The server of this connection has taken its leave.
    Gone(Arc<Used>),
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.used.last.store(clock::nanos(), Ordering::Relaxed);
        self.lane.release(&self.used, &self.pool);
        if self.pool.is_wanted() {
            self.lane.close_idle();
        }
    }
}

impl Lane {
    /// A stream of the fullest connection that has room, so that those that are not needed become idle; an old one's only
    /// where there is no other.
    pub(super) fn take(self: &Arc<Self>, pool: &Arc<Pool>) -> Option<Lease> {
        loop {
            let gone = match self.try_take(pool)? {
                Taken::Lease(lease) => return Some(lease),
                Taken::Gone(used) => used,
            };
            // Outside of the lock: others may get what it holds.
            gone.retire();
        }
    }

    fn try_take(self: &Arc<Self>, pool: &Arc<Pool>) -> Option<Taken> {
        let mut channels = self.channels();
        let has_room = |used: &Used| used.streams.load(Ordering::SeqCst) < used.limit.load(Ordering::SeqCst);
        let max_age = self.keep.max_age();
        let worth = |at: &usize| {
            let used = &channels[*at].used;
            (!used.is_older(max_age), used.streams.load(Ordering::SeqCst))
        };
        let best = (0..channels.len()).filter(|at| has_room(&channels[*at].used)).max_by_key(worth)?;
        // Where there is no permit for it, one that has its own.
        let at = if channels[best].used.hold(|| pool.try_permit(self.endpoint)) {
            best
        } else {
            let holds = |at: &usize| has_room(&channels[*at].used) && channels[*at].used.hold(|| None);
            (0..channels.len()).filter(holds).max_by_key(worth)?
        };
        let (mut send, used) = (channels[at].send.clone(), Arc::clone(&channels[at].used));
        if let Poll::Ready(Err(_)) = send.poll_ready(&mut Context::from_waker(Waker::noop())) {
            channels.remove(at);
            return Some(Taken::Gone(used));
        }
        used.streams.fetch_add(1, Ordering::SeqCst);
        let reused = used.calls.fetch_add(1, Ordering::Relaxed) > 0;
        let is_old = used.is_older(max_age);
        Some(Taken::Lease(Lease { send, reused, is_old, used, lane: Arc::clone(self), pool: Arc::clone(pool) }))
    }

    /// Has an idle connection take calls with this permit; gives it back where there is none.
    pub(super) fn wake(&self, permit: Permit) -> Option<Permit> {
        let channels = self.channels();
        let idle = channels.iter().filter(|channel| channel.used.is_idle());
        idle.map(|channel| &channel.used).try_fold(permit, |permit, used| used.wake(permit))
    }

    /// Hands streams to those who wait, while there are any.
    pub(super) fn serve(self: &Arc<Self>, pool: &Arc<Pool>) {
        while !self.line.is_empty()
            && let Some(lease) = self.take(pool)
        {
            if self.line.hand(Handed::Stream(lease)).is_some() {
                return;
            }
        }
    }

    /// The same, after which connections that nobody needs hold no permit.
    pub(super) fn serve_and_rest(self: &Arc<Self>, pool: &Arc<Pool>) {
        self.serve(pool);
        let idle = |channel: &&Channel| channel.used.is_idle();
        let idle: Vec<_> = self.channels().iter().filter(idle).map(|channel| Arc::clone(&channel.used)).collect();
        for used in idle {
            self.settle(&used, pool);
        }
    }

    /// A call has ended.
    fn release(self: &Arc<Self>, used: &Arc<Used>, pool: &Arc<Pool>) {
        {
            let _channels = self.channels();
            used.streams.fetch_sub(1, Ordering::SeqCst);
        }
        if !self.line.is_empty() {
            // With the permit that it still has.
            self.serve(pool);
        }
        self.settle(used, pool);
    }

    /// Gives back what a connection without a call need not hold; all of it, where there are more than may be.
    fn settle(&self, used: &Arc<Used>, pool: &Pool) {
        let mut channels = self.channels();
        if !used.is_idle() {
            return;
        }
        if used.is_ready() && !used.keep(|slot| pool.keeps(slot, self.endpoint)) {
            channels.retain(|channel| !Arc::ptr_eq(&channel.used, used));
            drop(channels);
            return used.retire();
        }
        let held = used.let_go();
        drop(channels);
        drop(held);
    }

    /// The right to open a connection, where nobody else is about to; [`Lane::opened`] must follow.
    pub(super) fn begin_opening(&self) -> bool {
        !self.opening.swap(true, Ordering::SeqCst)
    }

    pub(super) fn opened(&self) {
        self.at(Stage::Rests);
        self.opening.store(false, Ordering::SeqCst);
    }

    pub(super) fn at(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    fn stage(&self) -> Stage {
        let stage = self.stage.load(Ordering::Relaxed);
        [Stage::Rests, Stage::Pool, Stage::Gate, Stage::Connects][usize::from(stage)]
    }

    /// Whether no connection can be opened at present.
    pub(super) fn is_at_bound(&self) -> bool {
        matches!(self.stage(), Stage::Pool | Stage::Gate)
    }

    /// What is said to a call that has waited for as long as it may.
    pub(super) fn late(&self) -> SendError {
        match self.stage() {
            Stage::Rests | Stage::Pool => SendError::at(SendErrorKind::Bound),
            Stage::Gate => SendError::at(SendErrorKind::GateBound),
            Stage::Connects => SendError::unsent(
                SendErrorKind::ConnectTimeout,
                "no connection stood within `timeout.connect`, and those that stand have no stream free",
            ),
        }
    }

    /// Whether its server is spoken to in HTTP/1.1, since it chose so.
    pub(super) fn is_plain(&self) -> bool {
        self.plain.load(Ordering::Relaxed)
    }

    pub(super) fn has_chosen_plain(&self) {
        self.plain.store(true, Ordering::Relaxed);
    }

    /// Whether no connection takes calls.
    pub(super) fn has_none(&self) -> bool {
        self.channels().is_empty()
    }

    pub(super) fn add(&self, channel: Channel) {
        self.channels().push(channel);
    }

    /// Whether it still took calls.
    pub(super) fn remove(&self, used: &Arc<Used>) -> bool {
        let removed = self.channels().extract_if(.., |channel| Arc::ptr_eq(&channel.used, used)).next();
        removed.is_some()
    }

    /// Has those of a kind take no calls any more, the oldest first, one after the other.
    fn retire_where(&self, is_it: impl Fn(&Used) -> bool) {
        while let Some(used) = self.remove_where(&is_it) {
            used.retire();
        }
    }

    fn remove_where(&self, is_it: impl Fn(&Used) -> bool) -> Option<Arc<Used>> {
        let mut channels = self.channels();
        let at = channels.iter().position(|channel| is_it(&channel.used))?;
        Some(channels.remove(at).used)
    }

    fn close_idle(&self) -> bool {
        // Under the lock nobody takes a stream of it.
        let mut channels = self.channels();
        let is_idle = |at: &usize| channels[*at].used.is_idle() && channels[*at].used.is_ready();
        let oldest =
            (0..channels.len()).filter(is_idle).min_by_key(|at| channels[*at].used.last.load(Ordering::Relaxed));
        let closed = oldest.map(|at| channels.remove(at));
        drop(channels);
        closed.is_some_and(|channel| {
            channel.used.retire();
            true
        })
    }

    fn unused_since(&self) -> Option<u64> {
        let channels = self.channels();
        let idle = channels.iter().filter(|channel| channel.used.is_idle());
        idle.map(|channel| channel.used.last.load(Ordering::Relaxed)).min()
    }

    /// When to look again at a connection; none where it takes no calls any more: it has had none for as long as may be,
    /// or has none and is too old.
    pub(super) fn look(&self, used: &Arc<Used>) -> Option<Duration> {
        let mut channels = self.channels();
        let at = channels.iter().position(|channel| Arc::ptr_eq(&channel.used, used))?;
        if !used.is_idle() {
            return Some(self.keep.idle());
        }
        let unused = Duration::from_nanos(clock::nanos().saturating_sub(used.last.load(Ordering::Relaxed)));
        let left = self.keep.idle().saturating_sub(unused).min(self.keep.age_left(used.born.elapsed()));
        if !left.is_zero() {
            return Some(left);
        }
        channels.remove(at);
        drop(channels);
        used.retire();
        None
    }

    fn channels(&self) -> MutexGuard<'_, Vec<Channel>> {
        lock(&self.channels)
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // Its server was built anew: they end with their last calls.
        for channel in std::mem::take(&mut *self.channels()) {
            channel.used.retire();
        }
    }
}
