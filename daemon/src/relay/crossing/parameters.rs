//! Arguments that a tool wants mirrored into `Mcp-Param-*` headers, for the side that cannot.
//!
//! A legacy server reads no headers, so the gate checks them; a legacy client writes none, so the
//! gate does. A server whose tools cannot be listed has its calls pass unchecked.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use http::header::{HeaderMap, HeaderName};
use toolgate_protocol::header_value::{self, HeaderParam};
use toolgate_protocol::method::Method;
use tracing::debug;

use crate::call::Call;
use crate::core::Core;
use crate::failure::{Failure, Kind};
use crate::message::Message;
use crate::servers::Server;
use crate::servers::catalog::{self, Tool};

/// What the tool wants that a modern request calls, if it calls one; refuses a call whose headers do not
/// mirror its arguments (2026-07-28, "Server Validation"). A mismatch may come from a list of before the
/// server was changed, so it is looked at again.
pub(super) async fn checked(call: &Call, server: &Arc<Server>, message: &Message) -> Result<Tool, Failure> {
    match called(message) {
        Some(name) => agreed(call, server, &name, message).await,
        None => Ok(Tool::default()),
    }
}

async fn agreed(call: &Call, server: &Arc<Server>, name: &str, message: &Message) -> Result<Tool, Failure> {
    let tool = named(&call.core, server, name).await;
    let Err(mismatch) = check(call, &tool, message) else { return Ok(tool) };
    let Some(tool) = named_again(&call.core, server, name).await else { return Err(mismatch) };
    check(call, &tool, message).map(|()| tool)
}

fn check(call: &Call, tool: &Tool, message: &Message) -> Result<(), Failure> {
    for param in &tool.params {
        let header = call.headers.get(&param.header).map(http::HeaderValue::as_bytes);
        header_value::check_param(param, header, &message.bytes, message.envelope.arguments)
            .map_err(|mismatch| Failure::new(Kind::HeaderMismatch, mismatch.to_string()))?;
    }
    Ok(())
}

/// Has a call's headers say nothing else than its arguments where a condition of its client's role has judged these: a
/// server may act on either. Headers that mirror nothing do not pass.
pub async fn proven(call: &mut Call) -> Result<(), Failure> {
    let Some((server, name)) = judged(call) else { return Ok(()) };
    let tool = agreed(call, &server, &name, call.message()).await?;
    let mut headers = HeaderMap::clone(&call.headers);
    let given: Vec<_> = headers.keys().filter(|name| is_mirrored(name)).cloned().collect();
    for name in given {
        // Of a repeated header the first value was looked at.
        let value = headers.remove(&name);
        let wanted = tool.params.iter().any(|param| name.as_str().eq_ignore_ascii_case(&param.header));
        if let Some(value) = value.filter(|_| wanted) {
            headers.insert(name, value);
        }
    }
    call.headers = Arc::new(headers);
    Ok(())
}

/// Server and own name of the tool that is called, where a condition is on its arguments and headers come with it.
fn judged(call: &Call) -> Option<(Arc<Server>, String)> {
    let rights = call.client().rights.as_ref()?;
    let called = called(call.message.as_ref()?)?;
    let (server, name) = match &call.routed {
        Some(routed) => (&routed.server, routed.name.clone()),
        None => (call.view().single()?, called.into_owned()),
    };
    rights.conditions(&server.settings.name, &name).next()?;
    call.headers.keys().any(is_mirrored).then(|| (Arc::clone(server), name))
}

fn is_mirrored(name: &HeaderName) -> bool {
    name.as_str().starts_with("mcp-param-")
}

/// The headers that a legacy client's call must have at a modern server over HTTP.
pub(super) async fn mirrored(core: &Rc<Core>, server: &Arc<Server>, message: &Message) -> Vec<(String, String)> {
    if server.http().is_none() {
        return Vec::new();
    }
    headers(&tool(core, server, message).await, message)
}

/// The same for a call that the server refused for its headers; `None` where nothing else is known by now.
pub(super) async fn mirrored_again(
    core: &Rc<Core>,
    server: &Arc<Server>,
    message: &Message,
) -> Option<Vec<(String, String)>> {
    server.http()?;
    Some(headers(&tool_again(core, server, message).await?, message))
}

fn headers(tool: &Tool, message: &Message) -> Vec<(String, String)> {
    let value = |param: &HeaderParam| {
        let value = header_value::param_value(param, &message.bytes, message.envelope.arguments)?;
        Some((param.header.clone(), value))
    };
    tool.params.iter().filter_map(value).collect()
}

/// What the tool wants that a request calls; nothing where it calls none, or one that is not known.
async fn tool(core: &Rc<Core>, server: &Arc<Server>, message: &Message) -> Tool {
    match called(message) {
        Some(name) => named(core, server, &name).await,
        None => Tool::default(),
    }
}

async fn named(core: &Rc<Core>, server: &Arc<Server>, name: &str) -> Tool {
    match catalog::tools(core, server).await {
        Ok(tools) => tools.get(name).cloned().unwrap_or_default(),
        Err(failure) => {
            debug!(server = server.settings.name, %failure, "what a tool wants is not known");
            Tool::default()
        }
    }
}

async fn tool_again(core: &Rc<Core>, server: &Arc<Server>, message: &Message) -> Option<Tool> {
    named_again(core, server, &called(message)?).await
}

async fn named_again(core: &Rc<Core>, server: &Arc<Server>, name: &str) -> Option<Tool> {
    catalog::tools_again(core, server).await.map(|tools| tools.get(name).cloned().unwrap_or_default())
}

/// The tool that a request calls.
fn called(message: &Message) -> Option<Cow<'_, str>> {
    let name = message.envelope.name_str(&message.bytes)?;
    (message.envelope.known_method == Some(Method::ToolsCall)).then_some(name)
}
