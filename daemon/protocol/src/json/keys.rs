//! Uniqueness of an object's decoded keys, for all objects that are open at once.
//! Called through [`KeySink`] by the cursor, and by the envelope for the levels that it walks itself.
//! Must hold: no allocation up to [`INLINE`] keys and objects, and no input makes it slower than hashing its bytes once.

use std::borrow::Cow;
use std::collections::HashSet;

use super::cursor::KeySink;
use super::{Fault, Span, decode_str};
use crate::envelope::ScanError;

/// Keys and objects that are kept without allocation.
const INLINE: usize = 32;
/// Up to this many keys, comparing each with each is cheaper than hashing.
const PAIRWISE: usize = 16;

/// A key of an object, with its quotes, and whether it holds escapes: start in the lower half, length above it, the
/// flag in the highest bit. One word stays in a register on its way through the scanner; three fields do not.
#[derive(Clone, Copy, Default)]
pub(crate) struct Key(u64);

const ESCAPED: u64 = 1 << 63;

impl Key {
    #[inline]
    pub(crate) fn new(start: usize, end: usize, escaped: bool) -> Self {
        // Texts of 2 GiB are refused, so both numbers have 31 bits.
        Self(start as u64 | ((end - start) as u64) << 32 | u64::from(escaped) << 63)
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the number has 31 bits, see `new`")]
    pub(crate) fn at(self) -> usize {
        (self.0 & u64::from(u32::MAX)) as usize
    }

    #[inline]
    fn len(self) -> usize {
        ((self.0 & !ESCAPED) >> 32) as usize
    }

    #[inline]
    fn is_escaped(self) -> bool {
        self.0 & ESCAPED != 0
    }

    #[inline]
    pub(crate) fn span(self) -> Span {
        Span::new(self.at(), self.at() + self.len())
    }

    /// The key as its reader will see it, without quotes.
    #[inline]
    pub(crate) fn decoded(self, text: &[u8]) -> Cow<'_, [u8]> {
        if self.is_escaped() {
            return self.unescaped(text);
        }
        Cow::Borrowed(self.raw(text))
    }

    #[cold]
    fn unescaped(self, text: &[u8]) -> Cow<'_, [u8]> {
        match decode_str(self.span().of(text)) {
            Cow::Borrowed(key) => Cow::Borrowed(key.as_bytes()),
            Cow::Owned(key) => Cow::Owned(key.into_bytes()),
        }
    }

    /// A number that equal keys without escapes share and others seldom do: of length, first and last byte.
    #[inline]
    fn sort(self, text: &[u8]) -> u32 {
        let byte = |at: usize| text.get(at).map_or(0, |&byte| u32::from(byte));
        // Of an empty key these are its quotes.
        let (first, last) = (byte(self.at() + 1), byte(self.at() + self.len() - 2));
        first + 7 * last + 5 * u32::from(self.len().to_le_bytes()[0])
    }

    #[inline]
    fn raw(self, text: &[u8]) -> &[u8] {
        text.get(self.at() + 1..self.at() + self.len() - 1).unwrap_or_default()
    }
}

/// The keys of all open objects, outermost first. Before the first key of each object stands an entry that is no key:
/// where the keys of the object around it begin.
pub(crate) struct Keys {
    inline: [Key; INLINE],
    /// All entries, once there are more than fit `inline`, else empty.
    spilled: Vec<Key>,
    len: usize,
    /// Where the keys of the innermost object begin.
    base: usize,
}

impl Keys {
    #[inline]
    pub(crate) fn new() -> Self {
        Self { inline: [Key(0); INLINE], spilled: Vec::new(), len: 0, base: 0 }
    }

    #[inline]
    fn entries(&self) -> &[Key] {
        if self.spilled.is_empty() { &self.inline[..self.len] } else { &self.spilled }
    }

    #[inline]
    fn push(&mut self, entry: Key) {
        if self.len < INLINE {
            self.inline[self.len] = entry;
        } else {
            self.spill(entry);
        }
        self.len += 1;
    }

    #[cold]
    fn spill(&mut self, entry: Key) {
        if self.spilled.is_empty() {
            self.spilled.extend_from_slice(&self.inline[..self.len]);
        }
        self.spilled.push(entry);
    }

    #[inline]
    fn truncate(&mut self, len: usize) {
        // The first entries of a spilled list still stand in `inline`.
        if !self.spilled.is_empty() {
            self.spilled.truncate(if len <= INLINE { 0 } else { len });
        }
        self.len = len;
    }
}

impl KeySink for Keys {
    #[inline]
    fn open(&mut self) {
        self.push(Key(self.base as u64));
        self.base = self.len;
    }

    #[inline]
    fn key(&mut self, key: Key) {
        self.push(key);
    }

    #[inline]
    fn close(&mut self, text: &[u8]) -> Result<(), Fault> {
        let outer = self.base - 1;
        let (before, keys) = self.entries().split_at(self.base);
        let outer_base = before[outer].at();
        if let Some(key) = repeated(text, keys) {
            return Err(ScanError::DuplicateKey { at: key.at() }.into());
        }
        self.truncate(outer);
        self.base = outer_base;
        Ok(())
    }
}

/// The first key that an earlier one already was, if any.
#[inline]
fn repeated(text: &[u8], keys: &[Key]) -> Option<Key> {
    if keys.len() > PAIRWISE {
        return repeated_hashed(text, keys);
    }
    // One bit per sort of key: only a key whose bit is taken can be one of the earlier.
    let mut sorts = 0_u64;
    for (index, &key) in keys.iter().enumerate() {
        if key.is_escaped() {
            return repeated_hashed(text, keys);
        }
        let sort = 1_u64.rotate_left(key.sort(text));
        if sorts & sort != 0 && stands_in(text, key, &keys[..index]) {
            return Some(key);
        }
        sorts |= sort;
    }
    None
}

fn stands_in(text: &[u8], key: Key, earlier: &[Key]) -> bool {
    let raw = key.raw(text);
    earlier.iter().any(|earlier| earlier.raw(text) == raw)
}

/// The standard library's hash is keyed at random, so a flood of colliding keys cannot be prepared.
#[cold]
fn repeated_hashed(text: &[u8], keys: &[Key]) -> Option<Key> {
    let mut seen = HashSet::with_capacity(keys.len());
    keys.iter().copied().find(|key| !seen.insert(key.decoded(text)))
}
