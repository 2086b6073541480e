use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Envelope {
    scan(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn refused(text: &str) -> ScanError {
    scan(text.as_bytes()).expect_err(text)
}

fn raw(span: Option<Span>, text: &str) -> Option<&str> {
    span.map(|span| &text[span.range()])
}

/// A request with these `params`.
fn with_params(params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#)
}

#[test]
fn a_call_yields_its_spans() {
    let text = r#" {"jsonrpc":"2.0","id":7,"method":"tools\/call","params":{"n\u0061me":"echo","arguments":{"a":[1,2]},"_meta":{"progressToken":"t"}}} "#;
    let envelope = read(text);
    assert_eq!(envelope.shape, Shape::Request);
    assert_eq!(raw(envelope.id, text), Some("7"));
    assert_eq!(envelope.method_str(text.as_bytes()).as_deref(), Some("tools/call"));
    assert_eq!(envelope.name_str(text.as_bytes()).as_deref(), Some("echo"));
    assert_eq!(envelope.target(text.as_bytes()), envelope.name);
    assert_eq!(raw(envelope.arguments, text), Some(r#"{"a":[1,2]}"#));
    assert_eq!(raw(envelope.progress_token, text), Some("\"t\""));
    assert_eq!(raw(Some(envelope.whole), text), Some(text.trim()));
}

#[test]
fn modern_metadata_is_found() {
    let text = with_params(
        r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},
        "io.modelcontextprotocol\/clientInfo":{"name":"x"},"io.modelcontextprotocol/logLevel":"info","traceparent":"00-1"},
        "requestState":"s","inputResponses":{"a":1},"cursor":""}"#,
    );
    let envelope = read(&text);
    assert_eq!(envelope.protocol_version_str(text.as_bytes()).as_deref(), Some("2026-07-28"));
    assert_eq!(raw(envelope.client_capabilities, &text), Some("{}"));
    assert_eq!(raw(envelope.client_info, &text), Some(r#"{"name":"x"}"#));
    assert_eq!(raw(envelope.log_level, &text), Some("\"info\""));
    assert_eq!(raw(envelope.traceparent, &text), Some("\"00-1\""));
    assert_eq!(envelope.request_state_str(text.as_bytes()).as_deref(), Some("s"));
    assert_eq!(raw(envelope.input_responses, &text), Some(r#"{"a":1}"#));
    assert_eq!(envelope.cursor_str(text.as_bytes()).as_deref(), Some(""));
    assert_eq!(envelope.missing_meta(text.as_bytes()), None);
    let bare = with_params("{}");
    assert_eq!(read(&bare).missing_meta(bare.as_bytes()), Some("io.modelcontextprotocol/protocolVersion"));
}

#[test]
fn some_members_belong_to_one_method_only() {
    let cancelled =
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"1","progressToken":2}}"#;
    let envelope = read(cancelled);
    assert_eq!(envelope.shape, Shape::Notification);
    assert_eq!(raw(envelope.request_id, cancelled), Some("\"1\""));
    assert_eq!(envelope.progress_token, None);

    let progress =
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"requestId":"1","progressToken":2}}"#;
    let envelope = read(progress);
    assert_eq!(raw(envelope.progress_token, progress), Some("2"));
    assert_eq!(envelope.request_id, None);

    let initialize =
        r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}"#;
    let envelope = read(initialize);
    assert_eq!(envelope.initialize_version_str(initialize.as_bytes()).as_deref(), Some("2025-11-25"));
    assert_eq!(raw(envelope.initialize_capabilities, initialize), Some("{}"));
    assert_eq!(envelope.protocol_version, None);
    assert_eq!(read(&with_params(r#"{"protocolVersion":"2025-11-25"}"#)).initialize_version, None);
}

#[test]
fn a_completion_is_named_by_its_reference() {
    let text = r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"a+b:c"},"argument":{"name":"x","value":""}}}"#;
    assert_eq!(read(text).target_str(text.as_bytes()).as_deref(), Some("a+b:c"));
}

#[test]
fn a_reference_names_one_thing() {
    let of = |method: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"ref":{{"type":"ref/resource","name":"a","uri":"b"}}}}}}"#
        )
    };
    assert!(matches!(refused(&of("completion/complete")), ScanError::Shape { .. }));
    read(&of("vendor/x"));
}

