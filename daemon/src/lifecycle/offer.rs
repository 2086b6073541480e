//! What a server offers, for the operator who has just added it.
//!
//! The admin thread must not wait for a core, so the question is put to one and its answer awaited
//! here, on a thread for operations; only a few are put at a time.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use tokio::time::timeout;
use toolgate_admin_api as api;
use toolgate_protocol::json;

use super::daemon::{Daemon, era};
use crate::core::Core;
use crate::failure::Failure;
use crate::servers::Server;
use crate::servers::catalog::each_tool;

/// How long a server may take to start and to list its tools.
const PATIENCE: Duration = Duration::from_secs(10);
/// For the core to take the question up, beyond that.
const GRACE: Duration = Duration::from_secs(1);
/// Questions at once: fewer than there are threads for operations.
pub(super) const AT_ONCE: usize = 2;

impl Daemon {
    /// Asks a server for its tools now.
    pub(super) fn offer(&self, name: &str) -> Result<api::ServerTools, api::ApiError> {
        let policy = self.gate.policy.load_full();
        let server =
            policy.servers.get(name).ok_or_else(|| unknown(name, policy.settings.servers.contains_key(name)))?;
        let Ok(_permit) = self.asking.try_acquire() else {
            return Err(api::ApiError::new(
                api::ErrorCode::Unavailable,
                "Other servers are being asked for their tools.",
            )
            .remedy("Try again in ten seconds."));
        };
        let (tell, told) = mpsc::channel();
        let asked = Arc::clone(server);
        let put = self.cores.try_spawn(self.cores.least_loaded(), move |core| async move {
            // Nobody waits any more where sending fails.
            let _ = tell.send(timeout(PATIENCE, list(&core, &asked)).await.ok());
        });
        let answer = put.ok().and_then(|()| told.recv_timeout(PATIENCE + GRACE).ok().flatten());
        let (tools, trouble) = match answer {
            Some(Ok(tools)) => (tools, None),
            Some(Err(failure)) => (Vec::new(), Some(trouble(server, failure.message, failure.cause))),
            None => {
                let message = format!("The server {name} did not list its tools within {} s.", PATIENCE.as_secs());
                (Vec::new(), Some(trouble(server, message, None)))
            }
        };
        Ok(api::ServerTools { server: name.to_owned(), era: era(server), tools, trouble })
    }
}

fn unknown(name: &str, disabled: bool) -> api::ApiError {
    let (message, remedy) = if disabled {
        (format!("The server {name} is disabled."), "Remove `enabled = false` from its table, then reload.")
    } else {
        (format!("There is no server {name}."), "`toolgate server list` names those that there are.")
    };
    api::ApiError::new(api::ErrorCode::NotFound, message).remedy(remedy)
}

fn trouble(server: &Server, message: String, cause: Option<String>) -> api::ServerTrouble {
    let exit = server.instances().and_then(|instances| instances.last_exit());
    api::ServerTrouble { message, cause, stderr: exit.map(|exit| exit.stderr).unwrap_or_default() }
}

async fn list(core: &Rc<Core>, server: &Arc<Server>) -> Result<Vec<api::Tool>, Failure> {
    let mut tools = Vec::new();
    each_tool(core, server, |text, tool| {
        let Some(name) = tool.name.map(|name| json::decode_str(name.of(text)).into_owned()) else { return };
        let description = json::get(text, tool.span, "description")
            .filter(|description| description.of(text).starts_with(b"\""))
            .map(|description| json::decode_str(description.of(text)).into_owned());
        let hidden = !server.tools.pass(&name);
        tools.push(api::Tool { name, description, hidden });
    })
    .await?;
    Ok(tools)
}
