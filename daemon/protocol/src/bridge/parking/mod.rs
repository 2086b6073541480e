//! A modern client's call on a legacy server: what the server asks meanwhile becomes an `input_required` result.
//! Called by the relay, which keeps the upstream call open in [`Parked`] and seals the place's id into `requestState`.
//! Must hold: each request of the server is answered once, by whom it was meant for or by the gate, and under its id.

mod table;

pub use table::{Lost, PARKED_MILLIS, PER_OWNER, Parked, Place, Retry};

use super::capabilities::Ask;
use super::members::is_object;
use super::raw;
use crate::envelope::{Envelope, Shape};
use crate::error::{INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND, error_body, result_body};
use crate::json::{self, decode_str, encode_str};
use crate::method::Method;

/// What a server may have asked at once during one call.
pub const QUESTIONS: usize = 32;

/// What the keys of input requests begin with; a number follows that no other question of the call gets.
const KEY: &str = "toolgate.ask.";

/// What becomes of a server's own request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Send this to the server: nobody needs to be asked.
    Answer(Vec<u8>),
    /// The client is to be asked: the call cannot go on without [`Questions::input_required`].
    Ask,
    /// Nothing: it was asked already.
    Nothing,
}

/// What a legacy server has asked during one call and nobody has answered yet.
#[derive(Clone, Debug, Default)]
pub struct Questions {
    open: Vec<Question>,
    asked: u32,
}

#[derive(Clone, Debug)]
struct Question {
    key: String,
    /// The server's id, raw.
    id: Vec<u8>,
    method: String,
    /// Raw.
    params: Option<Vec<u8>>,
}

impl Questions {
    /// The server sent a request during the call. `capabilities` are those that the client declared on it, raw.
    pub fn arrived(&mut self, text: &[u8], envelope: &Envelope, capabilities: &[u8]) -> Arrival {
        let id = raw(text, envelope.id);
        if envelope.shape != Shape::Request || self.open.iter().any(|question| question.id == id) {
            return Arrival::Nothing;
        }
        if envelope.known_method == Some(Method::Ping) {
            return Arrival::Answer(result_body(id, b"{}"));
        }
        let refuse = |code, message: &str| Arrival::Answer(error_body(Some(id), code, message, None));
        let method = decode_str(raw(text, envelope.method)).into_owned();
        let params = envelope.params.map(|params| params.of(text)).filter(|params| is_object(params));
        let Some(ask) = Ask::of(&method, params.unwrap_or(b"{}")) else {
            return refuse(METHOD_NOT_FOUND, "A client of revision 2026-07-28 does not answer this method.");
        };
        if !ask.is_declared(capabilities) {
            // That a mode was not declared is an error of the parameters (2025-11-25, "Elicitation").
            let code = if matches!(ask, Ask::Form | Ask::Url) { INVALID_PARAMS } else { METHOD_NOT_FOUND };
            return refuse(code, &format!("The client did not declare {} on this call.", ask.as_str()));
        }
        if params.is_none() && ask != Ask::Roots {
            return refuse(INVALID_PARAMS, "This request needs params.");
        }
        if self.open.len() >= QUESTIONS {
            return refuse(
                INTERNAL_ERROR,
                "Too many requests of this call wait for the client; ask one after another.",
            );
        }
        self.asked += 1;
        let key = format!("{KEY}{}", self.asked);
        self.open.push(Question { key, id: id.to_vec(), method, params: params.map(<[u8]>::to_vec) });
        Arrival::Ask
    }

    /// The server cancelled one of its requests (`notifications/cancelled`). Whether it was open.
    pub fn withdrawn(&mut self, text: &[u8], envelope: &Envelope) -> bool {
        let id = raw(text, envelope.request_id);
        let before = self.open.len();
        self.open.retain(|question| question.id != id);
        self.open.len() < before
    }

    /// Whether anything waits for the client.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The answer to the client's request `id` (raw): everything that is open, and the sealed `state`.
    #[must_use]
    pub fn input_required(&self, id: &[u8], state: &str) -> Vec<u8> {
        let mut result = b"{\"resultType\":\"input_required\",\"inputRequests\":{".to_vec();
        for (index, question) in self.open.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let (key, method) = (encode_str(&question.key), encode_str(&question.method));
            result.extend_from_slice(format!("{comma}{key}:{{\"method\":{method}").as_bytes());
            if let Some(params) = &question.params {
                result.extend_from_slice(b",\"params\":");
                result.extend_from_slice(params);
            }
            result.push(b'}');
        }
        result.extend_from_slice(format!("}},\"requestState\":{}}}", encode_str(state)).as_bytes());
        result_body(id, &result)
    }

    /// The client tried again: the responses to send to the server. What the retry does not answer, or not with an
    /// object, stays open; keys that nobody asked for are passed over.
    pub fn retried(&mut self, text: &[u8], envelope: &Envelope) -> Vec<Vec<u8>> {
        let Some(given) = envelope.input_responses else { return Vec::new() };
        let mut responses = Vec::new();
        self.open.retain(|question| {
            let Some(result) = json::get(text, given, &question.key).filter(|result| is_object(result.of(text))) else {
                return true;
            };
            responses.push(result_body(&question.id, result.of(text)));
            false
        });
        responses
    }

    /// The client will not answer any more: the responses to send to the server. A form or URL is cancelled, all else
    /// refused.
    pub fn give_up(&mut self) -> Vec<Vec<u8>> {
        let refusal = |question: Question| {
            if question.method == Method::Elicit.as_str() {
                return result_body(&question.id, b"{\"action\":\"cancel\"}");
            }
            error_body(Some(&question.id), INTERNAL_ERROR, "The client went away without an answer.", None)
        };
        std::mem::take(&mut self.open).into_iter().map(refusal).collect()
    }
}

#[cfg(test)]
mod tests;
