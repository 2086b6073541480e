//! Legacy sessions whose end is the gate: in front of stdio servers, of merged views, and of
//! servers that speak the modern era only.
//!
//! The gate greets, lists and answers pings by itself; what only a server can do goes over the
//! session's leg to that server, which is opened by the first call that needs it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Method as Http, Response, StatusCode};
use tokio::sync::mpsc;
use tokio::time::timeout;
use toolgate_protocol::envelope::Shape;
use toolgate_protocol::error::result_body;
use toolgate_protocol::method::Method;
use toolgate_protocol::revision::{Era, LATEST_LEGACY, Revision};
use tracing::debug;

use super::course::Course;
use super::crossing::played::Played;
use super::crossing::{self, watched};
use super::{announce, answer, driven, greet, lists, mirror, names, overhear, resumed, stream};
use crate::answers::{self, Next};
use crate::body::Body;
use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::message::Message;
use crate::observe::ledger::Stage;
use crate::servers::exchange::{Exchange, cancelled};
use crate::servers::leg::Leg;
use crate::servers::{Server, eras};
use crate::sessions::{Answerer, Hosted, Kind as Served, Place, UNASKED};
use crate::stages::queue;
use crate::tasks::{self, Whose};

/// Serves a call of a hosted session, or the one that opens it.
pub async fn serve(call: &mut Call) -> Result<Response<Body>, Failure> {
    if call.method == Http::POST && call.message().shape() == Shape::Request && call.message().method() == "initialize"
    {
        return open(call).await;
    }
    greet::known_version(call)?;
    let Some((session, _)) = &call.session else {
        return Err(Failure::new(
            Kind::SessionRequired,
            "Open a session with `initialize` first, and send its `Mcp-Session-Id` from then on.",
        ));
    };
    let session = Arc::clone(session);
    let Served::Hosted(hosted) = &session.kind else {
        return Err(Failure::new(
            Kind::SessionUnknown,
            "This session was opened under another configuration. Open a new one with `initialize`.",
        ));
    };
    if call.method == Http::GET {
        return listen(call, hosted);
    }
    if call.method == Http::DELETE {
        call.core.gate.sessions.end(session.id);
        return Ok(empty(StatusCode::OK));
    }
    match call.message().shape() {
        Shape::Request => request(call, hosted).await,
        Shape::Notification => notification(call, hosted).await,
        Shape::Response => response(call, hosted).await,
    }
}

/// `initialize`: the answer is the server's own, or for a merged view what its servers have in common.
async fn open(call: &mut Call) -> Result<Response<Body>, Failure> {
    let asked = call.message().envelope.initialize_version_str(&call.message().bytes);
    let revision = asked.and_then(|version| Revision::parse(&version)).filter(|revision| revision.era() == Era::Legacy);
    let revision = revision.unwrap_or(LATEST_LEGACY);
    let greeting = greet::initialize(call, revision).await?;
    let hosted = Hosted::new(greeting.revision, call.message().clone(), call.view().single().is_none());
    let session = mirror::open(call, Served::Hosted(Box::new(hosted))).await?;
    let mut response = answer::json_answer(Era::Legacy, greeting.answer);
    let id = HeaderValue::from_str(&session.id.to_string()).expect("hex digits are a header value");
    response.headers_mut().insert("mcp-session-id", id);
    Ok(response)
}

/// The session's stream, with what servers say outside of calls; or the rest of a stream that broke.
fn listen(call: &mut Call, hosted: &Hosted) -> Result<Response<Body>, Failure> {
    let (reading, primed) = match call.headers.get("last-event-id").cloned() {
        Some(last) => match resumed::unasked(hosted, &last) {
            Some(reading) => (reading, false),
            None => return resumed::call(call, hosted, &last),
        },
        None => (hosted.outbox.open(), driven::primes(hosted.revision)),
    };
    if let Some((session, _)) = &call.session {
        announce::follow_all(call, session, hosted);
    }
    Ok(stream::resumable(call, reading, primed))
}

async fn request(call: &mut Call, hosted: &Hosted) -> Result<Response<Body>, Failure> {
    let message = call.message().clone();
    let method = Method::parse(&message.method());
    match method {
        Some(Method::Ping) => Ok(local(&message)),
        Some(Method::SetLevel) => set_level(call, hosted, &message).await,
        Some(method) if lists::is_list(method) => list(call, hosted, method).await,
        Some(Method::ResourcesSubscribe | Method::ResourcesUnsubscribe) => watch(call, hosted, message).await,
        _ => run(call, message).await,
    }
}

/// A subscription to a resource: a legacy server's own affair, a stream of ours to a modern one.
async fn watch(call: &mut Call, hosted: &Hosted, message: Message) -> Result<Response<Body>, Failure> {
    let (server, own) = destination(call, message.clone())?;
    let leg = leg(call, hosted, &server).await?;
    if leg.era == Era::Legacy {
        return run(call, message).await;
    }
    watched::subscribe(call, hosted, &leg, &own).await?;
    hosted.save();
    hosted.kept().await;
    Ok(local(&message))
}

