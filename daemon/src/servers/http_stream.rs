//! What an HTTP server says outside of calls: the stream of a legacy session, opened with GET.
//!
//! For hosted sessions and for listening on behalf of all. A stream that ends is opened anew where
//! it left off, with a pause that grows while the server is busy.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::Body as _;
use tokio::time::sleep;
use toolgate_protocol::sse::{Event, Parser};
use tracing::debug;

use super::Server;
use super::endpoints::To;
use super::http::{Answer, Method};
use super::http_call::{self, Conversation, Lines};
use super::http_reply::MAX_MESSAGE;
use super::leg::Leg;
use super::queue::{Flow, Permit};
use super::readable::Readable;
use crate::core::Core;
use crate::provenance::Provenance;

/// Before a stream that ended is opened anew, unless the server said another time. Grows while
/// the server fails to open one.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, whoever asks for it.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// The stream of a session, whether it is open at the moment or not.
pub struct Stream {
    core: Rc<Core>,
    server: Arc<Server>,
    conversation: Arc<Conversation>,
    /// Whose it is; none: the gate's own, of which there is one.
    flow: Option<Flow>,
    open: Option<Box<Open>>,
    /// The right to have it open.
    permit: Option<Permit>,
    last_event: Option<String>,
    pause: Duration,
    failed: Duration,
    opened_before: bool,
}

/// What a stream brings.
#[derive(Debug)]
pub enum Unasked {
    /// A message.
    Message(Bytes),
    /// The stream had ended and is open again; something may have been missed.
    Reopened,
    /// The server offers none; no use in asking again.
    Refused,
    /// The server does not know the session any more.
    Lost,
}

enum Asked {
    Stream(Box<Open>),
    Refused,
    Lost,
    /// The server is busy or down.
    NotNow,
}

impl Stream {
    /// The stream of a leg's session; `None` where the leg is no HTTP conversation. Without `flow` it counts among
    /// nobody's streams.
    pub fn new(core: &Rc<Core>, leg: &Leg, flow: Option<Flow>) -> Option<Self> {
        Some(Self {
            core: Rc::clone(core),
            server: Arc::clone(&leg.server),
            conversation: Arc::clone(leg.conversation()?),
            flow,
            open: None,
            permit: None,
            last_event: None,
            pause: PAUSE,
            failed: PAUSE,
            opened_before: false,
        })
    }

    /// What comes next. A future that is dropped may close the stream.
    pub async fn next(&mut self) -> Unasked {
        loop {
            if let Some(mut open) = self.open.take() {
                if let Some(event) = open.next(&self.server.settings.name).await {
                    self.open = Some(open);
                    self.note(&event);
                    if !event.data.is_empty() {
                        return Unasked::Message(event.data);
                    }
                    continue;
                }
                self.permit = None;
                sleep(self.pause).await;
            }
            match self.ask().await {
                Asked::Stream(open) => {
                    self.open = Some(open);
                    self.failed = PAUSE;
                    if std::mem::replace(&mut self.opened_before, true) {
                        return Unasked::Reopened;
                    }
                }
                Asked::NotNow => {
                    self.permit = None;
                    sleep(self.failed.max(self.pause)).await;
                    self.failed = (self.failed * 2).min(MAX_PAUSE);
                }
                Asked::Refused => return Unasked::Refused,
                Asked::Lost => return Unasked::Lost,
            }
        }
    }

    /// Tells the server that the session has ended.
    pub async fn end(self) {
        bare(&self.core, &self.server, &self.conversation, Method::Delete, None).await;
    }

    fn note(&mut self, event: &Event) {
        if event.id.is_some() {
            self.last_event.clone_from(&event.id);
        }
        if let Some(millis) = event.retry {
            self.pause = Duration::from_millis(millis).clamp(PAUSE, MAX_PAUSE);
        }
    }

    async fn ask(&mut self) -> Asked {
        if let Some(flow) = &self.flow {
            match self.server.open_stream(flow.clone()).await {
                Ok(permit) => self.permit = Some(permit),
                Err(failure) => {
                    debug!(server = self.server.settings.name, %failure, "a session does not hear its server for now");
                    return Asked::NotNow;
                }
            }
        }
        let event = self.last_event.as_deref();
        match bare(&self.core, &self.server, &self.conversation, Method::Get, event).await {
            Some(answer) if answer.status == 200 => match Readable::new(&answer.headers, answer.body) {
                Ok(body) => Asked::Stream(Box::new(Open::new(body, MAX_MESSAGE))),
                Err(problem) => {
                    debug!(server = self.server.settings.name, %problem, "a stream of a server cannot be read");
                    Asked::NotNow
                }
            },
            Some(answer) if answer.status == 404 => Asked::Lost,
            Some(answer) if answer.status == 405 => Asked::Refused,
            Some(_) | None => Asked::NotNow,
        }
    }
}

/// An open stream of events.
pub(super) struct Open {
    body: Readable,
    parser: Parser,
    unread: Bytes,
}

impl Open {
    /// The stream in an answer's body; longer events than `bound` bytes are left out.
    pub(super) fn new(body: Readable, bound: usize) -> Self {
        Self { body, parser: Parser::new(bound), unread: Bytes::new() }
    }

    /// The next event; `None` at the stream's end. A dropped future has lost nothing.
    pub(super) async fn next(&mut self, server: &str) -> Option<Event> {
        loop {
            let mut rest = &self.unread[..];
            let parsed = self.parser.push(&mut rest);
            let read = self.unread.len() - rest.len();
            self.unread.advance(read);
            match parsed {
                Ok(Some(event)) => return Some(event),
                Ok(None) => {}
                // Only that event is lost; the parser has skipped it.
                Err(problem) => {
                    debug!(server, %problem, "an event of a server was dropped");
                    continue;
                }
            }
            let body = &mut self.body;
            let frame = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await?.ok()?;
            self.unread = frame.into_data().unwrap_or_default();
        }
    }
}

/// A request of a session without a message: for its stream, or its end.
pub async fn bare(
    core: &Rc<Core>,
    server: &Arc<Server>,
    conversation: &Conversation,
    method: Method,
    last_event: Option<&str>,
) -> Option<Answer> {
    let id = Provenance::own().id.bytes();
    let mut lines: Lines<'_> = vec![("accept", b"text/event-stream"), ("x-request-id", &id)];
    if let Some(session) = &conversation.session {
        lines.push(("mcp-session-id", session.as_bytes()));
    }
    if let Some(revision) = &conversation.revision {
        lines.push(("mcp-protocol-version", revision.as_bytes()));
    }
    if let Some(event) = last_event {
        lines.push(("last-event-id", event.as_bytes()));
    }
    let to = match conversation.endpoint {
        Some(endpoint) if method == Method::Delete => To::Farewell(endpoint),
        _ => conversation.to(),
    };
    let request = http_call::Request { method, to, headers: &lines, message: None, first_byte: None };
    let sent = http_call::send(core, server, &request).await;
    sent.inspect_err(|failure| debug!(server = server.settings.name, %failure, "no stream of a server")).ok()
}
