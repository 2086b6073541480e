//! One HTTP server behind one path: its conversation passes message for message, byte for byte.
//!
//! Only the session id differs on the two sides: ours is bound to the client. Answers are written anew
//! only where a list has to be filtered, or an answer is kept or bounded.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use toolgate_protocol::coding::{Accepted, Coding, Encoded};
use toolgate_protocol::envelope::Shape;
use toolgate_protocol::header_value as header;
use toolgate_protocol::method::Method as Mcp;
use toolgate_protocol::revision::Era;
use tracing::info;

use super::awaited::{self, Awaited};
use super::course::Course;
use super::listed::Reader;
use super::noticed::noticed;
use super::{answer, farewell, lists};
use crate::answers::{self, Next, Reception};
use crate::body::{Body, BodyError};
use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::servers::Server;
use crate::servers::endpoints::{Attempt, To};
use crate::servers::exchange::Exchange;
use crate::servers::http::{self as upstream, Answer, AnswerBody};
use crate::servers::http_call::{self, Conversation, Lines, Told};
use crate::servers::http_reply::{HttpReply, undecodable};
use crate::servers::leg::Leg;
use crate::servers::readable::{self, Readable};
use crate::sessions::{self, About, Bounds, Full, Mirrored};
use crate::stages::{notice, queue, secure};
use crate::tasks::{self, Whose};

/// Answer headers that concern the client.
static PASSED_BACK: [HeaderName; 5] =
    [CONTENT_TYPE, CACHE_CONTROL, RETRY_AFTER, ALLOW, HeaderName::from_static("x-accel-buffering")];

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// Relays a call.
pub async fn serve(call: &mut Call, server: &Arc<Server>) -> Result<Response<Body>, Failure> {
    let tasks = name_tasks(call, server)?;
    if let Some(message) = call.message.as_ref().filter(|message| message.shape() == Shape::Request) {
        match answers::before(call, server, message).await? {
            Next::Answer(answer) => return Ok(of_session(call, answer)),
            Next::Ask(reception) => call.reception = reception,
        }
    }
    // A session's stream and its end must work when the server is busy.
    if notice::listens(call) {
        call.mark.listens_to(server.generation);
        queue::admit_stream(call, server).await?;
    } else if call.method == Method::POST {
        let to = to(call);
        queue::admit(call, server, || Some(to)).await?;
    }
    let answer = pass(call, server).await?;
    call.times.connect = answer.timing.connect;
    call.times.first_byte = Some(answer.arrived.into_std());
    // What stands before a server that is not there says so at once.
    if answer.status < 500 {
        queue::answered(call);
    }
    if matches!(answer.status, 400 | 404 | 405) && introduces(call) {
        // It does not take the greeting of an era that it spoke.
        server.ask_anew();
    }
    if let (Some(list), 200) = (listed(call), answer.status) {
        let reader = Reader::new(call.reception.take(), lists::Sieve::of(call, server, Era::Legacy, list));
        return Box::pin(pass_read(call, server, answer, reader)).await;
    }
    match answer.status {
        200 if is_read(call, &answer) => {
            return Box::pin(receive(call, server, answer, tasks.map(|tasks| *tasks))).await;
        }
        // What stands before the server says that it is not there.
        502..=504 if call.reception.is_some() => {
            let failure = Failure::new(Kind::ServerUnavailable, "The server is not there.");
            if let Ok(stale) = answers::rescue(call, server, failure) {
                return Ok(of_session(call, stale));
            }
        }
        _ => {}
    }
    if answer.status >= 400
        && let Some(reception) = call.reception.take()
    {
        reception.refused();
    }
    match tasks {
        Some(tasks) if answer.status == 200 => {
            Box::pin(pass_read(call, server, answer, Reader::of_tasks(*tasks))).await
        }
        _ => finish(call, server, answer, None).await,
    }
}

