//! What remains of a call: its place in the ledger, a line in the access log, and everything released that it held.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::Response;
use http::header::CONTENT_TYPE;
use http_body::{Frame, SizeHint};
use tracing::info;

use super::compress::Plain;
use super::ending::Ending;
use super::{contain, lapse, notice};
use crate::audit::End;
use crate::body::{Body, BodyError};
use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::observe::Shown;
use crate::observe::ledger::{self, Facts, Outcome, Spent, Stage, said};
use crate::observe::logging::ACCESS;
use crate::observe::panics;

/// What the log says of a call whose client did not wait for the answer; no status that is sent.
const CLIENT_GONE: u16 = 499;

/// A call and what will be said of it. Written when dropped, so that a client that goes away is
/// recorded as well, at whatever stage the call was.
pub struct Entry {
    /// The call.
    pub call: Call,
    status: u16,
    failed: Option<(Kind, String)>,
    bytes: u64,
    /// The answer says that the call failed.
    is_error: bool,
    /// Where the answer is compressed: what it says in plain.
    pub plain: Option<Plain>,
    /// The client has had all of the answer.
    is_whole: bool,
}

impl Entry {
    /// A call that has just begun.
    pub fn begin(call: Call) -> Box<Self> {
        call.core.gate.calls.fetch_add(1, Ordering::Relaxed);
        // Written where it stays: it is large.
        let fresh =
            Self { call, status: CLIENT_GONE, failed: None, bytes: 0, is_error: false, plain: None, is_whole: false };
        let mut entry = Box::write(Box::new_uninit(), fresh);
        entry.begun();
        entry
    }

    fn begun(&mut self) {
        let core = std::rc::Rc::clone(&self.call.core);
        core.desk.begin(&mut self.call);
    }

    /// Remembers why the call failed.
    pub fn failed(&mut self, failure: &Failure) {
        self.failed = Some((failure.kind, failure.to_string()));
    }

    /// Records the call now where its answer is whole, else at the end of the stream.
    pub fn finish(mut self: Box<Self>, response: Response<Body>) -> Response<Body> {
        self.status = response.status().as_u16();
        let events =
            response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        match response.body() {
            Body::Stream(_) => self.call.core.desk.stage(&self.call, Stage::Stream),
            Body::Full(body) => {
                self.saw(body, events);
                self.is_whole = true;
                return response;
            }
            Body::Empty => {
                self.is_whole = true;
                return response;
            }
        }
        let ending = Ending::of(&self.call, &response);
        response.map(|body| match body {
            Body::Stream(inner) => Body::stream(Recorded { inner, ending, events, is_slow: false, entry: self }),
            whole => whole,
        })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let call = &self.call;
        call.core.gate.calls.fetch_sub(1, Ordering::Relaxed);
        let now = Instant::now();
        let spent = Spent::of(call.started, &call.times, now);
        let outcome = self.outcome();
        let (failure, cause) = match &self.failed {
            Some((kind, cause)) => (kind.word(), cause.as_str()),
            None => ("", ""),
        };
        let facts = Facts { outcome, status: self.status, failure, cause, bytes_out: self.bytes, spent };
        call.core.desk.end(call, &facts, now);
        if let Some(traced) = &call.trace {
            call.core.gate.traces.end(call, traced, &facts);
        }
        if call.policy.settings.log.access && call.view.is_some() {
            self.write(&facts);
        }
        let core = std::rc::Rc::clone(&call.core);
        if let Some(audit) = &core.audit {
            let failure = self.failed.take();
            let end = End { at: now, outcome, status: self.status, failure, bytes: self.bytes, spent };
            audit.ended(&mut self.call, end);
        }
    }
}

impl Entry {
    fn outcome(&self) -> Outcome {
        match &self.failed {
            Some((kind, _)) => Outcome::of(*kind),
            None if self.is_error
                || self.plain.as_ref().is_some_and(Plain::is_error)
                || (self.is_whole && self.status >= 400) =>
            {
                Outcome::Error
            }
            None if !self.is_whole => Outcome::Gone,
            None => Outcome::Ok,
        }
    }

    /// Looks at a piece of the answer on its way.
    fn saw(&mut self, data: &[u8], events: bool) {
        self.bytes += data.len() as u64;
        // What the gate itself says of a failure was told already.
        if self.failed.is_none() && self.plain.is_none() && !self.is_error {
            self.is_error = if events { said::has_error(data) } else { said::is_error(data) };
        }
        if events {
            self.call.core.desk.heard(&self.call, data);
        }
    }

