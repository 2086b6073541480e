//! How full something is, and what the time of a call was spent on.

use ratatui::layout::Rect;

use super::super::canvas::Canvas;
use super::super::theme::Role;
use super::super::units::{to_cells, to_float};

/// Shares from which a bar asks for a look.
const FULL: f64 = 0.9;
const FILLING: f64 = 0.7;

/// A bar as wide as the area; says the role that it has.
pub(crate) fn bar(canvas: &mut Canvas<'_>, area: Rect, share: f64) -> Role {
    let role = match share {
        share if share >= FULL => Role::Bad,
        share if share >= FILLING => Role::Warn,
        _ => Role::Good,
    };
    let wide = usize::from(area.width);
    let cells = to_cells((share * to_float(wide as u64)).round(), wide);
    let cells = if share > 0.0 { cells.max(1).min(wide) } else { cells };
    let glyphs = canvas.theme.glyphs;
    let used = canvas.text(area, 0, 0, &glyphs.bar.repeat(cells), role);
    canvas.text(area, used, 0, &glyphs.bar_rest.repeat(wide - cells), Role::Border);
    role
}

/// Parts of a whole, one after the other, in the order of queue, connect, first byte and stream.
pub(crate) fn phases(canvas: &mut Canvas<'_>, area: Rect, parts: [u64; 4]) {
    const ROLES: [Role; 4] = [Role::PhaseQueue, Role::PhaseConnect, Role::PhaseFirst, Role::PhaseStream];
    const SIGNS: [usize; 4] = [1, 2, 3, 4];
    let total: u64 = parts.iter().sum();
    if total == 0 {
        return;
    }
    let wide = to_float(u64::from(area.width));
    let (mut sum, mut x) = (0, 0);
    for ((part, role), sign) in parts.into_iter().zip(ROLES).zip(SIGNS) {
        sum += part;
        let end = to_cells((to_float(sum) / to_float(total) * wide).round(), usize::from(area.width));
        let end = u16::try_from(end).unwrap_or(area.width);
        let sign = canvas.theme.glyphs.shades[sign];
        canvas.text(area, x, 0, &sign.repeat(usize::from(end.saturating_sub(x))), role);
        x = end.max(x);
    }
}
