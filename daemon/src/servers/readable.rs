//! The body of a server's answer as the gate reads it: decoded, where the server compressed it unasked.
//!
//! The gate asks for no coding. Where it looks inside, or where the client would not understand the coding, the body is
//! decoded as it arrives; one that grows too much, or is coded otherwise, is an error.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use toolgate_protocol::coding::{Encoded, encoded};

use super::http::{AnswerBody, BodyError, Headers};
use crate::coding::decode::{Decoder, Problem};

/// A body without coding.
#[derive(Debug)]
pub struct Readable {
    body: AnswerBody,
    /// Gone at the end; absent where nothing is to be decoded.
    decoder: Option<Box<Decoder>>,
    decodes: bool,
}

/// How the body below these headers is coded.
pub fn coding_of(headers: &Headers) -> Encoded {
    let mut lines = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"content-encoding"));
    match (lines.next(), lines.next()) {
        (None, _) => Encoded::Plain,
        (Some((_, value)), None) => encoded(Some(value)),
        (Some(_), Some(_)) => Encoded::Otherwise,
    }
}

impl Readable {
    /// The body below these headers.
    pub fn new(headers: &Headers, body: AnswerBody) -> Result<Self, Problem> {
        let decoder = match coding_of(headers) {
            _ if body.is_end_stream() => None,
            Encoded::Plain => None,
            Encoded::Once(coding) => Some(Box::new(Decoder::new(coding)?)),
            Encoded::Otherwise => return Err(Problem::Coding),
        };
        Ok(Self { body, decodes: decoder.is_some(), decoder })
    }

    /// The body, where all of it has arrived; what is left of it otherwise stays.
    pub fn take_whole(&mut self) -> Result<Option<Bytes>, Problem> {
        let Some(whole) = self.body.take_whole() else { return Ok(None) };
        let Some(mut decoder) = self.decoder.take() else { return Ok(Some(whole)) };
        let start = decoder.push(&whole)?;
        let rest = decoder.finish()?;
        Ok(Some(if rest.is_empty() { start } else { [start, rest].concat().into() }))
    }
}

impl Body for Readable {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if !this.decodes {
            return Pin::new(&mut this.body).poll_frame(cx);
        }
        loop {
            let piece = ready!(Pin::new(&mut this.body).poll_frame(cx)).transpose()?;
            let last = piece.is_none();
            let decoded = match (piece.and_then(|frame| frame.into_data().ok()), &mut this.decoder) {
                (_, None) => return Poll::Ready(None),
                (Some(piece), Some(decoder)) => decoder.push(&piece),
                (None, Some(_)) if !last => continue,
                (None, decoder) => decoder.take().map_or(Ok(Bytes::new()), |decoder| decoder.finish()),
            };
            match decoded {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Err(problem) => {
                    this.decoder = None;
                    return Poll::Ready(Some(Err(BodyError::Coding(problem))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.decoder.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.decodes { SizeHint::default() } else { self.body.size_hint() }
    }
}
