//! Answers in hyper's place: what a client gets whose message was refused, and how a connection
//! is closed so that the last answer is read.
//!
//! The HTTP/1 driver and the service use it. It writes only where no other answer is under way.

use std::fmt::Write as _;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use toolgate_protocol::framing::Refusal;

use super::connection::{Connection, Protocol};
use crate::body::Body;
use crate::config::settings::Listener;

/// How long, and how many bytes beyond a body of the bound, a closed connection is read on: closing
/// one with unread bytes resets it, which can take the answer from a client that has not read it
/// yet. Many clients do not before they have sent all of a body, and one that is just too long is
/// no more work than one that passes.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 256 * 1024;

/// The JSON-RPC error of a refusal; it has no id, since no message was read.
fn body(refusal: Refusal) -> String {
    let (code, sentence, reason) = (-31000 - i32::from(refusal.status()), refusal.sentence(), refusal.code());
    format!(r#"{{"jsonrpc":"2.0","error":{{"code":{code},"message":"{sentence}","data":{{"reason":"{reason}"}}}}}}"#)
}

fn status(refusal: Refusal) -> StatusCode {
    StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST)
}

/// The answer where hyper writes it.
#[must_use]
pub fn response(refusal: Refusal, connection: &Connection) -> Response<Body> {
    let mut response = Response::new(Body::from(body(refusal)));
    *response.status_mut() = status(refusal);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // HTTP/2 knows no such header.
    if connection.protocol == Protocol::Http1 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    for (name, value) in &connection.listener.security_headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    response
}

/// The answer as bytes.
fn text(refusal: Refusal, listener: &Listener) -> String {
    let body = body(refusal);
    let mut text = format!("HTTP/1.1 {}\r\n", status(refusal));
    for (name, value) in &listener.security_headers {
        // Writing to a string does not fail.
        let _ = write!(text, "{name}: {value}\r\n");
    }
    let length = body.len();
    let _ =
        write!(text, "content-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    text
}

/// Writes the answer and closes.
pub async fn answer<S>(mut stream: S, refusal: Refusal, listener: &Listener)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let text = text(refusal, listener);
    let write = timeout(LINGER, stream.write_all(text.as_bytes()));
    if matches!(write.await, Ok(Ok(()))) {
        close(stream, listener).await;
    }
}

/// Says that nothing more follows, and closes once the client has had time to read what did.
pub async fn close<S>(mut stream: S, listener: &Listener)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if matches!(timeout(LINGER, stream.shutdown()).await, Ok(Ok(()))) {
        linger(stream, listener).await;
    }
}

/// Writes these last bytes, if any, and closes; for a client that sent too much to be read much further.
pub async fn part<S>(mut stream: S, last: &[u8])
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let write = async {
        stream.write_all(last).await?;
        stream.shutdown().await
    };
    if matches!(timeout(LINGER, write).await, Ok(Ok(()))) {
        read_on(stream, LINGER_BYTES).await;
    }
}

/// Reads, and drops, what a client still sends after this side was shut down, until it closes.
pub async fn linger<S: AsyncRead + Unpin>(stream: S, listener: &Listener) {
    read_on(stream, listener.bounds.body_bytes + LINGER_BYTES).await;
}

async fn read_on<S: AsyncRead + Unpin>(mut stream: S, mut left: usize) {
    let deadline = Instant::now() + LINGER;
    let mut scratch = [0_u8; 4096];
    while left > 0 {
        match timeout_at(deadline, stream.read(&mut scratch)).await {
            Ok(Ok(read @ 1..)) => left = left.saturating_sub(read),
            _ => return,
        }
    }
}
