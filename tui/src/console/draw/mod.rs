//! Draws the console: the frame that all screens have, the open screen in it, and what lies over it.

mod bottom;
mod dialog;
mod head;
mod help;
mod overlay;
mod timeline;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::canvas::{Canvas, inset, split_left, split_top};
use super::screens::{self, Screen};
use super::state::State;
use super::table;
use super::theme::Role;

/// Below this the screens have no room.
pub(crate) const LEAST: (u16, u16) = (60, 15);

/// From this width on the selected row's panel stands beside the table.
const WIDE: u16 = 160;

/// Draws everything. What is learned about the room (pages, offsets) is written back for keys to move by.
pub(crate) fn draw(buffer: &mut Buffer, state: &mut State) {
    let theme = state.theme;
    let canvas = &mut Canvas::new(buffer, &theme);
    let area = canvas.area();
    if theme.name == super::theme::Name::HighContrast {
        canvas.paint(area, theme.style(Role::Text));
    }
    if area.width < LEAST.0 || area.height < LEAST.1 {
        return head::status_line(canvas, area, state);
    }
    let (top, rest) = split_top(area, 2);
    head::header(canvas, top, state);
    let (body, bottom) = split_top(rest, rest.height - 1);
    let (body, line) = match state.timeline {
        Some(at_ms) => {
            let (body, line) = split_top(body, body.height - 3);
            timeline::paint(canvas, line, state, at_ms);
            (body, line.y)
        }
        None => (body, body.bottom()),
    };
    debug_assert!(line <= area.bottom());
    screen(canvas, body, state);
    bottom::paint(canvas, bottom, state);
    overlay::paint(canvas, area, state);
}

fn screen(canvas: &mut Canvas<'_>, area: Rect, state: &mut State) {
    if state.screen == Screen::Overview {
        let mut table = state.table().clone();
        screens::paint_overview(canvas, area, &state.view(), &mut table);
        *state.table_mut() = table;
        return;
    }
    let listing = state.listing();
    let mut table = state.table().clone();
    head::title(canvas, area, state, &listing, &table);
    let (_, body) = split_top(area, 1);
    table.settle(&listing.shown(&table));
    let body = if state.panel { panel(canvas, body, state, table.selected.as_ref()) } else { body };
    table::paint(canvas, body, &listing, &mut table);
    state.first_row = body.y.saturating_add(1);
    *state.table_mut() = table;
}

/// Draws what is known of the selected row beside or below the table, where there is room; says what is left.
fn panel(canvas: &mut Canvas<'_>, area: Rect, state: &State, selected: Option<&super::object::Object>) -> Rect {
    const LINES: u16 = 11;
    let view = state.view();
    let area = state.screen.around(canvas, area, &view, selected);
    let Some(object) = selected else { return area };
    let details = screens::details(object, &view);
    if details.is_empty() {
        return area;
    }
    if area.width >= WIDE {
        let (table, side) = split_left(area, area.width - area.width / 3);
        for y in 0..side.height {
            canvas.text(side, 0, y, canvas.theme.glyphs.vertical, Role::Border);
        }
        details.paint(canvas, inset(side, 2, 0), 0, true);
        return table;
    }
    if area.height < 26 {
        return area;
    }
    let (table, below) = split_top(area, area.height - LINES);
    canvas.rule(below, 0, "", "i shows all");
    let (_, below) = split_top(below, 1);
    details.paint(canvas, inset(below, 2, 0), 0, false);
    table
}
