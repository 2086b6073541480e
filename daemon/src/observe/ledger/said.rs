//! What the bytes of an answer say of how the call went, without reading answers that went well.
//!
//! A search for the two keys that an error has comes first; only where one is there is the message read. An answer of
//! more than [`LOOKED_AT`] bytes, and one whose event comes in pieces, is taken for a good one.

use std::ops::Range;

use memchr::memmem;
use toolgate_protocol::json;

/// Longer answers are not searched.
const LOOKED_AT: usize = 256 * 1024;

/// Whether a message is a JSON-RPC error, or a result that says `isError`.
#[must_use]
pub fn is_error(message: &[u8]) -> bool {
    if message.len() > LOOKED_AT || !is_suspect(message) {
        return false;
    }
    let Ok(all) = json::document(message) else { return false };
    if json::get(message, all, "error").is_some() {
        return true;
    }
    let result = json::get(message, all, "result");
    let told = result.and_then(|result| json::get(message, result, "isError"));
    told.is_some_and(|told| told.of(message) == b"true")
}

/// The messages of a piece of a stream of events, as far as each stands on one whole line.
pub fn messages(events: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < events.len() {
            let end = memchr::memchr2(b'\n', b'\r', &events[at..]).map_or(events.len(), |end| at + end);
            let line = at..end;
            at = end + 1;
            if events[line.clone()].starts_with(b"data:") {
                return Some(line.start + 5..line.end);
            }
        }
        None
    })
}

/// Whether an event of a stream is an error.
#[must_use]
pub fn has_error(events: &[u8]) -> bool {
    events.len() <= LOOKED_AT && is_suspect(events) && messages(events).any(|message| is_error(&events[message]))
}

/// Whether one of the keys is there with a value that speaks of an error. In a string its quotes would be escaped.
fn is_suspect(text: &[u8]) -> bool {
    has(text, b"\"isError\"", b't') || has(text, b"\"error\"", b'{')
}

fn has(text: &[u8], key: &[u8], value: u8) -> bool {
    memmem::find_iter(text, key).any(|at| {
        let mut rest = text[at + key.len()..].iter().filter(|byte| !byte.is_ascii_whitespace());
        rest.next() == Some(&b':') && rest.next() == Some(&value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_from_what_only_speaks_of_them() {
        for (message, error) in [
            (r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"no"}}"#, true),
            (r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"isError":true}}"#, true),
            (r#"{"result" : {"isError" : true}}"#, true),
            (r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"isError":false}}"#, false),
            (r#"{"result":{"structuredContent":{"isError":true,"error":{}},"isError":false}}"#, false),
            (r#"{"result":{"content":[{"type":"text","text":"{\"isError\":true}"}]}}"#, false),
            (r#"{"result":{"error":{"code":1}}}"#, false),
            (r#"{"jsonrpc":"2.0","method":"error","params":{"isError":true}}"#, false),
            ("", false),
            (r#"{"error":{"#, false),
        ] {
            assert_eq!(is_error(message.as_bytes()), error, "{message}");
        }
    }

    #[test]
    fn an_error_is_found_among_the_events_of_a_stream() {
        let progress = r#"data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"error":{}}}"#;
        let ended = r#"data: {"jsonrpc":"2.0","id":1,"result":{"isError":true}}"#;
        assert!(!has_error(format!("id: 1\n{progress}\n\n").as_bytes()));
        assert!(has_error(format!(": \n\nid: 1\n{progress}\n\nid: 2\n{ended}\n\n").as_bytes()));
        assert!(has_error(format!("event: message\r\n{ended}\r\n\r\n").as_bytes()));
        assert!(!has_error(format!("{}\n\n", &ended[..ended.len() - 1]).as_bytes()), "a piece of one");
        assert_eq!(messages(b"data:a\n\ndata: b").count(), 2);
    }
}
