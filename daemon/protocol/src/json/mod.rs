//! Strict, iterative JSON scanning that yields byte spans and never builds a tree.
//! Called by the envelope, list and splice code, and by whoever looks inside a relayed message.
//! Must hold: RFC 8259 exactly, at most [`MAX_DEPTH`] nested containers, no recursion, no panic on any input.

mod cursor;
mod keys;
mod numbers;
mod outline;
mod pointer;
mod strings;
mod walk;

use std::num::NonZeroU32;
use std::ops::Range;

pub(crate) use cursor::{Cursor, Depth, KeySink};
pub(crate) use keys::{Key, Keys};
pub use numbers::push_number;
pub use outline::{Entries, Entry, Node, Outline};
pub use pointer::{Found, Pointer, PointerError, same_folded};
pub use strings::{decode_str, encode_str, has_lone_surrogate, push_str, str_eq};
pub use walk::{Elements, Member, Members, elements, get, members};

use crate::envelope::ScanError;

/// Containers that may be open at once in one message.
pub const MAX_DEPTH: u32 = 64;

/// A half-open byte range of a message: of a value including its quotes or braces, or of a place to insert at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    start: u32,
    /// One more than the end, so that an `Option<Span>` is no larger than a span.
    beyond: NonZeroU32,
}

impl Span {
    /// The span from `start` up to, but not including, `end`. Messages are shorter than 2 GiB (scanning refuses
    /// longer ones), so both ends fit 32 bits.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "every scanner refuses texts of 2 GiB and more")]
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, beyond: NonZeroU32::MIN.saturating_add(end as u32) }
    }

    /// The empty span before byte `at`: the place of an insertion.
    #[must_use]
    pub const fn empty(at: usize) -> Self {
        Self::new(at, at)
    }

    /// First byte of the span.
    #[must_use]
    pub const fn start(self) -> usize {
        self.start as usize
    }

    /// First byte after the span.
    #[must_use]
    pub const fn end(self) -> usize {
        self.beyond.get() as usize - 1
    }

    /// Length in bytes.
    #[must_use]
    pub const fn len(self) -> usize {
        self.end().saturating_sub(self.start())
    }

    /// Whether the span covers no byte.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The span as an index range.
    #[must_use]
    pub const fn range(self) -> Range<usize> {
        self.start()..self.end()
    }

    /// The bytes of this span in the text that it was scanned from; empty when it lies outside of `text`.
    #[must_use]
    pub fn of(self, text: &[u8]) -> &[u8] {
        text.get(self.range()).unwrap_or_default()
    }

    /// The same span in a text in which this one's text begins at `offset`.
    #[must_use]
    pub const fn shifted(self, offset: usize) -> Self {
        Self::new(self.start() + offset, self.end() + offset)
    }
}

impl Default for Span {
    fn default() -> Self {
        Self::empty(0)
    }
}

/// A [`ScanError`] on its way out of the scanner: one word, so that success costs nothing to hand on.
pub(crate) struct Fault(Box<ScanError>);

impl From<ScanError> for Fault {
    #[cold]
    fn from(error: ScanError) -> Self {
        Self(Box::new(error))
    }
}

impl From<Fault> for ScanError {
    fn from(fault: Fault) -> Self {
        *fault.0
    }
}

/// Validates the one JSON value that begins at or after `at` (whitespace is skipped) and returns its span.
/// What follows the value is not looked at. The bytes from `at` to the value's end must be UTF-8.
///
/// # Errors
/// Everything that RFC 8259 forbids, more than [`MAX_DEPTH`] nested containers, a text of 2 GiB or more.
pub fn value(text: &[u8], at: usize) -> Result<Span, ScanError> {
    check_size(text)?;
    let mut cursor = Cursor::new(text, at);
    cursor.skip_space();
    let start = cursor.at();
    cursor.value(Depth::NONE, &mut ())?;
    let span = Span::new(start, cursor.at());
    check_utf8(text, span)?;
    Ok(span)
}

/// Validates that `text` is exactly one JSON value, with nothing but whitespace around it.
///
/// # Errors
/// As [`value`], and when something follows the value.
pub fn document(text: &[u8]) -> Result<Span, ScanError> {
    let span = value(text, 0)?;
    let mut cursor = Cursor::new(text, span.end());
    cursor.finish()?;
    Ok(span)
}

/// Refuses texts whose offsets do not fit a [`Span`].
pub(crate) fn check_size(text: &[u8]) -> Result<(), ScanError> {
    if i32::try_from(text.len()).is_err() {
        return Err(ScanError::TooLong);
    }
    Ok(())
}

/// Refuses a span that is not UTF-8, naming the first bad byte.
pub(crate) fn check_utf8(text: &[u8], span: Span) -> Result<(), ScanError> {
    match std::str::from_utf8(span.of(text)) {
        Ok(_) => Ok(()),
        Err(error) => Err(ScanError::Utf8 { at: span.start() + error.valid_up_to() }),
    }
}

#[cfg(test)]
mod tests;
