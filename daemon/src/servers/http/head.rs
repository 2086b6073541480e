//! The head of an answer: found, parsed and judged without I/O.
//!
//! Called by the exchange. What leaves this module has exactly one meaning: the body's length is
//! certain, and no header of the single connection (RFC 9110 section 7.6.1) is left.

use std::mem::MaybeUninit;
use std::time::Duration;

use bytes::Bytes;

/// Bytes of a head; positions within it fit 16 bits.
pub(super) const HEAD_BYTES: usize = 64 * 1024 - 1;
/// Header lines of a head.
pub(super) const HEADER_LINES: usize = 200;

/// How the end of the body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// Exactly this many bytes.
    Length(u64),
    /// Chunked transfer coding.
    Chunked,
    /// The end of the connection.
    Close,
}

/// A parsed head.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) headers: Headers,
    pub(super) framing: Framing,
    /// Whether the connection may serve another call.
    pub(super) keep_alive: bool,
    /// How long the server says that it keeps an idle connection (`Keep-Alive: timeout=`).
    pub(super) idle: Option<Duration>,
}

/// Finds the end of a head in a growing buffer; each byte is looked at once.
#[derive(Debug, Default)]
pub(super) struct EndOfHead {
    seen: usize,
    line: usize,
}

impl EndOfHead {
    /// The head's length, empty line included, once it is complete in `input`.
    pub(super) fn find(&mut self, input: &[u8]) -> Result<Option<usize>, &'static str> {
        while let Some(found) = memchr::memchr(b'\n', &input[self.seen..]) {
            let at = self.seen + found;
            if at == self.line || input[at - 1] != b'\r' {
                return Err("a line of the head ends with a bare LF");
            }
            self.seen = at + 1;
            if at - 1 == self.line {
                return if at < HEAD_BYTES { Ok(Some(at + 1)) } else { Err("the head is too large") };
            }
            self.line = at + 1;
        }
        self.seen = input.len();
        if input.len() > HEAD_BYTES { Err("the head is too large") } else { Ok(None) }
    }
}

/// Headers of an answer that concern the message and not the connection: positions in the received head.
///
/// `Content-Length` is among those left out: the body knows its length.
#[derive(Debug, Clone, Default)]
pub struct Headers {
    head: Bytes,
    lines: Vec<Line>,
}

#[derive(Debug, Clone, Copy)]
struct Line {
    name: (u16, u16),
    value: (u16, u16),
}

impl Headers {
    /// These, with what belongs to the connection left out already; all of them together are shorter than a head may be.
    pub(super) fn of<'a>(headers: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let (mut head, mut lines) = (Vec::new(), Vec::new());
        let mut put = |part: &[u8]| {
            let start = narrow(head.len());
            head.extend_from_slice(part);
            (start, narrow(head.len()))
        };
        for (name, value) in headers {
            lines.push(Line { name: put(name), value: put(value) });
        }
        Self { head: head.into(), lines }
    }

    /// The first value of `name` (any case), without surrounding space.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// Names as the server wrote them, which are ASCII, with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines.iter().map(|line| (&self.head[range(line.name)], &self.head[range(line.value)]))
    }
}

fn range((start, end): (u16, u16)) -> std::ops::Range<usize> {
    usize::from(start)..usize::from(end)
}

