//! The chunked transfer coding (RFC 9112 section 7.1), decoded strictly and without I/O.
//!
//! Called by the answer's body with whatever has arrived; data leaves as slices of the input.
//! Anything that another reader could understand differently is an error: the connection is then closed.

use bytes::{Buf, Bytes, BytesMut};

/// Bytes of one chunk-size line, extensions included.
const SIZE_LINE: usize = 256;
/// Bytes of the trailer section.
const TRAILERS: usize = 8 * 1024;
/// Digits of a chunk size: more than any body, less than what overflows.
const SIZE_DIGITS: usize = 15;

/// Where in the coding the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Size,
    Data(u64),
    DataEnd,
    Trailers(usize),
    End,
}

/// One step of decoding.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Bytes of the body, never empty.
    Data(Bytes),
    /// Nothing more without more input.
    More,
    /// The body is complete; what remains in the input is not part of it.
    End,
}

/// A body's decoder.
#[derive(Debug)]
pub(super) struct Chunked(At);

impl Chunked {
    pub(super) fn new() -> Self {
        Self(At::Size)
    }

    /// Takes from `input` what it can, at most one slice of data at a time.
    pub(super) fn step(&mut self, input: &mut BytesMut) -> Result<Step, &'static str> {
        loop {
            match self.0 {
                At::Size => {
                    let Some(end) = line_end(input, SIZE_LINE, "a chunk-size line is too long")? else {
                        return Ok(Step::More);
                    };
                    let size = chunk_size(&input[..end])?;
                    input.advance(end + 2);
                    self.0 = if size == 0 { At::Trailers(TRAILERS) } else { At::Data(size) };
                }
                At::Data(left) => {
                    if input.is_empty() {
                        return Ok(Step::More);
                    }
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                    let left = left - take as u64;
                    self.0 = if left == 0 { At::DataEnd } else { At::Data(left) };
                    return Ok(Step::Data(input.split_to(take).freeze()));
                }
                At::DataEnd => {
                    match input[..] {
                        [] | [b'\r'] => return Ok(Step::More),
                        [b'\r', b'\n', ..] => {}
                        _ => return Err("a chunk does not end where its size says"),
                    }
                    input.advance(2);
                    self.0 = At::Size;
                }
                At::Trailers(budget) => {
                    let Some(end) = line_end(input, budget, "the trailers are too long")? else {
                        return Ok(Step::More);
                    };
                    input.advance(end + 2);
                    self.0 = if end == 0 { At::End } else { At::Trailers(budget.saturating_sub(end + 2)) };
                }
                At::End => return Ok(Step::End),
            }
        }
    }
}

impl Chunked {
    /// The whole body, where all of it is in `input`, which is then consumed up to the body's end. Otherwise nothing is.
    pub(super) fn whole(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, &'static str> {
        // Cheap look before the work: a complete body ends with the last chunk and an empty line.
        if !input.ends_with(b"0\r\n\r\n") {
            return Ok(None);
        }
        let (mut decoder, mut rest, mut only, mut joined) = (Self(self.0), input.clone(), None, BytesMut::new());
        loop {
            match decoder.step(&mut rest)? {
                Step::Data(data) => match only.take() {
                    None if joined.is_empty() => only = Some(data),
                    first => {
                        joined.extend_from_slice(&first.unwrap_or_default());
                        joined.extend_from_slice(&data);
                    }
                },
                Step::More => return Ok(None),
                Step::End => {
                    *self = decoder;
                    input.advance(input.len() - rest.len());
                    return Ok(Some(only.unwrap_or_else(|| joined.freeze())));
                }
            }
        }
    }

    /// Whether nothing but the end of the body remains; consumes that end.
    pub(super) fn take_end(&mut self, input: &mut BytesMut) -> bool {
        match input[..] {
            [b'\r', b'\n', b'0', b'\r', b'\n', b'\r', b'\n', ..] if self.0 == At::DataEnd => {
                input.advance(7);
                self.0 = At::End;
                true
            }
            _ => false,
        }
    }
}

