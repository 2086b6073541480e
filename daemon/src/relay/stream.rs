//! Server-sent events towards a client, fed by a task on the same core.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use http_body::Frame;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use toolgate_protocol::{flatten, sse};

use crate::body::{Body, BodyError};
use crate::sessions::Unasked;

/// Events that a client may have unread before whoever feeds it has to wait.
const BUFFER: usize = 64;
/// Bytes that it may have unread; a longer event waits until all others are read.
const BUFFER_BYTES: u32 = 1 << 20;
/// A comment goes out after this long without an event, so that nothing between closes the connection.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The feeding end of a stream.
#[derive(Debug, Clone)]
pub struct Events {
    sender: mpsc::Sender<Said>,
    room: Arc<Semaphore>,
}

/// An event and the room that it takes until it is on its way.
type Said = (Bytes, OwnedSemaphorePermit);

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
        (Self { sender, room: Arc::new(Semaphore::new(BUFFER_BYTES as usize)) }, response)
    }

    /// Sends one message as an event. Its line ends become spaces: an event cannot tell CR from LF,
    /// and a reader that takes one line of data for all of it must still read the message.
    pub async fn message(&self, message: &[u8]) -> Result<(), Gone> {
        let mut text = BytesMut::with_capacity(message.len() + 32);
        sse::write_event(&mut text, None, None, &flatten::flattened(message));
        self.say(text.freeze()).await
    }

    /// Sends a comment.
    pub async fn keep_alive(&self) -> Result<(), Gone> {
        self.say(Bytes::from_static(b":\n\n")).await
    }

    async fn say(&self, text: Bytes) -> Result<(), Gone> {
        let share = u32::try_from(text.len()).unwrap_or(u32::MAX).min(BUFFER_BYTES);
        let room = tokio::select! {
            room = Arc::clone(&self.room).acquire_many_owned(share) => room.map_err(|_| Gone)?,
            () = self.gone() => return Err(Gone),
        };
        self.sender.send((text, room)).await.map_err(|_| Gone)
    }

    /// Waits until the client is gone.
    pub async fn gone(&self) {
        self.sender.closed().await;
    }
}

/// Passes messages on until the client or whoever says them goes away.
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

/// Passes a session's unasked messages on until the client or the session goes away. What the
/// client did not take is left for its next stream.
pub async fn unasked(mut messages: Unasked, events: Events) {
    loop {
        let next = tokio::select! {
            next = timeout(KEEP_ALIVE, messages.next()) => next,
            () = events.gone() => return,
        };
        let sent = match next {
            Ok(Some(message)) => {
                let sent = events.message(&message).await;
                if sent.is_err() {
                    messages.give_back(message);
                }
                sent
            }
            Ok(None) => return,
            Err(_) => events.keep_alive().await,
        };
        if sent.is_err() {
            return;
        }
    }
}

struct Fed(mpsc::Receiver<Said>);

impl http_body::Body for Fed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.0.poll_recv(context).map(|next| next.map(|(bytes, _)| Ok(Frame::data(bytes))))
    }
}