/// Has the call name tasks as its server does, in the header as well; and says whose tasks its answer may speak of. Boxed,
/// so that a call that has nothing to do with tasks does not carry the size.
fn name_tasks(call: &mut Call, server: &Server) -> Result<Option<Box<Whose>>, Failure> {
    let Some(message) = &call.message else {
        // What the server says on a session's stream may be about any of them.
        return Ok((call.method == Method::GET).then(|| Box::new(Whose::of(call, server))));
    };
    if message.shape() != Shape::Request {
        let whose = || Whose::of(call, server);
        let named = if tasks::mentions(&message.bytes) { whose().inward(message)? } else { None };
        call.message = named.or_else(|| call.message.take());
        return Ok(None);
    }
    let Some((whose, named)) = tasks::enter(call, server, message)? else { return Ok(None) };
    if let Some(named) = named {
        let name = named.envelope.task_id_str(&named.bytes).and_then(|id| header_value(header::encode(&id).as_bytes()));
        if let (Some(name), true) = (name, call.headers.contains_key(NAME)) {
            Arc::make_mut(&mut call.headers).insert(NAME, name);
        }
        call.message = Some(named);
    }
    Ok(Some(Box::new(whose)))
}

/// Whether the answer has to be read before its client gets it. One that is only held to a length, and is not longer,
/// passes as it came.
fn is_read(call: &mut Call, answer: &Answer) -> bool {
    let is_plain = !is_events(&answer.headers) && readable::coding_of(&answer.headers) == Encoded::Plain;
    let length = answer.body.whole().filter(|_| is_plain);
    let passes = |reception: &Reception| length.is_some_and(|length| reception.lets_pass(length));
    if call.reception.as_deref().is_some_and(passes) {
        call.reception = None;
    }
    call.reception.is_some()
}

fn introduces(call: &Call) -> bool {
    let method = call.message.as_ref().and_then(|message| message.envelope.known_method);
    matches!(method, Some(Mcp::Initialize | Mcp::Discover))
}

/// The list that is asked for.
fn listed(call: &Call) -> Option<Mcp> {
    let message = call.message.as_ref().filter(|message| message.shape() == Shape::Request)?;
    message.envelope.known_method.filter(|method| lists::is_list(*method))
}

async fn pass(call: &Call, server: &Arc<Server>) -> Result<Answer, Failure> {
    let told = Told::of_call(call, server);
    let mirrored = call.session.as_ref().and_then(|(session, _)| mirrored(session));
    let mut lines: Lines<'_> = Vec::with_capacity(16);
    // One walk through the headers, where a look-up of each name would hash it.
    for (name, value) in &*call.headers {
        let name = name.as_str();
        // Of a repeated header the gate reads the first value, and so must the server.
        let repeated = lines.last().is_some_and(|(last, _)| *last == name);
        if (passes_on(name) && !repeated) || http_call::is_parameter(name, call.trace.is_some()) {
            lines.push((name, value.as_bytes()));
        }
    }
    if call.entrance.listener.lenient && !call.headers.contains_key(http::header::ACCEPT) {
        lines.push(("accept", b"application/json, text/event-stream"));
    }
    if let Some(mirrored) = mirrored {
        lines.push(("mcp-session-id", mirrored.upstream.as_bytes()));
    }
    told.push(&mut lines);
    let method = match &call.message {
        Some(_) => upstream::Method::Post,
        None if call.method == Method::DELETE => upstream::Method::Delete,
        None => upstream::Method::Get,
    };
    let message = call.message.as_ref();
    let first_byte = {
        let tool = message.and_then(|message| message.envelope.name_str(&message.bytes));
        Some(server.first_byte(tool.as_deref()))
    };
    let request = http_call::Request { method, to: to(call), headers: &lines, message, first_byte };
    http_call::send(&call.core, server, &request).await
}

