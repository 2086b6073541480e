//! A server's schema without references, so that what it can cost is known before it is used.
//!
//! References may multiply: a schema of a kilobyte can make a validator visit one value 2^60 times. Here each is
//! replaced by what it leads to, as deep as a budget of values and levels allows; below that anything fits. The result
//! is a tree, and each of its places meets each value of the arguments at most once.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// Values that the result may have.
const BUDGET: usize = 20_000;
/// Levels of nesting that the result may have: validators recurse.
const LEVELS: usize = 160;
/// References behind each other that are followed, from the most to the least.
const FOLLOWED: [usize; 5] = [16, 8, 4, 2, 1];
/// Bytes of text that the result may have, with the place of each keyword: validators keep both.
const TEXT: usize = 4 << 20;
/// What a pattern counts for.
const PATTERN: usize = 200;

/// Keywords that hold one schema.
const ONE: &[&str] =
    &["not", "if", "then", "else", "items", "additionalItems", "additionalProperties", "contains", "propertyNames"];
/// Keywords that hold a list of schemas. `items` did once.
const SEVERAL: &[&str] = &["allOf", "anyOf", "oneOf", "prefixItems", "items"];
/// Keywords that hold schemas by name. A list among `dependencies` is of names.
const NAMED: &[&str] = &["properties", "patternProperties", "dependentSchemas", "dependencies"];
/// Keywords that are used up by following references, or name places for them; and those that only tell people.
const GONE: &[&str] = &[
    "$defs",
    "definitions",
    "$id",
    "id",
    "$anchor",
    "$dynamicAnchor",
    "$recursiveAnchor",
    "$comment",
    "title",
    "description",
    "default",
    "examples",
];
/// References that depend on who asks, and keywords that have schemas beside them look at a value once more.
const FOREIGN: &[&str] = &["$dynamicRef", "$recursiveRef", "unevaluatedProperties", "unevaluatedItems"];

/// A schema that is a tree, and how large it is.
#[derive(Debug)]
pub(super) struct Expanded {
    pub(super) schema: Value,
    pub(super) values: usize,
    /// Bytes of its text, with the place of each keyword.
    pub(super) text: usize,
    /// Each pattern once.
    pub(super) patterns: BTreeSet<String>,
}

/// Why a schema cannot be a tree.
#[derive(Debug, PartialEq, Eq)]
enum Stop {
    /// It would be too large.
    Budget,
    /// As a clause.
    Unfit(String),
}

/// Expands a schema; an error is a clause that says why that cannot be done.
pub(super) fn expand(schema: &Value) -> Result<Expanded, String> {
    for followed in FOLLOWED {
        let mut expansion =
            Expansion { root: schema, left: BUDGET, text_left: TEXT, place: 0, patterns: BTreeSet::new() };
        match expansion.schema(schema, followed, 0) {
            Ok(expanded) => {
                let Expansion { left, text_left, patterns, .. } = expansion;
                return Ok(Expanded { schema: expanded, values: BUDGET - left, text: TEXT - text_left, patterns });
            }
            Err(Stop::Budget) => {}
            Err(Stop::Unfit(why)) => return Err(why),
        }
    }
    Err(format!("it has more than {BUDGET} values or {TEXT} bytes when its references are followed"))
}

struct Expansion<'s> {
    root: &'s Value,
    left: usize,
    text_left: usize,
    /// Bytes of the way to the schema that is being expanded.
    place: usize,
    patterns: BTreeSet<String>,
}

