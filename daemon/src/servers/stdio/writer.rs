//! What an instance is sent: whole lines, in order, each batch in one write.
//!
//! Everyone on the core who talks to an instance holds a clone. A line is written whole or not at
//! all, also when the caller that queued it is dropped: hence the task and its queue.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use toolgate_protocol::envelope::{self, Shape};

use crate::state::Keep;

/// Lines that may wait.
const QUEUE_LINES: usize = 64;

/// Bytes that may wait; a longer line waits for an empty queue.
const QUEUE_BYTES: usize = 4 * 1024 * 1024;

/// A write of up to this many bytes takes place as a whole or not at all: the kernel copies it into one
/// buffer. Of a longer one the process's end may leave a part.
const WHOLE: usize = 16 * 1024;

/// How long queued lines may still be written once the end was asked for.
const FLUSH_TIME: Duration = Duration::from_millis(500);

/// The writing half of a connection. Dropping the last clone ends the instance, as `end` does.
#[derive(Debug, Clone)]
pub struct Writer {
    queue: mpsc::Sender<Queued>,
    room: Arc<Semaphore>,
    end: Rc<Notify>,
}

/// Lines on their way out.
pub(super) type Lines = mpsc::Receiver<Queued>;

/// A line, and the room that it takes until it is written.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) line: Bytes,
    room: OwnedSemaphorePermit,
}

/// The instance is gone or was told to end; the line was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the server's instance has ended; call again to start another")
    }
}

impl std::error::Error for Closed {}

impl Writer {
    pub(super) fn spawn(stream: OwnedWriteHalf, keep: Option<Arc<Keep>>, first: Bytes) -> Self {
        let (writer, lines) = Self::queue();
        let cut = !first.is_empty();
        let (stream, batch) = (Some(stream), Batch::default());
        let mut outgoing = Outgoing { stream, lines, batch, answers: Vec::new(), cut, keep };
        if !first.is_empty() {
            outgoing.batch.pieces.push_back(first);
        }
        tokio::task::spawn_local(outgoing.write(Rc::clone(&writer.end)));
        writer
    }

    /// The queue of a connection that is no socket, and what takes lines out of it.
    pub(super) fn queue() -> (Self, Lines) {
        let (queue, lines) = mpsc::channel(QUEUE_LINES);
        (Self { queue, room: Arc::new(Semaphore::new(QUEUE_BYTES)), end: Rc::new(Notify::new()) }, lines)
    }

    /// Waits until the end is asked for.
    pub(super) fn ended(&self) -> impl Future<Output = ()> + use<> {
        let end = Rc::clone(&self.end);
        async move { end.notified().await }
    }

    /// Queues one message, which must be a single line already; waits while the queue is full.
    ///
    /// Cancel-safe: a dropped future has queued nothing.
    pub async fn send(&self, line: Bytes) -> Result<(), Closed> {
        debug_assert!(memchr::memchr2(b'\n', b'\r', &line).is_none(), "a message must be flattened");
        let share = u32::try_from(line.len().min(QUEUE_BYTES)).unwrap_or(u32::MAX);
        let slot = self.queue.reserve().await.map_err(|_| Closed)?;
        let room = tokio::select! {
            room = Arc::clone(&self.room).acquire_many_owned(share) => room.map_err(|_| Closed)?,
            () = self.queue.closed() => return Err(Closed),
        };
        slot.send(Queued { line, room });
        Ok(())
    }

    /// Ends the instance: what is queued is written (within half a second), then the connection is
    /// shut down for writing. Its answers and its last line can still be read.
    pub fn end(&self) {
        self.end.notify_one();
    }

    /// Whether the instance can no longer be written to.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }
}

/// The id of the server's own request that a message answers.
pub(super) fn answered(message: &Bytes) -> Option<Bytes> {
    let envelope = envelope::scan(message).ok().filter(|envelope| envelope.shape == Shape::Response)?;
    Some(Bytes::copy_from_slice(envelope.id?.of(message)))
}

/// The writing task's own.
struct Outgoing {
    stream: Option<OwnedWriteHalf>,
    lines: Lines,
    /// What is being written; what is written is gone from it.
    batch: Batch,
    /// Ids of requests of the instance's that the batch answers.
    answers: Vec<Bytes>,
    /// The record says that a line may be cut.
    cut: bool,
    keep: Option<Arc<Keep>>,
}

impl Outgoing {
    async fn write(mut self, end: Rc<Notify>) {
        let asked = tokio::select! {
            () = self.pump() => false,
            () = end.notified() => true,
        };
        self.lines.close();
        if asked {
            // A server that does not read must not keep its instance from being ended.
            let _ = timeout(FLUSH_TIME, self.pump()).await;
        }
        // The descriptor may have copies (systemd's store), so closing ours would not be seen.
        if let Some(mut stream) = self.stream.take() {
            let _ = stream.shutdown().await;
        }
    }

    /// Writes until nobody is left who could queue a line, or the connection fails. May be dropped and
    /// called again.
    async fn pump(&mut self) {
        let mut received = Vec::with_capacity(QUEUE_LINES);
        while self.write_batch().await.is_ok() {
            self.batch.room.clear();
            if self.lines.recv_many(&mut received, QUEUE_LINES).await == 0 {
                return;
            }
            for Queued { line, room } in received.drain(..) {
                self.answers.extend(self.answer(&line));
                self.batch.pieces.extend([line, Bytes::from_static(b"\n")]);
                self.batch.room.push(room);
            }
        }
    }

    async fn write_batch(&mut self) -> io::Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let Some(keep) = &self.keep else { return stream.write_all_buf(&mut self.batch).await };
        if self.batch.remaining() > WHOLE {
            self.cut = true;
            keep.may_be_cut(true);
            keep.written().await;
        }
        stream.write_all_buf(&mut self.batch).await?;
        if std::mem::take(&mut self.cut) {
            keep.may_be_cut(false);
        }
        // Only now: what a crash keeps from being written the next process answers.
        self.answers.drain(..).for_each(|id| keep.answered(&id));
        Ok(())
    }

    /// The id of the instance's request that a line answers.
    fn answer(&self, line: &Bytes) -> Option<Bytes> {
        self.keep.as_ref().filter(|keep| keep.waits())?;
        answered(line)
    }
}

impl Drop for Outgoing {
    /// The process ends; an instance that outlives it must not see an end.
    fn drop(&mut self) {
        let (Some(keep), Some(stream)) = (&self.keep, self.stream.take()) else { return };
        stream.forget();
        while let Ok(Queued { line, .. }) = self.lines.try_recv() {
            self.answers.extend(self.answer(&line));
            self.batch.pieces.extend([line, Bytes::from_static(b"\n")]);
        }
        self.answers.drain(..).for_each(|id| keep.answered(&id));
        keep.leave_unwritten(&self.batch.pieces.iter().flatten().copied().collect::<Vec<u8>>());
    }
}

/// Lines on their way, with their ends; the room that they take is given back when all are written.
#[derive(Debug, Default)]
struct Batch {
    pieces: VecDeque<Bytes>,
    room: Vec<OwnedSemaphorePermit>,
}

impl Buf for Batch {
    fn remaining(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let count = slices.len().min(self.pieces.len());
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(piece);
        }
        count
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(piece) = self.pieces.front_mut() {
            if count < piece.len() {
                piece.advance(count);
                return;
            }
            count -= piece.len();
            self.pieces.pop_front();
        }
    }
}
