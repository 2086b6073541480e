//! The one error type of a call: what went wrong, on whose side, and what to do about it.
//!
//! Every stage returns it; `answer` turns it into an HTTP answer, in exactly one place.
//! A failure never carries text of an upstream server or a client unsanitised.

mod answer;
mod kind;

use std::fmt;
use std::time::Duration;

pub use answer::{InStream, answer, in_stream};
pub use kind::{Kind, Side};

use toolgate_protocol::json;

use crate::observe::Shown;

/// Why a call ended without the server's own answer.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What went wrong; decides status and code.
    pub kind: Kind,
    /// A sentence that tells an agent what to do.
    pub message: String,
    /// When trying again may help.
    pub retry_after: Option<Duration>,
    /// Further members of the error's `data`, as `"key":value` pairs of JSON.
    pub data: Option<String>,
    /// OAuth scopes of a token that would be enough, where another one is asked for.
    pub scopes: Option<Box<str>>,
    /// What the log needs to know and the client must not.
    pub cause: Option<String>,
}

impl Failure {
    /// A failure with the sentence that its client reads.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after: None, data: None, scopes: None, cause: None }
    }

    /// Says when to come back.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Keeps the cause for the log, made fit for it: it may be a server's own words.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(Shown(&cause.to_string()).to_string());
        self
    }

    /// Asks for a token with these scopes: in the challenge, and in the error's `data` for whoever sees no headers.
    #[must_use]
    pub fn with_scopes(self, scopes: &str) -> Self {
        let told = format!("\"scope\":{}", json::encode_str(scopes));
        Self { scopes: Some(scopes.into()), ..self.with_data(told) }
    }

    /// Adds members to the error's `data`: `"supported":["…"]`.
    #[must_use]
    pub fn with_data(mut self, members: impl Into<String>) -> Self {
        self.data = Some(members.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.cause {
            Some(cause) => write!(f, " ({cause})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_in_a_servers_words_is_made_fit_for_the_log() {
        let hostile = format!("\u{1b}[2J\u{202e}{}\n", "x".repeat(10_000));
        let failure = Failure::new(Kind::ServerUnavailable, "It is gone.").because(hostile);
        let shown = failure.to_string();
        assert!(shown.starts_with(r"It is gone. (\u{1b}[2J\u{202e}xxx"), "{shown}");
        assert!(shown.len() < 400 && !shown.chars().any(crate::observe::is_unfit), "{shown}");
    }
}
