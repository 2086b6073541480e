//! List results: reading their entries, leaving some out, renaming some, and making one list of many.
//! Called for `tools/list` and its kin, wherever the gate filters or merges.
//! Must hold: what is kept of an entry is kept byte for byte.

mod merged;

use crate::json::{self, Span};
use crate::splice::{self, Edit};

pub use merged::Merged;

/// One entry of a list. Names are raw strings of its own members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// The whole entry.
    pub span: Span,
    /// `name`, when it is a string.
    pub name: Option<Span>,
    /// `uri` of a resource, when it is a string.
    pub uri: Option<Span>,
    /// `uriTemplate` of a resource template, when it is a string.
    pub uri_template: Option<Span>,
}

/// Who may share a cached result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum CacheScope {
    /// Everyone.
    Public,
    /// Only the client that it was made for.
    #[default]
    Private,
}

impl CacheScope {
    /// The value on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
        }
    }
}

/// For how long and for whom a result may be kept. The default is what a server that says nothing gets: not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct CacheHints {
    /// Milliseconds.
    pub ttl_ms: u64,
    /// Who may share it.
    pub scope: CacheScope,
}

impl CacheHints {
    /// What a result made of both may promise: the shorter time, the more private scope.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { ttl_ms: self.ttl_ms.min(other.ttl_ms), scope: self.scope.max(other.scope) }
    }
}

/// The entries under `member` of a list result, in its order. Entries that are no objects are passed over.
#[must_use]
pub fn items(text: &[u8], result: Span, member: &str) -> Vec<Item> {
    let Some(array) = json::get(text, result, member) else {
        return Vec::new();
    };
    json::elements(text, array).filter(|span| span.of(text).starts_with(b"{")).map(|span| item(text, span)).collect()
}

/// One entry that was cut out of a list, or stands in one.
#[must_use]
pub fn item(text: &[u8], span: Span) -> Item {
    let mut item = Item { span, name: None, uri: None, uri_template: None };
    for member in json::members(text, span) {
        let key = member.key.of(text);
        let value = Some(member.value).filter(|value| value.of(text).starts_with(b"\""));
        if json::str_eq(key, "name") {
            item.name = value;
        } else if json::str_eq(key, "uri") {
            item.uri = value;
        } else if json::str_eq(key, "uriTemplate") {
            item.uri_template = value;
        }
    }
    item
}

/// The cursor of the next page, raw. The empty string is a cursor; null is none.
#[must_use]
pub fn next_cursor(text: &[u8], result: Span) -> Option<Span> {
    json::get(text, result, "nextCursor").filter(|cursor| cursor.of(text).starts_with(b"\""))
}

/// `ttlMs`: a whole number of milliseconds that is not negative, else `None`.
#[must_use]
pub fn ttl_ms(text: &[u8], result: Span) -> Option<u64> {
    milliseconds(text, result, "ttlMs")
}

/// A member that is a whole number of milliseconds and not negative, else `None`.
pub(crate) fn milliseconds(text: &[u8], object: Span, key: &str) -> Option<u64> {
    std::str::from_utf8(json::get(text, object, key)?.of(text)).ok()?.parse().ok()
}

/// `cacheScope`; an unknown value counts as absent.
#[must_use]
pub fn cache_scope(text: &[u8], result: Span) -> Option<CacheScope> {
    let raw = json::get(text, result, "cacheScope")?.of(text);
    [CacheScope::Public, CacheScope::Private].into_iter().find(|scope| json::str_eq(raw, scope.as_str()))
}

/// Both hints; what is absent or unreadable is taken as the most cautious value.
#[must_use]
pub fn cache_hints(text: &[u8], result: Span) -> CacheHints {
    CacheHints {
        ttl_ms: ttl_ms(text, result).unwrap_or_default(),
        scope: cache_scope(text, result).unwrap_or_default(),
    }
}

/// The edits that leave out of a list result every entry that `keep` refuses; entries that are no objects go too.
/// Combine them with [`rename`] of entries that stay.
#[must_use]
pub fn retain(text: &[u8], result: Span, member: &str, mut keep: impl FnMut(&Item) -> bool) -> Vec<Edit<'static>> {
    let Some(array) = json::get(text, result, member) else {
        return Vec::new();
    };
    let entries: Vec<(Span, bool)> = json::elements(text, array)
        .map(|span| (span, span.of(text).starts_with(b"{") && keep(&item(text, span))))
        .collect();
    splice::leave_out(&entries)
}

/// The edit that gives a name or a URI another text.
#[must_use]
pub fn rename(value: Span, name: &str) -> Edit<'static> {
    Edit::replace(value, json::encode_str(name).into_bytes())
}

#[cfg(test)]
mod tests;
