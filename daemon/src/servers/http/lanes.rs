//! Connections of HTTP/2 to one server: calls share them, each in a stream of its own.
//!
//! Each core has its own to each endpoint and takes a stream of another core's only where it may open no connection. A
//! connection has a task, which reads and writes it; calls only hand it requests and take answers.
//!
//! What must hold: a connection holds what a call over HTTP/1.1 holds while it has one, a permit, a slot and a place among
//! all connections, from before it is opened until it has ended. Streams of one are never more than its server allows.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Connection, SendRequest};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

use super::error::{SendError, SendErrorKind};
use super::head::HEAD_BYTES;
use super::pool::{Pool, Slot};
use super::socket::Stream;
use crate::clock;
use crate::lock::lock;
use crate::servers::connections::Right;
use crate::servers::queue::Permit;

/// Calls of one connection at once, where its server allows more.
const STREAMS: u32 = 100;
/// Bytes of an answer that a server may send ahead of its reader.
const STREAM_WINDOW: u32 = 64 * 1024;
/// The same of all answers together: whoever reads slowly holds nobody else up.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS;

/// What a connection holds for as long as it is open.
pub(super) type Places = (Permit, Slot, Right);

/// The lanes of one server, by core and endpoint.
pub(super) struct Lanes(Box<[Box<[Arc<Lane>]>]>);

impl Lanes {
    pub(super) fn new(cores: usize, endpoints: usize, idle: Duration, max_age: Option<Duration>) -> Self {
        let bells: Vec<Arc<Bell>> = (0..endpoints).map(|_| Arc::default()).collect();
        let lane = |bell: &Arc<Bell>| Arc::new(Lane { bell: Arc::clone(bell), idle, max_age, ..Lane::default() });
        Self((0..cores).map(|_| bells.iter().map(lane).collect()).collect())
    }

    pub(super) fn of(&self, core: usize, endpoint: usize) -> &Arc<Lane> {
        &self.0[core][endpoint]
    }

    /// A stream of another core's connection.
    pub(super) fn take_from_others(&self, core: usize, endpoint: usize, pool: &Arc<Pool>) -> Option<Lease> {
        let cores = self.0.len();
        (1..cores).find_map(|step| self.of((core + step) % cores, endpoint).take(pool))
    }

    /// Gives up a connection that has no call, of some core.
    pub(super) fn close_one(&self) -> bool {
        self.0.iter().flatten().any(|lane| lane.close_idle())
    }

    /// Connections without a call, on all cores.
    pub(super) fn idle(&self) -> usize {
        let idle = |lane: &Arc<Lane>| lane.inner().channels.iter().filter(|channel| channel.is_idle()).count();
        self.0.iter().flatten().map(idle).sum()
    }

    /// Calls that wait for a stream.
    pub(super) fn waiting(&self) -> usize {
        // A bell is of all cores.
        self.0.first().into_iter().flatten().map(|lane| lane.bell.waiting.load(Ordering::SeqCst)).sum()
    }

    /// Whether a connection to an endpoint has ended by itself since this was asked last.
    pub(super) fn has_lost(&self, endpoint: usize) -> bool {
        // All are asked, for each forgets it.
        self.0.iter().fold(false, |lost, core| core[endpoint].lost.swap(false, Ordering::Relaxed) | lost)
    }
}

/// Rung where a stream is free, or there is a connection more, or one less: for calls to one endpoint, on all cores.
#[derive(Default)]
struct Bell {
    waiting: AtomicUsize,
    changed: Notify,
}

impl Bell {
    /// After the change: whoever comes to wait later sees it.
    fn ring(&self, all: bool) {
        match self.waiting.load(Ordering::SeqCst) {
            0 => {}
            _ if all => self.changed.notify_waiters(),
            _ => self.changed.notify_one(),
        }
    }
}

/// One core's connections to one endpoint.
#[derive(Default)]
pub(super) struct Lane {
    inner: Mutex<Inner>,
    /// Somebody is opening one, for all who wait.
    opening: AtomicBool,
    /// The server has chosen HTTP/1.1.
    plain: AtomicBool,
    lost: AtomicBool,
    bell: Arc<Bell>,
    idle: Duration,
    max_age: Option<Duration>,
}

