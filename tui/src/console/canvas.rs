//! The one way onto the screen: every text is made fit for a terminal and every rectangle is clamped here.
//!
//! Names of tools, clients and servers come from outside. What would steer a terminal is shown as its escape, and
//! nothing is ever written beside the area that it was meant for, whatever the terminal's size.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;
use toolgate_admin_api::is_unfit;

use super::theme::{Role, Theme};

/// A screen that is drawn on.
#[derive(Debug)]
pub(crate) struct Canvas<'a> {
    buffer: &'a mut Buffer,
    pub(crate) theme: &'a Theme,
}

impl<'a> Canvas<'a> {
    pub(crate) fn new(buffer: &'a mut Buffer, theme: &'a Theme) -> Self {
        Self { buffer, theme }
    }

    /// All of it.
    pub(crate) fn area(&self) -> Rect {
        self.buffer.area
    }

    /// Writes a text, cut at the area's right end; says how many cells it took.
    pub(crate) fn text(&mut self, area: Rect, x: u16, y: u16, text: &str, role: Role) -> u16 {
        self.styled(area, x, y, text, self.theme.style(role))
    }

    /// The same in a style of its own. `x` and `y` count from the area's top left corner.
    pub(crate) fn styled(&mut self, area: Rect, x: u16, y: u16, text: &str, style: Style) -> u16 {
        let area = area.intersection(self.buffer.area);
        if x >= area.width || y >= area.height {
            return 0;
        }
        let room = area.width - x;
        let text = fit(text);
        let (end, _) = self.buffer.set_stringn(area.x + x, area.y + y, &text, usize::from(room), style);
        end - (area.x + x)
    }

    /// Several pieces one after the other; says where the last one ends.
    pub(crate) fn pieces(&mut self, area: Rect, x: u16, y: u16, pieces: &[(&str, Role)]) -> u16 {
        pieces.iter().fold(x, |x, (text, role)| x.saturating_add(self.text(area, x, y, text, *role)))
    }

    /// A text that ends at the area's right end, or at its left begin where it is too long.
    pub(crate) fn right(&mut self, area: Rect, y: u16, text: &str, role: Role) {
        let x = area.width.saturating_sub(width(text));
        self.text(area, x, y, text, role);
    }

    /// Gives every cell of the area a style, on top of its own.
    pub(crate) fn paint(&mut self, area: Rect, style: Style) {
        self.buffer.set_style(area.intersection(self.buffer.area), style);
    }

    /// Makes the area empty.
    pub(crate) fn clear(&mut self, area: Rect) {
        let area = area.intersection(self.buffer.area);
        for position in area.positions() {
            if let Some(cell) = self.buffer.cell_mut(position) {
                cell.reset();
            }
        }
    }

    /// A line across the area with a title in it; `note` stands at its right.
    pub(crate) fn rule(&mut self, area: Rect, y: u16, title: &str, note: &str) {
        let line = self.theme.glyphs.horizontal.repeat(usize::from(area.width));
        self.text(area, 0, y, &line, Role::Border);
        if !title.is_empty() {
            self.text(area, 1, y, &format!(" {title} "), Role::Title);
        }
        let room = area.width.saturating_sub(width(title) + 6);
        if !note.is_empty() && width(note) + 3 <= room {
            let x = area.width.saturating_sub(width(note) + 3);
            self.text(area, x, y, &format!(" {note} "), Role::Dim);
        }
    }

    /// An empty box with a title; what is within it.
    pub(crate) fn frame(&mut self, area: Rect, title: &str, role: Role) -> Rect {
        let area = area.intersection(self.buffer.area);
        self.clear(area);
        if area.width < 2 || area.height < 2 {
            return Rect { width: 0, height: 0, ..area };
        }
        let glyphs = self.theme.glyphs;
        let line = glyphs.horizontal.repeat(usize::from(area.width - 2));
        let [top_left, top_right, bottom_left, bottom_right] = glyphs.corners;
        self.text(area, 0, 0, &format!("{top_left}{line}{top_right}"), role);
        self.text(area, 0, area.height - 1, &format!("{bottom_left}{line}{bottom_right}"), role);
        for y in 1..area.height - 1 {
            self.text(area, 0, y, glyphs.vertical, role);
            self.text(area, area.width - 1, y, glyphs.vertical, role);
        }
        if !title.is_empty() && area.width > 6 {
            let within = Rect { x: area.x + 2, width: area.width - 4, ..area };
            self.text(within, 0, 0, &format!(" {title} "), Role::Title);
        }
        inset(area, 1, 1)
    }
}

