//! A value over time, eight steps to a line of text.

use ratatui::layout::Rect;

use super::super::canvas::Canvas;
use super::super::theme::Role;
use super::super::units::{to_cells, to_float};

/// Draws the newest values at the area's right end, as high as the area is, scaled to the largest in sight.
/// `cursor` is how many columns before the last one something is pointed at.
pub(crate) fn spark(canvas: &mut Canvas<'_>, area: Rect, values: &[Option<f64>], role: Role, cursor: Option<usize>) {
    let wide = usize::from(area.width);
    let seen = &values[values.len().saturating_sub(wide)..];
    let most = seen.iter().flatten().copied().filter(|value| value.is_finite()).fold(0.0, f64::max);
    let steps = usize::from(area.height) * 8;
    let levels = canvas.theme.glyphs.levels;
    let begin = area.width.saturating_sub(u16::try_from(seen.len()).unwrap_or(area.width));
    for (x, value) in (begin..).zip(seen) {
        let Some(value) = value else { continue };
        let height = if most > 0.0 { to_cells((value / most * to_float(steps as u64)).ceil(), steps) } else { 0 };
        for line in 0..area.height {
            let below = usize::from(area.height - 1 - line) * 8;
            let floor = line + 1 == area.height;
            match height.saturating_sub(below) {
                0 if floor => canvas.text(area, x, line, levels[0], Role::Border),
                0 => continue,
                part => canvas.text(area, x, line, levels[part.min(8) - 1], role),
            };
        }
    }
    if let Some(back) = cursor.filter(|&back| back < wide) {
        let x = area.width - 1 - u16::try_from(back).unwrap_or(0);
        canvas.paint(Rect { x: area.x + x, width: 1, ..area }, canvas.theme.style(Role::Selected));
    }
}

#[cfg(test)]
mod tests {
    use ratatui::buffer::Buffer;

    use super::super::super::theme::{Ability, Level, Name, Theme};
    use super::*;

    fn drawn(width: u16, height: u16, values: &[Option<f64>]) -> Vec<String> {
        let theme = Theme::new(Name::Dark, Ability { level: Level::None, ascii: false });
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        spark(&mut Canvas::new(&mut buffer, &theme), area, values, Role::Graph, None);
        (0..height).map(|y| (0..width).map(|x| buffer[(x, y)].symbol()).collect()).collect()
    }

    #[test]
    fn the_newest_is_at_the_right_and_the_largest_fills_the_height() {
        assert_eq!(drawn(4, 1, &[Some(1.0), Some(4.0), Some(8.0)]), [" ▁▄█"]);
        assert_eq!(drawn(2, 2, &[Some(4.0), Some(8.0)]), [" █", "██"]);
    }

    #[test]
    fn gaps_stay_empty_and_nothing_is_a_floor() {
        assert_eq!(drawn(3, 1, &[None, Some(0.0), Some(f64::NAN)]), [" ▁▁"]);
        assert!(drawn(0, 0, &[Some(1.0)]).is_empty());
    }
}
