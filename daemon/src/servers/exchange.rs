//! One request to a server and what comes back for it, message by message.
//!
//! Whatever the transport, the relay sees the same: messages that belong to the call, then the
//! answer, with the ids and tokens that the client chose.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use toolgate_protocol::envelope::Shape;
use toolgate_protocol::error;
use toolgate_protocol::flatten;
use toolgate_protocol::method::Method;
use toolgate_protocol::revision::Era;

use super::Server;
use super::endpoints::Attempt;
use super::http_reply::HttpReply;
use super::leg::Leg;
use super::news::announced;
use super::stdio::link::{Arrival, Reply};
use crate::failure::{Failure, Kind};
use crate::message::Message;
use crate::sessions::Running;

/// What a server says in the course of a call.
#[derive(Debug)]
pub enum Step {
    /// A notification or a server's request that belongs to the call.
    Related(Bytes),
    /// The answer; nothing follows.
    Final(Bytes),
    /// There will be no answer.
    Lost(Failure),
}

/// A request in flight.
#[derive(Debug)]
pub struct Exchange {
    /// Where it runs.
    pub leg: Leg,
    source: Source,
    /// The client's own.
    id: Bytes,
    /// The client's own.
    token: Option<Bytes>,
    /// What stands for both at the server, unless it was sent as the client wrote it.
    id_there: Option<Bytes>,
    /// Where the client's cancellation finds it.
    running: Option<Running>,
    /// What is to be told how it goes.
    attempt: Option<Box<Attempt>>,
    /// Whether what is asked for is a stream on which somebody listens.
    listens: bool,
}

#[derive(Debug)]
enum Source {
    Stdio(Reply),
    Http(Box<HttpReply>),
}

impl Source {
    async fn next(&mut self, leg: &Leg) -> Step {
        match self {
            Self::Http(reply) => reply.next().await,
            Self::Stdio(reply) => match reply.next().await {
                Arrival::Final(message) => Step::Final(message),
                Arrival::Related(message) => Step::Related(message),
                Arrival::Lost(reason) => Step::Lost(lost(leg, &reason)),
            },
        }
    }
}

impl Exchange {
    /// A request that runs in an instance; `request` as the client wrote it.
    pub fn stdio(leg: Leg, request: &Message, reply: Reply) -> Self {
        Self::new(leg, request, Source::Stdio(reply))
    }

    /// A request that runs over HTTP; `request` as the client wrote it.
    pub fn http(leg: Leg, request: &Message, mut reply: HttpReply) -> Self {
        let attempt = reply.take_attempt();
        Self::new(leg, request, Source::Http(Box::new(reply))).attempted(attempt)
    }

    /// Has it told how the request goes.
    #[must_use]
    pub fn attempted(mut self, attempt: Option<Box<Attempt>>) -> Self {
        self.attempt = attempt;
        self
    }

    /// Which endpoint of an HTTP server has answered.
    pub fn endpoint(&self) -> Option<usize> {
        match &self.source {
            Source::Http(reply) => Some(reply.endpoint()),
            Source::Stdio(_) => None,
        }
    }

    /// What it took to get a connection for it; an instance's was had before.
    pub fn connect(&self) -> Duration {
        match &self.source {
            Source::Http(reply) => reply.connect(),
            Source::Stdio(_) => Duration::ZERO,
        }
    }

    fn new(leg: Leg, request: &Message, source: Source) -> Self {
        let id = request.id_bytes();
        let token = request.envelope.progress_token.map(|span| request.bytes.slice_ref(span.of(&request.bytes)));
        let listens = request.envelope.known_method == Some(Method::Listen);
        Self { leg, source, id, token, id_there: None, running: None, attempt: None, listens }
    }

    /// The same for a request that was sent with another id and progress token.
    #[must_use]
    pub fn renamed(mut self, id_there: Bytes) -> Self {
        self.id_there = Some(id_there);
        self
    }

    /// Keeps the request findable for its cancellation until it is over.
    pub fn keep(&mut self, running: Running) {
        self.running = Some(running);
    }

    /// The id that the request has at the server.
    pub fn id_there(&self) -> Bytes {
        self.id_there.as_ref().unwrap_or(&self.id).clone()
    }

    /// What is left of the time until the first message: an instance has made the request wait for
    /// room already.
    pub fn left(&self, wait: Duration) -> Duration {
        match &self.source {
            Source::Stdio(reply) => reply.left(wait),
            Source::Http(_) => wait,
        }
    }

    /// Whether an HTTP server knows nothing of the session that the request belongs to.
    pub fn lost_session(&self) -> bool {
        match &self.source {
            Source::Http(reply) => self.leg.era == Era::Legacy && reply.lost_session(),
            Source::Stdio(_) => false,
        }
    }

    /// The session that an HTTP server opened with its answer.
    pub fn session(&self) -> Option<http::HeaderValue> {
        match &self.source {
            Source::Http(reply) => reply.session(),
            Source::Stdio(_) => None,
        }
    }

