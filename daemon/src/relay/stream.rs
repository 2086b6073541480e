//! Server-sent events towards a client.
//!
//! Two kinds: [`Events`], fed by a task on the same core, for what cannot be resumed; and the
//! [`resumable`] stream that reads a line of its session, which goes on without it.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use http_body::Frame;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, Sleep, sleep};
use toolgate_protocol::{flatten, sse};

use crate::body::{Body, BodyError};
use crate::call::Call;
use crate::clock;
use crate::core::Core;
use crate::sessions::{Busy, Reading};

/// Events that a client may have unread before whoever feeds it has to wait.
const BUFFER: usize = 100;
/// Bytes that it may have unread; a longer event waits until all others are read.
const BUFFER_BYTES: u32 = 1 << 20;
/// A comment goes out after this long without an event, so that nothing between closes the connection.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);

const COMMENT: &[u8] = b":\n\n";

/// A response whose body is a stream of events.
pub fn of_events(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// A response whose body is what a line of the call's session says from now on. `primed`: it begins
/// with an event that has an id and no message.
pub fn resumable(call: &Call, reading: Reading, primed: bool) -> Response<Body> {
    // A session with a client that listens does not idle.
    let busy = call.session.as_ref().map(|(session, _)| session.enter());
    let core = Rc::clone(&call.core);
    of_events(Body::stream(Read { core, reading, primed, quiet: Box::pin(sleep(KEEP_ALIVE)), _busy: busy }))
}

/// The feeding end of a stream.
#[derive(Debug, Clone)]
pub struct Events {
    sender: mpsc::Sender<Said>,
    room: Arc<Semaphore>,
}

/// An event, when it was said by our clock, and the room that it takes until it is on its way.
type Said = (Bytes, u64, OwnedSemaphorePermit);

/// A stream's client is gone.
#[derive(Debug)]
pub struct Gone;

impl Events {
    /// A response whose body is the stream, and the end that feeds it.
    pub fn open(core: &Rc<Core>) -> (Self, Response<Body>) {
        let (sender, receiver) = mpsc::channel(BUFFER);
        let fed = Fed { core: Rc::clone(core), receiver };
        (Self { sender, room: Arc::new(Semaphore::new(BUFFER_BYTES as usize)) }, of_events(Body::stream(fed)))
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
        self.say(Bytes::from_static(COMMENT)).await
    }

    async fn say(&self, text: Bytes) -> Result<(), Gone> {
        let said = clock::nanos();
        let share = u32::try_from(text.len()).unwrap_or(u32::MAX).min(BUFFER_BYTES);
        let room = tokio::select! {
            room = Arc::clone(&self.room).acquire_many_owned(share) => room.map_err(|_| Gone)?,
            () = self.gone() => return Err(Gone),
        };
        self.sender.send((text, said, room)).await.map_err(|_| Gone)
    }

    /// Waits until the client is gone.
    pub async fn gone(&self) {
        self.sender.closed().await;
    }
}

struct Fed {
    core: Rc<Core>,
    receiver: mpsc::Receiver<Said>,
}

impl http_body::Body for Fed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        this.receiver.poll_recv(context).map(|next| {
            next.map(|(bytes, said, _)| {
                this.core.desk.streamed(said);
                Ok(Frame::data(bytes))
            })
        })
    }
}

/// A line on its way to its client.
struct Read {
    core: Rc<Core>,
    reading: Reading,
    /// The event that begins it is still to be sent.
    primed: bool,
    quiet: Pin<Box<Sleep>>,
    _busy: Option<Busy>,
}

impl Read {
    fn is_quiet(&mut self, context: &mut Context<'_>) -> bool {
        let quiet = self.quiet.as_mut().poll(context).is_ready();
        if quiet {
            self.rest();
            // Registers the new time, lest nothing wakes this up again.
            return self.quiet.as_mut().poll(context).is_pending();
        }
        false
    }

    fn rest(&mut self) {
        self.quiet.as_mut().reset(Instant::now() + KEEP_ALIVE);
    }
}

impl http_body::Body for Read {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if std::mem::take(&mut this.primed) {
            return Poll::Ready(Some(Ok(Frame::data(this.reading.place()))));
        }
        match this.reading.poll_next(context) {
            Poll::Ready(Some(event)) => {
                this.rest();
                this.core.desk.streamed(event.said);
                Poll::Ready(Some(Ok(Frame::data(event.text))))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if this.is_quiet(context) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(COMMENT))))),
            Poll::Pending => Poll::Pending,
        }
    }
}
