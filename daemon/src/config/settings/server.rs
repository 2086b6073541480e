//! Servers: how they are reached, what they may cost, and what is done when they fail.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use toolgate_protocol::breaker;
use toolgate_protocol::health::Thresholds;
use toolgate_protocol::names::Aliases;
use toolgate_protocol::reach::Word;

use super::super::secret::Secret;
use super::access;
use super::{Answers, CertificateFiles, Limit};

/// `[server.NAME]`: an MCP server behind the gate.
#[derive(Debug, PartialEq, Eq)]
pub struct Server {
    /// The table's name: `[a-z][a-z0-9-]{0,23}`.
    pub name: String,
    /// A disabled server is known and answers that it is disabled.
    pub enabled: bool,
    /// Readiness requires it.
    pub critical: bool,
    /// How it is reached.
    pub transport: Transport,
    /// Which tools exist for clients.
    pub tools: Filter,
    /// Names of tools and prompts in merged views.
    pub aliases: Aliases,
    /// Deadlines of a call.
    pub timeout: Timeouts,
    /// Time to the first byte of single tools, instead of `timeout.first_byte`.
    pub tool_timeouts: BTreeMap<String, Duration>,
    /// Calls that wait for a permit.
    pub queue: Queue,
    /// Calls in flight at once.
    pub max_calls: usize,
    /// Calls of one client in flight at once; its others wait. 0: no bound of its own.
    pub max_calls_per_client: usize,
    /// Streams at once on which somebody listens, beside calls; of servers over HTTP.
    pub max_streams: usize,
    /// Of these, of one client.
    pub max_streams_per_client: usize,
    /// How calls in flight follow what the server takes; absent: there may always be `max_calls`.
    pub adaptive: Option<Adaptive>,
    /// When calls to it are refused because they would fail.
    pub breaker: Option<breaker::Rules>,
    /// When a call is made once more.
    pub retry: Option<Retry>,
    /// How its endpoints are looked after.
    pub health: Option<Health>,
    /// The weight of each endpoint, in their order.
    pub weights: Vec<u32>,
    /// Limits that apply to this server.
    pub limits: Vec<Arc<Limit>>,
    /// What calls of its tools cost where it is not 1: patterns, the most telling first.
    pub costs: Vec<(String, u64)>,
    /// Arguments, answers, and tools that change.
    pub answers: Answers,
    /// What it is shown of the gate and of its clients, where that may change.
    pub access: access::Access,
}

impl Server {
    /// Why it cannot be called as it is configured, as a sentence: one of its secrets is missing.
    #[must_use]
    pub fn lacks(&self) -> Option<&str> {
        match &self.transport {
            Transport::Http(http) | Transport::Sse(http) => http.lacks.as_deref(),
            Transport::Stdio(_) => None,
        }
    }
}

/// `adaptive` of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adaptive {
    /// Calls in flight that it is never kept from.
    pub min: usize,
    /// How long a call may take, in hundredths of what it takes while the server has little to do.
    pub tolerance: u64,
}

/// `retry` of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Tries in all.
    pub attempts: u32,
    /// Further tries, in percent of calls.
    pub budget: u64,
    /// Tools that may be repeated after they were sent.
    pub idempotent: Filter,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 2, budget: 10, idempotent: Filter::default() }
    }
}

/// `health` of a server, with `active` true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Before the first check.
    pub initial_delay: Duration,
    /// Between two checks.
    pub interval: Duration,
    /// How long a check may take.
    pub timeout: Duration,
    /// What takes an endpoint out, and back in.
    pub thresholds: Thresholds,
}

/// How a server is reached.
#[derive(Debug, PartialEq, Eq)]
pub enum Transport {
    /// Streamable HTTP.
    Http(Http),
    /// HTTP+SSE of revision 2024-11-05: a stream per session that says where messages are posted.
    Sse(Http),
    /// A command behind a Unix socket.
    Stdio(Stdio),
}

impl Transport {
    /// Whether what runs for it goes on under `new`: the server is reached as before, and only bounds and times of its
    /// connections differ.
    #[must_use]
    pub fn goes_on_as(&self, new: &Self) -> bool {
        match (self, new) {
            (Self::Http(old), Self::Http(new)) => old.is_reached_as(new),
            // Each connection bears a session there.
            (Self::Sse(old), Self::Sse(new)) => {
                old.is_reached_as(new) && old.pool.max_connections == new.pool.max_connections
            }
            (old, new) => old == new,
        }
    }
}

/// A server over HTTP.
#[derive(Debug, PartialEq, Eq)]
pub struct Http {
    /// At least one.
    pub endpoints: Vec<Endpoint>,
    /// Kept connections.
    pub pool: Pool,
    /// Headers added to every request, credentials among them.
    pub headers: Vec<(String, Secret)>,
    /// Why nothing can be sent, as a sentence: a secret of the headers could not be had at the start.
    pub lacks: Option<String>,
    /// TLS towards the endpoints with `https://`.
    pub tls: UpstreamTls,
    /// Name the client and its tier to the server in `X-Toolgate-Client` and `X-Toolgate-Tier`.
    pub forward_client: bool,
    /// On whose word connections are made, which says where they may lead.
    pub word: Word,
}

