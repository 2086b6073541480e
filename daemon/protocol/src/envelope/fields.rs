//! The keys that a gate reads, per level, and where each value's span is kept.
//! Called by the scan for every key of the three levels that it walks.
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
}

/// Where a value's span is kept.
pub(super) type Slot = fn(&mut Found) -> &mut Option<Span>;

/// A key that the gate reads.
pub(super) struct Field {
    key: &'static str,
    pub(super) slot: Slot,
    /// The level that its value is, when that is an object that the gate reads too.
    pub(super) inside: Option<&'static Level>,
}

/// An object of which the gate reads some keys.
pub(super) struct Level {
    fields: &'static [Field],
    /// Containers that are open in it, itself included.
    pub(super) depth: u32,
    /// Whether keys must be unique in the values that the gate does not read.
    pub(super) strict: bool,
}

const fn leaf(key: &'static str, slot: Slot) -> Field {
    Field {
        key,
        slot,
        inside: None,
    }
}

const fn inner(key: &'static str, slot: Slot, level: &'static Level) -> Field {
    Field {
        key,
        slot,
        inside: Some(level),
    }
}

pub(super) static TOP: Level = Level {
    depth: 1,
    strict: false,
    fields: &[
        leaf("jsonrpc", |found| &mut found.jsonrpc),
        leaf("id", |found| &mut found.envelope.id),
        leaf("method", |found| &mut found.envelope.method),
        inner("params", |found| &mut found.envelope.params, &PARAMS),
        leaf("result", |found| &mut found.envelope.result),
        leaf("error", |found| &mut found.envelope.error),
    ],
};

pub(super) static PARAMS: Level = Level {
    depth: 2,
    strict: true,
    fields: &[
        leaf("name", |found| &mut found.envelope.name),
        leaf("arguments", |found| &mut found.envelope.arguments),
        inner("_meta", |found| &mut found.envelope.meta, &META),
        leaf("uri", |found| &mut found.envelope.uri),
        leaf("taskId", |found| &mut found.envelope.task_id),
        leaf("ref", |found| &mut found.envelope.reference),
        leaf("cursor", |found| &mut found.envelope.cursor),
        leaf("requestState", |found| &mut found.envelope.request_state),
        leaf("inputResponses", |found| {
            &mut found.envelope.input_responses
        }),
        leaf("requestId", |found| &mut found.envelope.request_id),
        leaf("progressToken", |found| &mut found.params_token),
        leaf("protocolVersion", |found| {
            &mut found.envelope.initialize_version
        }),
        leaf("capabilities", |found| {
            &mut found.envelope.initialize_capabilities
        }),
        leaf("clientInfo", |found| &mut found.envelope.initialize_client),
    ],
};

pub(super) static META: Level = Level {
    depth: 3,
    strict: true,
    fields: &[
        leaf("progressToken", |found| &mut found.meta_token),
        leaf("io.modelcontextprotocol/protocolVersion", |found| {
            &mut found.envelope.protocol_version
        }),
        leaf("io.modelcontextprotocol/clientCapabilities", |found| {
            &mut found.envelope.client_capabilities
        }),
        leaf("io.modelcontextprotocol/clientInfo", |found| {
            &mut found.envelope.client_info
        }),
        leaf("io.modelcontextprotocol/logLevel", |found| {
            &mut found.envelope.log_level
        }),
        leaf("io.modelcontextprotocol/subscriptionId", |found| {
            &mut found.envelope.subscription_id
        }),
        leaf("traceparent", |found| &mut found.envelope.traceparent),
    ],
};

impl Level {
    /// What the gate knows of `key`, when it reads it.
    #[inline]
    pub(super) fn field(&self, key: Key, text: &[u8]) -> Result<Option<&'static Field>, Fault> {
        let decoded = key.decoded(text);
        let decoded = &*decoded;
        for field in self.fields {
            if field.key.len() == decoded.len() {
                if field.key.as_bytes() == decoded {
                    return Ok(Some(field));
                }
                if field.key.as_bytes().eq_ignore_ascii_case(decoded) {
                    return Err(variant(key, field.key));
                }
            }
        }
        if !decoded.is_ascii() {
            self.refuse_folded(key, decoded)?;
        }
        Ok(None)
    }

    /// Two letters outside of ASCII fold to ASCII ones (the long s and the Kelvin sign); readers that match keys by
    /// Unicode folding, Go's among them, take them for `s` and `k`.
    #[cold]
    fn refuse_folded(&self, key: Key, decoded: &[u8]) -> Result<(), Fault> {
        let folded = String::from_utf8_lossy(decoded)
            .replace('\u{17f}', "s")
            .replace('\u{212a}', "k");
        match self
            .fields
            .iter()
            .find(|field| folded.eq_ignore_ascii_case(field.key))
        {
            Some(field) => Err(variant(key, field.key)),
            None => Ok(()),
        }
    }
}

#[cold]
fn variant(key: Key, meant: &'static str) -> Fault {
    let at = key.at();
    ScanError::CaseVariant { at, meant }.into()
}
