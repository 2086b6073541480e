//! Requests of legs and mirrored sessions to HTTP servers: which headers go, and what a failure means.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use toolgate_protocol::envelope::Shape;
use toolgate_protocol::header_value;
use toolgate_protocol::method::Method as Mcp;
use toolgate_protocol::revision::{self, Era};

use super::connections::{Connections, Seen};
use super::credentials::{Credential, granted};
use super::endpoints::{self, Attempt, To};
use super::http::{Answer, HttpClient, HttpServer, Method, Outgoing, SendError, SendErrorKind};
use super::http_reply::HttpReply;
use super::{Server, http_retry};
use crate::call::{Call, CallId};
use crate::clock;
use crate::config::settings::{self, Daemon};
use crate::core::Core;
use crate::failure::{Failure, Kind};
use crate::identity::Client;
use crate::message::Message;
use crate::observe::traces::Traced;
use crate::provenance::Provenance;
use crate::stages::facet;

/// An HTTP server as it is reached.
#[derive(Debug)]
pub struct Upstream {
    server: Arc<HttpServer>,
    forward_client: bool,
    /// What the server is shown, where that may change while it runs.
    credential: Option<Arc<Credential>>,
}

impl Upstream {
    /// Prepares what does not depend on a call.
    ///
    /// # Errors
    /// A sentence, where certificates or headers cannot be used.
    pub fn new(
        settings: &settings::Server,
        http: &settings::Http,
        daemon: &Daemon,
        connections: &Arc<Connections>,
    ) -> Result<Self, String> {
        let (cores, timeout) = (daemon.core_count(), &settings.timeout);
        let (server, credential) = if settings.access.is_fixed() {
            (HttpServer::new(http, timeout, cores, connections)?, None)
        } else {
            let credential = Credential::of_server(settings, http)?;
            (HttpServer::bare(http, timeout, cores, connections)?, Some(Arc::new(credential)))
        };
        Ok(Self { server, forward_client: http.forward_client, credential })
    }

    /// The same, over the same connections, with another credential.
    #[must_use]
    pub fn showing(&self, credential: &Arc<Credential>) -> Self {
        Self {
            server: Arc::clone(&self.server),
            forward_client: self.forward_client,
            credential: Some(Arc::clone(credential)),
        }
    }

    /// What the server is shown, where that may change while it runs.
    pub fn credential(&self) -> Option<&Arc<Credential>> {
        self.credential.as_ref()
    }

    /// Whether the server is told who calls.
    pub fn forwards_client(&self) -> bool {
        self.forward_client
    }

    /// Other bounds and times for its connections, which go on.
    pub fn follow(&self, bounds: &settings::Pool) {
        self.server.follow(bounds);
    }

    /// Calls that wait for a connection.
    pub fn waiting(&self) -> usize {
        self.server.waiting()
    }

    /// Connections to the server, and how many of them are to each endpoint.
    pub fn connections(&self) -> (Seen, Vec<usize>) {
        self.server.connections()
    }

    /// Whether an idle connection to one of its endpoints turns out closed, which is given up then.
    pub fn has_lost(&self, endpoint: usize) -> bool {
        self.server.has_lost(endpoint)
    }

    /// The way in for a core, with what is shown now.
    pub fn client(&self, core: usize) -> HttpClient {
        let client = self.server.client(core);
        match &self.credential {
            None => client,
            Some(credential) => client.showing(credential.proofs()),
        }
    }
}

/// What a conversation with an HTTP server needs beside the messages.
#[derive(Debug, Default)]
pub struct Conversation {
    /// Which of the server's endpoints, where one knows the session; a session stays with the one that opened it.
    pub endpoint: Option<usize>,
    /// What the server calls the session.
    pub session: Option<HeaderValue>,
    /// The legacy revision that was agreed on.
    pub revision: Option<HeaderValue>,
}

impl Conversation {
    /// Where its next request goes.
    pub fn to(&self) -> To {
        self.endpoint.map_or(To::Any, To::Session)
    }
}

