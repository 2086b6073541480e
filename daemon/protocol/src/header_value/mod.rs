//! Header values of the modern era: their wrapping, and whether they mirror the body.
//! Called for every modern request, and by the upstream client that writes such headers.
//! Must hold: a header that passes says exactly what the body says, so routing by either is the same.

mod mirror;
mod param;

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use mirror::{Fault, HeaderMismatch, Mirrored, mirrors};
pub use param::{HeaderParam, ParamType, SchemaFault, check_param, header_params, param_value};

const PREFIX: &str = "=?base64?";
const SUFFIX: &str = "?=";

/// The value as it may stand in a header: itself, or wrapped when it is not plain ASCII, has whitespace at an end, or
/// looks wrapped already.
#[must_use]
pub fn encode(value: &str) -> Cow<'_, str> {
    let plain = value.bytes().all(|byte| matches!(byte, 0x20..=0x7e | b'\t'));
    let trimmed = value.trim_matches([' ', '\t']).len() == value.len();
    if plain && trimmed && unwrapped(value).is_none() {
        return Cow::Borrowed(value);
    }
    Cow::Owned([PREFIX, &STANDARD.encode(value), SUFFIX].concat())
}

/// The value that a header stands for. `None` when it holds characters that no header value may hold, or is wrapped
/// and the inside is not canonical base64 of UTF-8. Whitespace around it belongs to HTTP and is dropped.
#[must_use]
pub fn decode(header: &[u8]) -> Option<Cow<'_, str>> {
    let header = std::str::from_utf8(header).ok()?;
    if !header.bytes().all(|byte| matches!(byte, 0x20..=0x7e | b'\t')) {
        return None;
    }
    let header = header.trim_matches([' ', '\t']);
    let Some(inside) = unwrapped(header) else {
        return Some(Cow::Borrowed(header));
    };
    // The engine refuses stray bits and wrong padding, so one value has one wrapping.
    let bytes = STANDARD.decode(inside).ok()?;
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn unwrapped(value: &str) -> Option<&str> {
    value.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)
}

#[cfg(test)]
mod tests;
