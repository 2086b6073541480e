//! Metrics of the gate itself: readiness, sessions, limits, overload.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use super::page::Page;
use crate::clock;
use crate::gate::Gate;
use crate::observe::{health, panics};

pub(super) fn collect(gate: &Gate, page: &mut Page) {
    let policy = gate.policy.load_full();
    page.of("toolgate_build_info").add(&[env!("CARGO_PKG_VERSION")], 1_u64);
    page.set("toolgate_config_revision", policy.settings.revision);
    page.set("toolgate_ready", health::not_ready(gate).is_none());
    let status = health::look(gate).status.word();
    for word in ["healthy", "warning", "unhealthy"] {
        page.of("toolgate_health").add(&[word], word == status);
    }
    page.set("toolgate_draining", gate.draining.load(Ordering::Relaxed));
    page.set("toolgate_overload_level", gate.overload.told().map_or(0, |told| u64::from(told.level)));
    page.set("toolgate_defects_total", panics::count());
    let (lines, lost) = gate.audit.counts();
    page.set("toolgate_audit_lines_total", lines);
    page.set("toolgate_audit_lost_total", lost);
    page.set("mcp_active_sessions", gate.sessions.len());
    page.set("mcp_sessions_created_total", gate.sessions.opened());
    page.set("toolgate_session_events_bytes", gate.sessions.story_bytes());
    if policy.settings.trace.is_some() {
        for (outcome, spans) in ["sent", "lost"].into_iter().zip(gate.traces.spans()) {
            page.of("toolgate_trace_spans_total").add(&[outcome], spans);
        }
    }
    for certificate in gate.observed.certificates() {
        let labels = &[certificate.listener.as_str(), &certificate.file];
        let expiry = Duration::from_millis(certificate.not_after_ms).as_secs_f64();
        page.of("toolgate_certificate_expiry_timestamp_seconds").add(labels, expiry);
        page.of("toolgate_certificate_refused").add(labels, certificate.refused.is_some());
    }
    for (listener, list) in health::lists(gate) {
        let file = list.file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
        let next = list.next_update.and_then(|next| next.duration_since(SystemTime::UNIX_EPOCH).ok());
        if let Some(next) = next {
            page.of("toolgate_client_crl_next_update_timestamp_seconds").add(&[&listener, &file], next.as_secs_f64());
        }
        page.of("toolgate_client_crl_refused").add(&[&listener, &file], list.refused.is_some());
    }
    for (method, count) in gate.failures.counts() {
        page.of("toolgate_authentication_failures_total").add(&[method.word()], count);
    }
    page.set("toolgate_authentication_refused_total", gate.failures.refused());
    page.set("toolgate_authentication_blocked_addresses", gate.failures.blocked(clock::nanos()).0);
    let mut samples = page.of("toolgate_limit_rejected_total");
    for limit in policy.limits.rejections() {
        samples.add(&[&limit.name, &limit.place, &limit.per], limit.count);
    }
}
