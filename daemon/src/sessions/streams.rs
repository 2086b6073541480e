//! The streams of one session's calls: found again by the id of an event, bounded, forgotten in time.
//!
//! A call that streams puts itself here; a client that comes back finds it, and nobody else's. Of
//! what is kept without a reader the oldest gives way first; what gave way is told, never left out.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use toolgate_protocol::replay::{Bounds, EventId, Unresumable};

use super::line::{Line, Reading, Tally};
use crate::failure::{Failure, InStream, Kind};
use crate::lock::lock;

/// What one stream keeps.
const BOUNDS: Bounds = Bounds { events: 256, bytes: 1 << 20 };
/// Streams of a session whose events are kept.
const STREAMS: usize = 64;
/// Streams of a session that are known at all; of the others a client learns that their events are gone.
const KNOWN: usize = 1024;
/// Bytes that a session keeps for readers that are away.
const SESSION_BYTES: usize = 4 << 20;
/// Bytes that all sessions keep together before each keeps as little as it can.
const ALL_BYTES: usize = 256 << 20;
/// How long a stream is kept without a reader, in milliseconds: once it has ended, and with what its
/// client has not been asked yet.
const PATIENCE: u64 = 5 * 60 * 1000;

/// A session's streams.
#[derive(Debug)]
pub struct Streams {
    known: Mutex<BTreeMap<u64, Arc<Stream>>>,
    tally: Arc<Tally>,
    next: AtomicU64,
}

/// The stream of one call.
#[derive(Debug)]
pub struct Stream {
    /// What is said on it.
    pub line: Arc<Line>,
    /// The raw id of the request that it answers.
    pub request: Bytes,
    /// What its call ends with where it fails.
    pub lost: InStream,
}

/// What a client finds that comes back.
#[derive(Debug)]
pub enum Found {
    /// The rest of the stream of this request.
    Rest(Reading, Bytes),
    /// The client has all of it.
    Over,
    /// Events are gone: the request is answered with this event.
    Lost(Bytes),
    /// The session knows no such event.
    Unknown,
}

impl Default for Streams {
    /// No streams yet. Their numbers begin where no other session's do, so that an event of one
    /// session is unknown to any other.
    fn default() -> Self {
        let mut bytes = [0; 8];
        aws_lc_rs::rand::fill(&mut bytes).expect("the system has a random source");
        let first = u64::from_ne_bytes(bytes) >> 16;
        Self { known: Mutex::default(), tally: Arc::default(), next: AtomicU64::new(first) }
    }
}

impl Streams {
    /// A line of this session.
    pub fn line(&self, bounds: Bounds) -> Arc<Line> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Arc::new(Line::new(number, bounds, Arc::clone(&self.tally)))
    }

    /// A line of this session that goes on with the number which it had in an earlier process, behind
    /// an event that is higher than any that was said there.
    pub fn line_again(&self, number: u64, event: u64, bounds: Bounds) -> Arc<Line> {
        Arc::new(Line::after(number, event, bounds, Arc::clone(&self.tally)))
    }

    /// A stream that no client knows yet.
    pub fn begin(&self, request: Bytes, lost: InStream) -> Arc<Stream> {
        Arc::new(Stream { line: self.line(BOUNDS), request, lost })
    }

    /// Has a client that comes back find a stream. Gives back what gave way for it before anybody
    /// was handed it.
    #[must_use]
    pub fn keep(&self, stream: &Arc<Stream>) -> Vec<Bytes> {
        let mut streams = self.lock();
        streams.insert(stream.line.number, Arc::clone(stream));
        if streams.len() > KNOWN {
            let over = streams.iter().find(|(_, stream)| stream.line.is_over()).map(|(number, _)| *number);
            over.and_then(|number| streams.remove(&number));
        }
        if streams.len() <= STREAMS {
            return Vec::new();
        }
        let full: Vec<_> = streams.values().filter(|stream| stream.line.kept() > 0).cloned().collect();
        drop(streams);
        let excess = full.len().saturating_sub(STREAMS);
        full.iter().take(excess).flat_map(|stream| stream.line.shrink()).collect()
    }

    /// What follows an event that a client names.
    pub fn find(&self, event: EventId) -> Found {
        let Some(stream) = self.lock().get(&event.stream).cloned() else { return Found::Unknown };
        match stream.line.resume(event.number) {
            Ok(_) if stream.line.has_ended_at(event.number) => {
                self.lock().remove(&event.stream);
                Found::Over
            }
            Ok(reading) => Found::Rest(reading, stream.request.clone()),
            Err(Unresumable::Lost) => Found::Lost(stream.line.aside(&stream.lost.body(&overrun()))),
            Err(Unresumable::Unknown) => Found::Unknown,
        }
    }

    /// Makes room where too much is kept; gives back what nobody was handed. To be called after
    /// something was said.
    #[must_use]
    pub fn settle(&self) -> Vec<Bytes> {
        if self.is_within_bounds() {
            return Vec::new();
        }
        let mut lost = Vec::new();
        for stream in self.all() {
            lost.extend(stream.line.shrink());
            if self.is_within_bounds() {
                break;
            }
        }
        lost
    }

    fn is_within_bounds(&self) -> bool {
        self.tally.here() <= SESSION_BYTES && Tally::everywhere() <= ALL_BYTES
    }

    /// Forgets streams that ended long ago. Gives back what nobody was handed of those that nobody
    /// has read for as long.
    #[must_use]
    pub fn tidy(&self) -> Vec<Bytes> {
        self.tidy_after(PATIENCE)
    }

    fn tidy_after(&self, millis: u64) -> Vec<Bytes> {
        let away: Vec<_> = self.all().into_iter().filter(|stream| stream.line.unread_millis() > millis).collect();
        let mut lost = Vec::new();
        for stream in away {
            lost.extend(stream.line.shrink());
            if stream.line.is_over() {
                self.lock().remove(&stream.line.number);
            }
        }
        lost
    }

    /// The oldest first.
    fn all(&self) -> Vec<Arc<Stream>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Stream>>> {
        lock(&self.known)
    }
}

