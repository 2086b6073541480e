//! Health as HTTP tells it: statuses for everybody, and what is behind them where the operator looks.

use std::time::{SystemTime, UNIX_EPOCH};

use http::StatusCode;
use serde_json::{Map, Value, json};
use toolgate_protocol::verdict::Status;

use super::{Finding, NotReady, Report, not_ready_of_late, recent};
use crate::gate::Gate;
use crate::overload::readings::ratio;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Whoever reaches the listener: names and statuses, eras of servers, and the gate's version, uptime and memory; no
    /// messages, which may name files, and no other numbers.
    Public,
    /// Whoever reaches a listener that serves `status`.
    Internal,
}

/// `/health`
pub fn health(gate: &Gate, audience: Audience) -> (StatusCode, String) {
    let recent = recent(gate);
    let report = &recent.report;
    let status = if report.status == Status::Unhealthy { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let mut body = summary(gate, report, audience);
    if audience == Audience::Internal {
        body.extend(detail(gate));
    }
    (status, Value::Object(body).to_string())
}

/// `/ready`
pub fn ready(gate: &Gate, audience: Audience) -> (StatusCode, String) {
    match not_ready_of_late(gate) {
        None => (StatusCode::OK, r#"{"ready":true}"#.to_owned()),
        Some(NotReady { public, full }) => {
            let reason = if audience == Audience::Internal { full } else { public };
            (StatusCode::SERVICE_UNAVAILABLE, json!({ "ready": false, "reason": reason }).to_string())
        }
    }
}

/// The status, and that of each part.
pub fn summary(gate: &Gate, report: &Report, audience: Audience) -> Map<String, Value> {
    let process = gate.sample().process;
    let checks: Map<String, Value> =
        report.findings.iter().map(|found| (found.name.clone(), check(found, audience))).collect();
    let body = json!({
        "status": report.status.word(),
        "timestamp": unix_seconds(),
        "uptime": gate.started.elapsed().as_secs(),
        "version": env!("CARGO_PKG_VERSION"),
        "memory": { "used": process.memory, "limit": process.memory_limit },
        "checks": checks,
    });
    object(body)
}

fn check(found: &Finding, audience: Audience) -> Value {
    let mut check = Map::new();
    check.insert("status".into(), found.status.word().into());
    if let Some(era) = found.era {
        check.insert("era".into(), era.into());
    }
    if audience == Audience::Internal {
        if !found.message.is_empty() {
            check.insert("message".into(), found.message.as_str().into());
        }
        check.insert("critical".into(), found.critical.into());
        check.insert("age_ms".into(), found.age_ms.into());
        check.insert("took_us".into(), found.took_us.into());
    }
    Value::Object(check)
}

/// Pools, limits, servers, the process, alerts and advice.
pub fn detail(gate: &Gate) -> Map<String, Value> {
    let policy = gate.policy.load_full();
    let pools: Map<String, Value> = policy
        .servers
        .values()
        .map(|server| {
            let seen = server.queue.snapshot();
            let pool = json!({
                "in_flight": seen.in_flight,
                "at_once": seen.cap,
                "waiting": seen.waiting,
                "queue_size": server.queue.bounds().0,
                "oldest_ms": u64::try_from(seen.oldest.as_millis()).unwrap_or(u64::MAX),
                "waiting_for_a_connection": server.waiting_for_room(),
            });
            (server.settings.name.clone(), pool)
        })
        .collect();
    let limiter: Vec<Value> = policy
        .limits
        .refusals()
        .map(|(place, name, refused)| json!({ "limit": name, "place": place, "refused": refused }))
        .collect();
    let sample = gate.sample();
    object(json!({
        "system": sample.process,
        "system_recent": {
            "cpu_10s": sample.cpu,
            "cpu_60s": sample.cpu_minute,
            "memory": ratio(sample.process.memory, sample.process.memory_limit),
        },
        "pools": pools,
        "limiter": limiter,
        "alerts": gate.observed.alarms.listed(),
        "advice": gate.observed.advice.load().as_deref(),
    }))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
