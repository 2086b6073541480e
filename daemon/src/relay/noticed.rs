//! A stream of a mirrored server on which the gate notices that a list changed: answers that it keeps are void then.
//!
//! The stream passes byte for byte. What only looks like an announcement costs a few answers that were kept.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use memchr::memmem;

use crate::body::{Body, BodyError, Stream};
use crate::servers::Server;

/// What all announcements have in their method's name.
const WORD: &[u8] = b"list_changed";

/// A body that is looked at on its way; one that is whole announces nothing.
pub fn noticed(server: &Arc<Server>, body: Body) -> Body {
    match body {
        Body::Stream(inner) if server.answers.keeps() => {
            Body::stream(Noticed { inner, server: Arc::clone(server), word: Word::default() })
        }
        body => body,
    }
}

struct Noticed {
    inner: Stream,
    server: Arc<Server>,
    word: Word,
}

impl http_body::Body for Noticed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = ready!(self.inner.as_mut().poll_frame(context));
        if let Some(Ok(frame)) = &polled
            && let Some(data) = frame.data_ref()
            && self.word.is_in(data)
        {
            self.server.lists_changed();
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Looks for the word in a text that comes in pieces.
#[derive(Default)]
struct Word {
    /// The end of what came before.
    tail: Vec<u8>,
}

impl Word {
    fn is_in(&mut self, piece: &[u8]) -> bool {
        let beginning = &piece[..piece.len().min(WORD.len() - 1)];
        self.tail.extend_from_slice(beginning);
        let found = memmem::find(&self.tail, WORD).is_some() || memmem::find(piece, WORD).is_some();
        if piece.len() >= WORD.len() {
            self.tail.clear();
            self.tail.extend_from_slice(&piece[piece.len() + 1 - WORD.len()..]);
        } else {
            let gone = self.tail.len().saturating_sub(WORD.len() - 1);
            self.tail.drain(..gone);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_found_once_however_it_is_cut() {
        let text = b"data: {\"method\":\"notifications/tools/list_changed\"}\n\n";
        for size in 1..=text.len() {
            let mut word = Word::default();
            let found = text.chunks(size).filter(|piece| word.is_in(piece)).count();
            assert_eq!(found, 1, "in pieces of {size}");
        }
        let mut word = Word::default();
        assert!(!b"list_change list-changed".chunks(5).any(|piece| word.is_in(piece)));
    }
}
