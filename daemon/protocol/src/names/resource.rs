//! URIs of resources as rules compare them: one spelling for what servers take for the same.
//!
//! Called for each name that a rule may close. Must hold: what some server could resolve to another path, or take for
//! another spelling of one, has no comparable form.

use std::borrow::Cow;

/// What is compared of a URI or a template; `None` where it is not in the normal form of RFC 3986, 6.2.2: a capital in
/// scheme or host, a segment `.` or `..`, an escape of what needs none or of what parts segments, lower-case digits of
/// an escape, a backslash, a control character. Escapes of what lies outside of ASCII are taken for what they mean
/// (RFC 3987, 5.3.2.3), since some clients send them and others do not.
#[must_use]
pub fn comparable(uri: &str) -> Option<Cow<'_, str>> {
    let (scheme, rest) = uri.split_once(':').unwrap_or(("", uri));
    let (host, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())),
        None => ("", rest),
    };
    // What stands for a variable in a template keeps its case.
    let has_capital = |text: &str| {
        let outside = text.split('{').enumerate().map(|(at, part)| if at == 0 { part } else { after(part, '}') });
        outside.flat_map(str::bytes).any(|byte| byte.is_ascii_uppercase())
    };
    // Escapes have capitals; there is nothing to be escaped in a host that rules name.
    if has_capital(scheme) || has_capital(host) || host.contains('%') {
        return None;
    }
    let is_odd = |byte: u8| byte == b'\\' || byte.is_ascii_control();
    if uri.bytes().any(is_odd) || !escapes(uri).all(is_needed) {
        return None;
    }
    let path = &path[..path.find(['?', '#']).unwrap_or(path.len())];
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return None;
    }
    Some(spelled(uri))
}

fn after(text: &str, mark: char) -> &str {
    text.split_once(mark).map_or("", |(_, after)| after)
}

/// The two bytes behind each percent sign; fewer where the text ends.
fn escapes(text: &str) -> impl Iterator<Item = &[u8]> {
    text.bytes().enumerate().filter(|(_, byte)| *byte == b'%').map(|(at, _)| {
        let end = text.len().min(at + 3);
        &text.as_bytes()[at + 1..end]
    })
}

/// Whether an escape is one in normal form, of a byte that is no other way to write it.
fn is_needed(digits: &[u8]) -> bool {
    let Some(byte) = value(digits) else { return false };
    // An escaped percent sign may begin what a second reading takes for an escape: it is plain text elsewhere.
    let parts = matches!(byte, b'/' | b'\\') || byte.is_ascii_control();
    let unreserved = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    !parts && !unreserved
}

fn value(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    match digits {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    }
}

/// A URI, or a pattern over them, with escapes of characters outside of ASCII as these; others stay.
#[must_use]
pub fn spelled(uri: &str) -> Cow<'_, str> {
    if !escapes(uri).any(|digits| value(digits).is_some_and(|byte| !byte.is_ascii())) {
        return Cow::Borrowed(uri);
    }
    let (mut bytes, mut rest) = (Vec::with_capacity(uri.len()), uri.as_bytes());
    while let [first, left @ ..] = rest {
        if let Some(byte) = left.get(..2).and_then(value).filter(|byte| *first == b'%' && !byte.is_ascii()) {
            bytes.push(byte);
            rest = &left[2..];
        } else {
            bytes.push(*first);
            rest = left;
        }
    }
    // What is no text stays as it was written: it is the same as nothing else.
    String::from_utf8(bytes).map_or(Cow::Borrowed(uri), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_in_normal_form_is_compared_as_it_is() {
        for uri in [
            "file:///srv/shared/a.txt",
            "file:///srv/a%20b/..c/...",
            "https://example.org/a?next=../b",
            "note:today",
            "db://users/{id}",
            "db://{userId}/x",
            "plain",
            "",
            "file:///srv/été",
        ] {
            assert_eq!(comparable(uri).as_deref(), Some(uri));
        }
    }

    #[test]
    fn what_is_outside_of_ascii_has_one_spelling() {
        assert_eq!(comparable("file:///srv/%C3%A9t%C3%A9%20x").as_deref(), Some("file:///srv/été%20x"));
        assert_eq!(comparable("file:///srv/%FF").as_deref(), Some("file:///srv/%FF"));
    }

    #[test]
    fn what_a_server_could_take_for_another_path_is_not_comparable() {
        for uri in [
            "file:///srv/shared/../../etc/passwd",
            "file:///srv/./private/x",
            "file:///srv/..",
            "file:///srv/%2E%2E/x",
            "file:///srv/%2e%2e/x",
            "file:///srv/..%2F..%2Fetc",
            "file:///srv/..%5C..%5Cetc",
            "file:///srv/..\\..\\etc",
            "file:///srv/%70rivate/x",
            "file:///srv/%c3%a9",
            "file:///srv/a%",
            "file:///srv/a%2",
            "file:///srv/a%G0",
            "FILE:///srv/private",
            "file://HOST/x",
            "db://{id}.HOST/x",
            "file://h%41/x",
            "file:///srv/a\0b",
            "file:///srv/a%00b",
            "..",
            "note:../x",
        ] {
            assert_eq!(comparable(uri), None, "{uri}");
        }
    }

    proptest! {
        #[test]
        fn comparing_again_changes_nothing(uri in "[a-z]{1,4}:(//)?[a-zA-Z0-9%/.é]{0,24}") {
            if let Some(once) = comparable(&uri) {
                prop_assert_eq!(comparable(&once), Some(Cow::Borrowed(&*once)));
            }
        }
    }
}
