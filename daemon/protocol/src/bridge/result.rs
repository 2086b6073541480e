//! An answer on its way into the other era: what modern readers demand is added, what legacy readers choke on goes.
//! Called for every response that crosses; `server/discover` and `initialize` are answered by `introduce` instead.
//! Must hold: an error code that the reader's era does not know never reaches it; all else stays as it was sent.

use super::members::{self, Set, is_object, object};
use super::{meta, url};
use crate::envelope::Envelope;
use crate::error::{
    HEADER_MISMATCH, INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, MISSING_CLIENT_CAPABILITY, RESOURCE_NOT_FOUND,
    UNSUPPORTED_PROTOCOL_VERSION, URL_ELICITATION_REQUIRED,
};
use crate::json::{self, Span};
use crate::list;
use crate::method::Method;
use crate::splice::{self, Edit};

/// What a modern client asked, as far as its answer depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The method, when the gate knows it.
    pub method: Option<Method>,
    /// The client's capabilities, raw.
    pub capabilities: &'a [u8],
    /// The legacy server's `serverInfo` from `initialize`, raw.
    pub server_info: Option<&'a [u8]>,
}

/// A legacy server's response as a modern client demands it.
///
/// Results get `resultType`, cacheable ones `ttlMs` 0 and `cacheScope` "private" where the server gave no valid
/// hints, all the server's name. -32042 becomes what [`url::required`] says, -32002 becomes -32602.
#[must_use]
pub fn to_modern(text: &[u8], envelope: &Envelope, asked: &Asked<'_>) -> Vec<u8> {
    if let Some(error) = envelope.error {
        let code = match code(text, error) {
            Some(URL_ELICITATION_REQUIRED) => {
                if let Some(answer) = url::required(text, envelope, asked.method, asked.capabilities) {
                    return answer;
                }
                INTERNAL_ERROR
            }
            Some(RESOURCE_NOT_FOUND) => INVALID_PARAMS,
            _ => return text.to_vec(),
        };
        return with_code(text, error, code);
    }
    let Some(result) = envelope.result else { return text.to_vec() };
    if result.of(text) == b"null" {
        return splice::apply(text, &mut [Edit::replace(result, &b"{\"resultType\":\"complete\"}"[..])]);
    }
    splice::apply(text, &mut modern_members(text, result, asked))
}

fn modern_members(text: &[u8], result: Span, asked: &Asked<'_>) -> Vec<Edit<'static>> {
    if !is_object(result.of(text)) {
        return Vec::new();
    }
    let mut set: Vec<Set<'_>> = Vec::new();
    if kind(text, result) != Kind::Complete || json::get(text, result, "resultType").is_none() {
        set.push(("resultType", b"\"complete\""));
    }
    if asked.method.is_some_and(Method::is_cacheable) {
        set.extend(list::ttl_ms(text, result).is_none().then_some(("ttlMs", &b"0"[..])));
        set.extend(list::cache_scope(text, result).is_none().then_some(("cacheScope", &b"\"private\""[..])));
    }
    let named = asked.server_info.map(|info| [(meta::SERVER_INFO, info)]);
    let fresh = named.as_ref().map(|named| members::build(named));
    let mut edits = Vec::new();
    match (object(text, result, "_meta"), &named) {
        (Some(old), Some(named)) if json::get(text, old, meta::SERVER_INFO).is_none() => {
            edits = members::rewrite(text, old, named, &[]);
        }
        (None, _) => set.extend(fresh.as_deref().map(|fresh| ("_meta", fresh))),
        _ => {}
    }
    edits.extend(members::rewrite(text, result, &set, &[]));
    edits
}

/// What a modern result asks of its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: it is the answer. A result without `resultType` is one too.
    Complete,
    /// Input, and the request again; see `playback`.
    InputRequired,
    /// Patience: a task was made; see `tasks`.
    Task,
    /// It is invalid: the type is none that the client or the gate declared.
    Unknown,
}

/// Which kind of result an object is.
#[must_use]
pub fn kind(text: &[u8], result: Span) -> Kind {
    let Some(kind) = json::get(text, result, "resultType") else { return Kind::Complete };
    match &*json::decode_str(kind.of(text)) {
        "complete" => Kind::Complete,
        "input_required" => Kind::InputRequired,
        "task" => Kind::Task,
        _ => Kind::Unknown,
    }
}

