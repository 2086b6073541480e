//! What users allowed clients at servers, as operators see and revoke it.

use toolgate_admin_api as api;

use super::daemon::Daemon;
use crate::admin::GrantOperations;
use crate::relay::farewell;

impl GrantOperations for Daemon {
    fn grants(&self) -> api::GrantsView {
        let row = |grant: crate::grants::Listed| api::GrantRow {
            server: grant.server,
            client: grant.client,
            owner: grant.owner,
            since_ms: grant.since,
            renewed_ms: grant.renewed,
            refreshes: grant.refreshes,
        };
        api::GrantsView { grants: self.gate.policy.load().grants.list().into_iter().map(row).collect() }
    }

    fn revoke_grant(&self, server: &str, request: &api::RevokeRequest) -> Result<api::RevokeOutcome, api::ApiError> {
        let policy = self.gate.policy.load_full();
        let client = request.client.as_str();
        // Also of a server that is not there any more.
        if policy.grants.number(server, client).is_none() {
            let message =
                format!("No user allowed {} anything at the server {}.", api::Shown(client), api::Shown(server));
            return Err(api::ApiError::new(api::ErrorCode::NotFound, message)
                .remedy("`toolgate grants list` says which there are.")
                .field("client"));
        }
        if !request.dry_run {
            policy.grants.revoke(server, client);
            // Its facet goes, and the sessions that were opened with it.
            if let Some(server) = policy.servers.get(server)
                && let Some(users) = server.users()
            {
                drop(users.of(server, client));
            }
            let ended = self.gate.end_stale_sessions();
            // A gate that ends tells servers by itself.
            let _ = self.cores.try_spawn(0, move |core| async move { farewell::begin(&core, ended) });
        }
        Ok(api::RevokeOutcome { server: server.to_owned(), client: client.to_owned(), applied: !request.dry_run })
    }
}