/// A request that only a server can answer.
async fn run(call: &mut Call, message: Message) -> Result<Response<Body>, Failure> {
    let (server, message) = destination(call, message)?;
    match answers::before(call, &server, &message).await? {
        Next::Answer(answer) => return Ok(answer),
        Next::Ask(reception) => call.reception = reception,
    }
    driven::serve(call, server, message).await
}

/// Sends a request to its server, over the session's leg.
pub async fn begin(
    call: &mut Call,
    hosted: &Hosted,
    server: &Arc<Server>,
    message: Message,
) -> Result<Course, Failure> {
    let opening = Cell::new(None);
    let leg = leg_noted(call, hosted, server, &opening).await?;
    if let Some(begun) = opening.get() {
        call.times.connect = Instant::elapsed(&begun);
        call.core.desk.stage(call, Stage::Server);
    }
    let session = call.session.as_ref().map(|(session, _)| Arc::clone(session));
    if leg.era == Era::Modern {
        crossing::refuse_tasks(message.envelope.known_method, Era::Modern)?;
    }
    let (tasks, named) = tasks::enter(call, server, &message)?.unzip();
    let message = named.flatten().unwrap_or(message);
    if let (Era::Modern, Some(session)) = (leg.era, &session) {
        let played = Played::begin(call, Arc::clone(session), leg, message).await?;
        return Ok(Course::Played(Box::new(played)));
    }
    let mut exchange = send(call, hosted, leg, &message).await?;
    if exchange.lost_session() {
        // A server that was restarted: a session of its own is opened anew, ours goes on.
        hosted.lose_leg(&server.settings.name).await;
        let leg = self::leg(call, hosted, server).await?;
        exchange = send(call, hosted, leg, &message).await?;
    }
    call.times.connect += exchange.connect();
    Ok(Course::about_tasks(&call.core, exchange, session, tasks))
}

async fn send(call: &Call, hosted: &Hosted, leg: Leg, message: &Message) -> Result<Exchange, Failure> {
    let named = leg.name();
    // Known before it is sent: over HTTP the first byte of the answer may be the last thing to come.
    let token = message.envelope.progress_token.map(|span| message.bytes.slice_ref(span.of(&message.bytes)));
    let place = Place { leg: leg.clone(), id: named.bytes(), token, stop: Arc::default() };
    let running = hosted.runs(message.id_bytes(), place);
    let from = call.provenance();
    // Over HTTP this waits for the head of the answer.
    let mut exchange = tokio::select! {
        biased;
        () = running.stopped() => return Err(cancelled(&leg.server)),
        sent = leg.call_named(&call.core, message, named, &from) => sent?,
    };
    exchange.keep(running);
    Ok(exchange)
}

/// The server that a request goes to, and the request as that server knows its name.
pub fn destination(call: &Call, message: Message) -> Result<(Arc<Server>, Message), Failure> {
    if let Some(server) = call.view().single() {
        return Ok((Arc::clone(server), message));
    }
    match &call.routed {
        Some(routed) => Ok((Arc::clone(&routed.server), routed.message.clone())),
        None => Err(Failure::new(
            Kind::MethodUnknown,
            format!(
                "The method {} cannot be told to belong to one of the servers behind this path. Use /mcp/NAME.",
                names::brief(&message.method())
            ),
        )),
    }
}

async fn leg(call: &Call, hosted: &Hosted, server: &Arc<Server>) -> Result<Leg, Failure> {
    leg_noted(call, hosted, server, &Cell::default()).await
}

/// The same; `opening` is when it began to be opened, where it had to be.
async fn leg_noted(
    call: &Call,
    hosted: &Hosted,
    server: &Arc<Server>,
    opening: &Cell<Option<Instant>>,
) -> Result<Leg, Failure> {
    hosted
        .leg(server, async || {
            opening.set(Some(Instant::now()));
            call.core.desk.stage(call, Stage::Connect);
            if !eras::speaks(&call.core, server, Era::Legacy).await {
                return server.modern_leg(&call.client().id, &hosted.declared.capabilities).await;
            }
            let (unasked, said) = mpsc::channel(UNASKED);
            let leg = server.introduce(&call.core, &call.client().id, hosted, unasked).await?;
            if let (Some((session, _)), Some(news), true) = (&call.session, leg.news(), leg.is_shared()) {
                announce::follow_instance(&call.core, news.subscribe(), session, hosted);
            }
            // Before the first call on it: a later process goes on with what that one began.
            hosted.note_leg(&leg).await;
            let session = call.session.as_ref().map(|(session, _)| Arc::downgrade(session)).unwrap_or_default();
            if leg.conversation().is_some() {
                tokio::task::spawn_local(overhear::follow(
                    Rc::clone(&call.core),
                    leg.clone(),
                    session,
                    queue::flow(call),
                ));
            } else {
                tokio::task::spawn_local(overhear::pass_on(Rc::clone(&call.core), said, leg.clone(), session));
            }
            Ok(leg)
        })
        .await
}

