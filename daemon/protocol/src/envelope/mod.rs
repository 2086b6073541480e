//! The envelope of a JSON-RPC message: byte spans of the parts that a gate decides on, nothing else.
//! Called for every message in either direction, before any decision.
//! Must hold: what the gate reads is what any other reader of the same bytes sees, or the message is refused.

mod fault;
mod fields;
mod salvage;
mod scan;

use std::borrow::Cow;

pub use fault::ScanError;
pub use salvage::salvage_id;
pub use scan::{batch, scan};

use crate::json::{self, Span};
use crate::method::{Method, NamedBy};

/// What a message is, by the members that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Shape {
    /// A method and an id.
    #[default]
    Request,
    /// A method without an id.
    Notification,
    /// A result or an error.
    Response,
}

/// Spans of raw values (strings with their quotes) in the text that was scanned. A span is `None` when the member is
/// absent. Nothing here owns text: keep the message beside it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Envelope {
    /// Request, notification or response.
    pub shape: Shape,
    /// The whole object, without surrounding whitespace.
    pub whole: Span,
    /// `id`: a string or a number; `null` only in an error response.
    pub id: Option<Span>,
    /// `method`: a string.
    pub method: Option<Span>,
    /// The method, when it is one of the table.
    pub known_method: Option<Method>,
    /// `params`: an object or null.
    pub params: Option<Span>,
    /// `result`, of any type. Its inside was validated, but keys may repeat.
    pub result: Option<Span>,
    /// `error`: an object.
    pub error: Option<Span>,
    /// `params.name`.
    pub name: Option<Span>,
    /// `params.uri`.
    pub uri: Option<Span>,
    /// `params.taskId`.
    pub task_id: Option<Span>,
    /// `params.task` of a legacy request that is to become a task.
    pub task: Option<Span>,
    /// `params.ref` of `completion/complete`: holds the `name` or `uri` that the request is about.
    pub reference: Option<Span>,
    /// `params.arguments`.
    pub arguments: Option<Span>,
    /// `params.cursor`.
    pub cursor: Option<Span>,
    /// `params.requestState`.
    pub request_state: Option<Span>,
    /// `params.inputResponses`.
    pub input_responses: Option<Span>,
    /// `params.requestId` of `notifications/cancelled`.
    pub request_id: Option<Span>,
    /// The token of a request (`params._meta.progressToken`) or of `notifications/progress` (`params.progressToken`).
    pub progress_token: Option<Span>,
    /// `params._meta`: an object or null.
    pub meta: Option<Span>,
    /// `_meta` key `io.modelcontextprotocol/protocolVersion`.
    pub protocol_version: Option<Span>,
    /// `_meta` key `io.modelcontextprotocol/clientCapabilities`.
    pub client_capabilities: Option<Span>,
    /// `_meta` key `io.modelcontextprotocol/clientInfo`.
    pub client_info: Option<Span>,
    /// `_meta` key `io.modelcontextprotocol/logLevel`.
    pub log_level: Option<Span>,
    /// `_meta` key `io.modelcontextprotocol/subscriptionId`.
    pub subscription_id: Option<Span>,
    /// `_meta` key `traceparent`.
    pub traceparent: Option<Span>,
    /// `params.protocolVersion` of a legacy `initialize`.
    pub initialize_version: Option<Span>,
    /// `params.capabilities` of a legacy `initialize`.
    pub initialize_capabilities: Option<Span>,
    /// `params.clientInfo` of a legacy `initialize`.
    pub initialize_client: Option<Span>,
}

impl Envelope {
    /// The decoded method.
    #[must_use]
    pub fn method_str<'t>(&self, text: &'t [u8]) -> Option<Cow<'t, str>> {
        string(self.method, text)
    }

    /// The decoded `params.name`, when it is a string.
    #[must_use]
    pub fn name_str<'t>(&self, text: &'t [u8]) -> Option<Cow<'t, str>> {
        string(self.name, text)
    }

    /// The decoded `params.uri`, when it is a string.
    #[must_use]
    pub fn uri_str<'t>(&self, text: &'t [u8]) -> Option<Cow<'t, str>> {
        string(self.uri, text)
    }

    /// The decoded `params.taskId`, when it is a string.
    #[must_use]
    pub fn task_id_str<'t>(&self, text: &'t [u8]) -> Option<Cow<'t, str>> {
        string(self.task_id, text)
    }

    /// The decoded `params.cursor`, when it is a string. The empty string is a valid cursor.
    #[must_use]
    pub fn cursor_str<'t>(&self, text: &'t [u8]) -> Option<Cow<'t, str>> {
        string(self.cursor, text)
    }

    /// The decoded protocol version that the request's `_meta` claims, when it is a string.
    #[must_use]
    pub fn protocol_version_str<'t>(&self, text: &'t [u8]) -> Option<Cow<'t, str>> {
        string(self.protocol_version, text)
    }

    /// The decoded `params.protocolVersion` of an `initialize`, when it is a string.
    #[must_use]
    pub fn initialize_version_str<'t>(&self, text: &'t [u8]) -> Option<Cow<'t, str>> {
        string(self.initialize_version, text)
    }

    /// The decoded `requestState`, when it is a string.
    #[must_use]
    pub fn request_state_str<'t>(&self, text: &'t [u8]) -> Option<Cow<'t, str>> {
        string(self.request_state, text)
    }

    /// The raw id, as it must be repeated in the answer.
    #[must_use]
    pub fn id_raw<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        self.id.map(|id| id.of(text))
    }

    /// The first key that a modern request must have in `_meta` and has not (or has as null), by its whole name.
    /// Such a request is answered with HTTP 400 and [`crate::error::INVALID_PARAMS`].
    #[must_use]
    pub fn missing_meta(&self, text: &[u8]) -> Option<&'static str> {
        let has = |span: Option<Span>, first: u8| span.is_some_and(|span| span.of(text).first() == Some(&first));
        if !has(self.protocol_version, b'"') {
            return Some("io.modelcontextprotocol/protocolVersion");
        }
        (!has(self.client_capabilities, b'{')).then_some("io.modelcontextprotocol/clientCapabilities")
    }

    /// The value that names what the request is about: a tool, a prompt, a resource, a task.
    #[must_use]
    pub fn target(&self, text: &[u8]) -> Option<Span> {
        match self.known_method?.named_by()? {
            NamedBy::Name => self.name,
            NamedBy::Uri => self.uri,
            NamedBy::TaskId => self.task_id,
            NamedBy::Reference => {
                let reference = self.reference?;
                json::get(text, reference, "name").or_else(|| json::get(text, reference, "uri"))
            }
        }
    }

    /// The decoded [`Envelope::target`], when it is a string.
    #[must_use]
    pub fn target_str<'t>(&self, text: &'t [u8]) -> Option<Cow<'t, str>> {
        string(self.target(text), text)
    }
}

fn string(span: Option<Span>, text: &[u8]) -> Option<Cow<'_, str>> {
    let raw = span?.of(text);
    raw.starts_with(b"\"").then(|| json::decode_str(raw))
}

#[cfg(test)]
mod tests;
