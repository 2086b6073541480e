//! `[seal]`: the keys of what others keep for the gate.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroize as _;

/// Keys, and how long each of them counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sealing {
    /// The key that seals; absent: one of the gate's own.
    pub key: Option<SealKey>,
    /// Another one that opens what nodes with it have sealed.
    pub other_key: Option<SealKey>,
    /// How long a key that seals no more still opens.
    pub overlap: Duration,
    /// The age at which the gate's own key is replaced; absent: an operator says when.
    pub rotate_every: Option<Duration>,
}

/// A key of 256 bits; wiped when it is dropped, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SealKey([u8; 32]);

impl SealKey {
    /// A key from secret bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the cipher and for the file of the gate's own keys.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Drop for SealKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
