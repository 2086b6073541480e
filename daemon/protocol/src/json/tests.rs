use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

/// Whether an independent reader accepts exactly one JSON value.
fn oracle(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<&RawValue>(text).is_ok())
}

fn depth(text: &[u8]) -> usize {
    let (mut open, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                open += 1;
                deepest = deepest.max(open);
            }
            b'}' | b']' if !in_string => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
            prop::collection::hash_map(any::<String>(), inner, 0..8)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Text over the bytes that matter to a JSON reader, so that random text is often nearly JSON.
fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
    let byte =
        prop::sample::select(&b"{}[]\":,\\ \n\r\t/bfnrtu0123456789aAfFdD8eE+-.truefalsn\x00\x1f\x7f\xc3\xa9\xff"[..]);
    prop::collection::vec(byte, 0..40)
}

/// Valid JSON in which one byte was replaced, taken out or put in.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    (json(), any::<prop::sample::Index>(), any::<u8>(), 0..3).prop_map(|(value, at, byte, how)| {
        let mut text = value.to_string().into_bytes();
        let at = at.index(text.len());
        match how {
            0 => text[at] = byte,
            1 => _ = text.remove(at),
            _ => text.insert(at, byte),
        }
        text
    })
}

/// The same value as an independent reader sees it, read through spans alone.
fn rebuilt(text: &[u8], span: Span) -> serde_json::Value {
    match span.of(text)[0] {
        b'{' => serde_json::Value::Object(
            members(text, span)
                .map(|member| (decode_str(member.key.of(text)).into_owned(), rebuilt(text, member.value)))
                .collect(),
        ),
        b'[' => elements(text, span).map(|element| rebuilt(text, element)).collect(),
        b'"' => decode_str(span.of(text)).into(),
        _ => serde_json::from_slice(span.of(text)).expect("a scalar's span is a scalar"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn nearly_json_is_judged_as_by_the_oracle(text in nearly_json()) {
        prop_assert_eq!(document(&text).is_ok(), oracle(&text) && depth(&text) <= 64, "{:?}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn mutated_json_is_judged_as_by_the_oracle(text in mutated()) {
        prop_assert_eq!(document(&text).is_ok(), oracle(&text) && depth(&text) <= 64, "{:?}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn spans_hold_what_the_oracle_reads(value in json(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let text = text.expect("a value can be written").into_bytes();
        let span = document(&text).expect("written JSON is valid");
        prop_assert_eq!(rebuilt(&text, span), serde_json::from_slice::<serde_json::Value>(&text).expect("valid"));
    }

    #[test]
    fn strings_come_back_from_their_encoding(text: String) {
        let raw = encode_str(&text);
        prop_assert_eq!(&decode_str(raw.as_bytes()), &text);
        prop_assert!(str_eq(raw.as_bytes(), &text));
        prop_assert_eq!(serde_json::from_str::<String>(&raw).expect("valid"), text);
    }

    #[test]
    fn every_character_may_be_escaped(text: String) {
        let mut raw = String::from("\"");
        for unit in text.encode_utf16() {
            write!(raw, "\\u{unit:04X}").expect("a String takes everything");
        }
        raw.push('"');
        prop_assert_eq!(&decode_str(raw.as_bytes()), &text);
        prop_assert!(str_eq(raw.as_bytes(), &text));
        prop_assert!(!has_lone_surrogate(raw.as_bytes()));
    }

    #[test]
    fn no_bytes_make_a_reader_panic(text: Vec<u8>, start in 0_usize..64, length in 0_usize..64) {
        let span = Span::new(start, start + length);
        let _ = value(&text, start);
        let _ = members(&text, span).count();
        let _ = elements(&text, span).count();
        let _ = get(&text, span, "a");
        let _ = decode_str(span.of(&text));
        let _ = has_lone_surrogate(&text);
    }
}

#[test]
fn depth_is_bounded_without_recursion() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |levels: usize| [&open.repeat(levels), "1", &close.repeat(levels)].concat();
        assert!(document(nested(64).as_bytes()).is_ok());
        assert!(matches!(document(nested(65).as_bytes()), Err(ScanError::TooDeep { .. })));
        assert!(matches!(document(nested(100_000).as_bytes()), Err(ScanError::TooDeep { .. })));
    }
}

#[test]
fn faults_name_their_place() {
    let cases: [(&[u8], usize); 8] = [
        (b"{\"a\":01}", 6),
        (b"[1,]", 3),
        (b"\"a\nb\"", 2),
        (b"\"\\x\"", 2),
        (b"\"\\u12g4\"", 5),
        (b"{\"a\" 1}", 5),
        (b"[1} ", 2),
        (b"nul", 0),
    ];
    for (text, at) in cases {
        assert_eq!(document(text).map_err(|error| error.at()), Err(Some(at)), "{}", String::from_utf8_lossy(text));
    }
    assert_eq!(document(b"\"\xff\""), Err(ScanError::Utf8 { at: 1 }));
    assert_eq!(document(b"1 2"), Err(ScanError::Trailing { at: 2 }));
}

#[test]
fn a_string_may_end_at_any_distance_from_a_word() {
    for length in 0..40 {
        for special in ["\\n", "é", "~"] {
            let text = format!("\"{}{special}\"", "x".repeat(length));
            assert_eq!(document(text.as_bytes()).map(Span::len), Ok(text.len()));
        }
        let control = format!("\"{}\u{1f}\"", "x".repeat(length));
        assert_eq!(document(control.as_bytes()).map_err(|error| error.at()), Err(Some(length + 1)));
    }
}

#[test]
fn lone_surrogates_decode_to_the_replacement_character() {
    for raw in [r#""\ud800""#, r#""\udc00x""#, r#""\ud800\ud800""#, r#""\ud800A""#] {
        assert!(document(raw.as_bytes()).is_ok());
        assert!(has_lone_surrogate(raw.as_bytes()), "{raw}");
        assert!(decode_str(raw.as_bytes()).contains('\u{fffd}'));
    }
    assert_eq!(decode_str(br#""\ud83d\ude00""#), "\u{1f600}");
}

#[test]
fn of_repeated_keys_the_last_counts() {
    let text = br#"{"a":1,"b":2,"\u0061":3}"#;
    let span = document(text).expect("valid");
    assert_eq!(get(text, span, "a").map(|value| value.of(text)), Some(&b"3"[..]));
    assert_eq!(get(text, span, "c"), None);
}

#[test]
fn containers_of_the_other_kind_have_no_entries() {
    assert_eq!(members(b"[1]", Span::new(0, 3)).count(), 0);
    assert_eq!(elements(b"{\"a\":1}", Span::new(0, 7)).count(), 0);
    assert_eq!(members(b"{ }", Span::new(0, 3)).count() + elements(b"[ ]", Span::new(0, 3)).count(), 0);
}
