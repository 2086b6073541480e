//! What a listen stream is to carry.
//! Called for each `subscriptions/listen`, and for each notification that might go out on a stream.
//! Must hold: what was not asked for, or the server does not offer, is neither granted nor sent.

use std::collections::HashSet;
use std::fmt;

use super::List;
use crate::bridge::members::{object, whole};
use crate::bridge::request::{self, Declared};
use crate::envelope::Envelope;
use crate::error::INVALID_PARAMS;
use crate::json::{self, Span, decode_str, encode_str};
use crate::method::Method;

/// Resources that one stream may be about.
pub const MAX_URIS: usize = 1_000;

/// Why a filter was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadFilter {
    /// `params.notifications` is no object.
    Absent,
    /// A member of it has a type that it must not have.
    Type(&'static str),
    /// It names more than [`MAX_URIS`] resources.
    TooMany,
}

impl BadFilter {
    /// The JSON-RPC code.
    #[must_use]
    pub const fn code(self) -> i64 {
        INVALID_PARAMS
    }
}

impl fmt::Display for BadFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => write!(f, "`params.notifications` must be an object that says what to listen to."),
            Self::Type(member) => write!(f, "`params.notifications.{member}` has a wrong type."),
            Self::TooMany => {
                write!(f, "One subscription names at most {MAX_URIS} resources; open several for more.")
            }
        }
    }
}

impl std::error::Error for BadFilter {}

/// A set of notifications.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    lists: [bool; 3],
    /// Decoded, in the order of the request, each once.
    pub(super) uris: Vec<String>,
}

impl Filter {
    /// A filter for the lists that `wanted` says, and for these resources.
    #[must_use]
    pub fn new(wanted: impl Fn(List) -> bool, uris: Vec<String>) -> Self {
        Self { lists: List::ALL.map(wanted), uris }
    }

    /// The filter of a `subscriptions/listen`.
    ///
    /// # Errors
    /// See [`BadFilter`]. Members that the gate does not know are passed over: they are not granted.
    pub fn of_request(text: &[u8], envelope: &Envelope) -> Result<Self, BadFilter> {
        let params = envelope.params.ok_or(BadFilter::Absent)?;
        let filter = object(text, params, "notifications").ok_or(BadFilter::Absent)?;
        Self::read(text, filter)
    }

    fn read(text: &[u8], filter: Span) -> Result<Self, BadFilter> {
        let mut lists = [false; 3];
        for list in List::ALL {
            lists[list as usize] = match json::get(text, filter, list.member()).map(|value| value.of(text)) {
                None | Some(b"false" | b"null") => false,
                Some(b"true") => true,
                Some(_) => return Err(BadFilter::Type(list.member())),
            };
        }
        Ok(Self { lists, uris: read_uris(text, filter)? })
    }

    /// What of it a server with these capabilities (raw, of either era) can keep.
    #[must_use]
    pub fn granted(&self, capabilities: &[u8]) -> Self {
        let all = whole(capabilities);
        let offers = |capability: &str, what: &str| {
            let capability = object(capabilities, all, capability);
            let value = capability.and_then(|capability| json::get(capabilities, capability, what));
            value.is_some_and(|value| value.of(capabilities) == b"true")
        };
        let lists = List::ALL.map(|list| self.wants(list) && offers(list.capability(), "listChanged"));
        let uris = if offers("resources", "subscribe") { self.uris.clone() } else { Vec::new() };
        Self { lists, uris }
    }

    /// Takes a resource out: the server refused to subscribe to it.
    pub fn withhold(&mut self, uri: &str) {
        self.uris.retain(|known| known != uri);
    }

    /// Whether changes of this list are in it.
    #[must_use]
    pub const fn wants(&self, list: List) -> bool {
        self.lists[list as usize]
    }

    /// The resources in it.
    #[must_use]
    pub fn uris(&self) -> &[String] {
        &self.uris
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lists == [false; 3] && self.uris.is_empty()
    }

    /// Whether everything of `other` is in it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let known: HashSet<&String> = self.uris.iter().collect();
        List::ALL.iter().all(|list| self.wants(*list) || !other.wants(*list))
            && other.uris.iter().all(|uri| known.contains(uri))
    }

    /// Whether a notification is in it. An update may be of a part of a resource that was asked for.
    #[must_use]
    pub fn matches(&self, text: &[u8], envelope: &Envelope) -> bool {
        match envelope.known_method {
            Some(Method::ResourceUpdated) => {
                envelope.uri_str(text).is_some_and(|uri| self.uris.iter().any(|whole| is_within(&uri, whole)))
            }
            Some(method) => List::of(method).is_some_and(|list| self.wants(list)),
            None => false,
        }
    }

    /// The filter as JSON: only what is in it.
    #[must_use]
    pub fn to_json(&self) -> String {
        let lists = List::ALL.into_iter().filter(|list| self.wants(*list));
        let mut members: Vec<String> = lists.map(|list| format!("\"{}\":true", list.member())).collect();
        if !self.uris.is_empty() {
            let uris: Vec<String> = self.uris.iter().map(|uri| encode_str(uri)).collect();
            members.push(format!("\"resourceSubscriptions\":[{}]", uris.join(",")));
        }
        format!("{{{}}}", members.join(","))
    }

    /// The filter that an acknowledgement grants; nothing when it cannot be read.
    #[must_use]
    pub(super) fn of_acknowledgement(text: &[u8], envelope: &Envelope) -> Self {
        Self::of_request(text, envelope).unwrap_or_default()
    }

    /// The request that opens a stream with this filter. `id` is raw.
    #[must_use]
    pub(super) fn request(&self, id: &[u8], client: &Declared) -> Vec<u8> {
        request::made(id, Method::Listen, client, &[("notifications", self.to_json().as_bytes())])
    }
}

fn read_uris(text: &[u8], filter: Span) -> Result<Vec<String>, BadFilter> {
    let array = match json::get(text, filter, "resourceSubscriptions").map(|array| (array, array.of(text))) {
        None | Some((_, b"null")) => return Ok(Vec::new()),
        Some((array, raw)) if raw.starts_with(b"[") => array,
        Some(_) => return Err(BadFilter::Type("resourceSubscriptions")),
    };
    let (mut uris, mut seen) = (Vec::new(), HashSet::new());
    for uri in json::elements(text, array).map(|uri| uri.of(text)) {
        if !uri.starts_with(b"\"") {
            return Err(BadFilter::Type("resourceSubscriptions"));
        }
        let uri = decode_str(uri).into_owned();
        if seen.insert(uri.clone()) {
            uris.push(uri);
        }
        if uris.len() > MAX_URIS {
            return Err(BadFilter::TooMany);
        }
    }
    Ok(uris)
}

/// Whether a URI is that of a resource or of a part of it.
fn is_within(uri: &str, whole: &str) -> bool {
    let Some(rest) = uri.strip_prefix(whole) else { return false };
    rest.is_empty() || whole.ends_with('/') || rest.starts_with(['/', '?', '#'])
}
