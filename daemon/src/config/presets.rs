//! Defaults for a kind of machine: `daemon.preset`.
//!
//! Applied after files and variables, and before anything is checked: a preset writes what nobody wrote, as if a
//! file of the lowest precedence had it. So whatever reads the tree sees it, and a dump tells where it comes from.

use std::fmt::Write as _;

use toml::de::DeValue;

use super::build;
use super::problem::Report;
use super::source::Place;
use super::tree::{self, Node, Table, Value};

/// Values that stand where nothing else is written.
#[derive(Debug)]
pub struct Preset {
    /// What `daemon.preset` says.
    pub name: &'static str,
    /// Keys of the table of keys, with what they get in TOML.
    pub values: &'static [(&'static str, &'static str)],
}

/// Many callers on a machine of its own. `max_calls` is that of the connections: else calls would wait for a
/// connection, which is neither fair nor long, and never in the queue.
const THROUGHPUT: Preset = Preset {
    name: "throughput",
    values: &[
        ("daemon.max_server_connections", "1000"),
        ("overload.cpu", "\"70%\""),
        ("server.*.queue.max_size", "5000"),
        ("server.*.max_calls", "100"),
        ("server.*.adaptive.tolerance", "\"150%\""),
        ("server.*.pool.max_connections", "100"),
    ],
};

/// Little memory. Idle connections have a shorter default already.
const LEAN: Preset = Preset {
    name: "lean",
    values: &[
        ("daemon.max_server_connections", "200"),
        ("server.*.queue.max_size", "500"),
        ("server.*.instances.idle", "\"120s\""),
    ],
};

/// All of them.
pub static PRESETS: [Preset; 2] = [THROUGHPUT, LEAN];

/// What `daemon.preset` may say.
pub(super) const NAMES: &[&str] = &[THROUGHPUT.name, LEAN.name];

impl Preset {
    /// What a key gets.
    #[must_use]
    pub fn value(&self, path: &str) -> Option<&'static str> {
        self.values.iter().find(|(key, _)| *key == path).map(|(_, value)| *value)
    }

    /// Its text as a source of the configuration, and each value with its place there.
    fn nodes(&self, report: &mut Report) -> Vec<(&'static str, Node)> {
        let mut text = String::new();
        let mut ranges = Vec::new();
        for (path, value) in self.values {
            let _ = write!(text, "{path} = ");
            ranges.push(text.len()..text.len() + value.len());
            let _ = writeln!(text, "{value}");
        }
        let source = report.sources.add_preset(self.name, text);
        let node = |((path, value), range): (&(&'static str, &str), std::ops::Range<usize>)| {
            let value = DeValue::parse(value).ok()?;
            Some((*path, tree::node(value.get_ref(), range, source)))
        };
        self.values.iter().zip(ranges).filter_map(node).collect()
    }
}

/// Fills in what the named preset has and nobody wrote; a name that is none is left for the check.
pub(super) fn apply(tree: &mut Table, report: &mut Report) {
    let named = tree.at("daemon.preset").and_then(Node::text);
    let Some(preset) = PRESETS.iter().find(|preset| named == Some(preset.name)) else { return };
    for (path, node) in preset.nodes(report) {
        match path.strip_prefix("server.*.") {
            None => fill(tree, path, node),
            Some(path) => servers(tree, path, &node),
        }
    }
}

fn servers(tree: &mut Table, path: &str, node: &Node) {
    let section = tree.entries.iter_mut().find(|entry| entry.key == "server");
    let Some(Value::Table(servers)) = section.map(|entry| &mut entry.node.value) else { return };
    for server in &mut servers.entries {
        if let Value::Table(server) = &mut server.node.value
            && build::suits(path, server)
        {
            fill(server, path, node.clone());
        }
    }
}

/// Sets a value where there is none; what is written where a table should be stays, for the check to report.
fn fill(table: &mut Table, path: &str, node: Node) {
    let Some((key, rest)) = path.split_once('.') else {
        if table.get(path).is_none() {
            table.entries.push(entry(path, node.place, node));
        }
        return;
    };
    if table.get(key).is_none() {
        let inner = Node { place: node.place, value: Value::Table(Table::default()) };
        table.entries.push(entry(key, node.place, inner));
    }
    let inner = table.entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node.value);
    if let Some(Value::Table(inner)) = inner {
        fill(inner, rest, node);
    }
}

