//! What a command writes to stderr: drained always, bounded, and its end kept.
//!
//! `instance` starts one drain per command. The command never blocks on it: lines that the journal
//! or the terminal does not take in time are dropped from there, and the last ones kept all the same.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::process::ChildStderr;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::lock::lock;
use crate::observe::is_unfit;

/// Bytes of a line; the rest of it is cut.
const LINE_BYTES: usize = 2048;

/// Lines that the front is told about.
const KEPT_LINES: usize = 50;

/// Lines on their way to the journal.
const WAITING_LINES: usize = 256;

/// How long the rest of the command's stream may take once its processes are gone.
const READ_TIME: Duration = Duration::from_secs(1);

/// How long the journal may take for the lines that are waiting at the end.
const COPY_TIME: Duration = Duration::from_millis(200);

/// The last lines, oldest first.
type Kept = Arc<Mutex<VecDeque<String>>>;

/// Two threads: one reads the command's stderr, one writes ours.
pub(super) struct Drain {
    kept: Kept,
    read: Receiver<()>,
    copied: Receiver<()>,
}

impl Drain {
    pub(super) fn start(from: Option<ChildStderr>, prefix: String) -> Self {
        let (lines, waiting) = sync_channel(WAITING_LINES);
        let (done, copied) = sync_channel(1);
        thread::spawn(move || {
            copy(&waiting, &prefix);
            let _ = done.send(());
        });
        let kept = Kept::default();
        let (done, end) = sync_channel(1);
        if let Some(from) = from {
            let kept = Arc::clone(&kept);
            thread::spawn(move || {
                read(from, &lines, &kept);
                let _ = done.send(());
            });
        }
        Self { kept, read: end, copied }
    }

    /// The last lines, oldest first. Waits for the stream's end, which comes when no process of the
    /// command is left; for a while only, since one may be.
    pub(super) fn finish(self) -> Vec<String> {
        let _ = self.read.recv_timeout(READ_TIME);
        let _ = self.copied.recv_timeout(COPY_TIME);
        lock(&self.kept).iter().cloned().collect()
    }
}

fn copy(waiting: &Receiver<String>, prefix: &str) {
    for line in waiting {
        let line = format!("{prefix}{line}\n");
        // One write per line keeps the lines of several instances apart.
        if io::stderr().lock().write_all(line.as_bytes()).is_err() {
            return;
        }
    }
}

fn read(mut from: impl Read, lines: &SyncSender<String>, kept: &Kept) {
    let mut cutter = Cutter::default();
    let mut dropped = 0_u64;
    let mut chunk = [0; 4096];
    let mut emit = |line: String| {
        let mut kept = lock(kept);
        if kept.len() == KEPT_LINES {
            kept.pop_front();
        }
        kept.push_back(line.clone());
        drop(kept);
        if dropped > 0 && lines.try_send(format!("[{dropped} lines were dropped here]")).is_ok() {
            dropped = 0;
        }
        if let Err(TrySendError::Full(_)) = lines.try_send(line) {
            dropped += 1;
        }
    };
    loop {
        match from.read(&mut chunk) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => break,
            Ok(count) => cutter.feed(&chunk[..count], &mut emit),
        }
    }
    cutter.finish(&mut emit);
}

/// Cuts bytes into bounded lines that are safe to show.
#[derive(Default)]
struct Cutter {
    line: Vec<u8>,
    cut: bool,
}

impl Cutter {
    fn feed(&mut self, bytes: &[u8], emit: &mut impl FnMut(String)) {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            let room = LINE_BYTES - self.line.len();
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            self.cut |= text.len() > room;
            if text.len() < part.len() {
                self.finish(emit);
            }
        }
    }

    fn finish(&mut self, emit: &mut impl FnMut(String)) {
        let mut text = shown(self.line.trim_ascii_end());
        if self.cut {
            text.push_str(" […]");
        }
        if !text.is_empty() {
            emit(text);
        }
        self.line.clear();
        self.cut = false;
    }
}

/// A hostile server must not steer the terminal that shows its lines.
fn shown(line: &[u8]) -> String {
    String::from_utf8_lossy(line).chars().map(|c| if is_unfit(c) && c != '\t' { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut found = Vec::new();
        let mut cutter = Cutter::default();
        for chunk in chunks {
            cutter.feed(chunk, &mut |line| found.push(line));
        }
        cutter.finish(&mut |line| found.push(line));
        found
    }

    #[test]
    fn lines_are_whole_whatever_the_reads() {
        assert_eq!(lines(&[b"one\ntw", b"o\r\n\n", b"three"]), ["one", "two", "three"]);
    }

    #[test]
    fn a_line_without_end_is_bounded() {
        let found = lines(&[&[b'x'; 5000], &[b'x'; 5000], b"\nnext\n"]);
        assert_eq!(found[0].len(), LINE_BYTES + " […]".len());
        assert_eq!(found[1], "next");
    }

    #[test]
    fn escapes_do_not_reach_a_terminal() {
        assert_eq!(lines(&[b"\x1b[2Jred\x07\ttab\xff\xe2\x80\xaetxt\n"]), [" [2Jred \ttab\u{fffd} txt"]);
    }

    #[test]
    fn the_last_lines_are_kept_also_when_nobody_takes_them() {
        let (sender, _receiver) = sync_channel(1);
        let text: String = (0..200).fold(String::new(), |text, n| text + &format!("line {n}\n"));
        let kept = Kept::default();
        read(text.as_bytes(), &sender, &kept);
        assert_eq!(lock(&kept).len(), KEPT_LINES);
        assert_eq!(lock(&kept).back().unwrap(), "line 199");
    }
}
