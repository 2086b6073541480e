//! Arguments that a tool wants mirrored into `Mcp-Param-*` headers, for the side that cannot.
//!
//! A legacy server reads no headers, so the gate checks them; a legacy client writes none, so the
//! gate does. A server whose tools cannot be listed has its calls pass unchecked.

use std::sync::Arc;

use toolgate_protocol::header_value::{self, HeaderParam};
use toolgate_protocol::method::Method;
use tracing::debug;

use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::message::Message;
use crate::servers::Server;
use crate::servers::catalog::{self, Tool};

/// Refuses a modern call whose headers do not mirror its arguments (2026-07-28, "Server Validation").
pub(super) fn check(call: &Call, tool: &Tool, message: &Message) -> Result<(), Failure> {
    for param in &tool.params {
        let header = call.headers.get(&param.header).map(http::HeaderValue::as_bytes);
        header_value::check_param(param, header, &message.bytes, message.envelope.arguments)
            .map_err(|mismatch| Failure::new(Kind::HeaderMismatch, mismatch.to_string()))?;
    }
    Ok(())
}

/// The headers that a legacy client's call must have at a modern server over HTTP.
pub(super) async fn mirrored(call: &Call, server: &Arc<Server>, message: &Message) -> Vec<(String, String)> {
    if server.http().is_none() {
        return Vec::new();
    }
    let wanted = tool(call, server, message).await.params.into_iter();
    let value = |param: HeaderParam| {
        let value = header_value::param_value(&param, &message.bytes, message.envelope.arguments)?;
        Some((param.header, value))
    };
    wanted.filter_map(value).collect()
}

/// What the tool wants that a request calls; nothing where it calls none, or one that is not known.
pub(super) async fn tool(call: &Call, server: &Arc<Server>, message: &Message) -> Tool {
    let name = message.envelope.name_str(&message.bytes);
    let Some(name) = name.filter(|_| message.envelope.known_method == Some(Method::ToolsCall)) else {
        return Tool::default();
    };
    match catalog::tools(&call.core, server).await {
        Ok(tools) => tools.get(&*name).cloned().unwrap_or_default(),
        Err(failure) => {
            debug!(server = server.settings.name, %failure, "what a tool wants is not known");
            Tool::default()
        }
    }
}
