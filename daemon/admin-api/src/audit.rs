//! The record of changes.
//!
//! `GET /v1/audit` on the control socket answers [`Audit`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The newest records, the oldest of them first.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Audit {
    /// As many as were asked for.
    pub records: Vec<AuditRecord>,
}

/// One change that somebody made, or tried to.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditRecord {
    /// Grows by one; a gap is a loss.
    pub number: u64,
    /// In milliseconds since 1970.
    pub at_ms: u64,
    /// User id of whoever did it, as the kernel says.
    pub uid: u32,
    /// Name of that user, where there is one.
    pub user: String,
    /// Process id, where it was in sight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// What, as `noun.verb`: `server.drain`, `limit.override`, `session.end`.
    pub action: String,
    /// Of what.
    pub target: String,
    /// What was before, as far as there is something to say; secrets are never in it.
    pub before: Value,
    /// What is now.
    pub after: Value,
    /// Why, as whoever did it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `done`, or why not.
    pub outcome: String,
    /// The running revision.
    pub revision: u64,
}
