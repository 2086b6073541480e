//! The guard between TLS and hyper: every byte a client sends is judged before hyper sees it.
//!
//! The drivers of [`http1`](super::http1) and [`http2`](super::http2) put it around the stream and
//! look at its [`Watch`] after each turn of hyper. Bytes of a refused line never pass, nor what follows it.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use toolgate_protocol::framing::http2::{Breach, Frames};
use toolgate_protocol::framing::{Bounds, Machine, Phase, Refusal, Refused};

use super::held::Held;
use crate::config::settings;

/// A refused message, and which one of its connection it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// Why.
    pub refusal: Refusal,
    /// Messages that arrived whole before it.
    pub message: u64,
    /// Whether its head had passed: then its request may be at work and learns of it by the body.
    pub begun: bool,
}

/// The machine that judges what is read.
#[derive(Debug)]
enum Judge {
    Http1(RefCell<Machine>),
    /// With the time from which its clock counts.
    Http2(RefCell<Frames>, Instant),
}

/// What the guard saw, for the driver and the service of the same connection.
#[derive(Debug)]
pub struct Watch {
    judge: Judge,
    stop: Cell<Option<Stop>>,
    breach: Cell<Option<Breach>>,
    /// The last read found nothing: whatever is missing, the client owes it.
    starved: Cell<bool>,
    /// The last write could not be finished: the client does not read.
    blocked: Cell<bool>,
    written: Cell<u64>,
    ended: Cell<bool>,
}

impl Watch {
    /// For HTTP/1.
    #[must_use]
    pub fn http1(bounds: &settings::Bounds) -> Self {
        Self::new(Judge::Http1(RefCell::new(Machine::new(Bounds {
            head_bytes: bounds.head_bytes,
            headers: bounds.headers,
            uri_bytes: bounds.uri_bytes,
            body_bytes: bounds.body_bytes as u64,
        }))))
    }

    /// For HTTP/2, whose messages h2 frames: what is judged is how many frames ask for nothing.
    #[must_use]
    pub fn http2() -> Self {
        Self::new(Judge::Http2(RefCell::default(), Instant::now()))
    }

    fn new(judge: Judge) -> Self {
        Self {
            judge,
            stop: Cell::default(),
            breach: Cell::default(),
            starved: Cell::default(),
            blocked: Cell::default(),
            written: Cell::default(),
            ended: Cell::default(),
        }
    }

    /// What the next byte belongs to; always idle for HTTP/2.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match &self.judge {
            Judge::Http1(machine) => machine.borrow().phase(),
            Judge::Http2(..) => Phase::Idle,
        }
    }

    /// Messages that arrived whole; always 0 for HTTP/2.
    #[must_use]
    pub fn messages(&self) -> u64 {
        match &self.judge {
            Judge::Http1(machine) => machine.borrow().messages(),
            Judge::Http2(..) => 0,
        }
    }

    /// Why an HTTP/2 connection has to end, and the GOAWAY frame that says so. Nothing passes after it.
    #[must_use]
    pub fn breach(&self) -> Option<(Breach, [u8; 17])> {
        let breach = self.breach.get()?;
        let last_stream = match &self.judge {
            Judge::Http1(_) => 0,
            Judge::Http2(frames, _) => frames.borrow().last_stream(),
        };
        Some((breach, breach.goaway(last_stream)))
    }

    /// The refused message, after which nothing passes.
    #[must_use]
    pub fn stop(&self) -> Option<Stop> {
        self.stop.get()
    }

    /// Refuses the message that is arriving, for a reason that lies outside of its bytes.
    pub fn refuse(&self, refusal: Refusal) {
        let begun = self.phase() == Phase::Body;
        self.stop.set(Some(Stop { refusal, message: self.messages(), begun }));
    }

    /// Whether the last read found nothing.
    #[must_use]
    pub fn starved(&self) -> bool {
        self.starved.get()
    }

    /// Whether the last write could not be finished.
    #[must_use]
    pub fn blocked(&self) -> bool {
        self.blocked.get()
    }

    /// Bytes written so far, before encryption.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.get()
    }

    /// Whether the client has ended the stream, or it broke.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended.get()
    }

    /// Judges bytes that were read; says how many may pass, and how many after them wait for the end of their line.
    fn judge(&self, bytes: &[u8]) -> (usize, usize) {
        match &self.judge {
            Judge::Http1(machine) => {
                let mut machine = machine.borrow_mut();
                match machine.feed(bytes) {
                    Ok(()) => {
                        let wait = machine.unfinished().min(bytes.len());
                        (bytes.len() - wait, wait)
                    }
                    Err(Refused { refusal, before, begun }) => {
                        self.stop.set(Some(Stop { refusal, message: machine.messages(), begun }));
                        (before, 0)
                    }
                }
            }
            Judge::Http2(frames, opened) => match frames.borrow_mut().feed(bytes, || opened.elapsed()) {
                Ok(()) => (bytes.len(), 0),
                Err(breach) => {
                    self.breach.set(Some(breach));
                    (0, 0)
                }
            },
        }
    }

    fn wrote(&self, outcome: &Poll<io::Result<usize>>) {
        match outcome {
            Poll::Ready(Ok(bytes)) => {
                self.written.set(self.written.get() + *bytes as u64);
                if let Judge::Http2(frames, _) = &self.judge {
                    frames.borrow_mut().answered(*bytes);
                }
            }
            Poll::Ready(Err(_)) => self.ended.set(true),
            Poll::Pending => {}
        }
        self.blocked.set(outcome.is_pending());
    }
}

