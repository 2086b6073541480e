//! Where the containers of a value end, found in one pass, so that a walk over all of it passes each byte once more.
//! Called by who walks whole values in another order than that of the text.
//! Must hold: agrees with `members` and `elements` on text that was validated; on other text it never panics.

use smallvec::SmallVec;

use super::Span;

/// Containers of a small message; more take memory of their own, of less than three bytes per byte of text.
const FEW: usize = 16;

/// The containers of one value.
pub struct Outline<'t> {
    text: &'t [u8],
    root: Node,
    /// In the order in which they begin.
    containers: SmallVec<[Container; FEW]>,
}

#[derive(Clone, Copy)]
struct Container {
    /// The byte behind it.
    end: u32,
    /// The number of the next one that is not inside of it.
    after: u32,
}

/// A value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// Its number where it is a container; else that of the next one.
    number: u32,
}

/// What stands in a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The raw key with its quotes, where it is a member of an object.
    pub key: Option<Span>,
    /// The value.
    pub value: Node,
}

impl<'t> Outline<'t> {
    /// The outline of a value that was validated.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "every scanner refuses texts of 2 GiB and more")]
    pub fn of(text: &'t [u8], value: Span) -> Self {
        let text = text.get(..value.end()).unwrap_or(text);
        let mut containers = SmallVec::<[Container; FEW]>::new();
        let mut open = SmallVec::<[usize; FEW]>::new();
        let mut at = value.start();
        while let Some(byte) = text.get(at) {
            match byte {
                b'"' => {
                    at = string_end(text, at);
                    continue;
                }
                b'{' | b'[' => {
                    open.push(containers.len());
                    containers.push(Container { end: text.len() as u32, after: u32::MAX });
                }
                b'}' | b']' => {
                    if let Some(own) = open.pop() {
                        containers[own] = Container { end: at as u32 + 1, after: containers.len() as u32 };
                    }
                }
                _ => {}
            }
            at += 1;
        }
        Self { text, root: Node { span: value, number: 0 }, containers }
    }

    /// The whole value.
    #[must_use]
    pub fn root(&self) -> Node {
        self.root
    }

    /// What stands in a value, in the order of the text; nothing where it is no container.
    #[must_use]
    pub fn entries(&self, container: Node) -> Entries<'_> {
        let first = self.text.get(container.span.start());
        let is_object = first == Some(&b'{');
        // A text that ends here has no entries.
        let at = if is_object || first == Some(&b'[') { container.span.start() + 1 } else { self.text.len() };
        Entries { outline: self, is_object, at, next: container.number.saturating_add(1) }
    }

    /// The value that begins at a place before which so many containers begin, and how many begin before its end.
    fn value(&self, at: usize, number: u32) -> (Node, u32) {
        let (end, after) = match self.text.get(at) {
            Some(b'{' | b'[') => match self.containers.get(number as usize) {
                Some(container) => (container.end as usize, container.after),
                None => (self.text.len(), number),
            },
            Some(b'"') => (string_end(self.text, at), number),
            _ => (plain_end(self.text, at), number),
        };
        (Node { span: Span::new(at, end), number }, after)
    }
}

/// Iterator of [`Outline::entries`].
pub struct Entries<'o> {
    outline: &'o Outline<'o>,
    is_object: bool,
    at: usize,
    next: u32,
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let text = self.outline.text;
        let mut at = skip(text, self.at, b',');
        if matches!(text.get(at), None | Some(b'}' | b']')) {
            return None;
        }
        let mut key = None;
        if self.is_object {
            let span = Span::new(at, string_end(text, at));
            at = skip(text, span.end(), b':');
            key = Some(span);
        }
        let (value, next) = self.outline.value(at, self.next);
        // Text that was not validated must not be walked for ever.
        if value.span.is_empty() {
            return None;
        }
        (self.at, self.next) = (value.span.end(), next);
        Some(Entry { key, value })
    }
}

/// Behind whitespace and this byte.
fn skip(text: &[u8], mut at: usize, byte: u8) -> usize {
    while text.get(at).is_some_and(|other| *other == byte || other.is_ascii_whitespace()) {
        at += 1;
    }
    at
}

/// Behind the string whose opening quote is here.
fn string_end(text: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(found) = text.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if text[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    text.len()
}

/// Behind a number or word.
fn plain_end(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
    rest.iter().position(ends).map_or(text.len(), |length| at + length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::json;

    /// Every value as `members` and `elements` find them, which scan all below each level again.
    fn scanned(text: &[u8], value: Span, found: &mut Vec<(Option<Span>, Span)>) {
        let members = json::members(text, value).map(|member| (Some(member.key), member.value));
        let elements = json::elements(text, value).map(|element| (None, element));
        for (key, value) in members.chain(elements) {
            found.push((key, value));
            scanned(text, value, found);
        }
    }

    fn walked(outline: &Outline<'_>, node: Node, found: &mut Vec<(Option<Span>, Span)>) {
        for entry in outline.entries(node) {
            found.push((entry.key, entry.value.span));
            walked(outline, entry.value, found);
        }
    }

    fn assert_agrees(text: &str) {
        let text = text.as_bytes();
        let whole = json::document(text).expect("JSON");
        let (mut one, mut other) = (Vec::new(), Vec::new());
        scanned(text, whole, &mut one);
        let outline = Outline::of(text, whole);
        walked(&outline, outline.root(), &mut other);
        assert_eq!(one, other, "{}", String::from_utf8_lossy(text));
    }

    #[test]
    fn values_are_where_they_are() {
        for text in [
            "{}",
            " [ ] ",
            "7",
            "\"[\"",
            r#"{"a":{"b":[1,{"c":[]},"}"],"d":-1e9},"\"]":[[[]],{}],"e":null}"#,
            "[ 1 ,\ttrue\n, {\"a\" : \"\\\\\" } , [ [ ] , [ 2 ] ] ]",
        ] {
            assert_agrees(text);
        }
    }

    /// Each level is passed once: 64 levels around a megabyte would otherwise take 64 times as long as none.
    #[test]
    fn depth_costs_nothing() {
        let inside = format!("[{}0]", "\"x\",[],".repeat(100_000));
        let deep = format!("{}{inside}{}", "[".repeat(60), "]".repeat(60));
        let outline = Outline::of(deep.as_bytes(), Span::new(0, deep.len()));
        assert_eq!(outline.containers.len(), 61 + 100_000);
        let (mut node, mut looked_at) = (outline.root(), 0);
        for _ in 0..60 {
            let entry = outline.entries(node).next().expect("a level");
            // Where it ends is known without a look at what is in it.
            looked_at += entry.value.span.start() - node.span.start();
            node = entry.value;
        }
        assert_eq!((looked_at, outline.entries(node).count()), (60, 200_001));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(Value::Null), any::<f64>().prop_map(Value::from), ".{0,6}".prop_map(Value::from)];
        leaf.prop_recursive(5, 48, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(".{0,4}", inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_scanner(value in any_json()) {
            assert_agrees(&value.to_string());
            assert_agrees(&serde_json::to_string_pretty(&value).expect("JSON"));
        }

        #[test]
        fn no_text_makes_it_panic_or_walk_for_ever(text in "[\\[\\]{}\",:\\\\ a1]{0,60}") {
            let outline = Outline::of(text.as_bytes(), Span::new(0, text.len()));
            let mut nodes = vec![outline.root()];
            let mut seen = 0;
            while let Some(node) = nodes.pop() {
                seen += 1;
                prop_assert!(seen < 10_000);
                nodes.extend(outline.entries(node).map(|entry| entry.value));
            }
        }
    }
}
