//! What ties a line to the one before it.

use super::{Hash, read_hex};

/// Number and link of a line, read from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joint {
    /// Its own number.
    pub number: u64,
    /// The hash of the line before; `None` in lines of versions that had no chain.
    pub prev: Option<Hash>,
}

impl Joint {
    /// Reads a line as [`Link::seal`](super::Link::seal) writes it, or as versions before the chain did.
    #[must_use]
    pub fn read(line: &[u8]) -> Option<Self> {
        let rest = line.strip_prefix(br#"{"number":"#)?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number: u64 = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
        if rest[0] == b'0' && digits > 1 || line.last() != Some(&b'}') {
            return None;
        }
        let Some(rest) = rest[digits..].strip_prefix(br#","prev":""#) else {
            // An old line must be JSON: nothing else speaks for it.
            let old: serde_json::Value = serde_json::from_slice(line).ok()?;
            return old.get("prev").is_none().then_some(Self { number, prev: None });
        };
        let (hash, rest) = rest.split_at_checked(64)?;
        rest.starts_with(b"\",").then_some(())?;
        Some(Self { number, prev: Some(read_hex(hash)?) })
    }
}
