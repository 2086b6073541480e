//! An HTTP server's answer to one request, as messages: a JSON body, or a stream of events.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderValue;
use http_body::Body as _;
use toolgate_protocol::envelope::Shape;
use toolgate_protocol::method::Method;
use toolgate_protocol::revision::Era;
use toolgate_protocol::sse;

use super::Server;
use super::endpoints::Attempt;
use super::exchange::Step;
use super::http::{Answer, BodyError};
use super::readable::Readable;
use super::reading::Held;
use crate::answers;
use crate::coding::decode::Problem;
use crate::failure::{Failure, Kind};
use crate::message::Message;

/// Bytes of a JSON body or of one event that the gate takes in to look inside.
pub const MAX_MESSAGE: usize = 64 << 20;

/// What `max_result` says of shorter answers than this is left to whoever reads them.
const LEAST: usize = 64 << 10;

/// Whose answer is held to `max_result`.
#[derive(Debug)]
struct Longest {
    era: Era,
    id: Bytes,
    tool: String,
    most: usize,
}

/// What follows a request.
#[derive(Debug)]
pub struct HttpReply {
    server: Arc<Server>,
    status: u16,
    session: Option<HeaderValue>,
    endpoint: usize,
    attempt: Option<Box<Attempt>>,
    connect: Duration,
    body: Readable,
    form: Form,
    /// Whose answer it is, where that may have only so many bytes.
    longest: Option<Box<Longest>>,
    /// Memory for what has arrived of it.
    held: Held,
}

#[derive(Debug)]
enum Form {
    /// What has arrived of the body, so that nothing is lost with a dropped wait.
    Json(BytesMut),
    Events(Box<Events>),
    Other,
    Over,
}

#[derive(Debug)]
struct Events {
    parser: sse::Parser,
    ready: VecDeque<Bytes>,
    /// Bytes that have arrived since the last event was complete.
    begun: usize,
}

impl Events {
    fn within(most: usize) -> Self {
        Self { parser: sse::Parser::new(most), ready: VecDeque::new(), begun: 0 }
    }
}

/// What has arrived of an event that is not complete.
fn events_begun(form: &Form) -> usize {
    if let Form::Events(events) = form { events.begun } else { 0 }
}

impl Longest {
    /// Bytes that are read of it.
    fn read(&self) -> usize {
        self.most.max(LEAST)
    }
}

impl HttpReply {
    /// Takes over an answer whose head has arrived.
    pub fn new(server: &Arc<Server>, answer: Answer) -> Result<Self, Failure> {
        let kind = answer.headers.get("content-type").unwrap_or_default();
        let form = if starts_with_ignoring_case(kind, b"text/event-stream") {
            Form::Events(Box::new(Events::within(MAX_MESSAGE)))
        } else if starts_with_ignoring_case(kind, b"application/json") {
            Form::Json(BytesMut::new())
        } else {
            Form::Other
        };
        let session = answer.headers.get("mcp-session-id").and_then(|value| HeaderValue::from_bytes(value).ok());
        let Answer { status, endpoint, attempt, timing, .. } = answer;
        let body = Readable::new(&answer.headers, answer.body).map_err(|problem| undecodable(server, problem))?;
        let (server, connect, held) = (Arc::clone(server), timing.connect, Held::default());
        Ok(Self { server, status, session, endpoint, attempt, connect, body, form, longest: None, held })
    }

    /// The same as the answer to a request, which has the id that the server knows. That of a call of a tool is read no
    /// further than it may be long.
    #[must_use]
    pub fn to(mut self, era: Era, request: &Message) -> Self {
        let Some(most) = self.server.settings.answers.max_result else { return self };
        if request.envelope.known_method != Some(Method::ToolsCall) || self.status >= 300 {
            return self;
        }
        let tool = request.envelope.name_str(&request.bytes).unwrap_or_default().into_owned();
        let longest = Longest { era, id: request.id_bytes(), tool, most };
        if let Form::Events(events) = &mut self.form {
            **events = Events::within(longest.read());
        }
        self.longest = Some(Box::new(longest));
        self
    }

    /// The same, where a body of any other type is taken for one message.
    #[must_use]
    pub fn as_message(mut self) -> Self {
        if matches!(self.form, Form::Other) {
            self.form = Form::Json(BytesMut::new());
        }
        self
    }

    /// Whether the server knows nothing of the session: then nothing was done.
    pub fn lost_session(&self) -> bool {
        self.status == 404
    }

    /// Which endpoint has answered.
    pub fn endpoint(&self) -> usize {
        self.endpoint
    }

    /// What it took to get a connection.
    pub fn connect(&self) -> Duration {
        self.connect
    }

    /// What is to be told how the answer ends, for whoever reads it.
    pub fn take_attempt(&mut self) -> Option<Box<Attempt>> {
        self.attempt.take()
    }

    /// The session that the server opened.
    pub fn session(&self) -> Option<HeaderValue> {
        self.session.clone()
    }

    /// The next message.
    pub async fn next(&mut self) -> Step {
        match &self.form {
            Form::Json(_) => self.whole().await,
            Form::Events(_) => self.event().await,
            Form::Other => Step::Lost(self.no_message(format!("status {}", self.status))),
            Form::Over => Step::Lost(self.no_message("the stream ended without an answer")),
        }
    }

