//! One conversation with a client: a process over stdio, a legacy session, or one modern request.
//!
//! The transports feed it messages. Its era is settled by the first request and stays; a cancelled
//! request gets no answer.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use serde_json::{Value, json};
use tokio::sync::Notify;
use toolgate_protocol::revision::{Era, LATEST_LEGACY, MODERN, Revision};

use super::reply::{
    Fault, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, RESOURCE_NOT_FOUND, UNSUPPORTED_VERSION, notification,
    response,
};
use super::{offers, tools};

/// Keys of `params._meta` in the modern era.
const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES_KEY: &str = "io.modelcontextprotocol/clientCapabilities";
const LOG_LEVEL_KEY: &str = "io.modelcontextprotocol/logLevel";
const SUBSCRIPTION_KEY: &str = "io.modelcontextprotocol/subscriptionId";
const SERVER_INFO_KEY: &str = "io.modelcontextprotocol/serverInfo";

/// Severities of log messages, least first.
const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// How long a modern client may keep a list: they never change.
const LIST_TTL_MILLIS: u64 = 60_000;

/// A response and its HTTP status.
pub(super) struct Reply {
    pub(super) body: Value,
    pub(super) status: u16,
}

/// What is remembered between the messages of a conversation.
#[derive(Default)]
pub(super) struct Dialogue {
    era: Cell<Option<Era>>,
    /// Index into `LEVELS`; a legacy client asks for it.
    log_level: Cell<Option<usize>>,
    /// By the id's JSON text: `1` is not `"1"`.
    in_flight: RefCell<HashMap<String, Rc<Notify>>>,
}

/// The revision that a message names, where it is of the modern era.
pub(super) fn modern_version(message: &Value) -> Option<&str> {
    message["params"]["_meta"][VERSION_KEY].as_str()
}

/// Whether something may come before the result, so that HTTP has to answer with a stream.
pub(super) fn is_chatty(message: &Value) -> bool {
    let params = &message["params"];
    message["method"] == "subscriptions/listen"
        || (message["method"] == "tools/call"
            && (params["name"] == "slow" || !params["_meta"][LOG_LEVEL_KEY].is_null()))
}

impl Dialogue {
    /// Answers a request; `None` for everything that gets no answer. `emit` takes notifications.
    pub(super) async fn answer(&self, message: &Value, emit: &dyn Fn(Value)) -> Option<Reply> {
        let method = message["method"].as_str();
        let (Some(method), Some(id)) = (method, message.get("id")) else {
            if method == Some("notifications/cancelled") {
                self.cancel(&message["params"]["requestId"]);
            }
            return None;
        };
        let cancelled = Rc::new(Notify::new());
        self.in_flight.borrow_mut().insert(id.to_string(), Rc::clone(&cancelled));
        let outcome = tokio::select! {
            outcome = self.perform(id, method, &message["params"], emit) => Some(outcome),
            () = cancelled.notified() => None,
        };
        self.in_flight.borrow_mut().remove(&id.to_string());
        Some(match outcome? {
            Ok(result) => Reply { body: response(id, &result), status: 200 },
            Err(fault) => Reply { body: fault.response(id), status: fault.status },
        })
    }

    fn cancel(&self, id: &Value) {
        if let Some(request) = self.in_flight.borrow().get(&id.to_string()) {
            request.notify_one();
        }
    }

    async fn perform(&self, id: &Value, method: &str, params: &Value, emit: &dyn Fn(Value)) -> Result<Value, Fault> {
        match self.settle_era(method, params)? {
            Era::Legacy => self.legacy(method, params, emit).await,
            Era::Modern => modern(id, method, params, emit).await,
        }
    }

    /// The era of a request, which must be that of the conversation.
    fn settle_era(&self, method: &str, params: &Value) -> Result<Era, Fault> {
        let version = &params["_meta"][VERSION_KEY];
        let era = if version.is_null() && method != "server/discover" { Era::Legacy } else { Era::Modern };
        match (self.era.get(), era) {
            (Some(Era::Modern), Era::Legacy) if method == "initialize" => {
                return Err(unsupported(&params["protocolVersion"]));
            }
            (Some(Era::Modern), Era::Legacy) => return Err(missing_version()),
            (Some(Era::Legacy), Era::Modern) => {
                return Err(Fault::new(
                    INVALID_REQUEST,
                    "this conversation began with initialize; start another for 2026-07-28",
                ));
            }
            (None, Era::Legacy) if method != "initialize" && method != "ping" => {
                return Err(Fault::new(INVALID_REQUEST, "send initialize first"));
            }
            _ => {}
        }
        if era == Era::Modern {
            check_meta(&params["_meta"])?;
        }
        self.era.set(Some(era));
        Ok(era)
    }

