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

/// How it is left.
enum End {
    /// As it is.
    Leave(io::Result<()>),
    /// Once the client has ended it too, or has had time for it.
    Linger(hyper::Result<()>),
    /// In good order, between two requests.
    Close,
    /// With an answer of the gate's.
    Answer(Refusal),
}

/// Serves the connection until it ends. What the future is made of is put together before it is, for one that moves it
/// would hold it twice.
pub(super) fn serve<'a, S>(
    core: &'a Rc<Core>,
    stream: S,
    connection: &'a Rc<Connection>,
    counters: &'a Counters,
) -> impl Future<Output = io::Result<()>> + use<'a, S>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let watch = Rc::new(Watch::http1(&connection.listener.bounds));
    let service = Service::http1(core.clone(), connection.clone(), watch.clone());
    let io = TokioIo::new(Guard::new(stream, watch.clone()));
    let hyper = builder(connection).serve_connection(io, service);
    let changes = core.drain.changes();
    let mut driver = Driver { hyper, core, connection, watch, changes, deadlines: Deadlines::start() };
    async move {
        match driver.run(counters).await {
            End::Leave(result) => result,
            // Boxed, with what it takes to say something: most connections just end.
            end => Box::pin(driver.leave(end)).await,
        }
    }
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
    async fn run(&mut self, counters: &Counters) -> End {
        let mut looked = None;
        let mut closing = false;
        loop {
            let requests = self.connection.requests();
            match poll_fn(|cx| self.poll(cx)).await {
                Event::Ended(result) if self.watch.ended() => return End::Leave(result.map_err(io::Error::other)),
                Event::Ended(result) => return End::Linger(result),
                // Its request was handed on, and has been answered already.
                Event::Refused(stop) if stop.begun && requests > stop.message => {
                    Counters::count(&counters.refused);
                    return End::Close;
                }
                Event::Refused(stop) => {
                    Counters::count(&counters.refused);
                    tracing::debug!(connection = self.connection.id, peer = %self.connection.peer, reason = stop.refusal.code(), "request refused");
                    return End::Answer(stop.refusal);
                }
                Event::Expired(Wait::Head) => {
                    Counters::count(&counters.timed_out);
                    self.watch.refuse(Refusal::HeadTimeout);
                }
                Event::Expired(Wait::Body) if self.connection.in_flight() > 0 => {
                    Counters::count(&counters.timed_out);
                    self.watch.refuse(Refusal::BodyTimeout);
                }
                Event::Expired(Wait::First | Wait::Next) | Event::Idle if closing => return End::Close,
                Event::Expired(Wait::Body | Wait::Reader | Wait::Nothing) => {
                    Counters::count(&counters.timed_out);
                    return End::Leave(Err(io::ErrorKind::TimedOut.into()));
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

    async fn leave(self, end: End) -> io::Result<()> {
        let listener = &self.connection.listener;
        let stream = self.hyper.into_parts().io.into_inner().into_inner();
        match end {
            End::Leave(result) => return result,
            End::Linger(result) => {
                refuse::linger(stream, listener).await;
                return result.map_err(io::Error::other);
            }
            End::Close => refuse::close(stream, listener).await,
            End::Answer(refusal) => refuse::answer(stream, refusal, listener).await,
        }
        Ok(())
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
