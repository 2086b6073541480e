//! What was decided, changed or ended beside calls and changes by hand: a line of its own kind.

use super::members::Members;
use crate::clock;

/// A line that is not a call's.
#[derive(Debug)]
pub struct Event(Members);

impl Event {
    /// Something of this kind, which is a word of small letters, that happens now.
    #[must_use]
    pub fn new(kind: &'static str) -> Self {
        let mut members = Members::default();
        members.begin(kind, clock::unix_millis());
        Self(members)
    }

    /// A text, made fit to be shown; an empty one is left out. Names are those of the wire type `AuditLine`.
    #[must_use]
    pub fn with(mut self, name: &'static str, text: &str) -> Self {
        self.0.text(name, text);
        self
    }

    /// A number.
    #[must_use]
    pub fn count(mut self, name: &'static str, number: u64) -> Self {
        self.0.number(name, number);
        self
    }

    pub(super) fn into_members(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}
