//! Why a call on a modern server ended while it required input.
//! Made by `playback`, told to the legacy client in the place of a result.
//! Must hold: the client's own error reaches it as it wrote it.

use std::fmt;

use crate::bridge::capabilities::Ask;
use crate::error::{INTERNAL_ERROR, INVALID_REQUEST, error_body, gateway_code};

/// Why a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// What the server required cannot be understood; the text says why.
    Malformed(&'static str),
    /// The server asked for what the client did not declare.
    Undeclared(Ask),
    /// The client answered a question with this error (raw).
    Client(Vec<u8>),
    /// The client answered a question with something that is no object.
    Unreadable,
    /// The server required input again and again.
    TooManyRounds,
    /// The server cancelled the task that the call had become.
    TaskCancelled,
}

impl Failure {
    /// The JSON-RPC code; of [`Failure::Client`] the client's own stands in the answer.
    #[must_use]
    pub const fn code(&self) -> i64 {
        match self {
            Self::Malformed(_) | Self::TooManyRounds => gateway_code(502),
            Self::Undeclared(_) => INVALID_REQUEST,
            Self::Client(_) | Self::Unreadable | Self::TaskCancelled => INTERNAL_ERROR,
        }
    }

    /// The answer to the call. `id` is raw.
    #[must_use]
    pub fn answer(&self, id: &[u8]) -> Vec<u8> {
        let data = match self {
            Self::Client(error) => {
                return [b"{\"jsonrpc\":\"2.0\",\"id\":", id, b",\"error\":", error, b"}"].concat();
            }
            Self::Undeclared(ask) => Some(format!(r#"{{"requiredCapabilities":{}}}"#, ask.required())),
            _ => None,
        };
        error_body(Some(id), self.code(), &self.to_string(), data.as_deref().map(str::as_bytes))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(problem) => write!(f, "The server's wish for input cannot be met: {problem}."),
            Self::Undeclared(ask) => {
                write!(f, "The server requires {}, which this client did not declare in `initialize`.", ask.as_str())
            }
            Self::Client(_) => write!(f, "The client answered the server's question with an error."),
            Self::Unreadable => write!(f, "The client's answer to the server's question is no object."),
            Self::TooManyRounds => {
                write!(f, "The server required input again and again; try the call later, or ask its operator.")
            }
            Self::TaskCancelled => write!(f, "The server cancelled the task that this call had become."),
        }
    }
}

impl std::error::Error for Failure {}
