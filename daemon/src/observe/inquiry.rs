//! Questions of agents that watch the gate: `POST /mcp` on a listener that serves `status` and no MCP.
//!
//! As JSON-RPC, but forgiving: `jsonrpc`, `id` and `Accept` may be absent. MCP clients find the same questions as tools
//! ([`mcp`]). Nothing here changes anything.

mod mcp;

use http::{Method, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};

use super::health::look;
use super::health::page::{Audience, detail, summary};
use super::ledger;
use crate::body::Body;
use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::gate::Gate;
use crate::pages;
use crate::stages::read;

/// JSON-RPC 2.0, section 5.1.
const PARSE_ERROR: i64 = -32_700;
/// The same.
const INVALID_REQUEST: i64 = -32_600;
/// The same.
const METHOD_NOT_FOUND: i64 = -32_601;

/// JSON-RPC 2.0, section 5.1.
const INVALID_PARAMS: i64 = -32_602;

/// Sessions that are listed.
const SESSIONS: usize = 200;

/// Something that can be asked: a method, and a tool of that name.
struct Question {
    name: &'static str,
    /// For whoever chooses among tools.
    doc: &'static str,
    /// Its parameters: name, type, and what it means.
    parameters: &'static [(&'static str, &'static str, &'static str)],
    run: fn(&Gate, &Value) -> Result<Value, String>,
}

/// What can be asked.
const QUESTIONS: &[Question] = &[
    Question {
        name: "get_health_status",
        doc: "The health of the gate: its checks, and calls by method.",
        parameters: &[("detailed", "boolean", "Also pools, limits, the process, alerts and advice.")],
        run: health_status,
    },
    Question {
        name: "list_sessions",
        doc: "Sessions of agents: who, since when, what they do and how busy they are.",
        parameters: &[("client", "string", "Only those of this client.")],
        run: list_sessions,
    },
    Question {
        name: "get_session",
        doc: "One session with what went on in it.",
        parameters: &[("id", "string", "As list_sessions has it.")],
        run: get_session,
    },
];

/// Answers one question.
///
/// # Errors
/// Where there is no body to read.
pub async fn answer(call: &Call, unread: &mut Option<Incoming>) -> Result<Response<Body>, Failure> {
    if call.method != Method::POST {
        return Err(Failure::new(Kind::MethodNotAllowed, "Ask with POST, such as {\"method\":\"get_health_status\"}."));
    }
    let bytes = match unread.take() {
        Some(body) => read::collect(call, body).await?,
        None => bytes::Bytes::new(),
    };
    let (status, answer) = reply(&call.core.gate, &bytes);
    Ok(answer.map_or_else(|| empty(status), |answer| pages::json(status, answer.to_string())))
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}

/// The answer; none to a notification.
fn reply(gate: &Gate, body: &[u8]) -> (StatusCode, Option<Value>) {
    let Ok(asked) = serde_json::from_slice::<Value>(body) else {
        return (StatusCode::BAD_REQUEST, Some(error(&Value::Null, PARSE_ERROR, "The body is no JSON.")));
    };
    let id = asked.get("id").filter(|id| id.is_string() || id.is_number()).cloned().unwrap_or_default();
    let Some(method) = asked.get("method").and_then(Value::as_str) else {
        let text = "Send an object with a `method`, such as {\"method\":\"get_health_status\"}.";
        return (StatusCode::BAD_REQUEST, Some(error(&id, INVALID_REQUEST, text)));
    };
    if method.starts_with("notifications/") {
        return (StatusCode::ACCEPTED, None);
    }
    let params = asked.get("params").unwrap_or(&Value::Null);
    let outcome = match question(method) {
        Some(question) => (question.run)(gate, params).map_err(|text| (INVALID_PARAMS, text)),
        None => mcp::answer(gate, method, params),
    };
    let answer = match outcome {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err((code, text)) => error(&id, code, &text),
    };
    (StatusCode::OK, Some(answer))
}

fn question(name: &str) -> Option<&'static Question> {
    QUESTIONS.iter().find(|question| question.name == name)
}

fn unknown() -> (i64, String) {
    let known: Vec<_> = QUESTIONS.iter().map(|question| question.name).collect();
    (METHOD_NOT_FOUND, format!("There is no such method. Known are: {}.", known.join(", ")))
}

fn error(id: &Value, code: i64, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}

/// `params.detailed` adds pools, limits, the process, alerts and advice.
#[expect(clippy::unnecessary_wraps, reason = "as all questions are answered")]
fn health_status(gate: &Gate, params: &Value) -> Result<Value, String> {
    let mut body: Map<String, Value> = summary(gate, &look(gate), Audience::Internal);
    if params.get("detailed").and_then(Value::as_bool) == Some(true) {
        body.extend(detail(gate));
    }
    body.insert("method_breakdown".into(), methods(gate));
    Ok(Value::Object(body))
}

