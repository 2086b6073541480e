//! Introductions: what the gate says of the servers behind a path.
//!
//! One server is introduced in its own words, in the client's era. A merged view says what its
//! servers can do together; a server that is down is left out and named in the log.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;
use toolgate_protocol::bridge::{TASKS_EXTENSION, capabilities, introduce};
use toolgate_protocol::error::result_body;
use toolgate_protocol::json::{self as raw, Span};
use toolgate_protocol::revision::{Era, MODERN, Revision};
use tracing::warn;

use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::servers::Server;
use crate::servers::discovery::Introduced;
use crate::servers::eras::{introduced_in_any, introduced_in_any_within};

/// How long a greeting waits for one server of a merged view.
const PATIENCE: Duration = Duration::from_secs(5);

/// The answer to `initialize`.
pub struct Greeting {
    /// What was agreed on.
    pub revision: Revision,
    /// The whole message.
    pub answer: Bytes,
}

/// Answers `initialize` for the revision that the client asks for.
pub async fn initialize(call: &Call, revision: Revision) -> Result<Greeting, Failure> {
    let id = call.message().id_bytes();
    if let Some(server) = call.view().single() {
        if !server.is_open_to_all() {
            let answer = result_body(&id, &unasked(server, &json!({ "protocolVersion": revision.as_str() }))).into();
            return Ok(Greeting { revision, answer });
        }
        let said = introduced_in_any(&call.core, server, revision).await?;
        let (revision, answer) = match said.leg.era {
            Era::Legacy => (agreed(&said).unwrap_or(revision), with_id(&said, &id)),
            Era::Modern => {
                let (text, result) = result(&said)?;
                let name = &server.settings.name;
                (revision, result_body(&id, &introduce::initialize_result(text, result, revision, name)).into())
            }
        };
        return Ok(Greeting { revision, answer });
    }
    let said = all(call, revision).await;
    let result = json!({
        "protocolVersion": revision.as_str(),
        "capabilities": united(&said, Era::Legacy),
        "serverInfo": server_info(),
    });
    Ok(Greeting { revision, answer: result_body(&id, &with_instructions(result, &said)).into() })
}

/// Answers `server/discover`.
pub async fn discover(call: &Call) -> Result<Bytes, Failure> {
    let id = call.message().id_bytes();
    if let Some(server) = call.view().single() {
        if !server.is_open_to_all() {
            let modern = json!({
                "resultType": "complete",
                "supportedVersions": [MODERN.as_str()],
                "ttlMs": 0,
                "cacheScope": "private",
                "_meta": { "io.modelcontextprotocol/serverInfo": server_info() },
            });
            return Ok(result_body(&id, &unasked(server, &modern)).into());
        }
        let said = introduced_in_any(&call.core, server, MODERN).await?;
        return Ok(match said.leg.era {
            Era::Modern => with_id(&said, &id),
            Era::Legacy => {
                let (text, result) = result(&said)?;
                result_body(&id, &introduce::discover_result(text, result)).into()
            }
        });
    }
    let said = all(call, MODERN).await;
    let result = json!({
        "resultType": "complete",
        "supportedVersions": [MODERN.as_str()],
        "capabilities": united(&said, Era::Modern),
        "ttlMs": 0,
        "cacheScope": "private",
        "_meta": { "io.modelcontextprotocol/serverInfo": server_info() },
    });
    Ok(result_body(&id, &with_instructions(result, &said)).into())
}

fn with_id(said: &Introduced, id: &[u8]) -> Bytes {
    said.answer.with(&[(said.answer.envelope.id, id)]).into()
}

fn result(said: &Introduced) -> Result<(&[u8], Span), Failure> {
    let result = said.answer.envelope.result;
    let result = result.ok_or_else(|| Failure::new(Kind::Internal, "An introduction without a result was kept."))?;
    Ok((&said.answer.bytes, result))
}

/// Refuses a version that the gate itself cannot speak, and names those that it can. A mirrored
/// server does so by itself, and knows better.
pub fn known_version(call: &Call) -> Result<(), Failure> {
    let message = call.message.as_ref();
    let in_body = message.and_then(|message| message.envelope.protocol_version_str(&message.bytes));
    let Some(version) = in_body.as_deref().or_else(|| call.header("mcp-protocol-version")) else { return Ok(()) };
    if Revision::parse(version).is_some_and(|revision| revision.era() == call.era) {
        return Ok(());
    }
    let of_era = Revision::ALL.iter().rev().filter(|revision| revision.era() == call.era);
    let supported: Vec<String> = of_era.map(|revision| format!("\"{revision}\"")).collect();
    let requested = raw::encode_str(version);
    Err(Failure::new(Kind::VersionUnsupported, "This protocol version is not served here.")
        .with_data(format!("\"supported\":[{}],\"requested\":{requested}", supported.join(","))))
}

