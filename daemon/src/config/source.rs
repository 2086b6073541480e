//! The texts a configuration was read from, and places in them.
//!
//! Every value of the tree carries a `Place`, so that a problem found at any later step can still
//! show the line. Places are only meaningful together with the `Sources` that made them.

use std::path::{Path, PathBuf};

/// A text with the name under which it is reported.
#[derive(Debug)]
pub struct Source {
    /// The file, or the name of the variable.
    pub path: PathBuf,
    /// Whether it is a file, or else a variable of the environment.
    pub is_file: bool,
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
    /// Adds a file; the answer is its index.
    pub(super) fn add(&mut self, path: &Path, text: String) -> usize {
        self.list.push(Source { path: path.to_owned(), is_file: true, text });
        self.list.len() - 1
    }

    /// Adds a variable of the environment; the answer is its index.
    pub(super) fn add_variable(&mut self, name: &str, text: String) -> usize {
        self.list.push(Source { path: PathBuf::from(name), is_file: false, text });
        self.list.len() - 1
    }

    /// Hides a value from every report; lengths and line ends stay, so that places stay right.
    pub(super) fn mask(&mut self, place: Place) {
        let source = &mut self.list[place.source];
        let mask = |byte: u8| {
            if matches!(byte, b'\n' | b'\r' | b'"' | b'\'') { byte } else { b'*' }
        };
        let range = place.start..place.end.min(source.text.len());
        let mut bytes = std::mem::take(&mut source.text).into_bytes();
        for byte in &mut bytes[range] {
            *byte = mask(*byte);
        }
        source.text = String::from_utf8_lossy(&bytes).into_owned();
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

    /// The files, in order.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.list.iter().filter(|source| source.is_file).map(|source| source.path.clone()).collect()
    }
}
