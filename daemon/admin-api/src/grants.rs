//! What users allowed clients at servers.
//!
//! `GET /v1/grants` answers [`GrantsView`]; `POST /v1/servers/NAME/grants/revoke` takes a [`RevokeRequest`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All grants, by server and client.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct GrantsView {
    /// One row each.
    pub grants: Vec<GrantRow>,
}

/// What a user allowed one client at one server. Its tokens are told to nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct GrantRow {
    /// The server.
    pub server: String,
    /// The client's id.
    pub client: String,
    /// The client's name for people, when it was given.
    pub owner: String,
    /// When it was given, in milliseconds since 1970.
    pub since_ms: u64,
    /// When its tokens were asked for last, in milliseconds since 1970.
    pub renewed_ms: u64,
    /// It goes on once its access token lapses.
    pub refreshes: bool,
}

/// The body of a request to forget a grant.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RevokeRequest {
    /// The client's id.
    pub client: String,
    /// Say what would happen, change nothing.
    pub dry_run: bool,
    /// Why, for the record of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What became of a grant, or would.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct RevokeOutcome {
    /// The server.
    pub server: String,
    /// The client's id.
    pub client: String,
    /// It was done.
    pub applied: bool,
}
