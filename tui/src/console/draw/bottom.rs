//! The line at the bottom: what is being written, else what there is to say, else keys.

use ratatui::layout::Rect;

use super::super::canvas::{Canvas, cut, width};
use super::super::keys::{BINDINGS, Context};
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

/// Keys of what is open, in the order of their table, as many as fit.
fn hints(canvas: &mut Canvas<'_>, area: Rect, state: &State) {
    let context = state.context();
    let shown = |wanted: Context| {
        BINDINGS.iter().filter(move |row| row.context == wanted && row.on(state.screen) && !row.hint.is_empty())
    };
    let views = state.screen.views().len() > 1;
    let fits = |hint: &str| hint != "view" || views;
    let mut x = 1;
    let global = if context == Context::Field { None } else { Some(shown(Context::Global)) };
    for row in shown(context).chain(global.into_iter().flatten()).filter(|row| fits(row.hint)) {
        let key = row.shown.split(' ').next().unwrap_or(row.shown);
        let wide = width(key) + width(row.hint) + 3;
        if x + wide > area.width {
            break;
        }
        x = canvas.pieces(area, x, 0, &[(key, Role::Key), (" ", Role::Dim), (row.hint, Role::Dim), ("  ", Role::Dim)]);
    }
}
