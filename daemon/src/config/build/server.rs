//! `[server.NAME]`: what is reached over HTTP or started as a command.

use std::collections::BTreeMap;
use std::path::PathBuf;

use toolgate_protocol::names::{Aliases, MAX_MERGED, is_alias, join};
use toolgate_protocol::reach::{Word, Zone};

use super::super::environment::Reader;
use super::super::secret::Secret;
use super::super::section::Section;
use super::super::settings::{Adaptive, Endpoint, Http, Pool, Queue, Server, Timeouts, Transport, UpstreamTls};
use super::super::tree::{Entry, Node, Table, Value};
use super::super::{kind::Kind, units, url};
use super::access::{access, is_file};
use super::answers::answers;
use super::limits::limits;
use super::listener::{header_name, pair};
use super::secrets::{Fault, certificate_path, secret};
use super::stdio::stdio;
use super::{Context, references, resilience, tls};

/// Calls in flight of a server whose connections carry many.
const MAX_CALLS: usize = 1000;

/// Sessions at a server over SSE: each is a stream, of which there may be as many elsewhere.
const SESSIONS: usize = 1000;

/// Keys that only one of the two kinds of server has.
const HTTP_ONLY: &[&str] = &[
    "transport",
    "http2",
    "pool",
    "max_streams",
    "max_streams_per_client",
    "bearer",
    "headers",
    "credentials",
    "credentials_required",
    "oauth",
    "user_authorization",
    "tls",
    "forward_client",
    "health",
    "retry",
    "allow_link_local",
];
const STDIO_ONLY: &[&str] =
    &["env", "directory", "network", "network_allow", "read", "write", "groups", "line_bytes", "instances"];

/// Whether a key, or what it is below, belongs to this kind of server.
pub(in crate::config) fn suits(path: &str, server: &Table) -> bool {
    let key = path.split('.').next().unwrap_or(path);
    let only = |keys: &[&str], kind: &str| !keys.contains(&key) || server.get(kind).is_some();
    only(HTTP_ONLY, "endpoints") && only(STDIO_ONLY, "command")
}

/// A server, unless nothing says how it is reached.
pub(super) fn server(entry: &Entry, table: &Table, context: &mut Context<'_>) -> Option<Server> {
    let section = Section::new(Some(table), "server.*");
    let endpoints = endpoints(section, context);
    let weights = endpoints.iter().map(|(_, weight)| *weight).collect();
    let retry = resilience::retry(section, endpoints.len());
    let access = access(section, &endpoints, context);
    let transport = transport(entry, section, endpoints, context)?;
    Some(Server {
        name: entry.key.clone(),
        enabled: section.bool("enabled"),
        critical: section.bool("critical"),
        tools: references::filter(section),
        aliases: aliases(&entry.key, section, context),
        timeout: Timeouts {
            connect: section.duration("timeout.connect"),
            first_byte: section.duration("timeout.first_byte"),
            total: section.maybe_duration("timeout.total"),
        },
        tool_timeouts: tool_timeouts(section),
        queue: Queue { max_size: section.count("queue.max_size"), timeout: section.duration("queue.timeout") },
        max_calls: max_calls(section, &transport),
        max_calls_per_client: section.count("max_calls_per_client"),
        max_streams: section.count("max_streams"),
        max_streams_per_client: section.count("max_streams_per_client"),
        adaptive: section.written("adaptive").map(|_| adaptive(section)),
        breaker: resilience::breaker(section),
        retry,
        health: resilience::health(section),
        weights,
        limits: limits(table.get("limits"), &format!("server.{}", entry.key), context),
        costs: costs(section),
        answers: answers(section),
        access,
        transport,
    })
}

/// As many calls as connections, unless it is written: others would wait for a connection, in no fair order and not in
/// the queue.
fn max_calls(section: Section<'_>, transport: &Transport) -> usize {
    let written = section.maybe_count("max_calls").and_then(|count| usize::try_from(count).ok());
    written.unwrap_or(match transport {
        Transport::Http(http) => http.pool.max_connections,
        Transport::Sse(_) | Transport::Stdio(_) => MAX_CALLS,
    })
}