    async fn whole(&mut self) -> Step {
        let most = self.longest.as_ref().map_or(MAX_MESSAGE, |longest| longest.read());
        if let Some(left) = self.body.size_hint().exact()
            && let Form::Json(text) = &self.form
            && text.len() as u64 + left > most as u64
        {
            return self.too_long(&format!("{} bytes", text.len() as u64 + left));
        }
        loop {
            let next = self.chunk().await;
            let Form::Json(text) = &mut self.form else { break };
            match next {
                Ok(Some(chunk)) if text.len() + chunk.len() > most => {
                    return self.too_long(&format!("more than {most} bytes"));
                }
                Ok(Some(chunk)) if self.held.grows_to(text.len() + chunk.len()) => text.extend_from_slice(&chunk),
                Ok(Some(_)) => return Step::Lost(self.no_memory()),
                Ok(None) => break,
                Err(failure) => return Step::Lost(failure),
            }
        }
        let text = match std::mem::replace(&mut self.form, Form::Over) {
            Form::Json(text) => text.freeze(),
            _ => Bytes::new(),
        };
        match Message::parse(text) {
            Ok(message) if message.shape() == Shape::Response => Step::Final(message.bytes),
            Ok(_) => Step::Lost(self.no_message("a message that is no answer")),
            Err(problem) => Step::Lost(self.no_message(problem)),
        }
    }

    async fn event(&mut self) -> Step {
        loop {
            let Form::Events(events) = &mut self.form else {
                return Step::Lost(self.no_message("the stream ended without an answer"));
            };
            if let Some(data) = events.ready.pop_front() {
                return self.classify(data);
            }
            match self.chunk().await {
                Ok(Some(chunk)) if self.held.grows_to(events_begun(&self.form) + chunk.len()) => {
                    if let Err(problem) = self.feed(&chunk) {
                        return self.too_long(&format!("more than {} bytes", problem.limit));
                    }
                }
                Ok(Some(_)) => return Step::Lost(self.no_memory()),
                Ok(None) => self.form = Form::Over,
                Err(failure) => return Step::Lost(failure),
            }
        }
    }

    fn feed(&mut self, chunk: &[u8]) -> Result<(), sse::EventTooLong> {
        let Form::Events(events) = &mut self.form else { return Ok(()) };
        let mut rest = chunk;
        // Events without data open a stream that can be resumed; they carry no message.
        while let Some(event) = events.parser.push(&mut rest)? {
            events.ready.extend(Some(event.data).filter(|data| !data.is_empty()));
        }
        events.begun += chunk.len();
        if events.parser.is_between_events() {
            events.begun = 0;
            self.held.release();
        }
        Ok(())
    }

    /// The answer is longer than it may be, and is not read to its end.
    fn too_long(&mut self, has: &str) -> Step {
        self.form = Form::Over;
        let Some(longest) = &self.longest else { return Step::Lost(self.no_message("the answer is too long")) };
        let call = (longest.era, &*longest.id, &*longest.tool);
        Step::Final(answers::too_long(&self.server.settings.name, call, has, longest.most).into())
    }

    fn no_memory(&mut self) -> Failure {
        self.form = Form::Over;
        Failure::new(
            Kind::Overloaded,
            format!(
                "The server {} has answered, and this gate has no memory left for so long an answer. Whether the call had an effect is unknown; check before you repeat it.",
                self.server.settings.name
            ),
        )
        .retry_after(Duration::from_secs(5))
        .because("all of `daemon.max_answer_memory` is in use")
    }

    fn classify(&mut self, data: Bytes) -> Step {
        match Message::parse(data) {
            Ok(message) if message.shape() == Shape::Response => {
                self.form = Form::Over;
                Step::Final(message.bytes)
            }
            Ok(message) => Step::Related(message.bytes),
            Err(problem) => Step::Lost(self.no_message(problem)),
        }
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            match poll_fn(|context| Pin::new(&mut self.body).poll_frame(context)).await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(BodyError::Coding(problem))) => return Err(undecodable(&self.server, problem)),
                Some(Err(error)) => return Err(self.no_message(error)),
            }
        }
    }

    fn no_message(&self, problem: impl std::fmt::Display) -> Failure {
        let name = &self.server.settings.name;
        let text = match self.status {
            404 => format!("The server {name} has ended this session. Open a new one with `initialize`."),
            429 | 503 => format!("The server {name} is busy. Try again later."),
            status if status >= 400 => format!("The server {name} refused the request with status {status}."),
            _ => format!(
                "The server {name} gave no complete answer. Whether the call had an effect is unknown; check before you repeat it."
            ),
        };
        let kind = match self.status {
            429 | 503 => Kind::ServerUnavailable,
            _ => Kind::ServerGarbage,
        };
        Failure::new(kind, text).because(problem)
    }
}

/// A server that compresses what nobody asked it to, in a way that cannot be undone.
pub fn undecodable(server: &Server, problem: Problem) -> Failure {
    let name = &server.settings.name;
    Failure::new(
        Kind::ServerGarbage,
        format!(
            "The server {name} compressed its answer, and the gate cannot read it. The server's operator has to switch its compression off. Whether the call had an effect is unknown; check before you repeat it."
        ),
    )
    .because(problem)
}

fn starts_with_ignoring_case(value: &[u8], prefix: &[u8]) -> bool {
    value.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}
