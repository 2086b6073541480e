//! The daemon as those see it who watch it: every topic, from what the cores publish.

use std::cmp::Reverse;

use toolgate_admin_api as api;
use toolgate_protocol::history::Span;

use super::caches;
use super::daemon::Daemon;
use crate::admin::watch::{Question, Subject};
use crate::admin::{HealthOperations, LedgerOperations, LimitOperations, Operations, WatchOperations};
use crate::observe::ledger::{Filter, Tail};
use crate::policy::Policy;
use crate::servers::Server;

/// Servers and tools of the overview that need a look most.
const WORST: usize = 5;

/// Things of the overview that have a bound.
const SATURATION: usize = 32;

impl WatchOperations for Daemon {
    fn topic(&self, question: &Question) -> api::Topic {
        match question.subject {
            Subject::Overview => api::Topic::Overview(Box::new(self.overview())),
            Subject::Servers => api::Topic::Servers(self.server_rows(&self.gate.policy.load())),
            // What it is sorted by was looked at when the watch began.
            Subject::Sessions => api::Topic::Sessions(self.sessions(&question.table).unwrap_or_default()),
            Subject::Tools => api::Topic::Tools(self.tool_rows(&question.table).unwrap_or_default()),
            Subject::Limits => api::Topic::Limits(self.limits()),
            Subject::Clients => api::Topic::Clients(self.clients(&question.table).unwrap_or_default()),
            Subject::Health => api::Topic::Health(Box::new(self.health())),
            Subject::Calls => api::Topic::Calls(self.calls(&question.table).unwrap_or_default()),
            Subject::Queues => api::Topic::Queues(self.queues()),
            Subject::Config => api::Topic::Config(Box::new(self.config())),
        }
    }

    fn past(&self, names: &[String], span: Span) -> api::History {
        self.graphs.answer(names, span)
    }

    fn tail(&self, filter: Filter) -> Option<Tail> {
        self.gate.ledger.subscribe(filter)
    }
}

impl Daemon {
    fn overview(&self) -> api::Overview {
        let policy = self.gate.policy.load_full();
        let mut servers = self.server_rows(&policy);
        let status = self.glance(&policy);
        let process = self.gate.sample().process;
        let waiting = servers.iter().map(|row| row.status.waiting).sum();
        let saturation = saturation(&status, &process, &servers, &policy);
        servers.sort_by_key(|row| Reverse(need(row)));
        servers.truncate(WORST);
        api::Overview {
            status,
            traffic: self.gate.ledger.traffic(),
            heat: self.gate.ledger.heat(),
            waiting,
            saturation,
            worst_servers: servers,
            worst_tools: worst_tools(self.gate.ledger.tools()),
            alerts: self.gate.observed.alarms.firing(),
            process,
        }
    }

    pub(super) fn server_rows(&self, policy: &Policy) -> Vec<api::ServerRow> {
        let mut traffic = self.gate.ledger.servers();
        let rows = self.server_statuses(policy).into_iter().map(|status| {
            let running = policy.servers.get(&status.name);
            let traffic = traffic.remove(&status.name).unwrap_or_default();
            row(status, traffic, running.map(AsRef::as_ref))
        });
        rows.collect()
    }
}

/// What has a bound, the fullest first.
fn saturation(
    status: &api::Status,
    process: &api::Process,
    servers: &[api::ServerRow],
    policy: &Policy,
) -> Vec<api::Saturation> {
    let bounds = &policy.settings.daemon;
    let mut all = vec![
        full("connections", status.connections, bounds.max_connections as u64),
        full("sessions", status.sessions, bounds.max_sessions as u64),
        full("memory", process.memory, process.memory_limit),
        full("descriptors", process.descriptors, process.descriptors_limit),
    ];
    for row in servers {
        let name = &row.status.name;
        let known =
            [("calls", row.status.in_flight, row.max_calls), ("queue", row.status.waiting, Some(row.max_waiting))];
        let known = known.into_iter().filter_map(|(what, used, max)| Some((what, used, max.filter(|max| *max > 0)?)));
        all.extend(known.map(|(what, used, max)| full(&format!("{what}:{name}"), used, max)));
        let instances = row.status.instances.as_ref();
        all.extend(instances.map(|instances| full(&format!("instances:{name}"), instances.running, instances.max)));
    }
    all.sort_by_key(|one| Reverse(one.used.saturating_mul(1_000_000) / one.max.max(1)));
    all.truncate(SATURATION);
    all
}

/// A server with what it does.
fn row(status: api::ServerStatus, traffic: api::Traffic, running: Option<&Server>) -> api::ServerRow {
    let seen = running.map(|server| server.queue.snapshot());
    api::ServerRow {
        status,
        traffic,
        max_calls: seen.map(|seen| seen.cap as u64),
        max_waiting: running.map_or(0, |server| server.queue.bounds().0 as u64),
        oldest_ms: seen.map_or(0, |seen| u64::try_from(seen.oldest.as_millis()).unwrap_or(u64::MAX)),
        cache: running.and_then(caches::status),
    }
}

/// Those that fail most, then those that are slow and busy.
fn worst_tools(mut tools: Vec<api::ToolRow>) -> Vec<api::ToolRow> {
    tools.retain(|row| row.traffic.calls_per_second > 0.0 || row.traffic.in_flight > 0);
    tools.sort_by_key(|row| {
        let failing = row.traffic.errors_per_second + row.traffic.refused_per_second;
        Reverse((thousandths(failing), row.traffic.latency.p99_us))
    });
    tools.truncate(WORST);
    tools
}

/// How much a server needs a look: what does not work first, then where calls wait, what fails, and what is slow.
fn need(row: &api::ServerRow) -> (bool, u64, u64, u64) {
    let failing = row.traffic.errors_per_second + row.traffic.refused_per_second;
    (row.status.state.is_bad(), row.oldest_ms, thousandths(failing), row.traffic.latency.p99_us)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate for sorting")]
fn thousandths(rate: f64) -> u64 {
    (rate * 1000.0) as u64
}

fn full(what: &str, used: u64, max: u64) -> api::Saturation {
    api::Saturation { what: what.to_owned(), used, max }
}
