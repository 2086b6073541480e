//! Bytes that the guard has read and not passed: a line that has not ended, and what stood before it.
//!
//! hyper would judge half a line by itself, and answer a client without saying why. Where lines arrive whole, nothing
//! is held.

use tokio::io::ReadBuf;

/// Bytes in the order of their arrival.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: Vec<u8>,
    /// How many of them may pass.
    ready: usize,
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Passes what may pass and finds room; whether it was anything.
    pub(super) fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let now = self.ready.min(buf.remaining());
        if now == 0 {
            return false;
        }
        buf.put_slice(&self.bytes[..now]);
        self.ready -= now;
        self.bytes.drain(..now);
        if self.bytes.is_empty() {
            // A connection lives long, and seldom holds anything.
            self.bytes = Vec::new();
        }
        true
    }

    /// Takes bytes that may pass, with all that is held, and then bytes that may not yet.
    pub(super) fn keep(&mut self, pass: &[u8], wait: &[u8]) {
        if !pass.is_empty() {
            self.bytes.extend_from_slice(pass);
            self.ready = self.bytes.len();
        }
        self.bytes.extend_from_slice(wait);
    }
}
