//! The instances of a stdio server, and how they are replaced.
//!
//! `GET /v1/servers/NAME` on the control socket answers a server's status with the last lines that
//! an instance wrote to stderr; `POST /v1/servers/NAME/restart` takes [`RestartRequest`] and
//! answers [`RestartOutcome`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The processes of a stdio server.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Instances {
    /// Running, spares included.
    pub running: u64,
    /// Running and not yet used; absent where none are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spares: Option<u64>,
    /// The most that may run.
    pub max: u64,
    /// Ended on their own since the daemon's start; absent where they are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<u64>,
    /// Those that run, the oldest first.
    #[serde(default)]
    pub each: Vec<Instance>,
    /// How the one ended that ended last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_end: Option<InstanceEnd>,
}

/// A running instance.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Instance {
    /// Process id of its wrapper.
    pub pid: u32,
    /// What it is there for.
    pub role: InstanceRole,
    /// Seconds since it was started, or taken over from an earlier daemon.
    pub age_seconds: u64,
    /// Seconds since anything was in flight.
    pub idle_seconds: u64,
    /// Requests in flight.
    pub in_flight: u64,
    /// Requests that it has answered.
    pub answered: u64,
    /// It is being replaced: it ends once nothing is in flight.
    #[serde(default)]
    pub leaving: bool,
    /// Bytes of memory that its processes use; absent, as the next three, where nobody counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// The most bytes so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_peak: Option<u64>,
    /// Processes and threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<u64>,
    /// Processes that the kernel killed because memory ran out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom_kills: Option<u64>,
}

/// What an instance is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceRole {
    /// Nobody yet.
    Spare,
    /// One session.
    Session,
    /// One client, or everybody.
    Shared,
    /// A word of a newer daemon.
    #[serde(other)]
    Unknown,
}

impl InstanceRole {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Spare => "spare",
            Self::Session => "session",
            Self::Shared => "shared",
            Self::Unknown => "unknown",
        }
    }
}

/// How an instance ended.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct InstanceEnd {
    /// Process id of its wrapper.
    pub pid: u32,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// As a clause.
    pub how: String,
    /// What its program passed to `exit`, unless a signal ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Processes that the kernel killed because memory ran out.
    #[serde(default)]
    pub oom_kills: u64,
    /// The most bytes of memory that it used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_peak: Option<u64>,
    /// The last lines that it wrote to stderr, oldest first; on the control socket only.
    #[serde(default)]
    pub stderr: Vec<String>,
}

/// The body of a restart; an empty body means the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RestartRequest {
    /// End each instance when nothing is in flight with it, instead of all at once.
    pub rolling: bool,
    /// Say what would happen, change nothing.
    pub dry_run: bool,
    /// Why, for the record of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a restart did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct RestartOutcome {
    /// The server.
    pub server: String,
    /// It was done.
    pub applied: bool,
    /// Instances that end at once.
    pub ended: u64,
    /// Instances that end once nothing is in flight.
    pub leaving: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_with_an_unknown_field_is_refused() {
        assert!(serde_json::from_str::<RestartRequest>(r#"{"roling":true}"#).is_err());
        assert!(serde_json::from_str::<RestartRequest>(r#"{"rolling":true}"#).expect("reads").rolling);
    }

    #[test]
    fn what_an_older_daemon_says_is_read() {
        let instances: Instances = serde_json::from_str(r#"{"running":1,"max":20}"#).expect("reads");
        assert!(instances.each.is_empty() && instances.last_end.is_none());
    }
}
