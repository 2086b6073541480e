//! Drives one HTTP/1 connection: hyper, the guard, the deadlines and the drain, in turns.
//!
//! [`connection`](super::connection) starts it. It decides what hyper cannot: who is refused, who
//! waited too long, and when an idle connection may be closed without losing a request.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use hyper::server::conn::http1::{Builder, Connection as Hyper};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use toolgate_protocol::framing::Refusal;

use super::connection::Connection;
use super::deadlines::{Deadlines, Leaving, Wait};
use super::drain::{Changes, NEXT_REQUEST, Phase};
use super::framing::{Guard, Stop, Watch};
use super::open::Counters;
use super::refuse;
use super::service::Service;
use crate::core::Core;

/// What ends a turn.
enum Event {
    /// hyper is done.
    Ended(hyper::Result<()>),
    /// A message was refused, and nothing else is under way.
    Refused(Stop),
    /// The client kept the connection waiting.
    Expired(Wait),
    /// The core drains, and the connection has been between two requests for a while.
    Idle,
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
    let watch = Rc::new(Watch::http1(&connection.listener.bounds));
    let service = Service::http1(core.clone(), connection.clone(), watch.clone());
    let io = TokioIo::new(Guard::new(stream, watch.clone()));
    let hyper = builder(connection).serve_connection(io, service);
    let changes = core.drain.changes();
    let driver = Driver { hyper, core, connection, watch, changes, deadlines: Deadlines::start() };
    driver.run(counters).await
}

fn builder(connection: &Connection) -> Builder {
    let bounds = &connection.listener.bounds;
    let mut builder = Builder::new();
    builder
        .header_read_timeout(None)
        // The guard has refused longer heads: hyper's own bounds must only not be the lower ones.
        .max_buf_size((bounds.head_bytes + 4096).max(8192));
    if bounds.headers > 100 {
        // Up to hyper's own default it keeps them on the stack.
        builder.max_headers(bounds.headers);
    }
    builder
}

struct Driver<'a, S: AsyncRead + AsyncWrite + Unpin + 'static> {
    hyper: Hyper<TokioIo<Guard<S>>, Service>,
    core: &'a Rc<Core>,
    connection: &'a Rc<Connection>,
    watch: Rc<Watch>,
    changes: Changes<'a>,
    deadlines: Deadlines,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Driver<'_, S> {
    async fn run(mut self, counters: &Counters) -> io::Result<()> {
        let connection = self.connection;
        let listener = &connection.listener;
        let mut looked = None;
        let mut closing = false;
        loop {
            let requests = self.connection.requests();
            match poll_fn(|cx| self.poll(cx)).await {
                Event::Ended(result) => {
                    if !self.watch.ended() {
                        Box::pin(refuse::linger(self.stream(), listener)).await;
                    }
                    return result.map_err(io::Error::other);
                }
                // Its request was handed on, and has been answered already.
                Event::Refused(stop) if stop.begun && requests > stop.message => {
                    Counters::count(&counters.refused);
                    Box::pin(refuse::close(self.stream(), listener)).await;
                    return Ok(());
                }
                Event::Refused(stop) => {
                    Counters::count(&counters.refused);
                    tracing::debug!(connection = self.connection.id, peer = %self.connection.peer, reason = stop.refusal.code(), "request refused");
                    Box::pin(refuse::answer(self.stream(), stop.refusal, listener)).await;
                    return Ok(());
                }
                Event::Expired(Wait::Head) => {
                    Counters::count(&counters.timed_out);
                    self.watch.refuse(Refusal::HeadTimeout);
                }
                Event::Expired(Wait::Body) if self.connection.in_flight() > 0 => {
                    Counters::count(&counters.timed_out);
                    self.watch.refuse(Refusal::BodyTimeout);
                }
                Event::Expired(Wait::First | Wait::Next) | Event::Idle if closing => {
                    Box::pin(refuse::close(self.stream(), listener)).await;
                    return Ok(());
                }
                Event::Expired(Wait::Body | Wait::Reader | Wait::Nothing) => {
                    Counters::count(&counters.timed_out);
                    return Err(io::ErrorKind::TimedOut.into());
                }
                // A request may have arrived that the runtime has not heard of: let it ask the
                // kernel once, and hyper read, before the connection is closed.
                Event::Idle if looked != Some(requests) => {
                    tokio::task::yield_now().await;
                    looked = Some(requests);
                }
                Event::Expired(Wait::First | Wait::Next) | Event::Idle => {
                    closing = true;
                    Pin::new(&mut self.hyper).graceful_shutdown();
                }
            }
        }
    }

    fn stream(self) -> S {
        self.hyper.into_parts().io.into_inner().into_inner()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if let Poll::Ready(result) = Pin::new(&mut self.hyper).poll(cx) {
            return Poll::Ready(Event::Ended(result));
        }
        let in_flight = self.connection.in_flight();
        if let Some(stop) = self.watch.stop()
            && in_flight == 0
            && !self.watch.blocked()
        {
            return Poll::Ready(Event::Refused(stop));
        }
        let requests = (self.connection.requests(), in_flight);
        let closes_idle = self.changes.poll(cx) >= Phase::Finishing;
        let leaving = Leaving {
            first: self.core.drain.first_request_by(self.connection.ready),
            next: closes_idle.then_some(NEXT_REQUEST),
        };
        let bounds = &self.connection.listener.bounds;
        self.deadlines.poll(cx, bounds, &self.watch, requests, leaving).map(|wait| match wait {
            Wait::Next if closes_idle => Event::Idle,
            wait => Event::Expired(wait),
        })
    }
}
