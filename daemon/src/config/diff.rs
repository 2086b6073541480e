//! What a reload would change, and what it would cost. Pure.
//!
//! Called by the reload, which writes it to the log, and by `toolgate config diff`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::settings::{Certificate, Listener, Machine, Server, Settings, Transport};

/// One difference between two configurations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Path of what changed, such as `server.weather` or `log`.
    pub path: String,
    /// What happened to it.
    pub action: Action,
    /// What it costs those who are connected.
    pub cost: Cost,
}

/// What happened to a part of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It differs.
    Changed,
}

/// What a change costs, from the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// Nothing: the next call sees it.
    Nothing,
    /// Open connections keep the old value.
    NewConnections,
    /// Clients who used it are refused.
    ClientsRefused,
    /// Idle connections to the server are closed, and its upstream sessions opened anew.
    UpstreamSessions,
    /// The server's running instances end, with their sessions.
    Instances,
    /// Its sessions end.
    Sessions,
    /// The old addresses are closed and their connections drained.
    Rebind,
    /// It takes effect with `systemctl restart toolgate` only.
    Restart,
}

impl Settings {
    /// Everything in which `new` differs from `old`; empty when a reload would change nothing.
    #[must_use]
    pub fn diff(old: &Self, new: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        let listeners = |settings: &Self| settings.listeners.iter().map(|l| (l.name.clone(), Arc::clone(l))).collect();
        tables("listener", &listeners(old), &listeners(new), listener, &mut changes);
        tables("server", &old.servers, &new.servers, server, &mut changes);
        tables(
            "profile",
            &old.profiles,
            &new.profiles,
            |change| {
                if change.is_none() { Cost::Sessions } else { Cost::Nothing }
            },
            &mut changes,
        );
        tables("tier", &old.tiers, &new.tiers, |_| Cost::Nothing, &mut changes);
        tables("role", &old.roles, &new.roles, |_| Cost::Nothing, &mut changes);
        tables("organisation", &old.organisations, &new.organisations, |_| Cost::Nothing, &mut changes);
        tables(
            "key",
            &old.keys,
            &new.keys,
            |change| match change {
                Some((old, new)) if old.sha256 == new.sha256 => Cost::Nothing,
                _ => Cost::ClientsRefused,
            },
            &mut changes,
        );
        tables(
            "certificate",
            &old.certificates,
            &new.certificates,
            known_otherwise(|known: &Certificate| &known.rule),
            &mut changes,
        );
        tables(
            "machine",
            &old.machines,
            &new.machines,
            known_otherwise(|known: &Machine| &known.networks),
            &mut changes,
        );
        single("authentication", old.authentication != new.authentication, Cost::Nothing, &mut changes);
        tables(
            "issuer",
            &old.issuers,
            &new.issuers,
            |change| match change {
                Some((old, new))
                    if old.issuer == new.issuer && old.audience == new.audience && old.keys == new.keys =>
                {
                    Cost::Nothing
                }
                _ => Cost::ClientsRefused,
            },
            &mut changes,
        );
        single("limit", old.limits != new.limits, Cost::Nothing, &mut changes);
        single("overload", old.overload != new.overload, Cost::Nothing, &mut changes);
        single("loops", old.loops != new.loops, Cost::Nothing, &mut changes);
        single("health", old.health != new.health, Cost::Nothing, &mut changes);
        tables("check", &old.checks, &new.checks, |_| Cost::Nothing, &mut changes);
        single("alerts", old.alerts != new.alerts, Cost::Nothing, &mut changes);
        single("trace", old.trace != new.trace, Cost::Nothing, &mut changes);
        single("scaling", old.scaling != new.scaling, Cost::Nothing, &mut changes);
        single("seal", old.seal != new.seal, Cost::Nothing, &mut changes);
        single(
            "log",
            old.log != new.log,
            if old.log.is_written_as(&new.log) { Cost::Nothing } else { Cost::Restart },
            &mut changes,
        );
        single("audit", old.audit != new.audit, Cost::Nothing, &mut changes);
        single("daemon", old.daemon != new.daemon, daemon(old, new), &mut changes);
        changes
    }
}

fn daemon(old: &Settings, new: &Settings) -> Cost {
    let (old, new) = (&old.daemon, &new.daemon);
    let fixed = old.cores == new.cores && old.runtime_dir == new.runtime_dir && old.state_dir == new.state_dir;
    if fixed { Cost::Nothing } else { Cost::Restart }
}

