//! Questions of agents that watch the gate: `POST /mcp` on a listener that serves `status` and no MCP.
//!
//! As JSON-RPC, but forgiving: `jsonrpc`, `id` and `Accept` may be absent. Nothing here changes anything.

use http::{Method, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};

use super::health::look;
use super::health::page::{Audience, detail, summary};
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

/// What can be asked.
const METHODS: &[(&str, fn(&Gate, &Value) -> Value)] = &[("get_health_status", health_status)];

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
    Ok(pages::json(status, answer.to_string()))
}

fn reply(gate: &Gate, body: &[u8]) -> (StatusCode, Value) {
    let Ok(asked) = serde_json::from_slice::<Value>(body) else {
        return (StatusCode::BAD_REQUEST, error(Value::Null, PARSE_ERROR, "The body is no JSON."));
    };
    let id = asked.get("id").filter(|id| id.is_string() || id.is_number()).cloned().unwrap_or_default();
    let Some(method) = asked.get("method").and_then(Value::as_str) else {
        let text = "Send an object with a `method`, such as {\"method\":\"get_health_status\"}.";
        return (StatusCode::BAD_REQUEST, error(id, INVALID_REQUEST, text));
    };
    let Some((_, run)) = METHODS.iter().find(|(name, _)| *name == method) else {
        let known: Vec<_> = METHODS.iter().map(|(name, _)| *name).collect();
        let text = format!("There is no such method. Known are: {}.", known.join(", "));
        return (StatusCode::OK, error(id, METHOD_NOT_FOUND, &text));
    };
    let result = run(gate, asked.get("params").unwrap_or(&Value::Null));
    (StatusCode::OK, json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}

fn error(id: Value, code: i64, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}

/// `params.detailed` adds pools, limits, the process, alerts and advice.
fn health_status(gate: &Gate, params: &Value) -> Value {
    let mut body: Map<String, Value> = summary(gate, &look(gate), Audience::Internal);
    if params.get("detailed").and_then(Value::as_bool) == Some(true) {
        body.extend(detail(gate));
    }
    body.insert("method_breakdown".into(), methods(gate));
    Value::Object(body)
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
        (status.as_u16(), answer)
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
}
