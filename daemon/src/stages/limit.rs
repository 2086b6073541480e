//! Limits of the operator: a call is counted before its server is disturbed.
//!
//! Counted is what makes a server work for the client: calls of tools, prompts and resources.
//! Greetings, pings and lists are not, so that a client at its limit can still find its way.

use std::borrow::Cow;
use std::sync::Arc;

use toolgate_protocol::envelope::Shape;
use toolgate_protocol::header_value;
use toolgate_protocol::method::Method;
use toolgate_protocol::revision::Era;

use crate::call::Call;
use crate::clock;
use crate::failure::{Failure, Kind};
use crate::limits::{Held, Keys};
use crate::relay::{lists, names};
use crate::servers::Server;

/// Counts a modern call by what its headers say of it, before its body is read; `read` confirms that they say the same.
/// What only the body tells, or the client may not use, is left to those who read it.
pub fn early(call: &mut Call) -> Result<(), Failure> {
    let modern = || call.header("mcp-protocol-version").is_some_and(|version| Era::of_header(version) == Era::Modern);
    if call.policy.limits.is_empty() || call.method != http::Method::POST || !modern() {
        return Ok(());
    }
    let Some(method) = call.header("mcp-method").and_then(Method::parse).filter(|method| method.needs_name_header())
    else {
        return Ok(());
    };
    let name = call.headers.get("mcp-name").and_then(|name| header_value::decode(name.as_bytes()));
    let Some((server, own)) = name.as_deref().and_then(|name| names::leads(call, method, name)) else { return Ok(()) };
    let held = count(call, Some(server), Some(own).filter(|_| method == Method::ToolsCall))?;
    call.held = Some(held);
    Ok(())
}

/// Counts a call against every limit that applies to it, unless it was counted [`early`].
pub fn check(call: &mut Call) -> Result<(), Failure> {
    let Some(message) = call.message.as_ref().filter(|message| message.shape() == Shape::Request) else {
        return Ok(());
    };
    let method = message.envelope.known_method;
    if call.held.is_some() || method.is_some_and(is_free) {
        return Ok(());
    }
    let own = match &call.routed {
        Some(routed) => Some(Cow::Borrowed(routed.name.as_str())),
        None => message.envelope.target_str(&message.bytes),
    };
    let server = call.view().single().or_else(|| call.routed.as_ref().map(|routed| &routed.server));
    let held = count(call, server, own.as_deref().filter(|_| method == Some(Method::ToolsCall)))?;
    call.held = Some(held);
    Ok(())
}

fn count(call: &Call, server: Option<&Arc<Server>>, tool: Option<&str>) -> Result<Held, Failure> {
    let client = call.client();
    let keys = Keys {
        listener: &call.entrance.listener.name,
        address: call.address,
        client: &client.id,
        tier: client.tier.as_ref().map(|tier| tier.name.as_str()),
        server: server.map(|server| server.settings.name.as_str()),
        tool,
    };
    let checked = call.policy.limits.check(&keys, clock::nanos_at(call.times.read));
    checked.map_err(|refusal| Failure::new(Kind::Limited, refusal.to_string()).retry_after(refusal.retry_after))
}

fn is_free(method: Method) -> bool {
    lists::is_list(method)
        || matches!(method, Method::Initialize | Method::Discover | Method::Ping | Method::SetLevel | Method::Listen)
}
