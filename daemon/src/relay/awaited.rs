//! An answer as a stream of events that has a head and, so far, no message.
//!
//! Servers open such a stream at once and say something once they know it. Whoever says nothing at all within
//! `timeout.first_byte` has not answered: the client is told so, and the endpoint's breaker. A comment, or an event that
//! only has an id, is a sign of life; from the first message on only the client decides how long the stream takes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use toolgate_protocol::sse;

use crate::body::BodyError;
use crate::call::{Call, CallId};
use crate::failure::InStream;
use crate::servers::Server;
use crate::servers::endpoints::Attempt;
use crate::servers::http::{self as upstream, AnswerBody};
use crate::servers::http_call;

/// The stream, and what is learned from it.
pub struct Awaited {
    inner: AnswerBody,
    attempt: Option<Box<Attempt>>,
    heard: Heard,
    scan: Scan,
    /// Whose the call is, for what is said in the server's place.
    call: (CallId, Bytes),
    server: Arc<Server>,
    is_over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Nothing,
    Something,
    Message,
}

impl Awaited {
    /// The rest of an answer to the request `id`.
    pub fn new(
        call: &Call,
        id: Bytes,
        server: &Arc<Server>,
        mut inner: AnswerBody,
        attempt: Option<Box<Attempt>>,
    ) -> Self {
        inner.expect_soon();
        let (call, server) = ((call.id, id), Arc::clone(server));
        Self { inner, attempt, heard: Heard::Nothing, scan: Scan::default(), call, server, is_over: false }
    }

    fn hear(&mut self, data: &[u8]) {
        if self.heard == Heard::Message || data.is_empty() {
            return;
        }
        if self.heard == Heard::Nothing {
            self.heard = Heard::Something;
            // The endpoint's other calls wait for a sign of life.
            if let Some(probe) = self.attempt.as_mut().filter(|attempt| attempt.is_probe()) {
                probe.answered();
            }
        }
        if self.scan.finds_message(data) {
            self.heard = Heard::Message;
            if let Some(attempt) = &mut self.attempt {
                attempt.takes_its_time();
            }
        }
    }

    /// What the client reads of a server that says nothing.
    fn last(&self) -> Bytes {
        let failure = http_call::late(&self.server);
        let (call, id) = &self.call;
        let error = InStream::new(*call, id).body(&failure);
        let mut event = BytesMut::with_capacity(error.len() + 32);
        sse::write_event(&mut event, None, None, &error);
        event.freeze()
    }
}

impl http_body::Body for Awaited {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if this.is_over {
            return Poll::Ready(None);
        }
        let polled = ready!(Pin::new(&mut this.inner).poll_frame(context));
        match polled {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    this.hear(data);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                if let Some(attempt) = &mut this.attempt {
                    attempt.failed();
                }
                if matches!(error, upstream::BodyError::Silent) {
                    this.is_over = true;
                    return Poll::Ready(Some(Ok(Frame::data(this.last()))));
                }
                Poll::Ready(Some(Err(BodyError::new(error))))
            }
            None => {
                match &mut this.attempt {
                    Some(attempt) if this.heard == Heard::Nothing => attempt.failed(),
                    // A server may end a stream that it gave an id, to be asked again (2025-11-25, "Listening").
                    Some(attempt) => attempt.answered(),
                    None => {}
                }
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || (self.attempt.is_none() && self.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// Whether what has come of a stream has a message in it, be it cut into chunks or not: looked for where an event's
/// data begin.
pub fn has_message(arrived: &[u8]) -> bool {
    Scan::default().finds_message(arrived)
}

/// Looks for the first line of data that is not empty, in a text that comes in pieces.
#[derive(Debug, Default)]
struct Scan {
    /// How much of `data:` begins the line; one more in what follows it, and none beyond in any other line.
    matched: u8,
}

const DATA: &[u8] = b"data:";
/// All of it.
const VALUE: u8 = 5;
const OTHER: u8 = u8::MAX;

impl Scan {
    fn finds_message(&mut self, piece: &[u8]) -> bool {
        for byte in piece {
            self.matched = match (byte, self.matched) {
                (b'\n' | b'\r', _) => 0,
                (_, OTHER) => OTHER,
                (b' ', VALUE) => VALUE,
                (_, VALUE) => return true,
                (byte, matched) if DATA[usize::from(matched)] == *byte => matched + 1,
                _ => OTHER,
            };
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn comments_ids_and_empty_data_are_no_message() {
        for text in ["", ": ping\n\n", "id: 1\ndata:\n\n", "id: 1\r\ndata: \r\n\r\n", "event: data: x\n", " data: x\n"]
        {
            assert!(!has_message(text.as_bytes()), "{text:?}");
        }
        for text in
            ["data: {}\n\n", "data:{}", "id: 1\ndata:\n\ndata: x", "1f\r\ndata: {\r\n", "event: message\rdata: x"]
        {
            assert!(has_message(text.as_bytes()), "{text:?}");
        }
    }

    proptest! {
        /// However the stream is cut, the same is found at the same byte.
        #[test]
        fn pieces_are_as_good_as_the_whole(text in "[dat: x\r\n]{0,40}", size in 1..7usize) {
            let mut scan = Scan::default();
            let found = text.as_bytes().chunks(size).any(|piece| scan.finds_message(piece));
            prop_assert_eq!(found, has_message(text.as_bytes()));
        }
    }
}
