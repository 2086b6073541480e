//! The head of the chain, kept apart from its lines.

use std::io::Write as _;

use super::{Hash, Link, hex, read_hex};

/// What was written last, and what is kept from when on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The last line that is known to be on the disk.
    pub link: Link,
    /// The number of the first line of the oldest file that is kept; 0 where nothing was ever taken away.
    pub from: u64,
    /// Bytes of the file that is written, up to the end of that line.
    pub length: u64,
}

impl Head {
    /// Bytes of a head as it is written: one is written over another.
    pub const BYTES: usize = 224;

    /// The head as a line of JSON, filled up with spaces so that all have the same length.
    #[must_use]
    pub fn to_line(&self) -> String {
        let mut line = Vec::with_capacity(Self::BYTES);
        // Writing to memory cannot fail.
        _ = write!(line, r#"{{"number":{},"hash":""#, self.link.number);
        line.extend_from_slice(&hex(&self.link.hash));
        _ = write!(line, r#"","from":{},"length":{}}}"#, self.from, self.length);
        line.resize(Self::BYTES - 1, b' ');
        line.push(b'\n');
        String::from_utf8(line).unwrap_or_default()
    }

    /// Reads one; `None` where it is none.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Self> {
        let value: serde_json::Value = serde_json::from_slice(text).ok()?;
        let number = |name: &str| value.get(name)?.as_u64();
        let hash: Hash = read_hex(value.get("hash")?.as_str()?.as_bytes())?;
        Some(Self { link: Link { number: number("number")?, hash }, from: number("from")?, length: number("length")? })
    }
}
