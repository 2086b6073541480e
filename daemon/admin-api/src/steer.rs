//! Changes that hold until they are taken back or their time is over, and the bodies that changes share.
//!
//! On the control socket: `POST /v1/servers/NAME/tools/disable` takes [`DisableRequest`], `…/tools/enable`
//! [`EnableRequest`], both answer [`ToolOutcome`]; `PUT /v1/servers/NAME/queue/override` takes [`QueueOverride`],
//! `DELETE` of the same [`Change`], `POST /v1/servers/NAME/queue/purge` takes [`PurgeRequest`];
//! `POST /v1/servers/NAME/weight` takes [`WeightRequest`] and answers [`WeightOutcome`], `POST /v1/servers/NAME/check`
//! takes [`CheckRequest`] and answers [`ChecksOutcome`]; `POST /v1/limits` takes [`TemporaryLimit`] and answers
//! [`OverrideOutcome`](crate::OverrideOutcome); `GET /v1/limits/explain?client=…&tool=…` answers [`Explained`];
//! `PUT /v1/log` takes [`LogRequest`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::endpoints::EndpointStatus;

/// The body of a change that needs no more; an empty body means the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Change {
    /// Say what would happen, change nothing.
    pub dry_run: bool,
    /// Why, for the record of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The body of disabling a tool: it leaves the lists, and calls to it are refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DisableRequest {
    /// The server's own name for the tool.
    pub tool: String,
    /// What whoever calls it reads, as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub say: Option<String>,
    /// How long; absent: until it is enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// Say what would happen, change nothing.
    pub dry_run: bool,
    /// Why, for the record of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The body of enabling a tool again.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnableRequest {
    /// The server's own name for the tool.
    pub tool: String,
    /// Say what would happen, change nothing.
    pub dry_run: bool,
    /// Why, for the record of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What became of a tool, or would.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct ToolOutcome {
    /// The server.
    pub server: String,
    /// The tool.
    pub tool: String,
    /// It was done.
    pub applied: bool,
    /// Clients get it, or would.
    pub enabled: bool,
    /// They got it before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<bool>,
    /// Calls to it that were in flight; they go on.
    pub in_flight: u64,
}

/// Other bounds for a queue, for a time.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueOverride {
    /// How long a call may wait, in milliseconds; absent: as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Calls that may wait; absent: as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size: Option<u64>,
    /// How long it holds; required, from 1 second to 30 days.
    pub seconds: u64,
    /// Say what would happen, change nothing.
    pub dry_run: bool,
    /// Why, for the record of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What became of a queue, or would.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueOutcome {
    /// The server.
    pub server: String,
    /// It was done.
    pub applied: bool,
    /// How long a call may wait now.
    pub timeout_ms: u64,
    /// Calls that may wait now.
    pub max_size: u64,
    /// Calls that leave the queue.
    pub purged: u64,
    /// Seconds until an override is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
    /// What held before, where the bounds change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<QueueBounds>,
}

/// The bounds of a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueBounds {
    /// How long a call may wait.
    pub timeout_ms: u64,
    /// Calls that may wait.
    pub max_size: u64,
}

/// Which calls leave a queue; they are refused with words.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PurgeRequest {
    /// Only those of this client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Say what would happen, change nothing.
    pub dry_run: bool,
    /// Why, for the record of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Another weight for an endpoint, until it is set to the configured one or the configuration gives the endpoint another.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WeightRequest {
    /// Its URL.
    pub endpoint: String,
    /// From 0, which is no calls while others are there, to 1,000.
    pub weight: u32,
    /// Say what would happen, change nothing.
    pub dry_run: bool,
    /// Why, for the record of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What became of a weight, or would.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct WeightOutcome {
    /// The server.
    pub server: String,
    /// The endpoint.
    pub endpoint: String,
    /// It was done.
    pub applied: bool,
    /// What it weighed.
    pub before: u32,
    /// What it weighs now.
    pub weight: u32,
}

/// A check that is made now.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckRequest {
    /// The URL of one endpoint; absent: all of the server's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Say which would be checked, and check none.
    pub dry_run: bool,
    /// Why, for the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What checks found.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct ChecksOutcome {
    /// The server.
    pub server: String,
    /// It was done.
    pub applied: bool,
    /// The endpoints that were checked, as they are now.
    pub checked: Vec<EndpointStatus>,
}

/// Whose call to what is meant: the query of `GET /v1/limits/explain`.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExplainQuery {
    /// The client's id.
    pub client: String,
    /// `server/tool`.
    pub tool: String,
    /// The listener that it would come to; absent: the first that serves MCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
}

/// A limit that no file has, for one client, one tool, or both, for a time.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TemporaryLimit {
    /// The client's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// `server/tool`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// As the configuration writes it: `"5/min"`, or `"2"` for calls in flight; `"0"` lets none through.
    pub value: String,
    /// What a refused client reads before it is told when to come back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub say: Option<String>,
    /// How long it holds; required, from 1 second to 30 days.
    pub seconds: u64,
    /// Say what would happen, change nothing.
    pub dry_run: bool,
    /// Why, for the record of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Every limit that a call would meet, in the order in which they are asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Explained {
    /// The client.
    pub client: String,
    /// `server/tool`.
    pub tool: String,
    /// The limits.
    pub limits: Vec<ExplainedLimit>,
    /// The one that would refuse the next call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refuses: Option<String>,
}

/// One of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct ExplainedLimit {
    /// How it is called.
    pub name: String,
    /// What it counts together.
    pub per: String,
    /// The key of this call in it.
    pub key: String,
    /// What holds now.
    pub effective: String,
    /// What is left for this key now.
    pub remaining: u64,
    /// Milliseconds until all of it is there again.
    pub resets_in_ms: u64,
    /// `FILE:LINE`, or who set it and until when.
    pub origin: String,
}

/// Another level of the log, for a time.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogRequest {
    /// As `log.level` is written.
    pub level: String,
    /// How long; absent: until the next reload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// Say what would happen, change nothing.
    pub dry_run: bool,
    /// Why, for the record of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The level of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct LogOutcome {
    /// It was done.
    pub applied: bool,
    /// What holds now, or would.
    pub level: String,
    /// What held before.
    pub before: String,
    /// Seconds until the configured one holds again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
}
