//! Edits of a message that leave every byte outside of the edited spans as it was.
//! Called where the gate changes an id, a name or `_meta` on the way through.
//! Must hold: edits are given in spans of the text that was scanned; their result is a text that must be scanned anew
//! before it is edited again.

use std::borrow::Cow;

use crate::envelope::Envelope;
use crate::json::{self, Span, encode_str};

/// A span and what stands there afterwards. An empty span is an insertion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit<'a> {
    /// What is replaced.
    pub span: Span,
    /// What replaces it.
    pub with: Cow<'a, [u8]>,
}

impl<'a> Edit<'a> {
    /// Puts `with` in the place of `span`.
    #[must_use]
    pub fn replace(span: Span, with: impl Into<Cow<'a, [u8]>>) -> Self {
        Self { span, with: with.into() }
    }

    /// Puts `with` before byte `at`.
    #[must_use]
    pub fn insert(at: usize, with: impl Into<Cow<'a, [u8]>>) -> Self {
        Self::replace(Span::empty(at), with)
    }

    /// Takes `span` out.
    #[must_use]
    pub fn remove(span: Span) -> Self {
        Self::replace(span, &[][..])
    }
}

/// The text with all edits made. Edits are sorted here; insertions at one place keep the order in which they were given.
///
/// # Panics
/// When edits overlap or lie outside of the text: the caller mixed up texts, and relaying the result would be worse.
#[must_use]
pub fn apply(text: &[u8], edits: &mut [Edit<'_>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + edits.iter().map(|edit| edit.with.len()).sum::<usize>());
    apply_to(&mut out, text, edits);
    out
}

/// As [`apply`], appending to `out`.
///
/// # Panics
/// As [`apply`].
pub fn apply_to(out: &mut Vec<u8>, text: &[u8], edits: &mut [Edit<'_>]) {
    edits.sort_by_key(|edit| edit.span);
    let mut done = 0;
    for edit in edits.iter() {
        assert!(edit.span.start() >= done && edit.span.end() <= text.len(), "edits overlap or leave the text");
        out.extend_from_slice(&text[done..edit.span.start()]);
        out.extend_from_slice(&edit.with);
        done = edit.span.end();
    }
    out.extend_from_slice(&text[done..]);
}

/// The edit that gives the message another id (raw JSON); `None` when it has none to replace.
#[must_use]
pub fn set_id<'a>(envelope: &Envelope, id: impl Into<Cow<'a, [u8]>>) -> Option<Edit<'a>> {
    envelope.id.map(|span| Edit::replace(span, id))
}

/// The edit that gives the request another target: its `name`, `uri`, `taskId` or what is in its `ref`. `None` when the
/// request names none.
#[must_use]
pub fn set_method_name(text: &[u8], envelope: &Envelope, target: &str) -> Option<Edit<'static>> {
    envelope.target(text).map(|span| Edit::replace(span, encode_str(target).into_bytes()))
}

/// The edits that put members under `params._meta`: `(key, raw JSON)`, replacing those that are there. `params` and
/// `_meta` are made where they are absent or null. Keys are encoded here and must differ from each other.
#[must_use]
pub fn set_meta(text: &[u8], envelope: &Envelope, entries: &[(&str, &[u8])]) -> Vec<Edit<'static>> {
    if entries.is_empty() {
        return Vec::new();
    }
    if let Some(meta) = envelope.meta.filter(|meta| is_object(text, *meta)) {
        return set_members(text, meta, entries);
    }
    let mut meta = Vec::new();
    object(&mut meta, entries);
    if let Some(null) = envelope.meta {
        return vec![Edit::replace(null, meta)];
    }
    if let Some(params) = envelope.params.filter(|params| is_object(text, *params)) {
        return set_members(text, params, &[("_meta", &meta)]);
    }
    let mut params = Vec::new();
    object(&mut params, &[("_meta", &meta)]);
    match envelope.params {
        Some(null) => vec![Edit::replace(null, params)],
        None => set_members(text, envelope.whole, &[("params", &params)]),
    }
}

/// The edits that put members under `result._meta`, which is made where it is absent or no object; `None` where there
/// is no result that is an object.
#[must_use]
pub fn set_result_meta(text: &[u8], envelope: &Envelope, entries: &[(&str, &[u8])]) -> Option<Vec<Edit<'static>>> {
    let result = envelope.result.filter(|result| is_object(text, *result))?;
    if let Some(meta) = json::get(text, result, "_meta").filter(|meta| is_object(text, *meta)) {
        return Some(set_members(text, meta, entries));
    }
    let mut meta = Vec::new();
    object(&mut meta, entries);
    Some(set_members(text, result, &[("_meta", &meta)]))
}

/// The edits that put members into an object, replacing the values of those that are there.
#[must_use]
pub fn set_members(text: &[u8], object: Span, entries: &[(&str, &[u8])]) -> Vec<Edit<'static>> {
    let mut edits = Vec::with_capacity(entries.len());
    let mut last = None;
    let mut is_there = vec![false; entries.len()];
    for member in json::members(text, object) {
        last = Some(member.value.end());
        let key = member.key.of(text);
        if let Some(index) = entries.iter().position(|(name, _)| json::str_eq(key, name)) {
            is_there[index] = true;
            edits.push(Edit::replace(member.value, entries[index].1.to_vec()));
        }
    }
    let mut missing = Vec::new();
    for (&(key, value), _) in entries.iter().zip(&is_there).filter(|(_, is_there)| !**is_there) {
        if last.is_some() || !missing.is_empty() {
            missing.push(b',');
        }
        member(&mut missing, key, value);
    }
    if !missing.is_empty() {
        edits.push(Edit::insert(last.unwrap_or(object.start() + 1), missing));
    }
    edits
}

/// The edits that take the members with one of `keys` out of an object, each with one of the commas beside it.
#[must_use]
pub fn remove_members(text: &[u8], object: Span, keys: &[&str]) -> Vec<Edit<'static>> {
    let goes = |member: &json::Member| keys.iter().any(|key| json::str_eq(member.key.of(text), key));
    let members: Vec<(Span, bool)> = json::members(text, object)
        .map(|member| (Span::new(member.key.start(), member.value.end()), !goes(&member)))
        .collect();
    leave_out(&members)
}

/// The edits that take entries out of a container, each with one of the commas beside it. `entries` are all entries of
/// the container in order, with whether each stays.
#[must_use]
pub(crate) fn leave_out(entries: &[(Span, bool)]) -> Vec<Edit<'static>> {
    let mut edits = Vec::new();
    // The first entry that stays needs no comma before it, so those before it go with the comma behind them.
    let first = entries.iter().position(|&(_, stays)| stays).unwrap_or(entries.len());
    if first > 0 {
        let end = entries.get(first).map_or_else(|| entries[first - 1].0.end(), |(entry, _)| entry.start());
        edits.push(Edit::remove(Span::new(entries[0].0.start(), end)));
    }
    for pair in entries[first..].windows(2) {
        let ((before, _), (entry, stays)) = (pair[0], pair[1]);
        if !stays {
            edits.push(Edit::remove(Span::new(before.end(), entry.end())));
        }
    }
    edits
}

fn is_object(text: &[u8], span: Span) -> bool {
    span.of(text).starts_with(b"{")
}

fn object(out: &mut Vec<u8>, entries: &[(&str, &[u8])]) {
    out.push(b'{');
    for (index, (key, value)) in entries.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        member(out, key, value);
    }
    out.push(b'}');
}

fn member(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    out.extend_from_slice(encode_str(key).as_bytes());
    out.push(b':');
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests;
