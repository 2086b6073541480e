//! The newest line of one topic, for all who ask the same.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::question::Question;
use crate::admin::operations::Operations;
use crate::clock;
use crate::lock::lock;

/// One topic in one order, at one pace.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) question: Question,
    /// When it began, in milliseconds since 1970.
    pub(super) began_ms: u64,
    readers: AtomicUsize,
    newest: Mutex<Newest>,
    /// Held by whoever makes a line: a slow topic is not made twice at once.
    making: Mutex<Option<Instant>>,
    /// A beat is having it made.
    is_due: AtomicBool,
}

/// A line.
#[derive(Debug, Clone, Default)]
pub(super) struct Newest {
    /// Grows by one with each line that differs from the one before; 0 before the first.
    pub(super) number: u64,
    /// When it was made, in milliseconds since 1970.
    pub(super) at_ms: u64,
    /// The line.
    pub(super) line: Bytes,
    /// Where in it that begins which is compared with the next one.
    data: usize,
}

impl Feed {
    pub(super) fn new(question: Question) -> Self {
        Self {
            question,
            began_ms: clock::unix_millis(),
            readers: AtomicUsize::new(0),
            newest: Mutex::default(),
            making: Mutex::default(),
            is_due: AtomicBool::new(false),
        }
    }

    pub(super) fn newest(&self) -> Newest {
        lock(&self.newest).clone()
    }

    /// Makes the line anew, unless somebody did so within `fresh`. It may wait for others who do.
    pub(super) fn make(&self, operations: &dyn Operations, fresh: Duration) {
        let mut made = lock(&self.making);
        if made.is_some_and(|made| made.elapsed() < fresh) {
            return;
        }
        let topic = operations.topic(&self.question);
        // A topic is an object: what a line has before it takes the place of its brace.
        let data = serde_json::to_vec(&topic).unwrap_or_default();
        self.put(data.get(1..).unwrap_or_default());
        *made = Some(Instant::now());
    }

    /// Whether a beat shall have it made: not while an earlier one does.
    pub(super) fn begin(&self) -> bool {
        !self.is_due.swap(true, Ordering::AcqRel)
    }

    /// What a beat [began](Self::begin) is over.
    pub(super) fn end(&self) {
        self.is_due.store(false, Ordering::Release);
    }

    fn put(&self, data: &[u8]) {
        let mut newest = lock(&self.newest);
        if newest.number > 0 && newest.line[newest.data..newest.line.len() - 1] == *data {
            return;
        }
        let at_ms = clock::unix_millis();
        let mut line = format!(r#"{{"type":"topic","at_ms":{at_ms},"#).into_bytes();
        let front = line.len();
        line.extend_from_slice(data);
        line.push(b'\n');
        *newest = Newest { number: newest.number + 1, at_ms, line: Bytes::from(line), data: front };
    }

    pub(super) fn join(&self) {
        self.readers.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn leave(&self) {
        self.readers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether somebody reads it.
    pub(super) fn is_read(&self) -> bool {
        self.readers.load(Ordering::Relaxed) > 0
    }
}
