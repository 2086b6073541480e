//! The check of the tree against the table of keys: names, kinds, and values one by one.
//!
//! Runs before anything is built; what several keys together mean is checked by `build`.

use super::keys::{self, Effect, Key, Step};
use super::kind::Kind;
use super::problem::{Problem, Report};
use super::tree::{Entry, Node, Table, Value};
use super::units;

/// Checks the whole tree.
pub(super) fn check(tree: &Table, report: &mut Report) {
    table(tree, "", report);
}

fn table(table: &Table, pattern: &str, report: &mut Report) {
    for entry in &table.entries {
        match keys::step(pattern, &entry.key) {
            None => report.push(unknown(pattern, entry)),
            Some(Step::Leaf(key)) => leaf(key, entry, report),
            Some(Step::Table(path)) => thing(&path, entry, report),
        }
    }
}

/// Checks one named thing, of a section's pattern such as `server.*`.
pub(super) fn thing(pattern: &str, entry: &Entry, report: &mut Report) {
    name(pattern, entry, report);
    inner(&entry.node, pattern, report);
}

fn inner(node: &Node, pattern: &str, report: &mut Report) {
    if let Some(inner) = node.table() {
        return table(inner, pattern, report);
    }
    let names = keys::names(pattern).join(", ");
    report.push(Problem::error(
        "wrong-type",
        node.place,
        format!("this is {}, and must be a table", node.value.describe()),
        if names.is_empty() {
            "write a table of names".to_owned()
        } else {
            format!("write a table with some of: {names}")
        },
    ));
}

fn leaf(key: &Key, entry: &Entry, report: &mut Report) {
    let before = report.problems.len();
    match key.kind {
        Kind::List(element) => list(&entry.node, key, element, report),
        Kind::Tables(pattern) => tables(&entry.node, pattern, report),
        kind => scalar(&entry.node, &kind, report),
    }
    if key.effect == Effect::Later && report.problems.len() == before {
        report.push(Problem::warning(
            "no-effect",
            entry.key_place,
            format!("`{}` has no effect in this version", entry.key),
            "it is checked, so it may stay; do not rely on it yet",
        ));
    }
}

fn scalar(node: &Node, kind: &Kind, report: &mut Report) {
    if let Err(fault) = kind.check(node) {
        // A password in a URL, or a key in place of its hash, must not reach a log with its line.
        let secret = matches!(kind, Kind::Hash | Kind::Secret)
            || (matches!(kind, Kind::Url | Kind::Endpoint) && node.text().is_some_and(|url| url.contains('@')));
        if secret && node.text().is_some() {
            report.sources.mask(node.place);
        }
        let code = if matches!(node.value, Value::Text(_)) { "invalid-value" } else { "wrong-type" };
        report.push(Problem::error(code, node.place, fault.message, fault.help));
    }
}

fn list(node: &Node, key: &Key, element: &Kind, report: &mut Report) {
    for item in node.elements() {
        match (element, item.table()) {
            (Kind::Endpoint, Some(_)) => inner(item, &format!("{}[]", key.path), report),
            _ => scalar(item, element, report),
        }
    }
}

fn tables(node: &Node, pattern: &str, report: &mut Report) {
    for item in node.elements() {
        inner(item, pattern, report);
    }
}

fn name(path: &str, entry: &Entry, report: &mut Report) {
    let Some(section) = path.strip_suffix(".*").filter(|section| !section.contains('.')) else {
        return;
    };
    if section == "key" {
        if !toolgate_protocol::key::is_id(&entry.key) {
            report.push(Problem::error(
                "invalid-name",
                entry.key_place,
                format!("{:?} cannot be the id of a key", entry.key),
                "an id is 4 to 32 small letters and digits: the part between tg_ and the next _ of the key",
            ));
        }
        return;
    }
    if units::is_name(&entry.key) {
        return;
    }
    let suggestion = super::valid_name(&entry.key);
    report.push(Problem::error(
        "invalid-name",
        entry.key_place,
        format!("{:?} cannot be the name of a {section}", entry.key),
        format!("a name is a small letter, then up to 23 small letters, digits and dashes; \"{suggestion}\" would do"),
    ));
}

fn unknown(pattern: &str, entry: &Entry) -> Problem {
    let place =
        if pattern.is_empty() { "at the top".to_owned() } else { format!("in `{}`", pattern.replace(".*", ".NAME")) };
    let names = keys::names(pattern);
    let help = match super::nearest(&entry.key, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => match elsewhere(&entry.key) {
            Some(path) => format!("the key `{}` exists; move it there", path.replace(".*", ".NAME")),
            None => format!("known here: {}", names.join(", ")),
        },
    };
    Problem::error("unknown-key", entry.key_place, format!("there is no key `{}` {place}", entry.key), help)
}

/// A key of this name in another section.
fn elsewhere(name: &str) -> Option<&'static str> {
    keys::KEYS.iter().map(|key| key.path).find(|path| path.rsplit('.').next() == Some(name))
}
