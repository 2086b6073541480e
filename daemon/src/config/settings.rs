//! The running configuration: immutable, checked, free of serde.
//!
//! `config::load` makes it from files; everything else only reads it. A call keeps the value
//! that it started with, so a reload never shows one call two revisions.

pub mod access;
mod answers;
mod audit;
mod issuer;
mod limit;
mod machines;
mod observe;
mod seal;
mod server;
mod trace;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use toolgate_protocol::coding::Coding;
use toolgate_protocol::forwarded::Header;

use super::dump::Effective;
use crate::identity::rights::Role;
pub use answers::{Answers, Cache, CachedTool, Guard, Pin};
pub use audit::{AuditRules, AuditedArguments, AuditedCalls, OnFull};
pub use issuer::{Claims, Issuer, KeySource};
pub use limit::{Counted, Levels, Limit, LimitScope, Loops, Measure, Prefix, Written};
pub use machines::{Authentication, Certificate, ClientTls, Holder, Machine};
pub use observe::{AlertRules, HealthRules, OwnCheck, Private, Scaling, Subject, Webhook};
pub use seal::{SealKey, Sealing};
pub use server::{
    Access, Adaptive, Endpoint, Filter, Health, Http, Instances, Per, Pool, Queue, Retry, Server, Stdio, Timeouts,
    Transport, UpstreamTls, Wear,
};
pub use trace::Trace;

/// Everything the operator decided, resolved so that a call only follows references.
#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    /// Grows by one with each accepted configuration whose files differ from the one before.
    pub revision: u64,
    /// Whether it is what the files say.
    pub origin: Origin,
    /// The files this was read from, in order.
    pub files: Vec<PathBuf>,
    /// Listeners by name, in the order of the file.
    pub listeners: Vec<Arc<Listener>>,
    /// Servers by name, disabled ones included.
    pub servers: BTreeMap<String, Arc<Server>>,
    /// Profiles by name; they share one name space with servers.
    pub profiles: BTreeMap<String, Arc<Profile>>,
    /// API keys by their public id.
    pub keys: BTreeMap<String, Arc<Key>>,
    /// Clients known by their certificates, by name.
    pub certificates: BTreeMap<String, Arc<Certificate>>,
    /// Clients known by their addresses, by name.
    pub machines: BTreeMap<String, Arc<Machine>>,
    /// What wrong credentials lead to.
    pub authentication: Authentication,
    /// Named sets of limits.
    pub tiers: BTreeMap<String, Arc<Tier>>,
    /// What clients may use, by name.
    pub roles: BTreeMap<String, Arc<Role>>,
    /// Groups of clients, by name.
    pub organisations: BTreeMap<String, Arc<Organisation>>,
    /// Who issues tokens, by name.
    pub issuers: BTreeMap<String, Arc<Issuer>>,
    /// Limits that apply beside those of tiers.
    pub limits: Vec<Arc<Limit>>,
    /// When the gate lets go of work; absent: never.
    pub overload: Option<Overload>,
    /// What is done about clients that repeat themselves.
    pub loops: Loops,
    /// When what the gate finds of itself is worth a look.
    pub health: HealthRules,
    /// What the operator has it look after, by name.
    pub checks: BTreeMap<String, Arc<OwnCheck>>,
    /// When an operator is told.
    pub alerts: AlertRules,
    /// What load is aimed at; absent: nobody asks.
    pub scaling: Option<Scaling>,
    /// The keys of what others keep for the gate.
    pub seal: Sealing,
    /// Which calls a collector is told of; absent: none.
    pub trace: Option<Arc<Trace>>,
    /// What concerns the process as a whole.
    pub daemon: Daemon,
    /// Where log lines go.
    pub log: Log,
    /// What leaves a line in the audit log.
    pub audit: AuditRules,
    /// Problems that do not keep the configuration from being used, as finished sentences.
    pub warnings: Vec<String>,
    /// Every key with what holds and where that is written, for people.
    pub effective: Vec<Effective>,
}