fn entry(key: &str, key_place: Place, node: Node) -> tree::Entry {
    tree::Entry { key: key.to_owned(), key_place, node }
}

#[cfg(test)]
mod tests {
    use super::super::settings::{Adaptive, Server, Settings, Transport};
    use super::super::{Environment, Scrutiny, check, from_text, keys, load, salvage::salvage, section};
    use super::*;
    use std::time::Duration;

    const SERVERS: &str = "[listener.a]\naddress = \"127.0.0.1:1\"\nauth = \"key\"\n\
        [server.http]\nendpoints = \"http://127.0.0.1:1/mcp\"\n\
        [server.stdio]\ncommand = [\"x\"]\n";

    fn read(daemon: &str, more: &str) -> Settings {
        let text = format!("version = 1\n[daemon]\n{daemon}\n{SERVERS}{more}");
        from_text(&text).unwrap_or_else(|report| panic!("{}", report.render(false)))
    }

    fn pool(server: &Server) -> (usize, Duration) {
        match &server.transport {
            Transport::Http(http) => (http.pool.max_connections, http.pool.idle_timeout),
            _ => panic!("not over HTTP"),
        }
    }

    fn idle(server: &Server) -> Duration {
        match &server.transport {
            Transport::Stdio(stdio) => stdio.instances.idle,
            _ => panic!("not over stdio"),
        }
    }

    #[test]
    fn every_value_is_one_of_its_key_and_not_its_default() {
        for preset in &PRESETS {
            for (path, value) in preset.values {
                let key = keys::find(path).unwrap_or_else(|| panic!("{path}"));
                let value = DeValue::parse(value).unwrap();
                let node = tree::node(value.get_ref(), value.span(), 0);
                assert_eq!(key.kind.check(&node), Ok(()), "{path}");
                // What only switches something on may be its default.
                let switch = ["adaptive", "overload"].iter().any(|section| path.contains(section));
                let default = section::default(path).map(|node| format!("{:?}", node.value));
                assert!(switch || default != Some(format!("{:?}", node.value)), "{path}");
            }
        }
    }

    #[test]
    fn without_a_preset_nothing_is_switched_on() {
        let settings = read("", "");
        assert_eq!((settings.overload, settings.daemon.max_server_connections), (None, 500));
        assert_eq!(settings.servers["http"].adaptive, None);
    }

    #[test]
    fn throughput_takes_many_callers_and_adapts() {
        let settings = read("preset = \"throughput\"", "");
        assert_eq!(settings.daemon.max_server_connections, 1000);
        let overload = settings.overload.as_ref().expect("it lets go of work");
        assert_eq!((overload.cpu, overload.memory), (70, 85));
        for server in settings.servers.values() {
            assert_eq!((server.queue.max_size, server.max_calls), (5000, 100), "{}", server.name);
            assert_eq!(server.adaptive, Some(Adaptive { min: 10, tolerance: 150 }), "{}", server.name);
        }
        assert_eq!(pool(&settings.servers["http"]), (100, Duration::from_secs(30)));
        assert_eq!(idle(&settings.servers["stdio"]), Duration::from_secs(900));
    }

    #[test]
    fn lean_keeps_little() {
        let settings = read("preset = \"lean\"", "");
        assert_eq!((settings.daemon.max_server_connections, settings.overload), (200, None));
        for (name, calls) in [("http", 50), ("stdio", 1000)] {
            let server = &settings.servers[name];
            assert_eq!((server.queue.max_size, server.max_calls, server.adaptive), (500, calls, None), "{name}");
        }
        assert_eq!(pool(&settings.servers["http"]), (50, Duration::from_secs(30)));
        assert_eq!(idle(&settings.servers["stdio"]), Duration::from_secs(120));
    }

    #[test]
    fn calls_at_once_are_as_many_as_connections_unless_written() {
        let of = |more: &str| {
            let text = format!("[server.own]\nendpoints = \"http://127.0.0.1:2/mcp\"\n{more}");
            let settings = read("", &text);
            let own = &settings.servers["own"];
            (pool(own).0, own.max_calls)
        };
        assert_eq!(of(""), (50, 50));
        assert_eq!(of("pool.max_connections = 80"), (80, 80));
        assert_eq!(of("max_calls = 7"), (50, 7));
        let text = "[server.own]\nendpoints = \"http://127.0.0.1:2/sse\"\ntransport = \"sse\"\n";
        let settings = read("", text);
        let own = &settings.servers["own"];
        let Transport::Sse(sse) = &own.transport else { panic!("{own:?}") };
        assert_eq!((sse.pool.max_connections, own.max_calls), (1000, 1000), "sessions, each of many calls");
    }

