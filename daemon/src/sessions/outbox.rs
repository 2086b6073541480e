//! What a server says outside of any call, on its way to the client's GET stream.
//!
//! While no stream is open, messages wait here up to a bound; the oldest ones give way, since
//! list changes and log lines are superseded by later ones.

use std::collections::VecDeque;
use std::sync::Mutex;

use bytes::Bytes;
use tokio::sync::mpsc;
use tracing::debug;

/// Messages kept while nobody reads.
const KEPT: usize = 256;
/// Bytes kept while nobody reads.
const KEPT_BYTES: usize = 1 << 20;

/// One session's unasked messages.
#[derive(Debug, Default)]
pub struct Outbox {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    reader: Option<mpsc::Sender<Bytes>>,
    kept: VecDeque<Bytes>,
    kept_bytes: usize,
}

impl Outbox {
    /// Delivers to the open stream, or keeps the message for the next one.
    pub fn deliver(&self, message: Bytes) {
        let mut state = self.lock();
        let message = match &state.reader {
            Some(reader) => match reader.try_send(message) {
                Ok(()) => return,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    // The reader is too slow for its session: its stream ends, the client opens a new one.
                    debug!("a session's stream was too slow and was closed");
                    state.reader = None;
                    return;
                }
                Err(mpsc::error::TrySendError::Closed(message)) => message,
            },
            None => message,
        };
        state.reader = None;
        state.keep(message);
    }

    /// Opens the stream; an earlier one ends. What was kept comes first.
    pub fn open(&self) -> mpsc::Receiver<Bytes> {
        let (sender, receiver) = mpsc::channel(2 * KEPT);
        let mut state = self.lock();
        state.kept_bytes = 0;
        for message in std::mem::take(&mut state.kept) {
            // The channel is twice as long as what may be kept.
            drop(sender.try_send(message));
        }
        state.reader = Some(sender);
        receiver
    }

    /// Whether a stream is open.
    pub fn is_read(&self) -> bool {
        self.lock().reader.as_ref().is_some_and(|reader| !reader.is_closed())
    }

    /// Ends the stream.
    pub fn close(&self) {
        *self.lock() = State::default();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    fn keep(&mut self, message: Bytes) {
        self.kept_bytes += message.len();
        self.kept.push_back(message);
        while self.kept.len() > KEPT || self.kept_bytes > KEPT_BYTES {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.kept_bytes -= oldest.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_before_the_stream_opened_comes_first() {
        let outbox = Outbox::default();
        outbox.deliver(Bytes::from_static(b"1"));
        let mut stream = outbox.open();
        outbox.deliver(Bytes::from_static(b"2"));
        assert_eq!(stream.try_recv().unwrap(), "1");
        assert_eq!(stream.try_recv().unwrap(), "2");
        assert!(stream.try_recv().is_err());
    }

    #[test]
    fn what_nobody_reads_is_bounded_and_the_newest_stays() {
        let outbox = Outbox::default();
        for number in 0..1000 {
            outbox.deliver(Bytes::from(number.to_string()));
        }
        let mut stream = outbox.open();
        assert_eq!(stream.try_recv().unwrap(), "744");
        let mut last = Bytes::new();
        while let Ok(message) = stream.try_recv() {
            last = message;
        }
        assert_eq!(last, "999");
    }

    #[test]
    fn a_new_stream_ends_the_earlier_one() {
        let outbox = Outbox::default();
        let mut first = outbox.open();
        let mut second = outbox.open();
        outbox.deliver(Bytes::from_static(b"x"));
        assert_eq!(first.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
        assert_eq!(second.try_recv().unwrap(), "x");
    }
}
