//! A running instance as the gate talks to it: requests out, messages back to whoever waits.
//!
//! The instance's connection lives on the core that opened it; a [`Link`] is the handle that
//! every core may hold. Ids and progress tokens on the connection are minted here, so clients
//! that number their requests alike never meet (`1` is not `"1"`, and neither is ours).

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use toolgate_protocol::envelope::{self, Envelope, Shape};
use tracing::{debug, warn};

use super::connection::{Line, Reader, Writer};
use crate::clock;
use crate::instance::notice::Exit;
use crate::observe::Shown;
use crate::servers::exchange::{one_line, refusal};

/// Messages that one call may have unread before its reader counts as slow.
const REPLY_BUFFER: usize = 256;
/// Bytes that one call may have unread; a longer message waits until all others are read.
const REPLY_BYTES: usize = 4 << 20;
/// Messages on their way to the instance.
const COMMANDS: usize = 256;
/// Bytes on their way to the instance; a longer message goes alone.
const COMMAND_BYTES: usize = 64 << 20;
/// Bytes outside of calls that a session may have unread.
const UNASKED_BYTES: usize = 4 << 20;
/// How long a message that is no request may wait for room.
const SEND_TIME: Duration = Duration::from_secs(30);

/// What arrives for a call that waits.
#[derive(Debug)]
pub enum Arrival {
    /// A notification or a server's request that belongs to the call.
    Related(Bytes),
    /// The answer; nothing follows.
    Final(Bytes),
    /// The instance ended or said something that is no message; nothing follows.
    Lost(Arc<str>),
}

/// Why a message did not get on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsent {
    /// The instance has ended.
    Ended,
    /// The instance reads nothing, and what waits for it left no room in time.
    Full,
}

/// Whom an instance serves.
#[derive(Debug)]
pub enum Serves {
    /// One session, which gets here what belongs to no call. A slow reader holds up its instance.
    Session(mpsc::Sender<Bytes>),
    /// All that one client does. What names no call goes to the lone one in flight; a slow reader
    /// loses its own call instead of holding up the others.
    Client,
    /// Several clients. What names no call has no reader: it may still concern an earlier call,
    /// and would tell one client of another.
    Everybody,
}

impl Serves {
    fn is_session(&self) -> bool {
        matches!(self, Self::Session(_))
    }
}

/// A handle to a running instance.
#[derive(Debug, Clone)]
pub struct Link {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

#[derive(Debug)]
struct Shared {
    /// Process id of the instance's wrapper, for people.
    pid: u32,
    next_id: AtomicU64,
    in_flight: AtomicUsize,
    last_used: AtomicU64,
    ended: AtomicBool,
    told_to_end: AtomicBool,
    /// Bytes that may still be put on their way.
    room: Arc<Semaphore>,
}

#[derive(Debug)]
enum Command {
    Request { id: u64, message: Bytes, reply: Caller, room: OwnedSemaphorePermit },
    Send(Bytes, OwnedSemaphorePermit),
    Forget(u64),
    End,
}

impl Link {
    /// Takes over an opened connection. The instance has its `place` until its connection has ended.
    pub fn start(pid: u32, reader: Reader, writer: Writer, serves: Serves, place: OwnedSemaphorePermit) -> Self {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let shared = Arc::new(Shared {
            pid,
            next_id: AtomicU64::new(1),
            in_flight: AtomicUsize::new(0),
            last_used: AtomicU64::new(clock::millis()),
            ended: AtomicBool::new(false),
            told_to_end: AtomicBool::new(false),
            room: Arc::new(Semaphore::new(COMMAND_BYTES)),
        });
        let waiting = Rc::new(RefCell::new(Waiting::default()));
        tokio::task::spawn_local(write(inbox, writer, Rc::clone(&waiting)));
        let back = Back { shared: Arc::clone(&shared), commands: commands.downgrade() };
        tokio::task::spawn_local(read(reader, waiting, serves, back, place));
        Self { shared, commands }
    }

    /// Process id of the instance's wrapper.
    pub fn pid(&self) -> u32 {
        self.shared.pid
    }

