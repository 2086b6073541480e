//! The chain of the audit log: each line names the SHA-256 of the line before, so that a line that was changed,
//! dropped, moved or put in is found by its number.
//! Called by the daemon, which writes and checks lines, and by the command line, which checks files without it.
//! Must hold: what is written once is never written otherwise; the newest link is also kept apart from the lines (the
//! [`Head`]), so that a tail that was cut is missed.

mod files;
mod head;
mod joint;
mod verify;

pub use files::{HEAD, NAME, in_order, numbered};
pub use head::Head;
pub use joint::Joint;
pub use verify::{Damage, Finding, Hasher, Verdict, Verifier};

use crate::json::push_number;

/// A SHA-256.
pub type Hash = [u8; 32];

/// The line that was written last, which the next one is linked to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its number; 0 before the first.
    pub number: u64,
    /// Of its bytes, without the end of the line; all zero before the first.
    pub hash: Hash,
}

impl Link {
    /// Appends the next line: an object of these members, behind its number and the hash of the line before. The end
    /// of the line is the caller's, who also makes the next link of the line's hash.
    pub fn seal(&self, out: &mut Vec<u8>, members: impl FnOnce(&mut Vec<u8>)) {
        out.extend_from_slice(br#"{"number":"#);
        push_number(out, self.number + 1);
        out.extend_from_slice(br#","prev":""#);
        out.extend_from_slice(&hex(&self.hash));
        out.extend_from_slice(b"\",");
        members(out);
        out.push(b'}');
    }

    /// The link to a line that was sealed with this one and has this hash.
    #[must_use]
    pub const fn next(&self, hash: Hash) -> Self {
        Self { number: self.number + 1, hash }
    }
}

/// A hash in hexadecimal.
#[must_use]
pub fn hex(hash: &Hash) -> [u8; 64] {
    let digit = |half: u8| half + b'0' + (b'a' - b'9' - 1) * u8::from(half > 9);
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(hash) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    text
}

/// Reads 64 hexadecimal digits, in small letters as they are written.
#[must_use]
pub fn read_hex(text: &[u8]) -> Option<Hash> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let text: &[u8; 64] = text.try_into().ok()?;
    let mut hash = Hash::default();
    for (byte, pair) in hash.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests;