/// Whether a request header concerns the server.
fn passes_on(name: &str) -> bool {
    matches!(name, "content-type" | "accept" | "mcp-protocol-version" | "mcp-method" | "mcp-name" | "last-event-id")
}

/// Where it goes: a session stays with the endpoint that opened it.
fn to(call: &Call) -> To {
    let mirrored = call.session.as_ref().and_then(|(session, _)| mirrored(session));
    mirrored.map_or(To::Any, |mirrored| To::Session(mirrored.endpoint))
}

fn mirrored(session: &sessions::Session) -> Option<&Mirrored> {
    match &session.kind {
        sessions::Kind::Mirrored(mirrored) => Some(mirrored),
        sessions::Kind::Hosted(_) => None,
    }
}

/// Turns the server's answer into ours; a list goes through its `reader`.
async fn finish(
    call: &Call,
    server: &Arc<Server>,
    answer: Answer,
    reader: Option<Reader>,
) -> Result<Response<Body>, Failure> {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = secure::begun(call, status);
    pass_back(&answer.headers, response.headers_mut());
    follow_session(call, server, &answer, &mut response).await?;
    let events = is_events(&answer.headers);
    let passes_coded = reader.is_none() && !events;
    let mut body = body(call, server, answer, response.headers_mut(), passes_coded)?;
    if let Some(reader) = reader {
        body = reader.through(body, events);
    }
    *response.body_mut() = noticed(server, body);
    Ok(response)
}

/// Passes on what headers say to the client, unless that is said already.
fn pass_back(from: &upstream::Headers, to: &mut HeaderMap) {
    for (name, value) in from.iter() {
        let known = PASSED_BACK.iter().find(|known| known.as_str().as_bytes().eq_ignore_ascii_case(name));
        // The first value counts where a header is repeated.
        if let Some(name) = known
            && let Some(value) = header_value(value)
        {
            secure::put(to, name, value);
        }
    }
}

/// Whether what follows these headers is a stream of events.
fn is_events(headers: &upstream::Headers) -> bool {
    const EVENTS: &[u8] = b"text/event-stream";
    let kind = headers.get("content-type").unwrap_or_default();
    kind.get(..EVENTS.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(EVENTS))
}

/// The value of an answer's header. What nearly every answer has is not copied.
fn header_value(value: &[u8]) -> Option<HeaderValue> {
    const JSON: &str = "application/json";
    if value == JSON.as_bytes() { Some(HeaderValue::from_static(JSON)) } else { HeaderValue::from_bytes(value).ok() }
}

/// The server's body as it came, where the client can read it. A coding that the client did not allow is undone, and so
/// is one that must not be passed: of a stream of events, in which the gate may have to say the last word, and of what
/// the gate reads.
fn body(
    call: &Call,
    server: &Arc<Server>,
    mut answer: Answer,
    headers: &mut HeaderMap,
    passes_coded: bool,
) -> Result<Body, Failure> {
    let coding = readable::coding_of(&answer.headers);
    if let Encoded::Once(coding) = coding {
        headers.append(VARY, HeaderValue::from_static("accept-encoding"));
        if passes_coded && allowed(call, coding) {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
            return Ok(passed(answer.body.take_whole(), answer.body));
        }
    }
    if coding == Encoded::Plain {
        let whole = answer.body.take_whole();
        if whole.is_none()
            && let Some(id) = awaits_message(call, &answer)
        {
            return Ok(Body::stream(Awaited::new(call, id, server, answer.body, answer.attempt)));
        }
        if !is_events(&answer.headers) {
            answer.body.expect_soon();
        }
        if let Some(attempt) = answer.attempt.take() {
            judge((attempt, notice::listens(call)), headers.get(CONTENT_TYPE), whole.as_ref(), &mut answer.body);
        }
        return Ok(passed(whole, answer.body));
    }
    let undecodable = |problem| undecodable(server, problem);
    let mut decoded = Readable::new(&answer.headers, answer.body).map_err(undecodable)?;
    let whole = decoded.take_whole().map_err(undecodable)?;
    Ok(passed(whole, decoded))
}

