//! What a server says outside of any call, on its way to the client's GET stream.
//!
//! Messages wait here until the stream takes them, up to a bound; the oldest ones give way, since
//! list changes and log lines are superseded by later ones. A client that resumes gets what is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::sync::Notify;
use toolgate_protocol::replay::{Bounds, EventId};

use super::line::{Line, Reading};
use super::streams::Streams;

/// What is kept, read or not.
const BOUNDS: Bounds = Bounds { events: 256, bytes: 4 << 20 };

/// One session's unasked messages.
#[derive(Debug)]
pub struct Outbox {
    line: Arc<Line>,
    /// The session is over.
    closed: AtomicBool,
    over: Notify,
}

impl Outbox {
    /// Nothing was said yet.
    pub fn new(streams: &Streams) -> Self {
        Self::on(streams.line(BOUNDS))
    }

    /// Goes on under the number that it had in an earlier process; a client that names an event of that
    /// one gets what follows.
    pub fn again(streams: &Streams, number: u64, event: u64) -> Self {
        Self::on(streams.line_again(number, event, BOUNDS))
    }

    fn on(line: Arc<Line>) -> Self {
        Self { line, closed: AtomicBool::new(false), over: Notify::new() }
    }

    /// The number of its stream.
    pub fn number(&self) -> u64 {
        self.line.number
    }

    /// What nobody was handed.
    pub fn unread(&self) -> Vec<Bytes> {
        self.line.unread()
    }

    /// Adds a message and gives back those that nobody was handed and that had to give way.
    #[must_use]
    pub fn deliver(&self, message: &[u8]) -> Vec<Bytes> {
        self.line.say_in_place(message)
    }

    /// Opens the stream where the last one stopped; an earlier one ends.
    pub fn open(&self) -> Reading {
        self.line.read()
    }

    /// Opens the stream behind one of its events; an earlier one ends. None where it is no event of it.
    pub fn resume(&self, event: EventId) -> Option<Reading> {
        if event.stream != self.line.number {
            return None;
        }
        self.line.resume_with_gaps(event.number).ok()
    }

    /// Ends the stream.
    pub fn close(&self) {
        self.line.end();
        self.closed.store(true, Ordering::Release);
        self.over.notify_waiters();
    }

    /// Waits until the session is over.
    pub fn ended(self: &Arc<Self>) -> impl Future<Output = ()> + use<> {
        let outbox = Arc::clone(self);
        async move {
            loop {
                let over = outbox.over.notified();
                if outbox.closed.load(Ordering::Acquire) {
                    return;
                }
                over.await;
            }
        }
    }

    /// Whether a message waits here already, word for word.
    pub fn holds(&self, message: &[u8]) -> bool {
        self.line.holds_unread(message)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn next(reading: &mut Reading) -> Option<String> {
        let text = poll_fn(|context| reading.poll_next(context)).await?;
        let text = String::from_utf8(text.text.to_vec()).unwrap();
        Some(text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap().to_owned())
    }

    fn outbox() -> Outbox {
        Outbox::new(&Streams::default())
    }

    #[tokio::test]
    async fn what_was_said_before_the_stream_opened_comes_first() {
        let outbox = outbox();
        assert!(outbox.deliver(b"1").is_empty());
        let mut stream = outbox.open();
        assert!(outbox.deliver(b"2").is_empty());
        assert_eq!(next(&mut stream).await.unwrap(), "1");
        assert_eq!(next(&mut stream).await.unwrap(), "2");
    }

    #[tokio::test]
    async fn what_nobody_reads_is_bounded_and_the_newest_stays() {
        let outbox = outbox();
        let mut gone = Vec::new();
        for number in 0..1000 {
            gone.extend(outbox.deliver(number.to_string().as_bytes()));
        }
        assert_eq!(gone.len(), 744);
        assert_eq!(gone[0], "0");
        let mut stream = outbox.open();
        for number in 744..1000 {
            assert_eq!(next(&mut stream).await.unwrap(), number.to_string());
        }
        assert!(outbox.deliver(b"x").is_empty(), "what was read gives way before what was not");
    }

    #[test]
    fn what_nobody_reads_is_bounded_in_bytes_and_a_long_message_is_kept_alone() {
        let outbox = outbox();
        assert!(outbox.deliver(&vec![b'x'; BOUNDS.bytes]).is_empty());
        assert_eq!(outbox.deliver(&vec![b'y'; 2 * BOUNDS.bytes])[0][0], b'x');
        assert_eq!(outbox.deliver(b"z")[0][0], b'y');
    }

    #[tokio::test]
    async fn a_new_stream_ends_the_earlier_one_and_gets_what_that_left() {
        let outbox = outbox();
        let mut first = outbox.open();
        for message in [b"x", b"y"] {
            assert!(outbox.deliver(message).is_empty());
        }
        assert_eq!(next(&mut first).await.unwrap(), "x");
        assert!(outbox.holds(b"y") && !outbox.holds(b"x"));
        let mut second = outbox.open();
        assert_eq!(next(&mut first).await, None);
        assert_eq!(next(&mut second).await.unwrap(), "y");
        outbox.close();
        assert_eq!(next(&mut second).await, None);
    }

    #[tokio::test]
    async fn a_stream_of_an_earlier_process_goes_on_with_what_is_new() {
        let streams = Streams::default();
        let outbox = Outbox::again(&streams, 7, 1 << 32);
        assert!(outbox.deliver(b"new").is_empty());
        assert!(outbox.resume(EventId { stream: 7, number: (1 << 32) + 2 }).is_none());
        for earlier in [0, 300] {
            let mut resumed = outbox.resume(EventId { stream: 7, number: earlier }).unwrap();
            assert_eq!(next(&mut resumed).await.unwrap(), "new");
        }
    }

    #[tokio::test]
    async fn a_stream_is_resumed_behind_any_event_that_is_kept() {
        let outbox = outbox();
        for number in 1..=300 {
            drop(outbox.deliver(number.to_string().as_bytes()));
        }
        let stream = outbox.line.number;
        for (after, first) in [(0, 45), (100, 101), (299, 300)] {
            let mut resumed = outbox.resume(EventId { stream, number: after }).unwrap();
            assert_eq!(next(&mut resumed).await.unwrap(), first.to_string());
        }
        assert!(outbox.resume(EventId { stream, number: 301 }).is_none());
        assert!(outbox.resume(EventId { stream: stream + 1, number: 1 }).is_none());
    }
}
