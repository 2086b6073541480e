//! Whether systemd has the units that the configuration asks for, and the command that mends it.
//!
//! `toolgated check`, reloads and the status say it. Where systemd does not start the gate's
//! sockets, nothing is ever said.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{fs, io};

use super::units::Units;
use super::{front, listener, render, server};
use crate::config::check::STANDARD_PATH;
use crate::config::salvage::salvage;

/// Where systemd lets generators write.
const FOLDER: &str = "/run/systemd/generator";

/// Units that are not as a configuration asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// What differs, as a clause.
    pub what: String,
    /// The command that mends it, where one does.
    pub command: Option<String>,
}

impl Drift {
    /// As one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self.remedy() {
            Some(remedy) => format!("{}: {remedy}", self.what),
            None => self.what.clone(),
        }
    }

    /// What to do, as a clause.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        self.command.as_ref().map(|command| format!("run `{command}`"))
    }
}

/// What differs between this configuration and systemd's units; `None` also where systemd has
/// none of the gate's, or has those of another configuration.
#[must_use]
pub fn find(config: &Path) -> Option<Drift> {
    let folder = Path::new(FOLDER);
    if config != Path::new(STANDARD_PATH) || !folder.join(front::DROP_IN).exists() {
        return None;
    }
    let (parts, problems) = salvage(config);
    // Whatever is wrong with the files is said elsewhere, and what they lack for it is not gone.
    if !problems.is_empty() {
        return None;
    }
    let (wanted, left_out) = render(&parts, FOLDER);
    let sockets = parts.daemon.runtime_dir.join("servers");
    // Whoever may not look there cannot tell.
    let is_up = |server: &str| match fs::symlink_metadata(sockets.join(format!("{server}.sock"))) {
        Ok(_) => true,
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    };
    compare(&Units::read(folder).comparable(), &wanted.comparable(), &left_out, is_up)
}

/// How a unit of a listener or a server differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Added,
    Removed,
    Changed,
}

fn compare(present: &Units, wanted: &Units, left_out: &[String], is_up: impl Fn(&str) -> bool) -> Option<Drift> {
    let listeners = changes(present, wanted, listener_of);
    let servers = changes(present, wanted, server_of);
    let gate = present.text(front::DROP_IN) != wanted.text(front::DROP_IN);
    let up: Vec<String> = wanted
        .iter()
        .filter_map(|(path, _)| server_of(path))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .filter(|name| !servers.contains_key(name) && !is_up(name))
        .collect();
    let mut what = Vec::new();
    what.extend(listeners.iter().map(|(name, change)| told("listener", name, *change)));
    what.extend(servers.iter().map(|(name, change)| told("server", name, *change)));
    if what.is_empty() && gate {
        what.push("bounds or credentials of the gate changed".into());
    }
    let texts = present.text(front::DROP_IN).zip(wanted.text(front::DROP_IN));
    if let Some(kept) = texts.and_then(|(present, wanted)| front::keeps_too_few(present, wanted)) {
        what.push(format!("only {kept} instances outlive a restart of the gate"));
    }
    let older =
        (!what.is_empty()).then(|| format!("systemd's units are older than the configuration: {}", what.join(", ")));
    let down = (!up.is_empty()).then(|| format!("no socket is up for {}", up.join(", ")));
    let all: Vec<String> = older.iter().chain(&down).chain(left_out).cloned().collect();
    if all.is_empty() {
        return None;
    }
    let steps = Steps { listeners, servers, up, rendered: older.is_some(), restart: needs_restart(present, wanted) };
    Some(Drift { what: all.join("; "), command: Some(steps.command()).filter(|command| !command.is_empty()) })
}

fn told(kind: &str, name: &str, change: Change) -> String {
    let word = match change {
        Change::Added => "is new",
        Change::Removed => "is gone",
        Change::Changed => "changed",
    };
    format!("{kind} {name} {word}")
}