/// Where a configuration was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The files on disk.
    Files,
    /// The history: the files on disk had this many errors when the daemon started.
    History {
        /// At least one.
        errors: usize,
    },
}

impl Settings {
    /// What an operator must know where the files on disk are not what serves.
    #[must_use]
    pub fn from_history(&self) -> Option<String> {
        let Origin::History { errors } = self.origin else { return None };
        let problems = if errors == 1 { "a problem".to_owned() } else { format!("{errors} problems") };
        let revision = self.revision;
        Some(format!("serving revision {revision} from history, the files have {problems}: `toolgated check`"))
    }
}

/// What to do at a start with files that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBadConfig {
    /// Serve the last accepted revision.
    LastGood,
    /// Do not start.
    Refuse,
}

/// `[daemon]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    /// Core runtimes; 0 means one per processor available.
    pub cores: usize,
    /// Folder of the admin sockets and of `servers/`.
    pub runtime_dir: PathBuf,
    /// Folder of what must survive a restart; systemd's where it gives one; empty: nothing does.
    pub state_dir: PathBuf,
    /// What to do at a start with files that cannot be used.
    pub on_bad_config: OnBadConfig,
    /// How long calls may finish after SIGTERM.
    pub drain_timeout: Duration,
    /// How long new connections are still answered after SIGTERM.
    pub lame_duck: Duration,
    /// Open client connections in all.
    pub max_connections: usize,
    /// Open connections to servers in all.
    pub max_server_connections: usize,
    /// Bytes of answers that are read before they are passed on, in all.
    pub max_answer_memory: usize,
    /// Sessions of the legacy era in all.
    pub max_sessions: usize,
    /// Sessions of one client.
    pub max_sessions_per_client: usize,
    /// A session without a call or stream ends after this.
    pub session_timeout: Duration,
}

impl Daemon {
    /// Core runtimes, where 0 was written as many as processors are available.
    #[must_use]
    pub fn core_count(&self) -> usize {
        match self.cores {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        }
    }
}