    /// The next message of this call.
    pub async fn next(&mut self) -> Step {
        let said = self.source.next(&self.leg);
        let step = match &self.running {
            // Stopped before its server is told, which then may end it in whatever way.
            Some(running) => tokio::select! {
                biased;
                () = running.stopped() => Step::Lost(cancelled(&self.leg.server)),
                step = said => step,
            },
            None => said.await,
        };
        if let Some(attempt) = &mut self.attempt {
            heed(attempt, &self.leg, &step);
            if self.listens {
                attempt.only_listens();
            }
        }
        match step {
            Step::Final(message) => self.restore_answer(message),
            Step::Related(message) => Step::Related(self.restore_related(message)),
            Step::Lost(failure) => Step::Lost(failure),
        }
    }

    /// The answer, skipping what comes before it.
    pub async fn answer(&mut self) -> Result<Message, Failure> {
        loop {
            match self.next().await {
                Step::Related(_) => {}
                Step::Final(message) => return Message::parse(message).map_err(|problem| garbage(&self.leg, &problem)),
                Step::Lost(failure) => return Err(failure),
            }
        }
    }

    /// Tells the server that nobody waits any more. A closed stream tells an HTTP server so in
    /// the modern era; in the legacy era a disconnect is no cancellation.
    pub fn abandon(&mut self) {
        let Source::Stdio(reply) = &self.source else { return };
        if self.leg.era == Era::Modern && !reply.is_finished() {
            reply.link().try_send(cancellation(&self.id_there()));
        }
    }

    fn restore_answer(&self, message: Bytes) -> Step {
        let Some(id_there) = &self.id_there else { return Step::Final(message) };
        match Message::parse(message) {
            // Errors may name no request: some servers refuse before they have read the id.
            Ok(answer) if !answer.is_error() && answer.id() != Some(&id_there[..]) => {
                Step::Lost(garbage(&self.leg, &"an answer to another request"))
            }
            Ok(answer) => {
                let mut edits = vec![(answer.envelope.id, &self.id[..])];
                if answer.envelope.subscription_id.is_some() {
                    edits.push((answer.envelope.subscription_id, &self.id));
                }
                Step::Final(answer.with(&edits).into())
            }
            Err(problem) => Step::Lost(garbage(&self.leg, &problem)),
        }
    }

    fn restore_related(&self, message: Bytes) -> Bytes {
        let Some(id_there) = &self.id_there else { return message };
        let Ok(related) = Message::parse(message.clone()) else { return message };
        if related.shape() != Shape::Notification {
            return message;
        }
        if related.envelope.subscription_id.is_some() {
            if announced(&related.envelope).is_some() {
                self.leg.server.lists_changed();
            }
            return related.with(&[(related.envelope.subscription_id, &self.id)]).into();
        }
        match (&self.token, related.envelope.progress_token) {
            (Some(token), Some(span)) if span.of(&message) == id_there => related.with(&[(Some(span), token)]).into(),
            _ => message,
        }
    }
}

/// What a step says of the server: whatever it says is a sign of life, unless nothing came.
fn heed(attempt: &mut Attempt, leg: &Leg, step: &Step) {
    match step {
        Step::Related(_) | Step::Final(_) => attempt.answered(),
        Step::Lost(failure) if failure.kind == Kind::Cancelled || leg.was_told_to_end() => attempt.says_nothing(),
        Step::Lost(_) => attempt.failed(),
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// `notifications/cancelled` for a request with this id.
pub fn cancellation(id: &[u8]) -> Bytes {
    let mut text = br#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"#.to_vec();
    text.extend_from_slice(id);
    text.extend_from_slice(br#","reason":"the client went away"}}"#);
    text.into()
}

/// The gate's answer to a server's request that no client will answer; `id` is the server's own.
pub fn refusal(id: &[u8]) -> Bytes {
    let code = error::gateway_code(503);
    error::error_body(Some(id), code, "The client cannot be asked now. Go on without its answer.", None).into()
}

/// A message as one line.
pub fn one_line(message: Bytes) -> Bytes {
    match flatten::flattened(&message) {
        Cow::Borrowed(_) => message,
        Cow::Owned(flat) => flat.into(),
    }
}

fn lost(leg: &Leg, reason: &Arc<str>) -> Failure {
    let name = &leg.server.settings.name;
    Failure::new(
        Kind::ServerUnavailable,
        format!(
            "The server {name} gave no answer: {reason}. Whether the call had an effect is unknown; check before you repeat it."
        ),
    )
}

/// What a call ends with that its client has cancelled.
pub fn cancelled(server: &Server) -> Failure {
    let name = &server.settings.name;
    Failure::new(Kind::Cancelled, format!("The call to the server {name} was cancelled by its client."))
}

/// What a call ends with when its answer is no message.
pub fn garbage(leg: &Leg, problem: &dyn std::fmt::Display) -> Failure {
    let name = &leg.server.settings.name;
    Failure::new(Kind::ServerGarbage, format!("The server {name} answered with something that is no MCP message."))
        .because(problem)
}

#[cfg(test)]
mod tests;