    /// Whether both are handles to the same instance.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// An id that no other request on this connection has.
    pub fn mint(&self) -> u64 {
        self.shared.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Sends a request whose id is `id`, from [`Link::mint`]; waits at most `wait` for room.
    pub async fn request(&self, id: u64, message: Bytes, wait: Duration) -> Result<Reply, Unsent> {
        let (reply, arrivals) = caller();
        self.shared.in_flight.fetch_add(1, Ordering::Relaxed);
        self.touch();
        let pending = Reply { link: self.clone(), id, arrivals, finished: false };
        self.put(message.len(), wait, |room| Command::Request { id, message, reply, room }).await?;
        Ok(pending)
    }

    /// Sends a notification or a response; waits a while for room.
    pub async fn send(&self, message: Bytes) -> Result<(), Unsent> {
        self.touch();
        self.put(message.len(), SEND_TIME, |room| Command::Send(message, room)).await
    }

    /// Puts a message of `bytes` on its way. A dropped future has put nothing there.
    async fn put(
        &self,
        bytes: usize,
        wait: Duration,
        command: impl FnOnce(OwnedSemaphorePermit) -> Command,
    ) -> Result<(), Unsent> {
        let put = async {
            let place = self.commands.reserve().await.ok()?;
            let room = tokio::select! {
                room = Arc::clone(&self.shared.room).acquire_many_owned(share(bytes, COMMAND_BYTES)) => room.ok()?,
                () = self.commands.closed() => return None,
            };
            place.send(command(room));
            Some(())
        };
        timeout(wait, put).await.map_err(|_| Unsent::Full)?.ok_or(Unsent::Ended)
    }

    /// Sends a notification if there is room; for what must not wait.
    pub fn try_send(&self, message: Bytes) {
        try_send(&self.commands, &self.shared, message);
    }

    /// Closes the connection, upon which the instance ends.
    pub fn end(&self) {
        if !self.shared.ended.swap(true, Ordering::Relaxed) {
            self.forgive();
        }
        // A full channel means that the writer still runs; it ends when the last handle is gone.
        drop(self.commands.try_send(Command::End));
    }

    /// Counts its end as the gate's decision, even where it came first.
    pub fn forgive(&self) {
        self.shared.told_to_end.store(true, Ordering::Relaxed);
    }

    /// Whether the instance has ended or is about to.
    pub fn is_ended(&self) -> bool {
        self.shared.ended.load(Ordering::Relaxed) || self.commands.is_closed()
    }

    /// Whether its end was the gate's decision.
    pub fn was_told_to_end(&self) -> bool {
        self.shared.told_to_end.load(Ordering::Relaxed)
    }

    /// Calls in flight.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::Relaxed)
    }

    /// Milliseconds since the last message to it; zero while a call is in flight.
    pub fn idle_millis(&self) -> u64 {
        if self.in_flight() > 0 {
            return 0;
        }
        clock::millis().saturating_sub(self.shared.last_used.load(Ordering::Relaxed))
    }

    fn touch(&self) {
        self.shared.last_used.store(clock::millis(), Ordering::Relaxed);
    }
}

/// A request in flight. Dropping it forgets the request; it does not cancel it.
#[derive(Debug)]
pub struct Reply {
    link: Link,
    id: u64,
    arrivals: mpsc::Receiver<(Arrival, Option<OwnedSemaphorePermit>)>,
    finished: bool,
}

impl Reply {
    /// The instance that works on it.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// The next message for this call.
    pub async fn next(&mut self) -> Arrival {
        let arrival = match self.arrivals.recv().await {
            Some((arrival, _room)) => arrival,
            None => Arrival::Lost("its answers were not read fast enough, or the server ended".into()),
        };
        self.finished = !matches!(arrival, Arrival::Related(_));
        arrival
    }

    /// Whether the answer has arrived.
    pub fn is_finished(&self) -> bool {
        self.finished
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.link.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.link.touch();
        if !self.finished {
            drop(self.link.commands.try_send(Command::Forget(self.id)));
        }
    }
}

/// Where a call's messages go.
#[derive(Debug, Clone)]
struct Caller {
    arrivals: mpsc::Sender<(Arrival, Option<OwnedSemaphorePermit>)>,
    /// Bytes that it may still leave unread.
    room: Arc<Semaphore>,
}

fn caller() -> (Caller, mpsc::Receiver<(Arrival, Option<OwnedSemaphorePermit>)>) {
    let (arrivals, receiver) = mpsc::channel(REPLY_BUFFER);
    (Caller { arrivals, room: Arc::new(Semaphore::new(REPLY_BYTES)) }, receiver)
}

impl Caller {
    fn is_gone(&self) -> bool {
        self.arrivals.is_closed()
    }

    /// Says that nothing follows. A full channel drops its sender soon, which its reader sees as
    /// lost as well.
    fn lose(&self, reason: &Arc<str>) {
        drop(self.arrivals.try_send((Arrival::Lost(Arc::clone(reason)), None)));
    }

