//! The keys that a gate reads, per level, and where each value's span is kept.
//! Called by the scan for every key of the levels that it walks.
//! Must hold: a key that some reader could take for one of these, and is not, is refused.

use super::{Envelope, ScanError};
use crate::json::{Fault, Key, Span};

/// Spans that belong to the envelope only under some methods, and the envelope itself.
#[derive(Default)]
pub(super) struct Found {
    pub(super) envelope: Envelope,
    pub(super) jsonrpc: Option<Span>,
    pub(super) meta_token: Option<Span>,
    pub(super) params_token: Option<Span>,
    pub(super) reference_type: Option<Span>,
    pub(super) reference_name: Option<Span>,
    pub(super) reference_uri: Option<Span>,
    /// Of values that are read elsewhere: here only variants of their keys are refused.
    pub(super) unread: Option<Span>,
}

/// Where a value's span is kept.
pub(super) type Slot = fn(&mut Found) -> &mut Option<Span>;

/// A value that the gate reads.
pub(super) struct Field {
    pub(super) slot: Slot,
    /// The level that the value is, when it is an object of which the gate reads keys too.
    pub(super) inside: Option<&'static Level>,
}

/// An object of which the gate reads some keys.
pub(super) struct Level {
    /// Containers that are open in it, itself included.
    pub(super) depth: u32,
    /// Whether keys must be unique in the values that the gate does not read.
    pub(super) strict: bool,
    keys: &'static [&'static str],
    /// The field of exactly this key.
    exact: fn(&[u8]) -> Option<&'static Field>,
}

/// Each key is written once and becomes both a row to compare loosely with and an arm of a `match`, which compares by
/// whole words where a search through the rows would call out for each.
macro_rules! level {
    ($name:ident: depth $depth:literal, strict $strict:literal, $($key:literal => $slot:expr, $inside:expr;)*) => {
        pub(super) static $name: Level = Level {
            depth: $depth,
            strict: $strict,
            keys: &[$(as_text($key)),*],
            exact: |key| match key {
                $($key => {
                    static FIELD: Field = Field { slot: $slot, inside: $inside };
                    Some(&FIELD)
                })*
                _ => None,
            },
        };
    };
}

const fn as_text(key: &'static [u8]) -> &'static str {
    match std::str::from_utf8(key) {
        Ok(key) => key,
        Err(_) => panic!("the keys of the table are text"),
    }
}

level! { TOP: depth 1, strict false,
    b"jsonrpc" => |found| &mut found.jsonrpc, None;
    b"id" => |found| &mut found.envelope.id, None;
    b"method" => |found| &mut found.envelope.method, None;
    b"params" => |found| &mut found.envelope.params, Some(&PARAMS);
    b"result" => |found| &mut found.envelope.result, None;
    b"error" => |found| &mut found.envelope.error, None;
}

level! { PARAMS: depth 2, strict true,
    b"name" => |found| &mut found.envelope.name, None;
    b"arguments" => |found| &mut found.envelope.arguments, None;
    b"_meta" => |found| &mut found.envelope.meta, Some(&META);
    b"uri" => |found| &mut found.envelope.uri, None;
    b"taskId" => |found| &mut found.envelope.task_id, None;
    b"task" => |found| &mut found.envelope.task, None;
    b"ref" => |found| &mut found.envelope.reference, Some(&REFERENCE);
    b"cursor" => |found| &mut found.envelope.cursor, None;
    b"requestState" => |found| &mut found.envelope.request_state, None;
    b"inputResponses" => |found| { &mut found.envelope.input_responses }, None;
    b"requestId" => |found| &mut found.envelope.request_id, None;
    b"progressToken" => |found| &mut found.params_token, None;
    b"protocolVersion" => |found| { &mut found.envelope.initialize_version }, None;
    b"capabilities" => |found| { &mut found.envelope.initialize_capabilities }, None;
    b"clientInfo" => |found| &mut found.envelope.initialize_client, None;
    b"notifications" => |found| &mut found.unread, Some(&NOTIFICATIONS);
}

level! { NOTIFICATIONS: depth 3, strict true,
    b"toolsListChanged" => |found| &mut found.unread, None;
    b"promptsListChanged" => |found| &mut found.unread, None;
    b"resourcesListChanged" => |found| &mut found.unread, None;
    b"resourceSubscriptions" => |found| &mut found.unread, None;
}

level! { REFERENCE: depth 3, strict true,
    b"type" => |found| &mut found.reference_type, None;
    b"name" => |found| &mut found.reference_name, None;
    b"uri" => |found| &mut found.reference_uri, None;
}

level! { META: depth 3, strict true,
    b"progressToken" => |found| &mut found.meta_token, None;
    b"io.modelcontextprotocol/protocolVersion" => |found| { &mut found.envelope.protocol_version }, None;
    b"io.modelcontextprotocol/clientCapabilities" => |found| { &mut found.envelope.client_capabilities }, None;
    b"io.modelcontextprotocol/clientInfo" => |found| { &mut found.envelope.client_info }, None;
    b"io.modelcontextprotocol/logLevel" => |found| { &mut found.envelope.log_level }, None;
    b"io.modelcontextprotocol/subscriptionId" => |found| { &mut found.envelope.subscription_id }, None;
    b"traceparent" => |found| &mut found.envelope.traceparent, None;
}

impl Level {
    /// What the gate knows of `key`, when it reads it.
    #[inline]
    pub(super) fn field(&self, key: Key, text: &[u8]) -> Result<Option<&'static Field>, Fault> {
        let decoded = key.decoded(text);
        let field = (self.exact)(&decoded);
        if field.is_none() {
            self.refuse_variant(key, &decoded)?;
        }
        Ok(field)
    }

    /// Refuses what differs from a key that the gate reads only in case.
    fn refuse_variant(&self, key: Key, decoded: &[u8]) -> Result<(), Fault> {
        for &meant in self.keys {
            if meant.as_bytes().eq_ignore_ascii_case(decoded) {
                return Err(variant(key, meant));
            }
        }
        if decoded.is_ascii() {
            return Ok(());
        }
        self.refuse_folded(key, decoded)
    }

    /// Two letters outside of ASCII fold to ASCII ones (the long s and the Kelvin sign); readers that match keys by
    /// Unicode folding, Go's among them, take them for `s` and `k`.
    #[cold]
    fn refuse_folded(&self, key: Key, decoded: &[u8]) -> Result<(), Fault> {
        let folded = String::from_utf8_lossy(decoded).replace('\u{17f}', "s").replace('\u{212a}', "k");
        match self.keys.iter().find(|known| folded.eq_ignore_ascii_case(known)) {
            Some(meant) => Err(variant(key, meant)),
            None => Ok(()),
        }
    }
}

#[cold]
fn variant(key: Key, meant: &'static str) -> Fault {
    let at = key.at();
    ScanError::CaseVariant { at, meant }.into()
}