impl Http {
    fn is_reached_as(&self, new: &Self) -> bool {
        // Whoever adds a field decides here.
        let Self { endpoints, pool, headers, lacks, tls, forward_client, word } = self;
        let Pool { max_connections: _, max_per_endpoint: _, idle_timeout: _, max_age: _, min_idle: _, http2 } = pool;
        (endpoints, headers, lacks, tls) == (&new.endpoints, &new.headers, &new.lacks, &new.tls)
            && (http2, forward_client, word) == (&new.pool.http2, &new.forward_client, &new.word)
    }
}

/// One address of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The URL as written.
    pub url: String,
    /// `https`.
    pub tls: bool,
    /// Name or address, IPv6 without brackets.
    pub host: String,
    /// Written or the scheme's default.
    pub port: u16,
    /// Path and query, at least `/`.
    pub path: String,
}

impl Endpoint {
    /// The `Host` header: the port is left out where it is the scheme's default.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let default = if self.tls { 443 } else { 80 };
        if self.port == default { host } else { format!("{host}:{}", self.port) }
    }
}

/// Kept connections to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Open connections of the server, in use or idle.
    pub max_connections: usize,
    /// Of these, to each endpoint; none: no bound of their own.
    pub max_per_endpoint: Option<usize>,
    /// An idle connection is closed after this.
    pub idle_timeout: Duration,
    /// A connection that is older is not kept.
    pub max_age: Option<Duration>,
    /// Idle connections to each endpoint that each core opens in advance.
    pub min_idle: usize,
    /// HTTP/2, where the server speaks it: calls share connections.
    pub http2: bool,
}

/// TLS towards a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Trusted authorities in PEM instead of the machine's.
    pub ca: Option<PathBuf>,
    /// Client certificate and key.
    pub client: Option<CertificateFiles>,
    /// SNI and name to verify instead of the URL's host.
    pub server_name: Option<String>,
}

/// A server over stdio.
#[derive(Debug, PartialEq, Eq)]
pub struct Stdio {
    /// Program and arguments; the program is absolute or found in `PATH` by whoever starts it.
    pub command: Vec<String>,
    /// The whole environment of the program beside `PATH`, `HOME` and `LANG`.
    pub environment: Vec<(String, Secret)>,
    /// Working directory.
    pub directory: Option<PathBuf>,
    /// What it may reach of the machine.
    pub access: Access,
    /// When instances start and end, and what they may use.
    pub instances: Instances,
    /// Bytes of one line on stdout.
    pub line_bytes: usize,
}

/// What the program of a stdio server may reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// The network.
    pub network: bool,
    /// The networks that it may reach; empty: all.
    pub networks: Vec<IpNet>,
    /// Absolute paths that it may read. With both lists empty it reads what its user may.
    pub read: Vec<PathBuf>,
    /// Absolute paths that it may read and write.
    pub write: Vec<PathBuf>,
    /// Groups that its user belongs to.
    pub groups: Vec<String>,
}

/// `instances` of a stdio server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instances {
    /// Whom an instance serves; absent: `All` for servers that speak modern, else `Session`.
    pub per: Option<Per>,
    /// Running at once.
    pub max: usize,
    /// Kept started in advance.
    pub spares: usize,
    /// Ends after this without call or stream.
    pub idle: Duration,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub tasks: Option<u64>,
    /// Processor time in hundredths of a processor.
    pub cpu: Option<u64>,
    /// When a running one is replaced.
    pub wear: Wear,
}

/// When an instance that works is replaced all the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wear {
    /// Once it is older.
    pub age: Option<Duration>,
    /// Once it has answered as many calls.
    pub calls: Option<u64>,
    /// Once it uses as many bytes of memory.
    pub memory: Option<u64>,
}

/// Whom an instance serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Per {
    /// One legacy session, or one client with one set of capabilities.
    Session,
    /// One client.
    Client,
    /// Everybody.
    All,
}

/// Deadlines of a call to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection stands, TLS included.
    pub connect: Duration,
    /// From the last byte sent to the first byte of the answer.
    pub first_byte: Duration,
    /// The whole call; absent: none, since tools and streams live long.
    pub total: Option<Duration>,
}

/// Calls that wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Waiting at once.
    pub max_size: usize,
    /// Longest wait.
    pub timeout: Duration,
}

/// Which names exist: `deny` wins; an empty `allow` allows all. Patterns know `*` and `?`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Patterns of which one must match, unless empty.
    pub allow: Vec<String>,
    /// Patterns of which none may match.
    pub deny: Vec<String>,
}