/// A modern server's response as a legacy client can read it. `uri` is what a `resources/read` asked for. Of results,
/// only [`Kind::Complete`] is an answer; `playback` and `tasks` see to the others.
///
/// `resultType` goes, because readers that are strict about empty results refuse it; cache hints stay, as any member
/// may. Before 2026-07-28 the structured result of a tool is an object, and so is its schema: any other value is put
/// into one under `result`, any other schema left out, so that nobody checks the value against it.
///
/// -32602 becomes -32002 only when it names the resource that was asked for. A missing capability is the client's
/// (-32600); of headers and versions a legacy client knows nothing, they went wrong between gate and server (-32603).
#[must_use]
pub fn to_legacy(text: &[u8], envelope: &Envelope, method: Option<Method>, uri: Option<&str>) -> Vec<u8> {
    if let Some(error) = envelope.error {
        let code = match code(text, error) {
            Some(INVALID_PARAMS) if method == Some(Method::ResourcesRead) && names(text, error, uri) => {
                RESOURCE_NOT_FOUND
            }
            Some(MISSING_CLIENT_CAPABILITY) => INVALID_REQUEST,
            Some(HEADER_MISMATCH | UNSUPPORTED_PROTOCOL_VERSION) => INTERNAL_ERROR,
            _ => return text.to_vec(),
        };
        return with_code(text, error, code);
    }
    let Some(result) = envelope.result.filter(|result| is_object(result.of(text))) else { return text.to_vec() };
    let mut edits = members::rewrite(text, result, &[], &["resultType"]);
    match method {
        Some(Method::ToolsCall) => edits.extend(boxed(text, result)),
        Some(Method::ToolsList) => edits.extend(schemas(text, result)),
        _ => {}
    }
    splice::apply(text, &mut edits)
}

/// The edits that make an object of structured content that is none.
fn boxed(text: &[u8], result: Span) -> Vec<Edit<'static>> {
    match json::get(text, result, "structuredContent").filter(|content| !is_object(content.of(text))) {
        Some(content) => {
            vec![Edit::insert(content.start(), &b"{\"result\":"[..]), Edit::insert(content.end(), &b"}"[..])]
        }
        None => Vec::new(),
    }
}

/// The edits that leave out the output schemas of anything but objects.
fn schemas(text: &[u8], result: Span) -> Vec<Edit<'static>> {
    let of_objects =
        |schema: Span| json::get(text, schema, "type").is_some_and(|kind| json::str_eq(kind.of(text), "object"));
    let tools = list::items(text, result, "tools").into_iter();
    let without =
        tools.filter(|tool| json::get(text, tool.span, "outputSchema").is_some_and(|schema| !of_objects(schema)));
    without.flat_map(|tool| members::rewrite(text, tool.span, &[], &["outputSchema"])).collect()
}

/// The code of an error, when it is a whole number as servers write it.
#[must_use]
pub fn code(text: &[u8], error: Span) -> Option<i64> {
    std::str::from_utf8(json::get(text, error, "code")?.of(text)).ok()?.parse().ok()
}

fn with_code(text: &[u8], error: Span, code: i64) -> Vec<u8> {
    let code = code.to_string();
    splice::apply(text, &mut members::rewrite(text, error, &[("code", code.as_bytes())], &[]))
}

