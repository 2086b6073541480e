//! Batches of revision 2025-03-26: one body of several messages, one body of their answers.
//! Called where a session of that revision posts an array; every other revision refuses it.
//! Must hold: each request is answered once in the batch's answer, whatever becomes of it, and nothing else is.

use std::collections::HashSet;
use std::fmt;

use bytes::Bytes;

use super::raw;
use crate::envelope::{self, Envelope, ScanError, Shape, salvage_id, scan};
use crate::error::{INVALID_REQUEST, error_body};
use crate::json::Span;
use crate::method::Method;

/// Messages that one batch may have.
pub const MAX_MESSAGES: usize = 100;

/// Why a batch was refused as a whole, with one error in place of the array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is no array of at least one value.
    Scan(ScanError),
    /// It has more than [`MAX_MESSAGES`] messages.
    TooMany(usize),
    /// Two of its requests have the same id, so that their answers could not be told apart.
    SameId,
}

impl Refusal {
    /// The JSON-RPC code.
    #[must_use]
    pub const fn code(&self) -> i64 {
        match self {
            Self::Scan(error) => error.code(),
            Self::TooMany(_) | Self::SameId => INVALID_REQUEST,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scan(error) => error.fmt(f),
            Self::TooMany(count) => {
                write!(f, "The batch has {count} messages; send at most {MAX_MESSAGES} at once.")
            }
            Self::SameId => write!(f, "Two requests of the batch have the same id; give each an id of its own."),
        }
    }
}

impl std::error::Error for Refusal {}

/// One message of a batch that is to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where it stands in the body.
    pub span: Span,
    /// Its envelope, with spans in the message by itself (`span.of(body)`).
    pub envelope: Envelope,
}

/// A batch that was taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The messages to serve, in order, as if each had been posted by itself.
    pub parts: Vec<Part>,
    /// The answers, to be filled with one answer for each request among the parts.
    pub answers: Answers,
}

/// Takes a batch apart. What cannot be served is answered here: broken messages, and `initialize`, which must come by
/// itself.
///
/// # Errors
/// See [`Refusal`].
pub fn split(body: &[u8]) -> Result<Batch, Refusal> {
    let messages = envelope::batch(body).map_err(Refusal::Scan)?;
    if messages.len() > MAX_MESSAGES {
        return Err(Refusal::TooMany(messages.len()));
    }
    let mut batch = Batch { parts: Vec::new(), answers: Answers::default() };
    let mut ids = HashSet::new();
    for span in messages {
        let text = span.of(body);
        match scan(text) {
            Err(error) => {
                let id = salvage_id(text).map_or(&b"null"[..], |id| id.of(text));
                batch.answers.all.push(error_body(Some(id), error.code(), &error.to_string(), None).into());
            }
            Ok(envelope) if envelope.shape != Shape::Request => batch.parts.push(Part { span, envelope }),
            Ok(envelope) => {
                let id = raw(text, envelope.id);
                if !ids.insert(id) {
                    return Err(Refusal::SameId);
                }
                if envelope.known_method == Some(Method::Initialize) {
                    let message = "`initialize` must not be part of a batch; send it by itself.";
                    batch.answers.all.push(error_body(Some(id), INVALID_REQUEST, message, None).into());
                    continue;
                }
                batch.answers.expected += 1;
                batch.parts.push(Part { span, envelope });
            }
        }
    }
    Ok(batch)
}

/// The answers to a batch, in the order in which they come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    all: Vec<Bytes>,
    expected: usize,
}

impl Answers {
    /// The answer to one request of the batch: a whole message.
    pub fn answered(&mut self, message: Bytes) {
        self.expected = self.expected.saturating_sub(1);
        self.all.push(message);
    }

    /// Requests that have no answer yet.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.expected
    }

    /// The body of the answer, an array; `None` when there was no request, which is answered with 202.
    #[must_use]
    pub fn finish(self) -> Option<Vec<u8>> {
        if self.all.is_empty() {
            return None;
        }
        Some([b"[", &self.all.join(&b","[..])[..], b"]"].concat())
    }

    /// The answers so far, each a whole message: for a client that gets them one by one.
    pub fn each(self) -> impl Iterator<Item = Bytes> {
        self.all.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::fixture::value;
    use crate::error::result_body;

    const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    const NOTE: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

    #[test]
    fn requests_are_answered_in_any_order() {
        let body = format!(r#" [ {PING},{NOTE} , {{"jsonrpc":"2.0","id":"1","method":"x"}}]"#);
        let Batch { parts, mut answers } = split(body.as_bytes()).expect("a batch");
        let texts: Vec<&[u8]> = parts.iter().map(|part| part.span.of(body.as_bytes())).collect();
        assert_eq!((texts.len(), texts[1]), (3, NOTE.as_bytes()));
        assert_eq!(answers.missing(), 2);
        for part in parts.iter().rev().filter(|part| part.envelope.shape == Shape::Request) {
            let id = raw(part.span.of(body.as_bytes()), part.envelope.id);
            answers.answered(result_body(id, b"{\"n\":1.0}").into());
        }
        assert_eq!(answers.missing(), 0);
        assert_eq!(answers.clone().each().count(), 2);
        let out = answers.finish().expect("answers");
        assert_eq!(
            String::from_utf8_lossy(&out),
            r#"[{"jsonrpc":"2.0","id":"1","result":{"n":1.0}},{"jsonrpc":"2.0","id":1,"result":{"n":1.0}}]"#
        );
    }

    #[test]
    fn without_requests_there_is_nothing_to_answer() {
        let body = format!(r#"[{NOTE},{{"jsonrpc":"2.0","id":4,"result":{{}}}}]"#);
        let batch = split(body.as_bytes()).expect("a batch");
        assert_eq!((batch.parts.len(), batch.answers.missing(), batch.answers.finish()), (2, 0, None));
    }

    #[test]
    fn what_cannot_be_served_is_answered_in_its_place() {
        let body =
            r#"[1,{"jsonrpc":"2.0","id":7},{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}},[],{"id":"q"}]"#;
        let batch = split(body.as_bytes()).expect("a batch");
        assert_eq!(batch.parts, []);
        let answers = value(&batch.answers.finish().expect("answers"));
        let told: Vec<(String, i64)> = answers
            .as_array()
            .expect("an array")
            .iter()
            .map(|one| (one["id"].to_string(), one["error"]["code"].as_i64().expect("a code")))
            .collect();
        let told: Vec<(&str, i64)> = told.iter().map(|(id, code)| (id.as_str(), *code)).collect();
        assert_eq!(told, [("null", -32600), ("7", -32600), ("0", -32600), ("null", -32600), ("\"q\"", -32600)]);
    }

    #[test]
    fn a_batch_can_be_refused_as_a_whole() {
        assert_eq!(split(format!("[{PING},{PING}]").as_bytes()), Err(Refusal::SameId));
        let many = |count| format!("[{}]", vec![NOTE; count].join(","));
        assert!(split(many(MAX_MESSAGES).as_bytes()).is_ok());
        assert_eq!(split(many(MAX_MESSAGES + 1).as_bytes()), Err(Refusal::TooMany(101)));
        assert!(matches!(split(b"[]"), Err(Refusal::Scan(_))));
        assert_eq!(split(b"[").expect_err("no JSON").code(), -32700);
    }
}
