//! Tools that are not what they were when they were accepted, as operators see and approve them.

use toolgate_admin_api as api;
use toolgate_protocol::bridge::listen::List;
use tracing::info;

use super::daemon::Daemon;
use super::offer::known;
use crate::admin::{Peer, ToolOperations};
use crate::answers::pins::{NotApproved, from_hex, to_hex};
use crate::observe::Shown;

impl ToolOperations for Daemon {
    fn tool_changes(&self) -> api::ToolChanges {
        let policy = self.gate.policy.load_full();
        let mut servers: Vec<_> = policy.servers.values().collect();
        servers.sort_by(|one, other| one.settings.name.cmp(&other.settings.name));
        let of_server = |server: &std::sync::Arc<crate::servers::Server>| {
            let (name, withheld) = (server.settings.name.clone(), server.answers.blocks());
            server.answers.changes().into_iter().map(move |change| api::ToolChange {
                server: name.clone(),
                tool: change.tool,
                withheld,
                accepted_at_ms: change.before.since,
                changed_at_ms: change.after.since,
                hash: to_hex(&change.after.hash),
                before: change.before.text.to_string(),
                after: change.after.text.to_string(),
            })
        };
        api::ToolChanges { changes: servers.into_iter().flat_map(of_server).collect() }
    }

    fn approve_tool(
        &self,
        peer: &Peer,
        name: &str,
        request: &api::ApproveRequest,
    ) -> Result<api::ApproveOutcome, api::ApiError> {
        let policy = self.gate.policy.load_full();
        let server = known(&policy, name)?;
        let hash = request.hash.as_deref().map(|hash| {
            from_hex(hash).ok_or_else(|| {
                api::ApiError::new(api::ErrorCode::BadRequest, "This is no hash.")
                    .remedy("Send the hash that /v1/tools/changes says, or none.")
                    .field("hash")
            })
        });
        let approved = server.answers.approve(&request.tool, hash.transpose()?.as_ref(), request.dry_run);
        approved.map_err(|problem| not_approved(&problem, name, &request.tool))?;
        if !request.dry_run {
            let (reason, tool) = (request.reason.as_deref().unwrap_or(""), Shown(&request.tool));
            info!(who = %peer, reason, server = name, %tool, "a changed tool was approved");
            if server.answers.blocks() {
                server.catalog.forget();
                server.news.publish_change(List::Tools);
            }
        }
        Ok(api::ApproveOutcome { server: name.to_owned(), tool: request.tool.clone(), applied: !request.dry_run })
    }
}

fn not_approved(problem: &NotApproved, server: &str, tool: &str) -> api::ApiError {
    let tool = Shown(tool);
    match problem {
        NotApproved::Unchanged => {
            api::ApiError::new(api::ErrorCode::NotFound, format!("No change of {tool} at {server} waits for approval."))
                .remedy("`toolgate tools changes` names those that do.")
        }
        NotApproved::Stale => api::ApiError::new(
            api::ErrorCode::Conflict,
            format!("{tool} at {server} is something else by now than what was looked at."),
        )
        .remedy("Look at it again with `toolgate tools changes`."),
    }
}
