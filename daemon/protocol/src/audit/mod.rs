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

use std::fmt::Write as _;

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
    pub fn seal(&self, out: &mut Vec<u8>, members: &[u8]) {
        let mut head = String::with_capacity(112);
        // Writing to a String cannot fail.
        _ = write!(head, r#"{{"number":{},"prev":""#, self.number + 1);
        push_hex(&mut head, &self.hash);
        head.push_str("\",");
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(members);
        out.push(b'}');
    }

    /// The link to a line that was sealed with this one and has this hash.
    #[must_use]
    pub const fn next(&self, hash: Hash) -> Self {
        Self { number: self.number + 1, hash }
    }
}

/// Appends a hash in hexadecimal.
pub fn push_hex(out: &mut String, hash: &Hash) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in hash {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
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
