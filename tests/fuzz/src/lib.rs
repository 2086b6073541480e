//! What the targets share: an independent reader of JSON, and choices derived from the input.
//! Called by every target.
//! Must hold: the same input leads to the same choices, so that a finding can be played again.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;
use toolgate_protocol::envelope::{self, Envelope, ScanError};

/// Choices that follow from a text alone: the text stays a plain message, and a finding stays a finding.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Seeded by the text (FNV-1a), and stepped by xorshift64*.
    pub fn of(text: &[u8]) -> Self {
        let hash = text
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        Self(hash | 1)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap_or(0) % bound
    }

    /// The text in pieces, mostly short ones.
    pub fn pieces<'t>(&mut self, text: &'t [u8]) -> Vec<&'t [u8]> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let bound = [1, 3, 17, rest.len()][self.below(4)];
            let (piece, after) = rest.split_at((1 + self.below(bound)).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces
    }
}

/// Whether `serde_json` takes the text for one JSON value. It has no bound on depth here, and lone surrogates pass.
pub fn is_json(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok())
}

/// The members of an object as `serde_json` reads them; none when a key cannot be held in a `String`.
pub fn members(object: &[u8]) -> Option<BTreeMap<Cow<'_, str>, &RawValue>> {
    serde_json::from_slice(object).ok()
}

/// The envelope of a message that the gate made. Only its depth may be refused: every wrapping adds to it.
pub fn made(text: &[u8]) -> Option<Envelope> {
    assert!(is_json(text), "the gate made what is no JSON: {}", text.escape_ascii());
    match envelope::scan(text) {
        Ok(envelope) => Some(envelope),
        Err(ScanError::TooDeep { .. }) => None,
        Err(error) => panic!("the gate made what it refuses itself: {error}: {}", text.escape_ascii()),
    }
}
