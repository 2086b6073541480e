//! What a mirrored server answers and the gate has to read: lists, and what may speak of tasks.
//!
//! Where nothing has to be changed, it passes byte for byte, and the gate reads along. Where something has, the message
//! alone is written anew: other events and comments stay as they came. Ids of events do not pass where a list is filtered: a
//! stream that is resumed by one would bring the answer as the server keeps it. What speaks of tasks is read again then.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use toolgate_protocol::envelope::Shape;
use toolgate_protocol::{flatten, sse};

use super::lists::Sieve;
use crate::answers::Reception;
use crate::body::{Body, BodyError, Stream};
use crate::message::Message;
use crate::servers::http_reply::MAX_MESSAGE;
use crate::tasks::Whose;

/// Bytes of an answer that is read along. A longer one passes all the same.
const READ_ALONG: usize = 16 << 20;
/// Bytes of one event, with all its lines, that may have to be replaced: the longest message, and what frames it.
const HELD: usize = MAX_MESSAGE + (1 << 20);

/// What an answer meets on its way.
pub struct Reader {
    /// Gone once it has had its answer.
    reception: Option<Box<Reception>>,
    /// Takes out what the client may not use.
    sieve: Option<Sieve>,
    /// Names tasks as the client knows them.
    tasks: Option<Whose>,
}

/// What becomes of a message.
pub enum Instead {
    /// It passes as it is.
    Same,
    /// This passes in its place.
    This(Bytes),
    /// It is not for the client.
    Nothing,
}

impl Reader {
    /// What has to be done with a list.
    pub fn new(reception: Option<Box<Reception>>, sieve: Option<Sieve>) -> Self {
        Self { reception, sieve, tasks: None }
    }

    /// What has to be done with what may speak of tasks.
    pub fn of_tasks(tasks: Whose) -> Self {
        Self { reception: None, sieve: None, tasks: Some(tasks) }
    }

    /// Whether the answer has to be written anew.
    pub fn rewrites(&self) -> bool {
        self.sieve.is_some() || self.tasks.is_some()
    }

    /// Whether the client may resume the stream: what it brings then is read like this.
    fn keeps_ids(&self) -> bool {
        self.tasks.is_some()
    }

    /// The body on its way; `events` where it is a stream of them.
    pub fn through(mut self, body: Body, events: bool) -> Body {
        match body {
            Body::Stream(inner) => Body::stream(Listed::new(inner, events, self)),
            Body::Full(text) => {
                let instead = if events {
                    Form::new(true, self.rewrites()).take(&text, &mut self).map(|instead| instead.unwrap_or(text))
                } else {
                    self.message(text.clone()).map(|instead| instead.or(text))
                };
                instead.map_or_else(|problem| Body::stream(Broken(Some(problem))), Body::from)
            }
            Body::Empty => Body::Empty,
        }
    }

    /// What becomes of one message.
    pub fn message(&mut self, text: Bytes) -> Result<Instead, BodyError> {
        if let Some(tasks) = &self.tasks {
            return Ok(match tasks.outward(text.clone()) {
                Some(same) if same == text => Instead::Same,
                Some(named) => Instead::This(named),
                None => Instead::Nothing,
            });
        }
        let message = match Message::parse(text) {
            Ok(message) => message,
            // What cannot be read may hide what the client may not see.
            Err(problem) if self.rewrites() => return Err(BodyError::new(problem.to_string())),
            Err(_) => return Ok(Instead::Same),
        };
        if message.shape() != Shape::Response {
            return Ok(Instead::Same);
        }
        if let Some(reception) = self.reception.take() {
            reception.answer(message.bytes.clone());
        }
        Ok(self.sieve.as_ref().map_or(Instead::Same, |sieve| Instead::This(sieve.answer(&message))))
    }

    /// There will be no answer to read.
    pub fn failed(&mut self) {
        if let Some(reception) = self.reception.take() {
            reception.refused();
        }
    }

    /// The answer is too long to be read along.
    fn give_up(&mut self) {
        if let Some(reception) = self.reception.take() {
            reception.unread();
        }
    }
}

