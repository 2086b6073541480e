//! JSON pointers (RFC 6901): where in a value another one stands.
//! Called where an operator's rule looks at an argument of a call.
//! Must hold: what a pointer finds is what any reader of the same text finds there, or nothing is found.

use std::fmt;

use super::{Span, decode_str, elements, members};

/// A pointer, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    text: Box<str>,
    tokens: Box<[Box<str>]>,
}

/// What stands where a pointer points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// One value.
    Value(Span),
    /// Nothing.
    Absent,
    /// A key on the way stands there twice, or beside one that differs from it in case only: readers that match keys by
    /// folding them would see another value.
    Ambiguous,
}

/// Why a text is no pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointerError {
    /// It is not empty and does not begin with a slash.
    NoSlash,
    /// A `~` stands before something else than `0` or `1`.
    BadEscape,
}

impl fmt::Display for PointerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSlash => "a pointer begins with a slash",
            Self::BadEscape => "in a pointer `~` is written ~0 and `/` within a key ~1",
        })
    }
}

impl std::error::Error for PointerError {}

impl Pointer {
    /// Reads a pointer in its form as a string (RFC 6901, sections 3 to 5).
    ///
    /// # Errors
    /// [`PointerError`].
    pub fn parse(text: &str) -> Result<Self, PointerError> {
        let tokens = match text.strip_prefix('/') {
            Some(rest) => rest.split('/').map(token).collect::<Result<_, _>>()?,
            None if text.is_empty() => Box::default(),
            None => return Err(PointerError::NoSlash),
        };
        Ok(Self { text: text.into(), tokens })
    }

    /// The pointer as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands there in a value that was already validated.
    #[must_use]
    pub fn find(&self, text: &[u8], value: Span) -> Found {
        let mut at = value;
        for token in &self.tokens {
            let found = match at.of(text).first() {
                Some(b'{') => member(text, at, token),
                Some(b'[') => element(text, at, token),
                _ => Found::Absent,
            };
            let Found::Value(inner) = found else { return found };
            at = inner;
        }
        Found::Value(at)
    }
}

fn token(text: &str) -> Result<Box<str>, PointerError> {
    let mut parts = text.split('~');
    let mut token = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (meant, rest) = match (part.strip_prefix('0'), part.strip_prefix('1')) {
            (Some(rest), _) => ('~', rest),
            (_, Some(rest)) => ('/', rest),
            (None, None) => return Err(PointerError::BadEscape),
        };
        token.push(meant);
        token.push_str(rest);
    }
    Ok(token.into())
}

fn member(text: &[u8], object: Span, token: &str) -> Found {
    let mut found = Found::Absent;
    for member in members(text, object) {
        let key = decode_str(member.key.of(text));
        found = match found {
            Found::Absent if *key == *token => Found::Value(member.value),
            _ if same_folded(&key, token) => return Found::Ambiguous,
            found => found,
        };
    }
    found
}

/// Section 4: digits without a zero before them. `-` is the element behind the last, which is never there.
fn element(text: &[u8], array: Span, token: &str) -> Found {
    let digits = token.bytes().all(|byte| byte.is_ascii_digit()) && (token == "0" || !token.starts_with('0'));
    let place = token.parse::<usize>().ok().filter(|_| digits);
    place.and_then(|place| elements(text, array).nth(place)).map_or(Found::Absent, Found::Value)
}

/// Whether a reader that does not look at case takes one for the other. Two letters outside of ASCII fold to letters
/// within it, so both are taken to capitals first.
#[must_use]
pub fn same_folded(one: &str, other: &str) -> bool {
    if one.is_ascii() && other.is_ascii() {
        return one.eq_ignore_ascii_case(other);
    }
    let folded =
        |text: &str| -> Vec<char> { text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect() };
    folded(one) == folded(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'t>(text: &'t str, pointer: &str) -> Result<&'t str, Found> {
        let pointer = Pointer::parse(pointer).expect("a pointer");
        let whole = crate::json::document(text.as_bytes()).expect("JSON");
        match pointer.find(text.as_bytes(), whole) {
            Found::Value(span) => Ok(&text[span.range()]),
            other => Err(other),
        }
    }

    #[test]
    fn the_examples_of_the_specification() {
        let text = r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#;
        let expected = [
            ("/foo", r#"["bar","baz"]"#),
            ("/foo/0", r#""bar""#),
            ("/", "0"),
            ("/a~1b", "1"),
            ("/c%d", "2"),
            ("/e^f", "3"),
            ("/g|h", "4"),
            ("/i\\j", "5"),
            ("/k\"l", "6"),
            ("/ ", "7"),
            ("/m~0n", "8"),
        ];
        assert_eq!(find(text, ""), Ok(text));
        for (pointer, value) in expected {
            assert_eq!(find(text, pointer), Ok(value), "{pointer}");
        }
    }

    #[test]
    fn what_is_not_there_is_absent() {
        let text = r#"{"a":[{"b":1}],"s":"x"}"#;
        for pointer in
            ["/b", "/a/1", "/a/-", "/a/00", "/a/+0", "/a/ 0", "/a/b", "/s/0", "/a/0/b/0", "/a/99999999999999999999"]
        {
            assert_eq!(find(text, pointer), Err(Found::Absent), "{pointer}");
        }
        assert_eq!(find(text, "/a/0/b"), Ok("1"));
    }

    #[test]
    fn a_key_is_found_however_it_is_escaped() {
        assert_eq!(find(r#"{"\u0061mount":5}"#, "/amount"), Ok("5"));
    }

    #[test]
    fn what_another_reader_could_take_for_the_key_is_ambiguous() {
        for text in [
            r#"{"amount":5,"Amount":9}"#,
            r#"{"AMOUNT":9,"amount":5}"#,
            r#"{"AMOUNT":9}"#,
            r#"{"amount":5,"\u0061mount":9}"#,
            r#"{"amount":5,"AMOU\u004eT":9}"#,
        ] {
            assert_eq!(find(text, "/amount"), Err(Found::Ambiguous), "{text}");
        }
        assert_eq!(find(r#"{"to":{"ta\u017fk":1}}"#, "/to/task"), Err(Found::Ambiguous));
        assert_eq!(find(r#"{"\u212aey":1}"#, "/key"), Err(Found::Ambiguous));
        assert_eq!(find(r#"{"amounts":5,"amount":6}"#, "/amount"), Ok("6"));
    }

    #[test]
    fn what_is_no_pointer_is_said() {
        assert_eq!(Pointer::parse("amount"), Err(PointerError::NoSlash));
        for text in ["/~", "/~2", "/a~/b", "/a~"] {
            assert_eq!(Pointer::parse(text), Err(PointerError::BadEscape), "{text}");
        }
        assert_eq!(&*Pointer::parse("/~01").expect("a pointer").tokens[0], "~1");
    }
}
