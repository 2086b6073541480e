//! A member for the `_meta` of a result, spliced into an answer that may be one body of JSON or a stream of events.
//!
//! All else passes byte for byte, and so does an answer whose result cannot be found: an error, one that is too long
//! to be held, or one that a server compressed.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, ETAG};
use http::{HeaderValue, Response};
use http_body::{Frame, SizeHint};
use toolgate_protocol::splice;
use toolgate_protocol::sse;

use crate::body::{Body, BodyError, Stream};
use crate::message::Message;

/// The member's name.
const KEY: &str = "toolgate/loop";
/// Bytes of an answer, or of one event, that are held to look into it.
const LONGEST: usize = 8 * 1024 * 1024;

/// Puts `value`, raw JSON, into the result for the request of this id.
pub(super) fn answer(response: &mut Response<Body>, id: &[u8], value: &str) {
    let headers = response.headers();
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let (json, events) = (kind.starts_with(b"application/json"), kind.starts_with(b"text/event-stream"));
    if !(json || events) || headers.contains_key(CONTENT_ENCODING) || headers.contains_key(ETAG) {
        return;
    }
    let result = Result { id: Bytes::copy_from_slice(id), value: value.to_owned() };
    let body = match std::mem::take(response.body_mut()) {
        Body::Empty => Body::Empty,
        Body::Full(text) => result.with_member(&text).map_or(Body::Full(text), Body::from),
        Body::Stream(inner) => {
            Body::stream(Warned { inner, events, held: BytesMut::new(), looked: 0, result: Some(result) })
        }
    };
    *response.body_mut() = body;
}

/// Which result, and what goes into it.
struct Result {
    id: Bytes,
    value: String,
}

impl Result {
    /// The message with the member; `None` where it is not the result.
    fn with_member(&self, text: &Bytes) -> Option<Vec<u8>> {
        let message = Message::parse(text.clone()).ok().filter(|message| message.id() == Some(&self.id[..]))?;
        let mut edits = splice::set_result_meta(text, &message.envelope, &[(KEY, self.value.as_bytes())])?;
        Some(splice::apply(text, &mut edits))
    }

    /// The event with the member in its message.
    fn in_event(&self, text: &[u8]) -> Option<Bytes> {
        let mut unread = text;
        let event = sse::Parser::new(LONGEST).push(&mut unread).ok()??;
        let data = self.with_member(&event.data)?;
        let mut out = BytesMut::with_capacity(text.len() + self.value.len() + KEY.len() + 32);
        if event.retry.is_some() {
            sse::write_retry(&mut out, None, event.retry.unwrap_or_default());
        }
        sse::write_event(&mut out, event.id.as_deref(), event.event.as_deref(), &data);
        Some(out.freeze())
    }
}

/// A body on its way past.
struct Warned {
    inner: Stream,
    /// Whether it is a stream of events.
    events: bool,
    /// What has come and was not passed on.
    held: BytesMut,
    /// How much of it was looked through for an end.
    looked: usize,
    /// Gone once it was found, or cannot be any more.
    result: Option<Result>,
}

impl Warned {
    /// What can be passed on of what is held.
    fn next(&mut self) -> Option<Bytes> {
        let Some(result) = &self.result else { return whole(&mut self.held) };
        if self.held.len() > LONGEST {
            self.result = None;
            return whole(&mut self.held);
        }
        if !self.events {
            return None;
        }
        let Some(end) = end_of_event(&self.held, self.looked) else {
            // Of the longest end all but one byte may be there.
            self.looked = self.held.len().saturating_sub(3);
            return None;
        };
        self.looked = 0;
        let text = self.held.split_to(end).freeze();
        match result.in_event(&text) {
            Some(warned) => {
                self.result = None;
                Some(warned)
            }
            None => Some(text),
        }
    }

    /// What is held at the end: the whole answer, or the rest of a stream.
    fn last(&mut self) -> Option<Bytes> {
        let text = whole(&mut self.held)?;
        match self.result.take().filter(|_| !self.events).and_then(|result| result.with_member(&text)) {
            Some(warned) => Some(warned.into()),
            None => Some(text),
        }
    }
}

fn whole(held: &mut BytesMut) -> Option<Bytes> {
    (!held.is_empty()).then(|| held.split().freeze())
}

/// Where the first event ends: behind its blank line. None begins before `from`.
fn end_of_event(text: &[u8], from: usize) -> Option<usize> {
    let ends: [&[u8]; 3] = [b"\n\n", b"\r\n\r\n", b"\r\r"];
    let text = text.get(from..)?;
    let first = |end: &&[u8]| text.windows(end.len()).position(|window| window == *end).map(|at| from + at + end.len());
    ends.iter().filter_map(first).min()
}

impl http_body::Body for Warned {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        loop {
            if let Some(piece) = this.next() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            match ready!(this.inner.as_mut().poll_frame(context)) {
                Some(Ok(frame)) => this.held.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(this.last().map(|piece| Ok(Frame::data(piece)))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::future::poll_fn;

    use http_body::Body as _;

    use super::*;

    struct Pieces(VecDeque<Bytes>);

    impl http_body::Body for Pieces {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<std::result::Result<Frame<Bytes>, BodyError>>> {
            Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
        }
    }

    async fn warned(kind: &'static str, text: &str, piece: usize) -> String {
        let pieces = text.as_bytes().chunks(piece).map(Bytes::copy_from_slice).collect();
        let mut response = Response::new(Body::stream(Pieces(pieces)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        answer(&mut response, b"7", r#"{"calls":5}"#);
        let mut body = response.into_body();
        let mut out = Vec::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            out.extend_from_slice(&frame.expect("no error").into_data().expect("data"));
        }
        String::from_utf8(out).expect("UTF-8")
    }

    #[tokio::test]
    async fn one_body_of_json_gets_its_member_and_keeps_every_other_byte() {
        for (text, expected) in [
            (
                r#"{"jsonrpc":"2.0", "id":7,"result":{"content":[ ],"n":1.0}}"#,
                r#"{"jsonrpc":"2.0", "id":7,"result":{"content":[ ],"n":1.0,"_meta":{"toolgate/loop":{"calls":5}}}}"#,
            ),
            (
                r#"{"jsonrpc":"2.0","id":7,"result":{"_meta":{"a":1},"content":[]}}"#,
                r#"{"jsonrpc":"2.0","id":7,"result":{"_meta":{"a":1,"toolgate/loop":{"calls":5}},"content":[]}}"#,
            ),
        ] {
            for piece in [1, 10, 1000] {
                assert_eq!(warned("application/json", text, piece).await, expected);
            }
        }
        for other in [
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"m"}}"#,
            r#"{"jsonrpc":"2.0","id":8,"result":{}}"#,
            "not JSON",
        ] {
            assert_eq!(warned("application/json", other, 5).await, other);
            assert_eq!(warned("text/plain", other, 5).await, other);
        }
    }

    #[tokio::test]
    async fn a_stream_gets_it_in_its_last_event() {
        let before = ": hello\n\nid: 1\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n";
        let text =
            format!("{before}id: 2\ndata: {{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{{}}}}\n\nid: 3\ndata:\n\nrest");
        let expected = "id: 2\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"_meta\":{\"toolgate/loop\":{\"calls\":5}}}}\n\nid: 3\ndata:\n\nrest";
        for piece in [1, 7, 1000] {
            assert_eq!(warned("text/event-stream", &text, piece).await, format!("{before}{expected}"));
        }
    }
}
