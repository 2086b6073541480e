//! The stages of a call, in order.

use std::rc::Rc;

use http::{Request, Response};
use hyper::body::Incoming;

use crate::body::Body;
use crate::core::Core;
use crate::listen::connection::Connection;

/// Answers one request.
pub async fn serve(
    core: &Rc<Core>,
    connection: &Rc<Connection>,
    request: Request<Incoming>,
) -> Response<Body> {
    let _ = (core, connection, request);
    Response::new(Body::from("ok"))
}
