//! Limits of the operator: a call is counted before its server is disturbed.
//!
//! Counted is what makes a server work for the client: calls of tools, prompts and resources.
//! Greetings, pings and lists are not, so that a client at its limit can still find its way.

use std::borrow::Cow;

use toolgate_protocol::envelope::Shape;
use toolgate_protocol::method::Method;

use crate::call::Call;
use crate::clock;
use crate::failure::{Failure, Kind};
use crate::limits::Keys;
use crate::relay::lists;

/// Counts a call against every limit that applies to it.
pub fn check(call: &mut Call) -> Result<(), Failure> {
    let Some(message) = call.message.as_ref().filter(|message| message.shape() == Shape::Request) else {
        return Ok(());
    };
    let method = message.envelope.known_method;
    if method.is_some_and(is_free) {
        return Ok(());
    }
    let own = match &call.routed {
        Some(routed) => Some(Cow::Borrowed(routed.name.as_str())),
        None => message.envelope.target_str(&message.bytes),
    };
    let server = call.view().single().or_else(|| call.routed.as_ref().map(|routed| &routed.server));
    let client = call.client();
    let keys = Keys {
        listener: &call.entrance.listener.name,
        address: call.connection.peer.ip(),
        client: &client.id,
        tier: client.tier.as_ref().map(|tier| tier.name.as_str()),
        server: server.map(|server| server.settings.name.as_str()),
        tool: own.as_deref().filter(|_| method == Some(Method::ToolsCall)),
    };
    let held = call
        .policy
        .limits
        .check(&keys, clock::nanos_at(call.times.read))
        .map_err(|refusal| Failure::new(Kind::Limited, refusal.to_string()).retry_after(refusal.retry_after))?;
    call.held = Some(held);
    Ok(())
}

fn is_free(method: Method) -> bool {
    lists::is_list(method)
        || matches!(method, Method::Initialize | Method::Discover | Method::Ping | Method::SetLevel | Method::Listen)
}
