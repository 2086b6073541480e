//! What a server says outside of any call, on its way to the client's GET stream.
//!
//! Messages wait here until the stream takes them, up to a bound; the oldest ones give way, since
//! list changes and log lines are superseded by later ones. What an ended stream left is kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::Notify;

/// Messages kept.
const KEPT: usize = 256;
/// Bytes kept; a longer message is kept alone.
const KEPT_BYTES: usize = 4 << 20;

/// One session's unasked messages.
#[derive(Debug, Default)]
pub struct Outbox {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    kept: VecDeque<Bytes>,
    kept_bytes: usize,
    /// The streams that were opened or ended so far; the newest one's number is this.
    streams: u64,
    /// The session is over.
    closed: bool,
}

/// A session's open stream. An earlier one ends when it is opened.
#[derive(Debug)]
pub struct Unasked {
    outbox: Arc<Outbox>,
    number: u64,
}

impl Outbox {
    /// Adds a message and gives back those that had to give way.
    #[must_use]
    pub fn deliver(&self, message: Bytes) -> Vec<Bytes> {
        let gone = {
            let mut state = self.lock();
            state.kept_bytes += message.len();
            state.kept.push_back(message);
            state.give_way()
        };
        self.news.notify_waiters();
        gone
    }

    /// Opens the stream; an earlier one ends.
    pub fn open(self: &Arc<Self>) -> Unasked {
        let number = {
            let mut state = self.lock();
            state.streams += 1;
            state.streams
        };
        self.news.notify_waiters();
        Unasked { outbox: Arc::clone(self), number }
    }

    /// Ends the stream and forgets all messages.
    pub fn close(&self) {
        {
            let mut state = self.lock();
            *state = State { streams: state.streams + 1, closed: true, ..State::default() };
        }
        self.news.notify_waiters();
    }

    /// Waits until the session is over.
    pub fn ended(self: &Arc<Self>) -> impl Future<Output = ()> + use<> {
        let outbox = Arc::clone(self);
        async move {
            loop {
                let news = outbox.news.notified();
                if outbox.lock().closed {
                    return;
                }
                news.await;
            }
        }
    }

    /// Whether a message waits here already, word for word.
    pub fn holds(&self, message: &Bytes) -> bool {
        self.lock().kept.contains(message)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    fn give_way(&mut self) -> Vec<Bytes> {
        let mut gone = Vec::new();
        while self.kept.len() > KEPT || (self.kept_bytes > KEPT_BYTES && self.kept.len() > 1) {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.kept_bytes -= oldest.len();
            gone.push(oldest);
        }
        gone
    }
}

impl Unasked {
    /// The next message; `None` when this stream has ended. A dropped future has taken nothing.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            let news = self.outbox.news.notified();
            {
                let mut state = self.outbox.lock();
                if state.streams != self.number {
                    return None;
                }
                if let Some(message) = state.kept.pop_front() {
                    state.kept_bytes -= message.len();
                    return Some(message);
                }
            }
            news.await;
        }
    }

    /// Keeps a message that the client did not take for its next stream.
    pub fn give_back(&self, message: Bytes) {
        {
            let mut state = self.outbox.lock();
            state.kept_bytes += message.len();
            state.kept.push_front(message);
        }
        self.outbox.news.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_said_before_the_stream_opened_comes_first() {
        let outbox = Arc::new(Outbox::default());
        assert!(outbox.deliver(Bytes::from_static(b"1")).is_empty());
        let mut stream = outbox.open();
        assert!(outbox.deliver(Bytes::from_static(b"2")).is_empty());
        assert_eq!(stream.next().await.unwrap(), "1");
        assert_eq!(stream.next().await.unwrap(), "2");
    }

    #[tokio::test]
    async fn what_nobody_reads_is_bounded_and_the_newest_stays() {
        let outbox = Arc::new(Outbox::default());
        let mut gone = Vec::new();
        for number in 0..1000 {
            gone.extend(outbox.deliver(Bytes::from(number.to_string())));
        }
        assert_eq!(gone.len(), 744);
        let mut stream = outbox.open();
        for number in 744..1000 {
            assert_eq!(stream.next().await.unwrap(), number.to_string());
        }
    }

    #[test]
    fn what_nobody_reads_is_bounded_in_bytes_and_a_long_message_is_kept_alone() {
        let outbox = Outbox::default();
        assert!(outbox.deliver(Bytes::from(vec![b'x'; KEPT_BYTES])).is_empty());
        assert_eq!(outbox.deliver(Bytes::from(vec![b'y'; 2 * KEPT_BYTES]))[0][0], b'x');
        assert_eq!(outbox.deliver(Bytes::from_static(b"z"))[0][0], b'y');
    }

    #[tokio::test]
    async fn a_new_stream_ends_the_earlier_one_and_gets_what_that_left() {
        let outbox = Arc::new(Outbox::default());
        let mut first = outbox.open();
        assert!(outbox.deliver(Bytes::from_static(b"x")).is_empty());
        let taken = first.next().await.unwrap();
        first.give_back(taken);
        let mut second = outbox.open();
        assert_eq!(first.next().await, None);
        assert_eq!(second.next().await.unwrap(), "x");
        outbox.close();
        assert_eq!(second.next().await, None);
    }
}
