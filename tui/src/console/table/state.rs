//! What the operator did to a table.

use std::collections::BTreeSet;

use super::super::filter::Filter;
use super::super::object::Object;
use super::{Listing, Row};

/// Selection, marks, order and filter of a table.
#[derive(Debug, Clone, Default)]
pub(crate) struct TableState {
    /// The row that keys act on.
    pub(crate) selected: Option<Object>,
    /// Where it was shown, for when it is gone.
    place: usize,
    /// The first line that is seen.
    pub(crate) offset: usize,
    pub(crate) marked: BTreeSet<Object>,
    /// A column, and whether the largest come first; absent: as the screen gives them.
    pub(crate) sort: Option<(usize, bool)>,
    pub(crate) filter: Filter,
    /// Rows that belong to others are not shown.
    pub(crate) folded: bool,
    /// While the first row is selected, whatever becomes the first row is.
    pub(crate) follows: bool,
    /// The operator has moved in it; until then the first row is selected, whichever that is.
    moved: bool,
    /// Lines of rows that were seen last, for moving by pages.
    pub(crate) page: usize,
}

impl TableState {
    /// A table whose first row is the newest.
    pub(crate) fn following() -> Self {
        Self { follows: true, ..Self::default() }
    }

    /// A table in this order.
    pub(crate) fn sorted(column: usize, descending: bool) -> Self {
        Self { sort: Some((column, descending)), ..Self::default() }
    }

    /// Finds the selected row again among those that are shown; where it is gone, what has its place is selected.
    pub(crate) fn settle(&mut self, rows: &[&Row]) {
        if !self.moved || (self.follows && self.place == 0) {
            self.place = 0;
            self.selected = None;
        }
        let found = self.selected.as_ref().and_then(|object| rows.iter().position(|row| row.object == *object));
        self.place = found.unwrap_or_else(|| self.place.min(rows.len().saturating_sub(1)));
        if found.is_none() {
            self.selected = rows.get(self.place).map(|row| row.object.clone());
        }
        self.marked.retain(|object| rows.iter().any(|row| row.object == *object));
    }

    /// The first row is selected.
    pub(crate) fn at_top(&self) -> bool {
        self.place == 0
    }

    /// The line of the selected row, since the last [`TableState::settle`].
    pub(crate) fn place(&self) -> usize {
        self.place
    }

    /// Moves the selection by lines.
    pub(crate) fn step(&mut self, rows: &[&Row], by: isize) {
        let last = rows.len().saturating_sub(1);
        self.go(rows, self.place.saturating_add_signed(by).min(last));
    }

    /// Selects a line.
    pub(crate) fn go(&mut self, rows: &[&Row], place: usize) {
        self.moved = true;
        self.place = place.min(rows.len().saturating_sub(1));
        self.selected = rows.get(self.place).map(|row| row.object.clone());
    }

    /// Keeps the selected line in sight of so many.
    pub(crate) fn scroll(&mut self, rows: usize, height: usize) {
        self.page = height.max(1);
        let most = rows.saturating_sub(height);
        let least = (self.place + 1).saturating_sub(height);
        self.offset = self.offset.min(self.place).max(least).min(most);
    }

    /// Marks the selected row, or takes its mark away, and goes on to the next.
    pub(crate) fn mark(&mut self, rows: &[&Row]) {
        if let Some(object) = self.selected.clone() {
            if !self.marked.remove(&object) {
                self.marked.insert(object);
            }
            self.step(rows, 1);
        }
    }

    /// Sorts by the next column; after the last one the order is the screen's again.
    pub(crate) fn sort_next(&mut self, listing: &Listing) {
        let next = self.sort.map_or(0, |(column, _)| column + 1);
        let right = |column: usize| listing.columns.get(column).map(|column| column.right);
        self.sort = right(next).map(|descending| (next, descending));
    }

    /// Turns the order round.
    pub(crate) fn sort_reverse(&mut self) {
        if let Some((_, descending)) = &mut self.sort {
            *descending = !*descending;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cell, Column};
    use super::*;

    const COLUMNS: &[Column] = &[Column::text("NAME", 8, 0), Column::number("CALLS", 6, 0)];

    fn listing(rows: &[(&str, u64)]) -> Listing {
        let row = |(name, calls): &(&str, u64)| {
            Row::new(Object::Server((*name).into()), vec![Cell::new((*name).to_owned()), Cell::count(*calls)])
        };
        Listing { columns: COLUMNS, rows: rows.iter().map(row).collect(), total: None, empty: "" }
    }

    fn names(listing: &Listing, state: &TableState) -> Vec<String> {
        listing.shown(state).iter().map(|row| row.object.id()).collect()
    }

    #[test]
    fn the_selection_follows_its_row_as_rows_move() {
        let mut state = TableState::sorted(1, true);
        let before = listing(&[("a", 3), ("b", 2), ("c", 1)]);
        state.settle(&before.shown(&state));
        assert_eq!(state.selected, Some(Object::Server("a".into())));
        state.step(&before.shown(&state), 1);
        assert_eq!(state.selected, Some(Object::Server("b".into())));
        let after = listing(&[("a", 3), ("b", 9), ("c", 1)]);
        state.settle(&after.shown(&state));
        assert_eq!((state.selected.clone(), state.place()), (Some(Object::Server("b".into())), 0));
        let gone = listing(&[("a", 3), ("c", 1)]);
        state.settle(&gone.shown(&state));
        assert_eq!(state.selected, Some(Object::Server("a".into())));
    }

    #[test]
    fn numbers_are_sorted_as_numbers_and_the_order_turns() {
        let listing = listing(&[("a", 900), ("b", 1_200), ("c", 20)]);
        let mut state = TableState::default();
        state.sort_next(&listing);
        assert_eq!(names(&listing, &state), ["a", "b", "c"]);
        state.sort_next(&listing);
        assert_eq!(names(&listing, &state), ["b", "a", "c"]);
        state.sort_reverse();
        assert_eq!(names(&listing, &state), ["c", "a", "b"]);
        state.sort_next(&listing);
        assert_eq!(state.sort, None);
    }

    #[test]
    fn what_belongs_to_a_row_stays_with_it() {
        let mut all = listing(&[("b", 1), ("b1", 50), ("a", 2)]);
        all.rows[1].depth = 1;
        let mut state = TableState::sorted(0, false);
        assert_eq!(names(&all, &state), ["a", "b", "b1"]);
        state.filter = Filter::parse("b1");
        assert_eq!(names(&all, &state), ["b", "b1"]);
        state.folded = true;
        assert_eq!(names(&all, &state), ["b"]);
    }

    #[test]
    fn the_selected_line_stays_in_sight() {
        let rows: Vec<_> = (0..50).map(|number| (format!("s{number:02}"), 0)).collect();
        let rows: Vec<_> = rows.iter().map(|(name, calls)| (name.as_str(), *calls)).collect();
        let listing = listing(&rows);
        let mut state = TableState::default();
        let shown = listing.shown(&state);
        state.settle(&shown);
        state.step(&shown, 30);
        state.scroll(50, 10);
        assert_eq!(state.offset, 21);
        state.step(&shown, -25);
        state.scroll(50, 10);
        assert_eq!(state.offset, 5);
        state.scroll(50, 100);
        assert_eq!(state.offset, 0);
    }
}