impl Instead {
    /// The text that passes, where this is what came.
    pub fn or(self, text: Bytes) -> Bytes {
        match self {
            Self::Same => text,
            Self::This(instead) => instead,
            Self::Nothing => Bytes::new(),
        }
    }
}

/// How the body is read.
enum Form {
    /// One message, that passes as it is.
    Json(BytesMut),
    Events {
        parser: sse::Parser,
        /// What came since the last event's end; kept where it may have to be replaced.
        held: BytesMut,
        rewrites: bool,
    },
    /// It was too long, or nothing is left to be read.
    Over,
}

impl Form {
    fn new(events: bool, rewrites: bool) -> Self {
        let longest = if rewrites { MAX_MESSAGE } else { READ_ALONG };
        if events {
            Self::Events { parser: sse::Parser::new(longest), held: BytesMut::new(), rewrites }
        } else {
            Self::Json(BytesMut::new())
        }
    }

    /// Takes a piece. Gives back what passes instead of it, where it does not pass as it is.
    fn take(&mut self, piece: &Bytes, reader: &mut Reader) -> Result<Option<Bytes>, BodyError> {
        match self {
            Self::Json(text) if text.len() + piece.len() <= READ_ALONG => text.extend_from_slice(piece),
            Self::Events { parser, held, rewrites: true } => return rewritten(parser, held, piece, reader).map(Some),
            Self::Events { parser, .. } => {
                let mut rest = &piece[..];
                loop {
                    match parser.push(&mut rest) {
                        Ok(Some(event)) if event.data.is_empty() => {}
                        Ok(Some(event)) => drop(reader.message(event.data)),
                        Ok(None) => break,
                        Err(_) => reader.give_up(),
                    }
                }
                if reader.reception.is_none() {
                    *self = Self::Over;
                }
            }
            Self::Json(_) => {
                reader.give_up();
                *self = Self::Over;
            }
            Self::Over => {}
        }
        Ok(None)
    }

    /// There is no more. What was no whole event is none.
    fn finish(&mut self, reader: &mut Reader) {
        if let Self::Json(text) = std::mem::replace(self, Self::Over) {
            // One that cannot be read is the client's to judge.
            drop(reader.message(text.freeze()));
        }
    }
}

fn rewritten(
    parser: &mut sse::Parser,
    held: &mut BytesMut,
    piece: &[u8],
    reader: &mut Reader,
) -> Result<Bytes, BodyError> {
    let (mut rest, mut out) = (piece, BytesMut::new());
    loop {
        let before = rest;
        let event = parser.push(&mut rest).map_err(|problem| BodyError::new(problem.to_string()))?;
        held.extend_from_slice(&before[..before.len() - rest.len()]);
        // The parser measures lines and data: fields without data may go on for ever.
        if held.len() > HELD {
            return Err(BodyError::new("the server sent an event that does not end"));
        }
        let Some(event) = event else { break };
        let instead = if event.data.is_empty() { Instead::Same } else { reader.message(event.data.clone())? };
        if !matches!(instead, Instead::Same) {
            comments(held).for_each(|comment| out.extend_from_slice(&[comment, b"\n\n"].concat()));
        }
        match instead {
            Instead::This(text) => {
                if let Some(retry) = event.retry {
                    out.extend_from_slice(format!("retry: {retry}\n").as_bytes());
                }
                let id = event.id.as_deref().filter(|_| reader.keeps_ids());
                sse::write_event(&mut out, id, event.event.as_deref(), &flatten::flattened(&text));
            }
            Instead::Nothing => {}
            Instead::Same if reader.keeps_ids() => out.extend_from_slice(held),
            Instead::Same => without_ids(held).for_each(|piece| out.extend_from_slice(piece)),
        }
        held.clear();
    }
    // Comments keep a stream alive, and must not wait for the next event.
    if parser.is_between_events() {
        out.extend_from_slice(held);
        held.clear();
    }
    Ok(out.freeze())
}

