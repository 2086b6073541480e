//! From the checked tree to `Settings`, with the checks of what several keys mean together.
//!
//! Called once per load. Every part reports and goes on; the value is only used when no error
//! was reported.

mod access;
mod answers;
mod audit;
mod client_tls;
mod identity;
mod issuer;
mod limits;
mod listener;
mod loops;
mod machines;
mod observe;
mod proxies;
mod references;
mod resilience;
mod roles;
mod seal;
mod secrets;
mod server;
mod stdio;
mod tls;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use listener::{HEADERS, HSTS};
pub(super) use server::suits;

use super::environment::Environment;
use super::problem::{Problem, Report, Severity};
use super::section::Section;
use super::settings::{Daemon, Listener, Log, LogFormat, OnBadConfig, Origin, Overload, Rotate, Server, Settings};
use super::source::Place;
use super::tree::{Entry, Node, Table};
use super::{shape, units};

/// What units are made of.
#[derive(Debug)]
pub struct Parts {
    /// Bounds and folders of the process.
    pub daemon: Daemon,
    /// In the order of the files.
    pub listeners: Vec<Arc<Listener>>,
    /// In the order of the files, disabled ones included.
    pub servers: Vec<Arc<Server>>,
    /// Credentials that the gate reads for servers that are not among them because of an error: the
    /// configuration that is served meanwhile may name them too.
    pub left_out: BTreeSet<String>,
}

/// What the builders share.
struct Context<'a> {
    environment: &'a Environment,
    report: &'a mut Report,
}

impl Context<'_> {
    /// A relative path starts at the folder of the file in which it is written.
    fn path(&self, text: &str, place: Place) -> PathBuf {
        let folder = self.report.sources.of(place).path.parent().unwrap_or(Path::new(""));
        folder.join(text)
    }

    /// `FILE:LINE`
    fn line_of(&self, place: Place) -> String {
        let sources = &self.report.sources;
        format!("{}:{}", sources.of(place).path.display(), sources.position(place).0)
    }

    fn error(&mut self, code: &'static str, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.report.push(Problem::error(code, place, message, help));
    }

    fn warning(&mut self, code: &'static str, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.report.push(Problem::warning(code, place, message, help));
    }
}

pub(super) use secrets::again as secret_again;

/// Builds everything.
pub(super) fn settings(tree: &Table, environment: &Environment, report: &mut Report) -> Settings {
    let mut context = Context { environment, report };
    let context = &mut context;
    let tiers: BTreeMap<_, _> = named(tree, "tier")
        .map(|(entry, table)| (entry.key.clone(), Arc::new(identity::tier(entry, table, context))))
        .collect();
    let roles: BTreeMap<_, _> = named(tree, "role")
        .map(|(entry, table)| (entry.key.clone(), Arc::new(roles::role(entry, table, tree, context))))
        .collect();
    let organisations: BTreeMap<_, _> = named(tree, "organisation")
        .map(|(entry, table)| {
            (entry.key.clone(), Arc::new(identity::organisation(entry, table, (&tiers, &roles), context)))
        })
        .collect();
    let groups = identity::Groups { tiers: &tiers, organisations: &organisations, roles: &roles };
    let keys = named(tree, "key")
        .filter_map(|(entry, table)| Some((entry.key.clone(), Arc::new(identity::key(entry, table, groups, context)?))))
        .collect();
    let certificates = machines::certificates(tree, groups, context);
    let machines = machines::machines(tree, groups, context);
    let issuers = issuer::issuers(tree, groups, context);
    let daemon = daemon(Section::new(table(tree, "daemon"), "daemon"), environment);
    let listeners: Vec<_> = named(tree, "listener")
        .map(|(entry, table)| Arc::new(listener::listener(entry, table, &daemon.state_dir, context)))
        .collect();
    listener::check_addresses(tree, context);
    machines::check_methods(tree, &listeners, (!certificates.is_empty(), !machines.is_empty()), context);
    issuer::check_listeners(tree, &issuers, &listeners, context);
    if table(tree, "listener").is_none_or(|listeners| listeners.entries.is_empty()) {
        context.report.push(Problem {
            severity: Severity::Warning,
            code: "no-listener",
            place: None,
            message: "there is no listener, so nobody can connect".into(),
            help: "add [listener.NAME] with an address; toolgate.toml(5) has examples".into(),
            also: None,
        });
    }
    let servers: BTreeMap<_, _> = named(tree, "server")
        .filter_map(|(entry, table)| Some((entry.key.clone(), Arc::new(server::server(entry, table, context)?))))
        .collect();
    access::check_holders(tree, &tiers, &organisations, context);
    access::check_pages(tree, &listeners, context);
    let profiles = named(tree, "profile")
        .map(|(entry, table)| (entry.key.clone(), Arc::new(references::profile(entry, table, tree, context))))
        .collect();
    Settings {
        revision: 1,
        origin: Origin::Files,
        files: Vec::new(),
        listeners,
        servers,
        profiles,
        keys,
        certificates,
        machines,
        authentication: machines::authentication(table(tree, "authentication")),
        tiers,
        roles,
        organisations,
        issuers,
        limits: limits::limits(tree.get("limit"), "limit", context),
        overload: tree.get("overload").is_some().then(|| overload(Section::new(table(tree, "overload"), "overload"))),
        loops: loops::loops(table(tree, "loops"), context),
        health: observe::health(table(tree, "health"), context),
        checks: observe::checks(tree, context),
        alerts: observe::alerts(table(tree, "alerts"), context),
        scaling: tree.get("scaling").map(|_| observe::scaling(table(tree, "scaling"), context)),
        seal: seal::sealing(table(tree, "seal"), context),
        trace: trace::trace(table(tree, "trace"), context).map(Arc::new),
        daemon,
        log: log(Section::new(table(tree, "log"), "log"), context),
        audit: audit::audit(table(tree, "audit"), context),
        warnings: Vec::new(),
        effective: Vec::new(),
    }
}

