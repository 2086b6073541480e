//! What an instance sends: bounded lines, and the notices of its wrapper.
//!
//! The owner of a connection reads from here. One line that is too long costs the request which
//! it answers and nothing else, unless it has no end; memory stays below the bound plus one read.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::mpsc;
use toolgate_protocol::envelope;
use tracing::debug;

use crate::instance::notice::{self, Exit, MARK};
use crate::state::Keep;
use crate::state::entry::Left;

/// Room asked for per read.
const READ_BYTES: usize = 16 * 1024;

/// What is kept of an oversized line: enough to find the id that it answers.
const PREFIX_BYTES: usize = 4 * 1024;

/// A line that goes on for so long beyond its bound has no end: who waits for it reads for nothing.
const ENDLESS: usize = 64 << 20;

/// Bytes of one read; where there are more, other calls of the core have their turn first.
const AT_ONCE: usize = 64 * 1024;

/// Pause after each read of a line that nobody gets: a server that goes on and on is held up instead of keeping
/// a processor busy with what is thrown away.
const PAUSE: Duration = Duration::from_millis(4);

/// Bound of a line that is a notice: its stderr lines are bounded where they are collected.
const NOTICE_BYTES: usize = 1024 * 1024;

/// Bound of a line that cannot be a message: it answers nobody, however much of it there is.
const NOISE_BYTES: usize = 64 * 1024;

/// What came from an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A line without its end, as the server wrote it; perhaps no JSON at all. Never empty.
    Message(Bytes),
    /// A line beyond the bound; the rest of it is skipped.
    Oversized {
        /// Its first bytes, at most 4 KiB.
        prefix: Bytes,
    },
    /// A long line that is no message and answers nothing; the rest of it is skipped.
    Noise,
    /// An oversized line goes on and on. Nothing follows.
    Endless,
    /// The instance ended. Nothing follows.
    Exited(Exit),
}

/// Where lines come from.
#[derive(Debug)]
pub enum Incoming {
    /// An instance's stdout.
    Instance(Reader),
    /// A server's stream of events.
    Events(mpsc::Receiver<Bytes>),
}

impl Incoming {
    /// The next line; `None` at the end. A dropped future has lost nothing.
    pub async fn next(&mut self) -> Option<Line> {
        match self {
            Self::Instance(reader) => reader.next().await,
            Self::Events(messages) => messages.recv().await.map(Line::Message),
        }
    }
}

/// The reading half of a connection.
#[derive(Debug)]
pub struct Reader {
    stream: OwnedReadHalf,
    lines: Lines,
    ended: bool,
    /// An earlier process may have read the begin of the first line.
    first_may_be_cut: bool,
    /// Who is told of the line that is not whole when the process ends.
    keep: Option<Arc<Keep>>,
}

impl Reader {
    pub(super) fn new(stream: OwnedReadHalf, line_bytes: usize) -> Self {
        Self { stream, lines: Lines::new(line_bytes), ended: false, first_may_be_cut: false, keep: None }
    }

    /// Goes on where an earlier process stopped reading; it may not have said where.
    pub(super) fn again(stream: OwnedReadHalf, line_bytes: usize, left: Option<&Left>) -> Self {
        let mut reader = Self::new(stream, line_bytes);
        reader.first_may_be_cut = left.is_none();
        if let Some(left) = left {
            reader.lines.buffer.extend_from_slice(&left.unread.0);
            reader.lines.skipped = left.skipping.then_some(0);
        }
        reader
    }

    pub(super) fn kept_by(&mut self, keep: Option<&Arc<Keep>>) {
        self.keep = keep.cloned();
    }

