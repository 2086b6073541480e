//! What the demo server offers, as its lists show it, and its reading matter.

use serde_json::{Value, json};

use super::reply::{Fault, INVALID_PARAMS};

const WELCOME: &str = "Welcome to Toolgate. This text is a resource of the demo server; you read it through the gate.";

/// `tools/list`
pub(super) fn tools() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!([
        tool(
            "add",
            "Adds two numbers",
            &json!({ "a": { "type": "number" }, "b": { "type": "number" } }),
            &["a", "b"],
            Some(&json!({
                "type": "object", "properties": { "sum": { "type": "number" } }, "required": ["sum"]
            }))
        ),
        tool("echo", "Says what it is told", &json!({ "text": text("What to say") }), &["text"], None),
        tool(
            "fail",
            "Fails, to show what a failure looks like",
            &json!({ "message": text("Why it fails") }),
            &[],
            None
        ),
        tool(
            "roll",
            "Rolls dice",
            &json!({
                "sides": { "type": "integer", "minimum": 2, "maximum": 1000, "default": 6 },
                "count": { "type": "integer", "minimum": 1, "maximum": 100, "default": 1 }
            }),
            &[],
            None
        ),
        tool(
            "slow",
            "Takes its time, tells its progress, and can be cancelled",
            &json!({
                "seconds": { "type": "number", "minimum": 0, "maximum": 600, "default": 5 },
                "steps": { "type": "integer", "minimum": 1, "maximum": 1000, "default": 5 }
            }),
            &[],
            None
        ),
        tool("time", "Tells the time of this machine, in UTC", &json!({}), &[], None),
    ])
}

fn tool(name: &str, description: &str, properties: &Value, required: &[&str], output: Option<&Value>) -> Value {
    let mut tool = json!({
        "name": name,
        "description": description,
        "inputSchema": { "type": "object", "properties": properties, "required": required },
    });
    if let Some(output) = output {
        tool["outputSchema"] = output.clone();
    }
    tool
}

/// `resources/list`
pub(super) fn resources() -> Value {
    json!([{ "uri": "demo://welcome", "name": "welcome", "description": "A short welcome", "mimeType": "text/plain" }])
}

/// `resources/templates/list`
pub(super) fn templates() -> Value {
    json!([{ "uriTemplate": "demo://greeting/{name}", "name": "greeting", "description": "A greeting for somebody", "mimeType": "text/plain" }])
}

/// `resources/read`; `None` where there is no such resource.
pub(super) fn read(uri: &str) -> Option<Value> {
    let text = match uri.strip_prefix("demo://")? {
        "welcome" => WELCOME.to_owned(),
        path => {
            let name = path.strip_prefix("greeting/").filter(|name| !name.is_empty())?;
            format!("Hello, {name}!")
        }
    };
    Some(json!({ "contents": [{ "uri": uri, "mimeType": "text/plain", "text": text }] }))
}

/// `prompts/list`
pub(super) fn prompts() -> Value {
    json!([{
        "name": "tour", "description": "Asks for a tour of the demo's tools",
        "arguments": [{ "name": "language", "description": "Language of the tour", "required": false }]
    }])
}

/// `prompts/get`
pub(super) fn prompt(params: &Value) -> Result<Value, Fault> {
    if params["name"] != "tour" {
        return Err(Fault::new(INVALID_PARAMS, "no such prompt; prompts/list names them"));
    }
    let language = params["arguments"]["language"].as_str().unwrap_or("English");
    let text = format!(
        "Try every tool of this server once, the slow one too, and tell me in {language} what each of them did."
    );
    Ok(
        json!({ "description": "A tour of the demo's tools", "messages": [{ "role": "user", "content": { "type": "text", "text": text } }] }),
    )
}
