//! Tables: what every screen but the first one is made of.
//!
//! A screen says what its columns and rows are. A [`TableState`] keeps what the operator did to it: the selection,
//! which follows a row and not a line, marks, the order and the filter.

mod paint;
mod state;

use std::borrow::Cow;
use std::cmp::Ordering;

use super::object::Object;
use super::theme::Role;

pub(crate) use paint::paint;
pub(crate) use state::TableState;

/// A column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    /// Its head.
    pub(crate) name: &'static str,
    /// Cells that it takes.
    pub(crate) width: u16,
    /// Numbers end at the right.
    pub(crate) right: bool,
    /// Columns with the highest number fall away first where there is no room; those with 0 never do.
    pub(crate) rank: u8,
    /// It gets a share of the room that is left.
    pub(crate) grows: bool,
    /// What the daemon sorts by for it; empty: nothing.
    pub(crate) wire: &'static str,
}

impl Column {
    /// A column of text.
    pub(crate) const fn text(name: &'static str, width: u16, rank: u8) -> Self {
        Self { name, width, right: false, rank, grows: false, wire: "" }
    }

    /// A column of numbers.
    pub(crate) const fn number(name: &'static str, width: u16, rank: u8) -> Self {
        Self { right: true, ..Self::text(name, width, rank) }
    }

    /// The daemon sorts by this where it has more rows than it tells.
    pub(crate) const fn by(self, wire: &'static str) -> Self {
        Self { wire, ..self }
    }

    /// A column of text that takes the room that is left.
    pub(crate) const fn wide(name: &'static str, width: u16, rank: u8) -> Self {
        Self { grows: true, ..Self::text(name, width, rank) }
    }
}

/// By what a cell is sorted.
#[derive(Debug, Clone)]
pub(crate) enum Key {
    /// By its text.
    Text,
    /// By a number.
    Number(f64),
}

/// What stands in a column of a row.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) text: Cow<'static, str>,
    pub(crate) role: Role,
    pub(crate) key: Key,
}

impl Cell {
    /// A text.
    pub(crate) fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self { text: text.into(), role: Role::Text, key: Key::Text }
    }

    /// A number that is shown as `text`.
    pub(crate) fn number(text: impl Into<Cow<'static, str>>, number: f64) -> Self {
        Self { key: Key::Number(number), ..Self::new(text) }
    }

    /// A count; nothing much where it is 0.
    pub(crate) fn count(number: u64) -> Self {
        let cell = Self::number(super::units::count(number), super::units::to_float(number));
        if number == 0 { cell.role(Role::Dim) } else { cell }
    }

    /// A rate a second.
    pub(crate) fn rate(number: f64) -> Self {
        let cell = Self::number(super::units::rate(number), number);
        if number > 0.0 { cell } else { cell.role(Role::Dim) }
    }

    /// Microseconds.
    pub(crate) fn span_us(us: u64) -> Self {
        let cell = Self::number(super::units::span_us(us), super::units::to_float(us));
        if us == 0 { cell.role(Role::Dim) } else { cell }
    }

    /// Bytes.
    pub(crate) fn bytes(number: u64) -> Self {
        let cell = Self::number(super::units::bytes(number), super::units::to_float(number));
        if number == 0 { cell.role(Role::Dim) } else { cell }
    }

    /// Nothing to say.
    pub(crate) fn none() -> Self {
        Self::number("-", -1.0).role(Role::Dim)
    }

    /// The same with another look.
    pub(crate) fn role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (&self.key, &other.key) {
            (Key::Number(a), Key::Number(b)) => a.total_cmp(b),
            (Key::Number(_), Key::Text) => Ordering::Less,
            (Key::Text, Key::Number(_)) => Ordering::Greater,
            (Key::Text, Key::Text) => self.text.cmp(&other.text),
        }
    }
}

/// A row.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// What it stands for: its identity.
    pub(crate) object: Object,
    pub(crate) cells: Vec<Cell>,
    /// 1 for what belongs to the row above it.
    pub(crate) depth: u8,
    /// What `field=value` in a filter asks for.
    pub(crate) fields: Vec<(&'static str, String)>,
}

impl Row {
    pub(crate) fn new(object: Object, cells: Vec<Cell>) -> Self {
        Self { object, cells, depth: 0, fields: Vec::new() }
    }

    /// A row that belongs to the one above it.
    pub(crate) fn below(self) -> Self {
        Self { depth: 1, ..self }
    }

    /// A value to filter by.
    pub(crate) fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }
}

/// What a screen lists.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    pub(crate) columns: &'static [Column],
    pub(crate) rows: Vec<Row>,
    /// How many there are in all, where the daemon sent only a part.
    pub(crate) total: Option<u64>,
    /// What to read where there is no row, as sentences that say what to do.
    pub(crate) empty: &'static str,
}

impl Listing {
    /// The rows that are shown, in order.
    pub(crate) fn shown(&self, state: &TableState) -> Vec<&Row> {
        let mut groups = groups(&self.rows);
        groups.retain(|group| group.iter().any(|row| state.filter.matches(row)));
        if let Some((column, descending)) = state.sort {
            let cell = |group: &&[Row]| group[0].cells.get(column).cloned();
            groups.sort_by(|a, b| {
                let order = match (cell(a), cell(b)) {
                    (Some(a), Some(b)) => a.compare(&b),
                    _ => Ordering::Equal,
                };
                if descending { order.reverse() } else { order }
            });
        }
        let open = |row: &&Row| row.depth == 0 || !state.folded;
        groups.into_iter().flatten().filter(open).collect()
    }
}

/// Rows with those that belong to them.
fn groups(rows: &[Row]) -> Vec<&[Row]> {
    rows.chunk_by(|_, next| next.depth > 0).collect()
}
