//! The JSON cursor, its walks, and strings.
//! Must hold: it takes what an independent reader takes, up to its depth, and reads the same out of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use toolgate_fuzz::{Dice, is_json};
use toolgate_protocol::envelope::ScanError;
use toolgate_protocol::flatten::flattened;
use toolgate_protocol::json::{self, Span, decode_str, encode_str, has_lone_surrogate, str_eq};
use toolgate_protocol::list::{self, Item};
use toolgate_protocol::splice;

fuzz_target!(|text: &[u8]| {
    let mut dice = Dice::of(text);
    // Spans and offsets that no scan made.
    let at = dice.below(text.len() + 2);
    let span = Span::new(at, at + dice.below(text.len() + 2));
    let _ = json::value(text, at);
    assert!(json::members(text, span).count() + json::elements(text, span).count() <= text.len());
    strings(text);

    match json::document(text) {
        Ok(whole) => {
            assert!(is_json(text), "it takes what others refuse");
            read(text, whole);
            edits(text, whole, &mut dice);
        }
        // The first problem counts, and a broken text may be too deep before it is broken.
        Err(ScanError::TooDeep { .. }) => {}
        Err(error) => assert!(!is_json(text), "it refuses what others take: {error}"),
    }
});

fn strings(text: &[u8]) {
    let decoded = decode_str(text);
    assert_eq!(decode_str(encode_str(&decoded).as_bytes()), decoded);
    assert!(str_eq(encode_str(&decoded).as_bytes(), &decoded));
    assert_eq!(serde_json::from_str::<String>(&encode_str(&decoded)).expect("it is JSON"), decoded);
}

/// Walks the value beside `serde_json`'s reading of it.
fn read(text: &[u8], whole: Span) {
    let mut open = vec![whole];
    while let Some(span) = open.pop() {
        let raw = span.of(text);
        match raw[0] {
            b'"' => match serde_json::from_slice::<String>(raw) {
                Ok(theirs) => {
                    assert_eq!(decode_str(raw), theirs);
                    assert!(str_eq(raw, &theirs) && !has_lone_surrogate(raw));
                }
                Err(_) => assert!(has_lone_surrogate(raw), "only a lone surrogate cannot be held"),
            },
            b'[' => {
                let theirs: Vec<&serde_json::value::RawValue> = serde_json::from_slice(raw).expect("an array");
                let ours: Vec<Span> = json::elements(text, span).collect();
                assert_eq!(ours.len(), theirs.len());
                assert!(ours.iter().zip(theirs).all(|(ours, theirs)| ours.of(text) == theirs.get().as_bytes()));
                open.extend(ours);
            }
            b'{' => {
                let theirs = toolgate_fuzz::members(raw);
                for member in json::members(text, span) {
                    open.extend([member.key, member.value]);
                    let key = decode_str(member.key.of(text));
                    let last = json::get(text, span, &key).map(|value| value.of(text));
                    if let Some(theirs) = &theirs {
                        assert_eq!(
                            last,
                            theirs.get(&key).map(|value| value.get().as_bytes()),
                            "of repeated keys the last"
                        );
                    }
                }
            }
            _ => assert_eq!(json::members(text, span).count() + json::elements(text, span).count(), 0),
        }
    }
    let flat = flattened(text);
    assert!(flat.len() == text.len() && !flat.contains(&b'\n') && !flat.contains(&b'\r') && is_json(&flat));
}

fn edits(text: &[u8], whole: Span, dice: &mut Dice) {
    let mut keep = |_: &Item| dice.below(2) == 0;
    for member in ["tools", "prompts", "resources", "resourceTemplates"] {
        let mut kept = 0;
        let mut edits = list::retain(text, whole, member, |item| {
            let stays = keep(item);
            kept += usize::from(stays);
            stays
        });
        let out = splice::apply(text, &mut edits);
        assert!(is_json(&out), "a list without some entries: {}", out.escape_ascii());
        let left = list::items(&out, json::document(&out).expect("nothing was added"), member).len();
        assert_eq!(left, kept, "{member}");
    }
    let _ = list::cache_hints(text, whole);
    if whole.of(text).starts_with(b"{") {
        let out = splice::apply(text, &mut splice::set_members(text, whole, &[("a", b"1"), ("\"", b"[]")]));
        let whole = json::document(&out).expect("the same depth");
        assert_eq!(json::get(&out, whole, "a").map(|value| value.of(&out)), Some(&b"1"[..]));
        assert_eq!(json::get(&out, whole, "\"").map(|value| value.of(&out)), Some(&b"[]"[..]));
    }
}
