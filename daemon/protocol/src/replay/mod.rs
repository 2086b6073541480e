//! A stream's events, numbered from 1 and kept for a reader that comes back (`Last-Event-ID`).
//! Called by the sessions that the gate ends, one per stream of a call and one for what comes outside of calls.
//! Must hold: a reader gets each event after the one that it names once and in order, or is told that some are gone.

mod id;

use std::collections::VecDeque;

pub use id::EventId;

/// How much of a stream is kept; a longer event is kept alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Events.
    pub events: usize,
    /// Bytes of all of them.
    pub bytes: usize,
}

/// One stream. At most one reader has it at a time.
#[derive(Debug)]
pub struct Stream<T> {
    bounds: Bounds,
    kept: VecDeque<Kept<T>>,
    bytes: usize,
    /// The number of the newest event.
    newest: u64,
    /// The newest event that a reader was handed.
    handed: u64,
    reader: Option<Reader>,
    /// Readers so far; the newest one's number is this.
    readers: u64,
    over: bool,
}

#[derive(Debug)]
struct Kept<T> {
    event: T,
    bytes: usize,
}

/// Who reads.
#[derive(Debug)]
struct Reader {
    number: u64,
    /// The last event that it has.
    at: u64,
    /// Bytes that it is still to be handed.
    unread: usize,
}

/// What a reader is handed.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<T> {
    /// The next event.
    Event(T),
    /// Nothing so far.
    Wait,
    /// The stream has ended and the reader has all of it.
    Over,
    /// A later reader has the stream.
    Replaced,
}

/// Why a stream cannot go on after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unresumable {
    /// The stream has not come that far.
    Unknown,
    /// Events after it had to give way.
    Lost,
}

impl<T> Stream<T> {
    /// A stream without events.
    #[must_use]
    pub const fn new(bounds: Bounds) -> Self {
        Self::after(bounds, 0)
    }

    /// A stream whose events up to this one are gone, and were handed to a reader.
    #[must_use]
    pub const fn after(bounds: Bounds, event: u64) -> Self {
        let (newest, handed) = (event, event);
        Self { bounds, kept: VecDeque::new(), bytes: 0, newest, handed, reader: None, readers: 0, over: false }
    }

    /// The number of the newest event; 0 before the first.
    #[must_use]
    pub const fn newest(&self) -> u64 {
        self.newest
    }

    /// The newest event that any reader was handed.
    #[must_use]
    pub const fn handed(&self) -> u64 {
        self.handed
    }