/// Headers of a request, borrowed until it is sent.
pub type Lines<'a> = Vec<(&'a str, &'a [u8])>;

/// A request to a server, borrowed until it is answered.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// Which endpoint it may go to.
    pub to: To,
    /// See [`Outgoing::headers`].
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The message; none opens a stream or ends a session.
    pub message: Option<&'a Message>,
    /// Time to the first byte of the answer, instead of the server's.
    pub first_byte: Option<Duration>,
}

impl<'a> Request<'a> {
    pub(super) fn outgoing<'b>(&'b self, endpoint: usize, body: &'b [&'b [u8]]) -> Outgoing<'b> {
        Outgoing {
            method: self.method,
            endpoint,
            headers: self.headers,
            target: None,
            body,
            first_byte: self.first_byte,
        }
    }

    /// Whether what is asked for is a stream on which somebody listens.
    fn listens(&self) -> bool {
        let subscribes = || self.message.and_then(|message| message.envelope.known_method) == Some(Mcp::Listen);
        self.method == Method::Get || subscribes()
    }

    pub(super) fn body(&self) -> &'a [u8] {
        self.message.map_or(&[], |message| &message.bytes)
    }

    /// The tool that it calls.
    pub(super) fn tool(&self) -> Option<Cow<'a, str>> {
        let message = self.message.filter(|message| message.envelope.known_method == Some(Mcp::ToolsCall))?;
        message.envelope.name_str(&message.bytes)
    }
}

/// Sends what a request needs and gives back the server's answer, whatever its status.
pub async fn send(core: &Rc<Core>, server: &Arc<Server>, request: &Request<'_>) -> Result<Answer, Failure> {
    let tokens = server.http().and_then(Upstream::credential).and_then(|credential| credential.tokens());
    let answer = match tokens {
        None => sent(core, server, request).await?,
        // Boxed, so that calls to other servers do not carry what it takes to ask for a token.
        Some(tokens) => Box::pin(granted::send(core, server, tokens, request)).await?,
    };
    accept(server, answer)
}

/// The same with what the server is shown now, and without a look at whether it took that.
pub(super) async fn sent(core: &Rc<Core>, server: &Arc<Server>, request: &Request<'_>) -> Result<Answer, Failure> {
    let may_follow = server.endpoints.begin_call();
    let (endpoint, attempt) = admit(server, request)?;
    let sent = way_in(core, server, request).send(request.outgoing(endpoint, &[request.body()])).await;
    let first = settle(server, request, (endpoint, attempt), sent);
    let is_missed = first.as_ref().map_or(true, |answer| http_retry::is_missed(answer.status));
    if may_follow && is_missed {
        // Boxed, so that a call that succeeds does not carry what it takes to repeat it.
        return Box::pin(http_retry::follow(core, server, request, Box::new(first))).await;
    }
    first.map_err(|unanswered| unanswered.failure)
}

/// What the gate itself has to mend is no answer to a client.
fn accept(server: &Server, answer: Answer) -> Result<Answer, Failure> {
    let name = &server.settings.name;
    match answer.status {
        401 | 407 => Err(Failure::new(
            Kind::ServerUnavailable,
            format!("The server {name} refused the gate's credential. Its operator has to mend it."),
        )),
        300..=399 => Err(Failure::new(
            Kind::ServerGarbage,
            format!("The server {name} answered with a redirect, which the gate does not follow."),
        )),
        _ => Ok(answer),
    }
}

/// A request that brought no answer.
#[derive(Debug)]
pub(super) struct Unanswered {
    pub(super) failure: Failure,
    /// Where it was tried.
    pub(super) endpoint: usize,
    /// What went wrong there.
    pub(super) kind: SendErrorKind,
    /// Whether any byte of the request may have left.
    pub(super) sent: bool,
    /// When it began, by our clock, in milliseconds.
    pub(super) began: u64,
}