#[derive(Default)]
struct Inner {
    channels: Vec<Channel>,
    /// How often none could be opened, and why not the last time.
    failures: u64,
    failure: Option<SendError>,
}

/// A connection that takes calls.
struct Channel {
    send: SendRequest<Bytes>,
    used: Arc<Used>,
}

/// How a connection is used, for all who have it.
struct Used {
    streams: AtomicUsize,
    /// Calls so far.
    calls: AtomicU64,
    /// When the last one ended, or it was opened.
    last: AtomicU64,
    /// Calls go elsewhere: its task is to see it to its end.
    retired: Notify,
}

impl Channel {
    fn limit(&self) -> usize {
        self.send.current_max_send_streams().min(STREAMS as usize)
    }

    fn is_idle(&self) -> bool {
        self.used.streams.load(Ordering::SeqCst) == 0
    }
}

/// A stream of a connection, for one call.
pub(super) struct Lease {
    pub(super) send: SendRequest<Bytes>,
    /// The connection has served a call before.
    pub(super) reused: bool,
    used: Arc<Used>,
    lane: Arc<Lane>,
    pool: Arc<Pool>,
}

impl Lease {
    /// Has further calls use other connections: this one takes none, or it is not known whether its server is still there.
    pub(super) fn retire(&self) {
        if self.lane.remove(&self.used) {
            self.used.retired.notify_one();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.used.last.store(clock::nanos(), Ordering::Relaxed);
        self.used.streams.fetch_sub(1, Ordering::SeqCst);
        self.lane.bell.ring(false);
        if self.pool.is_wanted() {
            self.lane.close_idle();
        }
    }
}

/// The right to open the lane's next connection, for all who wait.
pub(super) struct Opening<'a>(&'a Lane);

impl Opening<'_> {
    /// There is none: whoever waits learns why.
    pub(super) fn failed(self, error: &SendError) {
        let mut inner = self.0.inner();
        inner.failures += 1;
        inner.failure = Some(error.clone());
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.opening.store(false, Ordering::SeqCst);
        self.0.bell.ring(true);
    }
}

/// A call that waits for a stream.
pub(super) struct Waiting<'a> {
    lane: &'a Lane,
    failures: u64,
}

