//! What a line says: members of an object, in a fixed order for each kind of line.
//!
//! Texts of others are made fit to be shown; what is empty is left out.

use std::io::Write as _;
use std::time::Instant;

use serde_json::Value;
use toolgate_admin_api::AuditRecord;
use toolgate_protocol::canonical;
use toolgate_protocol::json::encode_str;

use super::file::hash;
use super::finished::{Asked, Finished, argument, is_denial};
use super::redact::Redactor;
use crate::config::settings::AuditedArguments;
use crate::observe::Shown;
use crate::observe::ledger::cut;

/// Bytes of arguments that are recorded; of longer ones the hash is.
const MOST: usize = 16 << 10;

/// Members of a line, written one after the other.
#[derive(Debug, Default)]
pub(super) struct Members(Vec<u8>);

impl Members {
    /// Begins a line of a kind.
    pub(super) fn begin(&mut self, kind: &str, at_ms: u64) -> &mut Self {
        self.0.clear();
        // Writing to memory cannot fail.
        _ = write!(self.0, r#""kind":"{kind}","at_ms":{at_ms}"#);
        self
    }

    /// Members that were made elsewhere.
    pub(super) fn all(&mut self, members: &[u8]) {
        self.0.clear();
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
        _ = write!(self.0, r#","{name}":"#);
    }

    /// A text; an empty one is left out.
    pub(super) fn text(&mut self, name: &str, text: &str) -> &mut Self {
        if text.is_empty() {
            return self;
        }
        self.name(name);
        let plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        if text.len() <= 128 && text.bytes().all(plain) {
            _ = write!(self.0, r#""{text}""#);
        } else {
            self.0.extend_from_slice(encode_str(&Shown(text).to_string()).as_bytes());
        }
        self
    }

    /// A number; 0 is left out.
    pub(super) fn count(&mut self, name: &str, number: u64) -> &mut Self {
        if number > 0 { self.number(name, number) } else { self }
    }

    /// A number.
    pub(super) fn number(&mut self, name: &str, number: u64) -> &mut Self {
        self.name(name);
        _ = write!(self.0, "{number}");
        self
    }

    fn hash(&mut self, name: &str, hash: &[u8; 32]) {
        let mut text = String::with_capacity(64);
        toolgate_protocol::audit::push_hex(&mut text, hash);
        self.name(name);
        _ = write!(self.0, r#""sha256:{text}""#);
    }

    /// A change that somebody made by hand: its record, whose number is the line's.
    pub(super) fn change(&mut self, record: &AuditRecord) -> &[u8] {
        self.begin("change", record.at_ms);
        if let Ok(Value::Object(members)) = serde_json::to_value(record) {
            for (name, value) in members.iter().filter(|(name, _)| !matches!(name.as_str(), "number" | "at_ms")) {
                self.name(name);
                _ = serde_json::to_writer(&mut self.0, value);
            }
        }
        &self.0
    }

    /// A call that has ended.
    pub(super) fn call(&mut self, call: &Finished, writing: &Writing<'_>) -> &[u8] {
        let age = writing.now.saturating_duration_since(call.end.at).as_millis();
        self.begin("call", writing.now_ms.saturating_sub(u64::try_from(age).unwrap_or_default()));
        self.text("call", call.id.as_str());
        self.who(call);
        _ = write!(self.0, r#","address":"{}""#, call.address);
        self.text("listener", &call.entrance.listener.name);
        if let Some(session) = call.session {
            _ = write!(self.0, r#","session":"{session}""#);
        }
        self.text("server", call.place.server().unwrap_or_default());
        self.asked(call, writing);
        self.decided(call);
        let (end, spent) = (&call.end, &call.end.spent);
        self.text("outcome", end.outcome.word());
        self.number("status", u64::from(end.status));
        if let Some((kind, cause)) = &end.failure {
            self.text("failure", kind.word());
            self.text("cause", &writing.redactor.text(cause));
        }
        self.count("bytes_out", end.bytes)
            .count("read_us", spent.read)
            .count("queue_us", spent.queue)
            .count("connect_us", spent.connect)
            .count("first_byte_us", spent.first_byte)
            .count("stream_us", spent.stream)
            .number("total_us", spent.total)
            .number("revision", call.revision);
        &self.0
    }

    fn who(&mut self, call: &Finished) {
        let Some(client) = &call.client else { return };
        self.text("client", &client.id);
        if client.id.split_once(':').is_none_or(|(_, bare)| bare != &*client.owner) {
            self.text("owner", &client.owner);
        }
        self.text("organisation", client.organisation.as_ref().map_or("", |organisation| &organisation.name));
        self.text("tier", client.tier.as_ref().map_or("", |tier| &tier.name));
    }

    fn asked(&mut self, call: &Finished, writing: &Writing<'_>) {
        match &call.asked {
            Asked::Nothing => {}
            Asked::Long { method, name, arguments, bytes } => {
                self.text("method", &writing.redactor.text(cut(method)));
                self.text("name", &writing.redactor.text(call.place.name().unwrap_or(name)));
                self.number("bytes_in", *bytes as u64);
                if let Some(hash) = arguments {
                    self.hash("arguments", hash);
                }
            }
            Asked::Message(message) => {
                self.text("method", &writing.redactor.text(cut(&message.method())));
                let named = message.envelope.target_str(&message.bytes).unwrap_or_default();
                self.text("name", &writing.redactor.text(call.place.name().unwrap_or(&named)));
                self.number("bytes_in", message.bytes.len() as u64);
                if let Some(value) = argument(message) {
                    self.arguments(&message.bytes, value, writing);
                }
            }
        }
    }

    fn arguments(&mut self, text: &[u8], value: toolgate_protocol::json::Span, writing: &Writing<'_>) {
        match writing.arguments {
            AuditedArguments::None => {}
            AuditedArguments::Redacted => {
                self.name("arguments");
                let start = self.0.len();
                writing.redactor.append(&mut self.0, text, value);
                let length = self.0.len() - start;
                if length > MOST {
                    self.0.truncate(start);
                    _ = write!(self.0, r#""{length} bytes""#);
                }
            }
            AuditedArguments::Hash => self.hash("arguments", &hash(&canonical::of(text, value))),
        }
    }

    fn decided(&mut self, call: &Finished) {
        let denied = call.end.failure.as_ref().map(|(kind, _)| *kind).filter(|kind| is_denial(*kind));
        match (&call.ruling, denied) {
            (Some(ruling), _) if !ruling.allowed => self.text("decision", "denied").text("rule", &ruling.rule),
            (_, Some(kind)) => self.text("decision", "denied").text("rule", kind.word()),
            (Some(ruling), None) => self.text("decision", "allowed").text("rule", &ruling.rule),
            (None, None) => self.text("decision", "allowed"),
        };
    }
}

/// What all lines of a batch have in common.
pub(super) struct Writing<'a> {
    /// Now, by both clocks.
    pub(super) now: Instant,
    pub(super) now_ms: u64,
    pub(super) redactor: &'a Redactor,
    pub(super) arguments: AuditedArguments,
}
