//! The check of the tree against the table of keys: names, kinds, and values one by one.
//!
//! Runs before anything is built; what several keys together mean is checked by `build`.

use super::keys::{self, Effect, Key, Step};
use super::kind::Kind;
use super::problem::{Problem, Report};
use super::secret::looks_secret;
use super::tree::{Entry, Node, Table, Value};
use super::units;

/// Checks the whole tree.
pub(super) fn check(tree: &Table, report: &mut Report) {
    table(tree, "", report);
}

fn table(table: &Table, pattern: &str, report: &mut Report) {
    for entry in &table.entries {
        match keys::step(pattern, &entry.key) {
            None => {
                conceal(pattern, entry, report);
                report.push(unknown(pattern, entry));
            }
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
        if may_be_secret(kind, node) {
            report.sources.mask(node.place);
        }
        let code = if matches!(node.value, Value::Text(_)) { "invalid-value" } else { "wrong-type" };
        report.push(Problem::error(code, node.place, fault.message, fault.help));
    }
}

/// Whether a value that its kind does not take may be a secret, which must not reach a log with its line: a password in
/// a URL, or a key in place of its hash.
pub(super) fn may_be_secret(kind: &Kind, node: &Node) -> bool {
    match (kind, node.text()) {
        (Kind::Hash | Kind::Secret, Some(_)) => kind.check(node).is_err(),
        (Kind::Url | Kind::Endpoint, Some(url)) => url.contains('@') && kind.check(node).is_err(),
        (Kind::List(element), _) => node.elements().iter().any(|item| may_be_secret(element, item)),
        _ => false,
    }
}

/// Masks values of a key that does not exist, where they are probably secrets: it is misspelt, or in the wrong place.
fn conceal(pattern: &str, entry: &Entry, report: &mut Report) {
    let meant = super::nearest(&entry.key, keys::names(pattern).iter().copied());
    let path = meant.map(|meant| keys::join(pattern, meant));
    let takes_secrets = path.is_some_and(|path| {
        let of_any_name = keys::join(&path, "*");
        let known = [path.as_str(), of_any_name.as_str()].into_iter().filter_map(keys::find);
        known.into_iter().any(|key| matches!(key.kind, Kind::Secret | Kind::Hash))
    });
    conceal_texts(&entry.key, &entry.node, takes_secrets, report);
}

fn conceal_texts(name: &str, node: &Node, all: bool, report: &mut Report) {
    match &node.value {
        Value::Table(table) => {
            table.entries.iter().for_each(|entry| conceal_texts(&entry.key, &entry.node, all, report));
        }
        Value::List(items) => items.iter().for_each(|item| conceal_texts(name, item, all, report)),
        Value::Text(text) if all || looks_secret(name, text) => report.sources.mask(node.place),
        _ => {}
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
