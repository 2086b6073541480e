//! Calls: those in flight, and the lives of those that ended.
//!
//! `GET /v1/calls` answers [`Calls`]; `GET /v1/calls/ID` answers [`CallLife`]; `POST /v1/calls/ID/cancel` takes
//! [`Change`](crate::Change) and answers [`CancelOutcome`]. `GET /v1/requests/tail` answers lines of [`TailLine`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Calls in flight.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Calls {
    /// All that there are, of which `calls` may be a part.
    pub total: u64,
    /// The oldest first.
    pub calls: Vec<CallRow>,
}

/// A call in flight.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct CallRow {
    /// Its id, which its answer carries in `X-Request-Id`.
    pub id: String,
    /// Where it is: `read`, `limit`, `queue`, `connect`, `server`, `stream`, `parked`.
    pub stage: String,
    /// Milliseconds since it began.
    pub age_ms: u64,
    /// The client's id.
    pub client: String,
    /// The session's handle; empty outside of one.
    pub session: String,
    /// The server; empty where there is none yet, or several.
    pub server: String,
    /// The method.
    pub method: String,
    /// The tool, prompt or resource.
    pub name: String,
    /// The trace that it belongs to, 32 hexadecimal digits; absent where it is not traced, and in lists.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trace: String,
}

/// A call that ended: a line of the tail.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestLine {
    /// When it ended, in milliseconds since 1970.
    pub at_ms: u64,
    /// Its id.
    pub id: String,
    /// The client's id; empty where nobody was identified.
    pub client: String,
    /// The session's handle; empty outside of one.
    pub session: String,
    /// The listener.
    pub listener: String,
    /// The server; empty where it was none, or several.
    pub server: String,
    /// The method.
    pub method: String,
    /// The tool, prompt or resource.
    pub name: String,
    /// `ok`, `error`, `refused` or `gone` (the client did not wait).
    pub outcome: String,
    /// The HTTP status.
    pub status: u16,
    /// What kind of failure, such as `limit`; empty where it went well.
    pub failure: String,
    /// What the failure says; empty where it went well.
    pub cause: String,
    /// Bytes of the request.
    pub bytes_in: u64,
    /// Bytes of the answer.
    pub bytes_out: u64,
    /// Microseconds until the whole request was there.
    pub read_us: u64,
    /// Microseconds that it waited for a permit.
    pub queue_us: u64,
    /// Microseconds to make a connection to the server.
    pub connect_us: u64,
    /// Microseconds from there to the first byte of its answer.
    pub first_byte_us: u64,
    /// Microseconds from there to the last.
    pub stream_us: u64,
    /// All of it, in microseconds.
    pub total_us: u64,
    /// The trace that it belongs to, 32 hexadecimal digits; absent where it is not traced, and in the tail.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trace: String,
}

/// What is known of one call.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum CallLife {
    /// It goes on.
    InFlight(CallRow),
    /// It ended.
    Ended(RequestLine),
    /// A word of a newer daemon.
    #[serde(other)]
    Unknown,
}

/// A line of the live tail.
#[expect(
    clippy::large_enum_variant,
    reason = "most lines are requests, and a box would cost each of them an allocation"
)]
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TailLine {
    /// A call that ended.
    Request(RequestLine),
    /// Calls that matched and are not shown, since the reader or the bound on lines a second was slower.
    Lagged {
        /// How many.
        count: u64,
    },
    /// Nothing to show; once a second at most.
    Heartbeat {
        /// In milliseconds since 1970.
        at_ms: u64,
    },
    /// A word of a newer daemon.
    #[serde(other)]
    Unknown,
}

/// What became of a call, or would.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct CancelOutcome {
    /// The call.
    pub id: String,
    /// It was done.
    pub applied: bool,
    /// Where it was.
    pub stage: String,
}
