//! JSON in one form for all texts that mean the same: members sorted, no space, strings escaped one way, numbers as
//! they are written.
//! Called for keys of the cache and for what is remembered of tools.
//! Must hold: texts that any reader could tell apart stay apart. 1 and 1.0 do, since some readers see two things there.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::json::{self, Entry, Node, Outline, Span};

/// Members of an object that are put in order without memory of their own.
const FEW: usize = 8;

/// Appends the canonical form of a value that was already validated. However deep it is, its bytes are passed twice.
pub fn append(out: &mut Vec<u8>, text: &[u8], value: Span) {
    let outline = Outline::of(text, value);
    append_node(out, text, &outline, outline.root());
}

fn append_node(out: &mut Vec<u8>, text: &[u8], outline: &Outline<'_>, node: Node) {
    let raw = node.span.of(text);
    match raw.first() {
        Some(b'{') => {
            let member = |member: Entry| Some((string(member.key?.of(text)), member.value));
            let mut members: SmallVec<[(Cow<'_, [u8]>, Node); FEW]> =
                outline.entries(node).filter_map(member).collect();
            // Stable: of repeated keys the last one counts for most readers, so their order has a meaning.
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            out.push(b'{');
            for (index, (key, member)) in members.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(key);
                out.push(b':');
                append_node(out, text, outline, *member);
            }
            out.push(b'}');
        }
        Some(b'[') => {
            out.push(b'[');
            for (index, element) in outline.entries(node).enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                append_node(out, text, outline, element.value);
            }
            out.push(b']');
        }
        Some(b'"') => out.extend_from_slice(&string(raw)),
        _ => out.extend_from_slice(raw),
    }
}

/// The canonical form of a value that was already validated.
#[must_use]
pub fn of(text: &[u8], value: Span) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    append(&mut out, text, value);
    out
}

/// A string with its quotes. One without escapes is as it is to be; one that holds half of a surrogate pair stays as it
/// is: decoded it could not be told from another.
fn string(raw: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', raw).is_none() || json::has_lone_surrogate(raw) {
        return Cow::Borrowed(raw);
    }
    Cow::Owned(json::encode_str(&json::decode_str(raw)).into_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn canonical(text: &str) -> String {
        let span = json::document(text.as_bytes()).expect("JSON");
        String::from_utf8(of(text.as_bytes(), span)).expect("UTF-8")
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<i32>().prop_map(|number| Value::from(f64::from(number) / 8.0)),
            ".{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(".{0,4}", inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// The same value as another writer would put it: members turned round, space everywhere, all escaped.
    fn otherwise(value: &Value) -> String {
        let escaped = |text: &str| {
            let units: Vec<String> = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
            format!("\"{}\"", units.concat())
        };
        match value {
            Value::Object(members) => {
                let members = members.iter().rev();
                let written: Vec<String> =
                    members.map(|(key, value)| format!(" {} :\t{}", escaped(key), otherwise(value))).collect();
                format!("{{{}\n}}", written.join(" ,"))
            }
            Value::Array(elements) => {
                format!("[ {} ]", elements.iter().map(otherwise).collect::<Vec<_>>().join(" , "))
            }
            Value::String(text) => escaped(text),
            other => other.to_string(),
        }
    }

    #[test]
    fn members_are_sorted_and_numbers_stay_as_they_are() {
        assert_eq!(
            canonical(r#" { "b" : [ 1.0, 1E5 , 123456789012345678901234567890 ], "\u0061" : {"y":null,"x":"\/"} } "#),
            r#"{"a":{"x":"/","y":null},"b":[1.0,1E5,123456789012345678901234567890]}"#
        );
    }

    #[test]
    fn what_a_reader_could_tell_apart_stays_apart() {
        for (one, other) in [
            ("1", "1.0"),
            ("\"1\"", "1"),
            (r#""\ud800""#, r#""\ufffd""#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2,"a":1}"#),
            ("[1,2]", "[2,1]"),
            (r#"" a""#, r#""a""#),
            ("{}", "[]"),
        ] {
            assert_ne!(canonical(one), canonical(other), "{one} {other}");
        }
    }

    proptest! {
        #[test]
        fn every_way_to_write_a_value_has_one_form(value in any_json()) {
            let form = canonical(&value.to_string());
            prop_assert_eq!(&canonical(&otherwise(&value)), &form);
            prop_assert_eq!(&canonical(&form), &form, "it is its own form");
            prop_assert_eq!(serde_json::from_str::<Value>(&form).expect("JSON"), value, "and means the same");
        }

        #[test]
        fn different_values_have_different_forms(one in any_json(), other in any_json()) {
            prop_assert_eq!(canonical(&one.to_string()) == canonical(&other.to_string()), one == other);
        }
    }
}