/// The cost of a removed thing is asked with `None`; an added one costs nothing.
fn tables<T: PartialEq>(
    section: &str,
    old: &BTreeMap<String, Arc<T>>,
    new: &BTreeMap<String, Arc<T>>,
    cost: impl Fn(Option<(&T, &T)>) -> Cost,
    changes: &mut Vec<Change>,
) {
    let mut push = |name: &str, action, cost| {
        changes.push(Change { path: format!("{section}.{name}"), action, cost });
    };
    for (name, before) in old {
        match new.get(name) {
            None => push(name, Action::Removed, cost(None)),
            Some(after) if before != after => {
                push(name, Action::Changed, cost(Some((before, after))));
            }
            Some(_) => {}
        }
    }
    for name in new.keys().filter(|name| !old.contains_key(*name)) {
        push(name, Action::Added, Cost::Nothing);
    }
}

/// Of clients without a secret: those who are not meant any more are refused.
fn known_otherwise<T, K: PartialEq>(by: impl Fn(&T) -> &K) -> impl Fn(Option<(&T, &T)>) -> Cost {
    move |change| match change {
        Some((old, new)) if by(old) == by(new) => Cost::Nothing,
        _ => Cost::ClientsRefused,
    }
}

fn single(path: &str, differs: bool, cost: Cost, changes: &mut Vec<Change>) {
    if differs {
        changes.push(Change { path: path.into(), action: Action::Changed, cost });
    }
}

fn listener(change: Option<(&Listener, &Listener)>) -> Cost {
    let Some((old, new)) = change else {
        return Cost::Rebind;
    };
    if old.addresses != new.addresses || old.tls.is_some() != new.tls.is_some() {
        return Cost::Rebind;
    }
    let door = |listener: &Listener| (listener.allow.clone(), listener.proxy_protocol);
    let kept = old.tls == new.tls && old.bounds == new.bounds && door(old) == door(new);
    if kept { Cost::Nothing } else { Cost::NewConnections }
}

fn server(change: Option<(&Server, &Server)>) -> Cost {
    let Some((old, new)) = change else {
        return Cost::Sessions;
    };
    if old.enabled && !new.enabled {
        return Cost::Sessions;
    }
    match (&old.transport, &new.transport) {
        (before, after) if before.goes_on_as(after) => {
            // As the server itself decides whether it goes on.
            let waits = |server: &Server| (server.timeout.connect, server.timeout.total);
            match (old.access.goes_on_as(&new.access) && waits(old) == waits(new), after) {
                (true, _) => Cost::Nothing,
                (false, Transport::Stdio(_)) => Cost::Instances,
                (false, _) => Cost::UpstreamSessions,
            }
        }
        (Transport::Stdio(_), Transport::Stdio(_)) => Cost::Instances,
        (Transport::Http(_), Transport::Http(_)) | (Transport::Sse(_), Transport::Sse(_)) => Cost::UpstreamSessions,
        _ => Cost::Sessions,
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "with the next call, at no cost",
            Self::NewConnections => "for new connections",
            Self::ClientsRefused => "whoever still uses the old one is refused",
            Self::UpstreamSessions => "its connections and upstream sessions are opened anew",
            Self::Instances => "its running instances end, with their sessions",
            Self::Sessions => "its sessions end",
            Self::Rebind => "old addresses are closed and their connections drained",
            Self::Restart => "after `systemctl restart toolgate`",
        })
    }
}

/// `server.weather changed: with the next call, at no cost`
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = match self.action {
            Action::Added => "added",
            Action::Removed => "removed",
            Action::Changed => "changed",
        };
        write!(f, "{} {action}: {}", self.path, self.cost)
    }
}

#[cfg(test)]
mod tests {
    use super::super::from_text;
    use super::*;

    const BASE: &str = r#"
        version = 1
        [daemon]
        cores = 2
        [log]
        level = "info"
        [listener.a]
        address = "127.0.0.1:1"
        auth = "key"
        [server.http]
        endpoints = "http://127.0.0.1:1/mcp"
        queue.max_size = 7
        [server.stdio]
        command = ["x"]
        [key.alice]
        hash = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
        scopes = ["a/*"]
        [role.reader]
        allow = ["http/*"]
        when = [{ tool = "http/a", argument = "/n", at_most = 5 }]
        [machine.one]
        networks = "10.0.0.7"
        owner = "one"
        [certificate.two]
        san = "a.example"
        [profile.both]
        servers = ["http", "stdio"]
        [[limit]]
        per = "global"
        rate = "5/s"
    "#;

    fn settings(text: &str) -> Settings {
        from_text(text).unwrap_or_else(|report| panic!("{}", report.render(false)))
    }

    #[test]
    fn nothing_changed_is_no_change() {
        assert_eq!(Settings::diff(&settings(BASE), &settings(BASE)), []);
    }

