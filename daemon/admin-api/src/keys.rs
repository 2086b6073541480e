//! API keys.
//!
//! `GET /v1/keys?after=ID&limit=100&filter=WORDS` answers [`Keys`], `GET /v1/keys/ID` answers [`KeyRow`]. On the control
//! socket: `POST /v1/keys` takes [`KeyRequest`], `…/ID/rotate` takes [`RotateRequest`], and both answer [`KeyMade`];
//! `…/ID/suspend` takes [`SuspendRequest`](crate::SuspendRequest), `…/ID/resume` and `…/ID/revoke` take
//! [`Change`](crate::Change), and they answer [`KeyOutcome`]; `/v1/keys/import` takes [`ImportRequest`],
//! `/v1/keys/ID/adopt` and `/v1/keys/adopt` take [`Change`](crate::Change), and they answer [`KeysOutcome`].

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clients::Suspension;

/// A part of all keys, in the order of their ids.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Keys {
    /// Keys of the store and of the files.
    pub total: u64,
    /// The part that was asked for.
    pub keys: Vec<KeyRow>,
    /// What to ask for as `after` to see more; absent where there is no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One key; never its secret, nor its hash.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyRow {
    /// The public part of its text.
    pub id: String,
    /// Its client's name for people.
    pub owner: String,
    /// The organisation that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// Its set of limits; absent: its organisation's, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Roles that it has beside its organisation's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// What it may use of what its roles allow, as globs; empty: all of that.
    pub scopes: Vec<String>,
    /// Networks that it may come from; empty: any.
    pub networks: Vec<String>,
    /// Whether it may be used.
    pub state: KeyState,
    /// When it was made, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_ms: Option<u64>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
    /// When it got its secret, where that is not the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotated_ms: Option<u64>,
    /// Until when the secret before that opens too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap_until_ms: Option<u64>,
    /// Set while it is suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspended: Option<Suspension>,
    /// When it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_ms: Option<u64>,
    /// Who revoked it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_by: Option<String>,
    /// When it was used last, within a minute; absent where it never was, or nobody counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_ms: Option<u64>,
    /// How often it was used.
    pub uses: u64,
    /// A file of the configuration has it, and what that says holds.
    pub in_files: bool,
    /// The store has it.
    pub in_store: bool,
}

/// Whether a key may be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// It may.
    #[default]
    Active,
    /// Not for now.
    Suspended,
    /// It has ended by itself.
    Expired,
    /// Never again.
    Revoked,
    /// A word of a newer daemon.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Unknown => "unknown",
        })
    }
}

/// A key that is to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyRequest {
    /// Its client's name for people.
    pub owner: String,
    /// The organisation that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// Its set of limits; absent: its organisation's, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Roles that it has beside its organisation's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// What it may use of what its roles allow, as globs over `server/tool`; empty: all of that.
    pub scopes: Vec<String>,
    /// Networks that it may come from; empty: any.
    pub networks: Vec<String>,
    /// How long it is valid; absent: until it is revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_seconds: Option<u64>,
    /// Say what would happen, change nothing.
    pub dry_run: bool,
    /// Why, for the record of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Another secret for a key.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RotateRequest {
    /// How long the secret before opens too; 0: no more from now on.
    pub overlap_seconds: u64,
    /// Say what would happen, change nothing.
    pub dry_run: bool,
    /// Why, for the record of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A key that has a new secret.
#[derive(Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyMade {
    /// Its id.
    pub id: String,
    /// It was done.
    pub applied: bool,
    /// Its text, which nobody can ask for again; absent where nothing was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What is known of it now, or would be: all that the record of changes keeps.
    pub after: KeyRow,
}

impl fmt::Debug for KeyMade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.as_ref().map(|_| "***");
        let Self { id, applied, after, .. } = self;
        f.debug_struct("KeyMade")
            .field("id", id)
            .field("applied", applied)
            .field("key", &key)
            .field("after", after)
            .finish()
    }
}

/// What became of a key, or would.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyOutcome {
    /// The key.
    pub id: String,
    /// It was done.
    pub applied: bool,
    /// What it was.
    pub before: KeyState,
    /// What it is, or would be.
    pub after: KeyState,
    /// Sessions that ended.
    pub sessions: u64,
    /// Calls in flight that ended.
    pub calls: u64,
    /// Of these, calls that left a queue.
    pub queued: u64,
    /// What users allowed its client at servers, and is forgotten.
    pub grants: u64,
}

/// Keys that somebody else made, by the hashes of their secrets: all of them, or none.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImportRequest {
    /// The keys.
    pub keys: Vec<KeyImport>,
    /// Say what would happen, change nothing.
    pub dry_run: bool,
    /// Why, for the record of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyImport {
    /// The public part of its text: 4 to 32 lower-case letters and digits.
    pub id: String,
    /// `sha256:` and the SHA-256 of the secret part in hexadecimal.
    pub hash: String,
    /// Its client's name for people.
    pub owner: String,
    /// The organisation that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// Its set of limits; absent: its organisation's, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Roles that it has beside its organisation's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// What it may use of what its roles allow, as globs over `server/tool`; empty: all of that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Networks that it may come from; empty: any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// The day on which it was made, such as `2026-11-27`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The day with whose beginning, in UTC, it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Where it stands, for what is said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

/// What became of several keys, or would.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct KeysOutcome {
    /// It was done.
    pub applied: bool,
    /// Keys that the store has now and had not before.
    pub added: u64,
    /// The first of them, a hundred at most.
    pub ids: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_shown_by_accident() {
        let made = KeyMade { id: "ann1".into(), key: Some("tg_ann1_secret".into()), ..KeyMade::default() };
        assert!(!format!("{made:?}").contains("secret"));
    }

    #[test]
    fn a_newer_daemon_may_know_other_states() {
        let row: KeyRow = serde_json::from_str(r#"{"id":"ann1","state":"asleep"}"#).expect("reads");
        assert_eq!(row.state, KeyState::Unknown);
    }
}
