//! Edits of one object that set some members and take out others at once.
//! Called by every part of the bridge; `splice` has the two halves, whose edits do not combine.
//! Must hold: a key that is set stands once afterwards, and the result is an object whatever was taken out.

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
    let stays = entries.iter().any(|(_, stays)| *stays);
    for ((key, value), _) in set.iter().zip(&is_there).filter(|(_, is_there)| !**is_there) {
        if stays || !missing.is_empty() {
            missing.push(b',');
        }
        missing.extend_from_slice(json::encode_str(key).as_bytes());
        missing.push(b':');
        missing.extend_from_slice(value);
    }
    if !missing.is_empty() {
        let at = entries.last().map_or(object.start() + 1, |(entry, _)| entry.end());
        edits.push(Edit::insert(at, missing));
    }
    edits
}

/// An object of these members.
pub(super) fn build(members: &[Set<'_>]) -> Vec<u8> {
    rewritten(b"{}", Span::new(0, 2), members, &[])
}

/// The object with members set and taken out, cut out of `text`.
pub(super) fn rewritten(text: &[u8], object: Span, set: &[Set<'_>], drop: &[&str]) -> Vec<u8> {
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
pub(super) fn empties(text: &[u8], object: Span, drop: &[&str]) -> bool {
    let mut members = json::members(text, object).peekable();
    members.peek().is_some() && members.all(|member| drop.iter().any(|key| json::str_eq(member.key.of(text), key)))
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
