//! The envelope of the message: what the gate has to know, and nothing else.
//!
//! The body is read whole, up to the listener's bound, and stays as it came. What headers say of
//! it in the modern era is confirmed against it, since others decide by the headers.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderName, Method};
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;
use toolgate_protocol::envelope::{ScanError, Shape};
use toolgate_protocol::error::PARSE_ERROR;
use toolgate_protocol::header_value::{self, Mirrored};
use toolgate_protocol::revision::Era;

use super::batch;
use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::listen::connection::Protocol;
use crate::message::Message;

const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// Reads the message of a POST into the call.
pub async fn read(call: &mut Call, unread: &mut Option<Incoming>) -> Result<(), Failure> {
    if call.method != Method::POST {
        call.era = call.header(VERSION).map_or(Era::Legacy, Era::of_header);
        return accepts_stream(call);
    }
    acceptable(call)?;
    let Some(body) = unread.take() else { return Ok(()) };
    let bytes = collect(call, body).await?;
    call.times.read = Instant::now();
    if batch::may_be(call.header(VERSION), &bytes) {
        call.batch = Some(bytes);
        return Ok(());
    }
    let message = Message::parse(bytes.clone()).map_err(|problem| unreadable(call, bytes, &problem))?;
    call.era = Era::of_request(call.header(VERSION), &message.envelope, &message.bytes);
    call.message = Some(message);
    needs_id(call.message())?;
    if call.era == Era::Modern { confirm_headers(call) } else { Ok(()) }
}

/// Lets hyper look whether the stream was reset, which it does only where its call waits; then the call ends here.
/// A body that was given up can look whole: one whose end came before the reset, or one that was reset with `NO_ERROR`.
pub async fn heed_reset(call: &Call) {
    let mut looked = call.connection.protocol == Protocol::Http1;
    poll_fn(|context| {
        if std::mem::replace(&mut looked, true) {
            return Poll::Ready(());
        }
        // Not `yield_now`, which would ask the kernel for events before each call.
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A POST must be JSON and take both kinds of answer (Streamable HTTP, "Sending Messages").
fn acceptable(call: &Call) -> Result<(), Failure> {
    let json = call.headers.get(CONTENT_TYPE).is_some_and(|value| is_media_type(value.as_bytes(), b"application/json"));
    if !json {
        return Err(Failure::new(Kind::MediaType, "Send the message with `Content-Type: application/json`."));
    }
    if call.entrance.listener.lenient && !call.headers.contains_key(ACCEPT) {
        return Ok(());
    }
    // What nearly all clients send, word for word.
    if call.headers.get(ACCEPT).is_some_and(|value| value == "application/json, text/event-stream") {
        return Ok(());
    }
    if accepts(call, b"application/json") && accepts(call, b"text/event-stream") {
        return Ok(());
    }
    Err(Failure::new(Kind::NotAcceptable, "Send `Accept: application/json, text/event-stream`."))
}

fn accepts_stream(call: &Call) -> Result<(), Failure> {
    if call.method != Method::GET || accepts(call, b"text/event-stream") {
        return Ok(());
    }
    Err(Failure::new(Kind::NotAcceptable, "Send `Accept: text/event-stream` to open the session's stream."))
}

fn accepts(call: &Call, wanted: &[u8]) -> bool {
    let kind = wanted.split(|byte| *byte == b'/').next().unwrap_or(wanted);
    call.headers.get_all(ACCEPT).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).any(|range| {
        let range = range.split(|byte| *byte == b';').next().unwrap_or(range).trim_ascii();
        range.eq_ignore_ascii_case(wanted)
            || range == b"*/*"
            || range.strip_suffix(b"/*").is_some_and(|family| family.eq_ignore_ascii_case(kind))
    })
}

fn is_media_type(value: &[u8], wanted: &[u8]) -> bool {
    value.split(|byte| *byte == b';').next().is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(wanted))
}

/// The body, up to the listener's bound and within its time.
pub async fn collect(call: &Call, body: Incoming) -> Result<Bytes, Failure> {
    let bounds = &call.entrance.listener.bounds;
    if body.size_hint().lower() > bounds.body_bytes as u64 {
        return Err(too_large(bounds.body_bytes));
    }
    let whole = whole(body, bounds.body_bytes);
    match call.connection.protocol {
        // The framing guard watches the time of these bodies.
        Protocol::Http1 => whole.await,
        Protocol::Http2 => timeout(bounds.body_timeout, whole)
            .await
            .unwrap_or_else(|_| Err(Failure::new(Kind::BodyIncomplete, "The body took too long to arrive."))),
    }
}

/// All of a body, which may have `most` bytes. One that comes in one piece, as nearly all do, is that piece;
/// and with its last byte it is whole: the end of the stream would have to be waited for.
async fn whole(mut body: Incoming, most: usize) -> Result<Bytes, Failure> {
    let (mut first, mut joined) = (Bytes::new(), BytesMut::new());
    while !body.is_end_stream() {
        let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await else { break };
        let frame = frame
            .map_err(|problem| Failure::new(Kind::BodyIncomplete, "The body did not arrive whole.").because(problem))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len().max(joined.len()) + data.len() > most {
            return Err(too_large(most));
        }
        if first.is_empty() {
            first = data;
            continue;
        }
        if joined.is_empty() {
            joined.extend_from_slice(&first);
        }
        joined.extend_from_slice(&data);
    }
    Ok(if joined.is_empty() { first } else { joined.freeze() })
}

fn too_large(bound: usize) -> Failure {
    Failure::new(Kind::BodyTooLarge, format!("The body is longer than {bound} bytes, the bound of this listener."))
}

/// A request without an id would be worked on without anybody having been asked whether it may.
pub fn needs_id(message: &Message) -> Result<(), Failure> {
    let request = message.envelope.known_method.is_some_and(|method| !method.is_notification());
    if message.shape() == Shape::Notification && request {
        return Err(Failure::new(Kind::InvalidRequest, format!("{} is a request and needs an id.", message.method())));
    }
    Ok(())
}

/// The answer to an unreadable message still names its id, where that could be read.
pub fn unreadable(call: &mut Call, bytes: Bytes, problem: &ScanError) -> Failure {
    call.salvaged = Some(bytes);
    let kind = if problem.code() == PARSE_ERROR { Kind::Parse } else { Kind::InvalidRequest };
    Failure::new(kind, problem.to_string())
}

/// 2026-07-28, Streamable HTTP, "Server Validation".
fn confirm_headers(call: &Call) -> Result<(), Failure> {
    let message = call.message();
    if message.envelope.protocol_version.is_none() {
        return Err(Failure::new(
            Kind::MetaMissing,
            "`params._meta` must carry `io.modelcontextprotocol/protocolVersion` and `io.modelcontextprotocol/clientCapabilities`.",
        ));
    }
    if message.shape() != Shape::Request {
        return Ok(());
    }
    let raw = |name: HeaderName| call.headers.get(name).map(http::HeaderValue::as_bytes);
    let mirrored = Mirrored { version: raw(VERSION), method: raw(METHOD), name: raw(NAME) };
    header_value::mirrors(&mirrored, &message.envelope, &message.bytes)
        .map_err(|mismatch| Failure::new(Kind::HeaderMismatch, mismatch.to_string()))
}