/// Parses a complete head.
pub(super) fn parse(head: Bytes) -> Result<Head, &'static str> {
    let mut lines = [const { MaybeUninit::uninit() }; HEADER_LINES];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, &head, &mut lines);
    // Empty lines before the status line are skipped by httparse, but not by everybody.
    match parsed {
        Ok(httparse::Status::Complete(length)) if length == head.len() && head.starts_with(b"HTTP/") => {}
        Ok(_) => return Err("the head does not start with a status line"),
        Err(httparse::Error::TooManyHeaders) => return Err("the head has too many header lines"),
        Err(_) => return Err("the head is not valid HTTP/1.1"),
    }
    let (Some(status), Some(version)) = (response.code, response.version) else {
        return Err("the status line is incomplete");
    };

    let mut meaning = Meaning::default();
    let mut kept = Vec::with_capacity(response.headers.len());
    for header in response.headers.iter() {
        if !meaning.connection_header(header.name, header.value)? {
            kept.push(Line { name: span(&head, header.name.as_bytes()), value: span(&head, header.value) });
        }
    }
    let framing = meaning.framing(status, version)?;
    let keep_alive = match meaning.keep_alive {
        _ if meaning.close || framing == Framing::Close || meaning.forbidden_body(status) => false,
        asked => version == 1 || asked,
    };
    let mut headers = Headers { head, lines: kept };
    if meaning.lists_others {
        meaning.strip_listed(&mut headers);
    }
    Ok(Head { status, headers, framing, keep_alive, idle: meaning.idle })
}

fn narrow(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

/// Where `part` lies within `head`, which is shorter than 64 KiB.
fn span(head: &Bytes, part: &[u8]) -> (u16, u16) {
    let start = (part.as_ptr() as usize).saturating_sub(head.as_ptr() as usize);
    // An empty value may be a static slice from anywhere.
    if part.is_empty() { (0, 0) } else { (narrow(start), narrow(start + part.len())) }
}

/// What the headers of the connection say, taken together.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of one head")]
struct Meaning {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    lists_others: bool,
    listed: Vec<String>,
    idle: Option<Duration>,
}

impl Meaning {
    /// Notes a header that concerns the connection alone; `false` for all others.
    fn connection_header(&mut self, name: &str, value: &[u8]) -> Result<bool, &'static str> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        match name.len() {
            14 if is("content-length") => {
                let length = decimal(value).ok_or("Content-Length is not a number")?;
                if self.length.replace(length).is_some_and(|before| before != length) {
                    return Err("there are two different Content-Length");
                }
            }
            17 if is("transfer-encoding") => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err("Transfer-Encoding is something else than `chunked`");
                }
                self.chunked = true;
            }
            10 if is("connection") => self.connection(value),
            10 if is("keep-alive") => self.idle = idle_seconds(value),
            2 if is("te") => {}
            7 if is("trailer") || is("upgrade") => {}
            16 if is("proxy-connection") => {}
            _ => return Ok(is_hop_by_hop(name)),
        }
        Ok(true)
    }

    fn connection(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if !option.is_empty() {
                self.lists_others = true;
                self.listed.push(String::from_utf8_lossy(option).into_owned());
            }
        }
    }

    fn strip_listed(&self, headers: &mut Headers) {
        let head = headers.head.clone();
        headers.lines.retain(|line| {
            let name = &head[range(line.name)];
            !self.listed.iter().any(|listed| listed.as_bytes().eq_ignore_ascii_case(name))
        });
    }

    /// RFC 9112 section 6.3, with every case refused that two readers could understand differently.
    fn framing(&self, status: u16, version: u8) -> Result<Framing, &'static str> {
        if self.chunked && self.length.is_some() {
            return Err("there are both Content-Length and Transfer-Encoding");
        }
        if self.chunked && version == 0 {
            return Err("HTTP/1.0 has no Transfer-Encoding");
        }
        if bodiless(status) {
            return Ok(Framing::Length(0));
        }
        Ok(match self.length {
            Some(length) => Framing::Length(length),
            None if self.chunked => Framing::Chunked,
            None => Framing::Close,
        })
    }

    /// A body is announced where none may follow: the next answer's start is then uncertain.
    fn forbidden_body(&self, status: u16) -> bool {
        bodiless(status) && status != 304 && (self.chunked || self.length.is_some_and(|length| length > 0))
    }
}

pub(super) fn bodiless(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}

/// Digits only: no sign, no list, no space, at most 18 digits.
fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

fn idle_seconds(value: &[u8]) -> Option<Duration> {
    let mut options = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let seconds = options.find_map(|option| option.strip_prefix(b"timeout="))?;
    decimal(seconds).map(Duration::from_secs)
}

