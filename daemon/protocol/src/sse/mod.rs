//! Server-sent events as WHATWG defines them: an incremental parser and a writer.
//! Called by the upstream client and the relay; `stdio` never sees it.
//! Must hold: what arrives in whatever chunks gives the same events; memory is bounded by the parser's limit.

mod write;

use std::fmt;

use bytes::{Bytes, BytesMut};

pub use write::{write_comment, write_event, write_retry};

/// One event. One whose `data` is empty carries no message, only its other fields.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Event {
    /// The `id` field of this very event, without NUL.
    pub id: Option<String>,
    /// The event type; `None` means `message`.
    pub event: Option<String>,
    /// The data lines, joined by LF.
    pub data: Bytes,
    /// The reconnection time that the event sets, in milliseconds.
    pub retry: Option<u64>,
}

/// An event was longer than the parser's limit. Its rest is skipped by further pushes; later events are read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventTooLong {
    /// The limit, in bytes.
    pub limit: usize,
}

impl fmt::Display for EventTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "An event of the stream is longer than {} bytes; raise the server's message limit.", self.limit)
    }
}

impl std::error::Error for EventTooLong {}

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Reads a stream in whatever pieces it arrives.
#[derive(Debug)]
pub struct Parser {
    limit: usize,
    /// The line that has begun and not ended.
    line: BytesMut,
    /// The data of the event that has begun, each line followed by LF.
    data: BytesMut,
    /// The other fields of that event.
    event: Event,
    /// The line before ended with CR: an LF right behind it belongs to that end.
    after_cr: bool,
    /// No line was complete yet, so a byte order mark may still stand in front.
    at_start: bool,
    /// The event is too long and is skipped up to the blank line that ends it.
    skipping: bool,
}

impl Parser {
    /// A parser that refuses events of more than `max_event_bytes` (field names and line ends not counted).
    #[must_use]
    pub fn new(max_event_bytes: usize) -> Self {
        Self {
            limit: max_event_bytes,
            line: BytesMut::new(),
            data: BytesMut::new(),
            event: Event::default(),
            after_cr: false,
            at_start: true,
            skipping: false,
        }
    }

    /// Reads from the front of `chunk` until an event is complete or the chunk is used up, and advances `chunk` past
    /// what was read. Call it until it returns `None`. An event that the stream's end cuts off is never returned.
    ///
    /// # Errors
    /// Once per event that exceeds the limit. The parser stays usable.
    pub fn push(&mut self, chunk: &mut &[u8]) -> Result<Option<Event>, EventTooLong> {
        while !chunk.is_empty() {
            if std::mem::take(&mut self.after_cr) && chunk[0] == b'\n' {
                *chunk = &chunk[1..];
                continue;
            }
            let Some(end) = memchr::memchr2(b'\r', b'\n', chunk) else {
                let rest = std::mem::take(chunk);
                return self.keep(rest).map(|()| None);
            };
            let (line, rest) = chunk.split_at(end);
            self.after_cr = rest[0] == b'\r';
            *chunk = &rest[1..];
            if let Some(event) = self.end_line(line)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Whether everything so far belongs to events that have ended, or to comments that have.
    #[must_use]
    pub fn is_between_events(&self) -> bool {
        self.line.is_empty() && self.data.is_empty() && !self.skipping && self.event == Event::default()
    }

    /// Keeps a piece of a line whose end has not arrived.
    fn keep(&mut self, piece: &[u8]) -> Result<(), EventTooLong> {
        if self.skipping {
            // Whether the line is blank must still be known when its end arrives; one byte tells.
            self.line.clear();
            self.line.extend_from_slice(&piece[..1]);
            return Ok(());
        }
        self.check(piece.len())?;
        self.line.extend_from_slice(piece);
        Ok(())
    }

    /// Refuses the event when `more` bytes would exceed the limit, and goes on to skip it.
    fn check(&mut self, more: usize) -> Result<(), EventTooLong> {
        // The longest field name with colon and space is not the sender's data.
        if self.line.len() + self.data.len() + more <= self.limit.saturating_add("data: ".len()) {
            return Ok(());
        }
        self.skipping = true;
        self.at_start = false;
        self.line = BytesMut::from(&b":"[..]);
        self.data = BytesMut::new();
        self.event = Event::default();
        Err(EventTooLong { limit: self.limit })
    }

    /// Takes a whole line, or the last piece of one.
    fn end_line(&mut self, piece: &[u8]) -> Result<Option<Event>, EventTooLong> {
        if self.skipping {
            let blank = self.line.is_empty() && piece.is_empty();
            self.line.clear();
            self.skipping = !blank;
            return Ok(None);
        }
        if let Err(error) = self.check(piece.len()) {
            // This line has just ended; only the lines after it are still to be skipped.
            self.line.clear();
            return Err(error);
        }
        if self.line.is_empty() {
            return Ok(self.line(piece));
        }
        self.line.extend_from_slice(piece);
        let line = self.line.split();
        let event = self.line(&line);
        // Gives the allocation back when nothing of it lives on in an event.
        self.line = line;
        self.line.clear();
        Ok(event)
    }

    fn line(&mut self, mut line: &[u8]) -> Option<Event> {
        if std::mem::take(&mut self.at_start) {
            line = line.strip_prefix(BOM).unwrap_or(line);
        }
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.extend_from_slice(b"\n");
            }
            b"event" => self.event.event = Some(text(value)),
            b"id" if !value.contains(&0) => self.event.id = Some(text(value)),
            b"retry" => self.event.retry = milliseconds(value).or(self.event.retry),
            _ => {}
        }
        None
    }

    /// A blank line ends the event. A type alone is no event.
    fn dispatch(&mut self) -> Option<Event> {
        let mut event = std::mem::take(&mut self.event);
        if self.data.is_empty() && event.id.is_none() && event.retry.is_none() {
            return None;
        }
        let length = self.data.len().saturating_sub(1);
        event.data = self.data.split().freeze().slice(..length);
        event.event = event.event.filter(|kind| !kind.is_empty());
        Some(event)
    }
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// Only ASCII digits set a time; one that is too large for 64 bits is ignored.
fn milliseconds(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
