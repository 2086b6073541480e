//! The parser of server-sent events.
//! Must hold: the cuts between reads do not matter; an event within the limit is what WHATWG says it is; one beyond it
//! costs itself alone; what the writer writes is read again.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use toolgate_fuzz::Dice;
use toolgate_protocol::sse::{Event, Parser, write_comment, write_event, write_retry};

const LIMIT: usize = 64;
/// The field name, colon and space of a data line, which the limit does not count.
const SLACK: usize = 6;

/// An event, or that one was too long.
type Read = Vec<Option<Event>>;

fn read<'c>(limit: usize, chunks: impl IntoIterator<Item = &'c [u8]>) -> Read {
    let mut parser = Parser::new(limit);
    let mut events = Vec::new();
    for mut chunk in chunks {
        loop {
            let before = chunk.len();
            match parser.push(&mut chunk) {
                Ok(Some(event)) => events.push(Some(event)),
                Ok(None) => break,
                Err(_) => events.push(None),
            }
            assert!(chunk.len() < before, "it does not advance");
        }
        assert!(chunk.is_empty());
    }
    events
}

fuzz_target!(|stream: &[u8]| {
    let mut dice = Dice::of(stream);
    for limit in [LIMIT, 1 << 20] {
        let whole = read(limit, [stream]);
        assert_eq!(read(limit, stream.chunks(1)), whole, "byte by byte");
        assert_eq!(read(limit, dice.pieces(stream)), whole, "in pieces");
        assert!(whole.iter().flatten().all(|event| event.data.len() <= limit + SLACK), "beyond the limit");
    }
    let unbounded: Vec<Event> = read(1 << 20, [stream]).into_iter().flatten().collect();
    assert_eq!(unbounded, defined(stream));
    let bounded = read(LIMIT, [stream]);
    let mut all = unbounded.iter();
    assert!(bounded.iter().flatten().all(|event| all.any(|one| one == event)), "one that is too long changes another");
    assert!(bounded.len() >= unbounded.len(), "an event is missing without a word");
    if !stream.is_empty() {
        writes(stream);
    }
});

/// The events of a whole stream, as WHATWG's "Interpreting an event stream" tells it.
fn defined(stream: &[u8]) -> Vec<Event> {
    let stream = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    let mut events = Vec::new();
    let (mut event, mut data) = (Event::default(), Vec::new());
    for line in lines(stream) {
        if line.is_empty() {
            let mut done = std::mem::take(&mut event);
            done.event = done.event.filter(|kind| !kind.is_empty());
            let had_data = data.pop().is_some();
            done.data = Bytes::from(std::mem::take(&mut data));
            if had_data || done.id.is_some() || done.retry.is_some() {
                events.push(done);
            }
            continue;
        }
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let text = || String::from_utf8_lossy(value).into_owned();
        match &line[..colon] {
            b"data" => data.extend(value.iter().chain(b"\n")),
            b"event" => event.event = Some(text()),
            b"id" if !value.contains(&0) => event.id = Some(text()),
            b"retry" if value.iter().all(u8::is_ascii_digit) => event.retry = text().parse().ok().or(event.retry),
            _ => {}
        }
    }
    events
}

/// The lines that have ended.
fn lines(mut rest: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        lines.push(&rest[..end]);
        rest = &rest[end + 1 + usize::from(rest[end..].starts_with(b"\r\n"))..];
    }
    lines
}

fn writes(stream: &[u8]) {
    let text = String::from_utf8_lossy(stream);
    let mut out = Vec::new();
    write_comment(&mut out, &text);
    write_event(&mut out, Some(&text), Some(&text), stream);
    write_retry(&mut out, Some(&text), u64::from(stream[0]));
    let events = read(1 << 20, [&out[..]]);
    assert_eq!(events.len(), 2, "nothing in it begins or ends an event");
    let data = events[0].as_ref().map(|event| event.data.to_vec());
    let mut joined = stream.to_vec();
    joined.retain(|byte| !matches!(byte, b'\r' | b'\n'));
    let kept = data.map(|data| data.into_iter().filter(|byte| *byte != b'\n').collect::<Vec<u8>>());
    assert_eq!(kept, Some(joined));
}
