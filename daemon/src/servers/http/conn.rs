//! One connection to a server: its stream, its buffers and its clock.
//!
//! Owned by whoever uses it, a call or the pool; it is never shared. Nothing here knows HTTP.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::time::{Instant, Sleep};

use super::places::Slot;
use super::socket::Stream;
use crate::servers::connections::Right;

/// Room that is made before a read.
const READ: usize = 4 * 1024;
/// Room that is made where a long body is known to follow.
const READ_LONG: usize = 64 * 1024;
/// An idle connection keeps no larger buffer than this.
const KEEP: usize = 16 * 1024;
/// Bodies up to this size are copied behind the head, so that a request is one segment in one buffer.
const ONE_WRITE: usize = 16 * 1024;
/// Pieces of a body that one write takes.
const PIECES: usize = 16;

thread_local! {
    /// Requests are written into one buffer after the other: nearly all of them leave in the turn that wrote
    /// them, so that connections need no buffer of their own to send from.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// An empty buffer to write a request's head into.
pub(super) fn blank() -> Vec<u8> {
    SPARE.take()
}

/// Keeps a buffer for the next request of this core, unless a large one has made it large.
fn spare(mut buffer: Vec<u8>) {
    if buffer.capacity() <= 2 * KEEP {
        buffer.clear();
        SPARE.set(buffer);
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Conn {
    stream: Stream,
    /// What has arrived and is not yet consumed.
    pub(super) input: BytesMut,
    /// When whatever is waited for must have happened.
    deadline: Instant,
    /// Kept between calls, and moved only when it has run out or is too late: most calls end long before.
    timer: Pin<Box<Sleep>>,
    /// Whether it has served a call before.
    pub(super) reused: bool,
    /// When it was opened.
    pub(super) born: Instant,
    /// How long the server says that it keeps it idle.
    pub(super) idle: Option<Duration>,
    /// Its place among the server's connections, and among those to all servers.
    places: (Slot, Right),
}

/// How sending ended.
#[derive(Debug)]
pub(super) enum Written {
    /// All of it left.
    Whole,
    /// The server has answered, or stopped reading, before all of it left.
    Partly(Option<io::Error>),
}

impl Conn {
    pub(super) fn new(stream: Stream, places: (Slot, Right)) -> Self {
        let now = Instant::now();
        Self {
            stream,
            input: BytesMut::new(),
            deadline: now,
            timer: Box::pin(tokio::time::sleep_until(now)),
            reused: false,
            born: now,
            idle: None,
            places,
        }
    }

    /// Whether an idle connection is still open and silent: anything that arrives between two calls
    /// belongs to no call. Costs no system call unless the reactor has seen something.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.input.is_empty() && self.poll_fill(&mut Context::from_waker(Waker::noop()), 0).is_pending()
    }

    /// Whether what was written last could not be sent, not even its first byte.
    pub(super) fn sent_nothing(&self) -> bool {
        self.stream.sent_nothing()
    }

    /// Its place among the server's connections.
    pub(super) fn slot(&mut self) -> &mut Slot {
        &mut self.places.0
    }

    /// Moves the connection to the core that this is called on.
    pub(super) fn rebind(&mut self) -> io::Result<()> {
        self.stream.rebind()?;
        self.timer = Box::pin(tokio::time::sleep_until(Instant::now()));
        Ok(())
    }

    /// Gives back memory that a large call took.
    pub(super) fn trim(&mut self) {
        if self.input.capacity() > KEEP {
            self.input = BytesMut::new();
        }
    }

    pub(super) fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// Ready when the deadline has passed.
    pub(super) fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.deadline() > self.deadline {
            self.timer.as_mut().reset(self.deadline);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if self.timer.deadline() >= self.deadline {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.deadline);
        }
        Poll::Pending
    }

    /// Reads more input; the number of bytes, 0 at the end of the connection. `expected` is what is known to follow.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, expected: u64) -> Poll<io::Result<usize>> {
        let room = usize::try_from(expected).unwrap_or(READ_LONG).clamp(READ, READ_LONG);
        self.input.reserve(room);
        pin!(self.stream.read_buf(&mut self.input)).poll(cx)
    }

    /// Reads more input until the deadline that was set: `None` when it passed.
    pub(super) async fn fill(&mut self) -> Option<io::Result<usize>> {
        poll_fn(|cx| match self.poll_fill(cx, 0) {
            Poll::Ready(read) => Poll::Ready(Some(read)),
            Poll::Pending => self.poll_deadline(cx).map(|()| None),
        })
        .await
    }

    /// Sends `head` and then the pieces of `body`. `sent` becomes true once any byte may have left.
    /// `stall` is how long no byte may leave, from `now` on; `None` when that passed. Says
    /// when it ended, too: at `now`, where nothing had to be waited for.
    pub(super) async fn write(
        &mut self,
        mut head: Vec<u8>,
        body: &[&[u8]],
        sent: &mut bool,
        now: Instant,
        stall: Duration,
    ) -> Option<(Written, Instant)> {
        let length: usize = body.iter().map(|piece| piece.len()).sum();
        let body = if length <= ONE_WRITE {
            for piece in body {
                head.extend_from_slice(piece);
            }
            &[]
        } else {
            body
        };
        let mut left = Left { first: &head, rest: body, at: 0 };
        let mut waited = false;
        self.set_deadline(now + stall);
        let written = loop {
            let step = poll_fn(|cx| {
                let step = self.poll_write_some(cx, &left);
                waited |= step.is_pending();
                step
            });
            let step = step.await?;
            match step {
                Ok(Some(0)) => break Written::Partly(Some(io::ErrorKind::WriteZero.into())),
                Ok(Some(count)) => {
                    *sent = true;
                    left.advance(count);
                    if left.is_empty() {
                        break self.flush().await?;
                    }
                    self.set_deadline(Instant::now() + stall);
                }
                Ok(None) => break Written::Partly(None),
                Err(error) => break Written::Partly(Some(error)),
            }
        };
        spare(head);
        Some((written, if waited { Instant::now() } else { now }))
    }

    /// The number of bytes taken; `Ok(None)` when the server has sent something instead; `None` when time is up.
    fn poll_write_some(&mut self, cx: &mut Context<'_>, left: &Left<'_>) -> Poll<Option<io::Result<Option<usize>>>> {
        let mut slices = [IoSlice::new(&[]); PIECES];
        let count = left.fill(&mut slices);
        if let Poll::Ready(result) = Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[..count]) {
            return Poll::Ready(Some(result.map(Some)));
        }
        // A server that answers early may never read the rest: then both sides would wait.
        if let Poll::Ready(result) = self.poll_fill(cx, 0) {
            return Poll::Ready(Some(result.map(|_| None)));
        }
        self.poll_deadline(cx).map(|()| None)
    }

    /// TLS may still hold records that the socket had no room for.
    async fn flush(&mut self) -> Option<Written> {
        poll_fn(|cx| match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Some(Written::Whole)),
            Poll::Ready(Err(error)) => Poll::Ready(Some(Written::Partly(Some(error)))),
            Poll::Pending => self.poll_deadline(cx).map(|()| None),
        })
        .await
    }
}

/// What is still to be sent.
struct Left<'a> {
    first: &'a [u8],
    rest: &'a [&'a [u8]],
    /// Bytes of the first piece of `rest` that have left.
    at: usize,
}

impl Left<'_> {
    fn is_empty(&self) -> bool {
        self.first.is_empty() && self.rest.iter().map(|piece| piece.len()).sum::<usize>() == self.at
    }

    fn fill<'s>(&'s self, slices: &mut [IoSlice<'s>; PIECES]) -> usize {
        let first = (!self.first.is_empty()).then_some(self.first);
        let second = self.rest.first().map(|piece| &piece[self.at..]);
        let others = self.rest.iter().skip(1).copied();
        let pieces = first.into_iter().chain(second).chain(others).filter(|piece| !piece.is_empty());
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(pieces) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        count
    }

    fn advance(&mut self, mut count: usize) {
        let head = count.min(self.first.len());
        self.first = &self.first[head..];
        count -= head;
        self.at += count;
        while let Some(piece) = self.rest.first()
            && self.at >= piece.len()
        {
            self.at -= piece.len();
            self.rest = &self.rest[1..];
        }
    }
}
