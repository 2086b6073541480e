//! Between hyper and the pipeline: what every request passes whatever it asks for.
//!
//! Each connection has one. It counts requests, sends plain HTTP to HTTPS, answers the canary, and
//! asks clients to go elsewhere while the core drains.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, LOCATION};
use http::{Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use toolgate_protocol::framing::Refusal;

use super::connection::{Connection, Origin, Protocol};
use super::framing::Watch;
use super::owed::{Newest, Owed};
use super::refuse;
use crate::body::{Body, BodyError};
use crate::config::settings::{Bounds, Listener};
use crate::core::Core;
use crate::pipeline;
use crate::stages::secure;

/// A connection's requests, as hyper calls them.
#[derive(Clone)]
pub struct Service {
    core: Rc<Core>,
    connection: Rc<Connection>,
    /// Of HTTP/1, whose guard may stop a request's body.
    watch: Option<Rc<Watch>>,
    /// Of HTTP/2, whose streams wait for their readers each by itself.
    newest: Option<Newest>,
}

impl Service {
    /// For a connection of HTTP/1.
    pub(super) fn http1(core: Rc<Core>, connection: Rc<Connection>, watch: Rc<Watch>) -> Self {
        Self { core, connection, watch: Some(watch), newest: None }
    }

    /// For a connection of HTTP/2.
    pub(super) fn http2(core: Rc<Core>, connection: Rc<Connection>, newest: Newest) -> Self {
        Self { core, connection, watch: None, newest: Some(newest) }
    }
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<Counted>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>>>>;

    /// What needs no waiting is done before the future is made: there are as many futures as calls in
    /// flight, and what one holds from its beginning stays in it to its end.
    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let asked = Asked::new(self);
        if let Some(response) = at_once(&self.connection, &request) {
            return Box::pin(ready(Ok(asked.answered(response))));
        }
        #[cfg(test)]
        if self.connection.listener.name == super::fixture::STAND_IN {
            let connection = self.connection.clone();
            return Box::pin(async move { Ok(asked.answered(super::fixture::serve(&connection, request).await)) });
        }
        let (entry, body) = pipeline::begin(&self.core, &self.connection, request);
        let answering = async move { Ok(asked.answered(pipeline::serve(entry, body).await)) };
        // Written where it stays: a copy of it would be one of all the room that it will need.
        let answering = Box::write(Box::new_uninit(), answering);
        Box::into_pin(answering)
    }
}

/// A request that waits for its answer.
struct Asked {
    service: Service,
    in_flight: InFlight,
    /// Which message of its connection it is, from 0.
    message: u64,
    /// Of HTTP/2: what is made and not yet taken.
    owed: Option<Owed>,
}

impl Asked {
    fn new(service: &Service) -> Self {
        let in_flight = InFlight::begin(Rc::clone(&service.connection));
        let owed = service.newest.as_ref().map(|newest| {
            let owed = Owed::default();
            newest.set(Some(owed.clone()));
            owed
        });
        Self { service: service.clone(), message: in_flight.0.requests() - 1, in_flight, owed }
    }

