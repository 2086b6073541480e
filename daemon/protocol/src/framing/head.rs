//! The head of a request, line by line: what frames its message, and what makes it ambiguous.
//!
//! The machine gives it each line without its CR LF. It keeps facts, not text: only the host of an
//! absolute request target is held, until the `Host` header has been compared with it.

use super::Refusal;
use super::bytes::{is_token, is_value, is_visible, trim};

/// What is known of a head so far.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// HTTP/1.1; otherwise 1.0.
    is_1_1: bool,
    headers: usize,
    host: bool,
    /// Of an absolute request target.
    authority: Option<Box<[u8]>>,
    length: Option<u64>,
    chunked: bool,
}

/// How the body of a message ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// After this many bytes.
    Length(u64),
    /// With the last chunk.
    Chunked,
}

impl Head {
    /// Takes the request line.
    pub(super) fn request_line(line: &[u8], longest_target: usize) -> Result<Self, Refusal> {
        let (method, rest) = split(line, b' ').ok_or(Refusal::RequestLine)?;
        let (target, version) = split(rest, b' ').ok_or(Refusal::RequestLine)?;
        if target.len() > longest_target {
            return Err(Refusal::TargetTooLong);
        }
        if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) || target.is_empty() {
            return Err(Refusal::RequestLine);
        }
        let is_1_1 = match version {
            b"HTTP/1.1" => true,
            b"HTTP/1.0" => false,
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
                return Err(Refusal::Version);
            }
            _ => return Err(Refusal::RequestLine),
        };
        let authority = authority(method, target)?;
        Ok(Self { is_1_1, authority, ..Self::default() })
    }

    /// Takes one header line.
    pub(super) fn header(&mut self, line: &[u8], most: usize) -> Result<(), Refusal> {
        self.headers += 1;
        if self.headers > most {
            return Err(Refusal::TooManyHeaders);
        }
        let (name, value) = header(line)?;
        // Names are told apart by length first: nearly all lines end here.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.host(value),
            6 if name.eq_ignore_ascii_case(b"expect") => expect(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.transfer_encoding(value),
            _ => Ok(()),
        }
    }

    fn host(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if std::mem::replace(&mut self.host, true) {
            return Err(Refusal::HostRepeated);
        }
        if !value.iter().all(|byte| is_host(*byte)) {
            return Err(Refusal::HostInvalid);
        }
        match &self.authority {
            Some(authority) if !authority.eq_ignore_ascii_case(value) => Err(Refusal::HostConflict),
            _ => Ok(()),
        }
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.length.is_some() {
            return Err(Refusal::LengthRepeated);
        }
        self.length = Some(decimal(value).ok_or(Refusal::LengthInvalid)?);
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if std::mem::replace(&mut self.chunked, true) {
            return Err(Refusal::CodingRepeated);
        }
        if value.eq_ignore_ascii_case(b"chunked") { Ok(()) } else { Err(Refusal::Coding) }
    }

    /// Takes the empty line that ends the head.
    pub(super) fn end(&self, longest_body: u64) -> Result<Body, Refusal> {
        if self.is_1_1 && !self.host {
            return Err(Refusal::HostMissing);
        }
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(Refusal::LengthAndCoding),
            (true, None) if !self.is_1_1 => Err(Refusal::CodingVersion),
            (true, None) => Ok(Body::Chunked),
            (false, Some(length)) if length > longest_body => Err(Refusal::BodyTooLarge),
            (false, length) => Ok(Body::Length(length.unwrap_or(0))),
        }
    }
}

/// Takes a header or trailer line apart: its name, and its value without space around it.
pub(super) fn header(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Refusal::Fold);
    }
    let end = line.iter().position(|byte| !is_token(*byte)).ok_or(Refusal::HeaderName)?;
    if end == 0 || line[end] != b':' {
        return Err(Refusal::HeaderName);
    }
    let value = &line[end + 1..];
    if !is_value(value) {
        return Err(Refusal::HeaderValue);
    }
    Ok((&line[..end], trim(value)))
}

/// The host of an absolute request target; none for a path or `*`.
fn authority(method: &[u8], target: &[u8]) -> Result<Option<Box<[u8]>>, Refusal> {
    if method == b"CONNECT" {
        return Err(Refusal::Connect);
    }
    if !target.iter().all(|byte| is_visible(*byte) && *byte != b'#') {
        return Err(Refusal::Target);
    }
    if target[0] == b'/' || (target == b"*" && method == b"OPTIONS") {
        return Ok(None);
    }
    let rest = strip(target, b"http://").or_else(|| strip(target, b"https://")).ok_or(Refusal::Target)?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let authority = &rest[..end];
    // A name before `@` would make what looks like the host something else.
    if authority.is_empty() || !authority.iter().all(|byte| is_host(*byte)) {
        return Err(Refusal::Target);
    }
    Ok(Some(authority.into()))
}

fn expect(value: &[u8]) -> Result<(), Refusal> {
    if value.eq_ignore_ascii_case(b"100-continue") { Ok(()) } else { Err(Refusal::Expectation) }
}

/// Characters of names, addresses and ports; `,` and `@` above all are not among them.
fn is_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']' | b'%' | b'~')
}

/// Digits only, and few enough that no reader overflows.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let position = memchr::memchr(at, text)?;
    Some((&text[..position], &text[position + 1..]))
}

fn strip<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}
