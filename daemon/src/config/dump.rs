//! Effective values with their origin, for `check --dump` and for those who ask the running daemon.
//!
//! One line per key: `path = value`, and behind `#` the file and line, the variable, the preset, or `default`.
//! Secrets are shown as references only.

use std::fmt::Write as _;

use super::keys::{self, Effect, Key};
use super::kind::Kind;
use super::secret::is_reference;
use super::section;
use super::shape;
use super::source::{Medium, Sources};
use super::tree::{Node, Table, Value};

/// One effective value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// Dotted.
    pub path: String,
    /// As a file would have it; a secret is `"***"`, or where it is read from.
    pub value: String,
    /// `FILE:LINE`, a variable, `preset NAME`, or `default`.
    pub origin: String,
    /// What holds where nothing is written.
    pub default: Option<&'static str>,
    /// When a changed value takes effect.
    pub effect: Effect,
    /// One line for the operator.
    pub doc: &'static str,
}

/// All effective values, in the order of the manual.
pub(super) fn effective(tree: &Table, sources: &Sources) -> Vec<Effective> {
    let mut lines = Vec::new();
    for key in keys::KEYS.iter().filter(|key| !key.path.contains("[]")) {
        expand(key, key.path, tree, "", sources, &mut lines);
    }
    lines
}

/// The same as a text.
pub(super) fn dump(tree: &Table, sources: &Sources) -> String {
    let lines = effective(tree, sources);
    let width =
        lines.iter().map(|line| line.path.len() + line.value.len() + 3).filter(|width| *width < 80).max().unwrap_or(0);
    lines.iter().fold(String::new(), |mut text, Effective { path, value, origin, .. }| {
        let assignment = format!("{path} = {value}");
        let _ = writeln!(text, "{assignment:width$}  # {origin}");
        text
    })
}

/// Follows a pattern through the tree: each `*` is every name written there.
fn expand(key: &Key, pattern: &str, table: &Table, path: &str, sources: &Sources, lines: &mut Vec<Effective>) {
    let (segment, rest) = pattern.split_once('.').map_or((pattern, None), |(segment, rest)| (segment, Some(rest)));
    if segment == "*" {
        for entry in &table.entries {
            let path = join(path, &entry.key);
            match (rest, entry.node.table()) {
                (Some(rest), Some(inner)) => expand(key, rest, inner, &path, sources, lines),
                (None, _) => lines.push(line(key, path, Some(&entry.node), sources)),
                (Some(_), None) => {}
            }
        }
        return;
    }
    let path = join(path, segment);
    let node = table.get(segment);
    if let Some(rest) = rest {
        let nothing = Table::default();
        let table = node.and_then(Node::table).unwrap_or(&nothing);
        expand(key, rest, table, &path, sources, lines);
    } else if node.is_some() || key.default.is_some() {
        lines.push(line(key, path, node, sources));
    }
}

fn join(path: &str, name: &str) -> String {
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let name = if plain { name.to_owned() } else { quoted(name) };
    keys::join(path, &name)
}

fn line(key: &Key, path: String, node: Option<&Node>, sources: &Sources) -> Effective {
    let Some(node) = node else {
        let value = section::default(key.path).map_or_else(String::new, |node| toml(&node));
        return of(key, path, value, "default".into());
    };
    let source = sources.of(node.place);
    let mut origin = source.path.display().to_string();
    if source.medium == Medium::File {
        let _ = write!(origin, ":{}", sources.position(node.place).0);
    }
    let value = match (key.kind, node.text()) {
        (Kind::Secret, Some(text)) if !is_reference(text) => "\"***\"".into(),
        (kind, _) if shape::may_be_secret(&kind, node) => "\"***\"".into(),
        _ => toml(node),
    };
    of(key, path, value, origin)
}

fn of(key: &Key, path: String, value: String, origin: String) -> Effective {
    Effective { path, value, origin, default: key.default, effect: key.effect, doc: key.doc }
}

fn toml(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => quoted(text),
        Value::Integer(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Decimal(number) => number.clone(),
        Value::Other(name) => quoted(name),
        Value::List(nodes) => format!("[{}]", nodes.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Table(table) => {
            let members = table.entries.iter().map(|entry| format!("{} = {}", join("", &entry.key), toml(&entry.node)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
    }
}

/// A text as TOML writes it.
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
