//! Answers that are kept.
//!
//! `GET /v1/cache` answers [`Caches`]; `POST /v1/servers/NAME/cache/clear` takes a [`ClearRequest`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The caches of all servers that have one.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Caches {
    /// By name.
    pub servers: Vec<CacheStatus>,
}

/// The cache of one server. Counters begin with the process, or with the last reload that changed the cache.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct CacheStatus {
    /// The server.
    pub server: String,
    /// Answers that are kept, those past their time included.
    pub entries: u64,
    /// Answers that may be.
    pub max_entries: u64,
    /// Bytes of those that are.
    pub bytes: u64,
    /// Bytes that they may have.
    pub max_bytes: u64,
    /// Requests that were answered by one.
    pub hits: u64,
    /// Requests that went to the server.
    pub misses: u64,
    /// Requests that got the answer of another one that was under way.
    pub shared: u64,
    /// Requests that wait for the answer of another one at this moment.
    #[serde(default)]
    pub waiting: u64,
    /// Requests that got an answer past its time, since the server could not be reached.
    pub stale: u64,
    /// Answers that gave way to others.
    pub evictions: u64,
}

/// The body of a request to forget answers; an empty body means the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClearRequest {
    /// Say what would happen, change nothing.
    pub dry_run: bool,
    /// Why, for the record of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What was forgotten, or would be.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ClearOutcome {
    /// The server.
    pub server: String,
    /// It was done.
    pub applied: bool,
    /// Answers.
    pub entries: u64,
    /// Bytes of them.
    pub bytes: u64,
}
