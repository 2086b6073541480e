//! Who answers: the mirror of one HTTP server, or the gate as the end of the conversation.

use std::sync::Arc;

use http::{Method, Response};
use toolgate_protocol::revision::Era;

use crate::answers;
use crate::body::Body;
use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::message::Message;
use crate::relay::crossing::{parameters, parked};
use crate::relay::{hosted, mirror, stateless};
use crate::servers::{Server, eras};
use crate::sessions;

/// Picks the way and goes it.
pub async fn forward(call: &mut Call) -> Result<Response<Body>, Failure> {
    if call.era == Era::Modern && call.method != Method::POST {
        return Err(Failure::new(
            Kind::MethodNotAllowed,
            "Revision 2026-07-28 uses POST only; open streams with `subscriptions/listen`.",
        ));
    }
    if call.era == Era::Modern && call.client().rights.is_some() {
        Box::pin(parameters::proven(call)).await?;
    }
    match (mirrored(call).await, call.era) {
        (Some(server), _) => match mirror::serve(call, &server).await {
            Err(failure) if call.reception.is_some() => answers::rescue(call, &server, failure),
            answered => answered,
        },
        // Boxed, so that a mirrored call does not carry the size of the other two ways.
        (None, Era::Legacy) => Box::pin(hosted::serve(call)).await,
        (None, Era::Modern) => Box::pin(stateless::serve(call)).await,
    }
}

/// The one HTTP server whose conversation passes message for message, since it speaks the client's
/// era. A session goes on in the way in which it began.
async fn mirrored(call: &Call) -> Option<Arc<Server>> {
    // Where tools can be withheld, the gate has to be able to say on its own streams that they are back; and where no user
    // has allowed anything yet, it speaks in the server's place.
    let stands_back = |server: &Server| server.http().is_some() && !server.answers.blocks() && server.users().is_none();
    let server = call.view().single().filter(|server| stands_back(server))?;
    let passes = match &call.session {
        Some((session, _)) => matches!(session.kind, sessions::Kind::Mirrored(_)),
        None => match server.eras.speaks(call.era) {
            Some(known) => known,
            None => Box::pin(eras::speaks(&call.core, server, call.era)).await,
        },
    };
    // What was parked here goes on here, whatever the server is taken for by now.
    let continues = |message: &Message| parked::continued(call, server, message).is_some();
    if !passes || call.message.as_ref().is_some_and(continues) {
        return None;
    }
    Some(Arc::clone(server))
}
