//! The queues and the overload, as the admin sockets tell of them.

use std::sync::Arc;
use std::time::Duration;

use toolgate_admin_api as api;
use toolgate_protocol::overload::Step;

use crate::overload::{Overload, words};
use crate::policy::Policy;
use crate::servers::Server;

/// Calls of a queue that are told one by one.
const CALLS: usize = 100;

/// All of them, by the server's name.
pub(super) fn queues(policy: &Policy) -> api::Queues {
    let mut servers: Vec<_> = policy.servers.values().map(queue).collect();
    servers.sort_by(|one, other| one.server.cmp(&other.server));
    api::Queues { servers }
}

fn queue(server: &Arc<Server>) -> api::QueueStatus {
    let seen = server.queue.snapshot();
    let (tiers, calls) = server.queue.look(CALLS);
    let tiers = tiers.into_iter().map(|tier| api::QueuedTier {
        tier: tier.name,
        weight: tier.weight,
        waiting: tier.waiting as u64,
        clients: tier.clients as u64,
    });
    // Looked at a moment later.
    let longest = calls.iter().map(|call| call.waited).max().unwrap_or_default();
    let calls = calls.into_iter().enumerate().map(|(position, call)| api::QueuedCall {
        position: position as u64,
        client: call.client.map_or_else(|| "-".to_owned(), |client| client.to_string()),
        tier: call.tier,
        waited_ms: millis(call.waited),
    });
    api::QueueStatus {
        server: server.settings.name.clone(),
        in_flight: seen.in_flight as u64,
        cap: seen.cap as u64,
        held_back: seen.held_back as u64,
        max_calls: server.settings.max_calls as u64,
        waiting: seen.waiting as u64,
        max_size: server.queue.bounds().0 as u64,
        timeout_ms: millis(server.queue.bounds().1),
        by_hand: server.queue.bounds() != (server.settings.queue.max_size, server.settings.queue.timeout),
        waiting_for_own: seen.aside as u64,
        oldest_ms: millis(seen.oldest.max(longest)),
        adaptive: server.found().map(|found| api::AdaptiveStatus {
            limit: found.limit as u64,
            unloaded_ms: found.unloaded.map(|seconds| seconds * 1000.0),
        }),
        tiers: tiers.collect(),
        calls: calls.collect(),
    }
}

/// Nothing while there is none.
pub(super) fn overload(overload: &Overload) -> Option<api::OverloadStatus> {
    let told = overload.told()?;
    Some(api::OverloadStatus {
        level: told.level,
        reason: told.reason.clone(),
        step: words(Step::of(told.level)).to_owned(),
        for_seconds: told.since.elapsed().as_secs(),
    })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