/// An event without its id: lines with their ends, of which `\r\n` is two.
fn without_ids(held: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut is_dropped = false;
    held.split_inclusive(|byte| matches!(byte, b'\r' | b'\n')).filter(move |piece| {
        let is_rest = *piece == b"\n" && is_dropped;
        let field = piece.strip_prefix(b"id");
        let is_id = field.is_some_and(|after| matches!(after.first(), Some(b':' | b'\r' | b'\n')));
        is_dropped = is_id && piece.ends_with(b"\r");
        !is_id && !is_rest
    })
}

/// Comments in what is replaced.
fn comments(held: &[u8]) -> impl Iterator<Item = &[u8]> {
    held.split(|byte| matches!(byte, b'\r' | b'\n')).filter(|line| line.starts_with(b":"))
}

struct Listed {
    inner: Stream,
    form: Form,
    reader: Reader,
    /// Bytes to come, where that was said: whoever sends them does not ask for an end beyond.
    left: Option<u64>,
}

impl Listed {
    fn new(inner: Stream, events: bool, reader: Reader) -> Self {
        let left = inner.size_hint().exact();
        Self { form: Form::new(events, reader.rewrites()), inner, reader, left }
    }

    fn take(&mut self, data: &Bytes) -> Result<Option<Bytes>, BodyError> {
        let instead = self.form.take(data, &mut self.reader)?;
        self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
        if self.left == Some(0) || self.inner.is_end_stream() {
            self.form.finish(&mut self.reader);
        }
        Ok(instead)
    }
}

impl http_body::Body for Listed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        loop {
            let polled = ready!(this.inner.as_mut().poll_frame(context));
            let Some(Ok(frame)) = polled else {
                match polled {
                    None => this.form.finish(&mut this.reader),
                    Some(_) => this.reader.failed(),
                }
                return Poll::Ready(polled);
            };
            let Some(data) = frame.data_ref() else { return Poll::Ready(Some(Ok(frame))) };
            match this.take(data) {
                Ok(None) => return Poll::Ready(Some(Ok(frame))),
                // Nothing of it can pass yet.
                Ok(Some(instead)) if instead.is_empty() => {}
                Ok(Some(instead)) => return Poll::Ready(Some(Ok(Frame::data(instead)))),
                Err(problem) => return Poll::Ready(Some(Err(problem))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.reader.rewrites() { SizeHint::default() } else { self.inner.size_hint() }
    }
}

/// An answer that came whole and cannot be passed.
struct Broken(Option<BodyError>);

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(self.0.take().map(Err))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_does_not_end_is_not_kept_for_ever() {
        let mut parser = sse::Parser::new(MAX_MESSAGE);
        let (mut held, mut reader) = (BytesMut::new(), Reader::new(None, None));
        let line = format!("event: {}\n", "x".repeat(1 << 20));
        let broke =
            (0..=HELD / line.len()).any(|_| rewritten(&mut parser, &mut held, line.as_bytes(), &mut reader).is_err());
        assert!(broke, "{} bytes are held", held.len());
    }

    /// With one of these a client could have the server repeat what the gate has taken out.
    #[test]
    fn no_id_of_an_event_passes_where_answers_are_rewritten() {
        for end in ["\n", "\r\n", "\r"] {
            let (mut parser, mut held) = (sse::Parser::new(MAX_MESSAGE), BytesMut::new());
            let said =
                ["id: 7", "retry: 5", "data: ", "", "id", "idle: x", ": alive", "data: {\"id\":1}", "", ""].join(end);
            let mut reader = Reader::new(None, None);
            let passed =
                said.bytes().map(|byte| rewritten(&mut parser, &mut held, &[byte], &mut reader).expect("events"));
            let passed = passed.fold(Vec::new(), |all, piece| [all, piece.to_vec()].concat());
            let left = ["retry: 5", "data: ", "", "idle: x", ": alive", "data: {\"id\":1}", "", ""].join(end);
            let shown = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
            assert_eq!(shown(&passed), left, "{end:?}");
        }
    }
}
