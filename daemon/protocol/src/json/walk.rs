//! Iteration over the members and elements of containers that were already validated.
//! Called by whoever looks inside a relayed message: lists, subscriptions, completions.
//! Must hold: on a text that was not validated the iteration ends early; it never panics.

use super::{Cursor, Depth, Span, str_eq};

/// One member of an object: its key with quotes, and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The raw key, quotes included.
    pub key: Span,
    /// The raw value.
    pub value: Span,
}

/// The members of an object in the order of the text. Empty when the span is no object.
#[must_use]
pub fn members(text: &[u8], object: Span) -> Members<'_> {
    Members { walk: Walk::new(text, object, b'{') }
}

/// The elements of an array in the order of the text. Empty when the span is no array.
#[must_use]
pub fn elements(text: &[u8], array: Span) -> Elements<'_> {
    Elements { walk: Walk::new(text, array, b'[') }
}

/// The value of a key of an object, compared decoded. Of repeated keys the last counts, as in the JSON readers of
/// JavaScript and Python: what the gate decides on is then what they will see.
#[must_use]
pub fn get(text: &[u8], object: Span, key: &str) -> Option<Span> {
    members(text, object).filter(|member| str_eq(member.key.of(text), key)).last().map(|member| member.value)
}

/// Iterator of [`members`].
#[derive(Clone)]
pub struct Members<'t> {
    walk: Walk<'t>,
}

impl Iterator for Members<'_> {
    type Item = Member;

    fn next(&mut self) -> Option<Member> {
        let cursor = self.walk.advance()?;
        let key = cursor.key().ok()?.span();
        let value = self.walk.value()?;
        Some(Member { key, value })
    }
}

/// Iterator of [`elements`].
#[derive(Clone)]
pub struct Elements<'t> {
    walk: Walk<'t>,
}

impl Iterator for Elements<'_> {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        self.walk.advance()?;
        self.walk.value()
    }
}

/// A cursor before the next entry of a container; `None` once the container has ended.
#[derive(Clone)]
struct Walk<'t> {
    cursor: Option<Cursor<'t>>,
    first: bool,
}

impl<'t> Walk<'t> {
    fn new(text: &'t [u8], container: Span, open: u8) -> Self {
        let inside = text.get(..container.end()).unwrap_or_default();
        let mut cursor = Cursor::new(inside, container.start());
        Self { cursor: cursor.take(open).then_some(cursor), first: true }
    }

    /// Stands before the next entry, or ends.
    fn advance(&mut self) -> Option<&mut Cursor<'t>> {
        let mut cursor = self.cursor.take()?;
        cursor.skip_space();
        if !std::mem::take(&mut self.first) {
            // Every walk ends here, so it must not cost what an error does.
            if !cursor.take(b',') {
                return None;
            }
            cursor.skip_space();
        } else if matches!(cursor.peek(), Some(b'}' | b']')) {
            return None;
        }
        self.cursor = Some(cursor);
        self.cursor.as_mut()
    }

    fn value(&mut self) -> Option<Span> {
        let cursor = self.cursor.as_mut()?;
        let start = cursor.at();
        if cursor.value(Depth::NONE, &mut ()).is_err() {
            self.cursor = None;
            return None;
        }
        Some(Span::new(start, cursor.at()))
    }
}
