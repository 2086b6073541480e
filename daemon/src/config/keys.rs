//! The table of every key: its kind, default, reload class and meaning.
//!
//! Checker, defaults, "did you mean", `check --dump` and the man page are read from here.
//! A key that is not in this table does not exist.

use super::kind::Kind;
use super::presets;

/// When a changed value takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// With the next call after a reload.
    Live,
    /// For connections accepted after a reload.
    NewConnections,
    /// The server's stdio instances, or its upstream connections, are started anew.
    Server,
    /// After `systemctl restart toolgate`.
    Restart,
    /// Checked, but without effect in this version.
    Later,
}

impl Effect {
    /// As the manual says it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "next call",
            Self::NewConnections => "new connections",
            Self::Server => "server starts anew",
            Self::Restart => "restart",
            Self::Later => "not yet",
        }
    }
}

/// One key of the configuration.
#[derive(Debug)]
pub struct Key {
    /// Dotted; `*` stands for a name that the operator chooses, `[]` for an element of a list.
    pub path: &'static str,
    /// What may be written.
    pub kind: Kind,
    /// In TOML, as one would write it; absent: nothing is set.
    pub default: Option<&'static str>,
    /// When a change takes effect.
    pub effect: Effect,
    /// One line for the operator.
    pub doc: &'static str,
}

/// What a name leads to, below a pattern.
#[derive(Debug)]
pub(super) enum Step {
    /// A key that holds a value.
    Leaf(&'static Key),
    /// A table, by its pattern.
    Table(String),
}

/// The key with this pattern.
#[must_use]
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Where `name` leads in the table with this pattern ("" is the top); a known name wins over `*`.
pub(super) fn step(pattern: &str, name: &str) -> Option<Step> {
    [name, "*"].into_iter().find_map(|segment| {
        let path = join(pattern, segment);
        if let Some(key) = find(&path) {
            return Some(Step::Leaf(key));
        }
        let prefix = format!("{path}.");
        KEYS.iter().any(|key| key.path.starts_with(&prefix)).then_some(Step::Table(path))
    })
}

/// The names that the table with this pattern knows, `*` not among them.
pub(super) fn names(pattern: &str) -> Vec<&'static str> {
    let prefix = if pattern.is_empty() { String::new() } else { format!("{pattern}.") };
    let mut names: Vec<_> = KEYS
        .iter()
        .filter_map(|key| key.path.strip_prefix(&prefix))
        .filter_map(|rest| rest.split('.').next())
        .filter(|name| *name != "*" && !name.ends_with("[]"))
        .collect();
    names.dedup();
    names
}

pub(super) fn join(pattern: &str, name: &str) -> String {
    if pattern.is_empty() { name.to_owned() } else { format!("{pattern}.{name}") }
}

const fn key(path: &'static str, kind: Kind, default: &'static str, effect: Effect, doc: &'static str) -> Key {
    let default = if default.is_empty() { None } else { Some(default) };
    Key { path, kind, default, effect, doc }
}

use Effect::{Later, Live, NewConnections, Restart, Server};
use Kind::{
    Address, Algorithm, Auth, Bool, Certificate, Cipher, Count, Duration, Endpoint, Expression, Hash, HeaderValue,
    Host, List, Network, Number, OneOf, Origin, Path, Pattern, Percent, Pointer, Rate, Reference, Scalar, Secret, Size,
    Tables, Text, Url,
};

const DAY: u64 = 86_400;
const ANY: Kind = Count(1, 1_000_000);
const ALGORITHMS: &[&str] = &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "HS256"];
const LOOPS: Kind = Count(2, 1_000_000);

