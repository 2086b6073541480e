//! One request from the client's line to its answer.
//!
//! Whatever happens, exactly one answer with the request's id goes to the client: the server's, or a
//! refusal. A broken SSE answer of the legacy era is resumed, never sent again.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt, Limited};
use tokio::time::timeout;
use toolgate_protocol::envelope::{self, Envelope, Shape};
use toolgate_protocol::json;
use toolgate_protocol::method::Method;
use toolgate_protocol::revision::Era;

use super::head::{SESSION, Session};
use super::listen::{Events, Position};
use super::refusal::Refusal;
use super::relay::Relay;
use super::stdio::LINE_LIMIT;
use crate::client::connection::Exchange;

/// A resumed stream that brings nothing is asked for again this often.
const RESUMPTIONS: u32 = 5;

/// For the end of a stream behind its answer.
const STREAM_END: Duration = Duration::from_millis(200);

/// One request.
pub(super) struct Call {
    relay: Rc<Relay>,
    message: Bytes,
    envelope: Envelope,
    era: Era,
}

impl Call {
    /// A request that was scanned.
    pub(super) fn new(relay: Rc<Relay>, message: Bytes, envelope: Envelope, era: Era) -> Self {
        Self { relay, message, envelope, era }
    }

    /// Sends it and relays what comes back.
    pub(super) async fn run(&self) {
        if let Err(refusal) = self.exchange().await {
            self.relay.log(&refusal);
            self.relay.say(refusal.answer(self.id(), self.relay.url())).await;
        }
    }

    fn id(&self) -> &[u8] {
        self.envelope.id_raw(&self.message).unwrap_or(b"null")
    }

    fn method(&self) -> Option<Method> {
        Method::parse(&self.envelope.method_str(&self.message)?)
    }

    async fn exchange(&self) -> Result<(), Refusal> {
        let session = self.relay.session();
        let message = self.message.clone();
        let request = self.relay.request(self.era, &session, message, &self.envelope);
        let request = request.map_err(|error| Refusal::Unreachable(error.to_string()))?;
        let exchange = self.relay.connections().send(request).await?;
        let (head, kind) = (exchange.response.status(), kind(exchange.response.headers()));
        let id = exchange.response.headers().get(SESSION).cloned();
        match (head, kind) {
            (StatusCode::OK, Kind::Json) => self.json(exchange, id).await,
            (StatusCode::OK, Kind::Events) => self.events(exchange, id).await,
            (status, _) => {
                let body = body(exchange, &self.relay).await.unwrap_or_default();
                let in_session = self.era == Era::Legacy && session.id.is_some();
                Err(Refusal::of_answer(status, in_session, &body))
            }
        }
    }

    async fn json(&self, exchange: Exchange, session: Option<HeaderValue>) -> Result<(), Refusal> {
        let body = body(exchange, &self.relay).await.ok_or(Refusal::Cut)?;
        let Some(envelope) = self.answer(&body) else {
            // An error without id, as where the request was refused before it was read.
            return Err(Refusal::of_answer(StatusCode::BAD_GATEWAY, false, &body));
        };
        self.note(&body, &envelope, session);
        self.relay.say(body).await;
        Ok(())
    }

    /// Relays an SSE answer up to this request's answer, through as many streams as it takes.
    async fn events(&self, exchange: Exchange, session: Option<HeaderValue>) -> Result<(), Refusal> {
        let mut position = Position::default();
        let mut empty = 0;
        let mut next = Some(exchange);
        loop {
            let before = position.events;
            if let Some(exchange) = next.take()
                && self.stream(exchange, &mut position, session.as_ref()).await
            {
                return Ok(());
            }
            empty = if position.events == before { empty + 1 } else { 0 };
            if self.era == Era::Modern || position.last_event.is_none() || empty > RESUMPTIONS {
                return Err(Refusal::Cut);
            }
            tokio::time::sleep(position.retry()).await;
            next = self.resume(&position).await?;
        }
    }

    /// Asks for the rest of a broken stream; `None` where the gate cannot be reached right now.
    async fn resume(&self, position: &Position) -> Result<Option<Exchange>, Refusal> {
        let session = self.relay.session();
        let request = self.relay.head().stream(&session, position.last_event.as_deref());
        let request = request.map_err(|error| Refusal::Unreachable(error.to_string()))?;
        let Ok(exchange) = self.relay.connections().send(request).await else {
            return Ok(None);
        };
        match exchange.response.status() {
            StatusCode::OK => Ok(Some(exchange)),
            StatusCode::METHOD_NOT_ALLOWED => Err(Refusal::Cut),
            status => Err(Refusal::of_answer(status, session.id.is_some(), b"")),
        }
    }

    /// Relays one stream; true when it brought the answer.
    async fn stream(&self, exchange: Exchange, position: &mut Position, session: Option<&HeaderValue>) -> bool {
        let mut events = Events::new(exchange);
        while let Some(message) = events.next(&self.relay, position).await {
            let answer = self.answer(&message);
            if let Some(envelope) = &answer {
                self.note(&message, envelope, session.cloned());
            }
            self.relay.say(message.to_vec()).await;
            if answer.is_some() {
                // The stream ends right behind the answer; read to its end, its connection can be kept.
                let _ = timeout(STREAM_END, events.next(&self.relay, position)).await;
                return true;
            }
        }
        false
    }

    /// The envelope of a message that answers this request.
    fn answer(&self, message: &[u8]) -> Option<Envelope> {
        let envelope = envelope::scan(message).ok()?;
        let id = envelope.id_raw(message)?;
        (envelope.shape == Shape::Response && same_id(id, self.id())).then_some(envelope)
    }

    /// Keeps what later requests need of an answer.
    fn note(&self, answer: &[u8], envelope: &Envelope, session: Option<HeaderValue>) {
        match self.method() {
            Some(Method::Initialize) => self.begin_session(answer, envelope, session),
            Some(Method::ToolsList) if self.era == Era::Modern => {
                self.relay.learn(answer, envelope);
            }
            _ => {}
        }
    }

    /// An error as answer to `initialize` leaves no session.
    fn begin_session(&self, answer: &[u8], envelope: &Envelope, id: Option<HeaderValue>) {
        let Some(result) = envelope.result else {
            return;
        };
        let version = json::get(answer, result, "protocolVersion");
        let version = version.map(|version| json::decode_str(version.of(answer)));
        let version = version.and_then(|version| HeaderValue::from_str(&version).ok());
        self.relay.set_session(Session { id, version });
    }
}

/// Two raw ids are one when they are the same number text, or strings of the same characters.
fn same_id(left: &[u8], right: &[u8]) -> bool {
    let both_strings = left.starts_with(b"\"") && right.starts_with(b"\"");
    left == right || both_strings && json::decode_str(left) == json::decode_str(right)
}

enum Kind {
    Json,
    Events,
    Other,
}

/// What the answer says that it is; parameters such as `charset` say nothing new.
fn kind(headers: &HeaderMap) -> Kind {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match value.split(';').next().unwrap_or_default().trim() {
        essence if essence.eq_ignore_ascii_case("application/json") => Kind::Json,
        essence if essence.eq_ignore_ascii_case("text/event-stream") => Kind::Events,
        _ => Kind::Other,
    }
}

/// A whole body, and its connection given back; `None` where it broke off or is too long.
async fn body(exchange: Exchange, relay: &Relay) -> Option<Vec<u8>> {
    let (_, body, sender) = exchange.into_parts();
    let body = Limited::new(body, LINE_LIMIT).collect().await.ok()?;
    relay.connections().keep(sender);
    Some(body.to_bytes().to_vec())
}
