//! Server-sent events towards a client, fed by a task on the same core.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use http_body::Frame;
use tokio::sync::mpsc;
use tokio::time::timeout;
use toolgate_protocol::{flatten, sse};

use crate::body::{Body, BodyError};

/// Events that a client may have unread before whoever feeds it has to wait.
const BUFFER: usize = 64;
/// A comment goes out after this long without an event, so that nothing between closes the connection.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The feeding end of a stream.
#[derive(Debug, Clone)]
pub struct Events(mpsc::Sender<Bytes>);

/// A stream's client is gone.
#[derive(Debug)]
pub struct Gone;

impl Events {
    /// A response whose body is the stream, and the end that feeds it.
    pub fn open() -> (Self, Response<Body>) {
        let (sender, receiver) = mpsc::channel(BUFFER);
        let mut response = Response::new(Body::stream(Fed(receiver)));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        (Self(sender), response)
    }

    /// Sends one message as an event. Its line ends become spaces: an event cannot tell CR from LF,
    /// and a reader that takes one line of data for all of it must still read the message.
    pub async fn message(&self, message: &[u8]) -> Result<(), Gone> {
        let mut text = BytesMut::with_capacity(message.len() + 32);
        sse::write_event(&mut text, None, None, &flatten::flattened(message));
        self.0.send(text.freeze()).await.map_err(|_| Gone)
    }

    /// Sends a comment.
    pub async fn keep_alive(&self) -> Result<(), Gone> {
        self.0.send(Bytes::from_static(b":\n\n")).await.map_err(|_| Gone)
    }

    /// Waits until the client is gone.
    pub async fn gone(&self) {
        self.0.closed().await;
    }
}

/// Passes a session's unasked messages on until the client or the session goes away.
pub async fn pump(mut messages: mpsc::Receiver<Bytes>, events: Events) {
    loop {
        let next = tokio::select! {
            next = timeout(KEEP_ALIVE, messages.recv()) => next,
            () = events.gone() => return,
        };
        let sent = match next {
            Ok(Some(message)) => events.message(&message).await,
            Ok(None) => return,
            Err(_) => events.keep_alive().await,
        };
        if sent.is_err() {
            return;
        }
    }
}

struct Fed(mpsc::Receiver<Bytes>);

impl http_body::Body for Fed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.0.poll_recv(context).map(|next| next.map(|bytes| Ok(Frame::data(bytes))))
    }
}
