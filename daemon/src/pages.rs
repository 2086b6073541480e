//! Pages of the gate's own: health and readiness, for probes and balancers.

use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

use crate::body::Body;
use crate::call::Call;
use crate::config::settings::Serve;
use crate::gate::Gate;
use crate::lifecycle::daemon;

/// A page that needs no client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// `/health`
    Health,
    /// `/ready`
    Ready,
}

impl Page {
    /// The page at a path, where the listener serves it.
    pub fn at(path: &str, serve: Serve) -> Option<Self> {
        match path {
            "/health" if serve.health => Some(Self::Health),
            "/ready" if serve.ready => Some(Self::Ready),
            _ => None,
        }
    }

    /// The answer.
    pub fn answer(self, call: &Call) -> Response<Body> {
        let (status, text) = match self {
            Self::Health => health(&call.core.gate),
            Self::Ready => ready(&call.core.gate),
        };
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// Whether a page of the gate's own has this path, wherever it is served.
pub fn is_page(path: &str) -> bool {
    matches!(path, "/health" | "/ready" | "/metrics")
}

/// `/health`: what is wrong, if anything.
pub fn health(gate: &Gate) -> (StatusCode, String) {
    let policy = gate.policy.load();
    let mut checks: serde_json::Map<String, serde_json::Value> = policy
        .servers
        .values()
        .map(|server| {
            let told: Vec<String> = server.left_out.told().into_iter().chain(server.answers.told()).collect();
            let trouble = server.trouble().or_else(|| server.endpoints.degradation());
            let trouble = trouble.or_else(|| (!told.is_empty()).then(|| told.join("\n")));
            let status = if trouble.is_none() { "healthy" } else { "warning" };
            let mut check = serde_json::json!({ "status": status });
            if let Some(trouble) = trouble {
                check["message"] = trouble.into();
            }
            if let Some(era) = daemon::era(server) {
                check["era"] = era.word().into();
            }
            (format!("server:{}", server.settings.name), check)
        })
        .collect();
    if let Some(message) = policy.settings.from_history() {
        checks.insert("config".to_owned(), serde_json::json!({ "status": "warning", "message": message }));
    }
    if let Some(told) = gate.overload.told() {
        checks.insert("overload".to_owned(), serde_json::json!({ "status": "warning", "message": told.sentence() }));
    }
    if let Some(message) = gate.units.load().as_deref() {
        checks.insert("units".to_owned(), serde_json::json!({ "status": "warning", "message": message }));
    }
    let warned = checks.values().any(|check| check["status"] != "healthy") || !policy.settings.warnings.is_empty();
    let body = serde_json::json!({
        "status": if warned { "warning" } else { "healthy" },
        "timestamp": unix_seconds(),
        "uptime": gate.started.elapsed().as_secs(),
        "version": env!("CARGO_PKG_VERSION"),
        "checks": checks,
    });
    (StatusCode::OK, body.to_string())
}

/// `/ready`: whether new calls should come here.
pub fn ready(gate: &Gate) -> (StatusCode, String) {
    match not_ready(gate) {
        None => (StatusCode::OK, r#"{"ready":true}"#.to_owned()),
        Some(reason) => {
            let body = serde_json::json!({ "ready": false, "reason": reason });
            (StatusCode::SERVICE_UNAVAILABLE, body.to_string())
        }
    }
}

/// Why new calls should not come here.
pub fn not_ready(gate: &Gate) -> Option<String> {
    if gate.draining.load(Ordering::Relaxed) {
        return Some("draining: the gate is shutting down".to_owned());
    }
    let policy = gate.policy.load();
    policy.servers.values().filter(|server| server.settings.critical).find_map(|server| {
        server.trouble().map(|trouble| format!("critical server {}: {trouble}", server.settings.name))
    })
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
