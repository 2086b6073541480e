//! What the client is told when the gate gives no answer to a request.
//!
//! Each becomes a JSON-RPC error with the request's id, so that no client waits for ever and its user
//! reads a sentence that says what to do.

use http::StatusCode;
use toolgate_protocol::error::{error_body, gateway_code};
use toolgate_protocol::json;

use crate::client::connection::SendError;

/// Why a request has no answer from the gate.
#[derive(Debug)]
pub(super) enum Refusal {
    /// No connection, or it broke before the answer's head.
    Unreachable(String),
    /// The answer began and did not end.
    Cut,
    /// The gate no longer knows the session.
    SessionEnded,
    /// A status without a JSON-RPC error as its body.
    Status(StatusCode),
    /// A status with a JSON-RPC error: the raw `error` member.
    Error(Vec<u8>),
}

impl From<SendError> for Refusal {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Unreachable(why) => Self::Unreachable(why),
            SendError::Broken(_) => Self::Cut,
        }
    }
}

impl Refusal {
    /// Reads what a gate answered with a status that is no success.
    pub(super) fn of_answer(status: StatusCode, in_session: bool, body: &[u8]) -> Self {
        if status == StatusCode::NOT_FOUND && in_session {
            return Self::SessionEnded;
        }
        let error = json::document(body).ok().and_then(|whole| json::get(body, whole, "error"));
        match error.map(|error| error.of(body)) {
            Some(error) if error.starts_with(b"{") => Self::Error(error.to_vec()),
            _ => Self::Status(status),
        }
    }

    /// The answer to the request with this raw id.
    pub(super) fn answer(&self, id: &[u8], url: &str) -> Vec<u8> {
        if let Self::Error(error) = self {
            let parts: [&[u8]; 5] = [b"{\"jsonrpc\":\"2.0\",\"id\":", id, b",\"error\":", error, b"}"];
            return parts.concat();
        }
        error_body(Some(id), gateway_code(self.status()), &self.sentence(url), None)
    }

    fn status(&self) -> u16 {
        match self {
            Self::Unreachable(_) | Self::Cut => 502,
            Self::SessionEnded => 404,
            Self::Status(status) => status.as_u16(),
            Self::Error(_) => 500,
        }
    }

    /// What happened and what to do.
    pub(super) fn sentence(&self, url: &str) -> String {
        match self {
            Self::Unreachable(why) => {
                format!("The gate at {url} cannot be reached: {why}. Try again later.")
            }
            Self::Cut => format!(
                "The connection to {url} broke before the answer. Whether the call ran is unknown: \
                 check before you repeat it."
            ),
            Self::SessionEnded => format!(
                "The session at {url} has ended, so no call can succeed any more. Restart this MCP \
                 server in your client."
            ),
            Self::Status(StatusCode::UNAUTHORIZED) => {
                format!("{url} does not accept the API key. Give a valid one with TOOLGATE_KEY or --key-file.")
            }
            Self::Status(StatusCode::FORBIDDEN) => {
                format!("{url} does not allow this to the API key. Ask its operator.")
            }
            Self::Status(StatusCode::NOT_FOUND) => {
                format!("There is no MCP server at {url}. Check the address.")
            }
            Self::Status(status) => format!("{url} answers {status}. Try again later."),
            Self::Error(error) => {
                let message = json::document(error).ok();
                let message = message.and_then(|whole| json::get(error, whole, "message"));
                message.map_or_else(String::new, |text| json::decode_str(text.of(error)).into_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(refusal: &Refusal) -> serde_json::Value {
        serde_json::from_slice(&refusal.answer(br#""a""#, "https://gate/mcp")).expect("JSON")
    }

    #[test]
    fn the_gates_own_error_is_kept_and_gets_the_requests_id() {
        let body = br#"{"jsonrpc":"2.0","id":null,"error":{"code":-31429,"message":"Wait.","data":{"x":1.0}}}"#;
        let refusal = Refusal::of_answer(StatusCode::TOO_MANY_REQUESTS, true, body);
        let answer = refusal.answer(b"7", "");
        let expected: &[u8] = br#"{"jsonrpc":"2.0","id":7,"error":{"code":-31429,"message":"Wait.","data":{"x":1.0}}}"#;
        assert_eq!(answer, expected);
        assert_eq!(refusal.sentence(""), "Wait.");
    }

    #[test]
    fn a_bare_status_becomes_a_sentence() {
        let refusal = Refusal::of_answer(StatusCode::UNAUTHORIZED, false, b"<html>");
        let answer = read(&refusal);
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&"a".into(), &(-31401).into()));
        assert!(answer["error"]["message"].as_str().expect("text").contains("TOOLGATE_KEY"));
    }

    #[test]
    fn a_404_means_something_else_inside_a_session() {
        let inside = Refusal::of_answer(StatusCode::NOT_FOUND, true, b"");
        assert!(inside.sentence("u").contains("session at u has ended"));
        let outside = Refusal::of_answer(StatusCode::NOT_FOUND, false, b"");
        assert!(outside.sentence("u").contains("Check the address"));
    }
}
