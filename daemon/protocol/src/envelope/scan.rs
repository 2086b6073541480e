//! The walk over a message that fills an [`Envelope`].
//! Called through [`scan`] for every message.
//! Must hold: one pass; the levels of the table of keys are walked here, everything below by the cursor.

use super::fields::{Found, Level, TOP};
use super::{Envelope, ScanError, Shape};
use crate::json::{self, Cursor, Depth, Fault, KeySink as _, Keys, Span};
use crate::method::{Method, NamedBy};

/// Reads the envelope of the one message that `text` is. Whitespace may surround it.
///
/// # Errors
/// See [`ScanError`]; [`ScanError::Batch`] when the text begins an array.
pub fn scan(text: &[u8]) -> Result<Envelope, ScanError> {
    json::check_size(text)?;
    json::check_utf8(text, Span::new(0, text.len()))?;
    let mut cursor = Cursor::new(text, 0);
    cursor.skip_space();
    match cursor.peek() {
        Some(b'{') => {}
        Some(b'[') => return Err(ScanError::Batch),
        Some(_) => return Err(not_object(cursor)),
        None => return Err(ScanError::Empty),
    }
    let start = cursor.at();
    let mut found = Found::default();
    let mut walk = Walk { cursor, keys: &mut Keys::new(), found: &mut found };
    walk.object(&TOP)?;
    let end = walk.cursor.at();
    walk.cursor.finish()?;
    found.envelope.whole = Span::new(start, end);
    conclude(text, &mut found)?;
    Ok(found.envelope)
}

/// The messages of a batch (revision 2025-03-26), each still to be scanned by itself. An empty batch is an error.
///
/// # Errors
/// When the text is not exactly one JSON array of at least one value.
pub fn batch(text: &[u8]) -> Result<Vec<Span>, ScanError> {
    let whole = json::document(text)?;
    if !whole.of(text).starts_with(b"[") {
        return Err(ScanError::NotObject { at: whole.start() });
    }
    let messages: Vec<Span> = json::elements(text, whole).collect();
    if messages.is_empty() {
        return Err(ScanError::Shape { at: whole.start(), problem: "The batch is empty; send at least one message." });
    }
    Ok(messages)
}

/// A scalar is not a message; but what is not even JSON is told as that.
#[cold]
fn not_object(mut cursor: Cursor<'_>) -> ScanError {
    let at = cursor.at();
    match cursor.value(Depth::NONE, &mut ()).and_then(|()| cursor.finish()) {
        Ok(()) => ScanError::NotObject { at },
        Err(fault) => fault.into(),
    }
}

struct Walk<'w> {
    cursor: Cursor<'w>,
    keys: &'w mut Keys,
    found: &'w mut Found,
}

impl Walk<'_> {
    /// Walks an object of which the gate reads keys. It calls itself only along the levels of the table, three deep.
    fn object(&mut self, level: &Level) -> Result<(), Fault> {
        let text = self.cursor.text();
        self.keys.open();
        let mut more = self.cursor.enter_object()?;
        while more {
            let key = self.cursor.key()?;
            self.keys.key(key);
            let start = self.cursor.at();
            let field = level.field(key, text)?;
            match field.and_then(|field| field.inside) {
                Some(inside) if self.cursor.peek() == Some(b'{') => self.object(inside)?,
                _ if level.strict => self.cursor.value(Depth::inside(level.depth), self.keys)?,
                _ => self.cursor.value(Depth::inside(level.depth), &mut ())?,
            }
            if let Some(field) = field {
                *(field.slot)(self.found) = Some(Span::new(start, self.cursor.at()));
            }
            more = self.cursor.more_members()?;
        }
        self.keys.close(text)
    }
}

/// Settles what the message is, once all its members are known.
fn conclude(text: &[u8], found: &mut Found) -> Result<(), Fault> {
    let envelope = &mut found.envelope;
    let start = envelope.whole.start();
    match found.jsonrpc {
        Some(version) if is_two(version.of(text)) => {}
        other => {
            return Err(ScanError::Version { at: other.map_or(start, Span::start) }.into());
        }
    }
    envelope.shape = shape(text, envelope)?;
    check_object(text, envelope.params, "params")?;
    check_object(text, envelope.meta, "_meta")?;
    let Some(method) = envelope.method else {
        return Ok(());
    };
    check_string(text, method, "method")?;
    let method = Method::parse(&json::decode_str(method.of(text)));
    envelope.known_method = method;
    envelope.progress_token = if method == Some(Method::Progress) { found.params_token } else { found.meta_token };
    if method != Some(Method::Cancelled) {
        envelope.request_id = None;
    }
    if method != Some(Method::Initialize) {
        envelope.initialize_version = None;
        envelope.initialize_capabilities = None;
        envelope.initialize_client = None;
    }
    if let Some(method) = method {
        match method.named_by() {
            Some(NamedBy::Reference) => check_reference(text, found.reference_name, found.reference_uri)?,
            _ => check_target(text, envelope, method)?,
        }
    }
    Ok(())
}

