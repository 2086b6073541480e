//! Members of a line, in a fixed order for each kind of line.
//!
//! Texts of others are made fit to be shown; what is empty is left out. Nothing here allocates for a usual text: lines
//! are written with every call.

use std::io::Write as _;

use serde_json::Value;
use toolgate_admin_api::AuditRecord;
use toolgate_protocol::audit::{Hash, hex};
use toolgate_protocol::canonical;
use toolgate_protocol::json::{Span, push_number, push_str};

use super::file::hash;
use super::redact::Redactor;
use crate::config::settings::AuditedArguments;
use crate::observe::Shown;

/// Bytes of arguments that are recorded; of longer ones the size is.
const MOST: usize = 16 << 10;
/// Bytes of a text that may be plain; a longer one may have to be cut.
const PLAIN: usize = 128;
/// Memory that is kept from one line to the next.
const KEPT: usize = 64 << 10;

/// Members of a line, written one after the other.
#[derive(Debug, Default)]
pub(super) struct Members(Vec<u8>);

impl Members {
    /// Begins a line of a kind.
    pub(super) fn begin(&mut self, kind: &'static str, at_ms: u64) -> &mut Self {
        self.clear();
        self.0.extend_from_slice(br#""kind":""#);
        self.0.extend_from_slice(kind.as_bytes());
        self.0.push(b'"');
        self.number("at_ms", at_ms)
    }

    fn clear(&mut self) {
        self.0.clear();
        self.0.shrink_to(KEPT);
    }

    /// Members that were made elsewhere.
    pub(super) fn all(&mut self, members: &[u8]) {
        self.clear();
        self.more(members);
    }

    /// Further ones.
    pub(super) fn more(&mut self, members: &[u8]) {
        self.0.extend_from_slice(members);
    }

    /// What was written, for itself.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// What was written.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn name(&mut self, name: &str) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    /// A text that needs no escapes: a word of our own, digits.
    pub(super) fn word(&mut self, name: &str, word: &[u8]) -> &mut Self {
        self.name(name);
        self.0.push(b'"');
        self.0.extend_from_slice(word);
        self.0.push(b'"');
        self
    }

    /// A text; an empty one is left out.
    pub(super) fn text(&mut self, name: &str, text: &str) -> &mut Self {
        if text.is_empty() {
            return self;
        }
        if text.len() <= PLAIN && is_plain(text) {
            return self.word(name, text.as_bytes());
        }
        self.name(name);
        push_str(&mut self.0, &Shown(text).to_string());
        self
    }

    /// A number; 0 is left out.
    pub(super) fn count(&mut self, name: &str, number: u64) -> &mut Self {
        if number > 0 { self.number(name, number) } else { self }
    }

    /// A number.
    pub(super) fn number(&mut self, name: &str, number: u64) -> &mut Self {
        self.name(name);
        push_number(&mut self.0, number);
        self
    }

    /// A change that somebody made by hand: its record, whose number is the line's.
    pub(super) fn change(&mut self, record: &AuditRecord) {
        self.begin("change", record.at_ms);
        let Ok(Value::Object(members)) = serde_json::to_value(record) else { return };
        for (name, value) in members.iter().filter(|(name, _)| !matches!(name.as_str(), "number" | "at_ms")) {
            self.name(name);
            // Writing to memory cannot fail.
            _ = serde_json::to_writer(&mut self.0, value);
        }
    }

    /// Arguments, as they are to be recorded.
    pub(super) fn arguments(&mut self, text: &[u8], value: Span, how: AuditedArguments, redactor: &Redactor) {
        match how {
            AuditedArguments::None => {}
            AuditedArguments::Hash => self.hash(text, value),
            AuditedArguments::Redacted => self.redacted(text, value, redactor),
        }
    }

    /// The SHA-256 of arguments. The form that is hashed takes the place of its hash for a moment.
    pub(super) fn hash(&mut self, text: &[u8], value: Span) {
        let start = self.0.len();
        canonical::append(&mut self.0, text, value);
        let hash: Hash = hash(&self.0[start..]);
        self.0.truncate(start);
        self.name("arguments");
        self.0.extend_from_slice(b"\"sha256:");
        self.0.extend_from_slice(&hex(&hash));
        self.0.push(b'"');
    }

    fn redacted(&mut self, text: &[u8], value: Span, redactor: &Redactor) {
        self.name("arguments");
        let start = self.0.len();
        redactor.append(&mut self.0, text, value);
        let length = self.0.len() - start;
        if length > MOST {
            self.0.truncate(start);
            _ = write!(self.0, r#""{length} bytes""#);
        }
    }
}

/// Whether a text is printable ASCII that needs no escapes. All of it is looked at: that can be done many bytes at once.
fn is_plain(text: &str) -> bool {
    let is_plain = |byte: u8| matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~');
    text.bytes().fold(0, |unfit, byte| unfit | u8::from(!is_plain(byte))) == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_are_shown_and_what_was_plain_is_as_it_was(texts in prop::collection::vec(".{1,300}", 1..4)) {
            let mut members = Members::default();
            members.begin("call", 7);
            for text in &texts {
                members.text("x", text);
            }
            let line = format!("{{{}}}", String::from_utf8(members.bytes().to_vec()).expect("UTF-8"));
            let shown: Vec<String> = texts.iter().map(|text| Shown(text).to_string()).collect();
            let written = shown.iter().map(|text| format!(r#","x":{}"#, serde_json::to_string(text).expect("JSON")));
            prop_assert_eq!(line, format!(r#"{{"kind":"call","at_ms":7{}}}"#, written.collect::<String>()));
        }
    }
}
