//! A client that comes back to a stream: `GET` with `Last-Event-ID`, whichever way the stream began.
//!
//! `hosted` asks it. What followed the event is sent again, and the stream goes on. Only a session's
//! own events are known to it; 404 would end the session, so an unknown one is 400.

use http::{HeaderValue, Response, StatusCode};
use toolgate_protocol::replay::EventId;

use super::hosted::empty;
use super::stream::{of_events, resumable};
use crate::body::Body;
use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::sessions::{Found, Hosted, Reading};

/// The rest of the session's own stream, if the event is one of it.
pub fn unasked(hosted: &Hosted, last: &HeaderValue) -> Option<Reading> {
    hosted.outbox.resume(event(last)?)
}

/// The rest of a call's stream.
pub fn call(call: &mut Call, hosted: &Hosted, last: &HeaderValue) -> Result<Response<Body>, Failure> {
    match event(last).map_or(Found::Unknown, |event| hosted.streams.find(event)) {
        Found::Rest(reading, request) => {
            call.resumes = Some(request);
            Ok(resumable(call, reading, false))
        }
        // Tells a reader of events to come back no more (WHATWG, "Server-sent events"). An empty stream
        // would be resumed again and again.
        Found::Over => Ok(empty(StatusCode::NO_CONTENT)),
        Found::Lost(error) => Ok(of_events(Body::from(error))),
        Found::Unknown => Err(Failure::new(
            Kind::EventUnknown,
            "This session has no stream with the event of `Last-Event-ID`, or keeps it no more. Open the stream without it; whether a call whose answer is missing had an effect is unknown, so check before you repeat it.",
        )),
    }
}

fn event(last: &HeaderValue) -> Option<EventId> {
    EventId::parse(last.to_str().ok()?)
}
