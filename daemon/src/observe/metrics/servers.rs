//! Metrics of servers: queues, pools, breakers, caches, instances.

use std::sync::Arc;

use toolgate_protocol::breaker::State;

use super::page::Page;
use crate::config::settings::Transport;
use crate::policy::Policy;
use crate::servers::Server;
use crate::servers::endpoints::Mode;

const STATES: [(State, &str); 5] = [
    (State::Closed, "closed"),
    (State::HalfOpen, "half_open"),
    (State::Open, "open"),
    (State::ForcedOpen, "forced_open"),
    (State::ForcedClosed, "forced_closed"),
];

pub(super) fn collect(policy: &Policy, page: &mut Page) {
    let mut servers: Vec<_> = policy.servers.values().collect();
    servers.sort_by(|one, other| one.settings.name.cmp(&other.settings.name));
    for server in servers {
        queue(server, page);
        endpoints(server, page);
        answers(server, page);
        instances(server, page);
    }
}

fn queue(server: &Arc<Server>, page: &mut Page) {
    let name = &[server.settings.name.as_str()];
    let seen = server.queue.snapshot();
    page.of("toolgate_server_up").add(name, server.trouble().is_none());
    page.of("toolgate_server_calls_in_flight").add(name, seen.in_flight);
    page.of("toolgate_server_calls_max").add(name, seen.cap);
    page.of("toolgate_queue_waiting").add(name, seen.waiting);
    page.of("toolgate_queue_max").add(name, server.queue.bounds().0);
    page.of("toolgate_queue_oldest_seconds").add(name, seen.oldest.as_secs_f64());
}

fn endpoints(server: &Arc<Server>, page: &mut Page) {
    let name = server.settings.name.as_str();
    if let (Some(upstream), Transport::Http(http)) = (server.http(), &server.settings.transport) {
        page.of("toolgate_pool_connections").add(&[name], upstream.connections().0.open);
        page.of("toolgate_streams").add(&[name], server.streams.snapshot().in_flight);
        page.of("toolgate_streams_max").add(&[name], server.settings.max_streams);
        page.of("toolgate_pool_connections_max").add(&[name], http.pool.max_connections);
    }
    page.of("toolgate_retries_total").add(&[name], server.endpoints.retries());
    for (index, endpoint) in server.endpoints.each().iter().enumerate() {
        let place = &*place(&endpoint.label, index);
        page.of("toolgate_endpoint_ready").add(&[name, place], endpoint.mode() == Mode::Ready);
        if !endpoint.has_breaker(&server.settings) {
            continue;
        }
        let glance = endpoint.glance();
        for (state, word) in STATES {
            page.of("toolgate_breaker_state").add(&[name, place, word], glance.state == state);
        }
        page.of("toolgate_breaker_opened_total").add(&[name, place], glance.opened);
    }
}

/// An endpoint as all may know it: its path and its query may hold a credential.
fn place(url: &str, index: usize) -> String {
    if url.is_empty() {
        return String::new();
    }
    let Ok(url) = url.parse::<http::Uri>() else { return format!("#{index}") };
    let authority = url.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    // Nor is it known before an `@`.
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{host}#{index}")
}

fn answers(server: &Arc<Server>, page: &mut Page) {
    let name = &[server.settings.name.as_str()];
    page.of("toolgate_guard_violations_total").add(name, server.answers.violations());
    let Some(kept) = server.answers.statistics() else { return };
    page.of("toolgate_cache_entries").add(name, kept.entries);
    page.of("toolgate_cache_bytes").add(name, kept.bytes);
    page.of("toolgate_cache_hits_total").add(name, kept.hits);
    page.of("toolgate_cache_misses_total").add(name, kept.misses);
    page.of("toolgate_cache_evictions_total").add(name, kept.evictions);
}

fn instances(server: &Arc<Server>, page: &mut Page) {
    let name = &[server.settings.name.as_str()];
    let Some(instances) = server.instances() else { return };
    page.of("toolgate_instances").add(name, instances.count());
    page.of("toolgate_instances_max").add(name, instances.max());
    page.of("toolgate_instances_started_total").add(name, instances.started());
    let memory = instances.glance().iter().filter_map(|instance| instance.usage.memory).reduce(|sum, one| sum + one);
    if let Some(memory) = memory {
        page.of("toolgate_instances_memory_bytes").add(name, memory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_has_what_may_be_a_credential() {
        let places = [
            ("https://mcp.example.org/s3cret/mcp?key=s3cret", "mcp.example.org#1"),
            ("http://ann:s3cret@127.0.0.1:8080/", "127.0.0.1:8080#1"),
            ("s3cret s3cret", "#1"),
            ("", ""),
        ];
        for (url, wanted) in places {
            assert_eq!(place(url, 1), wanted);
        }
    }
}