/// The id of a request whose answer is a stream without a message yet. A subscription is answered by its head.
fn awaits_message(call: &Call, answer: &Answer) -> Option<Bytes> {
    let message = call.message.as_ref().filter(|message| message.shape() == Shape::Request)?;
    let is_open = is_events(&answer.headers) && !notice::listens(call) && !awaited::has_message(answer.body.arrived());
    is_open.then(|| message.id_bytes())
}

fn passed<B>(whole: Option<Bytes>, rest: B) -> Body
where
    B: http_body::Body<Data = Bytes, Error = upstream::BodyError> + 'static,
{
    match whole {
        Some(whole) => whole.into(),
        None => Body::stream(http_body_util::BodyExt::map_err(rest, BodyError::new)),
    }
}

/// What an answer that passes as it came says of its endpoint. It is not read; but what begins neither an object nor a
/// list is no message, and what is no stream of events must end well. What decides for everybody whether the endpoint
/// works does not wait for that: the end may be the client's to delay. A stream of events comes here with a message in
/// it, or is one that somebody listens on.
fn judge(
    (mut attempt, listens): (Box<Attempt>, bool),
    kind: Option<&HeaderValue>,
    whole: Option<&Bytes>,
    rest: &mut AnswerBody,
) {
    let kind = kind.map_or(&b""[..], HeaderValue::as_bytes);
    match whole {
        Some(whole) if whole.is_empty() => attempt.answered(),
        Some(whole) => {
            let first = whole.iter().find(|byte| !byte.is_ascii_whitespace());
            let message = kind.starts_with(b"text/event-stream") || matches!(first, Some(b'{' | b'['));
            if message { attempt.answered() } else { attempt.failed() }
        }
        None if listens || attempt.is_probe() => {
            attempt.answered();
            rest.hold(attempt);
        }
        None => {
            attempt.takes_its_time();
            rest.hold(attempt);
        }
    }
}

fn allowed(call: &Call, coding: Coding) -> bool {
    Accepted::new(call.headers.get_all(ACCEPT_ENCODING).iter().map(HeaderValue::as_bytes)).allows(coding)
}

/// Opens our session where the server opened one, and ends ours where the server's has ended.
async fn follow_session(
    call: &Call,
    server: &Arc<Server>,
    answer: &Answer,
    response: &mut Response<Body>,
) -> Result<(), Failure> {
    if call.era == Era::Modern {
        return Ok(());
    }
    if let Some((session, _)) = &call.session {
        let ended = answer.status == 404 || (call.method == Method::DELETE && (200..300).contains(&answer.status));
        if ended {
            call.core.gate.sessions.end(session.id);
        } else {
            response.headers_mut().insert(SESSION, session.header.clone());
        }
        return Ok(());
    }
    let Some(upstream) = answer.headers.get("mcp-session-id") else { return Ok(()) };
    let opened = call.message.as_ref().is_some_and(|message| message.method() == "initialize");
    if !opened || answer.status >= 300 {
        return Ok(());
    }
    let upstream = HeaderValue::from_bytes(upstream).map_err(|problem| {
        Failure::new(Kind::ServerGarbage, "The server's session id cannot be used.").because(problem)
    })?;
    let mirrored = Mirrored { server: Arc::clone(server), endpoint: answer.endpoint, upstream };
    // Boxed, so that calls do not carry what it takes to open a session.
    let session = Box::pin(open(call, sessions::Kind::Mirrored(mirrored.clone()))).await;
    // The server has opened its own already.
    let session = session.inspect_err(|_| farewell::tell(&call.core, vec![mirrored]))?;
    response.headers_mut().insert(SESSION, session.header.clone());
    Ok(())
}