    /// The answer as it is sent.
    fn answered(self, mut response: Response<Body>) -> Response<Counted> {
        let Service { core, connection, watch, .. } = &self.service;
        if let Some(refusal) = watch.as_ref().and_then(|watch| stopped(watch, self.message)) {
            response = refuse::response(refusal, connection);
        }
        // HTTP/2 says it once for the connection, by GOAWAY.
        if core.drain.begun() && connection.protocol == Protocol::Http1 {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(owed) = &self.owed {
            // Not even asked for, where the client's window has no room from the start.
            owed.hand(1, 0);
        }
        response.map(|body| Counted { body, owed: self.owed, pieces: 1, _in_flight: self.in_flight })
    }
}

/// Why the body of this message did not arrive whole. The pipeline saw a broken body; what it made
/// of that says less than this.
fn stopped(watch: &Watch, message: u64) -> Option<Refusal> {
    watch.stop().filter(|stop| stop.message == message).map(|stop| stop.refusal)
}

/// The answer to a request that never reaches the pipeline.
fn at_once(connection: &Connection, request: &Request<Incoming>) -> Option<Response<Body>> {
    if connection.protocol == Protocol::Http2
        && let Some(refusal) = beyond(&connection.listener.bounds, request).or_else(|| ambiguous(request))
    {
        return Some(refuse::response(refusal, connection));
    }
    if connection.origin == Origin::Canary {
        return Some(empty(StatusCode::NO_CONTENT));
    }
    let port = connection.listener.redirect_to_https.filter(|_| !connection.is_secure())?;
    Some(redirect(request, port, &connection.listener))
}

/// What the guard refuses for HTTP/1, and h2 lets pass.
fn beyond(bounds: &Bounds, request: &Request<Incoming>) -> Option<Refusal> {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target > bounds.uri_bytes {
        return Some(Refusal::TargetTooLong);
    }
    if request.headers().len() > bounds.headers {
        return Some(Refusal::TooManyHeaders);
    }
    // h2 holds the client to the length that it declares.
    let declared = http_body::Body::size_hint(request.body()).lower();
    (declared > bounds.body_bytes as u64).then_some(Refusal::BodyTooLarge)
}

/// A second host or length, or a host that is none: what the guard refuses for HTTP/1, and h2 lets pass.
fn ambiguous(request: &Request<Incoming>) -> Option<Refusal> {
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    // RFC 9113, section 8.3.1: no user, and no other host than that of the request.
    if authority.is_some_and(|authority| authority.contains('@')) {
        return Some(Refusal::HostInvalid);
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    if let Some(host) = hosts.next() {
        if hosts.next().is_some() {
            return Some(Refusal::HostRepeated);
        }
        if authority.is_some_and(|authority| !authority.as_bytes().eq_ignore_ascii_case(host.as_bytes())) {
            return Some(Refusal::HostConflict);
        }
    }
    let lengths = request.headers().get_all(CONTENT_LENGTH).iter();
    (lengths.count() > 1).then_some(Refusal::LengthRepeated)
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}

/// 301 to the same target over HTTPS; 400 where the client does not say which host it means, 421 where that is not ours:
/// nobody is sent to a place that the request alone names.
fn redirect(request: &Request<Incoming>, port: u16, listener: &Listener) -> Response<Body> {
    let written = request.uri().authority().map(http::uri::Authority::as_str);
    let header = || request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let host = written.or_else(header).and_then(|host| host.parse::<http::uri::Authority>().ok());
    if host.as_ref().is_some_and(|host| !secure::serves_host(listener, host.host())) {
        return empty(StatusCode::MISDIRECTED_REQUEST);
    }
    let location = host.and_then(|host| {
        let target = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let location = match port {
            443 => format!("https://{}{target}", host.host()),
            port => format!("https://{}:{port}{target}", host.host()),
        };
        HeaderValue::try_from(location).ok()
    });
    let Some(location) = location else {
        return empty(StatusCode::BAD_REQUEST);
    };
    let mut response = empty(StatusCode::MOVED_PERMANENTLY);
    response.headers_mut().insert(LOCATION, location);
    response
}

/// Counts a request as in flight until its answer is whole or given up.
struct InFlight(Rc<Connection>);

impl InFlight {
    fn begin(connection: Rc<Connection>) -> Self {
        connection.requests.set(connection.requests.get() + 1);
        connection.in_flight.set(connection.in_flight.get() + 1);
        Self(connection)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get() - 1);
    }
}

/// An answer's body that keeps its request counted.
pub struct Counted {
    body: Body,
    owed: Option<Owed>,
    pieces: u32,
    _in_flight: InFlight,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let this = &mut *self;
        if let Some(owed) = &this.owed {
            match &polled {
                Poll::Ready(Some(Ok(frame))) => {
                    this.pieces = this.pieces.wrapping_add(1).max(1);
                    owed.hand(this.pieces, frame.data_ref().map_or(0, Bytes::len));
                }
                _ => owed.take(),
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