impl Waiting<'_> {
    /// Ends when there may be a stream to take; to be made before one is looked for.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.lane.bell.changed.notified()
    }

    /// Why no connection could be opened meanwhile.
    pub(super) fn failure(&self) -> Option<SendError> {
        let inner = self.lane.inner();
        inner.failure.clone().filter(|_| inner.failures > self.failures)
    }

    /// What is said where it has waited for as long as it may.
    pub(super) fn late(&self) -> SendError {
        if self.lane.opening.load(Ordering::SeqCst) {
            return SendError::unsent(SendErrorKind::ConnectTimeout, "no connection stood within `timeout.connect`");
        }
        SendError::at(SendErrorKind::Bound)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.lane.bell.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Lane {
    /// A stream of the connection with the fewest, where one has room.
    pub(super) fn take(self: &Arc<Self>, pool: &Arc<Pool>) -> Option<Lease> {
        let inner = self.inner();
        let streams = |channel: &&Channel| channel.used.streams.load(Ordering::SeqCst);
        let with_room = inner.channels.iter().filter(|channel| streams(channel) < channel.limit());
        let channel = with_room.min_by_key(streams)?;
        // Under the lock, and nowhere else, they become more.
        channel.used.streams.fetch_add(1, Ordering::SeqCst);
        let reused = channel.used.calls.fetch_add(1, Ordering::Relaxed) > 0;
        let (send, used) = (channel.send.clone(), Arc::clone(&channel.used));
        Some(Lease { send, reused, used, lane: Arc::clone(self), pool: Arc::clone(pool) })
    }

    /// The right to open a connection, where nobody else is about to.
    pub(super) fn open(&self) -> Option<Opening<'_>> {
        (!self.opening.swap(true, Ordering::SeqCst)).then_some(Opening(self))
    }

    pub(super) fn wait(&self) -> Waiting<'_> {
        self.bell.waiting.fetch_add(1, Ordering::SeqCst);
        Waiting { lane: self, failures: self.inner().failures }
    }

    /// Whether its server is spoken to in HTTP/1.1, since it chose so.
    pub(super) fn is_plain(&self) -> bool {
        self.plain.load(Ordering::Relaxed)
    }

    pub(super) fn has_chosen_plain(&self) {
        self.plain.store(true, Ordering::Relaxed);
    }

    /// Connections that take calls.
    pub(super) fn len(&self) -> usize {
        self.inner().channels.len()
    }

    /// Speaks HTTP/2 on a new connection, which serves calls from here on.
    pub(super) async fn start(self: &Arc<Self>, stream: Stream, places: Places) -> Result<(), h2::Error> {
        let (send, connection) = h2::client::Builder::new()
            .enable_push(false)
            // Until the server has said how many it takes: what is more, it may refuse.
            .initial_max_send_streams(1)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX))
            .handshake(stream)
            .await?;
        let used = Arc::new(Used {
            streams: AtomicUsize::new(0),
            calls: AtomicU64::new(0),
            last: AtomicU64::new(clock::nanos()),
            retired: Notify::new(),
        });
        self.inner().channels.push(Channel { send, used: Arc::clone(&used) });
        let lane = (Arc::downgrade(self), Arc::clone(&self.bell));
        tokio::task::spawn_local(drive(connection, lane, used, places));
        Ok(())
    }

    /// Whether it still took calls.
    fn remove(&self, used: &Arc<Used>) -> bool {
        let removed = self.inner().channels.extract_if(.., |channel| Arc::ptr_eq(&channel.used, used)).next();
        removed.is_some()
    }

    fn close_idle(&self) -> bool {
        // Under the lock nobody takes a stream of it.
        let closed = self.inner().channels.extract_if(.., |channel| channel.is_idle()).next();
        closed.inspect(|channel| channel.used.retired.notify_one()).is_some()
    }

    /// When to look again at a connection; none where it takes no calls any more: it has had none for as long as may be,
    /// or is too old.
    fn look(&self, used: &Arc<Used>, born: Instant) -> Option<Duration> {
        let mut inner = self.inner();
        let at = inner.channels.iter().position(|channel| Arc::ptr_eq(&channel.used, used))?;
        let unused = Duration::from_nanos(clock::nanos().saturating_sub(used.last.load(Ordering::Relaxed)));
        let idle = if inner.channels[at].is_idle() { self.idle.saturating_sub(unused) } else { self.idle };
        let left = idle.min(self.max_age.map_or(Duration::MAX, |age| age.saturating_sub(born.elapsed())));
        let old = left.is_zero().then(|| inner.channels.remove(at));
        drop(inner);
        if old.is_none() { Some(left) } else { None }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

/// Reads and writes a connection until it has ended; what it holds is held as long. Where its lane is no more, since the
/// server's table has changed, it ends with its last call.
async fn drive(
    connection: Connection<Stream, Bytes>,
    (lane, bell): (Weak<Lane>, Arc<Bell>),
    used: Arc<Used>,
    places: Places,
) {
    let (born, mut connection, mut limit) = (Instant::now(), pin!(connection), 0);
    let mut takes_calls = true;
    let ended = loop {
        let left = if takes_calls { lane.upgrade().and_then(|lane| lane.look(&used, born)) } else { None };
        takes_calls = left.is_some();
        let turn = poll_fn(|cx| {
            let polled = connection.as_mut().poll(cx);
            if limit != connection.max_concurrent_send_streams() {
                limit = connection.max_concurrent_send_streams();
                bell.ring(true);
            }
            polled
        });
        tokio::select! {
            biased;
            // Without a handle left it ends once its streams have.
            ended = turn => break ended,
            () = used.retired.notified(), if takes_calls => takes_calls = false,
            () = tokio::time::sleep(left.unwrap_or_default()), if left.is_some() => {}
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection of HTTP/2 to a server ended: {error}");
    }
    if let Some(lane) = lane.upgrade().filter(|lane| lane.remove(&used)) {
        lane.lost.store(true, Ordering::Relaxed);
    }
    drop(places);
    bell.ring(true);
}