/// What each server of the view says that is up.
async fn all(call: &Call, revision: Revision) -> Vec<(Arc<Server>, Arc<Introduced>)> {
    let mut asked = JoinSet::new();
    let open = call.view().servers.iter().filter(|server| call.client().may_reach(&server.settings.name));
    // One that answers nobody without a user has nothing to say yet.
    for (place, server) in open.filter(|server| server.is_open_to_all()).enumerate() {
        let (core, server) = (Rc::clone(&call.core), Arc::clone(server));
        asked.spawn_local(async move {
            let said = introduced_in_any_within(PATIENCE, &core, &server, revision).await;
            (place, server, said)
        });
    }
    let mut said = asked.join_all().await;
    said.sort_by_key(|(place, ..)| *place);
    let mut up = Vec::new();
    for (_, server, answer) in said {
        match answer {
            Ok(introduced) => up.push((server, introduced)),
            Err(failure) => warn!(server = server.settings.name, %failure, "a server is left out of a greeting"),
        }
    }
    up
}

fn agreed(said: &Introduced) -> Option<Revision> {
    let span = raw::get(&said.answer.bytes, said.answer.envelope.result?, "protocolVersion")?;
    Revision::parse(&raw::decode_str(span.of(&said.answer.bytes)))
}

fn server_info() -> Value {
    json!({ "name": "toolgate", "version": env!("CARGO_PKG_VERSION") })
}

/// What is said of a server that answers nobody before a user has allowed it.
fn unasked(server: &Server, more: &Value) -> Vec<u8> {
    let name = &server.settings.name;
    let mut all = json!({
        "capabilities": { "tools": { "listChanged": true }, "prompts": { "listChanged": true }, "resources": { "listChanged": true } },
        "serverInfo": server_info(),
        "instructions": format!("The server {name} acts for its users. The first request that needs one leads the user to a page where it is allowed; what the server offers is seen from then on."),
    });
    if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
        all.extend(more.clone());
    }
    all.to_string().into_bytes()
}

/// Everything that some server can do, in the words of the client's era.
fn united(said: &[(Arc<Server>, Arc<Introduced>)], era: Era) -> Value {
    let mut all = Map::new();
    for (_, introduced) in said {
        let own = introduced.capabilities_raw().unwrap_or(b"{}");
        let text: Cow<'_, [u8]> = match (introduced.leg.era, era) {
            (Era::Modern, Era::Legacy) => capabilities::server_to_legacy(own).into(),
            (Era::Legacy, Era::Modern) => capabilities::server_to_modern(own).into(),
            _ => own.into(),
        };
        if let Ok(Value::Object(one)) = serde_json::from_slice(&text) {
            unite(&mut all, one);
        }
    }
    // Tasks are named by ids that do not say whose they are.
    all.remove("tasks");
    if let Some(Value::Object(extensions)) = all.get_mut("extensions") {
        extensions.remove(TASKS_EXTENSION);
    }
    Value::Object(all)
}

fn unite(all: &mut Map<String, Value>, one: Map<String, Value>) {
    for (key, value) in one {
        match (all.get_mut(&key), value) {
            (Some(Value::Object(known)), Value::Object(more)) => unite(known, more),
            (Some(Value::Bool(known)), Value::Bool(more)) => *known |= more,
            (Some(_), _) => {}
            (None, value) => drop(all.insert(key, value)),
        }
    }
}

/// Each server's instructions under its name, since they speak of its own tools.
fn with_instructions(mut result: Value, said: &[(Arc<Server>, Arc<Introduced>)]) -> Vec<u8> {
    let parts: Vec<String> = said
        .iter()
        .filter_map(|(server, introduced)| {
            let text: String = serde_json::from_slice(introduced.instructions_raw()?).ok()?;
            let name = &server.settings.name;
            Some(format!("# {name}\nThe names of these tools begin with {name}__.\n{text}"))
        })
        .collect();
    if !parts.is_empty() {
        result["instructions"] = parts.join("\n\n").into();
    }
    result.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_unite_and_a_promise_of_one_server_holds() {
        let mut all = Map::new();
        for text in [
            r#"{"tools":{"listChanged":false},"prompts":{}}"#,
            r#"{"tools":{"listChanged":true},"resources":{"subscribe":true}}"#,
        ] {
            unite(&mut all, serde_json::from_str(text).unwrap());
        }
        let expected = json!({"tools":{"listChanged":true},"prompts":{},"resources":{"subscribe":true}});
        assert_eq!(Value::Object(all), expected);
    }
}
