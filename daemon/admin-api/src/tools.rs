//! What a server offers, asked through the running gate, and what tools have become since they were accepted.
//!
//! `GET /v1/servers/NAME/tools` on the control socket answers [`ServerTools`]: it may start an
//! instance. `GET /v1/tools/changes` answers [`ToolChanges`], and `POST /v1/servers/NAME/tools/approve`
//! takes an [`ApproveRequest`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::Era;

/// A server's tools, or why they could not be listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ServerTools {
    /// The table's name.
    pub server: String,
    /// What it speaks, as far as is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub era: Option<Era>,
    /// In its own order; those that `tools.allow` and `tools.deny` hide are marked.
    #[serde(default)]
    pub tools: Vec<Tool>,
    /// Why nothing is known of its tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<ServerTrouble>,
}

/// One tool.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Tool {
    /// The server's own name for it.
    pub name: String,
    /// What the server says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The configuration keeps it from clients.
    #[serde(default)]
    pub hidden: bool,
}

/// Why a server did not answer.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ServerTrouble {
    /// A finished sentence.
    pub message: String,
    /// The last lines that its last instance wrote to stderr, oldest first.
    #[serde(default)]
    pub stderr: Vec<String>,
}

/// Tools that are not what they were when they were accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ToolChanges {
    /// By server, then by tool.
    pub changes: Vec<ToolChange>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ToolChange {
    /// The server.
    pub server: String,
    /// Its own name for the tool.
    pub tool: String,
    /// Clients do not get it.
    pub withheld: bool,
    /// When it was accepted, in milliseconds since 1970.
    pub accepted_at_ms: u64,
    /// When it was first seen as it is now, in milliseconds since 1970.
    pub changed_at_ms: u64,
    /// SHA-256 of what it is now; an approval may name it.
    pub hash: String,
    /// What was accepted: description, schemas and annotations as JSON with sorted members, cut where it is long.
    pub before: String,
    /// What it is now.
    pub after: String,
}

/// The body of an approval.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApproveRequest {
    /// The server's own name for the tool.
    pub tool: String,
    /// What was looked at; an approval of anything else is refused. Absent: whatever it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Say what would happen, change nothing.
    pub dry_run: bool,
    /// Why, for the record of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What an approval did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ApproveOutcome {
    /// The server.
    pub server: String,
    /// The tool.
    pub tool: String,
    /// It was done.
    pub applied: bool,
}
