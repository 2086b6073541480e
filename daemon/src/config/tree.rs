//! The configuration as written: a tree whose every key and value knows its place.
//!
//! Made from TOML, merged over files, overridden from the environment, then only read.
//! Order of entries is the order of the files.

use toml::de::{DeTable, DeValue};

use super::source::Place;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// A value of TOML; kinds that no key uses are kept by name only.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Integer(i128),
    Bool(bool),
    /// A number with a fraction or an exponent, as it is written.
    Decimal(String),
    List(Vec<Node>),
    Table(Table),
    /// A date or a number beyond all bounds, with the words to call it.
    Other(&'static str),
}

/// A table, in the order written.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    pub(super) entries: Vec<Entry>,
}

/// One key with its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Place,
    pub(super) node: Node,
}

impl Value {
    /// What it is, for a sentence.
    pub(super) fn describe(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "a number",
            Self::Bool(true) => "true",
            Self::Bool(false) => "false",
            Self::Decimal(_) => "a number with a fraction",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(name) => name,
        }
    }
}

impl Node {
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The elements of a list; a single value stands for a list of one.
    pub(super) fn elements(&self) -> &[Node] {
        match &self.value {
            Value::List(nodes) => nodes,
            _ => std::slice::from_ref(self),
        }
    }
}

impl Table {
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// Follows a dotted path of keys that themselves contain no dot.
    pub(super) fn at(&self, path: &str) -> Option<&Node> {
        match path.split_once('.') {
            None => self.get(path),
            Some((key, rest)) => self.get(key)?.table()?.at(rest),
        }
    }
}

/// The tree of one parsed file.
pub(super) fn from_toml(table: &DeTable<'_>, source: usize) -> Table {
    let entries = table.iter().map(|(key, value)| {
        let span = key.span();
        Entry {
            key: key.get_ref().to_string(),
            key_place: Place { source, start: span.start, end: span.end },
            node: node(value.get_ref(), value.span(), source),
        }
    });
    Table { entries: entries.collect() }
}

/// One value; recursion is bounded by the parser's own depth limit.
pub(super) fn node(value: &DeValue<'_>, span: std::ops::Range<usize>, source: usize) -> Node {
    let value = match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Other("a number beyond all bounds"),
        },
        DeValue::Float(number) => Value::Decimal(number.as_str().to_owned()),
        DeValue::Boolean(truth) => Value::Bool(*truth),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Array(items) => {
            Value::List(items.iter().map(|item| node(item.get_ref(), item.span(), source)).collect())
        }
        DeValue::Table(table) => Value::Table(from_toml(table, source)),
    };
    Node { place: Place { source, start: span.start, end: span.end }, value }
}
