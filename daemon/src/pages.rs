//! Pages of the gate's own: health and readiness, for probes and balancers.

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

use crate::body::Body;
use crate::call::Call;
use crate::config::Settings;
use crate::config::settings::Serve;
use crate::observe::health::page::{self, Audience};

/// A page that needs no client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// `/health`, or where the configuration has it.
    Health,
    /// `/ready`
    Ready,
}

impl Page {
    /// The page at a path, where the listener serves it.
    pub fn at(path: &str, serve: Serve, settings: &Settings) -> Option<Self> {
        match path {
            "/ready" if serve.ready => Some(Self::Ready),
            path if serve.health && path == settings.health.path => Some(Self::Health),
            _ => None,
        }
    }

    /// The answer.
    pub fn answer(self, call: &Call) -> Response<Body> {
        let audience = if call.entrance.listener.serve.status { Audience::Internal } else { Audience::Public };
        let (status, text) = match self {
            Self::Health => page::health(&call.core.gate, audience),
            Self::Ready => page::ready(&call.core.gate, audience),
        };
        json(status, text)
    }
}

/// Whether a page of the gate's own has this path, wherever it is served.
pub fn is_page(path: &str, settings: &Settings) -> bool {
    matches!(path, "/ready" | "/metrics") || path == settings.health.path
}

/// An answer that nobody keeps.
pub fn json(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