/// Where one try goes, and what is to be told how it goes.
pub(super) type Trying = (usize, Option<Box<Attempt>>);

pub(super) fn admit(server: &Arc<Server>, request: &Request<'_>) -> Result<Trying, Failure> {
    endpoints::admit(server, request.to, request.first_byte.unwrap_or(server.settings.timeout.first_byte))
}

pub(super) fn way_in(core: &Rc<Core>, server: &Server, request: &Request<'_>) -> HttpClient {
    let client = server.http().expect("only HTTP servers are called over HTTP").client(core.index);
    // Whoever listens is bounded by the server's streams.
    if request.listens() { client.aside() } else { client }
}

/// What one try says of the endpoint, and means for its caller.
pub(super) fn settle(
    server: &Arc<Server>,
    request: &Request<'_>,
    (endpoint, mut attempt): Trying,
    sent: Result<Answer, SendError>,
) -> Result<Answer, Box<Unanswered>> {
    let error = match sent {
        Ok(mut answer) => {
            answered(server, endpoint);
            if let Some(attempt) = &mut attempt {
                judge(attempt, request, answer.status);
            }
            answer.attempt = attempt;
            return Ok(answer);
        }
        Err(error) => error,
    };
    // What the request or the pool's bound is to blame for says nothing about the server.
    let blameless = error.kind.is_bound() || matches!(error.kind, SendErrorKind::Request | SendErrorKind::Secret);
    if !blameless {
        missed(server, endpoint, in_a_word(error.kind));
    }
    match &mut attempt {
        Some(attempt) if blameless => attempt.says_nothing(),
        Some(attempt) => attempt.failed(),
        None => {}
    }
    let began = attempt.map_or_else(clock::millis, |attempt| attempt.began());
    let failure = unsent(server, &error);
    Err(Box::new(Unanswered { failure, endpoint, kind: error.kind, sent: error.sent, began }))
}

/// What the head of an answer says of its endpoint: an error of the server's own, or a sign of life.
fn judge(attempt: &mut Attempt, request: &Request<'_>, status: u16) {
    attempt.begins();
    if status < 300 && request.listens() {
        attempt.only_listens();
    }
    match status {
        300..=399 | 500..=599 => attempt.failed(),
        // It may not like the request, or have too many; it works.
        400..=499 => attempt.answered(),
        // A stream is there as soon as its head is.
        _ if request.method == Method::Get => attempt.answered(),
        _ => {}
    }
}

/// An endpoint gave a sign of life.
pub(super) fn answered(server: &Arc<Server>, endpoint: usize) {
    let name = &server.settings.name;
    if server.endpoints.are_several() {
        server.endpoints.get(endpoint).fitness.answered(name);
    }
    if server.fitness.answered(name) {
        // Another program may have come back in its place.
        server.ask_anew();
    }
}

/// A server with several endpoints does not answer when none of them does.
pub(super) fn missed(server: &Server, endpoint: usize, why: &str) {
    let (name, endpoints) = (&server.settings.name, &server.endpoints);
    if endpoints.are_several() {
        endpoints.get(endpoint).fitness.failed(name, why);
        if !endpoints.each().iter().all(|endpoint| endpoint.fitness.is_ill()) {
            return;
        }
    }
    server.fitness.failed(name, why);
}

