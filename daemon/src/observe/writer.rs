//! Log lines leave through a thread of their own.
//!
//! A core that logs hands over a finished line and goes on: no lock on standard output, no wait for
//! a slow reader, be it a terminal, a pipe or the journal. When the reader is too slow, lines are
//! dropped, counted, and the count is logged.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait.
const WAITING: usize = 8192;

/// The longest that the end of the process waits for the last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// How soon a full channel is asked again.
const FLUSH_AGAIN: Duration = Duration::from_millis(10);

enum Message {
    Line(Vec<u8>),
    Flush(Sender<()>),
}

/// Where finished lines are handed over.
#[derive(Clone)]
pub(super) struct Writer {
    lines: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

impl Writer {
    /// Starts the thread that writes to `output`.
    pub(super) fn start(output: impl Write + Send + 'static) -> io::Result<Self> {
        Self::unbuffered(io::BufWriter::new(output))
    }

    /// As [`Writer::start`], for an output to which each line is one write.
    pub(super) fn unbuffered(output: impl Write + Send + 'static) -> io::Result<Self> {
        let (lines, received) = sync_channel(WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        let lost = Arc::clone(&dropped);
        std::thread::Builder::new().name("log".into()).spawn(move || write_all(&received, output, &lost))?;
        Ok(Self { lines, dropped })
    }

    /// Waits until what was handed over is written, two seconds at most.
    pub(super) fn flush(&self) {
        let deadline = Instant::now() + FLUSH_TIMEOUT;
        let (done, flushed) = channel();
        let mut flush = Message::Flush(done);
        // A full channel is the sign of a reader that does not read: it is asked again, and not waited for.
        while let Err(TrySendError::Full(refused)) = self.lines.try_send(flush) {
            if Instant::now() >= deadline {
                return;
            }
            flush = refused;
            std::thread::sleep(FLUSH_AGAIN);
        }
        let _ = flushed.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

fn write_all(received: &Receiver<Message>, mut output: impl Write, dropped: &AtomicU64) {
    while let Ok(message) = received.recv() {
        // Nobody is left to be told that the log itself cannot be written.
        let _ = write_batch(message, received, &mut output);
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lines = lost, "Log lines were dropped, since their reader is too slow");
        }
    }
}

/// Writes what waits, then flushes once.
fn write_batch(first: Message, received: &Receiver<Message>, output: &mut impl Write) -> io::Result<()> {
    let mut next = Some(first);
    while let Some(message) = next {
        match message {
            Message::Line(line) => output.write_all(&line)?,
            Message::Flush(done) => {
                output.flush()?;
                let _ = done.send(());
            }
        }
        next = received.try_recv().ok();
    }
    output.flush()
}

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { writer: self.clone(), text: Vec::new() }
    }
}

/// One event's line; handed over when it is dropped.
pub(super) struct Line {
    writer: Writer,
    text: Vec<u8>,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let text = std::mem::take(&mut self.text);
        if let Err(TrySendError::Full(_)) = self.writer.lines.try_send(Message::Line(text)) {
            self.writer.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::Receiver;

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("page").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A reader that takes nothing until it is told to.
    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn say(writer: &Writer, text: &str) {
        writer.make_writer().write_all(text.as_bytes()).expect("buffers");
    }

    #[test]
    fn lines_arrive_whole_and_in_order() {
        let page = Page::default();
        let writer = Writer::start(page.clone()).expect("starts");
        let mut expected = String::new();
        for number in 0..100 {
            let line = format!("{number}\n");
            say(&writer, &line);
            expected.push_str(&line);
        }
        writer.flush();
        assert_eq!(*page.0.lock().expect("page"), expected.into_bytes());
    }

    #[test]
    fn a_stuck_reader_costs_lines_and_nobody_waits() {
        let (go_on, told) = channel();
        let writer = Writer::start(Stuck(told)).expect("starts");
        for _ in 0..WAITING + 100_000 {
            say(&writer, "a line\n");
        }
        assert!(writer.dropped.load(Ordering::Relaxed) > 0);
        let asked = Instant::now();
        writer.flush();
        assert!(asked.elapsed() < 2 * FLUSH_TIMEOUT, "the end of the process waits for the reader");
        drop(go_on);
        writer.flush();
    }
}
