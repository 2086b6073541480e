//! One JSON-RPC message: its bytes, never re-modelled, and where its envelope lies in them.

use std::borrow::Cow;

use bytes::Bytes;
use toolgate_protocol::envelope::{self, Envelope, ScanError, Shape};
use toolgate_protocol::json::Span;
use toolgate_protocol::splice::{self, Edit};

/// A message and its envelope.
#[derive(Debug, Clone)]
pub struct Message {
    /// The text as it came.
    pub bytes: Bytes,
    /// Spans into `bytes`.
    pub envelope: Envelope,
}

impl Message {
    /// Scans a text.
    pub fn parse(bytes: Bytes) -> Result<Self, ScanError> {
        let envelope = envelope::scan(&bytes)?;
        Ok(Self { bytes, envelope })
    }

    /// Request, notification or response.
    pub fn shape(&self) -> Shape {
        self.envelope.shape
    }

    /// The id as written, quotes included.
    pub fn id(&self) -> Option<&[u8]> {
        self.raw(self.envelope.id)
    }

    /// The id as its own slice of the message.
    pub fn id_bytes(&self) -> Bytes {
        self.id().map_or_else(Bytes::new, |raw| self.bytes.slice_ref(raw))
    }

    /// The method, decoded; empty for a response.
    pub fn method(&self) -> Cow<'_, str> {
        self.envelope.method_str(&self.bytes).unwrap_or(Cow::Borrowed(""))
    }

    /// The text of a span.
    pub fn raw(&self, span: Option<Span>) -> Option<&[u8]> {
        span.map(|span| span.of(&self.bytes))
    }

    /// A copy in which each span is replaced; everything else stays as it is.
    pub fn with(&self, replacements: &[(Option<Span>, &[u8])]) -> Vec<u8> {
        let mut edits: Vec<Edit<'_>> = replacements
            .iter()
            .filter_map(|(span, with)| span.map(|span| Edit { span, with: Cow::Borrowed(*with) }))
            .collect();
        splice::apply(&self.bytes, &mut edits)
    }

    /// Whether a response carries an error.
    pub fn is_error(&self) -> bool {
        self.envelope.error.is_some()
    }
}