/// By the thing that units belong to.
fn changes(present: &Units, wanted: &Units, owner: fn(&str) -> Option<String>) -> BTreeMap<String, Change> {
    let of = |units: &Units| {
        let mut things: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for (path, unit) in units.iter() {
            if let Some(name) = owner(path) {
                things.entry(name).or_default().insert(path.to_owned(), unit.text.clone());
            }
        }
        things
    };
    let (present, wanted) = (of(present), of(wanted));
    let names: BTreeSet<&String> = present.keys().chain(wanted.keys()).collect();
    let change = |name: &String| match (present.get(name), wanted.get(name)) {
        (None, _) => Some(Change::Added),
        (_, None) => Some(Change::Removed),
        (Some(old), Some(new)) => (old != new).then_some(Change::Changed),
    };
    names.into_iter().filter_map(|name| Some((name.clone(), change(name)?))).collect()
}

fn listener_of(path: &str) -> Option<String> {
    Some(path.strip_prefix("toolgated-")?.strip_suffix(".socket")?.to_owned())
}

fn server_of(path: &str) -> Option<String> {
    let name = path.strip_prefix("toolgate-server-")?;
    [".socket", "@.service", ".env"].iter().find_map(|end| name.strip_suffix(end)).map(str::to_owned)
}

/// Bounds that a process gets at its start only.
fn needs_restart(present: &Units, wanted: &Units) -> bool {
    let fixed = |units: &Units| -> Vec<String> {
        let lines = units.text(front::DROP_IN).unwrap_or_default().lines();
        lines
            .filter(|line| line.starts_with("LimitNOFILE=") || line.starts_with("LoadCredential"))
            .map(str::to_owned)
            .collect()
    };
    fixed(present) != fixed(wanted)
}

struct Steps {
    listeners: BTreeMap<String, Change>,
    servers: BTreeMap<String, Change>,
    up: Vec<String>,
    rendered: bool,
    restart: bool,
}

