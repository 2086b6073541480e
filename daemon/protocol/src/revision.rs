//! The revisions of MCP and the two eras that they fall into.
//! Called when a request, a session or an upstream server is classified.
//! Must hold: `Ord` follows time; a modern revision never has a handshake, a legacy one always has.

use std::fmt;

use crate::envelope::Envelope;

/// A published revision of MCP, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revision {
    /// 2024-11-05
    V2024_11_05,
    /// 2025-03-26, the only one with batches.
    V2025_03_26,
    /// 2025-06-18
    V2025_06_18,
    /// 2025-11-25
    V2025_11_25,
    /// 2026-07-28
    V2026_07_28,
}

/// How a conversation carries its version and capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Era {
    /// By an `initialize` handshake, once per session.
    Legacy,
    /// In `_meta` of every request.
    Modern,
}

/// The newest revision with a handshake.
pub const LATEST_LEGACY: Revision = Revision::V2025_11_25;
/// The newest revision without a handshake.
pub const MODERN: Revision = Revision::V2026_07_28;
/// What a legacy client speaks that sends no `MCP-Protocol-Version`.
pub const ASSUMED: Revision = Revision::V2025_03_26;

impl Revision {
    /// All revisions, oldest first.
    pub const ALL: [Self; 5] =
        [Self::V2024_11_05, Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25, Self::V2026_07_28];

    /// The revision of this date, exactly as written in the protocol; `None` for one that the gate does not know.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|revision| revision.as_str() == text)
    }

    /// The date, as written in the protocol.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// Its place in [`Revision::ALL`].
    #[must_use]
    pub const fn place(self) -> usize {
        self as usize
    }

    /// The era of this revision.
    #[must_use]
    pub fn era(self) -> Era {
        if self >= MODERN { Era::Modern } else { Era::Legacy }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Era {
    /// The era that this one is not.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Legacy => Self::Modern,
            Self::Modern => Self::Legacy,
        }
    }

    /// The era of a posted message. `header` is the value of `MCP-Protocol-Version`.
    ///
    /// A version in `_meta` makes a message modern even when that version is unknown, and so does a header that names
    /// anything but a legacy revision: what is missing or differs is then refused by the rules of the modern era, whose
    /// errors say more. Everything else is legacy.
    #[must_use]
    pub fn of_request(header: Option<&str>, envelope: &Envelope, text: &[u8]) -> Self {
        match header {
            Some(header) if Self::of_header(header) == Self::Modern => Self::Modern,
            _ if claims_version(envelope, text) => Self::Modern,
            _ => Self::Legacy,
        }
    }

    /// The era that a value of `MCP-Protocol-Version` alone speaks for: everything but a known legacy revision is modern.
    #[must_use]
    pub fn of_header(version: &str) -> Self {
        Revision::parse(version).map_or(Self::Modern, Revision::era)
    }
}

/// Null is no claim.
fn claims_version(envelope: &Envelope, text: &[u8]) -> bool {
    envelope.protocol_version.is_some_and(|version| version.of(text) != b"null")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::scan;

    fn era(header: Option<&str>, text: &str) -> Era {
        let envelope = scan(text.as_bytes()).expect("the test's message is valid");
        Era::of_request(header, &envelope, text.as_bytes())
    }

    const BARE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    const MODERN_META: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":
        {"io.modelcontextprotocol/protocolVersion":"1900-01-01"}}}"#;

    #[test]
    fn names_and_order_agree() {
        assert!(Revision::ALL.is_sorted());
        for revision in Revision::ALL {
            assert_eq!(Revision::parse(revision.as_str()), Some(revision));
            assert_eq!(Revision::ALL[revision.place()], revision);
        }
        assert!(Revision::ALL.is_sorted_by_key(|revision| revision.as_str()));
        assert_eq!(Revision::parse("2026-07-29"), None);
        assert_eq!((LATEST_LEGACY.era(), MODERN.era()), (Era::Legacy, Era::Modern));
    }

    #[test]
    fn a_request_without_version_is_legacy() {
        assert_eq!(era(None, BARE), Era::Legacy);
        assert_eq!(era(Some("2025-06-18"), BARE), Era::Legacy);
    }

    #[test]
    fn body_or_header_can_make_it_modern() {
        assert_eq!(era(Some("2026-07-28"), BARE), Era::Modern);
        assert_eq!(era(Some("2031-01-01"), BARE), Era::Modern);
        assert_eq!(era(None, MODERN_META), Era::Modern);
    }

    #[test]
    fn an_unknown_header_is_answered_by_the_modern_rules() {
        assert_eq!(era(Some("nonsense"), BARE), Era::Modern);
    }

    #[test]
    fn initialize_is_legacy_unless_it_claims_otherwise() {
        let text = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2026-07-28"}}"#;
        assert_eq!(era(None, text), Era::Legacy);
        assert_eq!(era(Some("2026-07-28"), text), Era::Modern);
    }
}
