//! An answer and its body, read from the connection as the front asks for it.
//!
//! Made by the client, consumed by the relay stage. The connection goes back to the pool at the body's
//! clean end and is closed when the body is dropped before, as is a stream of HTTP/2: that is how a call is cancelled.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::chunked::{Chunked, Step};
use super::conn::Conn;
use super::error::BodyError;
use super::head::{Framing, Headers};
use super::pool::Pool;
use super::streamed::Flowing;
use crate::servers::endpoints::Attempt;
use crate::servers::queue::Permit;

/// An answer whose head has arrived.
#[derive(Debug)]
pub struct Answer {
    /// 200 to 599; interim answers are skipped.
    pub status: u16,
    /// Headers that concern the message.
    pub headers: Headers,
    /// The body; empty and at its end where the status allows none.
    pub body: AnswerBody,
    /// Whether the connection had served a call before.
    pub reused: bool,
    /// When the head was there.
    pub arrived: Instant,
    /// Where the time went until the head was there.
    pub timing: Timing,
    /// Which endpoint it is from.
    pub endpoint: usize,
    /// What is to be told how the answer ends.
    pub attempt: Option<Box<Attempt>>,
}

/// Where the time of a call went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timing {
    /// Waiting for a connection to be free, and connecting; zero on a kept connection.
    pub connect: Duration,
    /// From the first byte sent to the end of the head.
    pub first_byte: Duration,
}

/// The body of an answer.
#[derive(Debug)]
pub struct AnswerBody(State);

#[derive(Debug)]
enum State {
    Done,
    /// All of it had arrived with the head; never empty.
    Whole(Bytes),
    Reading(Box<Reading>),
    /// In a stream of HTTP/2.
    Flowing(Box<Flowing>),
}

/// A body that is still arriving.
#[derive(Debug)]
struct Reading {
    checkout: Checkout,
    decode: Decode,
    total: Option<Pin<Box<Sleep>>>,
    /// Something must follow the head by the connection's deadline, which is the head's own.
    is_awaited: bool,
}

/// A connection in use, with the way back to its pool.
pub(super) struct Checkout {
    pub(super) conn: Conn,
    /// Dropped after the connection: whoever gets it next must find the connection idle or gone.
    pub(super) permit: Permit,
    pub(super) pool: Arc<Pool>,
    pub(super) core: usize,
    pub(super) endpoint: usize,
    pub(super) keep_alive: bool,
    /// Told how the answer ends.
    pub(super) attempt: Option<Box<Attempt>>,
}

impl std::fmt::Debug for Checkout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkout").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Checkout {
    /// Keeps the connection, unless it must close or something follows the answer that nobody asked for.
    fn finish(mut self, now: Instant) {
        if let Some(attempt) = &mut self.attempt {
            attempt.answered();
        }
        if self.keep_alive && self.conn.input.is_empty() {
            self.pool.put(self.core, self.endpoint, self.conn, now);
            drop(self.permit);
        }
    }
}

#[derive(Debug)]
enum Decode {
    Length(u64),
    Chunked(Chunked),
    Close,
}

impl Decode {
    fn step(&mut self, input: &mut BytesMut) -> Result<Step, BodyError> {
        match self {
            Self::Length(0) => Ok(Step::End),
            Self::Chunked(chunked) => chunked.step(input).map_err(BodyError::Malformed),
            _ if input.is_empty() => Ok(Step::More),
            Self::Length(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= take as u64;
                Ok(Step::Data(input.split_to(take).freeze()))
            }
            Self::Close => Ok(Step::Data(input.split().freeze())),
        }
    }

    /// Whether nothing but the body's end is left, which is then taken.
    fn take_end(&mut self, input: &mut BytesMut) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunked) => chunked.take_end(input),
            Self::Close => false,
        }
    }

    fn expected(&self) -> u64 {
        match self {
            Self::Length(left) => *left,
            Self::Chunked(_) | Self::Close => 0,
        }
    }
}

impl AnswerBody {
    /// The body that follows a head with `framing`; takes what has arrived already.
    pub(super) fn new(
        framing: Framing,
        mut checkout: Checkout,
        now: Instant,
        total: Option<Pin<Box<Sleep>>>,
    ) -> Result<Self, BodyError> {
        let mut decode = match framing {
            Framing::Length(length) => Decode::Length(length),
            Framing::Chunked => Decode::Chunked(Chunked::new()),
            Framing::Close => Decode::Close,
        };
        let state = match whole(&mut decode, &mut checkout.conn.input)? {
            Some(body) => {
                checkout.finish(now);
                if body.is_empty() { State::Done } else { State::Whole(body) }
            }
            None => State::Reading(Box::new(Reading { checkout, decode, total, is_awaited: false })),
        };
        Ok(Self(state))
    }

    /// The body of a stream of HTTP/2; takes what has arrived already.
    pub(super) fn flowing(mut flowing: Flowing) -> Self {
        Self(match flowing.whole() {
            Some(body) if body.is_empty() => State::Done,
            Some(body) => State::Whole(body),
            None => State::Flowing(Box::new(flowing)),
        })
    }

    /// How long the body is, where all of it has arrived.
    pub fn whole(&self) -> Option<usize> {
        match &self.0 {
            State::Done => Some(0),
            State::Whole(body) => Some(body.len()),
            State::Reading(_) | State::Flowing(_) => None,
        }
    }