impl Steps {
    /// What is gone or moves is stopped while systemd still knows what it was. A socket starts only
    /// while the gate is down, so the gate's own restart starts those that it wants; connections to
    /// the others wait meanwhile.
    fn command(&self) -> String {
        let of = |things: &BTreeMap<String, Change>, change: Change| -> Vec<String> {
            things.iter().filter(|(_, found)| **found == change).map(|(name, _)| name.clone()).collect()
        };
        let listeners = |change| of(&self.listeners, change).into_iter().map(|name| listener::unit(&name));
        let sockets = |names: Vec<String>| names.into_iter().map(|name| server::socket_unit(&name));
        let mut steps = Vec::new();
        let mut step = |verb: &str, units: Vec<String>| {
            if !units.is_empty() {
                steps.push(format!("{verb} {}", units.join(" ")));
            }
        };
        let gone = listeners(Change::Removed).chain(listeners(Change::Changed));
        step("systemctl stop", gone.chain(sockets(of(&self.servers, Change::Removed))).collect());
        if self.rendered {
            step("systemctl", vec!["daemon-reload".into()]);
        }
        step("systemctl start", sockets([of(&self.servers, Change::Added), self.up.clone()].concat()).collect());
        let new = listeners(Change::Changed).chain(listeners(Change::Added)).next().is_some();
        if new || self.restart {
            step("systemctl restart", vec!["toolgated.service".into()]);
        }
        for name in of(&self.servers, Change::Changed) {
            step("toolgate server restart", vec![name]);
        }
        steps.join(" && ")
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::rendered;
    use super::*;

    const BASE: &str = "[daemon]\nmax_connections = 70_000\n[listener.a]\naddress = \"127.0.0.1:1\"\nauth = \"key\"\n\
        [server.one]\ncommand = [\"one\"]\nenv.A = \"b\"\n";

    fn drift(old: &str, new: &str) -> Option<Drift> {
        compare(&rendered(old).0.comparable(), &rendered(new).0.comparable(), &[], |_| true)
    }

    #[test]
    fn nothing_differs_from_itself() {
        assert_eq!(drift(BASE, BASE), None);
    }

    #[test]
    fn each_difference_has_the_command_that_mends_it() {
        let server = "[server.two]\ncommand = [\"two\"]\n";
        let listener = "[listener.b]\naddress = \"127.0.0.1:2\"\nauth = \"key\"\n";
        let table = [
            (BASE.to_owned() + server, "systemctl daemon-reload && systemctl start toolgate-server-two.socket"),
            (BASE.to_owned() + listener, "systemctl daemon-reload && systemctl restart toolgated.service"),
            (
                BASE.replace(":1", ":2"),
                "systemctl stop toolgated-a.socket && systemctl daemon-reload && systemctl restart toolgated.service",
            ),
            (BASE.replace("[\"one\"]", "[\"1\"]"), "systemctl daemon-reload && toolgate server restart one"),
            (BASE.replace("env.A = \"b\"", "env.A = \"c\""), "systemctl daemon-reload && toolgate server restart one"),
            (BASE.replace("70_000", "150_000"), "systemctl daemon-reload && systemctl restart toolgated.service"),
            (BASE.replace("70_000", "70_000\ndrain_timeout = \"9s\""), "systemctl daemon-reload"),
        ];
        for (new, command) in table {
            assert_eq!(drift(BASE, &new).expect(command).command.as_deref(), Some(command));
        }
        let gone = drift(&(BASE.to_owned() + server + listener), BASE).unwrap();
        assert_eq!(
            gone.command.as_deref(),
            Some("systemctl stop toolgated-b.socket toolgate-server-two.socket && systemctl daemon-reload")
        );
        assert!(gone.what.ends_with("listener b is gone, server two is gone"), "{}", gone.what);
    }

    #[test]
    fn more_instances_than_systemd_keeps_are_told() {
        let with = |max: u32| BASE.replace("env.A", &format!("instances.max = {max}\nenv.A"));
        assert!(!drift(&with(10), &with(60)).unwrap().what.contains("outlive"), "there is some room");
        let told = drift(&with(10), &with(500)).unwrap();
        assert!(told.what.ends_with(", only 76 instances outlive a restart of the gate"), "{}", told.what);
        assert!(told.command.is_some_and(|command| command.starts_with("systemctl daemon-reload")));
    }

    #[test]
    fn a_socket_that_is_not_up_is_started() {
        let units = rendered(BASE).0;
        let drift = compare(&units, &units, &[], |_| false).unwrap();
        assert_eq!(drift.sentence(), "no socket is up for one: run `systemctl start toolgate-server-one.socket`");
    }

    #[test]
    fn an_encrypted_credential_is_the_same_credential() {
        let plain = rendered(&BASE.replace("\"b\"", "\"credential:t\"")).0;
        let mut encrypted = Units::default();
        for (path, unit) in plain.iter() {
            let text = unit.text.replace("LoadCredential=t:", "LoadCredentialEncrypted=t:");
            encrypted.add(path, text.replace("/etc/toolgate/credentials/t", "/etc/credstore.encrypted/t"));
        }
        assert_ne!(texts(&encrypted), texts(&plain));
        assert_eq!(compare(&encrypted.comparable(), &plain.comparable(), &[], |_| true), None);
    }

    fn texts(units: &Units) -> Vec<&str> {
        units.iter().map(|(_, unit)| unit.text.as_str()).collect()
    }

    #[test]
    fn what_gets_no_unit_is_said_and_no_command_helps() {
        let (units, left_out) = rendered(&BASE.replace("\"b\"", "\"env:X\""));
        let drift = compare(&units, &units, &left_out, |_| true).unwrap();
        assert!(drift.sentence().starts_with("the server one gets no units: A is to come from"), "{drift:?}");
        assert_eq!(drift.command, None);
    }
}
