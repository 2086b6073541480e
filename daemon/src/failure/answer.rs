//! From a failure to what the client sees. The only place that does this.

use std::fmt::Write as _;
use std::time::Duration;

use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use toolgate_protocol::envelope::{self, Shape};
use toolgate_protocol::error::error_body;
use toolgate_protocol::revision::Era;

use super::{Failure, Kind};
use crate::body::Body;
use crate::call::{Call, CallId};
use crate::config::settings::RefusalStatus;
use crate::identity::challenge;
use crate::listen::connection::Protocol;

/// The answer to a call that failed.
pub fn answer(call: &Call, failure: &Failure) -> Response<Body> {
    let (id, is_request) = request_id(call);
    let body = body(call.id, id.as_deref(), failure);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status(call, is_request, failure.kind);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(wait) = failure.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds(wait)));
    }
    match failure.kind {
        Kind::Unauthenticated | Kind::CredentialRefused | Kind::ScopeInsufficient => {
            headers.insert(WWW_AUTHENTICATE, challenge::of(call, failure));
        }
        Kind::MethodNotAllowed => {
            let allowed = if call.era == Era::Modern { "POST" } else { "GET, POST, DELETE" };
            headers.insert(ALLOW, HeaderValue::from_static(allowed));
        }
        // What is left of the body would be taken for the next request.
        Kind::BodyTooLarge | Kind::BodyIncomplete => {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        _ => {}
    }
    if call.cut && call.connection.protocol == Protocol::Http1 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// What a stream that is already open needs to end with a failure.
#[derive(Debug)]
pub struct InStream {
    call: CallId,
    id: Vec<u8>,
}

/// Keeps what is needed of a call to end its stream with a failure.
pub fn in_stream(call: &Call, id: &[u8]) -> InStream {
    InStream::new(call.id, id)
}

impl InStream {
    /// The same for the call of this id.
    pub fn new(call: CallId, id: &[u8]) -> Self {
        Self { call, id: id.to_vec() }
    }

    /// The JSON-RPC error that ends the stream.
    pub fn body(&self, failure: &Failure) -> Vec<u8> {
        body(self.call, Some(&self.id), failure)
    }
}

fn body(call: CallId, id: Option<&[u8]>, failure: &Failure) -> Vec<u8> {
    let mut data = format!(r#"{{"callId":"{call}","reason":"{}""#, failure.kind.word());
    if let Some(wait) = failure.retry_after {
        // Writing to a String cannot fail.
        let _ = write!(data, r#","retryAfterMs":{}"#, wait.as_millis());
    }
    if let Some(members) = &failure.data {
        data.push(',');
        data.push_str(members);
    }
    data.push('}');
    error_body(id, failure.kind.code(), &failure.message, Some(data.as_bytes()))
}

/// The id that the answer must carry, and whether there was a request to answer.
fn request_id(call: &Call) -> (Option<Vec<u8>>, bool) {
    if let Some(message) = &call.message {
        return (message.id().map(<[u8]>::to_vec), message.shape() == Shape::Request);
    }
    let salvaged =
        call.salvaged.as_ref().and_then(|text| envelope::salvage_id(text).map(|span| span.of(text).to_vec()));
    // JSON-RPC 2.0, section 5: an error for a message whose id cannot be known has the id null.
    (salvaged.or_else(|| call.salvaged.as_ref().map(|_| b"null".to_vec())), false)
}

fn status(call: &Call, is_request: bool, kind: Kind) -> StatusCode {
    // What was salvaged of a refused body is a request's id.
    if kind.is_refusal() && (is_request || call.salvaged.is_some()) {
        match call.entrance.listener.refusal_status {
            RefusalStatus::Ok => return StatusCode::OK,
            RefusalStatus::TooManyRequests if kind == Kind::Limited => return StatusCode::TOO_MANY_REQUESTS,
            RefusalStatus::TooManyRequests | RefusalStatus::Unavailable => return kind.status(),
            RefusalStatus::Auto => {}
        }
    }
    let spared = call.era == Era::Legacy && is_request && kind.spares_the_session();
    if spared { StatusCode::OK } else { kind.status() }
}

fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}
