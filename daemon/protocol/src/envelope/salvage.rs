//! The id of a message that could not be read as a whole.
//! Called where an error answer, or a refusal before the body was read, should still carry the request's id.
//! Must hold: an id is returned only when it is certain: complete, at the top level, and not there twice.

use crate::json::{self, Cursor, Depth, Span};

/// The `id` of the object that `text` begins with, if it is a string or a number that can be told without doubt.
/// `text` may be cut off anywhere, or be broken or nested too deeply in other members.
#[must_use]
pub fn salvage_id(text: &[u8]) -> Option<Span> {
    let mut cursor = Cursor::new(text, 0);
    cursor.skip_space();
    let mut found = None;
    let mut more = cursor.enter_object().unwrap_or(false);
    while more {
        let Ok(key) = cursor.key() else { break };
        let is_id = *key.decoded(text) == *b"id";
        let Some(value) = skip_roughly(&mut cursor) else {
            break;
        };
        if is_id && found.replace(value).is_some() {
            return None;
        }
        more = cursor.more_members().unwrap_or(false);
    }
    found.filter(|&id| is_certain(text, id))
}

/// Skips one value by counting brackets, however deep, and without judging what is between them.
fn skip_roughly(cursor: &mut Cursor<'_>) -> Option<Span> {
    let start = cursor.at();
    let mut open = 0_usize;
    loop {
        match cursor.peek()? {
            b'"' => {
                cursor.advance();
                cursor.string_rest().ok()?;
            }
            b'{' | b'[' => {
                open += 1;
                cursor.advance();
            }
            // What ends a scalar, or follows a container.
            b'}' | b']' | b',' | b' ' | b'\n' | b'\r' | b'\t' if open == 0 => break,
            b'}' | b']' => {
                open -= 1;
                cursor.advance();
            }
            _ => cursor.advance(),
        }
    }
    Some(Span::new(start, cursor.at()))
}

fn is_certain(text: &[u8], id: Span) -> bool {
    let raw = id.of(text);
    let is_scalar = matches!(raw.first(), Some(b'"' | b'-' | b'0'..=b'9'));
    let mut cursor = Cursor::new(raw, 0);
    let valid = cursor.value(Depth::NONE, &mut ()).and_then(|()| cursor.finish());
    is_scalar && valid.is_ok() && json::check_utf8(text, id).is_ok()
}
