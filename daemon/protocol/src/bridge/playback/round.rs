//! One `input_required` result, read: the questions in it and the state to echo.
//! Called by `playback` once per round, and by `tasks` for the questions of a task.
//! Must hold: keys and state are repeated as the server wrote them; what is malformed is refused before anybody is
//! asked.

use std::collections::HashSet;

use super::{Failure, QUESTIONS};
use crate::bridge::capabilities::Ask;
use crate::bridge::members::{self, is_object};
use crate::bridge::raw;
use crate::envelope::Envelope;
use crate::json::{self, Span, decode_str, encode_str};

/// One round of a call.
#[derive(Clone, Debug, Default)]
pub(in crate::bridge) struct Round {
    pub(in crate::bridge) questions: Vec<Question>,
    /// `requestState`, raw.
    pub(super) state: Option<Vec<u8>>,
}

/// One input request of the server, which is a request of ours at the client.
#[derive(Clone, Debug)]
pub(in crate::bridge) struct Question {
    /// Its key in `inputRequests`, raw.
    key: Vec<u8>,
    /// Our id at the client, raw.
    id: Vec<u8>,
    ask: Ask,
    /// The client's result, raw.
    answer: Option<Vec<u8>>,
}

impl Question {
    /// Its key, decoded.
    pub(in crate::bridge) fn key(&self) -> String {
        decode_str(&self.key).into_owned()
    }
}

impl Round {
    /// Refuses a question that these capabilities (raw) do not declare.
    pub(in crate::bridge) fn check_declared(&self, capabilities: &[u8]) -> Result<(), Failure> {
        match self.questions.iter().find(|question| !question.ask.is_declared(capabilities)) {
            Some(question) => Err(Failure::Undeclared(question.ask)),
            None => Ok(()),
        }
    }

    /// Takes a response of the client. True when it was the last that was missing; false when others are, or when it
    /// answers nothing that is open. A refused form or URL is a cancelled one; of all else an error ends the call.
    pub(in crate::bridge) fn answered(&mut self, text: &[u8], envelope: &Envelope) -> Result<bool, Failure> {
        let id = raw(text, envelope.id);
        let open = |question: &&mut Question| question.answer.is_none() && question.id == id;
        let Some(question) = self.questions.iter_mut().find(open) else { return Ok(false) };
        let (answer, failure) = match (envelope.result, envelope.error) {
            (Some(result), _) if is_object(result.of(text)) => (result.of(text), None),
            _ if matches!(question.ask, Ask::Form | Ask::Url) => (&b"{\"action\":\"cancel\"}"[..], None),
            (_, Some(error)) => (error.of(text), Some(Failure::Client(error.of(text).to_vec()))),
            _ => (&b"{}"[..], Some(Failure::Unreadable)),
        };
        // Even a question that ends the call is answered: the client must not be told to forget it.
        question.answer = Some(answer.to_vec());
        match failure {
            Some(failure) => Err(failure),
            None => Ok(self.questions.iter().all(|question| question.answer.is_some())),
        }
    }

    /// The ids of what is not answered.
    pub(in crate::bridge) fn open(self) -> Vec<Vec<u8>> {
        let open = self.questions.into_iter().filter(|question| question.answer.is_none());
        open.map(|question| question.id).collect()
    }

    /// `inputResponses`, when there were questions.
    pub(in crate::bridge) fn responses(&self) -> Option<Vec<u8>> {
        if self.questions.is_empty() {
            return None;
        }
        let member = |one: &Question| [&one.key, &b":"[..], one.answer.as_deref().unwrap_or(b"{}")].concat();
        let members: Vec<Vec<u8>> = self.questions.iter().map(member).collect();
        Some([b"{", &members.join(&b","[..])[..], b"}"].concat())
    }
}

/// The round of a result, and the requests to send to the client. What has a key (decoded) in `known` is not asked.
pub(in crate::bridge) fn read(
    text: &[u8],
    result: Span,
    known: &HashSet<String>,
    mint: &mut dyn FnMut() -> Vec<u8>,
) -> Result<(Round, Vec<Vec<u8>>), Failure> {
    let state = match json::get(text, result, "requestState").map(|state| state.of(text)) {
        Some(state) if state.starts_with(b"\"") => Some(state.to_vec()),
        Some(_) => return Err(Failure::Malformed("`requestState` is no string")),
        None => None,
    };
    let requests: Vec<json::Member> = match json::get(text, result, "inputRequests") {
        Some(requests) if is_object(requests.of(text)) => json::members(text, requests).collect(),
        Some(_) => return Err(Failure::Malformed("`inputRequests` is no object")),
        None if state.is_none() => {
            return Err(Failure::Malformed("it has neither `inputRequests` nor `requestState`"));
        }
        None => Vec::new(),
    };
    if requests.len() > QUESTIONS {
        return Err(Failure::Malformed("it has too many input requests"));
    }
    let mut round = Round { questions: Vec::with_capacity(requests.len()), state };
    let mut asked = Vec::with_capacity(requests.len());
    for request in requests {
        let key = request.key.of(text);
        if round.questions.iter().any(|one| decode_str(&one.key) == decode_str(key)) {
            return Err(Failure::Malformed("a key of `inputRequests` stands twice"));
        }
        if known.contains(&*decode_str(key)) {
            continue;
        }
        let id = mint();
        let (ask, message) = question(text, request.value, &id)?;
        asked.push(message);
        round.questions.push(Question { key: key.to_vec(), id, ask, answer: None });
    }
    Ok((round, asked))
}

/// What an input request asks for, and the request that asks a legacy client for it.
fn question(text: &[u8], request: Span, id: &[u8]) -> Result<(Ask, Vec<u8>), Failure> {
    let method = json::get(text, request, "method").map(|method| method.of(text)).unwrap_or_default();
    let params = json::get(text, request, "params").filter(|params| params.of(text) != b"null");
    let mut params_raw = params.map(|params| params.of(text).to_vec());
    let method = decode_str(method);
    let Some(ask) = Ask::of(&method, params_raw.as_deref().unwrap_or(b"{}")) else {
        return Err(Failure::Malformed("an input request has a method that is none of the three"));
    };
    let is_fit = params_raw.as_deref().map_or(ask == Ask::Roots, is_object);
    if !is_fit {
        return Err(Failure::Malformed("the params of an input request are no object"));
    }
    // Legacy clients demand an id of the elicitation, which the modern era no longer has.
    if let (Ask::Url, Some(params)) = (ask, params)
        && json::get(text, params, "elicitationId").is_none()
    {
        let made = encode_str(&format!("toolgate.{}", decode_str(id)));
        params_raw = Some(members::rewritten(text, params, &[("elicitationId", made.as_bytes())], &[]));
    }
    let mut message = [b"{\"jsonrpc\":\"2.0\",\"id\":", id, b",\"method\":", encode_str(&method).as_bytes()].concat();
    if let Some(params) = params_raw {
        message.extend_from_slice(b",\"params\":");
        message.extend_from_slice(&params);
    }
    message.push(b'}');
    Ok((ask, message))
}
