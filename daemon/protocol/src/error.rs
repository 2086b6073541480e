//! Error codes of JSON-RPC, of MCP and of the gate, and the body of an error answer.
//! Called wherever a message is refused.
//! Must hold: the gate's own codes lie outside of every range that JSON-RPC and MCP reserve.

use crate::json::encode_str;

/// The text is not JSON.
pub const PARSE_ERROR: i64 = -32700;
/// The JSON is no valid message.
pub const INVALID_REQUEST: i64 = -32600;
/// No such method.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// Parameters are missing or wrong; of the modern era also: resource not found.
pub const INVALID_PARAMS: i64 = -32602;
/// The receiver failed.
pub const INTERNAL_ERROR: i64 = -32603;
/// Legacy era: resource not found. Never sent in the modern era.
pub const RESOURCE_NOT_FOUND: i64 = -32002;
/// Legacy era (2025-11-25): the user must visit a URL first. Never sent in the modern era.
pub const URL_ELICITATION_REQUIRED: i64 = -32042;
/// Modern era: a header and the body disagree. HTTP 400.
pub const HEADER_MISMATCH: i64 = -32020;
/// Modern era: the request needs a client capability that was not declared (`data.requiredCapabilities`). HTTP 400.
pub const MISSING_CLIENT_CAPABILITY: i64 = -32021;
/// Modern era: the version is not served (`data.supported`, `data.requested`). HTTP 400.
pub const UNSUPPORTED_PROTOCOL_VERSION: i64 = -32022;

/// The gate's code for a refusal that HTTP would answer with `status`: -31000 - status (-31429, -31503 ...).
#[must_use]
pub const fn gateway_code(status: u16) -> i64 {
    -31000 - status as i64
}

/// The HTTP status within one of the gate's codes, or `None` for any other code.
#[must_use]
pub fn gateway_status(code: i64) -> Option<u16> {
    u16::try_from(-31000 - code).ok().filter(|status| (400..600).contains(status))
}

/// A JSON-RPC error answer. `id` and `data` are raw JSON and must be valid. Without an `id` the member is left out,
/// as the modern era demands; an error that JSON-RPC wants answered with a null id passes `Some(b"null")`.
#[must_use]
pub fn error_body(id: Option<&[u8]>, code: i64, message: &str, data: Option<&[u8]>) -> Vec<u8> {
    let message = encode_str(message);
    let length = id.map_or(0, <[u8]>::len) + message.len() + data.map_or(0, <[u8]>::len);
    let mut body = Vec::with_capacity(length + 80);
    body.extend_from_slice(b"{\"jsonrpc\":\"2.0\"");
    if let Some(id) = id {
        body.extend_from_slice(b",\"id\":");
        body.extend_from_slice(id);
    }
    body.extend_from_slice(b",\"error\":{\"code\":");
    body.extend_from_slice(code.to_string().as_bytes());
    body.extend_from_slice(b",\"message\":");
    body.extend_from_slice(message.as_bytes());
    if let Some(data) = data {
        body.extend_from_slice(b",\"data\":");
        body.extend_from_slice(data);
    }
    body.extend_from_slice(b"}}");
    body
}

/// A JSON-RPC result answer. `id` and `result` are raw JSON and must be valid.
#[must_use]
pub fn result_body(id: &[u8], result: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(id.len() + result.len() + 40);
    body.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    body.extend_from_slice(id);
    body.extend_from_slice(b",\"result\":");
    body.extend_from_slice(result);
    body.push(b'}');
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_carries_what_it_was_given() {
        let body =
            error_body(Some(b"\"a\""), gateway_code(429), "Wait 2 s\n\"now\".", Some(b"{\"retryAfterMs\":2000}"));
        let value: serde_json::Value = serde_json::from_slice(&body).expect("an error body is JSON");
        assert_eq!(value["id"], "a");
        assert_eq!(value["error"]["code"], -31429);
        assert_eq!(value["error"]["message"], "Wait 2 s\n\"now\".");
        assert_eq!(value["error"]["data"]["retryAfterMs"], 2000);
    }

    #[test]
    fn an_absent_id_is_left_out() {
        let value: serde_json::Value =
            serde_json::from_slice(&error_body(None, PARSE_ERROR, "no", None)).expect("an error body is JSON");
        assert!(value.get("id").is_none());
        assert!(value["error"].get("data").is_none());
    }

    #[test]
    fn gateway_codes_stay_outside_of_reserved_ranges() {
        for status in 400..600 {
            let code = gateway_code(status);
            assert!(!(-32768..=-32000).contains(&code));
            assert_eq!(gateway_status(code), Some(status));
        }
        assert_eq!(gateway_status(HEADER_MISMATCH), None);
        assert_eq!(gateway_status(-32000), None);
    }
}
