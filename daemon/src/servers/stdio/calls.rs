//! Calls that wait for an instance's messages, and how much each may leave unread.
//!
//! The link adds a call when it is sent; whoever delivers what the instance says finds it here.
//! All of it lives on the core of the connection but for the receiving end of each call.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Messages that one call may have unread before its reader counts as slow.
const REPLY_BUFFER: usize = 1024;
/// Bytes that one call may have unread; a longer message waits until all others are read.
const REPLY_BYTES: usize = 4 << 20;
/// The same where the instance waits for its reader: only what is on the way to another core.
const PAUSED_BYTES: usize = 64 << 10;

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

/// A message, and the room that it takes until it is read.
type Handed = (Arrival, Option<OwnedSemaphorePermit>);

/// The end of a call that reads its messages.
pub(super) type Arrivals = mpsc::Receiver<Handed>;

/// Where a call's messages go.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    arrivals: mpsc::Sender<Handed>,
    /// Bytes that it may still leave unread.
    room: Arc<Semaphore>,
    bytes: usize,
}

/// Both ends of a call; `waits`: its instance is paused for it.
pub(super) fn caller(waits: bool) -> (Caller, Arrivals) {
    let (arrivals, receiver) = mpsc::channel(REPLY_BUFFER);
    let bytes = if waits { PAUSED_BYTES } else { REPLY_BYTES };
    (Caller { arrivals, room: Arc::new(Semaphore::new(bytes)), bytes }, receiver)
}

impl Caller {
    pub(super) fn is_gone(&self) -> bool {
        self.arrivals.is_closed()
    }

    pub(super) fn is_full(&self) -> bool {
        self.arrivals.capacity() == 0
    }

    /// Says that nothing follows. A full channel drops its sender soon, which its reader sees as
    /// lost as well.
    pub(super) fn lose(&self, reason: &Arc<str>) {
        drop(self.arrivals.try_send((Arrival::Lost(Arc::clone(reason)), None)));
    }

    /// Waits until there is room; a caller that is gone takes everything.
    pub(super) async fn hand(&self, arrival: Arrival, bytes: usize) {
        tokio::select! {
            room = Arc::clone(&self.room).acquire_many_owned(share(bytes, self.bytes)) => {
                drop(self.arrivals.send((arrival, room.ok())).await);
            }
            () = self.arrivals.closed() => {}
        }
    }

    /// Whether there was room.
    pub(super) fn try_hand(&self, arrival: Arrival, bytes: usize) -> bool {
        let room = Arc::clone(&self.room).try_acquire_many_owned(share(bytes, self.bytes));
        room.is_ok_and(|room| self.arrivals.try_send((arrival, Some(room))).is_ok())
    }
}

/// What a message takes of a room; one that is longer than the room takes all of it.
pub(super) fn share(bytes: usize, room: usize) -> u32 {
    u32::try_from(bytes.min(room)).unwrap_or(u32::MAX)
}

/// Who waits for what.
#[derive(Default)]
pub(super) struct Waiting {
    calls: HashMap<u64, Caller>,
    /// The newest request last: what the server asks without naming a call goes there.
    order: Vec<u64>,
    closed: Option<Arc<str>>,
}

impl Waiting {
    pub(super) fn add(&mut self, id: u64, reply: Caller) {
        if let Some(reason) = &self.closed {
            reply.lose(reason);
            return;
        }
        self.calls.insert(id, reply);
        self.order.push(id);
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Caller> {
        self.order.retain(|other| *other != id);
        self.calls.remove(&id)
    }

    pub(super) fn find(&self, id: u64) -> Option<Caller> {
        self.calls.get(&id).cloned()
    }

    pub(super) fn newest(&self) -> Option<u64> {
        let waits = |id: &&u64| self.calls.get(id).is_some_and(|reply| !reply.is_gone());
        self.order.iter().rev().find(waits).copied()
    }

    /// The only call in flight, so that what names no call can only belong to it.
    pub(super) fn only(&self) -> Option<u64> {
        match self.order.as_slice() {
            [id] => Some(*id),
            _ => None,
        }
    }

    pub(super) fn lose_all(&mut self, reason: &Arc<str>) {
        self.order.clear();
        for (_, reply) in self.calls.drain() {
            reply.lose(reason);
        }
        self.closed = Some(Arc::clone(reason));
    }
}
