//! What the line of a call says. Its core writes it, where all that it says is at hand; arguments that take longer are
//! left to the thread, which puts them in their place.

use toolgate_protocol::json::Span;

use super::batch::Record;
use super::ended::{End, is_denial};
use super::members::Members;
use super::writer::Rules;
use crate::call::Call;
use crate::config::settings::AuditedArguments;
use crate::message::Message;
use crate::observe::ledger::server_of;

/// Bytes of arguments that a core hashes itself while it has them at hand.
const FEW: usize = 4 << 10;
/// Bytes of a message whose arguments may wait for the thread; those of a longer one are hashed on its core, so that what
/// waits is bounded.
const MOST: usize = 64 << 10;
/// Bytes of a name that are looked at; fewer are shown.
const NAME: usize = 4 << 10;

/// What a line is written with.
pub(super) struct Writing<'a> {
    /// When the call ended, in milliseconds since 1970.
    pub(super) at_ms: u64,
    /// What is to be recorded, and what is left out.
    pub(super) rules: &'a Rules,
    /// Arguments may be left to the thread.
    pub(super) may_leave: bool,
}

/// Arguments that were left out of a line, and where they belong in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left<'a> {
    pub(super) at: usize,
    pub(super) arguments: &'a [u8],
}

impl Members {
    /// A call that has ended, and its arguments where they are left to the thread.
    pub(super) fn call<'c>(&mut self, call: &'c Call, end: &End, writing: &Writing<'_>) -> Option<Left<'c>> {
        self.begin("call", writing.at_ms).word("call", &call.id.bytes());
        self.who(call);
        self.word("address", call.address_text().as_bytes()).text("listener", &call.entrance.listener.name);
        if let Some((session, _)) = &call.session {
            self.word("session", &session.handle.digits());
        }
        self.text("server", server_of(call).map_or("", |server| &server.settings.name));
        let left = call.message.as_ref().and_then(|message| self.asked(call, message, writing));
        self.decided(call, end);
        self.word("outcome", end.outcome.word().as_bytes()).number("status", u64::from(end.status));
        if let Some((kind, cause)) = &end.failure {
            self.word("failure", kind.word().as_bytes()).text("cause", &writing.rules.redactor.text(cause));
        }
        let spent = &end.spent;
        self.count("bytes_out", end.bytes)
            .count("read_us", spent.read)
            .count("queue_us", spent.queue)
            .count("connect_us", spent.connect)
            .count("first_byte_us", spent.first_byte)
            .count("stream_us", spent.stream)
            .number("total_us", spent.total)
            .number("revision", call.policy.settings.revision);
        left
    }

    fn who(&mut self, call: &Call) {
        let Some(client) = &call.client else { return };
        self.text("client", &client.id);
        if client.id.split_once(':').is_none_or(|(_, bare)| bare != &*client.owner) {
            self.text("owner", &client.owner);
        }
        self.text("organisation", client.organisation.as_ref().map_or("", |organisation| &organisation.name));
        self.text("tier", client.tier.as_ref().map_or("", |tier| &tier.name));
    }

    fn asked<'c>(&mut self, call: &'c Call, message: &'c Message, writing: &Writing<'_>) -> Option<Left<'c>> {
        let (envelope, redactor) = (&message.envelope, &writing.rules.redactor);
        match envelope.known_method {
            Some(method) => self.word("method", method.as_str().as_bytes()),
            None => self.text("method", &redactor.text(beginning(&message.method()))),
        };
        match &call.routed {
            Some(routed) => self.text("name", &redactor.text(beginning(&routed.name))),
            None => {
                self.text("name", &redactor.text(beginning(&envelope.target_str(&message.bytes).unwrap_or_default())))
            }
        };
        self.number("bytes_in", message.bytes.len() as u64);
        let value = envelope.arguments?;
        let how = writing.rules.settings.arguments;
        let may_leave = writing.may_leave && message.bytes.len() <= MOST;
        match how {
            AuditedArguments::None => return None,
            AuditedArguments::Hash if value.len() <= FEW => {}
            AuditedArguments::Hash | AuditedArguments::Redacted if may_leave => {
                return Some(Left { at: self.bytes().len(), arguments: value.of(&message.bytes) });
            }
            AuditedArguments::Hash | AuditedArguments::Redacted => {}
        }
        self.hash(&message.bytes, value);
        None
    }

    fn decided(&mut self, call: &Call, end: &End) {
        let denied = end.failure.as_ref().map(|(kind, _)| *kind).filter(|kind| is_denial(*kind));
        match (&call.ruling, denied) {
            (Some(ruling), _) if !ruling.allowed => self.word("decision", b"denied").text("rule", &ruling.rule),
            (_, Some(kind)) => self.word("decision", b"denied").text("rule", kind.word()),
            (Some(ruling), None) => self.word("decision", b"allowed").text("rule", &ruling.rule),
            (None, None) => self.word("decision", b"allowed"),
        };
    }

    /// All of a call's members, those included that were left to the thread.
    pub(super) fn whole<'a>(&'a mut self, record: &Record<'a>, rules: &Rules) -> &'a [u8] {
        if record.arguments.is_empty() {
            return record.before;
        }
        self.all(record.before);
        let value = Span::new(0, record.arguments.len());
        self.arguments(record.arguments, value, rules.settings.arguments, &rules.redactor);
        self.more(record.after);
        self.bytes()
    }
}

/// The beginning of a text that somebody else has chosen.
fn beginning(text: &str) -> &str {
    let end = (0..=NAME.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}
