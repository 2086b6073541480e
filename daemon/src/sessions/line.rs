//! A stream of events to one client, shared by whoever says them and the connection that has it now.
//!
//! A driven call and the outbox say; an HTTP answer reads, on whichever core. `protocol::replay`
//! decides what is kept; here are the lock, those who wait, and the count of what all of it takes.

use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use toolgate_protocol::replay::{Bounds, EventId, Next, Stream, Unresumable};
use toolgate_protocol::{flatten, sse};

use crate::clock;
use crate::lock::lock;

/// What a kept event takes besides its text.
const OVERHEAD: usize = 64;
/// What the lines of all sessions keep together.
static KEPT_BY_ALL: AtomicUsize = AtomicUsize::new(0);

/// Bytes that one session's lines keep.
#[derive(Debug, Default)]
pub struct Tally(AtomicUsize);

impl Tally {
    /// Of this session.
    pub fn here(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Of all sessions.
    pub fn everywhere() -> usize {
        KEPT_BY_ALL.load(Ordering::Relaxed)
    }

    fn change(&self, before: usize, after: usize) {
        for count in [&self.0, &KEPT_BY_ALL] {
            count.fetch_add(after, Ordering::Relaxed);
            count.fetch_sub(before, Ordering::Relaxed);
        }
    }
}

/// An event as it is written, and where the message begins in it.
#[derive(Debug, Clone)]
struct Event {
    text: Bytes,
    message_at: usize,
    /// When, by our clock, in nanoseconds.
    said: u64,
}

impl Event {
    /// Line ends of the message become spaces: an event cannot tell CR from LF, and a reader that
    /// takes one line of data for all of it must still read the message.
    fn new(id: EventId, message: &[u8]) -> Self {
        let id = id.to_string();
        let mut text = BytesMut::with_capacity(message.len() + id.len() + 32);
        sse::write_event(&mut text, Some(&id), None, &flatten::flattened(message));
        let message_at = text.len() - message.len() - 2;
        Self { text: text.freeze(), message_at, said: clock::nanos() }
    }

    /// The message, without the event's end.
    fn message(&self) -> Bytes {
        self.text.slice(self.message_at..self.text.len() - 2)
    }
}

/// Such a stream.
pub struct Line {
    /// Unlike any other of this client's, whatever the session.
    pub number: u64,
    tally: Arc<Tally>,
    state: Mutex<State>,
}

struct State {
    stream: Stream<Event>,
    /// Since when nobody reads, or it was made.
    left: u64,
    /// A client has an id to name: of an event, or the one before the first.
    told: bool,
    /// Its client is never told of ids.
    untold: bool,
    reader: Option<Waker>,
    sayer: Option<Waker>,
}

/// A message was not said: it would take the place of one that its reader is still to get.
#[derive(Debug)]
pub struct NoRoom;

impl Line {
    /// A line without events.
    pub fn new(number: u64, bounds: Bounds, tally: Arc<Tally>) -> Self {
        Self::after(number, 0, bounds, tally)
    }

    /// A line whose events up to this one were said by an earlier process.
    pub fn after(number: u64, event: u64, bounds: Bounds, tally: Arc<Tally>) -> Self {
        let stream = Stream::after(bounds, event);
        let state = State { stream, left: clock::millis(), told: false, untold: false, reader: None, sayer: None };
        Self { number, tally, state: Mutex::new(state) }
    }

    /// Says a message whether there is room or not; gives back those that gave way before anybody
    /// was handed them.
    pub fn say(&self, message: &[u8]) -> Vec<Bytes> {
        self.change(|number, state| {
            let (event, bytes) = state.event(number, message);
            state.stream.append(event, bytes).1
        })
    }

    /// The same within the line's bounds: the oldest messages give way, read or not.
    pub fn say_in_place(&self, message: &[u8]) -> Vec<Bytes> {
        self.change(|number, state| {
            let (event, bytes) = state.event(number, message);
            state.stream.append_in_place(event, bytes).1
        })
    }

    /// Says a message unless its reader would lose another one by it.
    pub fn try_say(&self, message: &[u8]) -> Result<Vec<Bytes>, NoRoom> {
        let mut room = true;
        let lost = self.change(|number, state| {
            room = state.stream.has_room(message.len() + OVERHEAD);
            if !room {
                return Vec::new();
            }
            let (event, bytes) = state.event(number, message);
            state.stream.append(event, bytes).1
        });
        if room { Ok(lost) } else { Err(NoRoom) }
    }

    /// Says a message once its reader loses none by it.
    pub async fn say_in_turn(&self, message: &[u8]) -> Vec<Bytes> {
        loop {
            if let Ok(lost) = self.try_say(message) {
                return lost;
            }
            self.room(message.len() + OVERHEAD).await;
        }
    }