/// `[overload]`: from where on the gate has too much to do. Shares are hundredths of what it may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overload {
    /// Processor time.
    pub cpu: u64,
    /// Memory.
    pub memory: u64,
    /// Bytes of which that is a share; absent: the group's limit, or the machine's memory.
    pub memory_limit: Option<u64>,
    /// Open descriptors.
    pub descriptors: u64,
    /// How long a task that is ready may wait for its core.
    pub lag: Duration,
    /// How long a call may wait in a queue; absent: as long as that queue allows.
    pub queue_age: Option<Duration>,
    /// What each of the last steps leaves servers of their calls at once.
    pub shrink: u64,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,toolgated::listen=debug`.
    pub level: String,
    /// Where to, and in which form.
    pub format: LogFormat,
    /// One line per call.
    pub access: bool,
    /// A folder that gets the lines as well; none: there are no files.
    pub files: Option<PathBuf>,
    /// When a file gives way to a new one.
    pub rotate: Rotate,
}

impl Log {
    /// Whether both go to the same places in the same form.
    #[must_use]
    pub fn is_written_as(&self, other: &Self) -> bool {
        (self.format, &self.files, self.rotate) == (other.format, &other.files, other.rotate)
    }
}

/// When a file of the log gives way to a new one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rotate {
    /// When it is full.
    #[default]
    Size,
    /// With each day.
    Daily,
}

/// Where log lines go, and in which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// journald under systemd, colours on a terminal, JSON otherwise.
    Auto,
    /// The journal's native protocol, one field per value.
    Journald,
    /// One JSON object per line on standard output.
    Json,
    /// For people.
    Pretty,
}

/// `[listener.NAME]`: an address that clients connect to.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches, as the file writes them")]
pub struct Listener {
    /// The table's name.
    pub name: String,
    /// Addresses to bind, or to match with sockets passed by systemd.
    pub addresses: Vec<SocketAddr>,
    /// What it serves.
    pub serve: Serve,
    /// Where clients may come from; absent: from everywhere. [`Listener::allows`] asks.
    pub allow: Option<Vec<IpNet>>,
    /// Peers that say whom they speak for. [`Listener::trusts`] asks.
    pub trusted_proxies: Vec<IpNet>,
    /// Where those that speak HTTP say it.
    pub address_header: Header,
    /// Every connection begins with a PROXY header; then `trusted_proxies` is not empty.
    pub proxy_protocol: bool,
    /// Names that `Host` and `Origin` must match, lower case and without port; empty: the
    /// addresses themselves and `localhost` where they are loopback, else any.
    pub hosts: Vec<String>,
    /// Origins that browsers may come from beside those of `hosts`.
    pub origins: Vec<String>,
    /// How clients identify themselves where MCP is served; empty means `auth = "none"`.
    pub auth: Vec<AuthMethod>,
    /// Every certificate of the listener's authorities is a client.
    pub any_certificate: bool,
    /// Scheme, host and port under which clients reach it; absent: what `Host` says.
    pub resource: Option<String>,
    /// TLS, or none where plain HTTP was written out.
    pub tls: Option<Tls>,
    /// Answer everything with 301 to this port of the same host over HTTPS.
    pub redirect_to_https: Option<u16>,
    /// Accept `/mcp/tg_…` as a credential.
    pub key_in_path: bool,
    /// Accept POSTs without `Accept`.
    pub lenient: bool,
    /// Codings for answers, the best first; empty: none.
    pub compression: Vec<Coding>,
    /// HTTP status of requests that are refused for want of room.
    pub refusal_status: RefusalStatus,
    /// Tell clients where they stand below limits of their own.
    pub rate_headers: bool,
    /// Sizes, times and counts that bound what a client may cost.
    pub bounds: Bounds,
    /// Headers set on every answer: name in lower case, value; a removed one is absent.
    pub security_headers: Vec<(String, String)>,
    /// Limits that apply to this listener.
    pub limits: Vec<Arc<Limit>>,
}

impl Listener {
    /// Whether an address, never IPv4 in IPv6's form, is on the allow-list.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        self.allow.as_ref().is_none_or(|allow| allow.iter().any(|net| net.contains(&address)))
    }

    /// Whether it serves clients who identify themselves by tokens.
    #[must_use]
    pub fn takes_tokens(&self) -> bool {
        self.serve.mcp && self.auth.contains(&AuthMethod::Jwt)
    }

    /// Whether an address, never IPv4 in IPv6's form, is that of a trusted proxy.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|net| net.contains(&address))
    }
}

/// HTTP status of a request that is refused for want of room: by a limit, a queue, the drain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RefusalStatus {
    /// 200 to requests of the legacy era, whose clients end their session on anything else; 503 to others.
    #[default]
    Auto,
    /// 200 to every request: the JSON-RPC error alone tells.
    Ok,
    /// 429 by a limit, 503 by anything else.
    TooManyRequests,
    /// 503 always.
    Unavailable,
}

/// What a listener serves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches, as the file writes them")]
pub struct Serve {
    /// `/mcp` and `/mcp/NAME`.
    pub mcp: bool,
    /// `/health`.
    pub health: bool,
    /// `/ready`.
    pub ready: bool,
    /// `/metrics`.
    pub metrics: bool,
    /// `get_health_status` at `/mcp` of an internal listener.
    pub status: bool,
    /// `/oauth/start/…` and `/oauth/callback`.
    pub oauth: bool,
}

impl Serve {
    /// The words of the configuration.
    #[must_use]
    pub fn words(self) -> Vec<&'static str> {
        let all = [
            (self.mcp, "mcp"),
            (self.health, "health"),
            (self.ready, "ready"),
            (self.metrics, "metrics"),
            (self.status, "status"),
            (self.oauth, "oauth"),
        ];
        all.into_iter().filter_map(|(on, word)| on.then_some(word)).collect()
    }
}

/// A way in which clients identify themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMethod {
    /// An API key of `[key.ID]`.
    Key,
    /// A token of an `[issuer.NAME]`.
    Jwt,
    /// A certificate of `[certificate.NAME]`, or of the listener's authorities.
    Certificate,
    /// An address of `[machine.NAME]`.
    Address,
}

/// `tls.*` of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The first one serves clients whose SNI names none of them.
    pub certificates: Vec<CertificateFiles>,
    /// Names and addresses for which the daemon makes the one certificate itself, where it is missing.
    pub self_signed: Option<Vec<String>>,
    /// Whose certificates clients show; none: they are asked for none.
    pub clients: Option<ClientTls>,
    /// Oldest version spoken.
    pub min_version: TlsVersion,
    /// Session tickets (TLS 1.2 and 1.3).
    pub tickets: bool,
    /// How long a session may be resumed.
    pub session_timeout: Duration,
    /// The handshake must end within this.
    pub handshake_timeout: Duration,
}

/// A chain and its key; both files are read again when they change on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// PEM, leaf first.
    pub chain: PathBuf,
    /// PEM, PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// A TLS version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// RFC 5246
    V1_2,
    /// RFC 8446
    V1_3,
}

/// What a client may cost, per listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of a request's head (request line and headers).
    pub head_bytes: usize,
    /// Header lines of a request.
    pub headers: usize,
    /// Bytes of the request target.
    pub uri_bytes: usize,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// From the first byte of a head to its last.
    pub head_timeout: Duration,
    /// From the end of the head to the last byte of the body.
    pub body_timeout: Duration,
    /// Between two requests.
    pub keep_alive: Duration,
    /// Connections of this listener.
    pub connections: usize,
    /// Connections per address (IPv6: per /64).
    pub connections_per_address: usize,
    /// HTTP/2 streams per connection.
    pub streams: u32,
}

/// `[profile.NAME]`: servers and tools offered as if they were one server.
#[derive(Debug, PartialEq, Eq)]
pub struct Profile {
    /// The table's name.
    pub name: String,
    /// Servers in the order of the file.
    pub servers: Vec<String>,
    /// Matches merged names (`server__tool`), or the tool's own name where the profile has one server.
    pub tools: Filter,
}

/// `[key.ID]`: an API key of which only the hash is known.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// The public part of `tg_<id>_<secret>`.
    pub id: String,
    /// SHA-256 of the secret part.
    pub sha256: [u8; 32],
    /// The client's name in logs and limits.
    pub owner: String,
    /// Set of limits: its own, or its organisation's.
    pub tier: Option<Arc<Tier>>,
    /// Whom it belongs to.
    pub organisation: Option<Arc<Organisation>>,
    /// Patterns over `server/tool`; empty: everything.
    pub scopes: Vec<String>,
    /// What decides what it may use.
    pub roles: Vec<Arc<Role>>,
    /// When it was made, in seconds since 1970, where somebody wrote it down.
    pub created: Option<u64>,
}

/// `[tier.NAME]`
#[derive(Debug, PartialEq, Eq)]
pub struct Tier {
    /// The table's name.
    pub name: String,
    /// Its share of a server's time where calls wait, in relation to other tiers.
    pub weight: u32,
    /// Its limits.
    pub limits: Vec<Arc<Limit>>,
}

/// `[organisation.NAME]`: a group of clients.
#[derive(Debug, PartialEq, Eq)]
pub struct Organisation {
    /// The table's name.
    pub name: String,
    /// Set of limits of those of its clients that have none of their own.
    pub tier: Option<Arc<Tier>>,
    /// Roles of all of its clients.
    pub roles: Vec<Arc<Role>>,
    /// Its limits.
    pub limits: Vec<Arc<Limit>>,
}
