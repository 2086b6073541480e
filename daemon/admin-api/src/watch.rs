//! What changes, as it changes, and what was.
//!
//! `GET /v1/watch?topics=overview,servers&interval=1000` answers lines of [`WatchLine`], without end.
//! Tables that can be long (`sessions`, `tools`, `clients`, `calls`) are sorted, filtered and cut by the daemon:
//! `sessions.sort=idle`, `sessions.descending=true`, `sessions.filter=WORDS`, `sessions.limit=200`, and the same for the
//! others. `GET /v1/history?series=calls,errors&from=MS&to=MS&points=N` answers [`History`];
//! a name that ends with `*` stands for all series that begin so and go on without a `/`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cache::CacheStatus;
use crate::calls::Calls;
use crate::clients::Clients;
use crate::config::ConfigView;
use crate::health::{Alert, Health, Process};
use crate::limits::LimitsView;
use crate::queues::Queues;
use crate::sessions::Sessions;
use crate::status::{ServerStatus, Status};
use crate::traffic::Traffic;

/// One line of a watch.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum WatchLine {
    /// The first line: who speaks, and what it holds.
    Hello(Hello),
    /// A topic as it is now. It comes again when it is another one than before, the interval apart at least.
    Topic {
        /// When, in milliseconds since 1970.
        at_ms: u64,
        /// What.
        #[serde(flatten)]
        topic: Topic,
    },
    /// The reader was too slow: as many lines were left out, and what follows is everything anew.
    Lagged {
        /// How many.
        count: u64,
    },
    /// Of `since` the daemon knows no more: it, or what makes a topic, has begun anew, or the clock was set back. What
    /// follows is everything.
    Resync {
        /// The oldest moment, in milliseconds since 1970, that is known of all topics that are watched.
        oldest_ms: u64,
    },
    /// Nothing has changed.
    Heartbeat {
        /// In milliseconds since 1970.
        at_ms: u64,
    },
    /// A word of a newer daemon.
    #[serde(other)]
    Unknown,
}

/// Who answers a watch.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Hello {
    /// The daemon's version.
    pub version: String,
    /// Random id of the process: with another one, counters begin anew.
    pub instance: String,
    /// The machine's name.
    pub host: String,
    /// `view` or `control`.
    pub privilege: String,
    /// Milliseconds between two lines of a topic.
    pub interval_ms: u64,
}

/// What can be watched.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "topic", content = "data", rename_all = "snake_case")]
pub enum Topic {
    /// The gate at a glance.
    Overview(Box<Overview>),
    /// Servers.
    Servers(Vec<ServerRow>),
    /// Sessions.
    Sessions(Sessions),
    /// Tools.
    Tools(Tools),
    /// Limits.
    Limits(LimitsView),
    /// Clients.
    Clients(Clients),
    /// Health.
    Health(Box<Health>),
    /// Calls in flight.
    Calls(Calls),
    /// Queues.
    Queues(Queues),
    /// The configuration.
    Config(Box<ConfigView>),
    /// A word of a newer daemon.
    #[serde(other)]
    Unknown,
}

/// The gate at a glance.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Overview {
    /// What `GET /v1/status` answers, without the servers.
    pub status: Status,
    /// All calls.
    pub traffic: Traffic,
    /// How many calls of the last minute took how long.
    #[serde(default)]
    pub heat: Vec<HeatColumn>,
    /// Calls that wait in the queues of all servers.
    #[serde(default)]
    pub waiting: u64,
    /// What has a bound, the fullest first, of many a part.
    #[serde(default)]
    pub saturation: Vec<Saturation>,
    /// The five servers that need a look most.
    #[serde(default)]
    pub worst_servers: Vec<ServerRow>,
    /// The five tools that need a look most.
    #[serde(default)]
    pub worst_tools: Vec<ToolRow>,
    /// Those that fire.
    #[serde(default)]
    pub alerts: Vec<Alert>,
    /// The process.
    #[serde(default)]
    pub process: Process,
}

/// Calls that ended in a span of time, by how long they took.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct HeatColumn {
    /// The end of the span, in milliseconds since 1970.
    pub at_ms: u64,
    /// Calls by [`HEAT_BOUNDS_US`], and at the end those that took longer.
    pub counts: Vec<u64>,
}

/// Upper bounds of a [`HeatColumn`], in microseconds.
pub const HEAT_BOUNDS_US: [u64; 12] =
    [500, 1_000, 2_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000, 30_000_000];

/// How full something is.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Saturation {
    /// Such as `connections`, `memory`, `queue:weather`, `calls:weather`.
    pub what: String,
    /// How much is used.
    pub used: u64,
    /// How much there is.
    pub max: u64,
}

/// A server with what it does.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct ServerRow {
    /// How it does.
    #[serde(flatten)]
    pub status: ServerStatus,
    /// What it does.
    #[serde(default)]
    pub traffic: Traffic,
    /// Calls that it may have at once; absent where that has no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_calls: Option<u64>,
    /// Calls that may wait for it.
    #[serde(default)]
    pub max_waiting: u64,
    /// How long the call that came first has waited.
    #[serde(default)]
    pub oldest_ms: u64,
    /// Its cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheStatus>,
}

/// Tools.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Tools {
    /// All that there are, of which `tools` may be a part.
    pub total: u64,
    /// In the order that was asked for.
    pub tools: Vec<ToolRow>,
}

/// A tool with what it does.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct ToolRow {
    /// The server.
    pub server: String,
    /// Its own name for the tool.
    pub tool: String,
    /// What it does.
    pub traffic: Traffic,
    /// Clients that called it in the last hour, those that called most first; ten at most.
    pub callers: Vec<Caller>,
    /// The largest answer, in bytes.
    pub largest: u64,
    /// Set while the operator has it disabled: the words that callers read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<String>,
    /// Until when, in milliseconds since 1970; absent: until it is enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_until_ms: Option<u64>,
    /// When its description or schema was last seen to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_ms: Option<u64>,
    /// It changed and clients do not get it until that is approved.
    pub withheld: bool,
}

/// A client that calls a tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Caller {
    /// The client's id.
    pub client: String,
    /// Calls in the last hour.
    pub calls: u64,
}

/// What was.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// Those that were asked for and are known.
    pub series: Vec<Series>,
    /// When the oldest sample is of, in milliseconds since 1970.
    pub oldest_ms: u64,
}

/// One value over time.
#[derive(Debug, Clone, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Series {
    /// Such as `calls`, `errors`, `refused`, `p50`, `p99`, `in_flight`, `waiting`, `sessions`, `connections`, `cpu`,
    /// `memory`, `bytes_in`, `bytes_out`, with `:SERVER` behind those of one server, `:SERVER/TOOL` and `@CLIENT` behind
    /// those of the busiest tools and clients.
    pub name: String,
    /// `per_second`, `us`, `bytes`, `bytes_per_second`, `ratio` or `count`.
    pub unit: String,
    /// The time of the first point, in milliseconds since 1970.
    pub from_ms: u64,
    /// Milliseconds from one point to the next.
    pub step_ms: u64,
    /// `None` where nothing was recorded.
    pub points: Vec<Option<f64>>,
}
