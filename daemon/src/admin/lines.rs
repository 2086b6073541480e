//! An answer without an end: a line of JSON after the other, as somebody makes them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use serde::Serialize;
use tokio::sync::mpsc;

/// The body. Whoever makes the lines learns from its end of the channel that nobody reads any more.
#[derive(Debug)]
pub(super) struct Lines(mpsc::Receiver<Bytes>);

impl Lines {
    /// What comes out of `lines` is sent as it is, and waits there until it can be.
    pub(super) fn new(lines: mpsc::Receiver<Bytes>) -> Self {
        Self(lines)
    }
}

impl Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}

/// A value as a line. Wire types have no keys that JSON cannot have, so this fails for none of them.
pub(super) fn line(value: &impl Serialize) -> Bytes {
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    Bytes::from(text)
}
