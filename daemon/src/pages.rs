//! Pages of the gate's own: health, readiness and metrics, for probes, balancers and collectors.

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

use crate::body::Body;
use crate::call::Call;
use crate::config::Settings;
use crate::config::settings::Serve;
use crate::identity::resource;
use crate::observe::health::page::{self, Audience};
use crate::observe::metrics;

/// A page that needs no client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// `/health`, or where the configuration has it.
    Health,
    /// `/ready`
    Ready,
    /// `/metrics`
    Metrics,
    /// What a path is as a resource, for clients that need a token: `/.well-known/oauth-protected-resource` and below.
    Resource,
}

impl Page {
    /// The page at a path, where the listener serves it.
    pub fn at(path: &str, serve: Serve, settings: &Settings) -> Option<Self> {
        match path {
            "/ready" if serve.ready => Some(Self::Ready),
            "/metrics" if serve.metrics => Some(Self::Metrics),
            path if serve.health && path == settings.health.path => Some(Self::Health),
            _ => None,
        }
    }

    /// The answer.
    pub async fn answer(self, call: &Call) -> Response<Body> {
        let audience = if call.entrance.listener.serve.status { Audience::Internal } else { Audience::Public };
        let gate = &call.core.gate;
        match self {
            Self::Health => own(page::health(gate, audience)),
            Self::Ready => own(page::ready(gate, audience)),
            Self::Metrics => metrics::answer(gate).await,
            Self::Resource => resource::answer(call),
        }
    }
}

/// The route of a page of the gate's own, wherever it is served; none where there is none at this path.
pub fn route<'a>(path: &'a str, settings: &Settings) -> Option<&'a str> {
    if resource::is_described_at(path) {
        return Some(resource::WELL_KNOWN);
    }
    (matches!(path, "/ready" | "/metrics") || path == settings.health.path).then_some(path)
}

fn own((status, text): (StatusCode, String)) -> Response<Body> {
    json(status, text)
}

/// An answer that nobody keeps.
pub fn json(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
