//! What an answer is kept under: all that it may depend on, as one hash.

use aws_lc_rs::digest::{Context, SHA256};
use toolgate_protocol::canonical;
use toolgate_protocol::json;
use toolgate_protocol::method::Method;
use toolgate_protocol::revision::Era;

use crate::call::Call;
use crate::message::Message;

/// Bytes of parameters that are looked at. Longer ones are seldom sent twice.
const MOST: usize = 64 << 10;

/// SHA-256, so that nobody can make two requests that share an answer.
pub(in crate::answers) type Key = [u8; 32];

/// Keys of one request: with every client, and with its own alone.
#[derive(Debug, Clone, Copy)]
pub(in crate::answers) struct Keys {
    pub(in crate::answers) shared: Key,
    pub(in crate::answers) own: Key,
}

impl Keys {
    /// The keys of a request to one facet of its server, `message` as its server knows its names; `None` where it is more than a question: one
    /// that goes on with an earlier one, or wants a task.
    pub(in crate::answers) fn of(call: &Call, facet: Option<&str>, method: Method, message: &Message) -> Option<Self> {
        let text = &message.bytes;
        let params = message.envelope.params.filter(|params| params.len() <= MOST)?;
        let mut canonical = Vec::with_capacity(params.len());
        for name in ["name", "uri", "arguments", "cursor"] {
            if let Some(value) = json::get(text, params, name) {
                canonical.extend_from_slice(name.as_bytes());
                canonical.push(b'=');
                canonical::append(&mut canonical, text, value);
                canonical.push(b'\n');
            }
        }
        let known =
            |key: &[u8]| ["name", "uri", "arguments", "cursor", "_meta"].iter().any(|name| json::str_eq(key, name));
        if !json::members(text, params).all(|member| known(member.key.of(text))) {
            return None;
        }
        // What a server answers may differ by the revision that it is asked in.
        let revision = call.header("mcp-protocol-version").unwrap_or_default();
        let era = if call.era == Era::Modern { "modern" } else { "legacy" };
        let mut context = begun(facet);
        for part in [era.as_bytes(), revision.as_bytes(), method.as_str().as_bytes(), &canonical] {
            add(&mut context, part);
        }
        let mut own = context.clone();
        add(&mut own, call.client().id.as_bytes());
        Some(Self { shared: finish(context), own: finish(own) })
    }

    /// The keys of a page that the gate lists for itself, in the modern era: it is the one client that asks for it.
    pub(in crate::answers) fn of_page(facet: Option<&str>, method: Method, cursor: Option<&str>) -> Self {
        let mut context = begun(facet);
        for part in [b"gate".as_slice(), method.as_str().as_bytes(), &[u8::from(cursor.is_some())]] {
            add(&mut context, part);
        }
        add(&mut context, cursor.unwrap_or_default().as_bytes());
        let key = finish(context);
        Self { shared: key, own: key }
    }

    /// The one that an answer is kept under.
    pub(in crate::answers) fn pick(&self, shared: bool) -> Key {
        if shared { self.shared } else { self.own }
    }
}

/// What was answered under one credential is not for another.
fn begun(facet: Option<&str>) -> Context {
    let mut context = Context::new(&SHA256);
    if let Some(facet) = facet {
        add(&mut context, b"facet");
        add(&mut context, facet.as_bytes());
    }
    context
}

fn add(context: &mut Context, part: &[u8]) {
    context.update(&(part.len() as u64).to_le_bytes());
    context.update(part);
}

fn finish(context: Context) -> Key {
    let mut key = Key::default();
    key.copy_from_slice(context.finish().as_ref());
    key
}
