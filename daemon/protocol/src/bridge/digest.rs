//! What a call is, apart from how it was written down: its method and its params, in one canonical text.
//! Called when a call is parked and when it is tried again; the caller hashes the pieces as they come.
//! Must hold: order of members, whitespace and escapes change nothing; the text of every number does. However deep a
//! message is, its bytes are passed twice.

use smallvec::SmallVec;

use super::members::is_object;
use super::raw;
use crate::envelope::Envelope;
use crate::json::{Node, Outline, decode_str, encode_str, has_lone_surrogate};

/// Members of an object that are put in order without memory of their own.
const FEW: usize = 8;

/// What a retry may change, and so is not part of the call.
const LEFT_OUT: [&str; 3] = ["_meta", "inputResponses", "requestState"];

/// Writes the canonical text of a request's method and params, piece by piece.
pub fn digest(text: &[u8], envelope: &Envelope, out: &mut impl FnMut(&[u8])) {
    string(raw(text, envelope.method), out);
    out(b"\n");
    match envelope.params.filter(|params| is_object(params.of(text))) {
        Some(params) => {
            let outline = Outline::of(text, params);
            object(text, &outline, outline.root(), &LEFT_OUT, out);
        }
        None => out(b"{}"),
    }
}

/// It calls itself once per level, and messages have at most 64.
fn value(text: &[u8], outline: &Outline<'_>, node: Node, out: &mut impl FnMut(&[u8])) {
    match text.get(node.span.start()) {
        Some(b'{') => object(text, outline, node, &[], out),
        Some(b'[') => {
            out(b"[");
            for (index, element) in outline.entries(node).enumerate() {
                out(if index > 0 { b"," } else { b"" });
                value(text, outline, element.value, out);
            }
            out(b"]");
        }
        Some(b'"') => string(node.span.of(text), out),
        _ => out(node.span.of(text)),
    }
}

fn object(text: &[u8], outline: &Outline<'_>, node: Node, without: &[&str], out: &mut impl FnMut(&[u8])) {
    // Keys are unique in all params, compared decoded, so the order is the same for every reader.
    let mut members: SmallVec<[_; FEW]> = outline
        .entries(node)
        .filter_map(|member| Some((member.key?, member.value)))
        .map(|(key, value)| (decode_str(key.of(text)), key, value))
        .filter(|(key, ..)| !without.contains(&&**key))
        .collect();
    members.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    out(b"{");
    for (index, (_, key, member)) in members.iter().enumerate() {
        out(if index > 0 { b"," } else { b"" });
        string(key.of(text), out);
        out(b":");
        value(text, outline, *member, out);
    }
    out(b"}");
}

/// Half a surrogate pair has no text; two different ones must not become the same replacement character.
fn string(raw: &[u8], out: &mut impl FnMut(&[u8])) {
    // Without an escape there is but one way to write it.
    if memchr::memchr(b'\\', raw).is_none() || has_lone_surrogate(raw) {
        return out(raw);
    }
    out(encode_str(&decode_str(raw)).as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bridge::fixture::{self, read, value as parsed};
    use crate::bridge::members;
    use crate::json;

    fn canonical(params: &str) -> String {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools\/call","params":{params}}}"#);
        let mut out = Vec::new();
        digest(text.as_bytes(), &read(text.as_bytes()), &mut |piece| out.extend_from_slice(piece));
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn writing_it_otherwise_changes_nothing() {
        let wanted = "\"tools/call\"\n{\"a\":{\"b\":[1.0,\"é\"],\"c\":null},\"name\":\"n\"}";
        for params in [
            r#"{"a":{"b":[1.0,"é"],"c":null},"name":"n"}"#,
            " { \"n\\u0061me\" :\"n\", \"a\":{\"c\":null , \"b\":[1.0\n,\"\\u00e9\"]} } ",
            r#"{"_meta":{"x":1},"a":{"b":[1.0,"é"],"c":null},"name":"n","requestState":"s","inputResponses":{"k":{}}}"#,
        ] {
            assert_eq!(canonical(params), wanted, "{params}");
        }
        assert_eq!(canonical("null"), canonical("{}"));
    }

    #[test]
    fn another_call_differs() {
        let all: Vec<String> = [
            r#"{"a":1}"#,
            r#"{"a":1.0}"#,
            r#"{"a":"1"}"#,
            r#"{"a":[1]}"#,
            r#"{"a":{"_meta":1}}"#,
            r#"{"a":{}}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\ud801"}"#,
            r#"{"a":"�"}"#,
            r#"{"a":["x","y"]}"#,
            r#"{"a":["y","x"]}"#,
            r#"{"a":["x\",\"y"]}"#,
        ]
        .map(canonical)
        .into();
        for (index, one) in all.iter().enumerate() {
            assert!(!all[..index].contains(one), "{one}");
        }
    }

    proptest! {
        #[test]
        fn it_says_what_the_params_say(params in fixture::object()) {
            let text = canonical(&params);
            let (_, rest) = text.split_once('\n').expect("two lines");
            prop_assert_eq!(parsed(rest.as_bytes()), parsed(params.as_bytes()));
            prop_assert_eq!(canonical(rest), text.as_str(), "it is its own canonical text");
            let reordered: Vec<String> = json::members(params.as_bytes(), members::whole(params.as_bytes()))
                .map(|member| params[member.key.start()..member.value.end()].to_owned())
                .collect();
            let reordered: Vec<String> = reordered.into_iter().rev().collect();
            prop_assert_eq!(canonical(&format!("{{{}}}", reordered.join(" , "))), text);
        }
    }
}