#[test]
fn shapes_are_told_by_members() {
    for (text, shape) in [
        (r#"{"jsonrpc":"2.0","id":"a","method":"x"}"#, Shape::Request),
        (r#"{"jsonrpc":"2.0","id":-1.5e3,"method":"x","params":null}"#, Shape::Request),
        (r#"{"jsonrpc":"2.0","method":"x"}"#, Shape::Notification),
        (r#"{"jsonrpc":"2.0","id":1,"result":null}"#, Shape::Response),
        (r#"{"jsonrpc":"2.0","id":1,"error":{}}"#, Shape::Response),
        (r#"{"jsonrpc":"2.0","id":null,"error":{}}"#, Shape::Response),
        (r#"{"jsonrpc":"2.0","error":{}}"#, Shape::Response),
    ] {
        assert_eq!(read(text).shape, shape, "{text}");
    }
}

#[test]
fn what_is_no_message_is_refused_with_its_code() {
    for (text, code) in [
        ("", -32700),
        (" \n", -32700),
        ("{", -32700),
        ("nope", -32700),
        (r#"{"jsonrpc":"2.0","id":1,"method":"x"} {}"#, -32700),
        (r#"{"jsonrpc":"2.0","id":1,"method":"x"}x"#, -32700),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"x"}]"#, -32600),
        ("1", -32600),
        (r#"{"id":1,"method":"x"}"#, -32600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"x"}"#, -32600),
        (r#"{"jsonrpc":2.0,"id":1,"method":"x"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":null,"result":1}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":true,"method":"x"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"x"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1}"#, -32600),
        (r#"{"jsonrpc":"2.0","result":1}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{}}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"x","result":1}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"x","params":[]}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":1}}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":1}}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\ud800"}}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"name":"\ud800"}}}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"uri":1}}}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"error":"x"}"#, -32602),
    ] {
        assert_eq!(refused(text).code(), code, "{text}");
    }
    assert_eq!(refused("[]"), ScanError::Batch);
}

#[test]
fn a_name_of_another_type_passes_where_the_gate_does_not_route_by_it() {
    assert!(read(r#"{"jsonrpc":"2.0","id":1,"method":"vendor/x","params":{"name":1}}"#).name.is_some());
}

#[test]
fn repeated_keys_are_found_at_every_level_that_is_decided_on() {
    for text in [
        r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"x"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"x","m\u0065thod":"y"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"x","other":1,"other":2}"#.to_owned(),
        with_params(r#"{"name":"a","n\u0061me":"b"}"#),
        with_params(r#"{"arguments":{"a":{"b":[{"c":1,"\u0063":2}]}}}"#),
        with_params(r#"{"_meta":{"x":1,"x":2}}"#),
        with_params(r#"{"arguments":{"\ud800":1,"\ud801":2}}"#),
        with_params(r#"{"arguments":{"\ud800":1,"�":2}}"#),
        with_params(r#"{"arguments":{"":1,"":2}}"#),
    ] {
        assert!(matches!(refused(&text), ScanError::DuplicateKey { .. }), "{text}");
    }
    read(&with_params(r#"{"name":"a","arguments":{"name":1,"a":{"name":1},"b":{"name":1}}}"#));
    read(r#"{"jsonrpc":"2.0","id":1,"result":{"a":1,"a":2}}"#);
}

#[test]
fn keys_stay_apart_when_there_are_many() {
    for count in [15, 16, 17, 31, 32, 33, 40, 2000] {
        let keys: Vec<String> = (0..count).map(|key| format!(r#""k{key}":{{"k{key}":1}}"#)).collect();
        let unique = with_params(&format!(r#"{{"arguments":{{{}}},"name":"n"}}"#, keys.join(",")));
        assert_eq!(raw(read(&unique).name, &unique), Some("\"n\""));
        for (first, again) in [(0, count - 1), (count / 2, count - 1), (0, 1)] {
            let mut keys = keys.clone();
            keys[again] = format!(r#""\u006b{first}":[]"#);
            let repeated = with_params(&format!(r#"{{"arguments":{{{}}}}}"#, keys.join(",")));
            assert!(matches!(refused(&repeated), ScanError::DuplicateKey { .. }), "{first} and {again} of {count}");
        }
    }
}

#[test]
fn outer_keys_survive_inner_objects_that_spill() {
    let inner: Vec<String> = (0..50).map(|key| format!(r#""k{key}":1"#)).collect();
    let text = with_params(&format!(r#"{{"a":{{{0}}},"b":{{{0}}},"a":1}}"#, inner.join(",")));
    assert!(matches!(refused(&text), ScanError::DuplicateKey { .. }));
}

#[test]
fn case_variants_of_read_keys_are_refused_where_they_are_read() {
    for text in [
        r#"{"jsonrpc":"2.0","id":1,"method":"x","Method":"y"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","ID":1,"method":"x"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"x","par\u0041ms":{}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"x","paramſ":{}}"#.to_owned(),
        with_params(r#"{"Name":"a"}"#),
        with_params(r#"{"taſkId":"a"}"#),
        with_params("{\"tas\u{212a}Id\":\"a\"}"),
        with_params(r#"{"_meta":{"io.modelcontextprotocol/protocolversion":"a"}}"#),
        with_params(r#"{"ref":{"type":"ref/prompt","name":"a","Name":"b"}}"#),
        with_params(r#"{"ref":{"type":"ref/resource","uri":"a","Uri":"b"}}"#),
        with_params(r#"{"Notifications":{}}"#),
        with_params(r#"{"notifications":{"ResourceSubscriptions":["file:///denied"]}}"#),
    ] {
        assert!(matches!(refused(&text), ScanError::CaseVariant { .. }), "{text}");
    }
    read(&with_params(r#"{"arguments":{"Name":1,"METHOD":2},"names":1,"nåme":1}"#));
}

#[test]
fn depth_counts_from_the_message() {
    let nested =
        |levels: usize| with_params(&format!(r#"{{"arguments":{}{}}}"#, "[".repeat(levels), "]".repeat(levels)));
    read(&nested(62));
    assert!(matches!(refused(&nested(63)), ScanError::TooDeep { .. }));
    let elsewhere =
        |levels: usize| format!(r#"{{"jsonrpc":"2.0","id":1,"result":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    read(&elsewhere(63));
    assert!(matches!(refused(&elsewhere(64)), ScanError::TooDeep { .. }));
}

#[test]
fn a_message_of_ten_mebibytes_is_read() {
    let text = with_params(&format!(r#"{{"arguments":{{"a":"{}"}},"name":"n"}}"#, "x\\n é ".repeat(10 << 17)));
    assert!(text.len() > 8 << 20);
    assert_eq!(raw(read(&text).name, &text), Some("\"n\""));
}

#[test]
fn a_batch_falls_into_its_messages() {
    let text = br#" [{"a":1}, {"b":[2]}] "#;
    let messages: Vec<&[u8]> = batch(text).expect("a batch").iter().map(|span| span.of(text)).collect();
    assert_eq!(messages, [&br#"{"a":1}"#[..], br#"{"b":[2]}"#]);
    assert!(batch(b"[]").is_err() && batch(b"{}").is_err() && batch(b"[1").is_err());
}

#[test]
fn an_id_is_salvaged_only_when_it_is_certain() {
    let deep = format!(r#"{{"params":{},"id":5}}"#, "[".repeat(100) + &"]".repeat(100));
    for (text, id) in [
        (r#"{"jsonrpc":"2.0","id":17,"method":"x","params":{"a":01}}"#, Some("17")),
        (r#"{"params":{"a":01,"b":"}"},"id":"q"}"#, Some("\"q\"")),
        (deep.as_str(), Some("5")),
        (r#"{"id":1,"params":{"a"#, Some("1")),
        (r#"{"i\u0064":1,"method""#, Some("1")),
        (r#"{"params":{"id":1}"#, None),
        (r#"{"id":1"#, None),
        (r#"{"id":"1"#, None),
        (r#"{"id":1,"id":2}"#, None),
        (r#"{"id":null}"#, None),
        (r#"{"id":[1]}"#, None),
        (r#"{"id":01}"#, None),
        (r#"[{"id":1}]"#, None),
        ("", None),
    ] {
        assert_eq!(raw(salvage_id(text.as_bytes()), text), id, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_prefix_is_refused_and_yields_the_id_or_nothing(cut in 0_usize..120, id in 0_u32..100_000) {
        let text = format!(r#"{{"jsonrpc":"2.0","method":"tools/call","id":{id},"params":{{"name":"é","arguments":{{"a":[1,{{}}]}}}}}}"#);
        let cut = cut.min(text.len() - 1);
        let prefix = &text.as_bytes()[..cut];
        prop_assert!(scan(prefix).is_err());
        let salvaged = salvage_id(prefix).map(|span| span.of(prefix).to_vec());
        prop_assert!(salvaged.is_none_or(|salvaged| salvaged == id.to_string().into_bytes()));
    }

    #[test]
    fn no_bytes_make_the_scan_panic(text: Vec<u8>) {
        let _ = scan(&text);
        let _ = salvage_id(&text);
        let _ = batch(&text);
    }

    #[test]
    fn a_salvaged_id_is_the_one_that_a_scan_finds(id in "[0-9a-z\"\\\\u,{}: ]{0,12}") {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{},"method":"x"}}"#, crate::json::encode_str(&id));
        prop_assert_eq!(salvage_id(text.as_bytes()), read(&text).id);
    }
}