    /// The body, where all of it has arrived; what is left of it otherwise stays.
    pub fn take_whole(&mut self) -> Option<Bytes> {
        match std::mem::replace(&mut self.0, State::Done) {
            State::Done => Some(Bytes::new()),
            State::Whole(body) => Some(body),
            arriving @ (State::Reading(_) | State::Flowing(_)) => {
                self.0 = arriving;
                None
            }
        }
    }

    /// What has arrived of a body that is not whole, as it came.
    pub fn arrived(&self) -> &[u8] {
        match &self.0 {
            State::Reading(reading) => &reading.checkout.conn.input,
            State::Flowing(flowing) => flowing.arrived(),
            State::Done | State::Whole(_) => &[],
        }
    }

    /// Has the body fail where nothing of it comes within the time that its head had.
    pub fn expect_soon(&mut self) {
        match &mut self.0 {
            State::Reading(reading) => reading.is_awaited = true,
            State::Flowing(flowing) => flowing.expect_soon(),
            State::Done | State::Whole(_) => {}
        }
    }

    /// Has the attempt told how the body ends; one that has arrived has ended well.
    pub fn hold(&mut self, mut attempt: Box<Attempt>) {
        match &mut self.0 {
            State::Reading(reading) => reading.checkout.attempt = Some(attempt),
            State::Flowing(flowing) => flowing.attempt = Some(attempt),
            State::Done | State::Whole(_) => attempt.answered(),
        }
    }

    fn end(&mut self) {
        match std::mem::replace(&mut self.0, State::Done) {
            State::Reading(reading) => reading.checkout.finish(Instant::now()),
            State::Flowing(flowing) => {
                if let Some(mut attempt) = flowing.attempt {
                    attempt.answered();
                }
            }
            State::Done | State::Whole(_) => {}
        }
    }

    fn fail(&mut self, error: BodyError) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let attempt = match std::mem::replace(&mut self.0, State::Done) {
            State::Reading(reading) => reading.checkout.attempt,
            State::Flowing(flowing) => flowing.attempt,
            State::Done | State::Whole(_) => None,
        };
        if let Some(mut attempt) = attempt {
            attempt.failed();
        }
        Poll::Ready(Some(Err(error)))
    }
}

impl AnswerBody {
    fn poll_flowing(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let State::Flowing(flowing) = &mut self.0 else { return Poll::Ready(None) };
        match ready!(flowing.poll_data(cx)) {
            Some(Ok(data)) => {
                // The end may be known with the last data: then nobody needs to ask again.
                if flowing.is_at_end() {
                    self.end();
                }
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Some(Err(error)) => self.fail(error),
            None => {
                self.end();
                Poll::Ready(None)
            }
        }
    }
}

/// The whole body if it has arrived: of a known length, or in one or more chunks.
fn whole(decode: &mut Decode, input: &mut BytesMut) -> Result<Option<Bytes>, BodyError> {
    match decode {
        Decode::Close => Ok(None),
        Decode::Length(length) => {
            let Some(length) = usize::try_from(*length).ok().filter(|length| *length <= input.len()) else {
                return Ok(None);
            };
            Ok(Some(input.split_to(length).freeze()))
        }
        Decode::Chunked(chunked) => chunked.whole(input).map_err(BodyError::Malformed),
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        loop {
            let reading = match &mut this.0 {
                State::Reading(reading) => reading,
                State::Flowing(_) => return this.poll_flowing(cx),
                State::Done => return Poll::Ready(None),
                State::Whole(body) => {
                    let body = std::mem::take(body);
                    this.0 = State::Done;
                    return Poll::Ready(Some(Ok(Frame::data(body))));
                }
            };
            let conn = &mut reading.checkout.conn;
            match reading.decode.step(&mut conn.input) {
                Ok(Step::Data(data)) => {
                    reading.is_awaited = false;
                    // The end may be known with the last data: then nobody needs to ask again.
                    if reading.decode.take_end(&mut conn.input) {
                        this.end();
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Ok(Step::End) => {
                    this.end();
                    return Poll::Ready(None);
                }
                Ok(Step::More) => {}
                Err(error) => return this.fail(error),
            }
            match conn.poll_fill(cx, reading.decode.expected()) {
                Poll::Ready(Ok(0)) if matches!(reading.decode, Decode::Close) => {
                    this.end();
                    return Poll::Ready(None);
                }
                Poll::Ready(Ok(0)) => return this.fail(BodyError::Truncated),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return this.fail(BodyError::Io(error)),
                Poll::Pending => {
                    let late = reading.total.as_mut().is_some_and(|total| total.as_mut().poll(cx).is_ready());
                    if late {
                        return this.fail(BodyError::TotalTimeout);
                    }
                    let silent = reading.is_awaited && conn.poll_deadline(cx).is_ready();
                    return if silent { this.fail(BodyError::Silent) } else { Poll::Pending };
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, State::Done)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            State::Done => SizeHint::with_exact(0),
            State::Whole(body) => SizeHint::with_exact(body.len() as u64),
            State::Reading(reading) => match reading.decode {
                Decode::Length(left) => SizeHint::with_exact(left),
                Decode::Chunked(_) | Decode::Close => SizeHint::default(),
            },
            State::Flowing(flowing) => flowing.left().map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}
