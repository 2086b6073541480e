//! Everything about one thing, as lines of text: what a panel shows the beginning of, and `i` all of.

use ratatui::layout::Rect;

use super::canvas::{Canvas, cut, width, wrapped};
use super::theme::Role;

/// Cells for what a value is called.
const LABEL: u16 = 13;

/// A piece of text and how it looks.
pub(crate) type Piece = (String, Role);

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// A heading.
    Heading(String),
    /// What a value is called, and the value.
    Pair(&'static str, Vec<Piece>),
    /// A text of any length.
    Text(String, Role),
    /// Parts of a whole: queue, connect, first byte and stream, in microseconds.
    Phases([u64; 4]),
    Empty,
}

/// Lines, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Details {
    lines: Vec<Line>,
}

impl Details {
    /// Begins a part.
    pub(crate) fn heading(&mut self, text: impl Into<String>) -> &mut Self {
        if !self.lines.is_empty() {
            self.lines.push(Line::Empty);
        }
        self.lines.push(Line::Heading(text.into()));
        self
    }

    /// A value with its name.
    pub(crate) fn pair(&mut self, name: &'static str, text: impl Into<String>, role: Role) -> &mut Self {
        self.pieces(name, vec![(text.into(), role)])
    }

    /// A plain value with its name, unless it is empty.
    pub(crate) fn value(&mut self, name: &'static str, text: impl Into<String>) -> &mut Self {
        let text = text.into();
        if text.is_empty() { self } else { self.pair(name, text, Role::Text) }
    }

    /// A value of several pieces with its name.
    pub(crate) fn pieces(&mut self, name: &'static str, pieces: Vec<Piece>) -> &mut Self {
        self.lines.push(Line::Pair(name, pieces));
        self
    }

    /// A text.
    pub(crate) fn text(&mut self, text: impl Into<String>, role: Role) -> &mut Self {
        self.lines.push(Line::Text(text.into(), role));
        self
    }

    /// What the time of a call was spent on.
    pub(crate) fn phases(&mut self, parts: [u64; 4]) -> &mut Self {
        self.lines.push(Line::Phases(parts));
        self
    }

    /// There is nothing to say.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The lines as they are on a screen so wide.
    fn laid(&self, cells: u16, wrap: bool) -> Vec<Laid<'_>> {
        let mut laid = Vec::new();
        for line in &self.lines {
            match line {
                Line::Pair(name, pieces) if wrap && pieces.len() == 1 && width(&pieces[0].0) + LABEL + 1 > cells => {
                    let room = cells.saturating_sub(LABEL + 1);
                    for (index, text) in wrapped(&pieces[0].0, room).into_iter().enumerate() {
                        let name = if index == 0 { name } else { "" };
                        laid.push(Laid::Pair(name, vec![(text, pieces[0].1)]));
                    }
                }
                Line::Pair(name, pieces) => laid.push(Laid::Pair(name, pieces.clone())),
                Line::Text(text, role) if wrap && width(text) > cells => {
                    laid.extend(wrapped(text, cells).into_iter().map(|text| Laid::Text(text, *role)));
                }
                Line::Text(text, role) => laid.push(Laid::Text(text.clone(), *role)),
                Line::Heading(text) => laid.push(Laid::Heading(text)),
                Line::Phases(parts) => laid.push(Laid::Phases(*parts)),
                Line::Empty => laid.push(Laid::Empty),
            }
        }
        laid
    }

    /// Draws the lines from `offset` on; says how many there are in all.
    pub(crate) fn paint(&self, canvas: &mut Canvas<'_>, area: Rect, offset: usize, wrap: bool) -> usize {
        let laid = self.laid(area.width, wrap);
        for (y, line) in (0..area.height).zip(laid.iter().skip(offset)) {
            line.paint(canvas, area, y);
        }
        laid.len()
    }
}

/// A line that fits.
enum Laid<'a> {
    Heading(&'a str),
    Pair(&'a str, Vec<Piece>),
    Text(String, Role),
    Phases([u64; 4]),
    Empty,
}

impl Laid<'_> {
    fn paint(&self, canvas: &mut Canvas<'_>, area: Rect, y: u16) {
        let more = canvas.theme.glyphs.more;
        match self {
            Self::Heading(text) => {
                canvas.text(area, 0, y, text, Role::Title);
            }
            Self::Pair(name, pieces) => {
                canvas.text(area, 0, y, name, Role::Dim);
                pieces.iter().fold(LABEL + 1, |x, (text, role)| {
                    let room = area.width.saturating_sub(x);
                    x + canvas.text(area, x, y, &cut(text, room, more), *role)
                });
            }
            Self::Text(text, role) => {
                canvas.text(area, 0, y, &cut(text, area.width, more), *role);
            }
            Self::Phases(parts) => {
                let bar = Rect { y: area.y.saturating_add(y), height: 1, ..area };
                super::graph::phases(canvas, bar.intersection(area), *parts);
            }
            Self::Empty => {}
        }
    }
}

/// The widest of some texts.
pub(crate) fn widest<'a>(texts: impl Iterator<Item = &'a str>) -> u16 {
    texts.map(width).max().unwrap_or(0)
}
