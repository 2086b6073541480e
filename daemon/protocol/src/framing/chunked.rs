//! A chunked body (RFC 9112, section 7.1): sizes, extensions, trailers, and where it ends.
//!
//! The machine gives it lines without their CR LF, and counts the bytes in between by itself.

use super::Refusal;
use super::bytes::is_value;
use super::head::header;

/// Longest line with a chunk's size, its line end included.
const LINE: usize = 256;
/// Extensions of one body, in bytes.
const EXTENSIONS: usize = 4096;
/// Trailers of one body, in bytes, line ends included.
const TRAILER_BYTES: usize = 8192;
/// Trailers of one body, in lines.
const TRAILERS: usize = 32;

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// A line with a size.
    Size,
    /// This many bytes.
    Data(u64),
    /// The line end after a chunk's bytes.
    DataEnd,
    /// Trailers, and the empty line after them.
    Trailer,
}

/// A chunked body as far as it has been seen.
#[derive(Debug)]
pub(super) struct Chunked {
    next: Next,
    total: u64,
    extensions: usize,
    trailers: usize,
    trailer_bytes: usize,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self { next: Next::Size, total: 0, extensions: 0, trailers: 0, trailer_bytes: 0 }
    }

    /// Bytes of the chunk that are still to come; none where a line comes next.
    pub(super) fn data(&self) -> Option<u64> {
        match self.next {
            Next::Data(left) => Some(left),
            _ => None,
        }
    }

    /// Skips bytes of the chunk, at most [`Self::data`].
    pub(super) fn skip(&mut self, bytes: u64) {
        if let Next::Data(left) = self.next {
            let left = left - bytes;
            self.next = if left == 0 { Next::DataEnd } else { Next::Data(left) };
        }
    }

    /// Longest next line, its line end included, and what a longer one is.
    pub(super) fn line_bound(&self) -> (usize, Refusal) {
        match self.next {
            Next::Size => (LINE, Refusal::Chunk),
            Next::DataEnd | Next::Data(_) => (2, Refusal::Chunk),
            Next::Trailer => (TRAILER_BYTES - self.trailer_bytes, Refusal::TrailersTooLarge),
        }
    }

    /// Takes a line; true at the end of the body.
    pub(super) fn line(&mut self, line: &[u8], longest_body: u64) -> Result<bool, Refusal> {
        match self.next {
            Next::Size => self.size(line, longest_body).map(|()| false),
            Next::DataEnd | Next::Data(_) if line.is_empty() => {
                self.next = Next::Size;
                Ok(false)
            }
            Next::DataEnd | Next::Data(_) => Err(Refusal::Chunk),
            Next::Trailer if line.is_empty() => Ok(true),
            Next::Trailer => self.trailer(line).map(|()| false),
        }
    }

    fn size(&mut self, line: &[u8], longest_body: u64) -> Result<(), Refusal> {
        let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
        let (size, extension) = line.split_at(digits);
        if !matches!(extension.first(), None | Some(b';')) || !is_value(extension) {
            return Err(Refusal::Chunk);
        }
        self.extensions += extension.len();
        if self.extensions > EXTENSIONS {
            return Err(Refusal::ChunkExtensions);
        }
        let size = hexadecimal(size).ok_or(Refusal::Chunk)?;
        self.total = self.total.saturating_add(size);
        if self.total > longest_body {
            return Err(Refusal::BodyTooLarge);
        }
        self.next = if size == 0 { Next::Trailer } else { Next::Data(size) };
        Ok(())
    }

    fn trailer(&mut self, line: &[u8]) -> Result<(), Refusal> {
        self.trailers += 1;
        self.trailer_bytes += line.len() + 2;
        if self.trailers > TRAILERS {
            return Err(Refusal::TrailersTooLarge);
        }
        let (name, _) = header(line)?;
        let framing: [&[u8]; 3] = [b"host", b"content-length", b"transfer-encoding"];
        if framing.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden)) {
            return Err(Refusal::Trailer);
        }
        Ok(())
    }
}

/// Up to 16 digits, so that no reader overflows.
fn hexadecimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    let text = std::str::from_utf8(digits).ok()?;
    u64::from_str_radix(text, 16).ok()
}
