//! Who answers: the mirror of one HTTP server, or the gate as the end of the conversation.

use http::{Method, Response};
use toolgate_protocol::revision::Era;

use crate::body::Body;
use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::relay::{hosted, mirror, stateless};

/// Picks the way and goes it.
pub async fn forward(call: &mut Call) -> Result<Response<Body>, Failure> {
    if call.era == Era::Modern && call.method != Method::POST {
        return Err(Failure::new(
            Kind::MethodNotAllowed,
            "Revision 2026-07-28 uses POST only; open streams with `subscriptions/listen`.",
        ));
    }
    let single = call.view().single().filter(|server| server.http().is_some()).cloned();
    match (single, call.era) {
        (Some(server), _) => mirror::serve(call, &server).await,
        // Boxed, so that a mirrored call does not carry the size of the other two ways.
        (None, Era::Legacy) => Box::pin(hosted::serve(call)).await,
        (None, Era::Modern) => Box::pin(stateless::serve(call)).await,
    }
}