fn adaptive(section: Section<'_>) -> Adaptive {
    Adaptive {
        min: section.count("adaptive.min"),
        tolerance: section.maybe_percent("adaptive.tolerance").unwrap_or_default(),
    }
}

/// Names before patterns, and longer ones first: the first that matches is the most telling.
fn costs(section: Section<'_>) -> Vec<(String, u64)> {
    let entries = section.entries("tools.cost").iter();
    let mut costs: Vec<_> = entries
        .filter_map(|entry| match entry.node.value {
            Value::Integer(cost) => Some((entry.key.clone(), u64::try_from(cost).ok()?)),
            _ => None,
        })
        .collect();
    costs.sort_by_key(|(name, _)| (name.contains(['*', '?']), std::cmp::Reverse(name.len()), name.clone()));
    costs
}

fn transport(
    entry: &Entry,
    section: Section<'_>,
    endpoints: Vec<(Endpoint, u32)>,
    context: &mut Context<'_>,
) -> Option<Transport> {
    match (section.written("endpoints"), section.written("command")) {
        (Some(_), Some(command)) => {
            context.error(
                "conflict",
                command.place,
                format!("the server `{}` has both endpoints and a command", entry.key),
                "keep one: endpoints for a server over HTTP, command for one over stdio",
            );
            None
        }
        (None, None) if !section.lacks("endpoints") || !section.lacks("command") => None,
        (None, None) => {
            context.error(
                "missing-key",
                entry.key_place,
                format!("nothing says how the server `{}` is reached", entry.key),
                "add endpoints = [\"http://…/mcp\"], or command = [\"PROGRAM\", \"ARGUMENT\", …]",
            );
            None
        }
        (Some(node), None) => {
            foreign(section, STDIO_ONLY, "a command", context);
            if node.elements().is_empty() {
                context.error(
                    "missing-key",
                    node.place,
                    "the list is empty",
                    "write at least one URL, or set enabled = false",
                );
            }
            let http = http(section, endpoints, context);
            if section.text("transport").as_deref() != Some("sse") {
                return Some(Transport::Http(http));
            }
            for (key, what) in [
                ("forward_client", "is not told who calls"),
                ("health", "is not checked: its sessions tell"),
                ("retry", "is called once"),
                ("credentials", "is shown one credential, its own"),
                ("oauth", "is shown no tokens that change"),
                ("user_authorization", "is shown no tokens of users"),
            ] {
                let asked = key != "forward_client" || http.forward_client;
                if let Some(node) = section.written(key).filter(|_| asked) {
                    let message = format!("a server over SSE {what}");
                    context.error("conflict", node.place, message, "remove it, or use streamable-http");
                }
            }
            Some(Transport::Sse(http))
        }
        (None, Some(_)) => {
            foreign(section, HTTP_ONLY, "endpoints", context);
            Some(Transport::Stdio(stdio(section, context)))
        }
    }
}

fn foreign(section: Section<'_>, keys: &[&str], kind: &str, context: &mut Context<'_>) {
    for key in keys {
        if let Some(node) = section.written(key) {
            context.error("conflict", node.place, format!("`{key}` belongs to a server with {kind}"), "remove it");
        }
    }
}

fn http(section: Section<'_>, endpoints: Vec<(Endpoint, u32)>, context: &mut Context<'_>) -> Http {
    let (headers, lacks) = headers(section, context);
    let client = pair(section, "tls.client.chain", "tls.client.key", context);
    Http {
        endpoints: endpoints.into_iter().map(|(endpoint, _)| endpoint).collect(),
        pool: Pool {
            max_connections: match section.written("pool.max_connections") {
                None if section.text("transport").as_deref() == Some("sse") => SESSIONS,
                _ => section.count("pool.max_connections"),
            },
            max_per_endpoint: section
                .maybe_count("pool.max_per_endpoint")
                .and_then(|count| usize::try_from(count).ok()),
            idle_timeout: section.duration("pool.idle_timeout"),
            max_age: section.maybe_duration("pool.max_age"),
            min_idle: section.count("pool.min_idle"),
            http2: section.bool("http2"),
        },
        headers,
        lacks,
        tls: UpstreamTls { ca: authorities(section, context), client, server_name: section.text("tls.server_name") },
        forward_client: section.bool("forward_client"),
        word: Word::Operator { link_local: section.bool("allow_link_local") },
    }
}