    /// Waits until there is room; a caller that is gone takes everything.
    async fn hand(&self, arrival: Arrival, bytes: usize) {
        tokio::select! {
            room = Arc::clone(&self.room).acquire_many_owned(share(bytes, REPLY_BYTES)) => {
                drop(self.arrivals.send((arrival, room.ok())).await);
            }
            () = self.arrivals.closed() => {}
        }
    }

    /// Whether there was room.
    fn try_hand(&self, arrival: Arrival, bytes: usize) -> bool {
        let room = Arc::clone(&self.room).try_acquire_many_owned(share(bytes, REPLY_BYTES));
        room.is_ok_and(|room| self.arrivals.try_send((arrival, Some(room))).is_ok())
    }
}

/// What a message takes of a room; one that is longer than the room takes all of it.
fn share(bytes: usize, room: usize) -> u32 {
    u32::try_from(bytes.min(room)).unwrap_or(u32::MAX)
}

fn try_send(commands: &mpsc::Sender<Command>, shared: &Shared, message: Bytes) {
    let room = Arc::clone(&shared.room).try_acquire_many_owned(share(message.len(), COMMAND_BYTES));
    if room.is_ok_and(|room| commands.try_send(Command::Send(message, room)).is_ok()) {
        return;
    }
    debug!(pid = shared.pid, "an instance takes no messages; one was dropped");
}

/// Who waits for what.
#[derive(Default)]
struct Waiting {
    calls: HashMap<u64, Caller>,
    /// The newest request last: what the server asks without naming a call goes there.
    order: Vec<u64>,
    closed: Option<Arc<str>>,
}

impl Waiting {
    fn add(&mut self, id: u64, reply: Caller) {
        if let Some(reason) = &self.closed {
            reply.lose(reason);
            return;
        }
        self.calls.insert(id, reply);
        self.order.push(id);
    }

    fn remove(&mut self, id: u64) -> Option<Caller> {
        self.order.retain(|other| *other != id);
        self.calls.remove(&id)
    }

    fn newest(&self) -> Option<Caller> {
        self.order.iter().rev().filter_map(|id| self.calls.get(id)).find(|reply| !reply.is_gone()).cloned()
    }

    /// The only call in flight, so that what names no call can only belong to it.
    fn only(&self) -> Option<Caller> {
        match self.order.as_slice() {
            [id] => self.calls.get(id).cloned(),
            _ => None,
        }
    }