    /// Bytes that are kept.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether no further event comes.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.over
    }

    /// Whether somebody reads.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        self.reader.is_some()
    }

    /// Whether an event fits without the loss of one that the reader is still to be handed. Without
    /// a reader everything fits: the oldest events give way.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        let Some(reader) = &self.reader else { return true };
        let events = self.unread_of(reader).count();
        events == 0 || (events < self.bounds.events && reader.unread + bytes <= self.bounds.bytes)
    }

    /// Adds an event. What the reader is still to be handed stays, so that an event for which there
    /// was no room exceeds the bounds. Gives back the event's number, and those that gave way before
    /// anybody was handed them.
    pub fn append(&mut self, event: T, bytes: usize) -> (u64, Vec<T>) {
        let at = self.reader.as_ref().map(|reader| reader.at);
        self.add(event, bytes, |oldest| at.is_none_or(|at| oldest <= at))
    }

    /// The same within the bounds whoever reads: the oldest events give way.
    pub fn append_in_place(&mut self, event: T, bytes: usize) -> (u64, Vec<T>) {
        self.add(event, bytes, |_| true)
    }

    fn add(&mut self, event: T, bytes: usize, may_go: impl Fn(u64) -> bool) -> (u64, Vec<T>) {
        self.newest += 1;
        self.bytes += bytes;
        self.kept.push_back(Kept { event, bytes });
        if let Some(reader) = &mut self.reader {
            reader.unread += bytes;
        }
        let mut lost = Vec::new();
        while self.exceeds() && may_go(self.oldest()) {
            lost.extend(self.drop_oldest());
        }
        (self.newest, lost)
    }

    fn exceeds(&self) -> bool {
        self.kept.len() > self.bounds.events || (self.bytes > self.bounds.bytes && self.kept.len() > 1)
    }

    /// No further event comes.
    pub fn end(&mut self) {
        self.over = true;
    }

    /// A reader that goes on where the last one stopped; an earlier reader loses the stream.
    pub fn attach(&mut self) -> u64 {
        self.attach_at(self.handed)
    }

    /// A reader that has everything up to an event.
    ///
    /// # Errors
    /// When not everything after it can be had.
    pub fn resume(&mut self, after: u64) -> Result<u64, Unresumable> {
        if after > self.newest {
            return Err(Unresumable::Unknown);
        }
        if after + 1 < self.oldest() {
            return Err(Unresumable::Lost);
        }
        Ok(self.attach_at(after))
    }

    /// The same, for a stream whose older events may give way: it goes on with what is kept.
    ///
    /// # Errors
    /// When the stream has not come that far.
    pub fn resume_with_gaps(&mut self, after: u64) -> Result<u64, Unresumable> {
        if after > self.newest {
            return Err(Unresumable::Unknown);
        }
        Ok(self.attach_at(after))
    }

    fn attach_at(&mut self, at: u64) -> u64 {
        self.readers += 1;
        let mut reader = Reader { number: self.readers, at, unread: 0 };
        reader.unread = self.unread_of(&reader).map(|kept| kept.bytes).sum();
        self.reader = Some(reader);
        self.readers
    }

    /// A reader is gone.
    pub fn detach(&mut self, reader: u64) {
        self.reader.take_if(|current| current.number == reader);
    }

    /// Events that are kept and that nobody was handed.
    pub fn unhanded(&self) -> impl Iterator<Item = &T> {
        let skipped = self.position_after(self.handed);
        self.kept.iter().skip(skipped).map(|kept| &kept.event)
    }

    /// Drops all that no reader is about to be handed; gives back what nobody was handed.
    pub fn shrink(&mut self) -> Vec<T> {
        let keep_from = self.reader.as_ref().map_or(self.newest, |reader| reader.at) + 1;
        let mut lost = Vec::new();
        while !self.kept.is_empty() && self.oldest() < keep_from {
            lost.extend(self.drop_oldest());
        }
        self.kept.shrink_to_fit();
        lost
    }

    /// The number of the oldest event that is kept; the next one's where none is.
    fn oldest(&self) -> u64 {
        self.newest + 1 - self.kept.len() as u64
    }

    /// How many kept events are not after this one.
    fn position_after(&self, at: u64) -> usize {
        usize::try_from((at + 1).saturating_sub(self.oldest())).unwrap_or(usize::MAX)
    }

    fn unread_of(&self, reader: &Reader) -> impl ExactSizeIterator<Item = &Kept<T>> {
        self.kept.iter().skip(self.position_after(reader.at))
    }

    fn drop_oldest(&mut self) -> Option<T> {
        let number = self.oldest();
        let Kept { event, bytes } = self.kept.pop_front()?;
        self.bytes -= bytes;
        if let Some(reader) = self.reader.as_mut().filter(|reader| reader.at < number) {
            reader.unread -= bytes;
        }
        (number > self.handed).then_some(event)
    }
}

impl<T: Clone> Stream<T> {
    /// What a reader gets now.
    pub fn next(&mut self, reader: u64) -> Next<T> {
        let Some(current) = self.reader.as_ref().filter(|current| current.number == reader) else {
            return Next::Replaced;
        };
        let skipped = self.position_after(current.at);
        let (oldest, over) = (self.oldest(), self.over);
        let Some(Kept { event, bytes }) = self.kept.get(skipped) else {
            return if over { Next::Over } else { Next::Wait };
        };
        let (event, bytes) = (event.clone(), *bytes);
        if let Some(current) = &mut self.reader {
            current.at = oldest + skipped as u64;
            current.unread -= bytes;
            self.handed = self.handed.max(current.at);
        }
        Next::Event(event)
    }
}

#[cfg(test)]
mod tests;