/// Lists come from the session's own instance where one runs, else from the shared one.
async fn list(call: &mut Call, hosted: &Hosted, method: Method) -> Result<Response<Body>, Failure> {
    let Some(server) = call.view().single().cloned() else {
        let merged = lists::merged(call, method, hosted.revision).await?;
        return Ok(answer::json_answer(Era::Legacy, merged));
    };
    match answers::before(call, &server, call.message()).await? {
        Next::Answer(answer) => return Ok(answer),
        Next::Ask(reception) => call.reception = reception,
    }
    // The leg that lists come from may be one that lives.
    queue::admit(call, &server, || None).await?;
    let leg = match hosted.living_leg(&server).await {
        Some(leg) => leg,
        None => lists::shared_leg(call, &server, hosted.revision).await?,
    };
    lists::single(call, &server, leg, method).await
}

/// The level holds for every server of the session, those that join later included.
async fn set_level(call: &Call, hosted: &Hosted, message: &Message) -> Result<Response<Body>, Failure> {
    hosted.set_log_level(message.bytes.clone());
    hosted.kept().await;
    for leg in hosted.living_legs().await.into_iter().filter(|leg| leg.era == Era::Legacy) {
        let server = Arc::clone(&leg.server);
        // A server that does not take it keeps its own level; the others must not be kept from theirs.
        let told = async { leg.call(&call.core, message, &call.provenance()).await?.answer().await };
        match timeout(server.first_byte(None), told).await {
            Ok(Ok(_)) => {}
            Ok(Err(failure)) => debug!(server = server.settings.name, %failure, "a logging level was not taken"),
            Err(_) => debug!(server = server.settings.name, "a logging level was not taken in time"),
        }
    }
    Ok(local(message))
}

/// An empty result of the gate's own.
fn local(message: &Message) -> Response<Body> {
    let body = result_body(message.id().unwrap_or(b"null"), b"{}");
    answer::json_answer(Era::Legacy, body.into())
}

async fn notification(call: &Call, hosted: &Hosted) -> Result<Response<Body>, Failure> {
    let message = call.message();
    match &*message.method() {
        // Each server is told by the gate when its leg is opened.
        "notifications/initialized" => {}
        "notifications/cancelled" => cancel(call, hosted, message).await,
        _ => {
            // The modern era has none from clients but the cancellation.
            for leg in hosted.living_legs().await.into_iter().filter(|leg| leg.era == Era::Legacy) {
                let text = Whose::of(call, &leg.server).said(message.bytes.clone());
                if let Err(failure) = leg.send(&call.core, text, &call.provenance()).await {
                    debug!(server = leg.server.settings.name, %failure, "a notification was not taken");
                }
            }
        }
    }
    Ok(empty(StatusCode::ACCEPTED))
}

/// Goes to the server that works on the request, under the id that it has there. A request that
/// is not running any more is no error (2025-11-25, "Cancellation").
async fn cancel(call: &Call, hosted: &Hosted, message: &Message) {
    let Some(running) = message.raw(message.envelope.request_id).and_then(|id| hosted.running(id)) else { return };
    // No answer is to be expected (2025-11-25, "Cancellation"). Kept for a call that is between two waits.
    running.stop.notify_one();
    // A modern call is cancelled by closing it.
    if running.leg.era == Era::Legacy {
        let renamed: Bytes = message.with(&[(message.envelope.request_id, &running.id)]).into();
        running.leg.cancel(&call.core, renamed, &call.provenance()).await;
    }
}

/// The client's answer to a server's request goes back to the server that asked.
async fn response(call: &Call, hosted: &Hosted) -> Result<Response<Body>, Failure> {
    let message = call.message();
    match message.id().and_then(|id| hosted.answered(id)) {
        Some(Answerer::Server(asked)) => {
            let renamed: Bytes = message.with(&[(message.envelope.id, &asked.id)]).into();
            let renamed = Whose::of(call, &asked.leg.server).said(renamed);
            asked.leg.send(&call.core, renamed, &call.provenance()).await?;
        }
        // It waits for as many answers as it has questions, so there is room.
        Some(Answerer::Call(running)) => drop(running.try_send(message.clone())),
        None => {
            return Err(Failure::new(
                Kind::InvalidRequest,
                "No server waits for an answer with this id; it was answered already, or its server has ended.",
            ));
        }
    }
    Ok(empty(StatusCode::ACCEPTED))
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}
