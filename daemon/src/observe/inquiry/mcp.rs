//! The questions as tools of MCP, for agents that know nothing but that. No session is kept: whoever asks is answered.

use serde_json::{Map, Value, json};
use toolgate_protocol::revision::{LATEST_LEGACY, MODERN, Revision};

use super::{INVALID_PARAMS, QUESTIONS, Question, question, unknown};
use crate::gate::Gate;

/// The answer to a method of MCP, or the error's code and text.
pub(super) fn answer(gate: &Gate, method: &str, params: &Value) -> Result<Value, (i64, String)> {
    match method {
        "initialize" => Ok(initialized(params)),
        "server/discover" => Ok(discovered()),
        "ping" => Ok(json!({ "resultType": "complete" })),
        "tools/list" => Ok(tools()),
        "tools/call" => call(gate, params),
        _ => Err(unknown()),
    }
}

fn initialized(params: &Value) -> Value {
    let wanted = params.get("protocolVersion").and_then(Value::as_str);
    let known = wanted.filter(|wanted| Revision::parse(wanted).is_some_and(|revision| revision != MODERN));
    let mut result = introduction();
    result["protocolVersion"] = known.unwrap_or(LATEST_LEGACY.as_str()).into();
    result
}

fn discovered() -> Value {
    let mut result = introduction();
    result["resultType"] = "complete".into();
    result["supportedVersions"] = json!([MODERN.as_str()]);
    result["ttlMs"] = 0.into();
    result["cacheScope"] = "private".into();
    result
}

fn introduction() -> Value {
    json!({
        "capabilities": { "tools": {} },
        "serverInfo": { "name": "toolgate-status", "version": env!("CARGO_PKG_VERSION") },
        "instructions": "Read what the gate does: its health, its alerts, and the sessions of agents. Nothing here changes anything.",
    })
}

fn tools() -> Value {
    let tools: Vec<_> = QUESTIONS.iter().map(tool).collect();
    json!({ "resultType": "complete", "ttlMs": 3_600_000, "cacheScope": "public", "tools": tools })
}

fn tool(question: &Question) -> Value {
    let properties: Map<String, Value> = question
        .parameters
        .iter()
        .map(|(name, kind, doc)| ((*name).to_owned(), json!({ "type": kind, "description": doc })))
        .collect();
    json!({
        "name": question.name,
        "description": question.doc,
        "inputSchema": { "type": "object", "properties": properties },
        "annotations": { "readOnlyHint": true },
    })
}

/// What is wrong with the arguments is an error of the tool, which models read.
fn call(gate: &Gate, params: &Value) -> Result<Value, (i64, String)> {
    let name = params.get("name").and_then(Value::as_str).unwrap_or_default();
    let Some(question) = question(name) else {
        return Err((INVALID_PARAMS, "There is no such tool; tools/list has those there are.".to_owned()));
    };
    let outcome = (question.run)(gate, params.get("arguments").unwrap_or(&Value::Null));
    Ok(match outcome {
        Ok(value) => json!({
            "resultType": "complete",
            "content": [{ "type": "text", "text": value.to_string() }],
            "structuredContent": value,
            "isError": false,
        }),
        Err(text) => json!({
            "resultType": "complete",
            "content": [{ "type": "text", "text": text }],
            "isError": true,
        }),
    })
}