/// Whether a header concerns one connection only, whichever direction it goes.
pub(super) fn is_hop_by_hop(name: &str) -> bool {
    // By length first: nearly all names end here.
    let known: &[&str] = match name.len() {
        2 => &["te"],
        7 => &["trailer", "upgrade"],
        10 => &["connection", "keep-alive"],
        16 => &["proxy-connection"],
        17 => &["transfer-encoding"],
        18 => &["proxy-authenticate"],
        19 => &["proxy-authorization"],
        _ => return false,
    };
    known.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Head, &'static str> {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        match EndOfHead::default().find(&bytes)? {
            Some(end) if end == bytes.len() => parse(bytes),
            other => panic!("the head ends at {other:?}"),
        }
    }

    #[test]
    fn framing_follows_rfc_9112() {
        for (text, framing, keep_alive) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Framing::Length(5), true),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nContent-Length: 5\r\n\r\n", Framing::Length(5), true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n", Framing::Length(5), false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", Framing::Chunked, true),
            ("HTTP/1.1 200\r\n\r\n", Framing::Close, false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", Framing::Length(5), false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive\r\n\r\n", Framing::Length(5), true),
            ("HTTP/1.1 204 No Content\r\n\r\n", Framing::Length(0), true),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", Framing::Length(0), false),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", Framing::Length(0), true),
        ] {
            let head = head(text).unwrap();
            assert_eq!((head.framing, head.keep_alive), (framing, keep_alive), "{text}");
        }
    }

    #[test]
    fn ambiguous_heads_are_refused() {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\n: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: \u{0}\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "\r\n",
            "SSH-2.0-x\r\n\r\n",
        ] {
            assert!(head(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_bare_lf_is_refused_wherever_it_stands() {
        for text in ["HTTP/1.1 200 OK\n\r\n", "\n", "HTTP/1.1 200 OK\r\nA: 1\n\r\n", "HTTP/1.1 200 OK\r\n\n"] {
            assert!(EndOfHead::default().find(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_end_is_found_however_the_head_is_split() {
        let text = b"HTTP/1.1 200 OK\r\nA: 1\r\n\r\nbody\n";
        for at in 0..25 {
            let mut end = EndOfHead::default();
            assert_eq!(end.find(&text[..at]), Ok(None), "split at {at}");
            assert_eq!(end.find(text), Ok(Some(25)), "split at {at}");
        }
    }

    #[test]
    fn heads_are_bounded() {
        let long = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(HEAD_BYTES));
        assert!(EndOfHead::default().find(long.as_bytes()).is_err());
        let longest = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(HEAD_BYTES - 24));
        assert_eq!(longest.len(), HEAD_BYTES);
        assert_eq!(head(&longest).unwrap().headers.get("a").unwrap().len(), HEAD_BYTES - 24);
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: 1\r\n".repeat(HEADER_LINES + 1));
        assert_eq!(head(&many).unwrap_err(), "the head has too many header lines");
    }

    #[test]
    fn headers_of_the_connection_do_not_pass() {
        let head = head(
            "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nConnection: keep-alive, X-Own\r\nx-own: 1\r\nEmpty:\r\n\
             Keep-Alive: timeout=5, max=9\r\nTE: trailers\r\nTrailer: x\r\nUpgrade: h2c\r\nProxy-Connection: a\r\n\
             Proxy-Authenticate: b\r\nContent-Length: 0\r\nMcp-Session-Id:  s \r\n\r\n",
        )
        .unwrap();
        let left: Vec<_> = head.headers.iter().collect();
        let expected: [(&[u8], &[u8]); 3] = [(b"Content-Type", b"a/b"), (b"Empty", b""), (b"Mcp-Session-Id", b"s")];
        assert_eq!(left, expected);
        assert_eq!(head.idle, Some(Duration::from_secs(5)));
        assert_eq!(head.headers.get("mcp-session-id"), Some(&b"s"[..]));
    }
}
