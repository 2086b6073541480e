//! Who waits for which server, in which order, and why it may have no more calls at once.
//!
//! `GET /v1/queues` answers [`Queues`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The queues of all enabled servers.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Queues {
    /// By the server's name.
    pub servers: Vec<QueueStatus>,
}

/// The queue of one server.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct QueueStatus {
    /// The server's name.
    pub server: String,
    /// Calls being worked on.
    pub in_flight: u64,
    /// Calls that may be worked on at once now.
    pub cap: u64,
    /// How many of these calls of the least weight leave free, while a heavier tier calls.
    #[serde(default)]
    pub held_back: u64,
    /// As many as may be by the configuration.
    pub max_calls: u64,
    /// Calls that wait.
    pub waiting: u64,
    /// Calls that may wait.
    pub max_size: u64,
    /// How long a call may wait, in milliseconds.
    #[serde(default)]
    pub timeout_ms: u64,
    /// An operator bounds it otherwise than the configuration does, for a time.
    #[serde(default)]
    pub by_hand: bool,
    /// Calls that wait for others of their own client to end, before they join the queue.
    pub waiting_for_own: u64,
    /// How long the call that came first has waited.
    pub oldest_ms: u64,
    /// What was found of the server, where its cap follows how long calls take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<AdaptiveStatus>,
    /// Tiers of which somebody waits.
    pub tiers: Vec<QueuedTier>,
    /// The first hundred calls, in the order in which they will be served if nobody else comes.
    pub calls: Vec<QueuedCall>,
}

/// What was found of a server.
#[derive(Debug, Clone, Copy, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct AdaptiveStatus {
    /// Calls that it takes at once.
    pub limit: u64,
    /// How long a call takes while it has little to do; absent until that was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unloaded_ms: Option<f64>,
}

/// Those of one tier who wait.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct QueuedTier {
    /// Its name; absent for clients without a tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Its share in relation to other tiers.
    pub weight: u32,
    /// Calls that wait.
    pub waiting: u64,
    /// How many clients they are of.
    pub clients: u64,
}

/// A call that waits.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct QueuedCall {
    /// How many are served before it.
    pub position: u64,
    /// Whose it is, by the id that other routes know the client by.
    pub client: String,
    /// The client's tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// How long it has waited.
    pub waited_ms: u64,
}

/// A gate that has too much to do.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct OverloadStatus {
    /// From 1: new sessions are refused; 2: calls of the lowest tier too; 3 and more: servers get fewer calls at once.
    pub level: u8,
    /// What presses, and how hard.
    pub reason: String,
    /// What is done, as a sentence without its end.
    pub step: String,
    /// Seconds since the last step.
    pub for_seconds: u64,
}
