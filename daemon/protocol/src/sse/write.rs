//! Writing of server-sent events.
//! Called by the relay towards clients.
//! Must hold: nothing in an id, a type or data can end the event early or begin another.

use bytes::BufMut;

/// Writes one event. The type is always written, `message` by default: some clients drop events without one. Data may
/// hold line ends (they become several `data` lines); CR, LF and NUL are left out of `id` and `event`.
pub fn write_event(out: &mut impl BufMut, id: Option<&str>, event: Option<&str>, data: &[u8]) {
    if let Some(id) = id {
        write_field(out, b"id: ", id);
    }
    write_field(out, b"event: ", event.unwrap_or("message"));
    let mut rest = data;
    loop {
        let end = memchr::memchr2(b'\r', b'\n', rest);
        out.put_slice(b"data: ");
        out.put_slice(&rest[..end.unwrap_or(rest.len())]);
        out.put_slice(b"\n");
        let Some(end) = end else { break };
        let is_pair = rest[end..].starts_with(b"\r\n");
        rest = &rest[end + 1 + usize::from(is_pair)..];
    }
    out.put_slice(b"\n");
}

/// Writes a comment, which readers ignore: the keep-alive of a quiet stream.
pub fn write_comment(out: &mut impl BufMut, comment: &str) {
    write_field(out, b": ", comment);
    out.put_slice(b"\n");
}

/// Writes the reconnection time in milliseconds, with the id to resume from if given. It carries no message.
pub fn write_retry(out: &mut impl BufMut, id: Option<&str>, milliseconds: u64) {
    if let Some(id) = id {
        write_field(out, b"id: ", id);
    }
    write_field(out, b"retry: ", &milliseconds.to_string());
    out.put_slice(b"data: \n\n");
}

fn write_field(out: &mut impl BufMut, name: &[u8], value: &str) {
    out.put_slice(name);
    for piece in value.split(['\r', '\n', '\0']) {
        out.put_slice(piece.as_bytes());
    }
    out.put_slice(b"\n");
}
