//! The drop-in of the gate's own unit: its sockets, and bounds that follow the configuration.
//!
//! What an operator writes with `systemctl edit toolgated` comes after it and wins.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::{HEAD, escape};
use crate::config::Parts;
use crate::config::secret::{CREDENTIALS, ENCRYPTED};
use crate::config::settings::{Server, Transport};
use crate::keeper::connections;

/// Where it is, in a folder of units.
pub(super) const DROP_IN: &str = "toolgated.service.d/50-toolgate.conf";

/// The setting that says how many descriptors systemd keeps over a restart.
const STORE_MAX: &str = "FileDescriptorStoreMax=";
/// Descriptors kept in systemd's store beside those of instances.
const SPARE_STORE: usize = 64;
/// Descriptors for all that is not counted: files, runtimes, admin connections, logs.
const SPARE_FILES: usize = 4096;
/// Limits are multiples of this, so that a server more does not ask for a restart.
const FILES_STEP: usize = 65_536;
/// What kernels allow a process at most, unless they are told otherwise.
const MOST_FILES: usize = 1_048_576;
/// From the end of the drain until systemd loses patience.
const AFTER_DRAIN: Duration = Duration::from_secs(15);

/// Names of the rendered socket units.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    pub(super) listeners: Vec<String>,
    pub(super) servers: Vec<String>,
}

/// The drop-in's text, and what could not be put into it.
pub(super) fn render(parts: &Parts, sockets: &Sockets) -> (String, Vec<String>) {
    let mut text = HEAD.to_owned();
    if !sockets.servers.is_empty() {
        text.push_str("\n[Unit]\n# Stdio servers: to connect is to start an instance.\n");
        for unit in &sockets.servers {
            let _ = writeln!(text, "Wants={unit}\nAfter={unit}");
        }
    }
    text.push_str("\n[Service]\n");
    for unit in &sockets.listeners {
        let _ = writeln!(text, "Sockets={unit}");
    }
    let stop = parts.daemon.drain_timeout + AFTER_DRAIN;
    let _ = writeln!(
        text,
        "# Connections of instances outlive the gate here.\n{STORE_MAX}{}\n\
         # Clients, servers and instances at their bounds.\nLimitNOFILE={}\n\
         # daemon.drain_timeout, and time to end.\nTimeoutStopSec={}",
        instances(parts) + SPARE_STORE,
        files(parts),
        stop.as_secs() + u64::from(stop.subsec_nanos() > 0),
    );
    let (credentials, problems) = credentials(parts);
    text.push_str(&credentials);
    (text, problems)
}

/// How many connections to instances systemd keeps for the `present` drop-in, where the `wanted` one may need more.
pub(super) fn keeps_too_few(present: &str, wanted: &str) -> Option<usize> {
    let kept =
        |text: &str| -> Option<usize> { text.lines().find_map(|line| line.strip_prefix(STORE_MAX)?.parse().ok()) };
    let needed = kept(wanted)?.saturating_sub(SPARE_STORE);
    kept(present).filter(|present| *present < needed)
}

fn enabled(parts: &Parts) -> impl Iterator<Item = &Server> {
    parts.servers.iter().map(AsRef::as_ref).filter(|server| server.enabled)
}

/// Connections to instances of all servers.
fn instances(parts: &Parts) -> usize {
    let each = enabled(parts).map(|server| match &server.transport {
        Transport::Stdio(stdio) => connections(&stdio.instances),
        Transport::Http(_) | Transport::Sse(_) => 0,
    });
    each.sum()
}

/// Descriptors that the gate may need at once. Each connection to an instance is there twice: once
/// more while it is handed to the store.
fn files(parts: &Parts) -> usize {
    let upstream = enabled(parts).map(|server| match &server.transport {
        Transport::Stdio(_) => 0,
        Transport::Http(http) => http.pool.max_connections + server.max_streams,
        // A session has a stream, and a connection for what it is asked.
        Transport::Sse(http) => 2 * http.pool.max_connections,
    });
    let all = parts.daemon.max_connections + upstream.sum::<usize>() + 2 * instances(parts) + SPARE_FILES;
    all.next_multiple_of(FILES_STEP).min(MOST_FILES)
}

/// Lines for each credential that the gate itself reads.
fn credentials(parts: &Parts) -> (String, Vec<String>) {
    let mut lines = BTreeMap::new();
    let mut problems = Vec::new();
    // What is wrong with their servers is said already. The history, which may name others, is not asked: the gate
    // writes it, and must not choose what root loads for it.
    for name in &parts.left_out {
        lines.extend(load_credential(name).ok().map(|line| (name.clone(), line)));
    }
    for server in enabled(parts).filter(|server| !matches!(server.transport, Transport::Stdio(_))) {
        for name in named(server) {
            match load_credential(name) {
                Ok(line) => drop(lines.insert(name.to_owned(), line)),
                Err(why) => problems.push(format!("the server {}: {why}", server.name)),
            }
        }
    }
    (lines.into_values().collect(), problems)
}

/// The credentials that a server's settings name.
fn named(server: &Server) -> impl Iterator<Item = &str> {
    let values = match &server.transport {
        Transport::Stdio(stdio) => &stdio.environment,
        Transport::Http(http) | Transport::Sse(http) => &http.headers,
    };
    let values = values.iter().map(|(_, value)| value);
    let named = values.chain(server.access.secrets().filter_map(|source| source.read().as_ref().ok()));
    named.filter_map(|value| {
        // A bearer token's reference stands behind its scheme.
        value.expose().strip_prefix("Bearer ").unwrap_or(value.expose()).strip_prefix("credential:")
    })
}

/// A sentence for each credential that is not there; none where `is_stored` cannot tell.
pub(super) fn absent(parts: &Parts, is_stored: impl Fn(&str) -> Option<bool>) -> Vec<String> {
    let all = enabled(parts).flat_map(|server| named(server).map(move |name| (server, name)));
    all.filter(|(_, name)| is_stored(name) == Some(false))
        .map(|(server, name)| {
            let name = name.escape_debug();
            format!(
                "the server {}: there is no credential {name}: write it to {CREDENTIALS}/{name}, unless a drop-in loads it",
                server.name
            )
        })
        .collect()
}

/// The lines that load a credential: encrypted where it is so on this machine, empty where it is
/// absent. systemd starts no unit that lacks one, and says so nowhere but in the journal.
pub(super) fn load_credential(name: &str) -> Result<String, String> {
    let name = escape::credential(name)?;
    let load = if Path::new(ENCRYPTED).join(name).exists() {
        format!("LoadCredentialEncrypted={name}:{ENCRYPTED}/{name}\n")
    } else {
        format!("LoadCredential={name}:{CREDENTIALS}/{name}\n")
    };
    Ok(format!("{load}{}", or_empty(name)))
}

/// What a credential is where its file is absent: a line end, since systemd passes over an empty value.
pub(super) fn or_empty(name: &str) -> String {
    format!("SetCredential={name}:\\n\n")
}
