//! What a server offers, asked through the running gate.
//!
//! `GET /v1/servers/NAME/tools` on the control socket answers [`ServerTools`]: it may start an
//! instance.

use serde::{Deserialize, Serialize};

use crate::status::Era;

/// A server's tools, or why they could not be listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerTrouble {
    /// A finished sentence.
    pub message: String,
    /// The last lines that its last instance wrote to stderr, oldest first.
    #[serde(default)]
    pub stderr: Vec<String>,
}
