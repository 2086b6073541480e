//! Sealing keys.
//!
//! `GET /v1/seal` answers [`SealKeys`]; `POST /v1/seal/rotate` takes [`SealRotate`] and answers [`SealRotation`]. Keys
//! themselves are told nowhere.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The keys of what clients and the state folder hold for the gate.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct SealKeys {
    /// The one that seals first.
    pub keys: Vec<SealKeyRow>,
    /// Whether the gate's own keys outlive the process.
    pub kept: bool,
    /// Seconds for which a key that seals no more still opens.
    pub overlap_seconds: u64,
    /// Seconds after which the gate's own key is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotate_every_seconds: Option<u64>,
}

/// A sealing key.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct SealKeyRow {
    /// Its short name, made from the key; nodes that share a key call it the same.
    pub id: String,
    /// Whether it seals; every key of the list opens.
    pub seals: bool,
    /// Whether the configuration names it; else the gate made it.
    pub configured: bool,
    /// When it was made, or first seen where it is a configured one; in milliseconds since 1970.
    pub made_at_ms: u64,
    /// When it opens no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens_until_ms: Option<u64>,
}

/// The body of replacing the key that seals; an empty body means the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SealRotate {
    /// No older key of the gate's own opens any more, for a key that somebody may have.
    pub alone: bool,
    /// Say what would happen, change nothing.
    pub dry_run: bool,
    /// Why, for the record of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a rotation did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct SealRotation {
    /// It was done.
    pub applied: bool,
    /// The short name of the key that sealed before.
    pub before: String,
    /// The short name of the one that seals now; empty where nothing was changed.
    pub after: String,
    /// When the one before opens no more, in milliseconds since 1970; absent: it does not open any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens_until_ms: Option<u64>,
}
