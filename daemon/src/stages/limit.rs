//! Limits of the operator: a call is counted before its server is disturbed.
//!
//! Counted is what makes a server work for the client: calls of tools, prompts and resources.
//! Greetings, pings and lists are not, so that a client at its limit can still find its way.

use std::borrow::Cow;

use toolgate_protocol::envelope::Shape;
use toolgate_protocol::method::Method;
use toolgate_protocol::names;

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
    let method = Method::parse(&message.method());
    if method.is_some_and(is_free) {
        return Ok(());
    }
    let name = message.envelope.target_str(&message.bytes);
    let (server, own) = target(call, name.as_deref());
    let client = call.client();
    let keys = Keys {
        listener: &call.entrance.listener.name,
        address: call.connection.peer.ip(),
        client: &client.id,
        tier: client.tier.as_ref().map(|tier| tier.name.as_str()),
        server: server.as_deref(),
        tool: own.as_deref().filter(|_| method == Some(Method::ToolsCall)),
    };
    let held = call.policy.limits.check(&keys, clock::nanos()).map_err(|refusal| {
        Failure::new(Kind::Limited, refusal.to_string()).retry_after(refusal.retry_after)
    })?;
    call.held = Some(held);
    Ok(())
}

fn is_free(method: Method) -> bool {
    lists::is_list(method)
        || matches!(method, Method::Initialize | Method::Discover | Method::Ping | Method::SetLevel | Method::Listen)
}

/// The server that a name goes to, and the name that it has there.
fn target<'n>(call: &Call, name: Option<&'n str>) -> (Option<String>, Option<Cow<'n, str>>) {
    if let Some(server) = call.view().single() {
        return (Some(server.settings.name.clone()), name.map(Cow::Borrowed));
    }
    let split = name.and_then(|name| names::split(name).or_else(|| names::split_uri(name)));
    let known = split.and_then(|(server, own)| call.view().server(server).map(|server| (server, own)));
    match known {
        Some((server, own)) => (Some(server.settings.name.clone()), Some(Cow::Borrowed(own))),
        None => (None, None),
    }
}
