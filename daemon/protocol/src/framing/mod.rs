//! The framing of HTTP/1 requests: where each message ends, and whether that is beyond doubt. What
//! HTTP/2 needs instead is in [`http2`].
//!
//! The guard before hyper feeds a [`Machine`] with all bytes of a connection, as they are read.
//! What it refuses must not be read by anybody else; the verdict does not depend on how the bytes
//! were cut into reads.

mod bytes;
mod chunked;
mod head;
pub mod http2;
mod refusal;
#[cfg(test)]
mod tests;

pub use bytes::{is_token, is_value};
use chunked::Chunked;
use head::{Body, Head};
pub use refusal::Refusal;

/// What a message may cost. A message exactly at a bound is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of the head, all line ends included.
    pub head_bytes: usize,
    /// Header lines.
    pub headers: usize,
    /// Bytes of the request target.
    pub uri_bytes: usize,
    /// Bytes of the body, without what chunks add.
    pub body_bytes: u64,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A message that has not begun.
    Idle,
    /// The head of a message that has begun.
    Head,
    /// The body of a message whose head is whole.
    Body,
}

/// A refused message, in terms of the bytes that were fed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// How many of the bytes belong to messages before it, and may be read by others.
    pub before: usize,
    /// Whether its head was whole before these bytes: then others may be at work on it.
    pub begun: bool,
}

#[derive(Debug)]
enum State {
    RequestLine {
        blank: bool,
    },
    Headers(Head),
    Length(u64),
    Chunked(Chunked),
    /// Nothing is taken after a refusal.
    Refused(Refusal),
}

/// Follows the messages of one connection.
#[derive(Debug)]
pub struct Machine {
    bounds: Bounds,
    state: State,
    /// A line whose end has not arrived.
    line: Vec<u8>,
    /// Bytes of the head before that line.
    head_bytes: usize,
    messages: u64,
}

impl Machine {
    /// At the start of a connection.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        let state = State::RequestLine { blank: false };
        Self { bounds, state, line: Vec::new(), head_bytes: 0, messages: 0 }
    }

    /// What the next byte belongs to.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match &self.state {
            State::RequestLine { .. } if self.line.is_empty() => Phase::Idle,
            State::RequestLine { .. } | State::Headers(_) | State::Refused(_) => Phase::Head,
            State::Length(_) | State::Chunked(_) => Phase::Body,
        }
    }

    /// Messages that arrived whole.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// How many of the last bytes belong to a line that has not ended, and are not judged yet.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.line.len()
    }

    /// Takes the next bytes of the connection. After a refusal everything is refused.
    pub fn feed(&mut self, input: &[u8]) -> Result<(), Refused> {
        let mut begun = self.phase() == Phase::Body;
        let mut before = 0;
        let mut at = 0;
        while at < input.len() {
            let messages = self.messages;
            match self.step(&input[at..]) {
                Ok(taken) => at += taken,
                Err(refusal) => {
                    self.state = State::Refused(refusal);
                    return Err(Refused { refusal, before, begun });
                }
            }
            if self.messages != messages {
                (before, begun) = (at, false);
            }
        }
        Ok(())
    }

    /// Takes some of the bytes, at least one.
    fn step(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        match &mut self.state {
            State::Length(left) => {
                let taken = at_most(*left, input);
                *left -= taken as u64;
                if *left == 0 {
                    self.end();
                }
                return Ok(taken);
            }
            State::Chunked(body) => {
                if let Some(left) = body.data() {
                    let taken = at_most(left, input);
                    body.skip(taken as u64);
                    return Ok(taken);
                }
            }
            State::Refused(refusal) => return Err(*refusal),
            State::RequestLine { .. } | State::Headers(_) => {}
        }
        self.step_line(input)
    }

    /// Takes bytes up to the end of the line, or all; a line beyond its bound is refused at the
    /// byte that crosses it, whether or not its end has arrived.
    fn step_line(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        let (bound, too_long) = self.line_bound();
        let room = bound.saturating_sub(self.line.len());
        let window = &input[..input.len().min(room)];
        let Some(end) = memchr::memchr(b'\n', window) else {
            if input.len() > window.len() || room == 0 {
                return Err(too_long);
            }
            self.line.extend_from_slice(input);
            return Ok(input.len());
        };
        if self.line.is_empty() {
            self.take_line(&input[..end])?;
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(&input[..end]);
            self.take_line(&line)?;
        }
        Ok(end + 1)
    }

    fn line_bound(&self) -> (usize, Refusal) {
        let head = self.bounds.head_bytes - self.head_bytes;
        match &self.state {
            State::RequestLine { .. } => (head, Refusal::TargetTooLong),
            State::Chunked(body) => body.line_bound(),
            _ => (head, Refusal::HeadTooLarge),
        }
    }

    /// Takes a line that has lost its LF.
    fn take_line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let length = line.len() + 1;
        let line = line.strip_suffix(b"\r").ok_or(Refusal::LineEnd)?;
        self.judge_line(line, length).map_err(|refusal| {
            // No line that passes holds a CR: it is looked for only to say what is wrong.
            if memchr::memchr(b'\r', line).is_some() { Refusal::LineEnd } else { refusal }
        })
    }

    /// Takes a line without its end; `length` is that with it.
    fn judge_line(&mut self, line: &[u8], length: usize) -> Result<(), Refusal> {
        match &mut self.state {
            State::RequestLine { blank } if line.is_empty() => {
                // RFC 9112, section 2.2: some clients send one after a body.
                if std::mem::replace(blank, true) {
                    return Err(Refusal::BlankLines);
                }
            }
            State::RequestLine { .. } => {
                self.head_bytes = length;
                self.state = State::Headers(Head::request_line(line, self.bounds.uri_bytes)?);
            }
            State::Headers(head) if line.is_empty() => {
                self.head_bytes = 0;
                match head.end(self.bounds.body_bytes)? {
                    Body::Length(0) => self.end(),
                    Body::Length(length) => self.state = State::Length(length),
                    Body::Chunked => self.state = State::Chunked(Chunked::new()),
                }
            }
            State::Headers(head) => {
                self.head_bytes += length;
                head.header(line, self.bounds.headers)?;
            }
            State::Chunked(body) => {
                if body.line(line, self.bounds.body_bytes)? {
                    self.end();
                }
            }
            State::Length(_) | State::Refused(_) => {}
        }
        Ok(())
    }

    fn end(&mut self) {
        self.state = State::RequestLine { blank: false };
        self.messages += 1;
    }
}

fn at_most(left: u64, input: &[u8]) -> usize {
    usize::try_from(left).map_or(input.len(), |left| left.min(input.len()))
}
