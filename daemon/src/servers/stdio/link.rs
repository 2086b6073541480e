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

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use toolgate_protocol::envelope::{self, Envelope, Shape};
use tracing::{debug, warn};

use super::connection::{Line, Reader, Writer};
use crate::clock;
use crate::instance::notice::Exit;

/// Messages that one call may have unread before its reader counts as slow.
const REPLY_BUFFER: usize = 256;
/// Messages on their way to the instance.
const COMMANDS: usize = 256;

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
}

#[derive(Debug)]
enum Command {
    Request { id: u64, message: Bytes, reply: mpsc::Sender<Arrival> },
    Send(Bytes),
    Forget(u64),
    End,
}

impl Link {
    /// Takes over an opened connection; `unasked` gets what belongs to no call.
    /// A link with such a receiver serves one session; without one it is shared, and a slow reader
    /// loses its own call instead of holding up the others. The instance has its `place` until
    /// its connection has ended.
    pub fn start(
        pid: u32,
        reader: Reader,
        writer: Writer,
        unasked: Option<mpsc::Sender<Bytes>>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let shared = Arc::new(Shared {
            pid,
            next_id: AtomicU64::new(1),
            in_flight: AtomicUsize::new(0),
            last_used: AtomicU64::new(clock::millis()),
            ended: AtomicBool::new(false),
            told_to_end: AtomicBool::new(false),
        });
        let waiting = Rc::new(RefCell::new(Waiting::default()));
        tokio::task::spawn_local(write(inbox, writer, Rc::clone(&waiting)));
        tokio::task::spawn_local(read(reader, waiting, unasked, Arc::clone(&shared), place));
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

    /// Sends a request whose id is `id`, from [`Link::mint`]; `None` when the instance has ended.
    pub async fn request(&self, id: u64, message: Bytes) -> Option<Reply> {
        let (reply, arrivals) = mpsc::channel(REPLY_BUFFER);
        self.shared.in_flight.fetch_add(1, Ordering::Relaxed);
        self.touch();
        let pending = Reply { link: self.clone(), id, arrivals, finished: false };
        self.commands.send(Command::Request { id, message, reply }).await.ok()?;
        Some(pending)
    }

    /// Sends a notification or a response.
    pub async fn send(&self, message: Bytes) -> bool {
        self.touch();
        self.commands.send(Command::Send(message)).await.is_ok()
    }

    /// Sends a notification if there is room; for callers that cannot wait.
    pub fn try_send(&self, message: Bytes) {
        if self.commands.try_send(Command::Send(message)).is_err() {
            debug!(pid = self.shared.pid, "an instance takes no messages; a notification was dropped");
        }
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
    arrivals: mpsc::Receiver<Arrival>,
    finished: bool,
}

impl Reply {
    /// The id that the request has on the connection.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The instance that works on it.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// The next message for this call.
    pub async fn next(&mut self) -> Arrival {
        let arrival = self
            .arrivals
            .recv()
            .await
            .unwrap_or_else(|| Arrival::Lost("its answers were not read fast enough, or the server ended".into()));
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

/// Who waits for what.
#[derive(Default)]
struct Waiting {
    calls: HashMap<u64, mpsc::Sender<Arrival>>,
    /// The newest request last: what the server asks without naming a call goes there.
    order: Vec<u64>,
    closed: Option<Arc<str>>,
}

impl Waiting {
    fn add(&mut self, id: u64, reply: mpsc::Sender<Arrival>) {
        if let Some(reason) = &self.closed {
            drop(reply.try_send(Arrival::Lost(Arc::clone(reason))));
            return;
        }
        self.calls.insert(id, reply);
        self.order.push(id);
    }

    fn remove(&mut self, id: u64) -> Option<mpsc::Sender<Arrival>> {
        self.order.retain(|other| *other != id);
        self.calls.remove(&id)
    }

    fn newest(&self) -> Option<mpsc::Sender<Arrival>> {
        self.order.iter().rev().filter_map(|id| self.calls.get(id)).find(|reply| !reply.is_closed()).cloned()
    }

    /// The only call in flight, so that what names no call can only belong to it.
    fn only(&self) -> Option<mpsc::Sender<Arrival>> {
        match self.order.as_slice() {
            [id] => self.calls.get(id).cloned(),
            _ => None,
        }
    }

    fn lose_all(&mut self, reason: &Arc<str>) {
        self.order.clear();
        for (_, reply) in self.calls.drain() {
            // A full channel drops its sender here, which its reader sees as lost as well.
            drop(reply.try_send(Arrival::Lost(Arc::clone(reason))));
        }
        self.closed = Some(Arc::clone(reason));
    }
}

async fn write(mut inbox: mpsc::Receiver<Command>, writer: Writer, waiting: Rc<RefCell<Waiting>>) {
    while let Some(command) = inbox.recv().await {
        let message = match command {
            Command::Request { id, message, reply } => {
                waiting.borrow_mut().add(id, reply);
                message
            }
            Command::Send(message) => message,
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
    unasked: Option<mpsc::Sender<Bytes>>,
    shared: Arc<Shared>,
    place: OwnedSemaphorePermit,
) {
    let mut exit = None;
    while let Some(line) = reader.next().await {
        match line {
            Line::Message(message) => deliver(message, &waiting, unasked.as_ref()).await,
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
        Some(Exit { error: Some(error), .. }) => format!("its process could not be started: {error}").into(),
        Some(_) | None => "its process ended".into(),
    }
}

async fn deliver(message: Bytes, waiting: &RefCell<Waiting>, unasked: Option<&mpsc::Sender<Bytes>>) {
    let envelope = match envelope::scan(&message) {
        Ok(envelope) => envelope,
        Err(problem) => {
            warn!(%problem, "a stdio server wrote something to stdout that is no message; the line was dropped");
            return;
        }
    };
    if envelope.shape == Shape::Response {
        let Some(reply) = envelope_id(&envelope, &message).and_then(|id| waiting.borrow_mut().remove(id)) else {
            debug!("a stdio server answered a request that nobody waits for");
            return;
        };
        hand(&reply, Arrival::Final(message), unasked.is_some()).await;
        return;
    }
    let named = named_call(&envelope, &message);
    let reply = match named {
        Some(id) => waiting.borrow().calls.get(&id).cloned(),
        // On a shared instance only a lone call can be told to be the one that is meant.
        None if unasked.is_none() => waiting.borrow().only(),
        None if belongs_to_a_call(&envelope, &message) => waiting.borrow().newest(),
        None => None,
    };
    match (reply, unasked) {
        (Some(reply), _) if !reply.is_closed() => hand(&reply, Arrival::Related(message), unasked.is_some()).await,
        (_, Some(unasked)) if named.is_none() => {
            if unasked.try_send(message).is_err() {
                debug!("a stdio server said too much outside of calls, or to a session that has ended");
            }
        }
        _ => debug!("a stdio server's notification had no reader and was dropped"),
    }
}

/// Hands a message to its reader. A dedicated instance waits for a slow reader, a shared one
/// gives the reader up.
async fn hand(reply: &mpsc::Sender<Arrival>, arrival: Arrival, dedicated: bool) {
    if dedicated {
        drop(reply.send(arrival).await);
    } else if reply.try_send(arrival).is_err() {
        debug!("a reader of a shared instance is gone or too slow");
    }
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
        drop(reply.try_send(Arrival::Lost(reason)));
    } else {
        warn!("a stdio server wrote a line longer than line_bytes; it could not be told whose answer it was");
    }
}
