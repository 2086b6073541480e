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
use crate::instance::notice::{Cause, Exit};
use crate::policy::Policy;
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
        let server = known(&policy, name)?;
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
            Some(Err(failure)) => (Vec::new(), Some(trouble(server, Some(&failure)))),
            None => (Vec::new(), Some(trouble(server, None))),
        };
        Ok(api::ServerTools { server: name.to_owned(), era: era(server), tools, trouble })
    }
}

/// A running server by its name.
pub(super) fn known<'p>(policy: &'p Policy, name: &str) -> Result<&'p Arc<Server>, api::ApiError> {
    policy.servers.get(name).ok_or_else(|| unknown(name, policy.settings.servers.contains_key(name)))
}

pub(super) fn unknown(name: &str, disabled: bool) -> api::ApiError {
    let (message, remedy) = if disabled {
        (format!("The server {name} is disabled."), "Remove `enabled = false` from its table, then reload.")
    } else {
        (format!("There is no server {name}."), "`toolgate server list` names those that there are.")
    };
    api::ApiError::new(api::ErrorCode::NotFound, message).remedy(remedy)
}

/// What an operator should know of a server that did not answer; without a failure its time was up.
fn trouble(server: &Server, failure: Option<&Failure>) -> api::ServerTrouble {
    let name = &server.settings.name;
    let exit = server.instances().and_then(|instances| instances.last_end()).map(|end| end.exit);
    let ended = exit.as_ref().and_then(how_it_ended);
    let message = match failure {
        None => format!("The server {name} did not list its tools within {} s.", PATIENCE.as_secs()),
        Some(Failure { cause, message, .. }) => match ended.or_else(|| cause.clone()) {
            Some(why) => format!("The server {name} does not answer: {why}."),
            None => message.clone(),
        },
    };
    api::ServerTrouble { message, stderr: exit.map(|exit| exit.stderr).unwrap_or_default() }
}

/// Of an instance that ended by itself, or never started.
fn how_it_ended(exit: &Exit) -> Option<String> {
    match exit {
        Exit { cause: Cause::Failed, error: Some(error), .. } => Some(error.clone()),
        Exit { cause: Cause::Exited, status: Some(status), .. } => Some(format!("it ended with status {status}")),
        Exit { cause: Cause::Exited, signal: Some(signal), .. } => Some(format!("signal {signal} ended it")),
        _ => None,
    }
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
