//! How an open stream ends when the gate goes away.
//!
//! A stream that only listens ends as soon as the gate begins to leave; a call's stream may go on
//! until the time to drain is up, and is then answered with an error. Neither ends as if whole in the
//! middle of an event, and a client is never left to guess (2026-07-28, "Graceful Closure").

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{Method, Response};
use toolgate_protocol::error::result_body;
use toolgate_protocol::method::Method as Mcp;
use toolgate_protocol::revision::Era;
use toolgate_protocol::sse;

use crate::body::{Body, BodyError};
use crate::call::Call;
use crate::core::Core;
use crate::failure::{self, Failure, Kind};
use crate::listen::connection::Protocol;
use crate::listen::drain::Phase;
use crate::message::Message;
use crate::stages::lapse;

/// Waits for the end of a stream's time.
pub struct Ending {
    time: Pin<Box<dyn Future<Output = ()>>>,
    /// What is said last; nothing where the stream is no stream of events.
    last: Option<Bytes>,
    /// It is a stream of events. What is none, as JSON that comes in pieces, takes no word of the gate's.
    events: bool,
    /// Whether the stream stands between two events.
    between: bool,
    over: bool,
}

impl Ending {
    /// The end of this call's stream.
    pub fn of(call: &Call, response: &Response<Body>) -> Self {
        let listens = listens(call);
        let core = Rc::clone(&call.core);
        let phase = match listens {
            false => Phase::Ending,
            // Its head did not say that the connection closes: the client may send its next call there,
            // which is answered for as long as the gate still takes new ones.
            true if !core.drain.begun() => Phase::LameDuck,
            true => Phase::Finishing,
        };
        let time = Box::pin(async move { core.drain.reached(phase).await });
        let events =
            response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let last = last_message(call, listens).filter(|_| events);
        Self { time, last, events, between: true, over: false }
    }

    /// Remembers whether an event is complete.
    pub fn saw(&mut self, data: &[u8]) {
        self.between = data.ends_with(b"\n\n") || data.ends_with(b"\r\n\r\n") || data.ends_with(b"\r\r");
    }

    /// Ready once the time is up: with what is said last, then with nothing. A stream that stands
    /// within an event breaks off, as one of no events does, so that nobody takes what came of it for whole.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if self.over {
            return Poll::Ready(None);
        }
        std::task::ready!(self.time.as_mut().poll(context));
        self.over = true;
        if !self.events || !self.between {
            return Poll::Ready(Some(Err(BodyError::new("the gate is shutting down"))));
        }
        Poll::Ready(self.last.take().map(Ok))
    }
}

/// The outcome of a call, or a failure where the time to drain is up before, or its end is ordered; `at` is its mark.
///
/// An HTTP/1 connection polls its call again at each change of phase. A stream of HTTP/2 is a task
/// of its own and has to wait for the change by itself, which every call would pay for.
pub async fn unless_cut_off<T>(
    core: &Rc<Core>,
    at: usize,
    protocol: Protocol,
    mut outcome: Pin<&mut impl Future<Output = Result<T, Failure>>>,
) -> Result<T, Failure> {
    let mut reached = pin!(core.drain.reached(Phase::Ending));
    poll_fn(|context| {
        if let Poll::Ready(outcome) = outcome.as_mut().poll(context) {
            return Poll::Ready(outcome);
        }
        // As for the time to drain: whoever orders it wakes everybody.
        if let Some(ordered) = core.running.ordered(at) {
            return Poll::Ready(Err(ordered));
        }
        let cut_off = match protocol {
            Protocol::Http1 => core.drain.phase() >= Phase::Ending,
            Protocol::Http2 => reached.as_mut().poll(context).is_ready(),
        };
        if cut_off { Poll::Ready(Err(draining())) } else { Poll::Pending }
    })
    .await
}

impl Ending {
    /// Whether something may be said on the stream that is not the server's.
    pub fn is_between_events(&self) -> bool {
        self.events && self.between && !self.over
    }

    /// Ends the stream of a call whose end was ordered: with the failure as its answer, where it owes one.
    pub fn cut(&mut self, call: &Call, failure: &Failure) -> Option<Result<Bytes, BodyError>> {
        if std::mem::replace(&mut self.over, true) {
            return None;
        }
        if !self.events || !self.between {
            return Some(Err(BodyError::new(failure.message.clone())));
        }
        // Where the gate's own farewell would be said, this is; a stream that only listens has none.
        self.last.take()?;
        let id = call.resumes.clone().or_else(|| call.message.as_ref().map(Message::id_bytes))?;
        Some(Ok(event(&failure::in_stream(call, &id).body(failure))))
    }
}

impl Ending {
    /// Ends a stream whose credential has ended. A client that finds the stream again gets the answer there, once it
    /// comes with a newer one: it is owed no error.
    pub fn lapse(&mut self, call: &Call, failure: &Failure) -> Option<Result<Bytes, BodyError>> {
        if lapse::is_found_again(call) {
            self.last = None;
        }
        self.cut(call, failure)
    }
}

fn listens(call: &Call) -> bool {
    let subscribed = |message: &Message| Mcp::parse(&message.method()) == Some(Mcp::Listen);
    (call.method == Method::GET && call.resumes.is_none()) || call.message.as_ref().is_some_and(subscribed)
}

/// The answer that a stream owes its client: none for a session's stream, a result for a
/// subscription, an error for a call.
fn last_message(call: &Call, listens: bool) -> Option<Bytes> {
    let id = call.resumes.clone().or_else(|| call.message.as_ref().map(Message::id_bytes))?;
    let message = if listens && call.era == Era::Modern {
        let subscription = String::from_utf8_lossy(&id);
        let result = format!(
            r#"{{"resultType":"complete","_meta":{{"io.modelcontextprotocol/subscriptionId":{subscription}}}}}"#
        );
        result_body(&id, result.as_bytes())
    } else {
        failure::in_stream(call, &id).body(&draining())
    };
    Some(event(&message))
}

/// A message as an event of a stream.
pub(super) fn event(message: &[u8]) -> Bytes {
    let mut event = BytesMut::with_capacity(message.len() + 32);
    sse::write_event(&mut event, None, None, message);
    event.freeze()
}

/// What a call is answered with that did not finish in time.
pub fn draining() -> Failure {
    Failure::new(
        Kind::Draining,
        "The gate is shutting down and this call did not finish in time. Whether it had an effect is unknown; check before you repeat it.",
    )
    .retry_after(std::time::Duration::from_secs(1))
}
