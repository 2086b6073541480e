//! Requests of legs and mirrored sessions to HTTP servers: which headers go, and what a failure means.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use toolgate_protocol::envelope::Shape;
use toolgate_protocol::header_value;
use toolgate_protocol::revision::{self, Era};

use super::Server;
use super::http::{Answer, HttpClient, HttpServer, Method, Outgoing, SendError, SendErrorKind};
use super::http_reply::HttpReply;
use crate::call::{Call, CallId};
use crate::config::settings::{self, Daemon};
use crate::core::Core;
use crate::failure::{Failure, Kind};
use crate::identity::Client;
use crate::message::Message;
use crate::provenance::Provenance;

/// The endpoints of an HTTP server.
#[derive(Debug)]
pub struct Upstream {
    server: Arc<HttpServer>,
    endpoints: usize,
    forward_client: bool,
    next: AtomicUsize,
}

impl Upstream {
    /// Prepares what does not depend on a call.
    ///
    /// # Errors
    /// A sentence, where certificates or headers cannot be used.
    pub fn new(settings: &settings::Server, http: &settings::Http, daemon: &Daemon) -> Result<Self, String> {
        Ok(Self {
            server: HttpServer::new(http, &settings.timeout, daemon.core_count())?,
            endpoints: http.endpoints.len(),
            forward_client: http.forward_client,
            next: AtomicUsize::new(0),
        })
    }

    /// The endpoint for a call that belongs to no session: each in turn.
    pub fn choose(&self) -> usize {
        if self.endpoints == 1 { 0 } else { self.next.fetch_add(1, Ordering::Relaxed) % self.endpoints }
    }

    /// Whether the server is told who calls.
    pub fn forwards_client(&self) -> bool {
        self.forward_client
    }

    /// The way in for a core.
    pub fn client(&self, core: usize) -> HttpClient {
        self.server.client(core)
    }
}

/// What a conversation with an HTTP server needs beside the messages.
#[derive(Debug, Default)]
pub struct Conversation {
    /// Which of the server's endpoints; a session stays with the one that opened it.
    pub endpoint: usize,
    /// What the server calls the session.
    pub session: Option<HeaderValue>,
    /// The legacy revision that was agreed on.
    pub revision: Option<HeaderValue>,
}

impl Conversation {
    /// A conversation that the server knows nothing of.
    pub fn unintroduced(server: &Server) -> Self {
        Self { endpoint: server.http().map_or(0, Upstream::choose), session: None, revision: None }
    }
}

/// Headers of a request, borrowed until it is sent.
pub type Lines<'a> = Vec<(&'a str, &'a [u8])>;

/// Sends what a request needs and gives back the server's answer, whatever its status.
pub async fn send(
    core: &Rc<Core>,
    server: &Arc<Server>,
    method: Method,
    endpoint: usize,
    headers: &[(&str, &[u8])],
    body: &[u8],
    first_byte: Option<Duration>,
) -> Result<Answer, Failure> {
    let upstream = server.http().expect("only HTTP servers are called over HTTP");
    let outgoing = Outgoing { method, endpoint, headers, target: None, body: &[body], first_byte };
    let sent = upstream.client(core.index).send(outgoing).await;
    let answer = sent.map_err(|error| unsent(server, &error))?;
    if server.fitness.answered(&server.settings.name) {
        // Another program may have come back in its place.
        server.ask_anew();
    }
    match answer.status {
        401 | 407 => Err(Failure::new(
            Kind::ServerUnavailable,
            format!("The server {} refused the gate's credential. Its operator has to mend it.", server.settings.name),
        )),
        300..=399 => Err(Failure::new(
            Kind::ServerGarbage,
            format!("The server {} answered with a redirect, which the gate does not follow.", server.settings.name),
        )),
        _ => Ok(answer),
    }
}

/// Sends a request on a leg, in its era.
pub async fn request(
    core: &Rc<Core>,
    server: &Arc<Server>,
    conversation: &Conversation,
    (era, request): (Era, &Message),
    from: &Provenance,
) -> Result<HttpReply, Failure> {
    let answer = post(core, server, conversation, (era, request), from).await?;
    HttpReply::new(server, answer)
}