/// `params.client` leaves out those of others.
#[expect(clippy::unnecessary_wraps, reason = "as all questions are answered")]
fn list_sessions(gate: &Gate, params: &Value) -> Result<Value, String> {
    let wanted = params.get("client").and_then(Value::as_str);
    let mut sessions = ledger::sessions(gate);
    sessions.retain(|session| wanted.is_none_or(|client| session.client == client));
    let total = sessions.len();
    // The busiest first, then those that were heard of last.
    sessions.sort_by_key(|session| (std::cmp::Reverse(session.in_flight), session.idle_seconds));
    sessions.truncate(SESSIONS);
    Ok(json!({ "total": total, "sessions": sessions }))
}

/// `params.id` is as [`list_sessions`] has it.
fn get_session(gate: &Gate, params: &Value) -> Result<Value, String> {
    let id = params.get("id").and_then(Value::as_str).ok_or("Say which session: `id`, as list_sessions has it.")?;
    let session =
        ledger::session(gate, id).ok_or("There is no such session any more; list_sessions has those there are.")?;
    serde_json::to_value(session).map_err(|error| format!("The answer failed: {error}."))
}

/// Calls by method, the busiest first.
fn methods(gate: &Gate) -> Value {
    let methods: Map<String, Value> = gate
        .ledger
        .methods()
        .into_iter()
        .map(|(method, traffic)| {
            let told = json!({
                "calls": traffic.calls,
                "errors": traffic.errors,
                "refused": traffic.refused,
                "in_flight": traffic.in_flight,
                "calls_per_second": traffic.calls_per_second,
                "p50_ms": millis(traffic.latency.p50_us),
                "p95_ms": millis(traffic.latency.p95_us),
                "p99_ms": millis(traffic.latency.p99_us),
            });
            (method.to_owned(), told)
        })
        .collect();
    Value::Object(methods)
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a call are far below 2^52")]
fn millis(us: u64) -> f64 {
    us as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::policy::Policy;

    fn ask(body: &str) -> (u16, Value) {
        let settings = crate::config::from_text("version = 1").unwrap();
        let gate = Gate::new(Policy::new(Arc::new(settings), None).unwrap());
        let (status, answer) = reply(&gate, body.as_bytes());
        (status.as_u16(), answer.unwrap_or_default())
    }

    #[test]
    fn a_question_needs_nothing_but_its_method() {
        let (status, answer) = ask(r#"{"method":"get_health_status"}"#);
        assert_eq!((status, &answer["id"]), (200, &Value::Null));
        // It says so of a configuration without a listener.
        assert_eq!(answer["result"]["status"], "warning");
        assert!(answer["result"]["checks"]["memory"]["message"].is_string(), "{answer}");
        assert!(answer["result"].get("system").is_none());
        let (_, answer) = ask(r#"{"jsonrpc":"2.0","id":7,"method":"get_health_status","params":{"detailed":true}}"#);
        assert_eq!(answer["id"], 7);
        assert!(answer["result"]["system"]["memory"].is_u64() && answer["result"]["alerts"].is_array(), "{answer}");
    }

    #[test]
    fn what_cannot_be_answered_is_said() {
        assert_eq!(ask("").1["error"]["code"], -32_700);
        assert_eq!(ask("[]").0, 400);
        let (status, answer) = ask(r#"{"id":"a","method":"shutdown"}"#);
        assert_eq!((status, &answer["id"], &answer["error"]["code"]), (200, &json!("a"), &json!(-32_601)));
        assert!(answer["error"]["message"].as_str().unwrap().contains("get_health_status"));
    }

    #[test]
    fn sessions_are_listed_and_one_is_named() {
        let (_, answer) = ask(r#"{"method":"list_sessions"}"#);
        assert_eq!(answer["result"], json!({ "total": 0, "sessions": [] }));
        assert_eq!(ask(r#"{"method":"get_session"}"#).1["error"]["code"], -32_602);
        let (_, answer) = ask(r#"{"method":"get_session","params":{"id":"0000000000000000"}}"#);
        assert!(answer["error"]["message"].as_str().unwrap().contains("no such session"), "{answer}");
    }

    #[test]
    fn a_client_of_mcp_finds_the_questions_as_tools() {
        let (_, answer) = ask(r#"{"id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#);
        assert_eq!(answer["result"]["protocolVersion"], "2025-06-18");
        assert_eq!(ask(r#"{"method":"notifications/initialized"}"#), (202, Value::Null));
        let (_, answer) = ask(r#"{"id":2,"method":"tools/list"}"#);
        let tools: Vec<_> = answer["result"]["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
        assert_eq!(tools, ["get_health_status", "list_sessions", "get_session"]);
        let (_, answer) = ask(r#"{"id":3,"method":"tools/call","params":{"name":"list_sessions","arguments":{}}}"#);
        assert_eq!(answer["result"]["structuredContent"]["total"], 0);
        assert_eq!(answer["result"]["isError"], false);
        let (_, answer) = ask(r#"{"id":4,"method":"tools/call","params":{"name":"get_session"}}"#);
        assert_eq!(answer["result"]["isError"], true, "models read what is wrong: {answer}");
        assert_eq!(ask(r#"{"id":5,"method":"tools/call","params":{"name":"shutdown"}}"#).1["error"]["code"], -32_602);
    }
}