    async fn room(&self, bytes: usize) {
        poll_fn(|context| {
            let mut state = self.lock();
            if state.stream.has_room(bytes) {
                return Poll::Ready(());
            }
            state.sayer = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// An event for one reader alone, which comes back after the newest one.
    pub fn aside(&self, message: &[u8]) -> Bytes {
        Event::new(EventId { stream: self.number, number: self.lock().stream.newest() }, message).text
    }

    /// Nothing follows.
    pub fn end(&self) {
        self.change(|_, state| {
            state.stream.end();
            Vec::new()
        });
    }

    /// Whether nothing follows.
    pub fn is_over(&self) -> bool {
        self.lock().stream.is_over()
    }

    /// Whether nothing follows this event.
    pub fn has_ended_at(&self, event: u64) -> bool {
        let state = self.lock();
        state.stream.is_over() && state.stream.newest() == event
    }

    /// Whether nothing was said so far.
    pub fn is_empty(&self) -> bool {
        self.lock().stream.newest() == 0
    }

    /// Whether somebody reads, or could come back to.
    pub fn is_within_reach(&self) -> bool {
        self.lock().is_within_reach()
    }

    /// Waits until nobody reads, nor could come back to. To be called by whoever says what is said.
    pub async fn out_of_reach(&self) {
        poll_fn(|context| {
            let mut state = self.lock();
            if !state.is_within_reach() {
                return Poll::Ready(());
            }
            state.sayer = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Whoever reads it passes events on without their ids: nobody can come back to it.
    pub fn hide_ids(&self) {
        self.lock().untold = true;
    }

    /// Milliseconds without a reader.
    pub fn unread_millis(&self) -> u64 {
        let state = self.lock();
        if state.stream.is_read() { 0 } else { clock::millis().saturating_sub(state.left) }
    }

    /// Bytes that are kept.
    pub fn kept(&self) -> usize {
        self.lock().stream.bytes()
    }

    /// Whether a message is kept that nobody was handed, word for word.
    pub fn holds_unread(&self, message: &[u8]) -> bool {
        let message = flatten::flattened(message);
        self.lock().stream.unhanded().any(|event| event.message() == message[..])
    }

    /// Messages that are kept and that nobody was handed.
    pub fn unread(&self) -> Vec<Bytes> {
        self.lock().stream.unhanded().map(Event::message).collect()
    }

    /// Drops all that nobody is about to be handed; gives back what nobody was.
    pub fn shrink(&self) -> Vec<Bytes> {
        self.change(|_, state| state.stream.shrink())
    }

    /// Reads from where the last reader stopped; an earlier reader's line ends.
    pub fn read(self: &Arc<Self>) -> Reading {
        self.attach(|stream| Ok(stream.attach())).expect("whatever comes next can be had")
    }

    /// Reads what follows an event.
    pub fn resume(self: &Arc<Self>, after: u64) -> Result<Reading, Unresumable> {
        self.attach(|stream| stream.resume(after))
    }

    /// Reads what is kept of what follows an event.
    pub fn resume_with_gaps(self: &Arc<Self>, after: u64) -> Result<Reading, Unresumable> {
        self.attach(|stream| stream.resume_with_gaps(after))
    }

    fn attach(
        self: &Arc<Self>,
        how: impl FnOnce(&mut Stream<Event>) -> Result<u64, Unresumable>,
    ) -> Result<Reading, Unresumable> {
        let mut state = self.lock();
        let reader = how(&mut state.stream)?;
        // The earlier reader finds that it is replaced; who says something may have room now, or none.
        state.wake();
        drop(state);
        Ok(Reading { line: Arc::clone(self), reader, since: clock::nanos() })
    }

    /// Changes the stream, wakes whom it concerns, and counts.
    fn change(&self, change: impl FnOnce(u64, &mut State) -> Vec<Event>) -> Vec<Bytes> {
        let mut state = self.lock();
        let before = state.stream.bytes();
        let lost = change(self.number, &mut state);
        self.tally.change(before, state.stream.bytes());
        state.wake();
        lost.iter().map(Event::message).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn is_within_reach(&self) -> bool {
        self.stream.is_read() || (self.told && !self.untold)
    }

    /// The next event, and what it counts.
    fn event(&self, line: u64, message: &[u8]) -> (Event, usize) {
        let event = Event::new(EventId { stream: line, number: self.stream.newest() + 1 }, message);
        (event, message.len() + OVERHEAD)
    }

    fn wake(&mut self) {
        for waker in [mem::take(&mut self.reader), mem::take(&mut self.sayer)].into_iter().flatten() {
            waker.wake();
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let kept = self.kept();
        self.tally.change(kept, 0);
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("number", &self.number).finish_non_exhaustive()
    }
}

/// An event on its way.
#[derive(Debug)]
pub struct Handed {
    /// As it is written.
    pub text: Bytes,
    /// When it was said, or its reader began to read, whichever was later; by our clock, in nanoseconds.
    pub said: u64,
}

/// A client's connection to a line.
#[derive(Debug)]
pub struct Reading {
    line: Arc<Line>,
    reader: u64,
    since: u64,
}

impl Reading {
    /// An event without a message, whose id is the place where this reader begins.
    pub fn place(&self) -> Bytes {
        let mut state = self.line.lock();
        state.told = true;
        let id = EventId { stream: self.line.number, number: state.stream.handed() }.to_string();
        let mut text = BytesMut::with_capacity(id.len() + 32);
        sse::write_event(&mut text, Some(&id), None, b"");
        text.freeze()
    }

    /// The next event; `None` when there will be none for this reader.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Handed>> {
        let mut state = self.line.lock();
        match state.stream.next(self.reader) {
            Next::Event(event) => {
                state.told = true;
                if let Some(sayer) = state.sayer.take() {
                    sayer.wake();
                }
                Poll::Ready(Some(Handed { text: event.text, said: event.said.max(self.since) }))
            }
            Next::Over | Next::Replaced => Poll::Ready(None),
            Next::Wait => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut state = self.line.lock();
        state.stream.detach(self.reader);
        if !state.stream.is_read() {
            state.left = clock::millis();
        }
        // Whoever waits for this reader waits in vain.
        if let Some(sayer) = state.sayer.take() {
            sayer.wake();
        }
    }
}

#[cfg(test)]
mod tests;
