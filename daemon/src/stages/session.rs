//! The legacy session that a call belongs to; another client's does not exist for it.

use http::HeaderName;
use toolgate_protocol::envelope::Shape;
use toolgate_protocol::method::Method;
use toolgate_protocol::revision::Era;

use crate::call::Call;
use crate::failure::{self, Failure};
use crate::sessions::Kind;

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// Finds the session that the call names. A modern call has none; a stray id is ignored
/// (2026-07-28, Streamable HTTP, "Earlier revisions").
pub fn find(call: &mut Call) -> Result<(), Failure> {
    if call.era == Era::Modern {
        return Ok(());
    }
    let opens = call.message.as_ref().is_some_and(|message| {
        message.shape() == Shape::Request && message.envelope.known_method == Some(Method::Initialize)
    });
    let Some(id) = call.headers.get(SESSION).filter(|_| !opens) else { return Ok(()) };
    let found = id.to_str().ok().and_then(|id| call.core.gate.sessions.find(id, &call.client().id, &call.view().name));
    // What was opened at a server with one credential is not gone on with by another: the client's groups may change.
    let found = found.filter(|session| match (&session.kind, call.view().single()) {
        (Kind::Mirrored(mirrored), Some(server)) => mirrored.server.generation == server.generation,
        _ => true,
    });
    let session = found.ok_or_else(|| {
        Failure::new(
            failure::Kind::SessionUnknown,
            "This session has ended or was never yours. Open a new one with `initialize`.",
        )
    })?;
    call.mark.of_session(session.id);
    let busy = session.enter();
    call.session = Some((session, busy));
    Ok(())
}
