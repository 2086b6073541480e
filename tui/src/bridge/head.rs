//! The head of a request to the gate.
//!
//! A legacy message carries the session and its version, a modern one mirrors its own body
//! (2026-07-28, "Standard request headers"): stdio has no headers, so they are made here.

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::Full;
use toolgate_protocol::envelope::Envelope;
use toolgate_protocol::header_value;
use toolgate_protocol::method;

use super::params::Params;

/// Names a legacy session.
pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
/// The revision that is spoken.
pub(super) const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");

/// A legacy session; both are absent until the gate named them.
#[derive(Debug, Clone, Default)]
pub(super) struct Session {
    pub(super) id: Option<HeaderValue>,
    pub(super) version: Option<HeaderValue>,
}

/// What goes into a head beside the message.
pub(super) struct Head<'a> {
    pub(super) path: &'a str,
    pub(super) bearer: Option<&'a HeaderValue>,
}

/// A request, or why its head cannot be written.
pub(super) type Outgoing = http::Result<Request<Full<Bytes>>>;

impl Head<'_> {
    /// A POST of the legacy era.
    pub(super) fn legacy(&self, session: &Session, message: Bytes) -> Outgoing {
        self.build(Method::POST, "application/json, text/event-stream", session.headers(), message)
    }

    /// A POST of the modern era.
    pub(super) fn modern(&self, envelope: &Envelope, params: &Params, message: Bytes) -> Outgoing {
        let mut headers = Vec::new();
        let mut add = |name: HeaderName, value: Option<std::borrow::Cow<'_, str>>| {
            let value = value.map(|value| HeaderValue::from_str(&header_value::encode(&value)));
            headers.extend(value.and_then(Result::ok).map(|value| (name, value)));
        };
        let method = envelope.method_str(&message);
        let named = method.as_deref().and_then(method::Method::parse);
        add(VERSION, envelope.protocol_version_str(&message));
        add(METHOD, method);
        if named.is_some_and(method::Method::needs_name_header) {
            add(NAME, envelope.target_str(&message));
        }
        if named == Some(method::Method::ToolsCall) {
            for (name, value) in params.headers(&message, envelope) {
                let pair = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
                headers.extend(pair);
            }
        }
        self.build(Method::POST, "application/json, text/event-stream", headers, message)
    }

    /// A GET for a session's stream, or for the rest of a broken one.
    pub(super) fn stream(&self, session: &Session, last_event: Option<&str>) -> Outgoing {
        let last = last_event.and_then(|id| HeaderValue::from_str(id).ok());
        let mut headers = session.headers();
        headers.extend(last.map(|id| (LAST_EVENT, id)));
        self.build(Method::GET, "text/event-stream", headers, Bytes::new())
    }

    /// The end of a session.
    pub(super) fn delete(&self, session: &Session) -> Outgoing {
        self.build(Method::DELETE, "application/json", session.headers(), Bytes::new())
    }

    fn build(
        &self,
        method: Method,
        accept: &'static str,
        headers: Vec<(HeaderName, HeaderValue)>,
        body: Bytes,
    ) -> Outgoing {
        let mut request = Request::builder().method(method).uri(self.path).header(ACCEPT, accept);
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(bearer) = self.bearer {
            request = request.header(AUTHORIZATION, bearer.clone());
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.body(Full::new(body))
    }
}

impl Session {
    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let id = self.id.clone().map(|id| (SESSION, id));
        id.into_iter().chain(self.version.clone().map(|version| (VERSION, version))).collect()
    }
}