/// A stream whose incoming bytes are judged.
#[derive(Debug)]
pub struct Guard<S> {
    stream: S,
    watch: Rc<Watch>,
    held: Held,
}

impl<S> Guard<S> {
    /// Judges `stream` and tells `watch`.
    pub fn new(stream: S, watch: Rc<Watch>) -> Self {
        Self { stream, watch, held: Held::default() }
    }

    /// The stream, for whoever answers in hyper's place.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, watch, held } = self.get_mut();
        loop {
            if held.give(buf) {
                return Poll::Ready(Ok(()));
            }
            if let Some(stop) = watch.stop.get() {
                return stopped(stop);
            }
            if watch.breach.get().is_some() {
                return Poll::Pending;
            }
            let start = buf.filled().len();
            let read = Pin::new(&mut *stream).poll_read(cx, buf);
            watch.starved.set(read.is_pending());
            ready!(read).inspect_err(|_| watch.ended.set(true))?;
            let bytes = &buf.filled()[start..];
            if bytes.is_empty() {
                watch.ended.set(true);
                return Poll::Ready(Ok(()));
            }
            let (pass, wait) = watch.judge(bytes);
            let direct = if held.is_empty() { pass } else { 0 };
            held.keep(&bytes[direct..pass], &bytes[pass..pass + wait]);
            buf.set_filled(start + direct);
            // Reading nothing would mean that the client has gone.
            if direct > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

/// Whoever works on the message must learn that its body will not come; otherwise nobody needs to
/// read, and answers to earlier messages are still being written.
fn stopped(stop: Stop) -> Poll<io::Result<()>> {
    if stop.begun {
        return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, stop.refusal)));
    }
    Poll::Pending
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Self { stream, watch, .. } = self.get_mut();
        let written = Pin::new(stream).poll_write(cx, buf);
        watch.wrote(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, watch, .. } = self.get_mut();
        let written = Pin::new(stream).poll_write_vectored(cx, bufs);
        watch.wrote(&written);
        written
    }

    /// Not for HTTP/2: h2 would write each answer of more than 256 bytes by itself, where otherwise it
    /// gathers those of all streams that are ready into one record.
    fn is_write_vectored(&self) -> bool {
        matches!(self.watch.judge, Judge::Http1(_)) && self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, watch, .. } = self.get_mut();
        let flushed = Pin::new(stream).poll_flush(cx);
        watch.blocked.set(flushed.is_pending());
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, watch, .. } = self.get_mut();
        let shut = Pin::new(stream).poll_shutdown(cx);
        watch.blocked.set(shut.is_pending());
        shut
    }
}

/// Why reading a request's body failed, where the guard refused it: for whoever turns errors into
/// answers.
#[must_use]
pub fn refusal_in(error: &(dyn std::error::Error + 'static)) -> Option<Refusal> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            return Some(*refusal);
        }
        // An I/O error's source is that of what it wraps, not what it wraps.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(refusal) = wrapped.and_then(|wrapped| wrapped.downcast_ref::<Refusal>()) {
            return Some(*refusal);
        }
        next = error.source();
    }
    None
}