/// The position of CR LF, where the line is complete. A bare CR or LF is an error, and so is a longer line.
fn line_end(input: &[u8], bound: usize, too_long: &'static str) -> Result<Option<usize>, &'static str> {
    match memchr::memchr2(b'\r', b'\n', input) {
        Some(at) if at > bound => Err(too_long),
        Some(at) if input[at] == b'\n' => Err("a line of the chunked coding ends with a bare LF"),
        Some(at) => match input.get(at + 1) {
            Some(b'\n') => Ok(Some(at)),
            Some(_) => Err("a line of the chunked coding contains a bare CR"),
            None => Ok(None),
        },
        None if input.len() > bound => Err(too_long),
        None => Ok(None),
    }
}

/// The size of a chunk-size line; extensions are allowed and ignored, as the RFC asks.
fn chunk_size(line: &[u8]) -> Result<u64, &'static str> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if digits == 0 || digits > SIZE_DIGITS {
        return Err("a chunk size is not a number");
    }
    let rest = line[digits..].trim_ascii_start();
    if !rest.is_empty() && rest[0] != b';' {
        return Err("a chunk size is followed by something else than an extension");
    }
    if rest.contains(&0) {
        return Err("a chunk extension contains NUL");
    }
    // At most 15 hexadecimal digits always fit into 64 bits.
    Ok(line[..digits].iter().fold(0, |size, byte| size * 16 + u64::from(hex(*byte))))
}

fn hex(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => byte - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The decoded body and what was left over; `None` while it is incomplete.
    type Decoded = Option<(Vec<u8>, Vec<u8>)>;

    /// Feeds `pieces` one after the other.
    fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Decoded, &'static str> {
        let (mut decoder, mut input, mut body) = (Chunked::new(), BytesMut::new(), Vec::new());
        for piece in pieces {
            input.extend_from_slice(piece);
            while let Step::Data(data) = decoder.step(&mut input)? {
                assert!(!data.is_empty());
                body.extend_from_slice(&data);
            }
        }
        Ok((decoder.0 == At::End).then(|| (body, input.to_vec())))
    }

    #[test]
    fn a_body_is_the_same_however_it_is_split() {
        let wire: &[u8] = b"5\r\nhello\r\nA;name=\"v\"\r\n, world!!\n\r\n0\r\nX-T: 1\r\n\r\nNEXT";
        for at in 0..=wire.len() {
            let (body, rest) = decode([&wire[..at], &wire[at..]]).unwrap().unwrap();
            assert_eq!((&body[..], &rest[..]), (&b"hello, world!!\n"[..], &b"NEXT"[..]), "split at {at}");
        }
        let (body, _) = decode(wire.chunks(1)).unwrap().unwrap();
        assert_eq!(body, b"hello, world!!\n");
    }

    #[test]
    fn ambiguous_coding_is_refused() {
        for wire in [
            &b"5\nhello\r\n0\r\n\r\n"[..],
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhelloX\r\n0\r\n\r\n",
            b"5 x\r\nhello\r\n0\r\n\r\n",
            b"-5\r\nhello\r\n0\r\n\r\n",
            b"+5\r\nhello\r\n0\r\n\r\n",
            b"0x5\r\nhello\r\n0\r\n\r\n",
            b"\r\n",
            b";x\r\n",
            b"5\rhello\r\n",
            b"1000000000000000\r\n",
            b"0\r\nX: 1\n\r\n",
        ] {
            assert!(decode([wire]).is_err(), "{}", wire.escape_ascii());
            assert!(decode(wire.chunks(1)).is_err(), "{} byte by byte", wire.escape_ascii());
        }
    }

    #[test]
    fn lines_and_trailers_are_bounded() {
        let long = [&b"5;"[..], &[b'x'; 300]].concat();
        assert!(decode([&long[..]]).is_err());
        let trailers = [&b"0\r\n"[..], &b"a: b\r\n".repeat(TRAILERS / 6 + 2)].concat();
        assert!(decode([&trailers[..]]).is_err());
        assert!(decode([&b"0\r\n"[..], &[b'x'; TRAILERS + 1]]).is_err());
    }

    #[test]
    fn a_cut_body_is_not_complete() {
        let wire: &[u8] = b"5\r\nhello\r\n0\r\n\r\n";
        for at in 0..wire.len() {
            assert_eq!(decode([&wire[..at]]).unwrap(), None, "cut at {at}");
        }
    }
}
