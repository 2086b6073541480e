//! The legacy error "URL elicitation required", for a modern client: the same wish as `input_required`.
//! Called through [`super::result::to_modern`], and for the retry of a request that was answered so.
//! Must hold: nothing runs upstream between the two, so the retry is a fresh call and needs no state.

use super::capabilities::Ask;
use super::members::is_object;
use crate::envelope::Envelope;
use crate::error::{self, MISSING_CLIENT_CAPABILITY};
use crate::json::{self, Span};
use crate::method::Method;

/// What keys of such input requests begin with; a number follows. Other input requests of the gate's have other keys.
const KEY: &str = "toolgate.url.";

/// The modern answer to a request that a legacy server answered with -32042: `input_required` that leads to the URLs,
/// or -32021 when the client shows none. `None` when the error names no request or no URL, or the method cannot ask for
/// input.
#[must_use]
pub fn required(text: &[u8], envelope: &Envelope, method: Option<Method>, capabilities: &[u8]) -> Option<Vec<u8>> {
    let data = json::get(text, envelope.error?, "data")?;
    let elicitations: Vec<Span> = json::elements(text, json::get(text, data, "elicitations")?)
        .filter(|one| is_object(one.of(text)) && json::get(text, *one, "url").is_some())
        .collect();
    if elicitations.is_empty() || !method.is_some_and(Method::may_require_input) {
        return None;
    }
    let id = envelope.id?.of(text);
    if !Ask::Url.is_declared(capabilities) {
        let data = format!(r#"{{"requiredCapabilities":{}}}"#, Ask::Url.required());
        let message = "The user must visit a URL first; declare the capability elicitation.url to be told which.";
        return Some(error::error_body(Some(id), MISSING_CLIENT_CAPABILITY, message, Some(data.as_bytes())));
    }
    let mut result = b"{\"resultType\":\"input_required\",\"inputRequests\":{".to_vec();
    for (index, params) in elicitations.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let head = format!(r#"{comma}"{KEY}{}":{{"method":"elicitation/create","params":"#, index + 1);
        result.extend_from_slice(head.as_bytes());
        result.extend_from_slice(params.of(text));
        result.push(b'}');
    }
    result.extend_from_slice(b"}}");
    Some(error::result_body(id, &result))
}

/// Whether a retry says that the user did not visit one of those URLs. It must then not run again, since the server
/// would ask for the same; every other request may.
#[must_use]
pub fn is_declined(text: &[u8], envelope: &Envelope) -> bool {
    let Some(responses) = envelope.input_responses else { return false };
    json::members(text, responses).any(|member| {
        let is_ours = json::decode_str(member.key.of(text)).starts_with(KEY);
        is_ours && !json::get(text, member.value, "action").is_some_and(|it| json::str_eq(it.of(text), "accept"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::fixture::{read, value};

    const URLS: &[u8] = b"{\"elicitation\":{\"url\":{}}}";
    const ERROR: &[u8] = br#"{"jsonrpc":"2.0","id":"a","error":{"code":-32042,"message":"m","data":{"elicitations":[{"mode":"url","elicitationId":"e","url":"https://x","message":"go","n":1.0}]}}}"#;

    #[test]
    fn the_user_is_led_to_the_url() {
        let out = required(ERROR, &read(ERROR), Some(Method::ToolsCall), URLS).expect("it asks");
        assert_eq!(
            String::from_utf8_lossy(&out),
            r#"{"jsonrpc":"2.0","id":"a","result":{"resultType":"input_required","inputRequests":{"toolgate.url.1":{"method":"elicitation/create","params":{"mode":"url","elicitationId":"e","url":"https://x","message":"go","n":1.0}}}}}"#
        );
    }

    #[test]
    fn a_client_without_urls_is_told_what_it_lacks() {
        let out = required(ERROR, &read(ERROR), Some(Method::ToolsCall), b"{\"elicitation\":{}}").expect("an error");
        let error = &value(&out)["error"];
        assert_eq!(error["code"], MISSING_CLIENT_CAPABILITY);
        assert_eq!(error["data"]["requiredCapabilities"]["elicitation"]["url"], serde_json::json!({}));
    }

    #[test]
    fn what_cannot_ask_or_names_nothing_stays_an_error() {
        assert_eq!(required(ERROR, &read(ERROR), Some(Method::ToolsList), URLS), None);
        for data in ["", r#","data":[]"#, r#","data":{"elicitations":[1,{}]}"#] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":-32042,"message":"m"{data}}}}}"#);
            assert_eq!(
                required(text.as_bytes(), &read(text.as_bytes()), Some(Method::ToolsCall), URLS),
                None,
                "{data}"
            );
        }
    }

    #[test]
    fn an_error_that_answers_no_request_stays_one() {
        let text =
            br#"{"jsonrpc":"2.0","error":{"code":-32042,"message":"m","data":{"elicitations":[{"url":"https://x"}]}}}"#;
        assert_eq!(required(text, &read(text), Some(Method::ToolsCall), URLS), None);
    }

    #[test]
    fn a_refusal_of_the_user_is_noticed() {
        for (responses, declined) in [
            ("{}", false),
            (r#"{"toolgate.url.1":{"action":"accept"}}"#, false),
            (r#"{"toolgate.url.1":{"action":"accept"},"toolgate.url.2":{"action":"cancel"}}"#, true),
            (r#"{"toolgate.url.1":0}"#, true),
            (r#"{"other":{"action":"cancel"}}"#, false),
        ] {
            let text = format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"n","inputResponses":{responses}}}}}"#
            );
            assert_eq!(is_declined(text.as_bytes(), &read(text.as_bytes())), declined, "{responses}");
        }
    }
}