    fn lose_all(&mut self, reason: &Arc<str>) {
        self.order.clear();
        for (_, reply) in self.calls.drain() {
            reply.lose(reason);
        }
        self.closed = Some(Arc::clone(reason));
    }
}

async fn write(mut inbox: mpsc::Receiver<Command>, writer: Writer, waiting: Rc<RefCell<Waiting>>) {
    while let Some(command) = inbox.recv().await {
        let (message, _room) = match command {
            Command::Request { id, message, reply, room } => {
                waiting.borrow_mut().add(id, reply);
                (message, room)
            }
            Command::Send(message, room) => (message, room),
            Command::Forget(id) => {
                waiting.borrow_mut().remove(id);
                continue;
            }
            Command::End => break,
        };
        if writer.send(message).await.is_err() {
            break;
        }
    }
    writer.end();
}

async fn read(
    mut reader: Reader,
    waiting: Rc<RefCell<Waiting>>,
    serves: Serves,
    back: Back,
    place: OwnedSemaphorePermit,
) {
    let shared = &back.shared;
    let mut unread = 0;
    let mut exit = None;
    while let Some(line) = reader.next().await {
        match line {
            Line::Message(message) => deliver(message, &waiting, &serves, &back, &mut unread).await,
            Line::Oversized { prefix } => lose_oversized(&prefix, &waiting),
            Line::Exited(reason) => exit = Some(reason),
        }
    }
    shared.ended.store(true, Ordering::Relaxed);
    let reason = epitaph(exit.as_ref());
    debug!(pid = shared.pid, %reason, "an instance ended");
    waiting.borrow_mut().lose_all(&reason);
    // Whoever waits for the place finds the end noted.
    drop(place);
}

/// What callers read when the instance ended under them.
fn epitaph(exit: Option<&Exit>) -> Arc<str> {
    match exit {
        Some(Exit { status: Some(status), .. }) => format!("its process ended with status {status}").into(),
        Some(Exit { signal: Some(signal), .. }) => format!("its process was ended by signal {signal}").into(),
        // The wrapper's line, or what the server wrote to look like it.
        Some(Exit { error: Some(error), .. }) => format!("its process could not be started: {}", Shown(error)).into(),
        Some(_) | None => "its process ended".into(),
    }
}

/// The way for the gate's own answers to an instance. It does not keep the connection.
struct Back {
    shared: Arc<Shared>,
    commands: mpsc::WeakSender<Command>,
}

impl Back {
    /// Answers a server's request that reaches nobody; other messages need no answer.
    fn refuse(&self, envelope: &Envelope, message: &[u8]) {
        let Some(id) = envelope.id.filter(|_| envelope.shape == Shape::Request) else { return };
        if let Some(commands) = self.commands.upgrade() {
            try_send(&commands, &self.shared, one_line(refusal(id.of(message))));
        }
    }
}

async fn deliver(message: Bytes, waiting: &RefCell<Waiting>, serves: &Serves, back: &Back, unread: &mut usize) {
    let envelope = match envelope::scan(&message) {
        Ok(envelope) => envelope,
        Err(problem) => {
            warn!(%problem, "a stdio server wrote something to stdout that is no message; the line was dropped");
            return;
        }
    };
    let bytes = message.len();
    if envelope.shape == Shape::Response {
        let Some(reply) = envelope_id(&envelope, &message).and_then(|id| waiting.borrow_mut().remove(id)) else {
            debug!("a stdio server answered a request that nobody waits for");
            return;
        };
        hand(&reply, Arrival::Final(message), bytes, serves).await;
        return;
    }
    let named = named_call(&envelope, &message);
    let reply = match (named, serves) {
        (Some(id), _) => waiting.borrow().calls.get(&id).cloned(),
        (None, Serves::Client) => waiting.borrow().only(),
        (None, Serves::Session(_)) if belongs_to_a_call(&envelope, &message) => waiting.borrow().newest(),
        (None, Serves::Session(_) | Serves::Everybody) => None,
    };
    if let Some(reply) = reply.filter(|reply| !reply.is_gone()) {
        if !hand(&reply, Arrival::Related(message.clone()), bytes, serves).await {
            back.refuse(&envelope, &message);
        }
        return;
    }
    match serves {
        Serves::Session(unasked) if named.is_none() => {
            if unasked.capacity() == unasked.max_capacity() {
                *unread = 0;
            }
            *unread += bytes;
            if (*unread > bytes && *unread > UNASKED_BYTES) || unasked.try_send(message.clone()).is_err() {
                debug!("a stdio server said too much outside of calls, or to a session that has ended");
                back.refuse(&envelope, &message);
            }
        }
        _ => {
            debug!("a stdio server's message had no reader and was dropped");
            back.refuse(&envelope, &message);
        }
    }
}

/// Hands a message to its reader. A dedicated instance waits for a slow reader, a shared one
/// gives the message up, and with an answer the reader; then it is `false`.
async fn hand(reply: &Caller, arrival: Arrival, bytes: usize, serves: &Serves) -> bool {
    if serves.is_session() {
        reply.hand(arrival, bytes).await;
        return true;
    }
    let handed = reply.try_hand(arrival, bytes);
    if !handed {
        debug!("a reader of a shared instance is gone or too slow");
    }
    handed
}

/// The call that a notification names, by progress token or subscription.
fn named_call(envelope: &Envelope, message: &[u8]) -> Option<u64> {
    let span = envelope.progress_token.or(envelope.subscription_id)?;
    parse_id(span.of(message))
}

/// Server requests and log messages arise from a call where one runs; list changes do not.
fn belongs_to_a_call(envelope: &Envelope, message: &[u8]) -> bool {
    envelope.shape == Shape::Request
        || envelope.method_str(message).is_some_and(|method| method == "notifications/message")
}

fn envelope_id(envelope: &Envelope, message: &[u8]) -> Option<u64> {
    parse_id(envelope.id?.of(message))
}

fn parse_id(raw: &[u8]) -> Option<u64> {
    std::str::from_utf8(raw).ok()?.parse().ok()
}

/// A line that was too long costs the one call that it answers, where that can be told.
fn lose_oversized(prefix: &[u8], waiting: &RefCell<Waiting>) {
    let reason: Arc<str> = "its answer is longer than line_bytes allows; ask for less, or raise it".into();
    let mut waiting = waiting.borrow_mut();
    let named = envelope::salvage_id(prefix).and_then(|span| parse_id(span.of(prefix)));
    let id = named.or_else(|| match waiting.order.as_slice() {
        [only] => Some(*only),
        _ => None,
    });
    if let Some(reply) = id.and_then(|id| waiting.remove(id)) {
        reply.lose(&reason);
    } else {
        warn!("a stdio server wrote a line longer than line_bytes; it could not be told whose answer it was");
    }
}
