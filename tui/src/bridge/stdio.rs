//! Standard input and output as lines, each on a thread of its own.
//!
//! Blocking reads and writes stay off the runtime, and a client that reads slowly slows the gate's
//! answers down instead of filling memory.

use std::io::{self, BufRead, Read, Write};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use tokio::sync::{mpsc, watch};

use crate::failure::Failure;

/// Bytes of one message.
pub(super) const LINE_LIMIT: usize = 64 << 20;

/// For a client that has closed its end and reads no more.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);

/// Messages that may wait, in either direction.
const WAITING: usize = 64;

/// What a line of standard input was.
pub(super) enum Line {
    /// One message, without its line end.
    Message(Vec<u8>),
    /// More than [`LINE_LIMIT`] bytes; skipped up to its end.
    TooLong,
}

/// Lines of standard input.
pub(super) struct Input {
    lines: mpsc::Receiver<Line>,
    ended: watch::Receiver<bool>,
}

impl Input {
    /// The next line that is not blank; `None` after the last.
    pub(super) async fn next(&mut self) -> Option<Line> {
        self.lines.recv().await
    }

    /// Becomes true when standard input has ended or a signal came, even while lines still wait.
    pub(super) fn ended(&self) -> watch::Receiver<bool> {
        self.ended.clone()
    }
}

/// Starts to read standard input.
pub(super) fn input() -> Result<Input, Failure> {
    let (lines, received) = mpsc::channel(WAITING);
    let (end, ended) = watch::channel(false);
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT])
        .map_err(|error| Failure::local("Signals cannot be caught", error))?;
    let on_signal = end.clone();
    spawn("signals", move || {
        for _ in signals.forever() {
            on_signal.send_replace(true);
        }
    })?;
    spawn("stdin", move || {
        read_lines(io::stdin().lock(), LINE_LIMIT, |line| lines.blocking_send(line).is_ok());
        end.send_replace(true);
    })?;
    Ok(Input { lines: received, ended })
}

/// Hands lines over until the input ends or `take` refuses.
fn read_lines(mut input: impl BufRead, limit: usize, mut take: impl FnMut(Line) -> bool) {
    let budget = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    loop {
        let mut line = Vec::new();
        match input.by_ref().take(budget).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let line = if line.len() > limit && line.last() != Some(&b'\n') {
            if skip_line(&mut input).is_err() {
                return;
            }
            Line::TooLong
        } else {
            let message = line.trim_ascii();
            if message.is_empty() {
                continue;
            }
            Line::Message(message.to_vec())
        };
        if !take(line) {
            return;
        }
    }
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let (used, done) = match buffer.iter().position(|&byte| byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(used);
        if done {
            return Ok(());
        }
    }
}

/// The thread that writes standard output.
pub(super) struct Output {
    lines: mpsc::Sender<Vec<u8>>,
    /// Disconnected when everything is written.
    done: std::sync::mpsc::Receiver<()>,
}

impl Output {
    /// Where messages without line ends are handed over.
    pub(super) fn lines(&self) -> mpsc::Sender<Vec<u8>> {
        self.lines.clone()
    }

    /// Waits until what was handed over is written, or the client does not read; every other sender
    /// must be gone.
    pub(super) fn finish(self) {
        drop(self.lines);
        let _ = self.done.recv_timeout(FINISH_TIMEOUT);
    }
}

/// Starts to write standard output.
pub(super) fn output() -> Result<Output, Failure> {
    let (lines, mut received) = mpsc::channel::<Vec<u8>>(WAITING);
    let (end, done) = std::sync::mpsc::channel();
    spawn("stdout", move || {
        let _end: std::sync::mpsc::Sender<()> = end;
        let mut output = io::stdout().lock();
        while let Some(mut line) = received.blocking_recv() {
            line.push(b'\n');
            if output.write_all(&line).and_then(|()| output.flush()).is_err() {
                return;
            }
        }
    })?;
    Ok(Output { lines, done })
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(body)
        .map(drop)
        .map_err(|error| Failure::local("A thread cannot be started", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &str, limit: usize) -> Vec<String> {
        let mut seen = Vec::new();
        read_lines(input.as_bytes(), limit, |line| {
            seen.push(match line {
                Line::Message(message) => String::from_utf8(message).expect("text"),
                Line::TooLong => "too long".into(),
            });
            true
        });
        seen
    }

    #[test]
    fn a_line_is_a_message() {
        assert_eq!(lines("{}\r\n\n  \n{\"a\":1}\n{}", 100), ["{}", "{\"a\":1}", "{}"]);
    }

    #[test]
    fn a_line_that_is_too_long_costs_itself_only() {
        assert_eq!(lines("12345\n123456\n1\n", 5), ["12345", "too long", "1"]);
        assert_eq!(lines("123456789", 5), ["too long"]);
    }
}
