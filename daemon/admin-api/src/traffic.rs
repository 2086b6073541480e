//! How much something does and how long it takes: the same numbers for the gate, a server, a tool and a client.
//!
//! Counters begin with the process ([`crate::Status::started_at_ms`]); rates and percentiles are of the last minute
//! and are made by the daemon, so that every reader sees the same.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Calls of something.
#[derive(Debug, Clone, Copy, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Traffic {
    /// Calls that ended.
    pub calls: u64,
    /// Of these, those that failed at the server or at the gate; a tool's own error (`isError`) is one.
    pub errors: u64,
    /// Of these, those that the gate refused: limit, queue, breaker, overload, policy, loop.
    pub refused: u64,
    /// Calls that have begun and not ended.
    pub in_flight: u64,
    /// Bytes of requests.
    pub bytes_in: u64,
    /// Bytes of answers.
    pub bytes_out: u64,
    /// Calls a second.
    pub calls_per_second: f64,
    /// Errors a second.
    pub errors_per_second: f64,
    /// Refusals a second.
    pub refused_per_second: f64,
    /// From the first byte of the request to the last of the answer.
    pub latency: Percentiles,
    /// The same by stage.
    pub phases: Phases,
}

/// Times of the calls of the last minute, in microseconds; all 0 where there were none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Percentiles {
    /// Half of the calls took no longer.
    pub p50_us: u64,
    /// 95 of 100.
    pub p95_us: u64,
    /// 99 of 100.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
}

/// Where the time of calls went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Phases {
    /// Waiting for a permit of the server.
    pub queue: Percentiles,
    /// Making a connection to it; 0 where one was there.
    pub connect: Percentiles,
    /// From the permit, or the connection, to the first byte of the server's answer.
    pub first_byte: Percentiles,
    /// From the first byte of the answer to the last.
    pub stream: Percentiles,
}
