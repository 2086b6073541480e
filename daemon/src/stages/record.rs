//! What remains of a call: a line in the access log, and everything released that it held.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::{Body as _, Frame, SizeHint};
use tracing::info;

use super::contain;
use super::ending::Ending;
use crate::body::{Body, BodyError};
use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::observe::Shown;
use crate::observe::logging::ACCESS;
use crate::observe::panics;
use crate::running::Stage;

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
}

impl Entry {
    /// A call that has just begun.
    pub fn begin(call: Call) -> Box<Self> {
        call.core.gate.calls.fetch_add(1, Ordering::Relaxed);
        // Written where it stays: it is large.
        Box::write(Box::new_uninit(), Self { call, status: CLIENT_GONE, failed: None, bytes: 0 })
    }

    /// Remembers why the call failed.
    pub fn failed(&mut self, failure: &Failure) {
        self.failed = Some((failure.kind, failure.to_string()));
    }

    /// Records the call now where its answer is whole, else at the end of the stream.
    pub fn finish(mut self: Box<Self>, response: Response<Body>) -> Response<Body> {
        self.status = response.status().as_u16();
        if !matches!(response.body(), Body::Stream(_)) {
            self.bytes = response.body().size_hint().lower();
            return response;
        }
        self.call.mark.reaches(Stage::Stream);
        let ending = Ending::of(&self.call, &response);
        response.map(|body| match body {
            Body::Stream(inner) => Body::stream(Recorded { inner, ending, entry: self }),
            whole => whole,
        })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let call = &self.call;
        call.core.gate.calls.fetch_sub(1, Ordering::Relaxed);
        if call.policy.settings.log.access && call.view.is_some() {
            self.write();
        }
    }
}

impl Entry {
    fn write(&self) {
        let call = &self.call;
        let message = call.message.as_ref();
        let method = message.map(|message| message.method()).unwrap_or_default();
        let name = message.and_then(|message| message.envelope.target_str(&message.bytes)).unwrap_or_default();
        let via = call.chain.as_ref().map(|_| tracing::field::display(call.connection.peer.ip()));
        let queued = call.times.admitted.map_or(Duration::ZERO, |at| at - call.started);
        let first_byte = call.times.first_byte.map_or(Duration::ZERO, |at| at - call.started);
        let (failure, cause) = match &self.failed {
            Some((kind, cause)) => (kind.word(), cause.as_str()),
            None => ("", ""),
        };
        info!(
            target: ACCESS,
            id = %call.id,
            client = %Shown(call.client.as_ref().map_or("-", |client| &client.owner)),
            address = %call.address,
            via,
            listener = call.entrance.listener.name,
            path = %Shown(&call.path),
            method = %Shown(&method),
            name = %Shown(&name),
            status = self.status,
            failure,
            cause = %Shown(cause),
            bytes = self.bytes,
            queue_us = micros(queued),
            first_byte_us = micros(first_byte),
            total_us = micros(call.started.elapsed()),
            "{} {} {}", call.method, Shown(&call.path), self.status,
        );
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A stream that belongs to a call until its end.
struct Recorded {
    inner: crate::body::Stream,
    ending: Ending,
    entry: Box<Entry>,
}

impl http_body::Body for Recorded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if let Some(failure) = this.entry.call.mark.ordered() {
            this.entry.failed(&failure);
            return Poll::Ready(this.ending.cut(&this.entry.call, &failure).map(|said| said.map(Frame::data)));
        }
        if let Poll::Ready(last) = this.ending.poll(context) {
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
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            this.entry.bytes += data.len() as u64;
            this.ending.saw(data);
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
