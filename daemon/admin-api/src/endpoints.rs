//! The endpoints of a server: how they do, which of them take calls, and their breakers.
//!
//! `POST /v1/servers/NAME/drain`, `…/maintenance` and `…/resume` take [`ModeRequest`] and answer [`ModeOutcome`];
//! `POST /v1/breakers/NAME/open`, `…/close` and `…/reset` take [`BreakerRequest`] and answer [`BreakerOutcome`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One endpoint over HTTP, or the place of all instances of a command.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct EndpointStatus {
    /// Its URL without the query; absent where the server is reached through instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What the operator wants of it.
    pub mode: EndpointMode,
    /// Why it takes no calls, as a clause that follows its name; absent where it takes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Its share of calls, against the weights of others.
    pub weight: u32,
    /// Calls that it has; absent where they are not counted by endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<u64>,
    /// Connections to it, in use or idle; absent where it is reached through instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u64>,
    /// Sessions that only it knows; absent where they are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u64>,
    /// Absent where none is configured and none is held by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<BreakerStatus>,
    /// Absent where none was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_check: Option<CheckStatus>,
    /// What operators said of it that holds until it is taken back, over reloads and restarts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_hand: Vec<HeldByHand>,
}

/// Something that an operator said of an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct HeldByHand {
    /// `drain`, `maintenance`, `breaker open`, `breaker closed` or `weight`.
    pub what: String,
    /// Who said it.
    pub who: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
    /// When the endpoint's sessions end, or have ended, in milliseconds since 1970; absent: never by this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
}

/// What the operator wants of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointMode {
    /// It serves.
    Ready,
    /// Nothing new begins; sessions go on.
    Drain,
    /// Nothing new begins; sessions end at a deadline.
    Maintenance,
    /// A word of a newer daemon.
    #[serde(other)]
    Unknown,
}

impl EndpointMode {
    /// The word on the wire, for people too.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maintenance => "maintenance",
            Self::Unknown => "unknown",
        }
    }
}

/// A circuit breaker.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct BreakerStatus {
    /// What calls meet.
    pub state: BreakerState,
    /// Milliseconds until a call is let through to see; of an open one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_in_ms: Option<u64>,
    /// What opened it, as a clause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// How often it opened since the server was configured.
    pub opened: u64,
}

/// What calls meet at a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// They go through.
    Closed,
    /// They are refused for a while.
    Open,
    /// One is out to see; others are refused.
    HalfOpen,
    /// They are refused until the operator says otherwise.
    ForcedOpen,
    /// They go through whatever happens until the operator says otherwise.
    ForcedClosed,
    /// A word of a newer daemon.
    #[serde(other)]
    Unknown,
}

impl BreakerState {
    /// The word for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half open",
            Self::ForcedOpen => "forced open",
            Self::ForcedClosed => "forced closed",
            Self::Unknown => "unknown",
        }
    }
}

/// A check of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct CheckStatus {
    /// Milliseconds since it ended.
    pub age_ms: u64,
    /// Milliseconds that it took.
    pub took_ms: u64,
    /// What was wrong, as a clause; absent where it went well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The body of a change of mode; an empty body means the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModeRequest {
    /// The URL of one endpoint; absent: all of the server's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Milliseconds after which sessions are ended; absent: a minute for maintenance, never for a drain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// Say what would happen, change nothing.
    pub dry_run: bool,
    /// Why, for the record of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a change of mode did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ModeOutcome {
    /// The server.
    pub server: String,
    /// It was done.
    pub applied: bool,
    /// What the operator wants now.
    pub mode: EndpointMode,
    /// Endpoints that it concerns, as they were before.
    pub endpoints: Vec<EndpointStatus>,
    /// Endpoints of the server that go on taking calls.
    pub left: u64,
    /// Milliseconds until the sessions of these endpoints are ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
}

/// The body of a change to breakers; an empty body means the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerRequest {
    /// The URL of one endpoint; absent: all of the server's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Say what would happen, change nothing.
    pub dry_run: bool,
    /// Why, for the record of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a change to breakers did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct BreakerOutcome {
    /// The server.
    pub server: String,
    /// It was done.
    pub applied: bool,
    /// What calls meet from now on.
    pub state: BreakerState,
    /// Endpoints that it concerns, as they were before.
    pub endpoints: Vec<EndpointStatus>,
}