    /// The next line; `None` once the connection is at its end. An incomplete last line is dropped.
    ///
    /// Cancel-safe: a line is never lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Line> {
        while !self.ended {
            let Some(line) = self.next_raw().await else { break };
            self.ended = line == Line::Endless;
            let Line::Message(bytes) = &line else { return Some(line) };
            if bytes.first() != Some(&MARK) {
                // No rest of a message is a message: what closes the whole of it is left over.
                if std::mem::take(&mut self.first_may_be_cut) && envelope::scan(bytes).is_err() {
                    debug!("the rest of a line that an earlier process began to read was dropped");
                    continue;
                }
                return Some(line);
            }
            // A notice of a later version that is not an exit is none of our business.
            if let Some(exit) = notice::parse::<Exit>(bytes) {
                self.ended = true;
                return Some(Line::Exited(exit));
            }
        }
        self.ended = true;
        None
    }

    /// The very first line, which must be the hello.
    pub(super) async fn first_line(&mut self) -> Option<Bytes> {
        match self.next_raw().await? {
            Line::Message(bytes) | Line::Oversized { prefix: bytes } => Some(bytes),
            Line::Exited(_) | Line::Noise | Line::Endless => None,
        }
    }

    async fn next_raw(&mut self) -> Option<Line> {
        loop {
            if let Some(line) = self.lines.take() {
                return Some(line);
            }
            self.lines.reserve();
            // A reset tells the same as an end: the instance is gone.
            match self.stream.read_buf(&mut (&mut self.lines.buffer).limit(AT_ONCE)).await {
                Ok(0) | Err(_) => return None,
                Ok(_) if self.lines.skipped.is_some() => tokio::time::sleep(PAUSE).await,
                Ok(AT_ONCE) => tokio::task::yield_now().await,
                Ok(_) => {}
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(keep) = &self.keep {
            keep.leave_unread(&self.lines.buffer, self.lines.skipped.is_some());
        }
    }
}

/// Cuts bytes into lines, without I/O.
#[derive(Debug)]
struct Lines {
    buffer: BytesMut,
    /// The buffer holds no line end before this.
    scanned: usize,
    /// Of an oversized line whose rest is still to come: its bytes that are gone from the buffer.
    skipped: Option<usize>,
    bound: usize,
}

impl Lines {
    fn new(bound: usize) -> Self {
        Self { buffer: BytesMut::new(), scanned: 0, skipped: None, bound }
    }

    /// Room for a read: more of it within a long line.
    fn reserve(&mut self) {
        let within = self.skipped.is_some() || !self.buffer.is_empty();
        self.buffer.reserve(if within { AT_ONCE } else { READ_BYTES });
    }

    /// Whether the line at hand begins as JSON-RPC does. What is looked at is here before any bound is passed, so that
    /// reads make no difference.
    fn may_be_message(&self) -> bool {
        let begin = &self.buffer[..self.buffer.len().min(self.bound).min(NOISE_BYTES)];
        matches!(begin.trim_ascii_start().first(), None | Some(b'{' | b'['))
    }

    fn take(&mut self) -> Option<Line> {
        loop {
            let end = memchr::memchr(b'\n', &self.buffer[self.scanned..]).map(|at| self.scanned + at);
            if let Some(skipped) = self.skipped {
                self.scanned = 0;
                let skipped = skipped + end.unwrap_or(self.buffer.len());
                if skipped > self.bound + ENDLESS {
                    return Some(Line::Endless);
                }
                let Some(end) = end else {
                    if self.buffer.capacity() > 2 * AT_ONCE {
                        self.buffer = BytesMut::new();
                    }
                    self.buffer.clear();
                    self.skipped = Some(skipped);
                    return None;
                };
                self.buffer.advance(end + 1);
                self.skipped = None;
                continue;
            }
            let bound = match self.buffer.first() {
                Some(&MARK) => NOTICE_BYTES,
                _ if self.may_be_message() => self.bound,
                _ => self.bound.min(NOISE_BYTES),
            };
            if end.unwrap_or(self.buffer.len()) > bound {
                // The line end, if it is here already, is found by the skipping branch.
                self.skipped = Some(0);
                self.scanned = 0;
                if !self.may_be_message() {
                    return Some(Line::Noise);
                }
                let prefix = Bytes::copy_from_slice(&self.buffer[..bound.min(PREFIX_BYTES)]);
                return Some(Line::Oversized { prefix });
            }
            let Some(end) = end else {
                self.scanned = self.buffer.len();
                return None;
            };
            self.scanned = 0;
            let mut line = self.buffer.split_to(end);
            self.buffer.advance(1);
            if line.last() == Some(&b'\r') {
                line.truncate(line.len() - 1);
            }
            if self.buffer.is_empty() && line.len() >= AT_ONCE {
                // The room for such a line is not kept for short ones.
                self.buffer = BytesMut::new();
            }
            if !line.trim_ascii().is_empty() {
                return Some(Line::Message(line.freeze()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(bound: usize, chunks: &[&[u8]]) -> Vec<Line> {
        let mut lines = Lines::new(bound);
        let mut found = Vec::new();
        for chunk in chunks {
            lines.buffer.extend_from_slice(chunk);
            while let Some(line) = lines.take() {
                found.push(line);
                if found.last() == Some(&Line::Endless) {
                    return found;
                }
            }
        }
        found
    }

    fn message(bytes: &[u8]) -> Line {
        Line::Message(Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn empty_lines_and_carriage_returns_are_no_messages() {
        assert_eq!(cut(9, &[b"\n\r\n  \na\r\nb", b"c\n"]), [message(b"a"), message(b"bc")]);
    }

    #[test]
    fn a_line_of_exactly_the_bound_passes() {
        assert_eq!(cut(3, &[b"abc\n"]), [message(b"abc")]);
    }

    #[test]
    fn an_oversized_line_costs_only_itself() {
        let prefix = Bytes::from_static(b"{bc");
        assert_eq!(cut(3, &[b"{bcd\nef\n"]), [Line::Oversized { prefix: prefix.clone() }, message(b"ef")]);
        assert_eq!(cut(3, &[b"{bcd", b"efghijk", b"lm\nno\n"]), [Line::Oversized { prefix }, message(b"no")]);
    }

    #[test]
    fn what_cannot_be_a_message_is_not_gathered() {
        let noise = vec![b'x'; NOISE_BYTES + 1];
        let found = cut(1 << 20, &[&noise, b"\n"]);
        assert_eq!(found, [Line::Noise]);
        let large = [b" {", &noise[..]].concat();
        assert_eq!(cut(1 << 20, &[&large, b"\n"]), [message(&large)]);
    }

    #[test]
    fn a_skipped_line_is_not_kept_in_memory() {
        let mut lines = Lines::new(1000);
        lines.buffer.extend_from_slice(&[b'['; 1001]);
        assert!(matches!(lines.take(), Some(Line::Oversized { .. })));
        for _ in 0..20 {
            lines.buffer.extend_from_slice(&[b'x'; 100]);
            assert_eq!(lines.take(), None);
            assert!(lines.buffer.is_empty());
        }
    }

    #[test]
    fn a_line_without_end_is_told_from_one_that_is_too_long() {
        let prefix = Bytes::from_static(&[b'['; 10]);
        let long = vec![b'['; ENDLESS + 10];
        assert_eq!(cut(10, &[&long, b"\na\n"]), [Line::Oversized { prefix: prefix.clone() }, message(b"a")]);
        assert_eq!(cut(10, &[&long, b"x"]), [Line::Oversized { prefix }, Line::Endless]);
    }

    proptest! {
        /// However the bytes are cut into reads, the lines are the same.
        #[test]
        fn lines_do_not_depend_on_reads(
            text in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(0), Just(b'{'), Just(b' '), any::<u8>()], 0..200),
            cuts in proptest::collection::vec(0_usize..200, 0..6),
            bound in 1_usize..40,
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            let whole = [&text[..], b"\n"].concat();
            let mut parts = chunks;
            parts.push(b"\n");
            prop_assert_eq!(cut(bound, &parts), cut(bound, &[&whole]));
        }
    }
}