    async fn legacy(&self, method: &str, params: &Value, emit: &dyn Fn(Value)) -> Result<Value, Fault> {
        match method {
            "initialize" => Ok(initialize(params)),
            "ping" => Ok(json!({})),
            "logging/setLevel" => {
                let level = level(&params["level"]).ok_or_else(|| {
                    Fault::new(INVALID_PARAMS, format!("`level` must be one of {}", LEVELS.join(", ")))
                })?;
                self.log_level.set(Some(level));
                Ok(json!({}))
            }
            "resources/read" => read(params, RESOURCE_NOT_FOUND),
            _ => common(method, params, self.log_level.get(), emit).await,
        }
    }
}

/// What both eras share.
async fn common(method: &str, params: &Value, log_level: Option<usize>, emit: &dyn Fn(Value)) -> Result<Value, Fault> {
    match method {
        "tools/list" => Ok(json!({ "tools": offers::tools() })),
        "tools/call" => {
            if log_level.is_some_and(|least| least <= 1) {
                emit(notification(
                    "notifications/message",
                    &json!({ "level": "info", "logger": "demo", "data": format!("calling {}", params["name"]) }),
                ));
            }
            tools::call(params, emit).await
        }
        "resources/list" => Ok(json!({ "resources": offers::resources() })),
        "resources/templates/list" => Ok(json!({ "resourceTemplates": offers::templates() })),
        "prompts/list" => Ok(json!({ "prompts": offers::prompts() })),
        "prompts/get" => offers::prompt(params),
        _ => Err(Fault::new(METHOD_NOT_FOUND, format!("no method {method} here"))),
    }
}

async fn modern(id: &Value, method: &str, params: &Value, emit: &dyn Fn(Value)) -> Result<Value, Fault> {
    let mut result = match method {
        "server/discover" => {
            json!({ "supportedVersions": [MODERN.as_str()], "capabilities": capabilities(), "instructions": INSTRUCTIONS })
        }
        "resources/read" => read(params, INVALID_PARAMS)?,
        "subscriptions/listen" => listen(id, emit).await,
        _ => common(method, params, level(&params["_meta"][LOG_LEVEL_KEY]), emit).await?,
    };
    result["resultType"] = json!("complete");
    result["_meta"] = json!({ SERVER_INFO_KEY: server_info() });
    if matches!(
        method,
        "server/discover"
            | "tools/list"
            | "prompts/list"
            | "resources/list"
            | "resources/templates/list"
            | "resources/read"
    ) {
        result["ttlMs"] = json!(LIST_TTL_MILLIS);
        result["cacheScope"] = json!("public");
    }
    Ok(result)
}

/// Nothing here ever changes, so nothing is granted, and the stream stays open until it is cancelled.
async fn listen(id: &Value, emit: &dyn Fn(Value)) -> Value {
    emit(notification(
        "notifications/subscriptions/acknowledged",
        &json!({ "notifications": {}, "_meta": { SUBSCRIPTION_KEY: id } }),
    ));
    std::future::pending().await
}

fn read(params: &Value, not_found: i64) -> Result<Value, Fault> {
    let uri = params["uri"].as_str().ok_or_else(|| Fault::new(INVALID_PARAMS, "`uri` must be a string"))?;
    offers::read(uri)
        .ok_or_else(|| Fault::new(not_found, "no such resource; resources/list names them").with(json!({ "uri": uri })))
}

const INSTRUCTIONS: &str = "A demonstration: every tool is harmless and needs nothing.";

fn capabilities() -> Value {
    json!({ "logging": {}, "prompts": {}, "resources": {}, "tools": {} })
}

fn server_info() -> Value {
    json!({ "name": "toolgate-demo", "title": "Toolgate's demo server", "version": env!("CARGO_PKG_VERSION") })
}

fn initialize(params: &Value) -> Value {
    let asked =
        params["protocolVersion"].as_str().and_then(Revision::parse).filter(|revision| *revision <= LATEST_LEGACY);
    json!({
        "protocolVersion": asked.unwrap_or(LATEST_LEGACY).as_str(),
        "capabilities": capabilities(), "serverInfo": server_info(), "instructions": INSTRUCTIONS,
    })
}

/// What a request of the modern era must carry.
fn check_meta(meta: &Value) -> Result<(), Fault> {
    let version = meta[VERSION_KEY].as_str().ok_or_else(missing_version)?;
    if version != MODERN.as_str() {
        return Err(unsupported(&meta[VERSION_KEY]));
    }
    if meta[CAPABILITIES_KEY].is_object() { Ok(()) } else { Err(missing(CAPABILITIES_KEY)) }
}

/// The answer to a modern request without its version.
pub(super) fn missing_version() -> Fault {
    missing(VERSION_KEY)
}

fn missing(key: &str) -> Fault {
    Fault::new(INVALID_PARAMS, format!("`params._meta` must have {key}")).status(400)
}

fn unsupported(requested: &Value) -> Fault {
    Fault::new(UNSUPPORTED_VERSION, "this revision is not spoken here")
        .with(json!({ "supported": [MODERN.as_str()], "requested": requested }))
}

fn level(name: &Value) -> Option<usize> {
    LEVELS.iter().position(|level| name == level)
}

#[cfg(test)]
mod tests;