/// Sends a notification or a response on a leg, in its era.
pub async fn notify(
    core: &Rc<Core>,
    server: &Arc<Server>,
    conversation: &Conversation,
    (era, message): (Era, Bytes),
    from: &Provenance,
) -> Result<(), Failure> {
    let message = Message::parse(message).map_err(|problem| Failure::new(Kind::Internal, problem.to_string()))?;
    let answer = post(core, server, conversation, (era, &message), from).await?;
    if (200..300).contains(&answer.status) {
        return Ok(());
    }
    Err(Failure::new(Kind::ServerGarbage, format!("The server {} did not take a notification.", server.settings.name))
        .because(format_args!("status {}", answer.status)))
}

async fn post(
    core: &Rc<Core>,
    server: &Arc<Server>,
    conversation: &Conversation,
    (era, message): (Era, &Message),
    from: &Provenance,
) -> Result<Answer, Failure> {
    let told = Told::new(from, server);
    let method = message.method();
    let name = mirrored_name(message);
    let mut lines: Lines<'_> = Vec::with_capacity(16);
    lines.push(("content-type", b"application/json"));
    lines.push(("accept", b"application/json, text/event-stream"));
    match era {
        Era::Modern => {
            lines.push(("mcp-protocol-version", revision::MODERN.as_str().as_bytes()));
            if message.shape() == Shape::Request {
                lines.push(("mcp-method", method.as_bytes()));
                if let Some(name) = &name {
                    lines.push(("mcp-name", name.as_bytes()));
                }
            }
            if let Some(headers) = &from.headers {
                push_parameters(headers, from.mirrored.is_none(), &mut lines);
            }
            let mirrored = from.mirrored.iter().flatten();
            lines.extend(mirrored.map(|(name, value)| (name.as_str(), value.as_bytes())));
        }
        Era::Legacy => {
            if let Some(revision) = &conversation.revision {
                lines.push(("mcp-protocol-version", revision.as_bytes()));
            }
            if let Some(session) = &conversation.session {
                lines.push(("mcp-session-id", session.as_bytes()));
            }
        }
    }
    told.push(&mut lines);
    let tool = message.envelope.name_str(&message.bytes);
    let wait = server.first_byte(tool.as_deref());
    send(core, server, Method::Post, conversation.endpoint, &lines, &message.bytes, Some(wait)).await
}

/// `Mcp-Name` as the message that is sent demands it, which an edited name may have changed.
fn mirrored_name(message: &Message) -> Option<String> {
    let method = toolgate_protocol::method::Method::parse(&message.method())?;
    if !method.needs_name_header() {
        return None;
    }
    let target = message.envelope.target_str(&message.bytes)?;
    Some(header_value::encode(&target).into_owned())
}

/// Whether a header is a mirrored parameter or trace context: these pass as they came.
pub fn is_parameter(name: &str) -> bool {
    name.starts_with("mcp-param-") || matches!(name, "traceparent" | "tracestate" | "baggage")
}

/// Trace context of a client's request, and its mirrored parameters where the client is one that
/// mirrors.
fn push_parameters<'a>(headers: &'a HeaderMap, mirrors: bool, lines: &mut Lines<'a>) {
    let passes = |name: &str| is_parameter(name) && (mirrors || !name.starts_with("mcp-param-"));
    let passing = headers.iter().filter(|(name, _)| passes(name.as_str()));
    lines.extend(passing.map(|(name, value)| (name.as_str(), value.as_bytes())));
}

/// What a server is told of where a call comes from. Inbound copies of these headers never pass.
pub struct Told<'f> {
    id: [u8; 20],
    address: Option<&'f str>,
    chain: Option<&'f str>,
    tls: bool,
    client: Option<(Cow<'f, str>, Option<&'f str>)>,
}

impl<'f> Told<'f> {
    /// Gathers what is told on a leg.
    fn new(from: &'f Provenance, server: &Server) -> Self {
        let way = (from.address.as_deref(), from.chain.as_deref());
        Self::of(server, from.id, way, from.tls, from.client.as_deref())
    }

