//! The texts a configuration was read from, and places in them.
//!
//! Every value of the tree carries a `Place`, so that a problem found at any later step can still
//! show the line. Places are only meaningful together with the `Sources` that made them.

use std::path::{Path, PathBuf};

/// A text with the name under which it is reported.
#[derive(Debug)]
pub struct Source {
    /// The file, or `environment` for the overrides of `TOOLGATE_…`.
    pub path: PathBuf,
    /// Its content; broken UTF-8 was replaced when it was read.
    pub text: String,
}

/// All texts of one configuration, in the order in which they were read.
#[derive(Debug, Default)]
pub struct Sources {
    list: Vec<Source>,
}

/// A byte range of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Index of the source.
    pub source: usize,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Sources {
    /// Adds a text; the answer is its index.
    pub fn add(&mut self, path: &Path, text: String) -> usize {
        self.list.push(Source { path: path.to_owned(), text });
        self.list.len() - 1
    }

    /// The source of a place.
    #[must_use]
    pub fn of(&self, place: Place) -> &Source {
        &self.list[place.source]
    }

    /// Line and column of the first byte, both from 1; columns count characters.
    #[must_use]
    pub fn position(&self, place: Place) -> (usize, usize) {
        let text = &self.of(place).text;
        let mut start = place.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// `file:line:column`
    #[must_use]
    pub fn describe(&self, place: Place) -> String {
        let (line, column) = self.position(place);
        format!("{}:{line}:{column}", self.of(place).path.display())
    }

    /// The names of all sources, in order.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.list.iter().map(|source| source.path.clone()).collect()
    }
}
