//! The texts a configuration was read from, and places in them.
//!
//! Every value of the tree carries a `Place`, so that a problem found at any later step can still
//! show the line. Places are only meaningful together with the `Sources` that made them.

use std::path::{Path, PathBuf};

use super::secret::Secret;

/// A text with the name under which it is reported.
#[derive(Debug)]
pub struct Source {
    /// The file, the name of the variable, or `preset NAME`.
    pub path: PathBuf,
    /// What it is.
    pub medium: Medium,
    /// Its content as reports may show it: broken UTF-8 was replaced, and secrets are masked.
    pub text: String,
    /// Its content as it was read, where it is a file.
    pub(super) written: Option<Secret>,
    /// Permission bits of the file, where they are known.
    pub mode: Option<u32>,
}

/// What a text was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// A file.
    File,
    /// A variable of the environment.
    Variable,
    /// Values that come with the program, since the files name them.
    Preset,
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
        let written = Some(Secret::new(text.clone()));
        self.list.push(Source { path: path.to_owned(), medium: Medium::File, text, written, mode: None });
        self.list.len() - 1
    }

    /// Notes the permission bits of the file that was added last.
    pub(super) fn set_mode(&mut self, mode: Option<u32>) {
        if let Some(source) = self.list.last_mut() {
            source.mode = mode;
        }
    }

    /// Adds a variable of the environment; the answer is its index.
    pub(super) fn add_variable(&mut self, name: &str, text: String) -> usize {
        self.push(name.into(), Medium::Variable, text)
    }

    /// Adds a preset; the answer is its index.
    pub(super) fn add_preset(&mut self, name: &str, text: String) -> usize {
        self.push(format!("preset {name}").into(), Medium::Preset, text)
    }

    fn push(&mut self, path: PathBuf, medium: Medium, text: String) -> usize {
        self.list.push(Source { path, medium, text, written: None, mode: None });
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
        self.list.iter().filter(|source| source.medium == Medium::File).map(|source| source.path.clone()).collect()
    }

    /// Every source, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Source> {
        self.list.iter()
    }
}
