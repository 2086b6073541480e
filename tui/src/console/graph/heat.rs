//! How many calls took how long, over time: a column per span of time, a line per bound.

use ratatui::layout::Rect;
use toolgate_admin_api::{HEAT_BOUNDS_US, HeatColumn};

use super::super::canvas::{Canvas, split_left};
use super::super::theme::Role;
use super::super::units::{span_us, to_cells, to_float};

/// Cells for what a line stands for.
const LABEL: u16 = 8;

/// Draws the newest columns at the right; slow calls are above, fast ones below.
pub(crate) fn heat(canvas: &mut Canvas<'_>, area: Rect, columns: &[HeatColumn]) {
    let (labels, map) = split_left(area, LABEL);
    let lines = lines(usize::from(area.height));
    let seen = &columns[columns.len().saturating_sub(usize::from(map.width))..];
    let most = seen.iter().flat_map(|column| lines.iter().map(|line| line.of(column))).max().unwrap_or(0);
    for (y, line) in (0_u16..).zip(&lines) {
        canvas.right(Rect { width: LABEL - 1, ..labels }, y, &line.label(), Role::Dim);
        let begin = map.width.saturating_sub(u16::try_from(seen.len()).unwrap_or(map.width));
        for (x, column) in (begin..).zip(seen) {
            // A few calls beside thousands are what an operator looks for: the scale is logarithmic.
            let calls = line.of(column);
            let share = if calls == 0 { continue } else { to_float(calls + 1).ln() / to_float(most + 1).ln() };
            let signs = canvas.theme.glyphs.shades;
            let sign = signs[to_cells((share * 4.0).ceil(), signs.len() - 1)];
            canvas.styled(map, x, y, sign, canvas.theme.heat(share));
        }
    }
}

/// A line of the map: bounds from `first` up to and with `last`.
struct Line {
    first: usize,
    last: usize,
}

impl Line {
    fn of(&self, column: &HeatColumn) -> u64 {
        column.counts.iter().skip(self.first).take(self.last - self.first + 1).sum()
    }

    fn label(&self) -> String {
        match HEAT_BOUNDS_US.get(self.last) {
            Some(&bound) => span_us(bound),
            None => format!(">{}", span_us(HEAT_BOUNDS_US[HEAT_BOUNDS_US.len() - 1]).replace(' ', "")),
        }
    }
}

/// As many lines as fit, the slowest first; bounds are put together where there are more than that.
fn lines(height: usize) -> Vec<Line> {
    let buckets = HEAT_BOUNDS_US.len() + 1;
    if height == 0 {
        return Vec::new();
    }
    let height = height.min(buckets);
    let edge = |line: usize| line * buckets / height;
    (0..height).rev().map(|line| Line { first: edge(line), last: edge(line + 1) - 1 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_is_on_one_line_whatever_the_height() {
        for height in 1..20 {
            let lines = lines(height);
            let covered: usize = lines.iter().map(|line| line.last - line.first + 1).sum();
            assert_eq!(covered, HEAT_BOUNDS_US.len() + 1, "{height}");
            assert_eq!(lines.last().expect("one").first, 0);
        }
        assert!(lines(0).is_empty());
    }
}
