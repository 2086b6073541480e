//! What of a configuration can be used for units, whatever is wrong with the rest of it.
//!
//! The generator calls it while the machine starts: a typing error in one section must not take
//! the sockets of all others away. A file that cannot be parsed is read section by section.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use toml::de::DeTable;

use super::build::{self, Parts};
use super::environment::{Environment, Scrutiny};
use super::files;
use super::presets;
use super::problem::{Report, Severity};
use super::tree::{self, Table, Value};

/// The usable parts, and what is wrong with the rest, as finished sentences.
///
/// Variables of the environment override nothing here: what renders units does not have the
/// daemon's. Secrets and certificates are not opened.
#[must_use]
pub fn salvage(path: &Path) -> (Parts, Vec<String>) {
    let mut report = Report::default();
    let lost = RefCell::default();
    let mut tree =
        files::read_keeping(path, &|text, source| sections(text, source, &mut lost.borrow_mut()), &mut report);
    presets::apply(&mut tree, &mut report);
    let environment = Environment { scrutiny: Scrutiny::Units, ..Environment::default() };
    let mut parts = build::parts(&tree, &environment, &mut report);
    parts.left_out.append(&mut lost.into_inner());
    let errors = report.problems.iter().filter(|problem| problem.severity == Severity::Error);
    let sentences = errors.map(|problem| report.sentence(problem)).collect();
    (parts, sentences)
}

/// The sections of a broken text that can be parsed alone. Credentials of servers that are not are added to `credentials`.
fn sections(text: &str, source: usize, credentials: &mut BTreeSet<String>) -> Table {
    let mut tree = Table::default();
    let mut lost = Vec::new();
    for (start, piece) in pieces(text) {
        if let Some(table) = parse(start, piece, source) {
            join(&mut tree, table);
        } else {
            let head = parse(0, piece.lines().next().unwrap_or_default(), source);
            credentials.extend(mentioned(piece));
            lost.extend(head.and_then(|head| named(&head)));
        }
    }
    for (section, name) in lost {
        if let Some(table) = forget(&mut tree, &section, &name) {
            build::mention(&table, credentials);
        }
    }
    tree
}

/// The credentials that a section which cannot be parsed mentions, but for those of a command's environment. Rather one
/// too many, of root's own files, than one too few.
fn mentioned(piece: &str) -> impl Iterator<Item = String> {
    let of_command = |line: &str| line.starts_with("env") || line.starts_with('[') && line.contains(".env");
    let whole = piece.lines().next().is_some_and(|head| of_command(head) && head.starts_with('['));
    let lines =
        piece.lines().map(str::trim_start).filter(move |line| !whole && !line.starts_with('#') && !of_command(line));
    lines
        .flat_map(|line| line.split(['"', '\'']).filter_map(|text| text.strip_prefix("credential:")))
        .map(str::to_owned)
}

/// The text up to the first header, then each header with what follows it, with where it begins.
fn pieces(text: &str) -> Vec<(usize, &str)> {
    let mut starts = vec![0];
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with('[') && at > 0 {
            starts.push(at);
        }
        at += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().copied().zip(ends).map(|(start, end)| (start, &text[start..end])).collect()
}

/// A piece whose places are those of the whole text.
fn parse(start: usize, piece: &str, source: usize) -> Option<Table> {
    let padded = " ".repeat(start) + piece;
    let (table, errors) = DeTable::parse_recoverable(&padded);
    errors.is_empty().then(|| tree::from_toml(table.get_ref(), source))
}

/// The thing whose header this is, such as `server` and `files` of `[server.files.instances]`.
fn named(head: &Table) -> Option<(String, String)> {
    let section = head.entries.first()?;
    let thing = section.node.table()?.entries.first()?;
    Some((section.key.clone(), thing.key.clone()))
}

/// A thing of which a part is lost is left out whole, but for a listener: its address suffices.
fn forget(tree: &mut Table, section: &str, name: &str) -> Option<Table> {
    let found = tree.entries.iter_mut().find(|entry| entry.key == section && section != "listener")?;
    let Value::Table(things) = &mut found.node.value else { return None };
    let at = things.entries.iter().position(|entry| entry.key == name)?;
    match things.entries.remove(at).node.value {
        Value::Table(thing) => Some(thing),
        _ => None,
    }
}

