//! Conversations of the legacy era, with what went on in each.
//!
//! `GET /v1/sessions` answers [`Sessions`], `GET /v1/sessions/ID` on the control socket [`SessionDetail`].
//! `POST /v1/sessions/ID/end` takes [`Change`](crate::Change), `POST /v1/sessions/end` takes [`EndMatching`], and both
//! answer [`EndOutcome`]. An `ID` here is a handle: it names a session and does not let anybody use it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Sessions {
    /// All that there are, of which `sessions` may be a part.
    pub total: u64,
    /// In the order that was asked for.
    pub sessions: Vec<SessionRow>,
}

/// One session.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionRow {
    /// The handle: 16 hexadecimal digits.
    pub id: String,
    /// Whose it is.
    pub client: String,
    /// The path segment that it was opened on; empty for `/mcp`.
    pub view: String,
    /// Servers that have a part in it.
    pub servers: Vec<String>,
    /// The revision of the protocol.
    pub protocol: String,
    /// The client's program and version, as it says.
    pub agent: String,
    /// Seconds since it was opened.
    pub age_seconds: u64,
    /// Seconds since its last request.
    pub idle_seconds: u64,
    /// Requests in flight.
    pub in_flight: u64,
    /// Streams that are open.
    pub streams: u64,
    /// Bytes of requests.
    pub bytes_in: u64,
    /// Bytes of answers.
    pub bytes_out: u64,
    /// Requests that it made.
    pub calls: u64,
    /// Of these, those that failed.
    pub errors: u64,
    /// The method of its last request, with the name that it called.
    pub last: String,
}

/// A session with what went on in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionDetail {
    /// The session.
    #[serde(flatten)]
    pub row: SessionRow,
    /// The newest 1,000 at most, the oldest first.
    pub events: Vec<SessionEvent>,
    /// Older ones that are gone.
    pub forgotten: u64,
}

/// One thing that happened in a session. Those with the same `call` belong together.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionEvent {
    /// In milliseconds since 1970.
    pub at_ms: u64,
    /// The call that it is of; empty for what no call caused.
    pub call: String,
    /// `opened`, `request`, `answer`, `notification`, `asked`, `progress`, `stream`, `error`, `ended`.
    pub kind: String,
    /// The server, where one has part in it.
    pub server: String,
    /// The method.
    pub method: String,
    /// The tool, prompt or resource.
    pub name: String,
    /// The outcome of an answer, or what else there is to say.
    pub detail: String,
    /// Microseconds that it took; 0 where that is not known.
    pub took_us: u64,
}

/// Which sessions to end; several conditions must all hold, and one is required.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EndMatching {
    /// The client's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// A server that has part in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Seconds since its last request, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_seconds: Option<u64>,
    /// Say what would happen, change nothing.
    pub dry_run: bool,
    /// Why, for the record of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What ended, or would.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct EndOutcome {
    /// It was done.
    pub applied: bool,
    /// Sessions.
    pub sessions: u64,
    /// Calls in flight in them.
    pub calls: u64,
}