impl<'s> Expansion<'s> {
    fn schema(&mut self, schema: &Value, followed: usize, level: usize) -> Result<Value, Stop> {
        let Value::Object(members) = schema else { return self.plain(schema, level) };
        self.take(1, level)?;
        let mut out = Map::new();
        let mut target = None;
        for (key, value) in members {
            let name = key.as_str();
            if FOREIGN.contains(&name) {
                return Err(Stop::Unfit(format!("it uses {name}, which the gate does not follow")));
            }
            if GONE.contains(&name) {
                continue;
            }
            if let ("$ref", Some(reference)) = (name, value.as_str()) {
                target = Some(self.target(reference)?);
                continue;
            }
            self.take_text(self.place + name.len())?;
            let place = self.place;
            self.place += name.len() + 1;
            let value = match value {
                Value::Array(schemas) if SEVERAL.contains(&name) => {
                    let expanded = schemas.iter().map(|schema| self.schema(schema, followed, level + 2));
                    Value::Array(expanded.collect::<Result<_, _>>()?)
                }
                Value::Object(schemas) if NAMED.contains(&name) => {
                    let is_pattern = name == "patternProperties";
                    let expanded = schemas.iter().map(|(name, schema)| {
                        self.take_text(name.len())?;
                        if is_pattern { self.pattern(name, level) } else { self.take(1, level) }?;
                        self.place += name.len() + 1;
                        let schema = self.schema(schema, followed, level + 2)?;
                        self.place -= name.len() + 1;
                        Ok((name.clone(), schema))
                    });
                    Value::Object(expanded.collect::<Result<_, _>>()?)
                }
                schema if ONE.contains(&name) => self.schema(schema, followed, level + 1)?,
                other => {
                    if let ("pattern", Some(pattern)) = (name, other.as_str()) {
                        self.pattern(pattern, level)?;
                    }
                    self.plain(other, level + 1)?
                }
            };
            self.place = place;
            out.insert(key.clone(), value);
        }
        if let Some(target) = target {
            self.follow(target, &mut out, followed, level)?;
        }
        Ok(Value::Object(out))
    }

    /// Puts what a reference leads to in its place, beside what stands there already.
    fn follow(
        &mut self,
        target: &Value,
        out: &mut Map<String, Value>,
        followed: usize,
        level: usize,
    ) -> Result<(), Stop> {
        // Deeper than this anything fits.
        let Some(followed) = followed.checked_sub(1) else { return Ok(()) };
        // It will stand at `allOf/N`.
        self.place += 8;
        let target = self.schema(target, followed, level + 2)?;
        self.place -= 8;
        match out.entry("allOf").or_insert_with(|| json!([])) {
            Value::Array(all) => all.push(target),
            _ => return Err(Stop::Unfit("its allOf is no list".to_owned())),
        }
        Ok(())
    }

    fn target(&self, reference: &str) -> Result<&'s Value, Stop> {
        let pointer = reference.strip_prefix('#').filter(|pointer| pointer.is_empty() || pointer.starts_with('/'));
        let Some(pointer) = pointer else {
            return Err(Stop::Unfit("it refers to something outside of itself, which is never fetched".to_owned()));
        };
        let found = self.root.pointer(&decoded(pointer));
        found.ok_or_else(|| Stop::Unfit("it refers to a part of itself that is not there".to_owned()))
    }

    /// A value that is no schema.
    fn plain(&mut self, value: &Value, level: usize) -> Result<Value, Stop> {
        self.count(value, level)?;
        Ok(value.clone())
    }

    fn count(&mut self, value: &Value, level: usize) -> Result<(), Stop> {
        self.take(1, level)?;
        match value {
            Value::Array(elements) => elements.iter().try_for_each(|element| self.count(element, level + 1)),
            Value::Object(members) => members.iter().try_for_each(|(name, member)| {
                self.take_text(name.len())?;
                self.count(member, level + 1)
            }),
            Value::String(text) => self.take_text(text.len()),
            _ => Ok(()),
        }
    }

    fn pattern(&mut self, pattern: &str, level: usize) -> Result<(), Stop> {
        self.take(PATTERN, level)?;
        if !self.patterns.contains(pattern) {
            self.patterns.insert(pattern.to_owned());
        }
        Ok(())
    }

    fn take_text(&mut self, bytes: usize) -> Result<(), Stop> {
        self.text_left = self.text_left.checked_sub(bytes).ok_or(Stop::Budget)?;
        Ok(())
    }

    fn take(&mut self, values: usize, level: usize) -> Result<(), Stop> {
        if level > LEVELS {
            return Err(Stop::Budget);
        }
        self.left = self.left.checked_sub(values).ok_or(Stop::Budget)?;
        Ok(())
    }
}

/// A fragment of a URI as the pointer that it is.
fn decoded(fragment: &str) -> String {
    let bytes = fragment.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| fragment.get(at + 1..at + 3)).flatten();
        if let Some(byte) = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            out.push(byte);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests;
