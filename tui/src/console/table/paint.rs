//! Draws a table: heads, rows, and a bar that says which part is seen.

use ratatui::layout::Rect;

use super::super::canvas::{Canvas, cut, split_top, width, wrapped};
use super::super::theme::Role;
use super::{Cell, Column, Listing, Row, TableState};

/// Columns for the mark before each row.
const MARGIN: u16 = 2;

/// Draws the rows of a listing that its state shows.
pub(crate) fn paint(canvas: &mut Canvas<'_>, area: Rect, listing: &Listing, state: &mut TableState) {
    let (head, body) = split_top(area, 1);
    let rows = listing.shown(state);
    state.settle(&rows);
    state.scroll(rows.len(), usize::from(body.height));
    let places = places(listing.columns, area.width);
    heads(canvas, head, listing, state, &places);
    if rows.is_empty() {
        return nothing(canvas, body, listing, state);
    }
    let seen = rows.iter().enumerate().skip(state.offset).take(usize::from(body.height));
    for (y, (index, row)) in (0_u16..).zip(seen) {
        let line = Rect { y: body.y + y, height: 1, ..body };
        let last = rows.get(index + 1).is_none_or(|next| next.depth == 0);
        draw_row(canvas, line, row, &places, last, state.marked.contains(&row.object));
        if index == state.place() {
            canvas.paint(line, canvas.theme.style(Role::Selected));
        }
    }
    scrollbar(canvas, body, rows.len(), state);
}

/// A column's place: its index, its first cell and its width.
type Place = (usize, u16, u16);

/// Which columns are shown, and where. What falls away depends on the width alone, so that nothing jumps as rows change.
fn places(columns: &[Column], width: u16) -> Vec<Place> {
    let room = width.saturating_sub(MARGIN + 1);
    let mut kept: Vec<usize> = (0..columns.len()).collect();
    let taken = |kept: &[usize]| kept.iter().map(|&index| columns[index].width + 1).sum::<u16>().saturating_sub(1);
    while taken(&kept) > room {
        let worst = kept.iter().copied().max_by_key(|&index| (columns[index].rank, index));
        match worst {
            Some(index) if columns[index].rank > 0 => kept.retain(|&other| other != index),
            _ => break,
        }
    }
    let spare = room.saturating_sub(taken(&kept));
    let growing = u16::try_from(kept.iter().filter(|&&index| columns[index].grows).count()).unwrap_or(1).max(1);
    let mut x = MARGIN;
    let mut places = Vec::with_capacity(kept.len());
    for index in kept {
        let wide = columns[index].width + if columns[index].grows { spare / growing } else { 0 };
        places.push((index, x, wide));
        x = x.saturating_add(wide + 1);
    }
    places
}

fn heads(canvas: &mut Canvas<'_>, area: Rect, listing: &Listing, state: &TableState, places: &[Place]) {
    for &(index, x, wide) in places {
        let column = &listing.columns[index];
        let arrow = match state.sort {
            Some((sorted, true)) if sorted == index => canvas.theme.glyphs.descending,
            Some((sorted, false)) if sorted == index => canvas.theme.glyphs.ascending,
            _ => "",
        };
        let name = format!("{}{arrow}", column.name);
        let field = Rect { x: area.x.saturating_add(x), width: wide, ..area }.intersection(area);
        if column.right {
            canvas.right(field, 0, &name, Role::Title);
        } else {
            canvas.text(field, 0, 0, &name, Role::Title);
        }
    }
}

fn draw_row(canvas: &mut Canvas<'_>, line: Rect, row: &Row, places: &[Place], last: bool, marked: bool) {
    let glyphs = canvas.theme.glyphs;
    if marked {
        canvas.text(line, 0, 0, glyphs.mark, Role::Key);
    }
    for (order, &(index, x, wide)) in places.iter().enumerate() {
        let Some(cell) = row.cells.get(index) else { continue };
        let mut field = Rect { x: line.x.saturating_add(x), width: wide, ..line }.intersection(line);
        if order == 0 && row.depth > 0 {
            let branch = if last { glyphs.last_branch } else { glyphs.branch };
            let taken = canvas.text(field, 0, 0, branch, Role::Border);
            field = Rect { x: field.x + taken, width: field.width - taken, ..field };
        }
        draw_cell(canvas, field, cell, marked);
    }
}

fn draw_cell(canvas: &mut Canvas<'_>, field: Rect, cell: &Cell, marked: bool) {
    let text = cut(&cell.text, field.width, canvas.theme.glyphs.more);
    let role = if marked && cell.role == Role::Text { Role::Marked } else { cell.role };
    if matches!(cell.key, super::Key::Number(_)) {
        canvas.right(field, 0, &text, role);
    } else {
        canvas.text(field, 0, 0, &text, role);
    }
}

fn nothing(canvas: &mut Canvas<'_>, area: Rect, listing: &Listing, state: &TableState) {
    let text = if listing.rows.is_empty() {
        listing.empty.to_owned()
    } else {
        format!("Nothing matches {}. Press / to change the filter, or Esc to take it away.", state.filter.text())
    };
    for (y, line) in (1_u16..).zip(wrapped(&text, area.width.saturating_sub(6).min(72))) {
        canvas.text(area, 4.min(area.width), y, &line, Role::Dim);
    }
}

fn scrollbar(canvas: &mut Canvas<'_>, area: Rect, rows: usize, state: &TableState) {
    let height = usize::from(area.height);
    if rows <= height || height == 0 {
        return;
    }
    let size = (height * height / rows).max(1);
    let from = state.offset * (height - size) / (rows - height).max(1);
    let glyphs = canvas.theme.glyphs;
    for y in 0..area.height {
        let within = (from..from + size).contains(&usize::from(y));
        let (sign, role) = if within { (glyphs.bar, Role::Dim) } else { (glyphs.vertical, Role::Border) };
        let x = area.width.saturating_sub(width(sign));
        canvas.text(area, x, y, sign, role);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        Column::text("NAME", 10, 0),
        Column::number("CALLS", 6, 1),
        Column::wide("REASON", 10, 2),
        Column::number("P99", 8, 3),
    ];

    fn names(width: u16) -> Vec<&'static str> {
        places(COLUMNS, width).iter().map(|&(index, ..)| COLUMNS[index].name).collect()
    }

    #[test]
    fn columns_fall_away_by_rank_and_one_takes_what_is_left() {
        assert_eq!(names(60), ["NAME", "CALLS", "REASON", "P99"]);
        assert_eq!(names(35), ["NAME", "CALLS", "REASON"]);
        assert_eq!(names(25), ["NAME", "CALLS"]);
        assert_eq!(names(3), ["NAME"]);
        let (_, x, wide) = *places(COLUMNS, 60).last().expect("there");
        assert_eq!(x + wide, 59);
    }
}