/// What of a tree units are made of: each listener that has an address, each server without an
/// error of its own, and what concerns the process.
pub(super) fn parts(tree: &Table, environment: &Environment, report: &mut Report) -> Parts {
    let mut parts = Parts {
        daemon: daemon(Section::new(table(tree, "daemon"), "daemon"), environment),
        listeners: Vec::new(),
        servers: Vec::new(),
        left_out: BTreeSet::new(),
    };
    for (entry, table) in named(tree, "listener").filter(|(entry, _)| units::is_name(&entry.key)) {
        shape::thing("listener.*", entry, report);
        // A socket says nothing of what is served there, so whatever else is wrong can wait.
        let listener = listener::listener(entry, table, &parts.daemon.state_dir, &mut Context { environment, report });
        if !listener.addresses.is_empty() {
            parts.listeners.push(Arc::new(listener));
        }
    }
    // The name of their section may be what is wrong with them.
    for table in tree.entries.iter().filter(|entry| entry.key != "server").filter_map(|entry| entry.node.table()) {
        mention(table, &mut parts.left_out);
    }
    for (entry, table) in named(tree, "server") {
        let before = report.errors();
        shape::thing("server.*", entry, report);
        let server = server::server(entry, table, &mut Context { environment, report });
        // Without what an operator meant to write, it might run with more than it was meant to have.
        match server.filter(|_| report.errors() == before) {
            Some(server) => parts.servers.push(Arc::new(server)),
            None => mention(table, &mut parts.left_out),
        }
    }
    parts
}

/// Adds all credentials that a table names at whatever key, which may be misspelt, but for those of a command's
/// environment: the gate does not read them.
pub(super) fn mention(table: &Table, credentials: &mut BTreeSet<String>) {
    for entry in table.entries.iter().filter(|entry| entry.key != "env") {
        if let Some(table) = entry.node.table() {
            mention(table, credentials);
        }
        credentials.extend(entry.node.text().and_then(|text| text.strip_prefix("credential:")).map(str::to_owned));
    }
}

fn table<'a>(tree: &'a Table, name: &str) -> Option<&'a Table> {
    tree.get(name).and_then(Node::table)
}

/// The tables of a section of named things.
fn named<'a>(tree: &'a Table, section: &str) -> impl Iterator<Item = (&'a Entry, &'a Table)> {
    let entries = table(tree, section).map_or(&[][..], |table| &table.entries);
    entries.iter().filter_map(|entry| Some((entry, entry.node.table()?)))
}

fn daemon(section: Section<'_>, environment: &Environment) -> Daemon {
    let state_dir = || PathBuf::from(section.text("state_dir").unwrap_or_default());
    Daemon {
        cores: section.count("cores"),
        runtime_dir: PathBuf::from(section.text("runtime_dir").unwrap_or_default()),
        state_dir: environment.state_directory().unwrap_or_else(state_dir),
        on_bad_config: match section.text("on_bad_config").as_deref() {
            Some("refuse") => OnBadConfig::Refuse,
            _ => OnBadConfig::LastGood,
        },
        drain_timeout: section.duration("drain_timeout"),
        lame_duck: section.duration("lame_duck"),
        max_connections: section.count("max_connections"),
        max_server_connections: section.count("max_server_connections"),
        max_sessions: section.count("max_sessions"),
        max_sessions_per_client: section.count("max_sessions_per_client"),
        session_timeout: section.duration("session_timeout"),
    }
}

fn overload(section: Section<'_>) -> Overload {
    Overload {
        cpu: section.maybe_percent("cpu").unwrap_or_default(),
        memory: section.maybe_percent("memory").unwrap_or_default(),
        memory_limit: section.maybe_size("memory_limit"),
        descriptors: section.maybe_percent("descriptors").unwrap_or_default(),
        lag: section.duration("lag"),
        queue_age: section.maybe_duration("queue_age"),
        shrink: section.maybe_percent("shrink").unwrap_or_default(),
    }
}

fn log(section: Section<'_>, context: &Context<'_>) -> Log {
    Log {
        level: section.text("level").unwrap_or_default(),
        format: match section.text("format").as_deref() {
            Some("journald") => LogFormat::Journald,
            Some("json") => LogFormat::Json,
            Some("pretty") => LogFormat::Pretty,
            _ => LogFormat::Auto,
        },
        access: section.bool("access"),
        files: section.valid("files").and_then(|node| Some(context.path(node.text()?, node.place))),
        rotate: if section.text("rotate").as_deref() == Some("daily") { Rotate::Daily } else { Rotate::Size },
    }
}
