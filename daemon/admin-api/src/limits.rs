//! Limits: what they bound and count, and how they are overridden for a time.
//!
//! `GET /v1/limits` answers [`LimitsView`]. On the control socket `PUT /v1/limits/NAME/override` takes
//! [`OverrideRequest`], `DELETE` of the same takes [`RevertRequest`], and both answer [`OverrideOutcome`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All limits.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct LimitsView {
    /// The revision that they are of.
    pub revision: u64,
    /// By place, then name.
    pub limits: Vec<LimitStatus>,
}

/// One limit.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct LimitStatus {
    /// How it is called.
    pub name: String,
    /// Where it stands: `limit`, `listener.NAME`, `tier.NAME`, `organisation.NAME` or `server.NAME`.
    pub place: String,
    /// What it counts together: `global`, or some of listener, address, client, organisation, tier, server and tool.
    pub per: String,
    /// `calls` or `cost`.
    pub counted: String,
    /// What the configuration bounds.
    pub configured: String,
    /// What holds now.
    pub effective: String,
    /// Keys that are remembered.
    pub keys: u64,
    /// Keys of a quota that were forgotten before their period ended, those that had used least first.
    #[serde(default)]
    pub forgotten: u64,
    /// What one key may use at once.
    pub capacity: u64,
    /// What the key has used that has used most.
    pub used: u64,
    /// Calls refused since the limit is there.
    pub rejected: u64,
    /// The same per second, of the last ten seconds.
    #[serde(default)]
    pub rejected_per_second: f64,
    /// Keys that were refused most, the most first; counts are estimates where there are many keys.
    #[serde(default)]
    pub top: Vec<LimitKey>,
    /// What was set instead of the configured value, while it holds.
    #[serde(default, rename = "override", skip_serializing_if = "Option::is_none")]
    pub set: Option<LimitOverride>,
}

/// A key of a limit.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct LimitKey {
    /// Such as `client=key:abcd, tool=weather/forecast`.
    pub key: String,
    /// Calls of it that were refused.
    pub rejected: u64,
}

/// An override that holds.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct LimitOverride {
    /// What it bounds.
    pub value: String,
    /// Seconds until it is over.
    pub expires_in_seconds: u64,
    /// The same in milliseconds since 1970.
    pub expires_at_ms: u64,
    /// Who set it.
    pub who: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The body of an override.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OverrideRequest {
    /// As the configuration writes it: `"20/min"`, `"5000/day"`, or `"5"` for calls in flight.
    pub value: String,
    /// At once, for a token bucket; absent: the value's count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<u64>,
    /// How long it holds; required, from 1 second to 30 days.
    pub seconds: u64,
    /// Say what would happen, change nothing.
    pub dry_run: bool,
    /// Why, for the record of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The body of taking an override away; an empty body means the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RevertRequest {
    /// Say what would happen, change nothing.
    pub dry_run: bool,
    /// Why, for the record of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What became of an override.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct OverrideOutcome {
    /// The limit.
    pub name: String,
    /// It was done.
    pub applied: bool,
    /// What held before.
    pub before: String,
    /// What holds now, or would.
    pub after: String,
    /// Seconds until that is over; absent where it is what is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_with_an_unknown_field_is_refused() {
        assert!(serde_json::from_str::<OverrideRequest>(r#"{"value":"1/s","second":1}"#).is_err());
        assert!(serde_json::from_str::<RevertRequest>(r#"{"dry":true}"#).is_err());
    }
}