fn names(text: &[u8], error: Span, uri: Option<&str>) -> bool {
    let found = json::get(text, error, "data").and_then(|data| json::get(text, data, "uri"));
    found.is_some_and(|found| uri.is_some_and(|uri| json::str_eq(found.of(text), uri)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bridge::fixture::{self, read, value};

    const INFO: &[u8] = b"{\"name\":\"s\",\"version\":\"1\"}";

    fn result(result: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#)
    }

    fn error(error: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":1,"error":{{{error}}}}}"#)
    }

    fn modern(text: &str, method: Method, server_info: Option<&[u8]>) -> String {
        let asked = Asked { method: Some(method), capabilities: b"{}", server_info };
        String::from_utf8(to_modern(text.as_bytes(), &read(text.as_bytes()), &asked)).expect("UTF-8")
    }

    fn legacy(text: &str, method: Method) -> String {
        String::from_utf8(to_legacy(text.as_bytes(), &read(text.as_bytes()), Some(method), Some("a:b"))).expect("UTF-8")
    }

    #[test]
    fn a_legacy_result_gets_what_modern_clients_demand() {
        let info = r#""_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}}"#;
        for (method, info_given, from, to) in [
            (Method::ToolsCall, None, "{}".to_owned(), r#"{"resultType":"complete"}"#.to_owned()),
            (Method::ToolsCall, None, "null".to_owned(), r#"{"resultType":"complete"}"#.to_owned()),
            (Method::ToolsCall, None, "[]".to_owned(), "[]".to_owned()),
            (
                Method::ToolsList,
                None,
                r#"{"tools":[1.0]}"#.to_owned(),
                r#"{"tools":[1.0],"resultType":"complete","ttlMs":0,"cacheScope":"private"}"#.to_owned(),
            ),
            (
                Method::ToolsList,
                None,
                r#"{"ttlMs":-1,"cacheScope":"public","resultType":"other"}"#.to_owned(),
                r#"{"ttlMs":0,"cacheScope":"public","resultType":"complete"}"#.to_owned(),
            ),
            (
                Method::PromptsGet,
                Some(INFO),
                r#"{"a":1}"#.to_owned(),
                format!(r#"{{"a":1,"resultType":"complete",{info}}}"#),
            ),
            (
                Method::PromptsGet,
                Some(INFO),
                r#"{"_meta":{"k":1},"resultType":"complete"}"#.to_owned(),
                r#"{"_meta":{"k":1,"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}},"resultType":"complete"}"#.to_owned(),
            ),
            (
                Method::PromptsGet,
                Some(INFO),
                r#"{"_meta":{"io.modelcontextprotocol/serverInfo":0},"resultType":"complete"}"#.to_owned(),
                r#"{"_meta":{"io.modelcontextprotocol/serverInfo":0},"resultType":"complete"}"#.to_owned(),
            ),
        ] {
            assert_eq!(modern(&result(&from), method, info_given), result(&to), "{from}");
        }
    }

    #[test]
    fn a_modern_result_loses_what_strict_readers_refuse() {
        for (method, from, to) in [
            (Method::ToolsCall, r#"{"resultType":"complete"}"#, "{}"),
            (Method::ToolsList, r#"{"resultType":"complete","ttlMs":5}"#, r#"{"ttlMs":5}"#),
            (Method::ToolsCall, r#"{"structuredContent":[1.0] }"#, r#"{"structuredContent":{"result":[1.0]} }"#),
            (Method::ToolsCall, r#"{"structuredContent":{"a":1}}"#, r#"{"structuredContent":{"a":1}}"#),
            (Method::PromptsGet, r#"{"structuredContent":[1]}"#, r#"{"structuredContent":[1]}"#),
            (
                Method::ToolsList,
                r#"{"resultType":"complete","tools":[{"name":"a","outputSchema":{"type":"array"}},{"outputSchema":{"type":"object"}},{"outputSchema":{"anyOf":[]},"x":1}]}"#,
                r#"{"tools":[{"name":"a"},{"outputSchema":{"type":"object"}},{"x":1}]}"#,
            ),
        ] {
            assert_eq!(legacy(&result(from), method), result(to), "{from}");
        }
    }

    #[test]
    fn codes_are_those_of_the_readers_era() {
        for (from, to) in [
            (r#""code":-32002,"message":"m","data":{"uri":"x"}"#, r#""code":-32602,"message":"m","data":{"uri":"x"}"#),
            (r#""message":"m","code":-32042"#, r#""message":"m","code":-32603"#),
            (r#""code":-32000,"message":"m""#, r#""code":-32000,"message":"m""#),
        ] {
            assert_eq!(modern(&error(from), Method::ResourcesRead, Some(INFO)), error(to));
        }
        for (method, from, to) in [
            (
                Method::ResourcesRead,
                r#""code":-32602,"data":{"uri":"a:\u0062"}"#,
                r#""code":-32002,"data":{"uri":"a:\u0062"}"#,
            ),
            (Method::ResourcesRead, r#""code":-32602,"data":{"uri":"c"}"#, r#""code":-32602,"data":{"uri":"c"}"#),
            (Method::ToolsCall, r#""code":-32602,"data":{"uri":"a:b"}"#, r#""code":-32602,"data":{"uri":"a:b"}"#),
            (Method::ToolsCall, r#""code":-32020"#, r#""code":-32603"#),
            (Method::ToolsCall, r#""code":-32021,"data":{"k":1}"#, r#""code":-32600,"data":{"k":1}"#),
            (Method::ToolsCall, r#""code":-32022"#, r#""code":-32603"#),
            (Method::ToolsCall, r#""code":-31429"#, r#""code":-31429"#),
        ] {
            assert_eq!(legacy(&error(from), method), error(to));
        }
    }

    #[test]
    fn kinds_are_told_apart() {
        for (text, wanted) in [
            ("{}", Kind::Complete),
            (r#"{"resultType":"complete"}"#, Kind::Complete),
            (r#"{"resultType":"input\u005frequired"}"#, Kind::InputRequired),
            (r#"{"resultType":"task"}"#, Kind::Task),
            (r#"{"resultType":"more"}"#, Kind::Unknown),
            (r#"{"resultType":null}"#, Kind::Unknown),
        ] {
            assert_eq!(kind(text.as_bytes(), members::whole(text.as_bytes())), wanted, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_result_keeps_what_is_its_own(object in fixture::object()) {
            let text = result(&object);
            let there = modern(&text, Method::ToolsList, Some(INFO));
            let mut after = value(there.as_bytes());
            let map = after["result"].as_object_mut().expect("an object");
            for key in ["resultType", "ttlMs", "cacheScope", "_meta"] {
                prop_assert!(map.remove(key).is_some());
            }
            prop_assert_eq!(after, value(text.as_bytes()));
            prop_assert_eq!(modern(&there, Method::ToolsList, Some(INFO)), there.as_str(), "twice is once");
            let back = legacy(&there, Method::PromptsList);
            prop_assert!(back.contains(object.trim_end_matches('}').trim_end()), "{} in {}", object, back);
        }
    }
}
