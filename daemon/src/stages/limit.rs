//! Limits of the operator: a call is counted before its server is disturbed.
//!
//! What makes a server work for the client is counted by all limits: calls of tools, prompts and resources. Greetings,
//! pings, lists, notifications and streams are counted by those that know only where they come from (global, listener,
//! address), so that a client at a limit of its own can still find its way. A farewell is never held off.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderName, Response};
use toolgate_protocol::envelope::Shape;
use toolgate_protocol::header_value;
use toolgate_protocol::method::Method;
use toolgate_protocol::revision::Era;

use crate::body::Body;
use crate::call::Call;
use crate::clock;
use crate::failure::{Failure, Kind};
use crate::limits::{Held, Keys, Refusal};
use crate::message::Message;
use crate::relay::{lists, names};
use crate::servers::Server;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STANDING: HeaderName = HeaderName::from_static("ratelimit");

/// Counts a modern call by what its headers say of it, before its body is read; `read` confirms that they say the same.
/// What only the body tells, or the client may not use, is left to those who read it.
pub fn early(call: &mut Call) -> Result<(), Failure> {
    if call.policy.limits.is_empty() {
        return Ok(());
    }
    let Some(method) = modern_method(call) else { return Ok(()) };
    if is_free(method) {
        return check_other(call);
    }
    if !method.needs_name_header() {
        return Ok(());
    }
    let name = call.headers.get("mcp-name").and_then(|name| header_value::decode(name.as_bytes()));
    let Some((server, own)) = name.as_deref().and_then(|name| names::leads(call, method, name)) else { return Ok(()) };
    let keys = keys(call, Some(server), Some(own).filter(|_| method == Method::ToolsCall));
    let counted = call.policy.limits.check(&keys, clock::nanos_at(call.times.read));
    keep(call, counted)
}

/// The method of a modern call that its headers say enough of to be counted by all limits.
pub fn early_method(call: &Call) -> Option<Method> {
    modern_method(call).filter(|method| method.needs_name_header())
}

/// The method that the headers of a modern call name.
fn modern_method(call: &Call) -> Option<Method> {
    let modern = || call.header("mcp-protocol-version").is_some_and(|version| Era::of_header(version) == Era::Modern);
    if call.method != http::Method::POST || !modern() {
        return None;
    }
    call.header("mcp-method").and_then(Method::parse)
}

/// Counts a call against every limit that applies to it, unless it was counted [`early`].
pub fn check(call: &mut Call) -> Result<(), Failure> {
    if call.held.is_some() || call.policy.limits.is_empty() || call.method == http::Method::DELETE {
        return Ok(());
    }
    let is_request = |message: &&Message| message.shape() == Shape::Request;
    let Some(message) = call.message.as_ref().filter(is_request) else { return check_other(call) };
    let method = message.envelope.known_method;
    if method.is_some_and(is_free) {
        return check_other(call);
    }
    let own = match &call.routed {
        Some(routed) => Some(Cow::Borrowed(routed.name.as_str())),
        None => message.envelope.target_str(&message.bytes),
    };
    let server = call.view().single().or_else(|| call.routed.as_ref().map(|routed| &routed.server));
    let keys = keys(call, server, own.as_deref().filter(|_| method == Some(Method::ToolsCall)));
    let counted = call.policy.limits.check(&keys, clock::nanos_at(call.times.read));
    keep(call, counted)
}

/// Counts what no server works for long for, by where it comes from.
fn check_other(call: &mut Call) -> Result<(), Failure> {
    let counted = call.policy.limits.check_other(&keys(call, None, None), clock::nanos_at(call.times.read));
    counted.map_or(Ok(()), |counted| keep(call, counted))
}

fn keys<'a>(call: &'a Call, server: Option<&'a Arc<Server>>, tool: Option<&'a str>) -> Keys<'a> {
    let client = call.client();
    Keys {
        listener: &call.entrance.listener.name,
        address: call.address,
        client: &client.id,
        tier: client.tier.as_ref().map(|tier| tier.name.as_str()),
        organisation: client.organisation.as_ref().map(|organisation| organisation.name.as_str()),
        server: server.map(|server| server.settings.name.as_str()),
        tool,
        tell: call.entrance.listener.rate_headers,
    }
}

/// Keeps what the call holds, and what its client is to be told.
fn keep(call: &mut Call, counted: Result<Held, Refusal>) -> Result<(), Failure> {
    match counted {
        Ok(mut held) => {
            call.told = held.told.take();
            call.held = Some(held);
            Ok(())
        }
        Err(refusal) => {
            let failure = Failure::new(Kind::Limited, refusal.to_string());
            let failure = failure.retry_after(refusal.retry_after).with_data(refusal.data());
            call.told = Some(refusal.told).filter(|_| call.entrance.listener.rate_headers);
            Err(failure)
        }
    }
}

/// Tells the client where it stands, where a limit of its own applied or one refused the call.
pub fn tell(call: &Call, response: &mut Response<Body>) {
    if let Some(told) = &call.told {
        let headers = response.headers_mut();
        headers.insert(POLICY, told.policy());
        headers.insert(STANDING, told.standing());
    }
}

fn is_free(method: Method) -> bool {
    lists::is_list(method)
        || matches!(method, Method::Initialize | Method::Discover | Method::Ping | Method::SetLevel | Method::Listen)
}
