//! Loops: a client that repeats itself is warned, then slowed, then refused.
//!
//! Nothing happens where `[loops]` is not configured. The warning is a member of the result's `_meta`, spliced into
//! the answer on its way out.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::Response;
use toolgate_protocol::envelope::Shape;
use toolgate_protocol::loops::Step;
use toolgate_protocol::method::Method;

use super::warned;
use crate::body::Body;
use crate::call::Call;
use crate::clock;
use crate::failure::{Failure, Kind};

/// Notes a call of a tool, and does what its number asks for; gives back how long it has to wait first.
pub fn heed(call: &mut Call) -> Result<Option<Duration>, Failure> {
    let Some(loops) = &call.policy.loops else { return Ok(None) };
    let loops = Arc::clone(loops);
    let is_call = call.message.as_ref().filter(|message| {
        // A call that goes on after a question is the same call by intent, and has run so far.
        let goes_on = message.envelope.request_state.is_some();
        message.shape() == Shape::Request && message.envelope.known_method == Some(Method::ToolsCall) && !goes_on
    });
    let Some(message) = is_call else { return Ok(None) };
    let server = call.view().single().or_else(|| call.routed.as_ref().map(|routed| &routed.server));
    let own = match &call.routed {
        Some(routed) => Some(Cow::Borrowed(routed.name.as_str())),
        None => message.envelope.target_str(&message.bytes),
    };
    let (Some(server), Some(tool)) = (server, own) else { return Ok(None) };
    let server = &server.settings.name;
    if loops.excepts(server, &tool) {
        return Ok(None);
    }
    let seen = loops.note(&call.client().id, server, message, clock::nanos_at(call.times.read));
    match seen.step {
        Step::Pass => {}
        Step::Warn => call.warning = Some(seen.warning()),
        Step::Slow => {
            call.warning = Some(seen.warning());
            return Ok(Some(loops.delay()));
        }
        Step::Refuse => {
            let failure = Failure::new(Kind::Limited, seen.refusal()).retry_after(seen.retry_after());
            return Err(failure.with_data("\"limit\":\"loops\""));
        }
    }
    Ok(None)
}

/// Puts the warning of a call into its answer.
pub fn warn(call: &Call, response: &mut Response<Body>) {
    let (Some(warning), Some(message)) = (&call.warning, &call.message) else { return };
    warned::answer(response, &message.id_bytes(), warning);
}