/// What a call is answered with of which events are gone.
pub fn overrun() -> Failure {
    Failure::new(
        Kind::EventsLost,
        "Messages of this call were not read in time and are gone, its answer perhaps among them. Whether the call had an effect is unknown; check before you repeat it.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::CallId;

    fn stream(streams: &Streams) -> Arc<Stream> {
        let stream = streams.begin(Bytes::from_static(b"7"), InStream::new(CallId::mint(), b"7"));
        assert!(streams.keep(&stream).is_empty());
        stream
    }

    fn event(stream: &Stream, number: u64) -> EventId {
        EventId { stream: stream.line.number, number }
    }

    fn is_lost(found: &Found) -> bool {
        matches!(found, Found::Lost(text) if String::from_utf8_lossy(text).contains(r#""id":7,"error""#))
    }

    #[test]
    fn a_stream_is_found_by_its_own_session_until_its_client_has_all_of_it() {
        let (streams, others) = (Streams::default(), Streams::default());
        let stream = stream(&streams);
        assert!(stream.line.say(b"{}").is_empty());
        assert!(matches!(others.find(event(&stream, 0)), Found::Unknown));
        assert!(matches!(streams.find(event(&stream, 2)), Found::Unknown));
        assert!(matches!(streams.find(event(&stream, 1)), Found::Rest(..)), "it goes on");
        stream.line.end();
        assert!(matches!(streams.find(event(&stream, 0)), Found::Rest(..)));
        assert!(matches!(streams.find(event(&stream, 1)), Found::Over));
        assert!(matches!(streams.find(event(&stream, 1)), Found::Unknown));
    }

    #[test]
    fn the_oldest_streams_give_way_and_it_is_told() {
        let streams = Streams::default();
        let megabyte = vec![b'x'; BOUNDS.bytes - 1000];
        let all: Vec<_> = (0..6)
            .map(|_| {
                let stream = stream(&streams);
                assert!(stream.line.say(&megabyte).is_empty());
                drop(streams.settle());
                stream
            })
            .collect();
        assert!(streams.tally.here() <= SESSION_BYTES);
        let lost: Vec<bool> = all.iter().map(|stream| is_lost(&streams.find(event(stream, 0)))).collect();
        assert_eq!(lost, [true, true, false, false, false, false]);
        drop(all);
        drop(streams.tidy_after(0));
        drop(streams);
    }

    #[test]
    fn what_is_about_to_be_read_stays_whatever_is_kept() {
        let streams = Streams::default();
        let read = stream(&streams);
        let _reading = read.line.read();
        for stream in [&read, &stream(&streams), &stream(&streams)] {
            assert!(stream.line.say(&vec![b'x'; BOUNDS.bytes * 3 / 2]).is_empty());
        }
        assert_eq!(streams.settle().len(), 1, "of the second; the first is read");
        assert!(read.line.kept() > 0);
    }

    #[test]
    fn more_streams_than_may_be_kept_are_known_without_their_events() {
        let streams = Streams::default();
        let all: Vec<_> = (0..STREAMS + 2)
            .map(|_| {
                let stream = streams.begin(Bytes::from_static(b"7"), InStream::new(CallId::mint(), b"7"));
                drop(stream.line.say(b"{}"));
                drop(streams.keep(&stream));
                stream
            })
            .collect();
        let lost = all.iter().filter(|stream| is_lost(&streams.find(event(stream, 0)))).count();
        assert_eq!(lost, 2);
        assert!(is_lost(&streams.find(event(&all[1], 0))));
    }

    #[test]
    fn what_nobody_comes_back_to_is_forgotten_once_it_is_over() {
        let streams = Streams::default();
        let (running, over, read) = (stream(&streams), stream(&streams), stream(&streams));
        let _reading = read.line.read();
        for stream in [&running, &over, &read] {
            assert!(stream.line.say(b"question").is_empty());
        }
        over.line.end();
        assert!(streams.tidy().is_empty());
        let start = crate::clock::millis();
        while crate::clock::millis() <= start {
            std::hint::spin_loop();
        }
        assert_eq!(streams.tidy_after(0), [&b"question"[..], b"question"]);
        assert!(is_lost(&streams.find(event(&running, 0))));
        assert!(matches!(streams.find(event(&over, 0)), Found::Unknown));
        assert!(matches!(streams.find(event(&read, 0)), Found::Rest(..)));
    }
}