/// Cells that a text takes once it is fit for a terminal.
pub(crate) fn width(text: &str) -> u16 {
    u16::try_from(Span::raw(fit(text)).width()).unwrap_or(u16::MAX)
}

/// The text in at most this many cells, with a sign where it was cut.
pub(crate) fn cut<'t>(text: &'t str, cells: u16, more: &str) -> Cow<'t, str> {
    if width(text) <= cells {
        return Cow::Borrowed(text);
    }
    let room = usize::from(cells).saturating_sub(1);
    let mut taken = String::new();
    let mut used = 0;
    for character in fit(text).chars() {
        let mut bytes = [0; 4];
        let wide = Span::raw(&*character.encode_utf8(&mut bytes)).width();
        if used + wide > room {
            break;
        }
        used += wide;
        taken.push(character);
    }
    if cells > 0 {
        taken.push_str(more);
    }
    Cow::Owned(taken)
}

/// What would steer a terminal becomes its escape.
pub(crate) fn fit(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unfit) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_unfit(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// The text in lines of at most this many cells, broken at spaces where there are some.
pub(crate) fn wrapped(text: &str, cells: u16) -> Vec<String> {
    let cells = cells.max(1);
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut word = fit(word).into_owned();
        loop {
            let line = lines.last_mut().expect("never empty");
            let gap = u16::from(!line.is_empty());
            if width(line).saturating_add(gap).saturating_add(width(&word)) <= cells {
                if gap == 1 {
                    line.push(' ');
                }
                line.push_str(&word);
                break;
            }
            if !line.is_empty() {
                lines.push(String::new());
                continue;
            }
            let head = cut(&word, cells.saturating_add(1), "").into_owned();
            let head = if head.is_empty() { word.chars().take(1).collect() } else { head };
            let rest = word.get(head.len()..).unwrap_or_default().to_owned();
            line.push_str(&head);
            if rest.is_empty() {
                break;
            }
            lines.push(String::new());
            word = rest;
        }
    }
    lines
}

/// The area without its margins.
pub(crate) fn inset(area: Rect, x: u16, y: u16) -> Rect {
    let (wide, high) = (area.width.saturating_sub(2 * x), area.height.saturating_sub(2 * y));
    Rect {
        x: area.x.saturating_add(x.min(area.width)),
        y: area.y.saturating_add(y.min(area.height)),
        width: wide,
        height: high,
    }
}

/// The first `height` lines of an area, and the rest.
pub(crate) fn split_top(area: Rect, height: u16) -> (Rect, Rect) {
    let height = height.min(area.height);
    let rest = Rect { y: area.y + height, height: area.height - height, ..area };
    (Rect { height, ..area }, rest)
}

/// The first `width` columns of an area, and the rest.
pub(crate) fn split_left(area: Rect, width: u16) -> (Rect, Rect) {
    let width = width.min(area.width);
    let rest = Rect { x: area.x + width, width: area.width - width, ..area };
    (Rect { width, ..area }, rest)
}

/// Columns of about the same width, with one free column between them.
pub(crate) fn columns(area: Rect, count: u16) -> Vec<Rect> {
    let count = count.max(1);
    let room = area.width.saturating_sub(count - 1);
    let mut x = area.x;
    (0..count)
        .map(|index| {
            let wide = room / count + u16::from(index < room % count);
            let column = Rect { x, width: wide, ..area };
            x = x.saturating_add(wide + 1);
            column.intersection(area)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_steer_a_terminal_is_shown() {
        assert_eq!(fit("a\u{1b}[31mb"), r"a\u{1b}[31mb");
        assert_eq!(fit("\u{202e}x"), r"\u{202e}x");
        assert_eq!(fit("grün"), "grün");
    }

    #[test]
    fn long_text_is_cut_with_a_sign() {
        assert_eq!(cut("weather", 7, "…"), "weather");
        assert_eq!(cut("weather", 4, "…"), "wea…");
        assert_eq!(cut("日本語", 4, "…"), "日…");
        assert_eq!(cut("weather", 0, "…"), "");
    }

    #[test]
    fn lines_break_at_spaces_and_long_words_anywhere() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrapped("", 5), [""]);
    }

    #[test]
    fn columns_fill_the_area() {
        let area = Rect::new(0, 0, 80, 3);
        let parts = columns(area, 3);
        assert_eq!(parts.iter().map(|part| part.width).sum::<u16>() + 2, 80);
        assert_eq!(parts[2].right(), 80);
        assert!(columns(Rect::new(0, 0, 1, 1), 6).iter().all(|part| part.width == 0 || part.right() <= 1));
    }
}