/// Opens a session of the call's client on its path, and waits until it is kept, but not for long.
pub async fn open(call: &Call, kind: sessions::Kind) -> Result<Arc<sessions::Session>, Failure> {
    let daemon = &call.policy.settings.daemon;
    let bounds = Bounds { all: daemon.max_sessions, per_client: daemon.max_sessions_per_client };
    let opened = call.core.gate.sessions.open(&call.client().id, &call.view().name, kind, bounds);
    let opened = opened.map_err(|full| no_room(full, bounds))?;
    if let Some(message) = &call.message {
        opened.session.introduce(About::of_initialize(message));
    }
    if let Some(ended) = opened.ended {
        info!(client = %call.client().owner, ended = ?ended.id, "a session ends: its client has as many as it may");
        farewell::begin(&call.core, [ended]);
    }
    opened.session.kept().await;
    Ok(opened.session)
}

/// What a client reads when there are too many sessions.
fn no_room(full: Full, bounds: Bounds) -> Failure {
    let text = match full {
        Full::All => "This gate has no room for another session. Try again later.".to_owned(),
        Full::Client => format!(
            "You have {} open sessions and used all of them within the last minute. End one with DELETE, or go on in one of them.",
            bounds.per_client
        ),
    };
    Failure::new(Kind::NoRoom, text).retry_after(std::time::Duration::from_secs(30))
}

/// The answer to a call that has to be read before its client gets it.
async fn receive(
    call: &mut Call,
    server: &Arc<Server>,
    answer: Answer,
    tasks: Option<Whose>,
) -> Result<Response<Body>, Failure> {
    let exchange = read(call, server, answer)?;
    let wait = server.first_byte(None);
    let course = Course::about_tasks(&call.core, exchange, None, tasks);
    let response = answer::relay(call, server, course, wait).await?;
    Ok(of_session(call, response))
}

/// A server's answer as messages.
fn read(call: &Call, server: &Arc<Server>, answer: Answer) -> Result<Exchange, Failure> {
    // What is said about the call goes where the call went, in its session.
    let session = call.session.as_ref().and_then(|(session, _)| mirrored(session));
    let conversation = Conversation {
        endpoint: Some(answer.endpoint),
        session: session.map(|mirrored| mirrored.upstream.clone()),
        revision: call.headers.get("mcp-protocol-version").cloned(),
    };
    let leg = Leg::http(Arc::clone(server), call.era, conversation);
    let reply = HttpReply::new(server, answer)?.to(call.era, call.message());
    Ok(Exchange::http(leg, call.message(), reply))
}

/// An answer of the gate's own making, in the session that it belongs to.
fn of_session(call: &Call, mut response: Response<Body>) -> Response<Body> {
    if let Some((session, _)) = &call.session {
        response.headers_mut().insert(SESSION, session.header.clone());
    }
    response
}

/// What is read on its way to a client.
async fn pass_read(
    call: &Call,
    server: &Arc<Server>,
    answer: Answer,
    mut reader: Reader,
) -> Result<Response<Body>, Failure> {
    if is_events(&answer.headers) || !reader.rewrites() {
        return finish(call, server, answer, Some(reader)).await;
    }
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    pass_back(&answer.headers, &mut headers);
    let leg = Leg::http(Arc::clone(server), call.era, Conversation::default());
    // Whatever it is called, it has to be a message: what cannot be read cannot be taken anything out of.
    let exchange = Exchange::http(leg, call.message(), HttpReply::new(server, answer)?.as_message());
    let whole = answer::whole(call, exchange, server.first_byte(None)).await.inspect_err(|_| reader.failed())?;
    let unreadable = |problem: BodyError| Failure::new(Kind::ServerGarbage, problem.to_string());
    let text = reader.message(whole.bytes.clone()).map_err(unreadable)?.or(whole.bytes);
    let mut response = answer::json_answer(call.era, text);
    response.headers_mut().extend(headers);
    Ok(of_session(call, response))
}
