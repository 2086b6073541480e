//! Drives one HTTP/2 connection: hyper, the deadlines and the drain, in turns.
//!
//! [`connection`](super::connection) starts it. h2 bounds streams, headers and resets, the guard
//! bounds frames that ask for nothing; whichever finds a flood, the client is told and work for it ends.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http2::{Builder, Connection as Hyper};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Sleep, sleep};
use toolgate_protocol::framing::http2::Breach;

use super::connection::Connection;
use super::deadlines::{Deadlines, Leaving, Wait};
use super::drain::Changes;
use super::framing::{Guard, Watch};
use super::open::Counters;
use super::owed::{LocalExec, Newest};
use super::refuse;
use super::service::Service;
use super::shared::Shared;
use crate::core::Core;

/// Bytes a client may send ahead on one stream, and on all of a connection.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of an answer that are held per stream until the client takes them.
const SEND_BUFFER: usize = 128 * 1024;
/// A client that vanished without a word is found by asking, so that its streams end.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Streams that were reset before the server took them up: beyond it, the connection ends.
const PENDING_RESETS: usize = 20;
/// Streams that this side reset for a client's errors: beyond it, the connection ends.
const LOCAL_RESETS: usize = 256;

/// How long a client that kept silent has to take its leave.
const FAREWELL: Duration = Duration::from_secs(2);

enum Event {
    Ended(hyper::Result<()>),
    /// The core drains, and the first request has come or is waited for no longer.
    Leave,
    Expired(Wait),
    /// The client sent what it may not; the frame says so.
    Breached(Breach, [u8; 17]),
}

/// Serves the connection until it ends.
pub(super) async fn serve<S>(
    core: &Rc<Core>,
    stream: S,
    connection: &Rc<Connection>,
    counters: &Counters,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let watch = Rc::new(Watch::http2());
    let newest = Newest::default();
    let service = Service::http2(core.clone(), connection.clone(), newest.clone());
    let (lent, stream) = Shared::pair(stream);
    let io = TokioIo::new(Guard::new(lent, watch.clone()));
    let hyper = builder(connection, newest).serve_connection(io, service);
    let changes = core.drain.changes();
    let deadlines = Deadlines::start();
    Driver { hyper, stream, core, connection, watch, changes, deadlines, leaving: false, silence: None }
        .run(counters)
        .await
}

fn builder(connection: &Connection, newest: Newest) -> Builder<LocalExec> {
    let bounds = &connection.listener.bounds;
    let mut builder = Builder::new(LocalExec::new(newest, bounds.keep_alive, connection.id));
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_concurrent_streams(bounds.streams)
        // h2 refuses a list that is exactly as long as its bound.
        .max_header_list_size(u32::try_from(bounds.head_bytes).unwrap_or(u32::MAX).saturating_add(1))
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(LOCAL_RESETS)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

struct Driver<'a, S: AsyncRead + AsyncWrite + Unpin + 'static> {
    hyper: Hyper<TokioIo<Guard<Shared<S>>>, Service, LocalExec>,
    /// What hyper has, for when it has it no longer.
    stream: Shared<S>,
    core: &'a Rc<Core>,
    connection: &'a Rc<Connection>,
    watch: Rc<Watch>,
    changes: Changes<'a>,
    deadlines: Deadlines,
    /// GOAWAY was sent, or is about to be.
    leaving: bool,
    /// Runs where the client is to leave because it kept silent: there is nothing to wait long for.
    silence: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Driver<'_, S> {
    async fn run(mut self, counters: &Counters) -> io::Result<()> {
        loop {
            match poll_fn(|cx| self.poll(cx)).await {
                Event::Ended(Ok(())) => return Ok(()),
                Event::Ended(Err(error)) => {
                    if let Some(flood) = flood_in(&error) {
                        self.count_flood(counters, flood);
                        self.part(&[]).await;
                    }
                    return Err(io::Error::other(error));
                }
                Event::Breached(breach, goaway) => {
                    self.count_flood(counters, &breach);
                    // In the middle of a frame it would be taken for the rest of that.
                    let last = if self.watch.blocked() { &[][..] } else { &goaway };
                    self.part(last).await;
                    return Err(io::Error::other(breach));
                }
                Event::Leave => self.leave(),
                Event::Expired(Wait::First | Wait::Next) if !self.leaving => {
                    self.silence = Some(Box::pin(sleep(FAREWELL)));
                    self.leave();
                }
                Event::Expired(_) => {
                    Counters::count(&counters.timed_out);
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
        }
    }

    fn count_flood(&self, counters: &Counters, reason: &dyn std::error::Error) {
        Counters::count(&counters.sent_away);
        let Connection { id, peer, listener, .. } = &**self.connection;
        tracing::warn!(connection = id, %peer, listener = listener.name, "a client was sent away: {reason}");
    }

    /// Ends all work for the client, then the connection, so that its last frame is read.
    async fn part(self, last: &[u8]) {
        let Self { hyper, stream, .. } = self;
        drop(hyper);
        if let Some(stream) = stream.into_inner() {
            Box::pin(refuse::part(stream, last)).await;
        }
    }

    /// Asks the client to send further requests elsewhere; those that are on their way are served.
    fn leave(&mut self) {
        self.leaving = true;
        self.deadlines = Deadlines::start();
        Pin::new(&mut self.hyper).graceful_shutdown();
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if let Poll::Ready(result) = Pin::new(&mut self.hyper).poll(cx) {
            return Poll::Ready(Event::Ended(result));
        }
        if let Some((breach, goaway)) = self.watch.breach() {
            return Poll::Ready(Event::Breached(breach, goaway));
        }
        self.changes.poll(cx);
        let requests = self.connection.requests();
        // A client that is told to leave before its first request has arrived would lose it.
        if self.core.drain.begun() && !self.leaving && requests > 0 {
            return Poll::Ready(Event::Leave);
        }
        let in_flight = self.connection.in_flight();
        if let Some(silence) = &mut self.silence
            && in_flight == 0
            && silence.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Event::Expired(Wait::Next));
        }
        let leaving = Leaving { first: self.core.drain.first_request_by(self.connection.ready), next: None };
        let bounds = &self.connection.listener.bounds;
        let counts = (requests, in_flight);
        self.deadlines.poll(cx, bounds, &self.watch, counts, leaving).map(Event::Expired)
    }
}

/// What h2 found that the guard does not count: resets, small pieces, long header lists.
fn flood_in(error: &hyper::Error) -> Option<&h2::Error> {
    let cause = std::error::Error::source(error)?.downcast_ref::<h2::Error>()?;
    (cause.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM)).then_some(cause)
}
