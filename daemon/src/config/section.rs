//! Typed reading of one table: the value as written, else the default of the table of keys.
//!
//! A value that does not parse was reported by the shape check, and reads as its default here, so
//! that the builder can go on and find the other problems.

use std::time::Duration;

use toml::de::DeValue;

use super::keys;
use super::kind::Kind;
use super::tree::{self, Node, Table, Value};
use super::units;

/// A table together with its pattern in the table of keys.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    table: Option<&'a Table>,
    pattern: &'static str,
}

impl<'a> Section<'a> {
    /// The table may be absent: then everything is default.
    pub(super) fn new(table: Option<&'a Table>, pattern: &'static str) -> Self {
        Self { table, pattern }
    }

    /// The value as written, whether valid or not.
    pub(super) fn written(&self, path: &str) -> Option<&'a Node> {
        self.table?.at(path)
    }

    /// A key of this very table, with its value.
    pub(super) fn entry(&self, key: &str) -> Option<&'a tree::Entry> {
        self.table?.entry(key)
    }

    /// The value as written, where it is valid.
    pub(super) fn valid(&self, path: &str) -> Option<&'a Node> {
        self.written(path).filter(|node| self.kind(path).check(node).is_ok())
    }

    /// Whether the key is absent, and no key that was written is probably meant to be it.
    pub(super) fn lacks(&self, key: &str) -> bool {
        let names = keys::names(self.pattern);
        let meant = |entry: &tree::Entry| {
            keys::step(self.pattern, &entry.key).is_none()
                && super::nearest(&entry.key, names.iter().copied()) == Some(key)
        };
        self.table.is_none_or(|table| table.get(key).is_none() && !table.entries.iter().any(meant))
    }

    /// The entries of a table below this one.
    pub(super) fn entries(&self, path: &str) -> &'a [tree::Entry] {
        self.written(path).and_then(Node::table).map_or(&[], |table| &table.entries)
    }

    pub(super) fn bool(&self, path: &str) -> bool {
        self.read(path, |node| match node.value {
            Value::Bool(truth) => Some(truth),
            _ => None,
        })
        .unwrap_or_default()
    }

    pub(super) fn count<T: TryFrom<u64> + Default>(&self, path: &str) -> T {
        self.maybe_count(path).and_then(|number| T::try_from(number).ok()).unwrap_or_default()
    }

    pub(super) fn maybe_count(&self, path: &str) -> Option<u64> {
        self.read(path, |node| match node.value {
            Value::Integer(number) => u64::try_from(number).ok(),
            _ => None,
        })
    }

    pub(super) fn duration(&self, path: &str) -> Duration {
        self.maybe_duration(path).unwrap_or_default()
    }

    pub(super) fn maybe_duration(&self, path: &str) -> Option<Duration> {
        self.read(path, |node| units::duration(node.text()?).ok())
    }

    pub(super) fn size<T: TryFrom<u64> + Default>(&self, path: &str) -> T {
        self.maybe_size(path).and_then(|bytes| T::try_from(bytes).ok()).unwrap_or_default()
    }

    pub(super) fn maybe_size(&self, path: &str) -> Option<u64> {
        self.read(path, |node| match &node.value {
            Value::Integer(number) => u64::try_from(*number).ok(),
            Value::Text(text) => units::size(text).ok(),
            _ => None,
        })
    }

    pub(super) fn maybe_percent(&self, path: &str) -> Option<u64> {
        self.read(path, |node| units::percent(node.text()?).ok())
    }

    pub(super) fn maybe_share(&self, path: &str) -> Option<u32> {
        self.read(path, |node| units::share(node.text()?).ok())
    }

    pub(super) fn text(&self, path: &str) -> Option<String> {
        self.read(path, |node| node.text().map(str::to_owned))
    }

    /// The elements of a list that are valid and that `parse` takes.
    pub(super) fn list<T>(&self, path: &str, parse: impl Fn(&str) -> Option<T>) -> Vec<T> {
        let kind = self.kind(path);
        let valid = |node: &Node| match kind {
            Kind::List(element) => element.check(node).is_ok(),
            _ => true,
        };
        let read = |node: &Node| {
            node.elements().iter().filter(|item| valid(item)).filter_map(|item| parse(item.text()?)).collect()
        };
        match self.written(path) {
            Some(node) => read(node),
            None => self.default(path).map_or_else(Vec::new, |node| read(&node)),
        }
    }

    pub(super) fn texts(&self, path: &str) -> Vec<String> {
        self.list(path, |text| Some(text.to_owned()))
    }

    fn read<T>(&self, path: &str, convert: impl Fn(&Node) -> Option<T>) -> Option<T> {
        self.valid(path).and_then(&convert).or_else(|| self.default(path).as_ref().and_then(&convert))
    }

    fn kind(&self, path: &str) -> Kind {
        let path = keys::join(self.pattern, path);
        keys::find(&path).unwrap_or_else(|| unreachable!("the builder asks only for keys of the table: {path}")).kind
    }

    fn default(&self, path: &str) -> Option<Node> {
        default(&keys::join(self.pattern, path))
    }
}

/// The default of a key, as a value.
pub(super) fn default(path: &str) -> Option<Node> {
    let text = keys::find(path)?.default?;
    let value = DeValue::parse(text).ok()?;
    Some(tree::node(value.get_ref(), value.span(), 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_valid_value_of_its_key() {
        for key in keys::KEYS.iter().filter(|key| key.default.is_some()) {
            let node = default(key.path).unwrap_or_else(|| panic!("{}: the default is not TOML", key.path));
            let kind = match key.kind {
                Kind::List(element) => *element,
                kind => kind,
            };
            let nodes = if matches!(key.kind, Kind::List(_)) { node.elements().to_vec() } else { vec![node] };
            for node in nodes {
                assert_eq!(kind.check(&node), Ok(()), "{}", key.path);
            }
        }
    }
}
