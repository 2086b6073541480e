//! The demo server over Streamable HTTP at `/mcp`: sessions for legacy clients, none for modern ones.

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderMap, ORIGIN};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use toolgate_protocol::revision::MODERN;

use super::body::{Body, event};
use super::dialogue::{Dialogue, is_chatty, missing_version, modern_version};
use super::reply::{Fault, HEADER_MISMATCH, PARSE_ERROR};

/// Bytes of a request.
const BODY_BYTES: usize = 4 * 1024 * 1024;

/// Sessions at once.
const SESSIONS: usize = 10_000;

const SESSION_HEADER: &str = "mcp-session-id";

/// A legacy session.
#[derive(Default)]
struct Session {
    dialogue: Dialogue,
    /// Keeps the client's GET stream open.
    stream: RefCell<Option<mpsc::UnboundedSender<Bytes>>>,
}

type Sessions = Rc<RefCell<HashMap<String, Rc<Session>>>>;

/// Serves until the process is told to stop.
pub(super) async fn serve(address: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}/mcp", listener.local_addr()?);
    let sessions = Sessions::default();
    loop {
        let (stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(e) => {
                // Out of descriptors: those in use come back.
                eprintln!("cannot accept: {e}");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let sessions = Rc::clone(&sessions);
        tokio::task::spawn_local(async move {
            let service = service_fn(|request| {
                let sessions = Rc::clone(&sessions);
                async move { Ok::<_, Infallible>(answer(request, sessions).await.unwrap_or_else(|refusal| *refusal)) }
            });
            // A connection that breaks is the client's business.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// Both sides are answers: the error is one that came early.
type Answer = Result<Response<Body>, Box<Response<Body>>>;

async fn answer(request: Request<Incoming>, sessions: Sessions) -> Answer {
    if request.uri().path() != "/mcp" {
        return refuse(StatusCode::NOT_FOUND, "the MCP endpoint is /mcp");
    }
    check_host(request.headers())?;
    match *request.method() {
        Method::POST => post(request, &sessions).await,
        Method::GET => stream(request.headers(), &sessions),
        Method::DELETE => {
            let session = session(request.headers(), &sessions)?;
            sessions.borrow_mut().retain(|_, other| !Rc::ptr_eq(other, &session));
            Ok(plain(StatusCode::NO_CONTENT, ""))
        }
        _ => Err(Box::new(method_not_allowed())),
    }
}

async fn post(request: Request<Incoming>, sessions: &Sessions) -> Answer {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_BYTES).collect().await else {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large or broke off");
    };
    let Ok(message) = serde_json::from_slice::<Value>(&body.to_bytes()) else {
        return Ok(fault(&Fault::new(PARSE_ERROR, "the body is not JSON"), &Value::Null));
    };
    let is_modern = modern_version(&message).is_some()
        || head.headers.get("mcp-protocol-version").is_some_and(|version| version == MODERN.as_str());
    if is_modern {
        return Ok(match check_headers(&head.headers, &message) {
            Ok(()) => reply(Rc::default(), message, true).await,
            Err(mismatch) => fault(&mismatch, &message["id"]),
        });
    }
    if message["method"] == "initialize" {
        return initialize(message, sessions).await;
    }
    Ok(reply(session(&head.headers, sessions)?, message, false).await)
}

async fn initialize(message: Value, sessions: &Sessions) -> Answer {
    if sessions.borrow().len() >= SESSIONS {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "too many sessions");
    }
    let id = random_id();
    let session = Rc::new(Session::default());
    let mut answer = reply(Rc::clone(&session), message, false).await;
    sessions.borrow_mut().insert(id.clone(), session);
    answer.headers_mut().insert(SESSION_HEADER, id.parse().expect("hexadecimal digits are a header's value"));
    Ok(answer)
}

/// A message of either era, or a batch, which only legacy knows.
async fn reply(session: Rc<Session>, message: Value, modern: bool) -> Response<Body> {
    if message["id"].is_null() && !message.is_array() {
        session.dialogue.answer(&message, &|_| {}).await;
        return plain(StatusCode::ACCEPTED, "");
    }
    if is_chatty(&message) {
        return events(session, message, modern);
    }
    let Some(batch) = message.as_array() else {
        return match session.dialogue.answer(&message, &|_| {}).await {
            Some(reply) => json(if modern { reply.status } else { 200 }, &reply.body),
            None => plain(StatusCode::ACCEPTED, ""),
        };
    };
    let mut replies = Vec::new();
    for message in batch {
        replies.extend(session.dialogue.answer(message, &|_| {}).await.map(|reply| reply.body));
    }
    if replies.is_empty() { plain(StatusCode::ACCEPTED, "") } else { json(200, &Value::Array(replies)) }
}

/// An answer with something before it. A modern client cancels by closing the stream; a legacy
/// one that loses it has not cancelled.
fn events(session: Rc<Session>, message: Value, modern: bool) -> Response<Body> {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::task::spawn_local(async move {
        let emit = |notification: Value| drop(sender.send(event(&notification)));
        let answering = session.dialogue.answer(&message, &emit);
        let reply = tokio::select! {
            reply = answering => reply,
            () = sender.closed(), if modern => None,
        };
        if let Some(reply) = reply {
            emit(reply.body);
        }
    });
    event_stream(receiver)
}

/// The stream for what belongs to no request: this server never has anything, and keeps it open.
fn stream(headers: &HeaderMap, sessions: &Sessions) -> Answer {
    let wants_events = headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/event-stream"));
    if !wants_events || !headers.contains_key(SESSION_HEADER) {
        return Err(Box::new(method_not_allowed()));
    }
    let session = session(headers, sessions)?;
    let (sender, receiver) = mpsc::unbounded_channel();
    session.stream.replace(Some(sender));
    Ok(event_stream(receiver))
}

fn session(headers: &HeaderMap, sessions: &Sessions) -> Result<Rc<Session>, Box<Response<Body>>> {
    let Some(id) = headers.get(SESSION_HEADER).and_then(|id| id.to_str().ok()) else {
        return refuse(StatusCode::BAD_REQUEST, "send initialize first, then its Mcp-Session-Id");
    };
    match sessions.borrow().get(id) {
        Some(session) => Ok(Rc::clone(session)),
        None => refuse(StatusCode::NOT_FOUND, "this session has ended; send initialize again"),
    }
}

/// Headers of the modern era must say what the body says.
fn check_headers(headers: &HeaderMap, message: &Value) -> Result<(), Fault> {
    if message["id"].is_null() {
        return Ok(());
    }
    let params = &message["params"];
    if modern_version(message).is_none() {
        return Err(missing_version());
    }
    let name = match message["method"].as_str() {
        Some("tools/call" | "prompts/get") => Some(("mcp-name", &params["name"])),
        Some("resources/read") => Some(("mcp-name", &params["uri"])),
        _ => None,
    };
    let version = Value::from(modern_version(message));
    let wanted = [("mcp-protocol-version", &version), ("mcp-method", &message["method"])].into_iter().chain(name);
    for (header, value) in wanted {
        let sent = headers.get(header).and_then(|sent| toolgate_protocol::header_value::decode(sent.as_bytes()));
        if sent.is_none() || sent.as_deref() != value.as_str() {
            return Err(Fault::new(HEADER_MISMATCH, format!("the header {header} must say what the body says")));
        }
    }
    Ok(())
}

/// A web page elsewhere must not reach this server through its visitor's browser.
fn check_host(headers: &HeaderMap) -> Result<(), Box<Response<Body>>> {
    let text = |value: &http::HeaderValue| value.to_str().map(str::to_owned).unwrap_or_default();
    let host_is_local = headers.get(HOST).map(text).is_some_and(|host| is_local(&host));
    let origin_is_local = headers
        .get(ORIGIN)
        .map(text)
        .is_none_or(|origin| origin.split_once("://").is_some_and(|(_, host)| is_local(host)));
    if host_is_local && origin_is_local {
        Ok(())
    } else {
        refuse(StatusCode::FORBIDDEN, "only this machine's own names are served")
    }
}

fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn refuse<T>(status: StatusCode, text: &'static str) -> Result<T, Box<Response<Body>>> {
    Err(Box::new(plain(status, text)))
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut answer = Response::new(Body::Whole((!text.is_empty()).then(|| Bytes::from_static(text.as_bytes()))));
    *answer.status_mut() = status;
    answer
}

fn method_not_allowed() -> Response<Body> {
    let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "");
    answer.headers_mut().insert(ALLOW, http::HeaderValue::from_static("POST, GET, DELETE"));
    answer
}

fn json(status: u16, value: &Value) -> Response<Body> {
    let mut answer = Response::new(Body::json(value));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    answer
}

fn fault(fault: &Fault, id: &Value) -> Response<Body> {
    json(fault.status, &fault.response(id))
}

fn event_stream(receiver: mpsc::UnboundedReceiver<Bytes>) -> Response<Body> {
    let mut answer = Response::new(Body::Events(receiver));
    answer.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("text/event-stream"));
    answer.headers_mut().insert(CACHE_CONTROL, http::HeaderValue::from_static("no-cache"));
    answer
}

/// 128 random bits, as a session's id must be hard to guess.
fn random_id() -> String {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has a random source");
    format!("{:032x}", u128::from_ne_bytes(bytes))
}