/// Whether the last that was tried at an endpoint failed.
pub(super) fn is_ill(server: &Server, endpoint: usize) -> bool {
    let endpoints = &server.endpoints;
    if endpoints.are_several() { endpoints.get(endpoint).fitness.is_ill() } else { server.fitness.is_ill() }
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
    Ok(HttpReply::new(server, answer)?.to(era, request))
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
                push_parameters(headers, (from.mirrored.is_none(), from.trace.is_some()), &mut lines);
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
    let request = Request {
        method: Method::Post,
        to: conversation.to(),
        headers: &lines,
        message: Some(message),
        first_byte: Some(wait),
    };
    send(core, server, &request).await
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

/// Whether a header is a mirrored parameter or trace context: these pass as they came. A call that the gate traces has
/// its own trace context.
pub fn is_parameter(name: &str, is_traced: bool) -> bool {
    name.starts_with("mcp-param-") || name == "baggage" || (!is_traced && matches!(name, "traceparent" | "tracestate"))
}

/// Trace context of a client's request, and its mirrored parameters where the client is one that
/// mirrors.
fn push_parameters<'a>(headers: &'a HeaderMap, (mirrors, is_traced): (bool, bool), lines: &mut Lines<'a>) {
    let passes = |name: &str| is_parameter(name, is_traced) && (mirrors || !name.starts_with("mcp-param-"));
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
    trace: Option<&'f Traced>,
}

impl<'f> Told<'f> {
    /// Gathers what is told on a leg.
    fn new(from: &'f Provenance, server: &Server) -> Self {
        let way = (from.address.as_deref(), from.chain.as_deref());
        let trace = from.trace.as_deref();
        Self { trace, ..Self::of(server, from.id, way, from.tls, from.client.as_deref()) }
    }

    /// Gathers what a server is told of a call that passes as it came.
    pub fn of_call(call: &'f Call, server: &Server) -> Self {
        let way = (Some(&**call.address_text()), call.chain.as_deref());
        let trace = call.trace.as_deref();
        Self { trace, ..Self::of(server, call.id, way, call.https, call.client.as_deref()) }
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
        Self { id: id.bytes(), address, chain, tls, client, trace: None }
    }

    /// Adds the header lines.
    pub fn push<'a>(&'a self, lines: &mut Lines<'a>) {
        lines.push(("x-request-id", &self.id));
        if let Some(traced) = self.trace {
            lines.push(("traceparent", traced.header()));
            lines.extend(traced.state().map(|state| ("tracestate", state.as_bytes())));
        }
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

/// What a server that did not answer in time means for its caller.
pub fn late(server: &Server) -> Failure {
    Failure::new(
        Kind::ServerTimeout,
        format!(
            "The server {} did not answer in time. Whether the call had an effect is unknown; check before you repeat it.",
            server.settings.name
        ),
    )
}

/// What a request that brought no answer means for its caller.
fn unsent(server: &Server, error: &SendError) -> Failure {
    let name = &server.settings.name;
    let failure = match error.kind {
        SendErrorKind::FirstByteTimeout | SendErrorKind::TotalTimeout => late(server),
        SendErrorKind::Bound | SendErrorKind::EndpointBound => Failure::new(
            Kind::QueueTimeout,
            format!("All connections to the server {name} are in use. Nothing was done; try again in a moment."),
        )
        .retry_after(Duration::from_secs(1)),
        SendErrorKind::GateBound => Failure::new(
            Kind::QueueTimeout,
            "All connections that this gate may have to servers are in use. Nothing was done; try again in a moment.",
        )
        .retry_after(Duration::from_secs(1)),
        SendErrorKind::Malformed => {
            Failure::new(Kind::ServerGarbage, format!("The server {name} answered with something that is not HTTP."))
        }
        SendErrorKind::Request => Failure::new(Kind::InvalidRequest, "A header of this request cannot be passed on."),
        SendErrorKind::Secret if server.meets_nobody() => return facet::needed(server),
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
        SendErrorKind::Forbidden => Failure::new(
            Kind::ServerUnavailable,
            format!(
                "The server {name} is at an address that this gate does not connect to. Nothing was done; its operator has to mend it."
            ),
        ),
        SendErrorKind::Closed => {
            let effect = if error.sent {
                "Whether the call had an effect is unknown; check before you repeat it."
            } else {
                "Nothing was done; try again."
            };
            let advice = format!("The server {name} closed the connection without an answer. {effect}");
            Failure::new(Kind::ServerUnavailable, advice)
        }
    };
    failure.because(error)
}
