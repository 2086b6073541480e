//! One message on one line: line ends between tokens become spaces of the same length.
//! Called on the way to stdio, where a line is a message, and to SSE, where a line is a part of one.
//! Must hold: the text was scanned. A string of valid JSON holds no raw line end, so none inside one is touched.

use std::borrow::Cow;

/// Turns every CR and LF into a space, in place.
pub fn flatten(text: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'\r', b'\n', &text[at..]) {
        text[at + found] = b' ';
        at += found + 1;
    }
}

/// The text on one line; borrowed when it already is.
#[must_use]
pub fn flattened(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'\r', b'\n', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut text = text.to_vec();
    flatten(&mut text);
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pretty_printed_message_becomes_one_line_of_the_same_length() {
        let text = b"{\r\n  \"a\\n\": [1,\n2]\r}";
        let flat = flattened(text);
        assert_eq!(&*flat, b"{    \"a\\n\": [1, 2] }");
        assert_eq!(flat.len(), text.len());
        let before: serde_json::Value = serde_json::from_slice(text).expect("valid before");
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&flat).expect("valid after"), before);
    }

    #[test]
    fn a_single_line_is_not_copied() {
        assert!(matches!(flattened(b"{\"a\":\"\\r\\n\"}"), Cow::Borrowed(_)));
    }
}
