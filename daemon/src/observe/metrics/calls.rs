//! Metrics of calls: what the ledger has counted since the process began.

use super::page::Page;
use crate::observe::ledger::{Ledger, Outcome};

/// Phases, in the ledger's order.
const PHASES: [&str; 4] = ["queue", "connect", "first_byte", "stream"];

pub(super) fn collect(ledger: &Ledger, page: &mut Page) {
    let mut samples = page.of("mcp_http_request_duration_seconds");
    for ((method, route, status), times) in ledger.routes() {
        samples.add_times(&[method, &route, &status.to_string()], &times);
    }
    let mut samples = page.of("mcp_request_duration_seconds");
    for ((server, method, outcome), times) in ledger.requests() {
        samples.add_times(&[&server, method, status(outcome)], &times);
    }
    let mut samples = page.of("mcp_tool_executions_total");
    for ((server, tool), counts) in ledger.executions() {
        for (outcome, count) in Outcome::ALL.into_iter().zip(counts) {
            // Both are there from the first call on, so that a rate of errors is one of something.
            if count > 0 || matches!(outcome, Outcome::Ok | Outcome::Error) {
                samples.add(&[&server, &tool, status(outcome)], count);
            }
        }
    }
    let mut samples = page.of("mcp_resource_requests_total");
    for ((server, scheme, outcome), count) in ledger.reads() {
        samples.add(&[&server, &scheme, status(outcome)], count);
    }
    let bytes = ledger.bytes();
    for (server, [received, sent]) in &bytes {
        page.of("toolgate_received_bytes_total").add(&[server], *received);
        page.of("toolgate_sent_bytes_total").add(&[server], *sent);
    }
    let mut samples = page.of("toolgate_phase_duration_seconds");
    for (server, phases) in ledger.phases() {
        for (phase, times) in PHASES.into_iter().zip(&phases) {
            samples.add_times(&[&server, phase], times);
        }
    }
    let (events, slow, latency) = ledger.streamed();
    page.set("mcp_stream_events_total", events);
    page.set("mcp_stream_slow_events_total", slow);
    page.of("mcp_stream_update_latency_seconds").add_times(&[], &latency);
    page.set("mcp_active_connections", ledger.connections());
    page.set("toolgate_calls_in_flight", ledger.in_flight());
}

/// As dashboards know it.
fn status(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "success",
        other => other.word(),
    }
}
