//! What the daemon is and how it does.
//!
//! `GET /v1/version` answers [`Version`], `GET /v1/status` answers [`Status`]. All numbers are of
//! this moment; nothing in them is secret.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::endpoints::EndpointStatus;
use crate::instances::Instances;
use crate::queues::OverloadStatus;

/// Who answers, and which interface it speaks.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Version {
    /// The daemon's version.
    pub version: String,
    /// Random id of this process; another one after a restart.
    pub instance: String,
    /// The newest interface it speaks: 1 for `/v1`.
    pub api: u32,
    /// The oldest interface it speaks.
    pub api_minimum: u32,
    /// The running configuration.
    pub revision: u64,
}

/// The daemon at a glance.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Status {
    /// Random id of this process.
    pub instance: String,
    /// The daemon's version.
    pub version: String,
    /// The running configuration.
    pub revision: u64,
    /// Process id.
    pub pid: u32,
    /// Start, in milliseconds since 1970. Counters begin there.
    pub started_at_ms: u64,
    /// Seconds since the start, by the monotonic clock.
    pub uptime_seconds: u64,
    /// SIGTERM was received: what runs may finish, nothing new is taken for long.
    pub draining: bool,
    /// Every listener is bound, every critical server works, not draining: what `/ready` says.
    pub ready: bool,
    /// Why not, where `ready` is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_ready: Option<String>,
    /// Open client connections.
    pub connections: u64,
    /// Connections to HTTP servers, of all of them together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_connections: Option<PoolStatus>,
    /// Sessions of the legacy era.
    pub sessions: u64,
    /// Calls in flight, waiting ones included.
    pub calls_in_flight: u64,
    /// What the gate lets go of because it has too much to do; absent while it serves everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overload: Option<OverloadStatus>,
    /// In the order of the file.
    pub listeners: Vec<ListenerStatus>,
    /// By name, disabled ones included.
    pub servers: Vec<ServerStatus>,
    /// What an operator should look at, as finished sentences.
    #[serde(default)]
    pub warnings: Vec<String>,
}

impl Status {
    /// Whether something that should work does not: the daemon is not ready, or lets go of work because it has too
    /// much, or an enabled server is down, crash-looping or degraded. A server that nobody used yet is not degraded.
    #[must_use]
    pub fn degraded(&self) -> bool {
        !self.ready || self.overload.is_some() || self.servers.iter().any(|server| server.state.is_bad())
    }
}

/// A listener.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ListenerStatus {
    /// The table's name.
    pub name: String,
    /// Addresses that are really bound, with the real port where 0 was written.
    pub addresses: Vec<String>,
    /// `mcp`, `health`, `ready`, `metrics`, `status`.
    pub serve: Vec<String>,
    /// It speaks TLS.
    pub tls: bool,
    /// Open connections.
    pub connections: u64,
}

/// A server behind the gate.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ServerStatus {
    /// The table's name.
    pub name: String,
    /// How it does.
    pub state: ServerState,
    /// Why, where the state is not `up`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How it is reached.
    pub transport: Transport,
    /// What it speaks; absent until it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub era: Option<Era>,
    /// Readiness requires it.
    pub critical: bool,
    /// Calls being worked on.
    pub in_flight: u64,
    /// Calls that wait for a permit.
    pub waiting: u64,
    /// Sessions that this server has part in; absent where they are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u64>,
    /// Its connections; only of a server over Streamable HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<PoolStatus>,
    /// In the order of the file; the place of all instances stands for those of a command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<EndpointStatus>,
    /// Only of a stdio server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<Instances>,
}

/// Connections that share a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PoolStatus {
    /// Open ones, in use or idle.
    pub open: u64,
    /// As many as may be.
    pub max: u64,
    /// Calls that wait for one.
    pub waiting: u64,
}

/// How a server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerState {
    /// The last contact went well.
    Up,
    /// Nobody asked for it yet.
    Idle,
    /// Some endpoints or instances fail, others work.
    Degraded,
    /// The last contacts failed.
    Down,
    /// Instances end right after their start; the next start is delayed.
    CrashLoop,
    /// `enabled = false`.
    Disabled,
    /// A word of a newer daemon.
    #[serde(other)]
    Unknown,
}

impl ServerState {
    /// Whether an operator should look.
    #[must_use]
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Degraded | Self::Down | Self::CrashLoop)
    }

    /// The word on the wire, for people too.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Idle => "idle",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::CrashLoop => "crash loop",
            Self::Disabled => "disabled",
            Self::Unknown => "unknown",
        }
    }
}

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Streamable HTTP.
    Http,
    /// A command behind a Unix socket.
    Stdio,
    /// A word of a newer daemon.
    #[serde(other)]
    Unknown,
}

impl Transport {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Stdio => "stdio",
            Self::Unknown => "unknown",
        }
    }
}

/// The protocol that a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Era {
    /// 2024-11-05 to 2025-11-25.
    Legacy,
    /// 2026-07-28.
    Modern,
    /// Either, as its client does.
    Both,
    /// A word of a newer daemon.
    #[serde(other)]
    Unknown,
}

impl Era {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Modern => "modern",
            Self::Both => "both",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(ready: bool, state: &str) -> Status {
        let text = format!(
            r#"{{"instance":"i","version":"1","revision":1,"pid":1,"started_at_ms":1,"uptime_seconds":1,
            "draining":false,"ready":{ready},"connections":0,"sessions":0,"calls_in_flight":0,"listeners":[],
            "servers":[{{"name":"a","state":"{state}","transport":"http","critical":false,"in_flight":0,
            "waiting":0,"sessions":0,"new_number":7}}],"new_list":[]}}"#
        );
        serde_json::from_str(&text).expect("reads")
    }

    #[test]
    fn degraded_means_that_somebody_should_look() {
        assert!(!status(true, "up").degraded());
        assert!(!status(true, "idle").degraded());
        assert!(!status(true, "disabled").degraded());
        assert!(status(true, "crash_loop").degraded());
        assert!(status(true, "down").degraded());
        assert!(status(false, "up").degraded());
    }

    #[test]
    fn words_of_a_newer_daemon_are_read() {
        assert_eq!(status(true, "hibernating").servers[0].state, ServerState::Unknown);
    }
}