    /// Gathers what a server is told of a call that passes as it came.
    pub fn of_call(call: &'f Call, server: &Server) -> Self {
        let way = (Some(&**call.address_text()), call.chain.as_deref());
        Self::of(server, call.id, way, call.https, call.client.as_deref())
    }

    fn of(
        server: &Server,
        id: CallId,
        (address, chain): (Option<&'f str>, Option<&'f str>),
        tls: bool,
        client: Option<&'f Client>,
    ) -> Self {
        let forward = server.http().is_some_and(Upstream::forwards_client);
        let tier = |client: &'f Client| client.tier.as_ref().map(|tier| tier.name.as_str());
        let client = client.filter(|_| forward).map(|client| (header_value::encode(&client.owner), tier(client)));
        Self { id: id.bytes(), address, chain, tls, client }
    }

    /// Adds the header lines.
    pub fn push<'a>(&'a self, lines: &mut Lines<'a>) {
        lines.push(("x-request-id", &self.id));
        if let Some(address) = self.address {
            lines.push(("x-real-ip", address.as_bytes()));
            lines.push(("x-forwarded-for", self.chain.unwrap_or(address).as_bytes()));
            lines.push(("x-forwarded-proto", if self.tls { b"https" } else { b"http" }));
        }
        if let Some((name, tier)) = &self.client {
            lines.push(("x-toolgate-client", name.as_bytes()));
            if let Some(tier) = tier {
                lines.push(("x-toolgate-tier", tier.as_bytes()));
            }
        }
    }
}

/// What everybody may know, without addresses.
fn in_a_word(kind: SendErrorKind) -> &'static str {
    match kind {
        SendErrorKind::FirstByteTimeout | SendErrorKind::TotalTimeout => "does not answer in time",
        SendErrorKind::Closed => "closes connections without an answer",
        SendErrorKind::Malformed => "answers with something that is not HTTP",
        _ => "cannot be reached",
    }
}

/// What a request that brought no answer means for its caller.
fn unsent(server: &Server, error: &SendError) -> Failure {
    let name = &server.settings.name;
    let failure = match error.kind {
        SendErrorKind::FirstByteTimeout | SendErrorKind::TotalTimeout => Failure::new(
            Kind::ServerTimeout,
            format!(
                "The server {name} did not answer in time. Whether the call had an effect is unknown; check before you repeat it."
            ),
        ),
        SendErrorKind::Bound => Failure::new(
            Kind::QueueTimeout,
            format!("All connections to the server {name} are in use. Try again in a moment."),
        )
        .retry_after(Duration::from_secs(1)),
        SendErrorKind::Malformed => {
            Failure::new(Kind::ServerGarbage, format!("The server {name} answered with something that is not HTTP."))
        }
        SendErrorKind::Request => Failure::new(Kind::InvalidRequest, "A header of this request cannot be passed on."),
        SendErrorKind::Secret => Failure::new(
            Kind::ServerUnavailable,
            format!(
                "The server {name} cannot be called: the gate lacks its credential. Nothing was done; its operator has to mend it."
            ),
        ),
        SendErrorKind::Resolve | SendErrorKind::Connect | SendErrorKind::ConnectTimeout | SendErrorKind::Tls => {
            Failure::new(
                Kind::ServerUnavailable,
                format!("The server {name} cannot be reached. Nothing was done; try again later."),
            )
            .retry_after(Duration::from_secs(5))
        }
        SendErrorKind::Closed => Failure::new(
            Kind::ServerUnavailable,
            format!(
                "The server {name} closed the connection without an answer. Whether the call had an effect is unknown; check before you repeat it."
            ),
        ),
    };
    // What the request, the pool's bound or the configuration is to blame for says nothing about the server.
    if !matches!(error.kind, SendErrorKind::Request | SendErrorKind::Bound | SendErrorKind::Secret) {
        server.fitness.failed(name, in_a_word(error.kind));
    }
    failure.because(error)
}
