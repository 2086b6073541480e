//! Modern requests that the gate itself answers or routes: to stdio servers and in merged views.
//!
//! Nothing is kept between requests but the legs, which are shared by the rules of `instances`.

use std::sync::Arc;

use http::{Response, StatusCode};
use toolgate_protocol::envelope::Shape;
use toolgate_protocol::method::Method;
use toolgate_protocol::revision::{Era, MODERN};

use super::hosted::{destination, empty};
use super::{answer, greet, lists, subscribe};
use crate::body::Body;
use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::message::Message;
use crate::servers::Server;
use crate::servers::leg::Leg;
use crate::stages::queue;

/// Serves one modern request.
pub async fn serve(call: &mut Call) -> Result<Response<Body>, Failure> {
    greet::known_version(call)?;
    let message = call.message().clone();
    match message.shape() {
        Shape::Request => {}
        // The revision defines none over HTTP; a closed stream is the cancellation.
        Shape::Notification => return Ok(empty(StatusCode::ACCEPTED)),
        Shape::Response => {
            return Err(Failure::new(Kind::InvalidRequest, "Revision 2026-07-28 has no responses from clients."));
        }
    }
    if let Some(key) = message.envelope.missing_meta(&message.bytes) {
        return Err(Failure::new(Kind::MetaMissing, format!("`params._meta` must carry `{key}`.")));
    }
    let method = Method::parse(&message.method());
    if let Some(method) = method.filter(|method| !method.exists_in(Era::Modern)) {
        return Err(Failure::new(
            Kind::MethodUnknown,
            format!("The method {} does not exist in revision 2026-07-28.", method.as_str()),
        ));
    }
    match method {
        Some(Method::Discover) => discover(call).await,
        Some(Method::Listen) if call.view().single().is_none() => subscribe::merged(call).await,
        Some(method) if lists::is_list(method) => list(call, method).await,
        method => run(call, method, message).await,
    }
}

async fn run(call: &mut Call, method: Option<Method>, message: Message) -> Result<Response<Body>, Failure> {
    let (server, message) = destination(call, message)?;
    greet::speaks_modern(call, &server).await?;
    // A subscription lives long and does nothing; it must not take a caller's place.
    if method != Some(Method::Listen) {
        queue::admit(call, &server).await?;
    }
    let leg = leg(call, &server).await?;
    let exchange = leg.call(&call.core, &message, &call.provenance()).await?;
    let tool = message.envelope.name_str(&message.bytes);
    answer::relay(call, exchange, server.first_byte(tool.as_deref())).await
}

/// The leg for a client's modern calls to a server.
pub async fn leg(call: &Call, server: &Arc<Server>) -> Result<Leg, Failure> {
    let message = call.message();
    let capabilities = message.raw(message.envelope.client_capabilities).unwrap_or(b"{}");
    server.modern_leg(&call.client().id, capabilities).await
}

async fn discover(call: &mut Call) -> Result<Response<Body>, Failure> {
    let answer = greet::discover(call).await?;
    Ok(answer::json_answer(Era::Modern, answer))
}

async fn list(call: &mut Call, method: Method) -> Result<Response<Body>, Failure> {
    let Some(server) = call.view().single().cloned() else {
        let merged = lists::merged(call, method, MODERN).await?;
        return Ok(answer::json_answer(Era::Modern, merged));
    };
    queue::admit(call, &server).await?;
    let leg = lists::shared_leg(call, &server, MODERN).await?;
    let message = call.message().clone();
    let exchange = leg.call(&call.core, &message, &call.provenance()).await?;
    if call.view().offers_all(call.client(), &server) {
        return answer::relay(call, exchange, server.first_byte(None)).await;
    }
    let whole = answer::whole(call, exchange, server.first_byte(None)).await?;
    Ok(answer::json_answer(Era::Modern, lists::filter(call, &server, method, &whole)))
}
