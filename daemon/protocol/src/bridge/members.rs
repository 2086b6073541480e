//! Edits of one object that set some members and take out others at once.
//! Called by every part of the bridge; `splice` has the two halves, whose edits do not combine.
//! Must hold: a key that is set stands once afterwards, and the result is an object whatever was taken out.

use crate::envelope::Envelope;
use crate::json::{self, Span};
use crate::splice::{self, Edit};

/// A member to be there afterwards: its key, and its value as raw JSON.
pub(super) type Set<'a> = (&'a str, &'a [u8]);

/// The edits that set members of an object and take others out. `set` and `drop` name each key once.
pub(super) fn rewrite(text: &[u8], object: Span, set: &[Set<'_>], drop: &[&str]) -> Vec<Edit<'static>> {
    let mut edits = Vec::new();
    let mut is_there = vec![false; set.len()];
    let mut entries = Vec::new();
    for member in json::members(text, object) {
        let key = member.key.of(text);
        let index = set.iter().position(|(name, _)| json::str_eq(key, name));
        // Of repeated keys, which only results can have, readers take the last: one is enough.
        let stays = match index {
            Some(index) => !std::mem::replace(&mut is_there[index], true),
            None => !drop.iter().any(|name| json::str_eq(key, name)),
        };
        if let Some(index) = index.filter(|_| stays) {
            edits.push(Edit::replace(member.value, set[index].1.to_vec()));
        }
        entries.push((Span::new(member.key.start(), member.value.end()), stays));
    }
    edits.extend(splice::leave_out(&entries));
    let mut missing = Vec::new();
    let absent = set.iter().zip(&is_there).filter(|(_, is_there)| !**is_there).map(|(member, _)| member);
    push(&mut missing, absent, entries.iter().any(|(_, stays)| *stays));
    if !missing.is_empty() {
        let at = entries.last().map_or(object.start() + 1, |(entry, _)| entry.end());
        edits.push(Edit::insert(at, missing));
    }
    edits
}

/// An object of these members.
pub(super) fn build(members: &[Set<'_>]) -> Vec<u8> {
    let size = members.iter().map(|(key, value)| key.len() + value.len() + 4).sum::<usize>();
    let mut out = Vec::with_capacity(size + 2);
    out.push(b'{');
    push(&mut out, members.iter(), false);
    out.push(b'}');
    out
}

fn push<'a>(out: &mut Vec<u8>, members: impl Iterator<Item = &'a Set<'a>>, mut follows: bool) {
    for (key, value) in members {
        if std::mem::replace(&mut follows, true) {
            out.push(b',');
        }
        out.extend_from_slice(json::encode_str(key).as_bytes());
        out.push(b':');
        out.extend_from_slice(value);
    }
}

/// The object with members set and taken out, cut out of `text`; what is no object counts as an empty one.
pub(super) fn rewritten(text: &[u8], object: Span, set: &[Set<'_>], drop: &[&str]) -> Vec<u8> {
    if !is_object(object.of(text)) {
        return build(set);
    }
    cut(text, object, rewrite(text, object, set, drop))
}

/// A value of `text` by itself, with edits that lie inside of it.
pub(super) fn cut(text: &[u8], value: Span, mut edits: Vec<Edit<'_>>) -> Vec<u8> {
    for edit in &mut edits {
        edit.span = Span::new(edit.span.start() - value.start(), edit.span.end() - value.start());
    }
    splice::apply(value.of(text), &mut edits)
}

/// Whether taking out `drop` leaves nothing of an object that had members.
fn empties(text: &[u8], object: Span, drop: &[&str]) -> bool {
    let mut members = json::members(text, object).peekable();
    members.peek().is_some() && members.all(|member| drop.iter().any(|key| json::str_eq(member.key.of(text), key)))
}

/// The message without these keys of `params._meta` and these members of `params`. Each container goes too when it is
/// left with nothing and had something.
pub(super) fn strip(text: &[u8], envelope: &Envelope, meta_keys: &[&str], params_keys: &[&str]) -> Vec<u8> {
    let Some(params) = envelope.params.filter(|params| is_object(params.of(text))) else { return text.to_vec() };
    let mut gone = params_keys.to_vec();
    let mut edits = Vec::new();
    if let Some(meta) = envelope.meta.filter(|meta| is_object(meta.of(text))) {
        if empties(text, meta, meta_keys) {
            gone.push("_meta");
        } else {
            edits = rewrite(text, meta, &[], meta_keys);
        }
    }
    if empties(text, params, &gone) {
        edits = rewrite(text, envelope.whole, &[], &["params"]);
    } else {
        edits.extend(rewrite(text, params, &[], &gone));
    }
    splice::apply(text, &mut edits)
}

/// Whether a value is an object.
pub(super) fn is_object(raw: &[u8]) -> bool {
    raw.starts_with(b"{")
}

/// The member of an object, when it is an object itself.
pub(super) fn object(text: &[u8], object: Span, key: &str) -> Option<Span> {
    json::get(text, object, key).filter(|value| is_object(value.of(text)))
}

/// The span of a text that is one value and nothing else.
pub(super) fn whole(text: &[u8]) -> Span {
    json::document(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::fixture::{self, value};
    use proptest::prelude::*;

    #[test]
    fn what_is_set_replaces_what_goes() {
        for (object, wanted) in [
            ("{}", r#"{"a":1,"b":2}"#),
            (r#"{"x":0}"#, r#"{"a":1,"b":2}"#),
            (r#"{ "x" : 0 , "b":9 }"#, r#"{ "b":2,"a":1 }"#),
            (r#"{"k":0,"x":[1,2]}"#, r#"{"k":0,"a":1,"b":2}"#),
            (r#"{"a":8,"k":0,"a":9}"#, r#"{"a":1,"k":0,"b":2}"#),
        ] {
            let text = object.as_bytes();
            let out = rewritten(text, whole(text), &[("a", b"1"), ("b", b"2")], &["x", "y"]);
            assert_eq!(String::from_utf8_lossy(&out), wanted, "{object}");
        }
        for other in ["[1]", "null", "\"{\""] {
            let text = other.as_bytes();
            assert_eq!(rewritten(text, whole(text), &[("a", b"1")], &[]), b"{\"a\":1}", "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_object_keeps_what_is_not_named(object in fixture::object()) {
            let text = object.as_bytes();
            let out = rewritten(text, whole(text), &[("a", b"1.0"), ("b", b"[]")], &["c", "d"]);
            let (mut before, after) = (value(text), value(&out));
            let map = before.as_object_mut().expect("an object");
            map.retain(|key, _| key != "c" && key != "d");
            map.insert("a".into(), 1.0.into());
            map.insert("b".into(), serde_json::json!([]));
            prop_assert_eq!(before, after);
        }
    }
}
