//! Connections of an admin socket: accepted, bounded, and turned from HTTP into routes and back.
//!
//! Every wait on a peer has a deadline, every size a limit; what a peer sends is never trusted.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use toolgate_admin_api::{ApiError, ErrorCode, INSTANCE_HEADER, Socket};

use super::audit;
use super::lines::Lines;
use super::operations::{Operations, Peer};
use super::patience::Patient;
use super::routes::{self, Answer, Request};
use super::socket::Bound;
use super::streams::{self, Streams};
use super::turns::Turns;

/// For a request's head, and for the pause between two requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// From the end of the head to the end of the body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A peer that takes nothing of its answer for as long is given up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of an answer that wait for a peer, beside one piece.
const WRITE_BUFFER: usize = 64 * 1024;

/// Pause after an `accept` that failed, for example for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Said to a connection above the cap, without reading from it.
static FULL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let error = ApiError::new(ErrorCode::Unavailable, "Too many admin connections are open.")
        .remedy("Close some, or try again in ten seconds.");
    let body = serde_json::to_string(&error).unwrap_or_default();
    let head = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-type: application/json";
    format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
});

/// One of the two sockets, as its connections see it.
pub(super) struct Door {
    pub(super) socket: Socket,
    pub(super) operations: Arc<dyn Operations>,
    pub(super) control_path: PathBuf,
    pub(super) permits: Arc<Semaphore>,
    pub(super) turns: Turns,
    /// The same for both sockets.
    pub(super) streams: Arc<Streams>,
}

/// An answer: whole, or line by line.
type Body = Either<Full<Bytes>, Lines>;

/// Accepts until the task is dropped.
pub(super) async fn accept(bound: Bound, door: Arc<Door>) {
    let listener = match bound.listener() {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(socket = door.socket.name(), %error, "The admin socket cannot be served");
            return;
        }
    };
    loop {
        let stream = next(&listener, &door).await;
        let Ok(permit) = Arc::clone(&door.permits).try_acquire_owned() else {
            // Best effort: a fresh socket's buffer takes it at once.
            let _ = stream.try_write(&FULL);
            continue;
        };
        let door = Arc::clone(&door);
        tokio::spawn(async move {
            connection(stream, door).await;
            drop(permit);
        });
    }
}

async fn next(listener: &UnixListener, door: &Door) -> UnixStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(socket = door.socket.name(), %error, "An admin connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: UnixStream, door: Arc<Door>) {
    let peer = match stream.peer_cred() {
        Ok(credentials) => Peer { uid: credentials.uid(), pid: credentials.pid() },
        Err(error) => {
            tracing::warn!(%error, "The kernel does not say who connected to an admin socket");
            return;
        }
    };
    let service = service_fn(|request| {
        let door = Arc::clone(&door);
        async move { Ok::<_, Infallible>(answer(request, &door, peer).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(WRITE_BUFFER)
        .serve_connection(TokioIo::new(Patient::new(stream, WRITE_TIMEOUT)), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(socket = door.socket.name(), %peer, %error, "An admin connection ended early");
    }
}

async fn answer(request: http::Request<Incoming>, door: &Door, peer: Peer) -> Response<Body> {
    let (head, body) = request.into_parts();
    let answer = match streams::find(head.uri.path()) {
        Some(stream) => refuse_browsers(&head.headers)
            .and_then(|()| stream.begin(&door.streams, &head, door.socket))
            .map(Either::Right),
        None => match ask(&head, body, door, peer).await {
            Ok(said) => door.turns.hold(said).await.map(|held| Either::Left(Full::new(held))),
            Err(error) => Err(error),
        },
    };
    let kind = if matches!(answer, Ok(Either::Right(_))) { "application/jsonl" } else { "application/json" };
    let (status, body, close) = match answer {
        Ok(body) => (StatusCode::OK, body, false),
        Err(error) => refusal(&error),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let version = door.operations.version();
    put(headers, INSTANCE_HEADER, &version.instance);
    put(headers, header::ETAG.as_str(), &format!("\"{}\"", version.revision));
    if close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn whole(body: Vec<u8>) -> Body {
    Either::Left(Full::new(Bytes::from(body)))
}

/// Runs the route. Its function may read files, so it runs beside the sockets' loop.
async fn ask(head: &http::request::Parts, body: Incoming, door: &Door, peer: Peer) -> Answer {
    refuse_browsers(&head.headers)?;
    let path = head.uri.path();
    let found = routes::find(&head.method, path, door.socket, &door.control_path);
    if found.is_err() && door.socket == Socket::View && head.method != http::Method::GET {
        audit::refused(&peer, &head.method, path);
    }
    // Read before anything is refused: what is left of a body would end the connection under the next request.
    let body = read(body, found.as_ref().map_or(routes::BODY_LIMIT, |(route, _)| route.body_limit())).await?;
    let (route, named) = found?;
    let if_match = if_match(&head.headers)?;
    let (named, query) = (named.to_owned(), head.uri.query().unwrap_or_default().to_owned());
    let request = Request { peer, if_match, named, query, body };
    let operations = Arc::clone(&door.operations);
    door.turns.work(move || route.answer(operations.as_ref(), &request)).await.and_then(|answer| answer).inspect_err(
        |error| {
            if error.code == ErrorCode::Internal {
                tracing::error!(path = route.path, "An admin operation failed: {}", error.message);
            }
        },
    )
}

/// A browser has no business here, whatever forwards its requests to the socket.
fn refuse_browsers(headers: &HeaderMap) -> Result<(), ApiError> {
    let telling = ["origin", "referer", "sec-fetch-site"];
    match telling.into_iter().find(|name| headers.contains_key(*name)) {
        None => Ok(()),
        Some(name) => {
            Err(ApiError::new(ErrorCode::Denied, "Requests that a web page caused are refused here.").field(name))
        }
    }
}

/// The revision of `If-Match`: `"7"`, also without quotes; `*` is any.
fn if_match(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    text.trim_matches('"').parse().map(Some).map_err(|_| {
        ApiError::new(ErrorCode::BadRequest, "If-Match does not name a revision.")
            .remedy("Send the ETag of an earlier answer, such as \"7\".")
            .field("if-match")
    })
}

/// Reads a body of `most` bytes at most.
async fn read(body: Incoming, most: usize) -> Result<Vec<u8>, ApiError> {
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, most).collect())
        .await
        .map_err(|_| ApiError::new(ErrorCode::Timeout, "The body did not arrive in time."))?;
    match collected {
        Ok(collected) => Ok(collected.to_bytes().to_vec()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(ApiError::new(ErrorCode::TooLarge, format!("The body is larger than {} MiB.", most >> 20)))
        }
        Err(error) => Err(ApiError::new(ErrorCode::BadRequest, format!("The body broke off: {error}."))),
    }
}

/// An error as an answer; after one about the body, the rest of it is not waited for.
fn refusal(error: &ApiError) -> (StatusCode, Body, bool) {
    let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let close = matches!(error.code, ErrorCode::Timeout | ErrorCode::TooLarge);
    (status, whole(serde_json::to_vec(error).unwrap_or_default()), close)
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
