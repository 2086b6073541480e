//! What users allowed clients at servers, as operators see and revoke it.

use toolgate_admin_api as api;
use tracing::info;

use super::daemon::Daemon;
use crate::admin::GrantOperations;
use crate::policy::Policy;
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
            take_back(&policy, server, client);
            let ended = self.gate.end_stale_sessions();
            // A gate that ends tells servers by itself.
            let _ = self.cores.try_spawn(0, move |core| async move { farewell::begin(&core, ended) });
        }
        Ok(api::RevokeOutcome { server: server.to_owned(), client: client.to_owned(), applied: !request.dry_run })
    }
}

/// Forgets a grant, and the facet of the server that it opened.
fn take_back(policy: &Policy, server: &str, client: &str) {
    policy.grants.revoke(server, client);
    if let Some(server) = policy.servers.get(server)
        && let Some(users) = server.users()
    {
        drop(users.of(server, client));
    }
}

impl Daemon {
    /// Forgets what users allowed a client that can come no more: nobody is to find their tokens under its id. Its
    /// sessions have ended before. How many they were.
    pub(super) fn forget_grants(&self, client: &str) -> u64 {
        let policy = self.gate.policy.load_full();
        let servers = policy.grants.servers_of(client);
        for server in &servers {
            take_back(&policy, server, client);
            info!(server, client = %api::Shown(client), "what a user allowed was forgotten: the client is none any more");
        }
        servers.len() as u64
    }
}