/// Puts the sections of one file together again; the first value of a key stands.
fn join(tree: &mut Table, more: Table) {
    for entry in more.entries {
        let Some(known) = tree.entries.iter_mut().find(|known| known.key == entry.key) else {
            tree.entries.push(entry);
            continue;
        };
        match (&mut known.node.value, entry.node.value) {
            (Value::Table(first), Value::Table(second)) => join(first, second),
            (Value::List(first), Value::List(second)) => first.extend(second),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn salvaged(text: &str) -> (Vec<String>, Vec<String>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("toolgate.toml");
        std::fs::write(&path, text).unwrap();
        let (parts, problems) = salvage(&path);
        let listeners = parts.listeners.iter().map(|listener| listener.name.clone()).collect();
        (listeners, parts.servers.iter().map(|server| server.name.clone()).collect(), problems)
    }

    const GOOD: &str = "version = 1\n\
        [listener.a]\naddress = \"127.0.0.1:1\"\nauth = \"key\"\n\
        [server.one]\ncommand = [\"one\"]\n[server.one.instances]\nmax = 3\n\
        [server.two]\ncommand = [\"two\"]\n";

    #[test]
    fn all_of_a_good_configuration_is_kept() {
        assert_eq!(salvaged(GOOD), (vec!["a".into()], vec!["one".into(), "two".into()], vec![]));
    }

    #[test]
    fn what_cannot_be_parsed_costs_itself_only() {
        let (listeners, servers, problems) = salvaged(&GOOD.replace("[\"two\"]", "[\"two"));
        assert_eq!((listeners.len(), servers), (1, vec!["one".to_owned()]));
        assert!(problems.iter().any(|problem| problem.contains("toml:10:")), "{problems:?}");
        let (listeners, servers, _) = salvaged(&GOOD.replace("[server.two]", "[server.two"));
        assert_eq!((listeners.len(), servers), (1, vec!["one".to_owned()]));
        let (listeners, servers, _) = salvaged(&GOOD.replace("version = 1", "version = "));
        assert_eq!((listeners.len(), servers.len()), (1, 2));
    }

    #[test]
    fn a_byte_that_is_no_text_costs_its_section_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("toolgate.toml");
        std::fs::write(&path, [GOOD.as_bytes(), b"[key.\xff]\n"].concat()).unwrap();
        let (parts, problems) = salvage(&path);
        assert_eq!((parts.listeners.len(), parts.servers.len(), problems.len()), (1, 2, 1));
    }

    #[test]
    fn a_server_never_runs_with_less_confinement_than_was_written() {
        for broken in ["max = ", "max = \"three\"", "memroy = \"1G\""] {
            let (_, servers, problems) = salvaged(&GOOD.replace("max = 3", broken));
            assert_eq!(servers, ["two"], "{broken}");
            assert!(!problems.is_empty());
        }
    }

    #[test]
    fn a_listener_needs_its_addresses_only() {
        let (listeners, ..) = salvaged(&GOOD.replace("auth = \"key\"", "auht = \"key\"\nbounds.headers = \"x\""));
        assert_eq!(listeners, ["a"]);
        let (listeners, servers, _) = salvaged(&GOOD.replace("127.0.0.1:1", "localhost"));
        assert_eq!((listeners.len(), servers.len()), (0, 2));
    }

    #[test]
    fn places_are_those_of_the_file() {
        let (_, _, problems) = salvaged(&GOOD.replace("max = 3", "mx = 3").replace("[\"two\"]", "["));
        assert!(problems.iter().any(|problem| problem.contains("toml:8:1: there is no key `mx`")), "{problems:?}");
    }

    #[test]
    fn a_machine_without_the_file_has_nothing() {
        let (parts, problems) = salvage(Path::new("/nowhere/toolgate.toml"));
        assert!(parts.listeners.is_empty() && parts.servers.is_empty());
        assert_eq!(problems.len(), 1);
    }

    #[test]
    fn a_pipe_among_the_files_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("conf.d")).unwrap();
        std::fs::write(folder.path().join("toolgate.toml"), GOOD).unwrap();
        let pipe = folder.path().join("conf.d/pipe.toml");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let (parts, problems) = salvage(&folder.path().join("toolgate.toml"));
        assert_eq!((parts.servers.len(), problems.len()), (2, 1));
    }
}
