//! Uniqueness of an object's decoded keys, for all objects that are open at once.
//! Called through [`KeySink`] by the cursor, and by the envelope for the levels that it walks itself.
//! Must hold: no allocation up to [`INLINE`] open keys, and no input makes it slower than hashing its bytes once.

use std::borrow::Cow;
use std::collections::HashSet;

use super::cursor::KeySink;
use super::{Fault, MAX_DEPTH, Span, decode_str};
use crate::envelope::ScanError;

/// Keys that are kept without allocation, over all open objects.
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
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the number has 31 bits, see `new`"
    )]
    pub(crate) fn at(self) -> usize {
        (self.0 & u64::from(u32::MAX)) as usize
    }

    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the number has 31 bits, see `new`"
    )]
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

    #[inline]
    fn raw(self, text: &[u8]) -> &[u8] {
        text.get(self.at() + 1..self.at() + self.len() - 1)
            .unwrap_or_default()
    }
}

/// The keys of all open objects, outermost first.
pub(crate) struct Keys {
    inline: [Key; INLINE],
    spilled: Vec<Key>,
    len: usize,
    /// Where the keys of each open object begin.
    bases: [u32; MAX_DEPTH as usize],
    open: usize,
}

impl Keys {
    pub(crate) fn new() -> Self {
        Self {
            inline: [Key::default(); INLINE],
            spilled: Vec::new(),
            len: 0,
            bases: [0; MAX_DEPTH as usize],
            open: 0,
        }
    }

    fn innermost(&self, base: usize) -> &[Key] {
        if self.spilled.is_empty() {
            &self.inline[base..self.len]
        } else {
            &self.spilled[base..]
        }
    }

    #[cold]
    fn spill(&mut self, key: Key) {
        if self.spilled.is_empty() {
            self.spilled.extend_from_slice(&self.inline[..self.len]);
        }
        self.spilled.push(key);
    }

    fn truncate(&mut self, base: usize) {
        // A spilled list may only be left behind empty: its emptiness says where the keys live.
        if base < INLINE && !self.spilled.is_empty() {
            self.inline[..base].copy_from_slice(&self.spilled[..base]);
            self.spilled.clear();
        }
        self.spilled.truncate(base);
        self.len = base;
    }
}

impl KeySink for Keys {
    #[inline]
    fn open(&mut self) {
        // `Depth` refused a 65th container before it could get here.
        self.bases[self.open] = u32::try_from(self.len).unwrap_or(u32::MAX);
        self.open += 1;
    }

    #[inline]
    fn key(&mut self, key: Key) {
        if self.len < INLINE && self.spilled.is_empty() {
            self.inline[self.len] = key;
        } else {
            self.spill(key);
        }
        self.len += 1;
    }

    #[inline]
    fn close(&mut self, text: &[u8]) -> Result<(), Fault> {
        self.open -= 1;
        let base = self.bases[self.open] as usize;
        let repeated = repeated(text, self.innermost(base));
        self.truncate(base);
        match repeated {
            None => Ok(()),
            Some(key) => Err(ScanError::DuplicateKey { at: key.at() }.into()),
        }
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
        let raw = key.raw(text);
        let sort = 1_u64.rotate_left(sort(raw));
        if sorts & sort != 0 && keys[..index].iter().any(|earlier| earlier.raw(text) == raw) {
            return Some(key);
        }
        sorts |= sort;
    }
    None
}

/// A number that equal keys share and others seldom do: of its length, its first and its last byte.
#[inline]
fn sort(raw: &[u8]) -> u32 {
    let (first, last) = match raw {
        [] => (0, 0),
        [first, .., last] => (*first, *last),
        [only] => (*only, 0),
    };
    u32::from(first) + 7 * u32::from(last) + 5 * u32::from(raw.len().to_le_bytes()[0])
}

/// The standard library's hash is keyed at random, so a flood of colliding keys cannot be prepared.
#[cold]
fn repeated_hashed(text: &[u8], keys: &[Key]) -> Option<Key> {
    let mut seen = HashSet::with_capacity(keys.len());
    keys.iter()
        .copied()
        .find(|key| !seen.insert(key.decoded(text)))
}