/// Every key, in the order of the manual. One line per key, for the sake of reading down a column.
#[rustfmt::skip]
pub static KEYS: &[Key] = &[
    key("version", Kind::Version, "", Restart, "Version of the file's format; required in the main file: 1."),
    // The process
    key("daemon.cores", Count(0, 1024), "0", Restart, "Threads that serve connections; 0: one per processor."),
    key("daemon.runtime_dir", Path, "\"/run/toolgate\"", Restart, "Folder of the admin sockets and of the sockets of stdio servers."),
    key("daemon.state_dir", Path, "", Restart, "Folder of what must survive a restart, where systemd gives none; absent: nothing does."),
    key("daemon.on_bad_config", OneOf(&["last-good", "refuse"]), "\"last-good\"", Live, "What a start does with files that cannot be used: serve the revision that was accepted last, or exit with status 78."),
    key("daemon.preset", OneOf(presets::NAMES), "", Live, "Other defaults, for a kind of machine; whatever is written overrides them."),
    key("daemon.drain_timeout", Duration(0, DAY), "\"30s\"", Live, "How long calls may finish after SIGTERM."),
    key("daemon.lame_duck", Duration(0, 3600), "\"300ms\"", Live, "How long new connections are still answered after SIGTERM."),
    key("daemon.max_connections", ANY, "20000", Live, "Open client connections in all."),
    key("daemon.max_server_connections", ANY, "500", Live, "Open connections to HTTP servers in all, in use or idle; at it idle ones are closed of servers that have more than their share, then calls wait for timeout.connect."),
    key("daemon.max_answer_memory", Size(1 << 20, 1 << 50), "\"256MiB\"", Live, "Memory for long answers of servers over HTTP while the gate reads them before it passes them on, in all; a call whose answer finds none is told so."),
    key("daemon.max_sessions", ANY, "10000", Live, "Sessions of the legacy era in all."),
    key("daemon.max_sessions_per_client", ANY, "1000", Live, "Sessions of one client; at it the longest idle one gives way."),
    key("daemon.session_timeout", Duration(1, 30 * DAY), "\"24h\"", Live, "A session without a call or stream ends after this."),
    // The keys of what clients and the state folder hold for the gate
    key("seal.key", Secret, "", Live, "The key that seals cursors and states of calls: 32 bytes in base64 or hexadecimal, the same on every node; absent: one of the gate's own, in its state folder."),
    key("seal.other_key", Secret, "", Live, "A second key that opens too: the one to come, or the one before, while nodes change over."),
    key("seal.overlap", Duration(60, 365 * DAY), "\"7d\"", Live, "How long a key that seals no more still opens what it sealed."),
    key("seal.rotate_every", Duration(3600, 3650 * DAY), "", Live, "The age at which the gate's own key is replaced, such as \"90d\"; absent: when `toolgate seal rotate` says so."),
    // What the gate does when it has too much to do
    key("overload.cpu", Percent(1, 100), "\"80%\"", Live, "Processor time of the gate, of what its cores may use. The section [overload], if only its head, switches all of this on."),
    key("overload.memory", Percent(1, 100), "\"85%\"", Live, "Memory of the gate, of memory_limit."),
    key("overload.memory_limit", Size(1 << 20, 1 << 50), "", Live, "Bytes that the gate may use; absent: what its unit or else the machine has."),
    key("overload.descriptors", Percent(1, 100), "\"85%\"", Live, "Open descriptors, of the process's limit."),
    key("overload.lag", Duration(1, 60), "\"100ms\"", Live, "How long a task that is ready waits for its core; what takes longer than 500ms counts as that."),
    key("overload.queue_age", Duration(1, 3600), "", Live, "How long the longest waiting call of all queues has waited; absent: not looked at, for one slow server would count for all."),
    key("overload.shrink", Percent(10, 99), "\"70%\"", Live, "What is left to each server of its calls at once when refusing has not been enough, and again after each further 3 s, four times at most."),
    // The log
    key("log.level", Kind::Level, "\"info\"", Live, "error, warn, info, debug, trace, or directives such as \"info,toolgated::listen=debug\"."),
    key("log.format", OneOf(&["auto", "journald", "json", "pretty"]), "\"auto\"", Restart, "auto: journald under systemd, colours on a terminal, JSON otherwise."),
    key("log.access", Bool, "true", Live, "One line per call."),
    key("log.files", Path, "", Restart, "Folder that gets the lines as well, as JSON: all in all.log, errors in errors.log; absent: there are no files."),
    key("log.rotate", OneOf(&["size", "daily"]), "\"size\"", Restart, "When a file of the log gives way to a new one: at 10,485,760 bytes, of which 10 files are kept of all lines and 5 of errors; or with each day in UTC, of which 30 are."),
    // The audit log
    key("audit.calls", OneOf(&["all", "tools", "denied"]), "\"tools\"", Live, "Requests that leave a line in the audit log: all, calls of tools, or those alone that were denied, which always do."),
    key("audit.arguments", OneOf(&["hash", "redacted", "none"]), "\"hash\"", Live, "What a line says of arguments: the SHA-256 of their canonical form, the arguments without what is left out, or nothing."),
    key("audit.redact", List(&Text), "[]", Live, "JSON pointers to what is left out of arguments, with * for any member or element, such as \"/*/token\"."),
    key("audit.redact_patterns", List(&Text), "[]", Live, "Regular expressions of what is left out of them, such as \"sk-[A-Za-z0-9]+\"; keys of the gate and bearer tokens always are."),
    key("audit.on_full", OneOf(&["drop-and-alert", "deny"]), "\"drop-and-alert\"", Live, "While no line can be written: calls go on, and what is lost is counted, or new ones are refused. Both raise an alert."),
    key("audit.min_free", Size(0, 1 << 50), "\"16MiB\"", Live, "Free bytes of the state folder's file system below which changes by hand are written and lines of calls are not."),
    key("audit.rotate_size", Size(1 << 16, 1 << 40), "\"64MiB\"", Live, "Bytes at which a file of the audit log gives way to a new one."),
    key("audit.keep", Count(1, 1000), "16", Live, "Files that are kept, the one that is written among them."),
    key("audit.keep_for", Duration(3600, 3650 * DAY), "", Live, "Age at which an old file is removed; files then also give way each day. Absent: only their number counts."),
    key("audit.journal", Bool, "false", Live, "Lines of calls go to the log as well, whose rate limit makes it no record; changes by hand always do."),
    // Listeners
    key("listener.*.address", List(&Address), "", NewConnections, "Addresses to bind, each IP:PORT; IPv6 in brackets."),
    key("listener.*.serve", List(&OneOf(&["mcp", "health", "ready", "metrics", "status", "oauth"])), "[\"mcp\"]", Live, "What is served here."),
    key("listener.*.allow", List(&Network), "", NewConnections, "Networks that clients may come from; absent: everyone. Behind trusted_proxies it holds for whom they speak for."),
    key("listener.*.trusted_proxies", List(&Network), "[]", Live, "Networks of proxies that say whom they speak for."),
    key("listener.*.address_header", OneOf(&["x-forwarded-for", "forwarded", "x-real-ip"]), "\"x-forwarded-for\"", Live, "The header in which trusted proxies name the client; in any other it may be the client that speaks."),
    key("listener.*.proxy_protocol", Bool, "false", NewConnections, "Every connection begins with a PROXY header (version 1 or 2), and comes from trusted_proxies."),
    key("listener.*.hosts", List(&Host), "[]", Live, "Names that Host and Origin must match."),
    key("listener.*.origins", List(&Origin), "[]", Live, "Origins that browsers may come from, beside those of hosts."),
    key("listener.*.auth", List(&Auth), "", Live, "How clients identify themselves: \"key\", \"jwt\" by a token of an [issuer.NAME], \"certificate\", \"address\"; \"none\" for nobody has to. Required where mcp is served."),
    key("listener.*.resource", Origin, "", Live, "Scheme, host and port under which clients reach it: what tokens must be for, and what its metadata says. Absent: what the Host header says, which hosts must then bound off loopback."),
    key("listener.*.any_certificate", Bool, "false", Live, "Every certificate that tls.client_ca issued is a client, by the first name that it has; else only those that [certificate.NAME] means."),
    key("listener.*.auth_none_off_loopback", Bool, "false", Live, "Confirms auth = \"none\" on an address that other machines reach."),
    key("listener.*.plain", Bool, "false", NewConnections, "Confirms HTTP without TLS on an address that other machines reach."),
    key("listener.*.redirect_to_https", Count(1, 65_535), "", Live, "Answer everything with 301 to this port over HTTPS."),
    key("listener.*.key_in_path", Bool, "false", Live, "Accept /mcp/tg_… as a credential."),
    key("listener.*.lenient", Bool, "false", Live, "Accept POSTs without Accept."),
    key("listener.*.compression", List(&OneOf(&["zstd", "br", "gzip"])), "[]", Live, "Codings for JSON answers of 1 KiB and more, the best first; empty: none. See security.md before switching it on."),
    key("listener.*.refusal_status", OneOf(&["auto", "200", "429", "503"]), "\"auto\"", Live, "HTTP status of requests that a limit, a queue, an overload, the drain or a lack of room refuses; auto: 200 to legacy requests, else 503."),
    key("listener.*.rate_headers", Bool, "true", Live, "Tell clients where they stand in RateLimit and RateLimit-Policy, where a limit counts them alone."),
    key("listener.*.tls.certificates", Tables("listener.*.tls.certificates[]"), "", NewConnections, "Certificate chains with their keys; the first serves clients that name no other."),
    key("listener.*.tls.certificates[].chain", Certificate, "", NewConnections, "PEM file, leaf first."),
    key("listener.*.tls.certificates[].key", Certificate, "", NewConnections, "PEM file: PKCS#8, PKCS#1 or SEC1."),
    key("listener.*.tls.self_signed", Bool, "false", NewConnections, "Without certificates: the daemon makes one for this machine and the listener's hosts, and keeps it in the folder tls of its state. For a first try; clients must be told to trust it."),
    key("listener.*.tls.min_version", OneOf(&["1.2", "1.3"]), "\"1.2\"", NewConnections, "Oldest TLS version spoken."),
    key("listener.*.tls.ciphers", List(&Cipher), "", Later, "Checked only: the suites are fixed, ECDHE with AES-GCM or ChaCha20-Poly1305, in the server's order."),
    key("listener.*.tls.tickets", Bool, "true", NewConnections, "Session tickets."),
    key("listener.*.tls.client_ca", Certificate, "", NewConnections, "PEM file of the authorities whose certificates clients show; read again when it changes. Absent: clients are asked for none."),
    key("listener.*.tls.client_crl", Certificate, "", NewConnections, "PEM or DER file of revoked certificates, with a list of each authority that issues some; read again within a second when it changes, and then held against connections that are open."),
    key("listener.*.tls.crl_expired", OneOf(&["deny", "warn"]), "\"deny\"", NewConnections, "What a list means whose next update is overdue: no certificate is good, or it serves on; either is told."),
    key("listener.*.tls.client_certificate", OneOf(&["required", "optional"]), "", NewConnections, "Whether there is no handshake without one; absent: optional where auth has other methods beside certificate, else required. One that is not good is always refused."),
    key("listener.*.tls.session_timeout", Duration(1, 7 * DAY), "\"1d\"", NewConnections, "How long a session may be resumed."),
    key("listener.*.tls.handshake_timeout", Duration(1, 3600), "\"10s\"", NewConnections, "The handshake must end within this."),
    key("listener.*.bounds.head_bytes", Size(1 << 10, 1 << 20), "\"32KiB\"", NewConnections, "Bytes of a request's line and headers."),
    key("listener.*.bounds.headers", Count(8, 1000), "100", NewConnections, "Header lines of a request."),
    key("listener.*.bounds.uri_bytes", Size(64, 1 << 16), "\"8KiB\"", NewConnections, "Bytes of the request target."),
    key("listener.*.bounds.body_bytes", Size(1 << 10, 1 << 30), "\"10MiB\"", NewConnections, "Bytes of a body."),
    key("listener.*.bounds.head_timeout", Duration(1, 66), "\"60s\"", NewConnections, "From the first byte of a head to its last; 66 s at most."),
    key("listener.*.bounds.body_timeout", Duration(1, DAY), "\"60s\"", NewConnections, "From the end of the head to the last byte of the body."),
    key("listener.*.bounds.keep_alive", Duration(1, DAY), "\"65s\"", NewConnections, "Between two requests."),
    key("listener.*.bounds.connections", ANY, "20000", NewConnections, "Connections of this listener."),
    key("listener.*.bounds.connections_per_address", ANY, "4096", NewConnections, "Connections per address (IPv6: per /64); trusted proxies are not bound by it."),
    key("listener.*.bounds.streams", Count(1, 10_000), "100", NewConnections, "HTTP/2 streams per connection."),
    key("listener.*.headers.*", HeaderValue, "", Live, "A header set on every answer; false removes one of the standard set."),
    key("listener.*.limits", Tables("limit[]"), "", Live, "Limits that apply on this listener."),
    // Servers
    key("server.*.enabled", Bool, "true", Live, "A disabled server is known, and answers that it is disabled."),
    key("server.*.critical", Bool, "false", Live, "/ready requires it."),
    key("server.*.endpoints", List(&Endpoint), "", Server, "URLs of an MCP server over Streamable HTTP; a table { url, weight } for one with a weight."),
    key("server.*.endpoints[].url", Url, "", Server, "The URL."),
    key("server.*.endpoints[].weight", Count(1, 256), "1", Live, "Its share of calls, against the weights of the others."),
    key("server.*.transport", OneOf(&["streamable-http", "sse"]), "\"streamable-http\"", Server, "How the endpoints are spoken to; sse: HTTP+SSE of 2024-11-05, with the URLs of its streams."),
    key("server.*.command", List(&Text), "", Server, "Program and arguments of an MCP server over stdio."),
    key("server.*.tools.allow", List(&Pattern), "[]", Live, "Tools that exist, with * and ?; empty: all."),
    key("server.*.tools.deny", List(&Pattern), "[]", Live, "Tools that do not exist; wins over allow."),
    key("server.*.tools.cost.*", Count(0, 1_000_000), "", Live, "What a call of tools of this name or pattern costs limits with count = \"cost\"; the name itself wins, then the longest pattern; none: 1."),
    key("server.*.aliases.*", Text, "", Live, "The own name of a tool or prompt that merged views offer as server__alias."),
    key("server.*.tool.*.timeout.first_byte", Duration(1, DAY), "", Live, "Instead of timeout.first_byte for this tool."),
    key("server.*.tool.*.cache.ttl", Duration(1, 30 * DAY), "\"5m\"", Live, "Keep the tool's answers for this long; the tool's name may be a pattern with * and ?."),
    key("server.*.tool.*.cache.enabled", Bool, "true", Live, "Whether they are kept, where its table says anything of a cache."),
    key("server.*.tool.*.cache.shared", Bool, "false", Live, "Give an answer to every client that asks the same; else to the one alone that it was made for."),
    key("server.*.tool.*.cache.stale", Duration(1, 30 * DAY), "", Live, "How long after ttl an answer is still given, marked, while the server cannot be reached."),
    key("server.*.guard", OneOf(&["off", "log", "strict"]), "\"off\"", Live, "Arguments that do not fit a tool's inputSchema: log them, or answer what is wrong instead of calling."),
    key("server.*.max_result", Size(1 << 10, 64 << 20), "", Live, "Bytes of an answer to a call; a longer one is replaced by an error that says so. Absent: no bound but 64 MiB where the gate reads answers."),
    key("server.*.pin", OneOf(&["off", "warn", "block"]), "\"off\"", Live, "A tool that is described otherwise than when it was first seen: announce it, or withhold it until it is approved."),
    key("server.*.cache.hints", Bool, "false", Live, "Keep lists and resources that were read for as long as the server's ttlMs says, for whom its cacheScope says."),
    key("server.*.cache.entries", ANY, "1000", Live, "Answers that are kept."),
    key("server.*.cache.size", Size(1 << 16, 1 << 40), "\"16MiB\"", Live, "Bytes of all of them; no single one may have more than an eighth."),
    key("server.*.allow_link_local", Bool, "false", Server, "Its endpoints may be at link-local addresses; those where a cloud keeps a machine's credentials are refused all the same."),
    key("server.*.timeout.connect", Duration(1, 3600), "\"2s\"", Server, "Until the connection stands, TLS included; for a command, until the instance answers."),
    key("server.*.timeout.first_byte", Duration(1, DAY), "\"30s\"", Live, "From the last byte sent to the first of the answer; of a stream of events also to the first that follows its head."),
    key("server.*.timeout.total", Duration(1, 30 * DAY), "", Server, "The whole call; absent: none, since tools and streams live long."),
    key("server.*.queue.max_size", Count(0, 1_000_000), "1000", Live, "Calls that wait at once."),
    key("server.*.queue.timeout", Duration(0, 3600), "\"5s\"", Live, "Longest wait, also of calls that wait already."),
    key("server.*.max_calls", ANY, "", Live, "Calls in flight at once. Absent: of a server over Streamable HTTP pool.max_connections, so that calls beyond wait in the fair queue and not for a connection; else 1000."),
    key("server.*.max_calls_per_client", ANY, "", Live, "Calls of one client in flight at once; its others wait for them. Absent: no bound of its own."),
    key("server.*.adaptive.min", ANY, "10", Live, "Calls in flight that are always allowed. With adaptive, if only {}, calls at once follow how long they take, up to max_calls."),
    key("server.*.adaptive.tolerance", Percent(110, 1000), "\"150%\"", Live, "How long a call may take, of what it takes while the server has little to do."),
    key("server.*.breaker.failures", Count(0, 1_000_000), "", Live, "Failures in a row that open the breaker; 0: none do. Absent: 5 where another key of breaker is written, else there is no breaker."),
    key("server.*.breaker.failure_rate", Percent(1, 100), "", Live, "Share of calls within breaker.window that opens it by failing."),
    key("server.*.breaker.slow", Duration(1, DAY), "", Live, "An answer that begins later than this is slow. Absent: 10s."),
    key("server.*.breaker.slow_rate", Percent(1, 100), "", Live, "Share of slow calls within breaker.window that opens it. Absent: 50% where breaker.slow is written, else none."),
    key("server.*.breaker.window", Duration(1, DAY), "", Live, "How long a call counts for the two shares. Absent: 30s."),
    key("server.*.breaker.min_calls", ANY, "", Live, "Calls within breaker.window below which a share means nothing. Absent: 10."),
    key("server.*.breaker.open_for", Duration(1, DAY), "", Live, "How long it stays open before one call is let through to see; doubled each time that this one fails. Absent: 30s."),
    key("server.*.breaker.max_open", Duration(1, DAY), "", Live, "The longest that it stays open. Absent: 5m."),
    key("server.*.retry.attempts", Count(1, 10), "", Live, "Tries of a call in all, where nothing was sent or the tool may be repeated. Absent: 2 where another key of retry is written or there are several endpoints, else 1."),
    key("server.*.retry.budget", Percent(0, 100), "", Live, "Further tries, as a share of calls. Absent: 10%."),
    key("server.*.retry.idempotent", List(&Pattern), "[]", Live, "Tools that may be called once more after they were sent, where the server itself annotates them so."),
    key("server.*.limits", Tables("limit[]"), "", Live, "Limits that apply to this server."),
    key("server.*.forward_client", Bool, "false", Live, "Tell the server who calls, in X-Toolgate-Client and X-Toolgate-Tier."),
    // Servers over HTTP
    key("server.*.health.active", Bool, "", Live, "Ask each endpoint from time to time, and send no calls to one that does not answer. Absent: true where another key of health is written, else false."),
    key("server.*.health.initial_delay", Duration(0, DAY), "", Live, "Before the first check of an endpoint, for a server that takes long to start. Absent: a tenth of interval."),
    key("server.*.health.interval", Duration(1, DAY), "", Live, "Between two checks. Absent: 10s."),
    key("server.*.health.timeout", Duration(1, 3600), "", Live, "How long a check may take. Absent: 5s."),
    key("server.*.health.rise", Count(1, 1000), "", Live, "Good checks in a row that take an endpoint back in. Absent: 1."),
    key("server.*.health.fall", Count(1, 1000), "", Live, "Bad checks or calls in a row that take an endpoint out. Absent: 3."),
    key("server.*.max_streams", ANY, "1000", Live, "Streams at once on which sessions and subscriptions listen to the server, beside max_calls and pool.max_connections."),
    key("server.*.max_streams_per_client", ANY, "100", Live, "Of these, of one client."),
    key("server.*.http2", Bool, "false", Server, "Speak HTTP/2 to it, up to 100 calls at once on a connection: over https:// where the server chooses it, over http:// without asking."),
    key("server.*.pool.max_connections", ANY, "50", Live, "Open connections, in use or idle; of a server over SSE its sessions, 1000 unless it is written, and a change starts that server anew."),
    key("server.*.pool.max_per_endpoint", ANY, "", Live, "Open connections to each of its endpoints, within max_connections; absent: no bound of their own."),
    key("server.*.pool.idle_timeout", Duration(1, DAY), "\"30s\"", Live, "An idle connection is closed after this."),
    key("server.*.pool.max_age", Duration(1, 30 * DAY), "", Live, "A connection that is older is closed once it is idle, so that names are resolved anew; absent: none is."),
    key("server.*.pool.min_idle", Count(0, 1000), "0", Live, "Idle connections to each endpoint that each core keeps open in advance, within max_connections."),
    key("server.*.bearer", Secret, "", Server, "The gate's own credential at the server: Authorization: Bearer."),
    key("server.*.headers.*", Secret, "", Server, "A header added to every request. Of a file, here and in bearer, what it holds now: it is read again when it changes."),
    key("server.*.credentials", Tables("server.*.credentials[]"), "", Live, "Credentials that the server is shown of some clients, instead of its own: a table each, with whom it is for. One for the client wins, then the organisation's, then the tier's."),
    key("server.*.credentials[].client", Text, "", Live, "The client's id, such as \"key:ana\"."),
    key("server.*.credentials[].organisation", Reference("organisation"), "", Live, "Whoever belongs to this organisation."),
    key("server.*.credentials[].tier", Reference("tier"), "", Live, "Whoever has this tier."),
    key("server.*.credentials[].bearer", Secret, "", Live, "The credential, as Authorization: Bearer."),
    key("server.*.credentials[].headers.*", Secret, "", Live, "A header of these clients' requests, instead of the server's of that name."),
    key("server.*.credentials_required", Bool, "false", Live, "Refuse clients that none of credentials is for, instead of showing the server the gate's own."),
    key("server.*.oauth.issuer", Url, "", Server, "Authorization server that gives the gate its token for this server, by client credentials; its metadata name the token_endpoint."),
    key("server.*.oauth.token_endpoint", Url, "", Server, "Where the token is asked for, instead of what the issuer's metadata say."),
    key("server.*.oauth.client_id", Text, "", Server, "Who the gate is at the authorization server."),
    key("server.*.oauth.client_secret", Secret, "", Server, "Its secret there; that of a file is read again when it changes."),
    key("server.*.oauth.auth_method", OneOf(&["client_secret_basic", "client_secret_post"]), "\"client_secret_basic\"", Server, "How the secret is shown."),
    key("server.*.oauth.scopes", List(&Text), "[]", Server, "Scopes to ask for."),
    key("server.*.oauth.resource", Text, "", Server, "Whom the token is for (RFC 8707); absent: the URL of the first endpoint."),
    key("server.*.oauth.ca", Certificate, "", Server, "Authorities to trust at the authorization server, in PEM, instead of the machine's."),
    key("server.*.user_authorization.issuer", Url, "", Server, "Authorization server where users allow the gate to act for them at this server, each for one client; its metadata name the endpoints."),
    key("server.*.user_authorization.authorization_endpoint", Url, "", Server, "Where users are sent, instead of what the issuer's metadata say."),
    key("server.*.user_authorization.token_endpoint", Url, "", Server, "Where tokens are asked for, instead of what the issuer's metadata say."),
    key("server.*.user_authorization.client_id", Text, "", Server, "Who the gate is at the authorization server."),
    key("server.*.user_authorization.client_secret", Secret, "", Server, "Its secret there; absent: it has none (PKCE is always used)."),
    key("server.*.user_authorization.auth_method", OneOf(&["client_secret_basic", "client_secret_post"]), "\"client_secret_basic\"", Server, "How the secret is shown."),
    key("server.*.user_authorization.scopes", List(&Text), "[]", Server, "Scopes to ask users for."),
    key("server.*.user_authorization.resource", Text, "", Server, "Whom tokens are for (RFC 8707); absent: the URL of the first endpoint."),
    key("server.*.user_authorization.ca", Certificate, "", Server, "Authorities to trust at the authorization server, in PEM, instead of the machine's."),
    key("server.*.user_authorization.public_url", Url, "", Server, "Where users' browsers reach a listener that serves oauth, such as \"https://mcp.example.org\"; the provider must know /oauth/callback below it as a redirect URI."),
    key("server.*.tls.ca", Certificate, "", Server, "Trusted authorities in PEM, instead of the machine's."),
    key("server.*.tls.client.chain", Certificate, "", Server, "Client certificate in PEM, leaf first."),
    key("server.*.tls.client.key", Certificate, "", Server, "Its key."),
    key("server.*.tls.server_name", Host, "", Server, "Name to ask for and to verify, instead of the URL's."),
    // Servers over stdio
    key("server.*.env.*", Secret, "", Server, "A variable of the program; it sees these, PATH, HOME, LANG, and under systemd XDG_CACHE_HOME."),
    key("server.*.directory", Path, "", Server, "Working directory."),
    key("server.*.network", Bool, "false", Server, "The program may use the network, where systemd starts it; else it has none."),
    key("server.*.network_allow", List(&Network), "[]", Server, "The networks that it may reach; empty: all. Needs network = true."),
    key("server.*.read", List(&Path), "[]", Server, "Where the program may read, beside its home and where programs and libraries are; with read and write empty: wherever its user may."),
    key("server.*.write", List(&Path), "[]", Server, "Where it may read and write, beside its home."),
    key("server.*.groups", List(&Text), "[]", Server, "Groups of the machine that its user belongs to, for files that are theirs."),
    key("server.*.line_bytes", Size(1 << 10, 1 << 30), "\"10MiB\"", Server, "Bytes of one message of the program; a longer one is lost, and one that goes on for 64 MiB more ends the instance. What is no message is dropped from 64 KiB on."),
    key("server.*.instances.per", OneOf(&["session", "client", "all"]), "", Server, "Whom an instance serves; absent: all for programs that speak the modern era, else session, of which a modern client has one for each set of capabilities, 8 at most."),
    key("server.*.instances.max", Count(1, 10_000), "20", Server, "Instances at once; at it the longest idle one gives way."),
    key("server.*.instances.spares", Count(0, 1000), "0", Server, "Instances kept started in advance, within max."),
    key("server.*.instances.idle", Duration(1, 30 * DAY), "\"15m\"", Server, "An instance without call or stream ends after this."),
    key("server.*.instances.memory", Size(1 << 20, 1 << 50), "", Server, "Bytes of memory of an instance."),
    key("server.*.instances.tasks", Count(1, 1_000_000), "", Server, "Processes and threads of an instance."),
    key("server.*.instances.cpu", Percent(1, 100_000), "", Server, "Processor time of an instance; 100% is one processor."),
    key("server.*.instances.max_age", Duration(1, 365 * DAY), "", Server, "An instance that is older is replaced once it has no call in flight."),
    key("server.*.instances.max_calls", ANY, "", Server, "An instance that has answered as many is replaced between sessions."),
    key("server.*.instances.recycle_at", Percent(10, 100), "", Server, "An instance that uses this share of memory is replaced between sessions."),
    // Profiles
    key("profile.*.servers", List(&Reference("server")), "", Live, "Servers offered together."),
    key("profile.*.tools.allow", List(&Pattern), "[]", Live, "Tools that exist here, as server__tool; empty: all."),
    key("profile.*.tools.deny", List(&Pattern), "[]", Live, "Tools that do not exist here; wins over allow."),
    // Keys and tiers
    key("key.*.hash", Hash, "", Live, "\"sha256:\" and the SHA-256 of the secret in hexadecimal."),
    key("key.*.owner", Text, "", Live, "The client's name in logs and limits; absent: the key's id."),
    key("key.*.tier", Reference("tier"), "", Live, "Set of limits."),
    key("key.*.organisation", Reference("organisation"), "", Live, "Whom it belongs to: limits per organisation count it, and where it has no tier it has the organisation's."),
    key("key.*.scopes", List(&Pattern), "[]", Live, "What it may use of what its roles allow, such as weather/*, files/resource:file:///srv/* or */prompt:intro, with * and ?; empty: all of that."),
    key("key.*.roles", List(&Reference("role")), "[]", Live, "Roles that it has, beside those of its organisation."),
    key("key.*.created", Kind::Date, "", Live, "The day on which it was made, such as \"2026-11-27\"; alerts.key_age looks at it."),
    // Clients without a secret, and wrong secrets
    key("certificate.*.san", Pattern, "", Live, "A subject alternative name of the certificates that are meant, with * and ?: a URI such as spiffe://example.org/agent/*, a DNS name, a mailbox, or an address. Of two certificates that fit, the one without * and ? is meant, then the one that says more."),
    key("certificate.*.subject", Text, "", Live, "Attributes that their subject has, such as \"CN=agent, O=Example\"; beside san, both have to fit."),
    key("certificate.*.owner", Text, "", Live, "The client's name in logs and limits; absent: the table's name."),
    key("certificate.*.tier", Reference("tier"), "", Live, "Set of limits."),
    key("certificate.*.organisation", Reference("organisation"), "", Live, "Whom it belongs to, as of a key."),
    key("certificate.*.scopes", List(&Pattern), "[]", Live, "What it may use of what its roles allow, as of a key; empty: all of that."),
    key("certificate.*.roles", List(&Reference("role")), "[]", Live, "Roles that it has, beside those of its organisation."),
    key("machine.*.networks", List(&Network), "", Live, "Where a client without any secret calls from; of two networks that overlap, the longer prefix wins. It needs auth = \"address\" of a listener."),
    key("machine.*.owner", Text, "", Live, "The client's name in logs and limits; absent: the table's name."),
    key("machine.*.tier", Reference("tier"), "", Live, "Set of limits."),
    key("machine.*.organisation", Reference("organisation"), "", Live, "Whom it belongs to, as of a key."),
    key("machine.*.scopes", List(&Pattern), "[]", Live, "What it may use of what its roles allow, as of a key; empty: all of that."),
    key("machine.*.roles", List(&Reference("role")), "[]", Live, "Roles that it has, beside those of its organisation."),
    key("authentication.limiter", Bool, "true", Live, "Look at no more credentials of an address (IPv6: of a /64) that has shown too many wrong ones."),
    key("authentication.failures", Rate, "\"60/min\"", Live, "Wrong credentials of an address that are let pass; none shown is none wrong."),
    key("authentication.burst", ANY, "100", Live, "Of these, at once."),
    key("authentication.block", Duration(1, DAY), "\"1m\"", Live, "How long such an address is answered with 429; who has shown a good credential lately passes."),
    key("tier.*.weight", Count(1, 10_000), "1", Live, "Its share where calls wait for a server: a tier of weight 4 is served four times as often as one of weight 1."),
    key("tier.*.limits", Tables("limit[]"), "", Live, "Limits of whoever has this tier."),
    key("organisation.*.tier", Reference("tier"), "", Live, "Set of limits of those of its clients that have none of their own."),
    key("organisation.*.roles", List(&Reference("role")), "[]", Live, "Roles of whoever belongs to it."),
    key("organisation.*.limits", Tables("limit[]"), "", Live, "Limits of whoever belongs to it; per = \"organisation\" counts all of them together."),
    // Roles
    key("role.*.allow", List(&Pattern), "", Live, "What whoever has it may use: server/tool, server/resource:URI or server/prompt:NAME with * and ?, or server/* for all three. Absent: it allows nothing and only narrows; an empty list allows nothing."),
    key("role.*.deny", List(&Pattern), "[]", Live, "What they may not, whatever allows it."),
    key("role.*.required_scopes", List(&Text), "[]", Live, "OAuth scopes that a token must have for the role to allow anything: without them what it allows is listed, and answered 403 with the scopes that are needed. Whoever comes without a token needs none."),
    key("role.*.when", Tables("role.*.when[]"), "", Live, "What arguments of tools must be; a call passes when all conditions hold whose tool is meant."),
    key("role.*.when[].tool", Pattern, "", Live, "The tools that it is about, as server/tool with * and ?."),
    key("role.*.when[].argument", Pointer, "", Live, "Where the value stands in the arguments, as a JSON pointer, such as /amount or /items/0/price."),
    key("role.*.when[].equals", Scalar, "", Live, "It must be this: a string, a number, true or false."),
    key("role.*.when[].one_of", List(&Scalar), "", Live, "It must be one of these."),
    key("role.*.when[].matches", Expression, "", Live, "It must be a string of which all matches this regular expression."),
    key("role.*.when[].at_most", Number, "", Live, "It must be a number and not above this one. Numbers are compared exactly."),
    key("role.*.when[].at_least", Number, "", Live, "It must be a number and not below this one."),
    key("role.*.when[].absent", OneOf(&["fail", "pass"]), "\"fail\"", Live, "What becomes of a call without the argument."),
    // Issuers of tokens
    key("issuer.*.issuer", Text, "", Live, "The issuer as its tokens name it in iss; a URL where clients are to find it, or its keys are to be discovered."),
    key("issuer.*.audience", List(&Text), "[]", Live, "What tokens may be for (aud); empty: the URL of the listener, of its /mcp, or of the path that is called."),
    key("issuer.*.jwks", Text, "", Live, "Its public keys: \"file:PATH\", read again when it changes, or a URL; absent: discovered by RFC 8414 or OpenID Connect."),
    key("issuer.*.ca", Certificate, "", Live, "Trusted authorities of its URLs in PEM, instead of the machine's."),
    key("issuer.*.secret", Secret, "", Live, "A secret shared with it, of 32 bytes at least, for HS256; it then has no public keys."),
    key("issuer.*.algorithms", List(&OneOf(ALGORITHMS)), "[\"RS256\", \"PS256\", \"ES256\", \"ES384\", \"EdDSA\"]", Live, "How its tokens may be signed; with a secret it is HS256 alone, and never without."),
    key("issuer.*.leeway", Duration(0, 300), "\"30s\"", Live, "By how much its clock may differ."),
    key("issuer.*.refresh", Duration(1, DAY), "\"10m\"", Live, "How often keys are fetched from a URL; what its answer says of max-age holds from a tenth to six times of it."),
    key("issuer.*.stale", Duration(1, 30 * DAY), "\"24h\"", Live, "How long keys are used that could not be fetched again."),
    key("issuer.*.required_scopes", List(&Text), "[]", Live, "Scopes that each token must have; one without them is answered 403 with all of them."),
    key("issuer.*.tier", Reference("tier"), "", Live, "Set of limits of its clients, where their tokens name none that exists, and no organisation that has one."),
    key("issuer.*.roles", List(&Reference("role")), "[]", Live, "Roles that all its clients have, beside those of their tokens and organisations."),
    key("issuer.*.claims.subject", Text, "\"sub\"", Live, "The claim that says who it is: a name, or a JSON pointer such as \"/user/id\"."),
    key("issuer.*.claims.organisation", Text, "", Live, "The claim that names the client's [organisation.NAME]; absent: there is none."),
    key("issuer.*.claims.tier", Text, "", Live, "The claim that names its [tier.NAME]."),
    key("issuer.*.claims.roles", Text, "", Live, "The claim that names its roles: a list, or words with spaces between them; those that are no [role.NAME] are ignored. A token without any may use nothing but what its organisation's roles allow. Absent: there are none."),
    key("issuer.*.claims.scopes", Text, "", Live, "The claim with what it may call, as key.*.scopes: a list, or words with spaces between them. A token without it may call nothing. Absent: everything."),
    // Limits
    key("limit", Tables("limit[]"), "", Live, "Limits that apply to everyone."),
    key("limit[].name", Text, "", Live, "How it is called in refusals and metrics; absent: made from where it stands."),
    key("limit[].per", List(&OneOf(&["global", "listener", "address", "client", "organisation", "tier", "server", "tool", "client-tool"])), "", Live, "What is counted together: calls that are alike in all that is named, such as [\"client\", \"tool\"]; \"client-tool\" is the same as that."),
    key("limit[].rate", Rate, "", Live, "Calls per time, such as \"100/min\"."),
    key("limit[].burst", ANY, "", Live, "Calls at once under rate; absent: the rate's count."),
    key("limit[].quota", Kind::Quota, "", Live, "Calls per day or month of the calendar in UTC, such as \"10000/day\"; what was used survives a restart."),
    key("limit[].concurrent", ANY, "", Live, "Calls in flight at once."),
    key("limit[].algorithm", Algorithm, "\"token-bucket\"", Live, "How rate is counted; sliding-window: never more than its count in any span of its time, without burst."),
    key("limit[].count", OneOf(&["calls", "cost"]), "\"calls\"", Live, "What rate and quota count; cost: each call as many times as server.NAME.tools.cost says."),
    key("limit[].prefix_v4", Count(1, 32), "32", Live, "Bits of an IPv4 address that per = \"address\" looks at."),
    key("limit[].prefix_v6", Count(1, 128), "64", Live, "The same of IPv6."),
    key("limit[].message", Text, "", Live, "Replaces the first sentence of a refusal; when to come back always follows."),
    // Loops
    key("loops.warn", LOOPS, "", Live, "Same calls of a client within window, of which the next result warns in its _meta; absent, as for the next two: never."),
    key("loops.slow", LOOPS, "", Live, "Same calls from which on each waits for delay first."),
    key("loops.refuse", LOOPS, "", Live, "Same calls from which on each is refused."),
    key("loops.window", Duration(1, DAY), "\"60s\"", Live, "The time in which same calls are counted: same client, tool and arguments."),
    key("loops.delay", Duration(1, 60), "\"2s\"", Live, "How long a slowed call waits."),
    key("loops.surge.warn", LOOPS, "", Live, "Calls of a client in a minute, as a multiple of its own mean of the last hour; not below 60 calls, nor for the first ten minutes."),
    key("loops.surge.slow", LOOPS, "", Live, "The same for slowing."),
    key("loops.surge.refuse", LOOPS, "", Live, "The same for refusing."),
    key("loops.except", List(&Pattern), "[]", Live, "Tools that are meant to be asked again and again, as server/tool with * and ?."),
    // Health, alerts and advice
    key("health.path", Text, "\"/health\"", Live, "Where health is served, on listeners that serve it."),
    key("health.critical", List(&OneOf(&["cpu", "descriptors", "disk", "error_rate", "lag", "memory", "overload", "pools", "queues", "response_time"])), "[\"memory\"]", Live, "Checks of the gate's own that must not fail for it to be ready and healthy, beside critical servers and critical checks."),
    key("health.memory", Size(1 << 20, 1 << 50), "\"512MiB\"", Live, "Memory of the gate from which on its check warns."),
    key("health.memory_share", Percent(1, 100), "\"95%\"", Live, "Memory of the gate, of what it may use, from which on its check fails."),
    key("health.cpu", Percent(1, 100), "\"90%\"", Live, "Processor time of the gate in the last ten seconds, of what its cores may use, from which on its check warns."),
    key("health.descriptors", Percent(1, 100), "\"85%\"", Live, "Open descriptors, of the process's limit, from which on their check warns; at 99% it fails."),
    key("health.lag", Duration(1, 60), "\"250ms\"", Live, "How long a task that is ready waits for its core before its check warns; where it is 500ms or more, it fails."),
    key("health.disk", Percent(1, 100), "\"90%\"", Live, "The state folder's file system, from which on its check warns; at 99% it fails."),
    key("health.queue", Percent(1, 100), "\"80%\"", Live, "A server's queue, from which on its check warns; a full one fails."),
    key("health.certificate", Duration(1, 365 * DAY), "\"7d\"", Live, "How long before the end of a certificate its check warns."),
    key("health.response_time", Duration(1, DAY), "\"1s\"", Live, "How long 95 of 100 calls of the last minute took at most, from which on its check warns; fewer than 20 calls say nothing."),
    key("health.error_rate", Percent(1, 100), "\"5%\"", Live, "Calls of the last minute that servers or the gate failed, of those that were not refused, from which on their check warns."),
    key("check.*.url", Url, "", Live, "A URL that must answer GET with a status below 400. A check looks at one of url, tcp and file."),
    key("check.*.ca", Certificate, "", Live, "Trusted authorities of the url in PEM, instead of the machine's."),
    key("check.*.tcp", Text, "", Live, "A HOST:PORT that must take connections."),
    key("check.*.file", Path, "", Live, "A file that must be there."),
    key("check.*.max_age", Duration(1, 365 * DAY), "", Live, "How long ago the file may have been written."),
    key("check.*.interval", Duration(1, DAY), "\"30s\"", Live, "Between two looks."),
    key("check.*.timeout", Duration(1, 5), "\"5s\"", Live, "How long a look may take."),
    key("check.*.critical", Bool, "false", Live, "/ready requires it."),
    key("alerts.webhook", Secret, "", Live, "URL that each alert is posted to as JSON, beside the log; up to 1,000 wait while it is away."),
    key("alerts.bearer", Secret, "", Live, "The gate's credential at the webhook: Authorization: Bearer."),
    key("alerts.ca", Certificate, "", Live, "Trusted authorities of the webhook in PEM, instead of the machine's."),
    key("alerts.cooldown", Duration(1, DAY), "\"5m\"", Live, "An alert that goes on, or comes back, is told again after this; one about a certificate or a key after a day."),
    key("alerts.cpu", Percent(1, 100), "\"80%\"", Live, "Processor time of the gate in the last ten seconds above which there is an alert."),
    key("alerts.memory_warning", Percent(1, 100), "\"80%\"", Live, "Memory of the gate, of what it may use, above which there is a warning."),
    key("alerts.memory_bytes", Size(1 << 20, 1 << 50), "", Live, "Memory of the gate above which there is a warning, whatever it may use."),
    key("alerts.memory", Percent(1, 100), "\"85%\"", Live, "The same above which it is critical."),
    key("alerts.response_time_warning", Duration(1, DAY), "\"1s\"", Live, "How long 95 of 100 calls of the last minute took at most, above which there is a warning."),
    key("alerts.response_time", Duration(1, DAY), "\"5s\"", Live, "The same above which it is critical."),
    key("alerts.error_rate_warning", Percent(1, 100), "\"5%\"", Live, "Calls of the last minute that servers or the gate failed, above which there is a warning."),
    key("alerts.error_rate", Percent(1, 100), "\"10%\"", Live, "The same above which it is critical."),
    key("alerts.restarts", Count(1, 1_000_000), "5", Live, "Instances of a server that ended by themselves within an hour, above which there is an alert."),
    key("alerts.key_age", Duration(1, 3650 * DAY), "\"90d\"", Live, "Age of an API key above which there is an alert, where key.ID.created says it."),
    key("alerts.unusual", Count(2, 1_000_000), "5", Live, "Calls of a client in a minute, as a multiple of its own mean of the last hour, above which there is an alert; not below 60 calls, nor for the first ten minutes."),
    key("alerts.failed_authentications", ANY, "100", Live, "Wrong credentials in a minute above which there is an alert; so is one while an address is blocked for them."),
    key("scaling.replicas", Count(1, 1000), "2", Live, "Machines that share the load. The section [scaling], if only its head, switches advice on."),
    key("scaling.min", Count(1, 1000), "2", Live, "The fewest to advise."),
    key("scaling.max", Count(1, 1000), "10", Live, "The most to advise."),
    key("scaling.cpu", Percent(1, 100), "\"70%\"", Live, "Processor time to aim at; one more above it, one less below half of it and of memory."),
    key("scaling.memory", Percent(1, 100), "\"80%\"", Live, "Memory to aim at."),
    key("scaling.up_cooldown", Duration(1, DAY), "\"5m\"", Live, "Between a step and a step up."),
    key("scaling.down_cooldown", Duration(1, DAY), "\"10m\"", Live, "Between a step and a step down."),
    // Traces
    key("trace.endpoint", Url, "", Live, "URL of a collector that takes OTLP over HTTP; without a path, /v1/traces is added. Absent: there are no traces."),
    key("trace.sample", Kind::Share, "\"10%\"", Live, "Calls that are traced, of those whose caller says nothing of a trace."),
    key("trace.trust_parent", Bool, "true", Live, "A caller that traces its call has it traced, and one that does not has not; false: sample alone decides, and traces begin at the gate."),
    key("trace.service", Text, "\"toolgate\"", Live, "What the gate is called in traces: service.name."),
    key("trace.headers.*", Secret, "", Live, "A header added to every request to the collector."),
    key("trace.ca", Certificate, "", Live, "Trusted authorities of the collector in PEM, instead of the machine's."),
    key("trace.timeout", Duration(1, 60), "\"10s\"", Live, "How long the collector may take to answer."),
    key("trace.interval", Duration(1, 60), "\"1s\"", Live, "Between two deliveries; one that comes to half of queue is made at once."),
    key("trace.batch", Count(1, 10_000), "512", Live, "Calls in one request to the collector."),
    key("trace.queue", Count(16, 100_000), "4096", Live, "Calls that wait for the collector; what comes beyond them is lost, and counted."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_reached_by_its_own_path() {
        for key in KEYS {
            let (pattern, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
            let found = step(pattern, if name == "*" { "any-name" } else { name });
            assert!(matches!(found, Some(Step::Leaf(leaf)) if leaf.path == key.path), "{}", key.path);
            assert_eq!(KEYS.iter().filter(|other| other.path == key.path).count(), 1, "{}", key.path);
            assert!(key.doc.ends_with('.'), "{}: {}", key.path, key.doc);
        }
    }

    #[test]
    fn lists_of_tables_name_rows_that_exist() {
        for key in KEYS {
            if let Tables(pattern) = key.kind {
                assert!(!names(pattern).is_empty(), "{}", key.path);
            }
        }
    }
}