    #[test]
    fn what_is_written_wins_value_by_value() {
        let settings = read(
            "preset = \"throughput\"\nmax_server_connections = 300",
            "queue.timeout = \"9s\"\nadaptive.min = 7\n[overload]\ncpu = \"90%\"\n[server.own]\n\
             endpoints = \"http://127.0.0.1:2/mcp\"\nqueue.max_size = 1\npool = { max_connections = 5 }\nmax_calls = 6\n",
        );
        assert_eq!(settings.daemon.max_server_connections, 300);
        assert_eq!(settings.overload.as_ref().map(|overload| overload.cpu), Some(90));
        let (stdio, own) = (&settings.servers["stdio"], &settings.servers["own"]);
        assert_eq!((stdio.queue.max_size, stdio.queue.timeout), (5000, Duration::from_secs(9)));
        assert_eq!(stdio.adaptive, Some(Adaptive { min: 7, tolerance: 150 }));
        assert_eq!((own.queue.max_size, pool(own).0, own.max_calls), (1, 5, 6));
    }

    #[test]
    fn a_dump_names_the_preset_and_what_overrides_it() {
        let folder = tempfile::tempdir().unwrap();
        let main = folder.path().join("toolgate.toml");
        std::fs::write(&main, format!("version = 1\n{SERVERS}max_calls = 7\n")).unwrap();
        std::fs::create_dir(folder.path().join("conf.d")).unwrap();
        std::fs::write(folder.path().join("conf.d/machine.toml"), "daemon.preset = \"throughput\"\n").unwrap();
        let variables = [("TOOLGATE_SERVER__HTTP__QUEUE__MAX_SIZE".to_owned(), "9".to_owned())].into();
        let environment = Environment { variables, scrutiny: Scrutiny::Text };
        let (report, dump) = check::inspect(&main, &environment);
        assert!(!report.has_errors(), "{}", report.render(false));
        for (value, origin) in [
            ("daemon.preset = \"throughput\"", "machine.toml:1"),
            ("daemon.max_server_connections = 1000", "# preset throughput"),
            ("overload.cpu = \"70%\"", "# preset throughput"),
            ("overload.memory = \"85%\"", "# default"),
            ("server.http.queue.max_size = 9", "# TOOLGATE_SERVER__HTTP__QUEUE__MAX_SIZE"),
            ("server.stdio.queue.max_size = 5000", "# preset throughput"),
            ("server.http.max_calls = 100", "# preset throughput"),
            ("server.stdio.max_calls = 7", "toolgate.toml:9"),
        ] {
            let line = dump.lines().find(|line| line.starts_with(value)).unwrap_or_else(|| panic!("{value}:\n{dump}"));
            assert!(line.ends_with(origin), "{line}");
        }
        let (settings, report) = load(&main, &environment).unwrap();
        let told = settings.effective.iter().find(|value| value.path == "server.http.pool.max_connections").unwrap();
        assert_eq!((&*told.value, &*told.origin), ("100", "preset throughput"));
        // It is neither a file nor a variable.
        assert_eq!(settings.files.len(), 2);
        let snapshot = super::super::Snapshot::of(&report, &main);
        assert_eq!((snapshot.files.len(), snapshot.overrides.len()), (2, 1));
        let (parts, problems) = salvage(&main);
        assert_eq!((parts.daemon.max_server_connections, problems.len()), (1000, 0), "units are made for it");
    }

    #[test]
    fn a_preset_hides_no_mistake_and_makes_none() {
        let text = format!("version = 1\ndaemon.preset = \"thruput\"\n{SERVERS}");
        let report = from_text(&text).expect_err("no such preset").render(false);
        assert!(report.contains("\"throughput\"") && report.contains("toolgate.toml:2"), "{report}");
        let text = "version = 1\ndaemon.preset = \"throughput\"\noverload = 5\nserver = 3\n";
        let report = from_text(text).expect_err("no tables");
        assert_eq!(report.problems.iter().filter(|problem| problem.code == "wrong-type").count(), 2);
        assert!(!report.render(false).contains("preset throughput"));
    }
}
