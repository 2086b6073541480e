//! Answers that are kept, as operators see and forget them.

use toolgate_admin_api as api;
use tracing::info;

use super::daemon::Daemon;
use super::offer::known;
use crate::admin::{CacheOperations, Peer};
use crate::servers::Server;

impl CacheOperations for Daemon {
    fn caches(&self) -> api::Caches {
        let policy = self.gate.policy.load_full();
        let mut servers: Vec<_> = policy.servers.values().filter_map(|server| status(server)).collect();
        servers.sort_by(|one, other| one.server.cmp(&other.server));
        api::Caches { servers }
    }

    fn clear_cache(
        &self,
        peer: &Peer,
        name: &str,
        request: &api::ClearRequest,
    ) -> Result<api::ClearOutcome, api::ApiError> {
        let policy = self.gate.policy.load_full();
        let server = known(&policy, name)?;
        let answers = &server.answers;
        // Where nothing is kept there is nothing to forget, which is what was asked for.
        let before = if request.dry_run { answers.statistics() } else { answers.clear() }.unwrap_or_default();
        if !request.dry_run {
            let reason = request.reason.as_deref().unwrap_or("");
            info!(who = %peer, reason, server = name, entries = before.entries, "kept answers were forgotten");
        }
        let (entries, bytes) = (before.entries, before.bytes);
        Ok(api::ClearOutcome { server: name.to_owned(), applied: !request.dry_run, entries, bytes })
    }
}

pub(super) fn status(server: &Server) -> Option<api::CacheStatus> {
    let counts = server.answers.statistics()?;
    let rules = &server.settings.answers.cache;
    Some(api::CacheStatus {
        server: server.settings.name.clone(),
        entries: counts.entries,
        max_entries: rules.entries as u64,
        bytes: counts.bytes,
        max_bytes: rules.size as u64,
        hits: counts.hits,
        misses: counts.misses,
        shared: counts.shared,
        waiting: counts.waiting,
        stale: counts.stale,
        evictions: counts.evictions,
    })
}
