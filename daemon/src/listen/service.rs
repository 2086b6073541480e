//! Between hyper and the pipeline: what every request passes whatever it asks for.
//!
//! Each connection has one. It counts requests, sends plain HTTP to HTTPS, answers the canary, and
//! asks clients to go elsewhere while the core drains.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderValue, LOCATION};
use http::{Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::{Connection, Origin, Protocol};
use crate::body::{Body, BodyError};
use crate::core::Core;
use crate::pipeline;

/// A connection's requests, as hyper calls them.
#[derive(Clone)]
pub struct Service {
    core: Rc<Core>,
    connection: Rc<Connection>,
}

impl Service {
    /// For one connection.
    #[must_use]
    pub fn new(core: Rc<Core>, connection: Rc<Connection>) -> Self {
        Self { core, connection }
    }
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<Counted>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let Self { core, connection } = self.clone();
        let in_flight = InFlight::begin(connection);
        Box::pin(async move {
            let mut response = answer(&core, &in_flight.0, request).await;
            // HTTP/2 says it once for the connection, by GOAWAY.
            if core.drain.begun() && in_flight.0.protocol == Protocol::Http1 {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| Counted { body, _in_flight: in_flight }))
        })
    }
}

async fn answer(core: &Rc<Core>, connection: &Rc<Connection>, request: Request<Incoming>) -> Response<Body> {
    if connection.origin == Origin::Canary {
        return empty(StatusCode::NO_CONTENT);
    }
    if let Some(port) = connection.listener.redirect_to_https
        && !connection.is_secure()
    {
        return redirect(&request, port);
    }
    pipeline::serve(core, connection, request).await
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}

/// 301 to the same target over HTTPS; 400 where the client does not say which host it means.
fn redirect(request: &Request<Incoming>, port: u16) -> Response<Body> {
    let written = request.uri().authority().map(http::uri::Authority::as_str);
    let header = || request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let location = written.or_else(header).and_then(|host| {
        let host = host.parse::<http::uri::Authority>().ok()?;
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
    _in_flight: InFlight,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
