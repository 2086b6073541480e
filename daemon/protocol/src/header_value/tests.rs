use proptest::prelude::*;

use super::*;
use crate::envelope::scan;
use crate::json;

#[test]
fn the_examples_of_the_specification_are_met() {
    for (value, header) in [
        ("us-west1", "us-west1"),
        ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ("=?BASE64?literal?=", "=?BASE64?literal?="),
        ("", ""),
    ] {
        assert_eq!(encode(value), header);
        assert_eq!(decode(header.as_bytes()).as_deref(), Some(value));
    }
}

#[test]
fn broken_headers_stand_for_nothing() {
    for header in [
        &b"=?base64?!?="[..],
        b"=?base64?YQ?=",
        b"=?base64?YR==?=",
        b"=?base64?/w==?=",
        b"caf\xc3\xa9",
        b"a\x00b",
        b"a\nb",
        b"\x7f",
    ] {
        assert_eq!(decode(header), None, "{}", String::from_utf8_lossy(header));
    }
}

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"caf\u00e9","_meta":
    {"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;

fn checked(text: &str, version: Option<&str>, method: Option<&str>, name: Option<&str>) -> Result<(), (String, Fault)> {
    let envelope = scan(text.as_bytes()).expect("the test's message is valid");
    let headers = Mirrored {
        version: version.map(str::as_bytes),
        method: method.map(str::as_bytes),
        name: name.map(str::as_bytes),
    };
    mirrors(&headers, &envelope, text.as_bytes()).map_err(|error| (error.header.into_owned(), error.fault))
}

#[test]
fn the_standard_headers_mirror_the_body() {
    let (version, method, name) = (Some("2026-07-28"), Some("tools/call"), Some("=?base64?Y2Fmw6k=?="));
    assert_eq!(checked(CALL, version, method, name), Ok(()));
    let wrong = |header: &str, fault| Err((header.to_owned(), fault));
    assert_eq!(checked(CALL, None, method, name), wrong("MCP-Protocol-Version", Fault::Missing));
    assert_eq!(checked(CALL, Some("2025-11-25"), method, name), wrong("MCP-Protocol-Version", Fault::Differs));
    assert_eq!(checked(CALL, version, None, name), wrong("Mcp-Method", Fault::Missing));
    assert_eq!(checked(CALL, version, Some("Tools/call"), name), wrong("Mcp-Method", Fault::Differs));
    assert_eq!(checked(CALL, version, Some("=?base64?dG9vbHMvY2FsbA==?="), name), wrong("Mcp-Method", Fault::Differs));
    assert_eq!(checked(CALL, version, method, None), wrong("Mcp-Name", Fault::Missing));
    assert_eq!(checked(CALL, version, method, Some("cafe")), wrong("Mcp-Name", Fault::Differs));
    assert_eq!(checked(CALL, version, method, Some("café")), wrong("Mcp-Name", Fault::Malformed));
    assert_eq!(checked(CALL, version, method, Some("=?base64?Y2Fmw6l?=")), wrong("Mcp-Name", Fault::Malformed));
}

#[test]
fn a_header_is_not_asked_for_where_the_body_has_no_such_value() {
    let list = CALL.replace("tools/call", "tools/list");
    assert_eq!(checked(&list, Some("2026-07-28"), Some("tools/list"), None), Ok(()));
    let nameless = CALL.replace("\"name\"", "\"other\"");
    assert_eq!(checked(&nameless, Some("2026-07-28"), Some("tools/call"), None), Ok(()));
    assert_eq!(
        checked(&nameless, Some("2026-07-28"), Some("tools/call"), Some("x")),
        Err(("Mcp-Name".to_owned(), Fault::Unfounded))
    );
}

#[test]
fn a_notification_may_leave_headers_out_but_not_differ() {
    let text = r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#;
    assert_eq!(checked(text, Some("2026-07-28"), None, None), Ok(()));
    assert!(checked(text, Some("2026-07-28"), Some("other"), None).is_err());
}

fn params(schema: &str) -> Result<Vec<HeaderParam>, SchemaFault> {
    let span = json::document(schema.as_bytes()).expect("the test's schema is JSON");
    header_params(schema.as_bytes(), span)
}

#[test]
fn annotations_are_found_along_properties() {
    let found = params(
        r#"{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},
        "deep":{"type":"object","properties":{"n":{"type":"integer","x-mcp-h\u0065ader":"N"}}},
        "data":{"type":"object","default":{"x-mcp-header":"no"},"enum":[{"x-mcp-header":"no"}]}}}"#,
    )
    .expect("valid");
    let shown: Vec<(String, &str, ParamType)> =
        found.iter().map(|param| (param.path.join("."), param.header.as_str(), param.kind)).collect();
    assert_eq!(shown.len(), 2);
    assert!(shown.contains(&("region".into(), "Mcp-Param-Region", ParamType::String)));
    assert!(shown.contains(&("deep.n".into(), "Mcp-Param-N", ParamType::Integer)));
    assert_eq!(params("{}"), Ok(vec![]));
    assert_eq!(params(r#"{"properties":{"x-mcp-header":{"type":"string"}}}"#), Ok(vec![]));
}

#[test]
fn annotations_that_break_a_rule_are_reported() {
    for (schema, fault) in [
        (r#"{"x-mcp-header":"A"}"#, SchemaFault::Unreachable),
        (r#"{"properties":{"a":{"items":{"type":"string","x-mcp-header":"A"}}}}"#, SchemaFault::Unreachable),
        (r#"{"allOf":[{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}]}"#, SchemaFault::Unreachable),
        (r#"{"$defs":{"d":{"type":"string","x-mcp-header":"A"}}}"#, SchemaFault::Unreachable),
        (r#"{"properties":{"a":{"type":"string","x-mcp-header":""}}}"#, SchemaFault::Token),
        (r#"{"properties":{"a":{"type":"string","x-mcp-header":"a b"}}}"#, SchemaFault::Token),
        (r#"{"properties":{"a":{"type":"string","x-mcp-header":1}}}"#, SchemaFault::Token),
        (r#"{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}"#, SchemaFault::Type),
        (r#"{"properties":{"a":{"type":["string"],"x-mcp-header":"A"}}}"#, SchemaFault::Type),
        (r#"{"properties":{"a":{"x-mcp-header":"A"}}}"#, SchemaFault::Type),
        (
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}}"#,
            SchemaFault::Repeated,
        ),
    ] {
        assert_eq!(params(schema), Err(fault), "{schema}");
    }
}

#[test]
fn arguments_are_compared_by_their_type() {
    let schema = r#"{"properties":{"n":{"type":"integer","x-mcp-header":"N"}}}"#;
    let integer = params(schema).expect("valid").remove(0);
    let string = HeaderParam { kind: ParamType::String, ..integer.clone() };
    let check = |param: &HeaderParam, arguments: &str, header: Option<&str>| {
        let span = json::document(arguments.as_bytes()).expect("JSON");
        check_param(param, header.map(str::as_bytes), arguments.as_bytes(), Some(span)).map_err(|error| error.fault)
    };
    for (arguments, header) in [
        (r#"{"n":42}"#, "42"),
        (r#"{"n":42}"#, "42.0"),
        (r#"{"n":42.0}"#, "42"),
        (r#"{"n":-0}"#, "0"),
        (r#"{"n":123456789012345678901}"#, "123456789012345678901.0"),
        (r#"{"n":true}"#, "true"),
    ] {
        assert_eq!(check(&integer, arguments, Some(header)), Ok(()), "{arguments} {header}");
    }
    assert_eq!(check(&integer, r#"{"n":42}"#, Some("43")), Err(Fault::Differs));
    assert_eq!(check(&integer, r#"{"n":9007199254740993}"#, Some("9007199254740992")), Err(Fault::Differs));
    assert_eq!(check(&integer, r#"{"n":42}"#, Some("42.5")), Err(Fault::Differs));
    assert_eq!(check(&integer, r#"{"n":42}"#, None), Err(Fault::Missing));
    assert_eq!(check(&integer, r#"{"n":null}"#, None), Ok(()));
    assert_eq!(check(&integer, r#"{"n":null}"#, Some("1")), Err(Fault::Unfounded));
    assert_eq!(check(&integer, "{}", Some("1")), Err(Fault::Unfounded));
    assert_eq!(check(&string, r#"{"n":"42"}"#, Some("42.0")), Err(Fault::Differs));
    assert_eq!(check(&string, r#"{"n":"\u00e9"}"#, Some("=?base64?w6k=?=")), Ok(()));
}

proptest! {
    #[test]
    fn every_value_comes_back_from_its_header(value: String) {
        let header = encode(&value);
        prop_assert!(header.bytes().all(|byte| matches!(byte, 0x20..=0x7e | b'\t')));
        let decoded = decode(header.as_bytes());
        prop_assert_eq!(decoded.as_deref(), Some(value.as_str()));
    }

    #[test]
    fn what_a_client_would_send_is_accepted(value in prop_oneof![any::<i64>().prop_map(serde_json::Value::from), any::<String>().prop_map(Into::into)]) {
        let param = HeaderParam { path: vec!["a".into(), "b".into()], header: "Mcp-Param-B".into(), kind: ParamType::Integer };
        let text = serde_json::json!({"a": {"b": value}}).to_string();
        let span = Some(json::document(text.as_bytes()).expect("JSON"));
        let header = param_value(&param, text.as_bytes(), span).expect("a scalar has a header value");
        prop_assert_eq!(check_param(&param, Some(header.as_bytes()), text.as_bytes(), span), Ok(()));
    }
}
