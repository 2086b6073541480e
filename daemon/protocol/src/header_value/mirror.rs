//! The three standard headers of a modern request against its body.
//! Called before anything is decided on headers or body.
//! Must hold: the order of checks is version, method, name, as peers of the same revision report them.

use std::borrow::Cow;
use std::fmt;

use super::decode;
use crate::envelope::{Envelope, Shape};
use crate::json;
use crate::method::Method;

/// The raw header values of a request. A header that stands twice must be refused before: see [`Fault::Repeated`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Mirrored<'h> {
    /// `MCP-Protocol-Version`
    pub version: Option<&'h [u8]>,
    /// `Mcp-Method`
    pub method: Option<&'h [u8]>,
    /// `Mcp-Name`
    pub name: Option<&'h [u8]>,
}

/// A header and what is wrong with it: HTTP 400 with [`crate::error::HEADER_MISMATCH`]. Its text never quotes a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderMismatch {
    /// The header's name.
    pub header: Cow<'static, str>,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is required and absent.
    Missing,
    /// It holds characters that it may not hold, or a broken wrapping.
    Malformed,
    /// It says something else than the body.
    Differs,
    /// It stands twice: readers would disagree which one counts.
    Repeated,
    /// It is there, and the body has no such value.
    Unfounded,
}

impl HeaderMismatch {
    /// The fault of a header.
    #[must_use]
    pub fn new(header: impl Into<Cow<'static, str>>, fault: Fault) -> Self {
        Self { header: header.into(), fault }
    }
}

impl fmt::Display for HeaderMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = &self.header;
        match self.fault {
            Fault::Missing => write!(f, "Header mismatch: {header} is missing; send the value that the body has."),
            Fault::Malformed => {
                write!(f, "Header mismatch: {header} is malformed; wrap unsafe values as =?base64?...?=.")
            }
            Fault::Differs => write!(f, "Header mismatch: {header} does not match the value in the body."),
            Fault::Repeated => write!(f, "Header mismatch: {header} appears more than once; send it once."),
            Fault::Unfounded => write!(f, "Header mismatch: {header} is present, but the body has no such value."),
        }
    }
}

impl std::error::Error for HeaderMismatch {}

const VERSION: &str = "MCP-Protocol-Version";
const METHOD: &str = "Mcp-Method";
const NAME: &str = "Mcp-Name";

/// Whether the headers of a modern message mirror its body. All are required of a request; of a notification, for
/// which the revision defines none, only those that are there are compared, and a version only where the body has one. A value that is missing in the *body* is
/// not judged here: see [`Envelope::missing_meta`].
///
/// # Errors
/// The first header that is missing, malformed or different.
pub fn mirrors(headers: &Mirrored<'_>, envelope: &Envelope, text: &[u8]) -> Result<(), HeaderMismatch> {
    let required = envelope.shape == Shape::Request;
    // A version that is no string differs from every header.
    let version = envelope.protocol_version.map(|_| envelope.protocol_version_str(text).unwrap_or_default());
    if version.is_some() || required {
        compare(VERSION, headers.version, version.as_deref(), required, plain)?;
    }
    let method = envelope.method_str(text);
    compare(METHOD, headers.method, method.as_deref(), required, plain)?;
    if !envelope.known_method.is_some_and(Method::needs_name_header) {
        return Ok(());
    }
    let name = envelope.target(text).map(|name| json::decode_str(name.of(text)));
    compare(NAME, headers.name, name.as_deref(), required, decode)
}

type Read = fn(&[u8]) -> Option<Cow<'_, str>>;

/// Version and method are never wrapped.
fn plain(header: &[u8]) -> Option<Cow<'_, str>> {
    let header = std::str::from_utf8(header).ok()?;
    header.bytes().all(|byte| matches!(byte, 0x20..=0x7e | b'\t')).then(|| header.trim_matches([' ', '\t']).into())
}

fn compare(
    name: &'static str,
    header: Option<&[u8]>,
    body: Option<&str>,
    required: bool,
    read: Read,
) -> Result<(), HeaderMismatch> {
    let wrong = |fault| Err(HeaderMismatch::new(name, fault));
    match (header, body) {
        (None, Some(_)) if required => wrong(Fault::Missing),
        (None, _) => Ok(()),
        (Some(_), None) => wrong(Fault::Unfounded),
        (Some(header), Some(body)) => match read(header) {
            None => wrong(Fault::Malformed),
            Some(value) if value == body => Ok(()),
            Some(_) => wrong(Fault::Differs),
        },
    }
}