fn is_two(version: &[u8]) -> bool {
    version == b"\"2.0\"" || json::str_eq(version, "2.0")
}

fn shape(text: &[u8], envelope: &Envelope) -> Result<Shape, Fault> {
    let at = envelope.whole.start();
    let wrong = |problem| Err(ScanError::Shape { at, problem }.into());
    let shape = match (envelope.method, envelope.result, envelope.error, envelope.id) {
        (Some(_), None, None, Some(_)) => Shape::Request,
        (Some(_), None, None, None) => Shape::Notification,
        (None, Some(_), None, Some(_)) | (None, None, Some(_), _) => Shape::Response,
        (Some(_), ..) => {
            return wrong("A message with a method must have neither result nor error.");
        }
        (None, Some(_), Some(_), _) => {
            return wrong("A response must have a result or an error, not both.");
        }
        (None, Some(_), None, None) => {
            return wrong("A result needs the id of the request that it answers.");
        }
        (None, None, None, _) => return wrong("A message needs a method, a result or an error."),
    };
    if let Some(id) = envelope.id {
        match id.of(text).first() {
            Some(b'"' | b'-' | b'0'..=b'9') => {}
            // JSON-RPC answers a request whose id could not be read with `id: null`.
            Some(b'n') if envelope.error.is_some() => {}
            _ => return Err(ScanError::Id { at: id.start() }.into()),
        }
    }
    if let Some(error) = envelope.error {
        check_object_strictly(text, error, "error")?;
    }
    Ok(shape)
}

/// What names a request's target must be a string where the gate routes by it: a number would be read as its text by
/// one reader and refused by another. Under methods that the gate does not know, any type passes.
fn check_target(text: &[u8], envelope: &Envelope, method: Method) -> Result<(), Fault> {
    let (target, member) = match method.named_by() {
        None | Some(NamedBy::Reference) => return Ok(()),
        Some(NamedBy::Name) => (envelope.name, "name"),
        Some(NamedBy::Uri) => (envelope.uri, "uri"),
        Some(NamedBy::TaskId) => (envelope.task_id, "taskId"),
    };
    target.map_or(Ok(()), |target| check_string(text, target, member))
}

fn check_reference(text: &[u8], name: Option<Span>, uri: Option<Span>) -> Result<(), Fault> {
    match (name, uri) {
        (Some(name), None) => check_string(text, name, "name"),
        (None, Some(uri)) => check_string(text, uri, "uri"),
        (None, None) => Ok(()),
        (Some(_), Some(uri)) => {
            // The gate would decide by one, and a server by the other.
            let problem = "A reference must have a name or a uri, not both.";
            Err(ScanError::Shape { at: uri.start(), problem }.into())
        }
    }
}

fn check_string(text: &[u8], value: Span, member: &'static str) -> Result<(), Fault> {
    let raw = value.of(text);
    if !raw.starts_with(b"\"") {
        return Err(ScanError::Type { at: value.start(), member, expected: "a string" }.into());
    }
    if json::has_lone_surrogate(raw) {
        return Err(ScanError::Surrogate { at: value.start(), member }.into());
    }
    Ok(())
}

/// Null stands for an absent object: some clients write it, and no reader takes it for anything else.
fn check_object(text: &[u8], value: Option<Span>, member: &'static str) -> Result<(), Fault> {
    match value {
        Some(value) if value.of(text) != b"null" => check_object_strictly(text, value, member),
        _ => Ok(()),
    }
}

fn check_object_strictly(text: &[u8], value: Span, member: &'static str) -> Result<(), Fault> {
    if !value.of(text).starts_with(b"{") {
        return Err(ScanError::Type { at: value.start(), member, expected: "an object" }.into());
    }
    Ok(())
}
