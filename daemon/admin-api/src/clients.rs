//! Who calls.
//!
//! `GET /v1/clients` answers [`Clients`]. `POST /v1/clients/ID/suspend` takes [`SuspendRequest`], `…/resume` takes
//! [`Change`](crate::Change), and both answer [`ClientOutcome`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::traffic::Traffic;

/// Clients that called since the start, and all that have a key.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Clients {
    /// All that there are, of which `clients` may be a part.
    pub total: u64,
    /// In the order that was asked for.
    pub clients: Vec<ClientRow>,
}

/// One client.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientRow {
    /// `key:ID` or `address:IP`; never a secret.
    pub id: String,
    /// Its name for people.
    pub owner: String,
    /// The set of limits that it is under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Whom it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// Roles that it has, its organisation's among them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// What it may use of what its roles allow, as globs; empty: all of that.
    pub scopes: Vec<String>,
    /// When its key ends to be valid, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
    /// Legacy sessions.
    pub sessions: u64,
    /// Calls that wait for a permit.
    pub waiting: u64,
    /// What it calls.
    pub traffic: Traffic,
    /// Its calls of late, the tool it calls most and how often in the last minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub busiest: Option<Busiest>,
    /// When it last called, in milliseconds since 1970; absent where it never did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen_ms: Option<u64>,
    /// Set while the operator lets it do nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspended: Option<Suspension>,
}

/// What a client calls most.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Busiest {
    /// `server/tool`.
    pub tool: String,
    /// Calls in the last minute.
    pub calls_last_minute: u64,
}

/// A client that may do nothing for now.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Suspension {
    /// What it reads instead of an answer.
    pub say: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
    /// Until when; absent: until it is resumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// Who did it.
    pub who: String,
    /// Why, for the record of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The body of a suspension.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SuspendRequest {
    /// What the client reads, as a sentence; absent: that the operator has suspended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub say: Option<String>,
    /// How long; absent: until it is resumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// Say what would happen, change nothing.
    pub dry_run: bool,
    /// Why, for the record of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What became of a client, or would.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientOutcome {
    /// The client.
    pub client: String,
    /// It was done.
    pub applied: bool,
    /// It is suspended, or would be.
    pub suspended: bool,
    /// It was suspended already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<bool>,
    /// Sessions that ended.
    pub sessions: u64,
    /// Calls in flight that ended.
    pub calls: u64,
    /// Calls that left a queue.
    pub queued: u64,
}