    #[test]
    fn each_change_says_what_it_costs() {
        let table = [
            ("cores = 2", "cores = 3", "daemon", Cost::Restart),
            ("cores = 2", "drain_timeout = \"9s\"\ncores = 2", "daemon", Cost::Nothing),
            ("\"info\"", "\"debug\"", "log", Cost::Nothing),
            ("127.0.0.1:1\"\n", "127.0.0.1:2\"\n", "listener.a", Cost::Rebind),
            ("auth = \"key\"", "auth = \"key\"\nbounds.headers = 9", "listener.a", Cost::NewConnections),
            ("auth = \"key\"", "auth = \"key\"\nlenient = true", "listener.a", Cost::Nothing),
            ("http://127.0.0.1:1/", "http://127.0.0.1:2/", "server.http", Cost::UpstreamSessions),
            ("max_size = 7", "max_size = 8", "server.http", Cost::Nothing),
            ("max_size = 7", "max_size = 7\nqueue.timeout = \"9s\"", "server.http", Cost::Nothing),
            ("max_size = 7", "max_size = 7\ntimeout.first_byte = \"9s\"", "server.http", Cost::Nothing),
            (
                "max_size = 7",
                "max_size = 7\npool = { max_connections = 8, max_per_endpoint = 2, idle_timeout = \"9s\", max_age = \"9s\", min_idle = 1 }",
                "server.http",
                Cost::Nothing,
            ),
            ("max_size = 7", "max_size = 7\nhttp2 = true", "server.http", Cost::UpstreamSessions),
            ("max_size = 7", "max_size = 7\ntimeout.connect = \"9s\"", "server.http", Cost::UpstreamSessions),
            ("max_size = 7", "max_size = 7\nenabled = false", "server.http", Cost::Sessions),
            ("[\"x\"]", "[\"y\"]", "server.stdio", Cost::Instances),
            ("sha256:0", "sha256:1", "key.alice", Cost::ClientsRefused),
            ("a/*", "b/*", "key.alice", Cost::Nothing),
            ("http/*", "http/a*", "role.reader", Cost::Nothing),
            ("at_most = 5", "at_least = 5", "role.reader", Cost::Nothing),
            ("[\"http\", \"stdio\"]", "[\"http\"]", "profile.both", Cost::Nothing),
            ("5/s", "6/s", "limit", Cost::Nothing),
            ("[log]", "[overload]\ncpu = \"70%\"\n[log]", "overload", Cost::Nothing),
            ("queue.max_size = 7", "queue.max_size = 7\nadaptive = {}", "server.http", Cost::Nothing),
            ("queue.max_size = 7", "queue.max_size = 7\nmax_calls_per_client = 3", "server.http", Cost::Nothing),
            ("[log]", "[loops]\n        warn = 5\n        [log]", "loops", Cost::Nothing),
            ("[log]", "[health]\n        disk = \"80%\"\n        [log]", "health", Cost::Nothing),
            ("[log]", "[alerts]\n        cpu = \"70%\"\n        [log]", "alerts", Cost::Nothing),
            ("[log]", "[scaling]\n        [log]", "scaling", Cost::Nothing),
            ("[log]", "[authentication]\n        burst = 5\n        [log]", "authentication", Cost::Nothing),
            ("10.0.0.7", "10.0.0.8", "machine.one", Cost::ClientsRefused),
            ("owner = \"one\"", "owner = \"two\"", "machine.one", Cost::Nothing),
            ("a.example", "b.example", "certificate.two", Cost::ClientsRefused),
            ("[log]", "[audit]\n        calls = \"all\"\n        [log]", "audit", Cost::Nothing),
            ("[log]", "[trace]\n        endpoint = \"http://localhost:4318\"\n        [log]", "trace", Cost::Nothing),
        ];
        let old = settings(BASE);
        for (from, to, path, cost) in table {
            assert!(BASE.contains(from), "{from}");
            let changes = Settings::diff(&old, &settings(&BASE.replace(from, to)));
            assert_eq!(changes, [Change { path: path.into(), action: Action::Changed, cost }], "{from} -> {to}");
        }
    }

    #[test]
    fn added_and_removed_things_are_told() {
        let more = format!("{BASE}\n[server.new]\ncommand = [\"y\"]\n");
        let (old, new) = (settings(BASE), settings(&more));
        let added = Change { path: "server.new".into(), action: Action::Added, cost: Cost::Nothing };
        let removed = Change { path: "server.new".into(), action: Action::Removed, cost: Cost::Sessions };
        assert_eq!(Settings::diff(&old, &new), [added]);
        assert_eq!(Settings::diff(&new, &old), [removed]);
    }
}