    fn write(&self, facts: &Facts<'_>) {
        let call = &self.call;
        let message = call.message.as_ref();
        let method = message.map(|message| message.method()).unwrap_or_default();
        let name = message.and_then(|message| message.envelope.target_str(&message.bytes)).unwrap_or_default();
        let via = call.chain.as_ref().map(|_| tracing::field::display(call.connection.peer.ip()));
        let server = ledger::server_of(call).map(|server| server.settings.name.as_str());
        let spent = &facts.spent;
        info!(
            target: ACCESS,
            id = %call.id,
            trace = call.trace.as_ref().map(|traced| tracing::field::display(traced.trace)),
            client = %Shown(call.client.as_ref().map_or("-", |client| &client.owner)),
            address = %call.address,
            via,
            listener = call.entrance.listener.name,
            path = %Shown(&call.path),
            method = %Shown(&method),
            name = %Shown(&name),
            server,
            outcome = facts.outcome.word(),
            status = self.status,
            failure = facts.failure,
            cause = %Shown(facts.cause),
            bytes = self.bytes,
            read_us = spent.read,
            queue_us = spent.queue,
            connect_us = spent.connect,
            first_byte_us = spent.first_byte,
            stream_us = spent.stream,
            total_us = spent.total,
            "{} {} {}", call.method, Shown(&call.path), self.status,
        );
    }
}

/// A stream that belongs to a call until its end.
struct Recorded {
    inner: crate::body::Stream,
    ending: Ending,
    /// It is a stream of events.
    events: bool,
    /// It was said that its client is slow.
    is_slow: bool,
    entry: Box<Entry>,
}

impl Recorded {
    /// Says once of a stream that its client takes it slowly.
    fn heed_slowness(&mut self) {
        let call = &self.entry.call;
        let Some(waited) = call.core.desk.take_slow() else { return };
        if std::mem::replace(&mut self.is_slow, true) {
            return;
        }
        let client = call.client.as_ref().map_or("-", |client| &client.owner);
        let session = call.session.as_ref().map(|(session, _)| tracing::field::display(session.handle));
        info!(
            id = %call.id, client = %Shown(client), session, waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
            "a client takes the events of its stream slowly"
        );
        call.core.desk.tell_slow(call, waited);
    }

    /// What an operator wants said on the stream: its end, or an announcement.
    fn by_hand(&mut self) -> ControlFlow<Option<Result<Frame<Bytes>, BodyError>>> {
        let call = &self.entry.call;
        if let Some(failure) = call.mark.ordered() {
            let last = self.ending.cut(call, &failure).map(|said| said.map(Frame::data));
            self.entry.failed(&failure);
            return ControlFlow::Break(last);
        }
        if let Some(lapsed) = call.mark.lapsed() {
            let failure = lapse::failure(lapsed);
            let last = self.ending.lapse(call, &failure).map(|said| said.map(Frame::data));
            self.entry.failed(&failure);
            return ControlFlow::Break(last);
        }
        if !self.ending.is_between_events() || !call.mark.take_news() {
            return ControlFlow::Continue(());
        }
        match notice::tools_changed(call) {
            Some(event) => ControlFlow::Break(Some(Ok(Frame::data(event)))),
            None => ControlFlow::Continue(()),
        }
    }
}

impl http_body::Body for Recorded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if this.entry.call.mark.is_due()
            && let ControlFlow::Break(said) = this.by_hand()
        {
            return Poll::Ready(said);
        }
        if let Poll::Ready(last) = this.ending.poll(context) {
            match &last {
                Some(Ok(said)) => this.entry.saw(said, this.events),
                Some(Err(_)) => {}
                None => this.entry.is_whole = true,
            }
            return Poll::Ready(last.map(|said| said.map(Frame::data)));
        }
        let polled = panics::catch(|| {
            #[cfg(test)]
            contain::rehearse(&this.entry.call, "stream");
            this.inner.as_mut().poll_frame(context)
        });
        let polled = match polled {
            Ok(polled) => polled,
            Err(panicked) => {
                let failure = contain::report(this.entry.call.id, panicked);
                this.entry.failed(&failure);
                return Poll::Ready(Some(Err(BodyError::new(failure.message))));
            }
        };
        this.heed_slowness();
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    this.entry.saw(data, this.events);
                    this.ending.saw(data);
                }
                this.entry.is_whole = this.inner.is_end_stream();
            }
            Poll::Ready(None) => this.entry.is_whole = true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
