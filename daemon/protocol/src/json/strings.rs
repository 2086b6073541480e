//! JSON strings: decoding, encoding and comparing, on raw text that was already validated.
//! Called wherever a string of a message is read or one is written into it.
//! Must hold: a lone surrogate decodes to U+FFFD, so two keys that any reader could confuse compare equal.

use std::borrow::Cow;
use std::io::Write as _;

/// The text of a raw JSON string (with or without its quotes). Borrowed unless it holds escapes.
/// Lone surrogates, which RFC 8259 allows and UTF-8 cannot hold, become U+FFFD; see [`has_lone_surrogate`].
#[must_use]
pub fn decode_str(raw: &[u8]) -> Cow<'_, str> {
    let inner = unquoted(raw);
    if memchr::memchr(b'\\', inner).is_none() {
        return std::str::from_utf8(inner).map_or_else(|_| String::from_utf8_lossy(inner), Cow::Borrowed);
    }
    let mut text = String::with_capacity(inner.len());
    walk(inner, &mut |piece| match piece {
        Piece::Plain(bytes) => text.push_str(&String::from_utf8_lossy(bytes)),
        Piece::Char(char) => text.push(char),
        Piece::LoneSurrogate => text.push(char::REPLACEMENT_CHARACTER),
    });
    Cow::Owned(text)
}

/// Whether a raw JSON string holds half of a surrogate pair: readers disagree about what such a string is.
#[must_use]
pub fn has_lone_surrogate(raw: &[u8]) -> bool {
    let mut found = false;
    if memchr::memchr(b'\\', raw).is_some() {
        walk(unquoted(raw), &mut |piece| {
            found |= matches!(piece, Piece::LoneSurrogate);
        });
    }
    found
}

/// Whether a raw JSON value is a string that decodes to `text`. Allocates only when the string holds escapes.
#[must_use]
pub fn str_eq(raw: &[u8], text: &str) -> bool {
    let Some(inner) = raw.strip_prefix(b"\"") else {
        return false;
    };
    let inner = inner.strip_suffix(b"\"").unwrap_or(inner);
    inner == text.as_bytes() && !inner.contains(&b'\\')
        || memchr::memchr(b'\\', inner).is_some() && decode_str(raw) == text
}

/// `text` as a JSON string with its quotes; escapes only what RFC 8259 demands.
#[must_use]
pub fn encode_str(text: &str) -> String {
    let mut raw = Vec::with_capacity(text.len() + 2);
    push_str(&mut raw, text);
    // Nothing is taken apart but between characters.
    String::from_utf8(raw).unwrap_or_default()
}

/// Appends `text` as [`encode_str`] gives it.
pub fn push_str(raw: &mut Vec<u8>, text: &str) {
    raw.push(b'"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        raw.extend_from_slice(&text.as_bytes()[plain..at]);
        plain = at + 1;
        match byte {
            b'"' => raw.extend_from_slice(b"\\\""),
            b'\\' => raw.extend_from_slice(b"\\\\"),
            b'\n' => raw.extend_from_slice(b"\\n"),
            b'\r' => raw.extend_from_slice(b"\\r"),
            b'\t' => raw.extend_from_slice(b"\\t"),
            // Writing to memory cannot fail.
            control => _ = write!(raw, "\\u{control:04x}"),
        }
    }
    raw.extend_from_slice(&text.as_bytes()[plain..]);
    raw.push(b'"');
}

fn unquoted(raw: &[u8]) -> &[u8] {
    raw.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(raw)
}

enum Piece<'t> {
    Plain(&'t [u8]),
    Char(char),
    LoneSurrogate,
}

fn walk<'t>(mut rest: &'t [u8], emit: &mut impl FnMut(Piece<'t>)) {
    while let Some(at) = memchr::memchr(b'\\', rest) {
        emit(Piece::Plain(&rest[..at]));
        rest = &rest[at..];
        let (piece, used) = escape(rest);
        emit(piece);
        rest = rest.get(used..).unwrap_or_default();
    }
    emit(Piece::Plain(rest));
}

/// One escape at the start of `rest`, and how many bytes it takes.
fn escape(rest: &[u8]) -> (Piece<'static>, usize) {
    let char = match rest.get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode_escape(rest),
        Some(&byte) => char::from(byte),
        None => char::REPLACEMENT_CHARACTER,
    };
    (Piece::Char(char), 2)
}

fn unicode_escape(rest: &[u8]) -> (Piece<'static>, usize) {
    let Some(first) = code_unit(rest) else {
        return (Piece::LoneSurrogate, 2);
    };
    if let Some(char) = char::from_u32(first) {
        return (Piece::Char(char), 6);
    }
    let second = rest.get(6..).and_then(code_unit).filter(|unit| (0xdc00..0xe000).contains(unit));
    match second {
        Some(second) if first < 0xdc00 => {
            let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            (char::from_u32(code).map_or(Piece::LoneSurrogate, Piece::Char), 12)
        }
        _ => (Piece::LoneSurrogate, 6),
    }
}

/// The value of `\uXXXX` at the start of `rest`.
fn code_unit(rest: &[u8]) -> Option<u32> {
    let digits = rest.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)?))
}
