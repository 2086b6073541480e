//! What the demo server answers: JSON-RPC responses and notifications, and the HTTP status of each.

use serde_json::{Value, json};

/// Invalid JSON.
pub(super) const PARSE_ERROR: i64 = -32700;
/// No request, or one that this conversation does not allow.
pub(super) const INVALID_REQUEST: i64 = -32600;
/// No such method.
pub(super) const METHOD_NOT_FOUND: i64 = -32601;
/// Parameters that cannot be used; in the modern era also: no such resource.
pub(super) const INVALID_PARAMS: i64 = -32602;
/// No such resource, in the legacy era.
pub(super) const RESOURCE_NOT_FOUND: i64 = -32002;
/// A header differs from the body.
pub(super) const HEADER_MISMATCH: i64 = -32020;
/// A revision that is not spoken here.
pub(super) const UNSUPPORTED_VERSION: i64 = -32022;

/// Why a request has no result.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    pub(super) code: i64,
    pub(super) message: String,
    pub(super) data: Option<Value>,
    /// Over HTTP, in the modern era.
    pub(super) status: u16,
}

impl Fault {
    pub(super) fn new(code: i64, message: impl Into<String>) -> Self {
        let status = match code {
            METHOD_NOT_FOUND => 404,
            HEADER_MISMATCH | UNSUPPORTED_VERSION | INVALID_REQUEST | PARSE_ERROR => 400,
            _ => 200,
        };
        Self { code, message: message.into(), data: None, status }
    }

    pub(super) fn with(self, data: Value) -> Self {
        Self { data: Some(data), ..self }
    }

    pub(super) fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// The response to the request with this id; null where the id is not known.
    pub(super) fn response(&self, id: &Value) -> Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(data) = &self.data {
            error["data"] = data.clone();
        }
        json!({ "jsonrpc": "2.0", "id": id, "error": error })
    }
}

/// The response with a result.
pub(super) fn response(id: &Value, result: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

/// A notification.
pub(super) fn notification(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}
