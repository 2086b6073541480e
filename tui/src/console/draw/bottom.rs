//! The line at the bottom: what is being written, else what there is to say, else keys.

use ratatui::layout::Rect;

use super::super::canvas::{Canvas, cut, width};
use super::super::keys::{BINDINGS, Binding, Command, Context};
use super::super::state::{Line, Link, Overlay, State};
use super::super::theme::Role;

/// Draws the line.
pub(super) fn paint(canvas: &mut Canvas<'_>, area: Rect, state: &State) {
    match state.overlays.last() {
        Some(Overlay::Filter(line, ..)) => {
            let x = canvas.pieces(area, 0, 0, &[(" / ", Role::Key)]);
            let x = written(canvas, area, x, line);
            let help = "words, !word, field=value; Enter keeps, Esc leaves";
            if area.width > x + width(help) + 4 {
                canvas.right(area, 0, help, Role::Dim);
            }
        }
        Some(Overlay::Palette(palette)) => {
            let x = canvas.pieces(area, 0, 0, &[(" : ", Role::Key)]);
            written(canvas, area, x, &palette.line);
        }
        _ => match (&state.message, &state.link) {
            (Some(message), _) => {
                let text = cut(&message.text, area.width.saturating_sub(2), canvas.theme.glyphs.more);
                canvas.text(area, 1, 0, &text, message.role);
            }
            (None, Link::Lost(why, _)) => {
                let text = cut(why, area.width.saturating_sub(2), canvas.theme.glyphs.more);
                canvas.text(area, 1, 0, &text, Role::Bad);
            }
            _ => hints(canvas, area, state),
        },
    }
}

/// A line of text with its cursor; says where it ends.
pub(super) fn written(canvas: &mut Canvas<'_>, area: Rect, x: u16, line: &Line) -> u16 {
    let (before, behind) = line.halves();
    let room = area.width.saturating_sub(x + 1);
    // The end of what is before the cursor stays in sight.
    let mut before = before.as_str();
    while width(before) > room {
        let mut letters = before.chars();
        letters.next();
        before = letters.as_str();
    }
    let x = x + canvas.text(area, x, 0, before, Role::Strong);
    let mut rest = behind.chars();
    let under = rest.next().map_or_else(|| " ".to_owned(), |letter| letter.to_string());
    let cursor = Rect { x: area.x.saturating_add(x), width: 1, height: 1, ..area }.intersection(area);
    let taken = canvas.text(area, x, 0, &under, Role::Strong);
    canvas.paint(cursor, canvas.theme.style(Role::Tab));
    x + taken + canvas.text(area, x + taken, 0, rest.as_str(), Role::Strong)
}

/// Keys of what is open, in the order of their table, as many as fit; those that always help stand at the right.
fn hints(canvas: &mut Canvas<'_>, area: Rect, state: &State) {
    let context = state.context();
    let views = state.screen.views().len() > 1;
    let shown = |wanted: Context| {
        let holds = move |row: &&Binding| row.context == wanted && row.on(state.screen) && !row.hint.is_empty();
        BINDINGS.iter().filter(holds).filter(|row| row.hint != "view" || views)
    };
    let always: Vec<&Binding> = if context == Context::Field { Vec::new() } else { shown(Context::Global).collect() };
    let taken: u16 = always.iter().map(|row| room(row, state)).sum();
    let end = area.width.saturating_sub(taken);
    let mut x = 1;
    for row in shown(context) {
        if x + room(row, state) > end {
            break;
        }
        x = hint(canvas, area, x, row, state);
    }
    for row in always {
        x = hint(canvas, area, x, row, state);
    }
}

/// A key as it is written there: the first of those that do the same.
fn parts(row: &'static Binding, state: &State) -> (&'static str, &'static str) {
    let leaves = row.command == Command::Quit && state.is_at_the_beginning();
    (row.shown.split(' ').next().unwrap_or(row.shown), if leaves { "quit" } else { row.hint })
}

fn room(row: &'static Binding, state: &State) -> u16 {
    let (key, hint) = parts(row, state);
    width(key) + width(hint) + 3
}

fn hint(canvas: &mut Canvas<'_>, area: Rect, x: u16, row: &'static Binding, state: &State) -> u16 {
    let (key, hint) = parts(row, state);
    canvas.pieces(area, x, 0, &[(key, Role::Key), (" ", Role::Dim), (hint, Role::Dim), ("  ", Role::Dim)])
}
