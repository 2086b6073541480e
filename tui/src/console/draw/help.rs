//! The help: what to press when something is wrong, and every key of what is open, from their tables.

use ratatui::layout::Rect;

use super::super::canvas::{Canvas, columns, inset};
use super::super::keys::{BINDINGS, Binding, Context, INCIDENTS};
use super::super::screens::Screen;
use super::super::state::{Scroll, State};
use super::super::theme::Role;
use super::overlay::{centred, foot};

/// Cells for the keys, and for a line with what they do.
const KEYS: u16 = 16;
const LINE: u16 = KEYS + 41;

/// Draws it in as many columns as fit. `over` is what it was opened over.
pub(super) fn paint(canvas: &mut Canvas<'_>, area: Rect, state: &State, over: Context, scroll: &mut Scroll) {
    let lines = lines(state.screen, over);
    let window = centred(area, area.width.saturating_sub(2).min(3 * LINE + 4), area.height.saturating_sub(2));
    let title = match over {
        Context::Screen => format!("Keys on {}", state.screen.title()),
        other => format!("Keys {}", other.heading().to_lowercase()),
    };
    let within = inset(canvas.frame(window, &title, Role::Border), 1, 0);
    let across = (within.width / LINE).clamp(1, 3);
    scroll.page = usize::from(within.height.max(1)) * usize::from(across);
    scroll.lines = lines.len();
    scroll.offset = scroll.offset.min(lines.len().saturating_sub(scroll.page));
    for (column, part) in columns(within, across).into_iter().enumerate() {
        let from = scroll.offset + column * usize::from(within.height);
        for (y, line) in (0..part.height).zip(lines.iter().skip(from)) {
            match line {
                Line::Heading(text) => drop(canvas.text(part, 0, y, text, Role::Title)),
                Line::Entry(keys, meaning) => {
                    canvas.text(part, 1, y, keys, Role::Key);
                    canvas.text(part, KEYS, y, meaning, Role::Text);
                }
                Line::Empty => {}
            }
        }
    }
    foot(canvas, window, scroll);
}

enum Line {
    Heading(&'static str),
    Entry(&'static str, &'static str),
    Empty,
}

/// What is particular to what is open first, then what helps when something is wrong, then the rest.
fn lines(screen: Screen, over: Context) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut part = |heading: &'static str, entries: Vec<(&'static str, &'static str)>| {
        if entries.is_empty() {
            return;
        }
        if !lines.is_empty() {
            lines.push(Line::Empty);
        }
        lines.push(Line::Heading(heading));
        lines.extend(entries.into_iter().map(|(keys, meaning)| Line::Entry(keys, meaning)));
    };
    let of = |context: Context, own: bool| {
        let wanted = move |row: &&Binding| row.context == context && row.on(screen) && row.screens.is_empty() != own;
        BINDINGS.iter().filter(wanted).map(|row| (row.shown, row.meaning)).collect::<Vec<_>>()
    };
    if over != Context::Screen {
        part(over.heading(), of(over, false));
    }
    part("Only here", of(Context::Screen, true));
    part("When something is wrong", INCIDENTS.to_vec());
    part("On every screen", of(Context::Screen, false));
    let rest = [Context::Global, Context::Timeline, Context::Text, Context::Menu, Context::Dialog, Context::Field];
    for context in rest.into_iter().filter(|context| *context != over) {
        part(context.heading(), of(context, false));
    }
    lines
}