/// The headers of every request that stay as they are read, and why there can be none where one of their secrets is missing.
fn headers(section: Section<'_>, context: &mut Context<'_>) -> (Vec<(String, Secret)>, Option<String>) {
    let mut headers = Vec::new();
    let mut lacks = None;
    let mut add = |name: String, found: Result<Secret, Fault>| match found {
        Ok(value) => headers.push((name, value)),
        Err(fault) => lacks = Some(fault.sentence()),
    };
    for entry in section.entries("headers").iter().filter(|entry| !is_file(entry)) {
        if let (Some(name), Some(found)) = (header_name(entry, context), secret(entry, Reader::Front, context)) {
            add(name, found);
        }
    }
    let bearer = section.entry("bearer").filter(|entry| !is_file(entry));
    if let Some(found) = bearer.and_then(|entry| secret(entry, Reader::Front, context)) {
        let of_scheme = |token: Secret| Secret::new(format!("Bearer {}", token.expose()));
        add("authorization".into(), found.map(of_scheme));
    }
    (headers, lacks)
}

/// Each endpoint with its weight.
fn endpoints(section: Section<'_>, context: &mut Context<'_>) -> Vec<(Endpoint, u32)> {
    let mut all = Vec::new();
    for node in section.written("endpoints").map_or(&[][..], Node::elements) {
        let table = Section::new(node.table(), "server.*.endpoints[]");
        if node.table().is_some() && table.lacks("url") {
            context.error("missing-key", node.place, "this endpoint has no URL", "add url = \"http://…/mcp\"");
        }
        let written = node.text().map(str::to_owned).or_else(|| table.text("url"));
        if let Some(endpoint) = written.and_then(|text| url::endpoint(&text).ok()) {
            check_reach(section, node, &endpoint, context);
            all.push((endpoint, table.count("weight")));
        }
    }
    all
}

/// An address is known beforehand; what a name leads to is looked at whenever it is connected to.
fn check_reach(section: Section<'_>, node: &Node, endpoint: &Endpoint, context: &mut Context<'_>) {
    let link_local = section.bool("allow_link_local");
    let Ok(address) = endpoint.host.parse() else { return };
    if let Err(zone) = (Word::Operator { link_local }).permits(address) {
        let help = match zone {
            Zone::LinkLocal => "write another address, or allow_link_local = true if this one is meant",
            _ => "write the address of the server",
        };
        context.error("unreachable", node.place, format!("{address} is {zone}, and is not connected to"), help);
    }
}

fn authorities(section: Section<'_>, context: &mut Context<'_>) -> Option<PathBuf> {
    let node = section.valid("tls.ca")?;
    let path = certificate_path(node, context)?;
    tls::check_authorities(node, &path, context);
    Some(path)
}

fn aliases(server: &str, section: Section<'_>, context: &mut Context<'_>) -> Aliases {
    let mut aliases: Vec<(String, String)> = Vec::new();
    for entry in section.entries("aliases") {
        let Some(own) = entry.node.text() else { continue };
        if !is_alias(server, &entry.key) {
            let message = format!("{:?} cannot be the name of a tool", entry.key);
            let room = MAX_MERGED - join(server, "").len();
            let help = format!("write letters, digits, `_`, `-` and `.`, at most {room} for this server");
            context.error("invalid-name", entry.key_place, message, help);
        } else if let Some((other, _)) = aliases.iter().find(|(_, known)| known == own) {
            let message = format!("{own:?} has the alias {other:?} already");
            context.error("conflict", entry.node.place, message, "keep one of the two");
        } else {
            aliases.push((entry.key.clone(), own.to_owned()));
        }
    }
    Aliases::new(aliases)
}

fn tool_timeouts(section: Section<'_>) -> BTreeMap<String, std::time::Duration> {
    let times = section.entries("tool").iter().filter_map(|entry| {
        let node = entry.node.table()?.at("timeout.first_byte")?;
        Kind::Duration(1, 86_400).check(node).ok()?;
        Some((entry.key.clone(), units::duration(node.text()?).ok()?))
    });
    times.collect()
}
