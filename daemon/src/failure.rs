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
    /// What the log needs to know and the client must not.
    pub cause: Option<String>,
}

impl Failure {
    /// A failure with the sentence that its client reads.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after: None, data: None, cause: None }
    }

    /// Says when to come back.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
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
