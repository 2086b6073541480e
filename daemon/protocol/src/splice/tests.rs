use proptest::prelude::*;

use super::*;
use crate::envelope::scan;

fn edited(text: &str, edits: impl FnOnce(&[u8], &Envelope) -> Vec<Edit<'static>>) -> String {
    let envelope = scan(text.as_bytes()).expect("the test's message is valid");
    let mut edits = edits(text.as_bytes(), &envelope);
    String::from_utf8(apply(text.as_bytes(), &mut edits)).expect("splices keep UTF-8")
}

#[test]
fn an_id_and_a_name_change_nothing_else() {
    let text = r#"{ "id" : 1e400,"method":"tools/call", "jsonrpc":"2.0","params":{"x":1.0,"name":"a\u0062" ,"y":123456789012345678901234567890}}"#;
    let result = edited(text, |text, envelope| {
        let name = set_method_name(text, envelope, "s__\"ab\"").expect("it has a name");
        vec![name, set_id(envelope, &b"\"7\""[..]).expect("it has an id")]
    });
    assert_eq!(
        result,
        r#"{ "id" : "7","method":"tools/call", "jsonrpc":"2.0","params":{"x":1.0,"name":"s__\"ab\"" ,"y":123456789012345678901234567890}}"#
    );
}

#[test]
fn metadata_finds_its_place_in_every_shape() {
    for (params, wanted) in [
        ("", r#","params":{"_meta":{"k":1,"l":2}}"#),
        (r#","params":null"#, r#","params":{"_meta":{"k":1,"l":2}}"#),
        (r#","params":{ }"#, r#","params":{"_meta":{"k":1,"l":2} }"#),
        (r#","params":{"a":1 }"#, r#","params":{"a":1,"_meta":{"k":1,"l":2} }"#),
        (r#","params":{"_meta":null}"#, r#","params":{"_meta":{"k":1,"l":2}}"#),
        (r#","params":{"_meta":{}}"#, r#","params":{"_meta":{"k":1,"l":2}}"#),
        (r#","params":{"_meta":{"a":0}}"#, r#","params":{"_meta":{"a":0,"k":1,"l":2}}"#),
        (r#","params":{"_meta":{"\u006b":0,"a":0}}"#, r#","params":{"_meta":{"\u006b":1,"a":0,"l":2}}"#),
        (r#","params":{"_meta":{"l":[],"k":{}}}"#, r#","params":{"_meta":{"l":2,"k":1}}"#),
    ] {
        let text = |params| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x"{params}}}"#);
        let result = edited(&text(params), |text, envelope| set_meta(text, envelope, &[("k", b"1"), ("l", b"2")]));
        assert_eq!(result, text(wanted), "{params}");
        assert!(scan(result.as_bytes()).is_ok());
    }
}

#[test]
fn the_messages_own_members_can_be_set() {
    let text = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    let result = edited(text, |text, envelope| {
        let result = envelope.result.expect("it has a result");
        set_members(text, result, &[("resultType", b"\"complete\""), ("ttlMs", b"0")])
    });
    assert_eq!(result, r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","ttlMs":0}}"#);
}

#[test]
#[should_panic(expected = "edits overlap")]
fn overlapping_edits_are_a_bug() {
    let _ = apply(b"abcd", &mut [Edit::remove(Span::new(0, 2)), Edit::remove(Span::new(1, 3))]);
}

#[test]
fn insertions_keep_their_order_and_stand_before_a_replacement() {
    let mut edits = [Edit::replace(Span::new(1, 2), &b"X"[..]), Edit::insert(1, &b"1"[..]), Edit::insert(1, &b"2"[..])];
    assert_eq!(apply(b"abc", &mut edits), b"a12Xc");
}

fn entries() -> impl Strategy<Value = Vec<(String, bool)>> {
    prop::collection::btree_map("[a-z,\"{}:]{0,4}", any::<bool>(), 0..8).prop_map(|map| map.into_iter().collect())
}

proptest! {
    #[test]
    fn removal_leaves_valid_json_with_the_others_untouched(entries in entries(), space in "[ \n]{0,2}") {
        let write = |entries: &[&(String, bool)]| {
            let members: Vec<String> = entries.iter().map(|(key, _)| format!("{}{space}:{space}[1.0,{{}}]", encode_str(key))).collect();
            members.join(&format!("{space},{space}"))
        };
        let text = format!("{{{space}{}{space}}}", write(&entries.iter().collect::<Vec<_>>()));
        let whole = crate::json::document(text.as_bytes()).expect("the test writes JSON");
        let gone: Vec<&str> = entries.iter().filter(|(_, gone)| *gone).map(|(key, _)| key.as_str()).collect();
        let mut edits = remove_members(text.as_bytes(), whole, &gone);
        let result = String::from_utf8(apply(text.as_bytes(), &mut edits)).expect("UTF-8");
        let value: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&result).expect("valid after removal");
        let kept: Vec<&(String, bool)> = entries.iter().filter(|(_, gone)| !*gone).collect();
        prop_assert_eq!(value.len(), kept.len());
        for (key, _) in kept {
            prop_assert!(value.contains_key(key));
        }
    }

    /// Cuts a text at random into kept and replaced pieces, and puts the result together in another way.
    #[test]
    fn an_edit_changes_nothing_but_its_span(pieces in prop::collection::vec((".{0,6}", ".{0,6}", prop::option::of(".{0,6}")), 0..8), rotate: usize) {
        let (mut text, mut wanted, mut edits) = (String::new(), String::new(), Vec::new());
        for (kept, old, new) in &pieces {
            text.push_str(kept);
            wanted.push_str(kept);
            let start = text.len();
            text.push_str(old);
            wanted.push_str(new.as_ref().unwrap_or(old));
            if let Some(new) = new.as_ref().filter(|_| !old.is_empty()) {
                edits.push(Edit::replace(Span::new(start, text.len()), new.as_bytes()));
            } else if let Some(new) = new {
                edits.push(Edit::insert(start, new.as_bytes()));
            }
        }
        // Edits at different places may be given in any order; insertions at one place are in it already.
        let places: std::collections::BTreeSet<usize> = edits.iter().map(|edit| edit.span.start()).collect();
        if places.len() == edits.len() && !edits.is_empty() {
            let middle = rotate % edits.len();
            edits.rotate_left(middle);
        }
        prop_assert_eq!(String::from_utf8(apply(text.as_bytes(), &mut edits)).expect("UTF-8"), wanted);
    }
}
