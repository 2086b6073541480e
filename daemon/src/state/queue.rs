//! What waits to be written, in the order in which it was said first.
//!
//! Whoever has something to say leaves it here and goes on; the writer takes it. A record waits
//! once, however often it changes, so that what waits is bounded by the number of things.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::entry::Entry;
use super::place::{Place, Said, Word};
use crate::clock;
use crate::lock::lock;

/// Whoever waits until a record is written goes on after this, and it counts as not kept until it is written.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Between those who say things and the writer.
#[derive(Debug, Default)]
pub(super) struct Queue {
    line: Mutex<Line>,
    /// There is something for the writer to do.
    work: Condvar,
    /// The writer has done what it can, or has ended.
    rest: Condvar,
    /// Since when what is being written has waited, by our clock; 0 while the writer rests.
    since: AtomicU64,
    /// The next process finds the file.
    is_found: AtomicBool,
    /// It finds everything that was said in it.
    is_kept: AtomicBool,
    /// The log was told that it does not.
    has_complained: AtomicBool,
}

#[derive(Debug, Default)]
struct Line {
    /// Turns that were given out.
    turns: u64,
    /// By turn.
    waiting: BTreeMap<u64, Waiting>,
    /// What could not be written, by the turn that it had.
    failed: BTreeMap<u64, Arc<Place>>,
    /// What failed is to be tried again.
    again: bool,
    /// The next process is to find the file, once everything is written.
    takes_over: bool,
    /// The writer has not come to rest since there was something to do.
    busy: bool,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    /// The writer ends with what waits.
    Closing,
    /// It has ended.
    Over,
}

#[derive(Debug)]
struct Waiting {
    place: Arc<Place>,
    since: u64,
}

impl Line {
    fn give(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }
}

impl Queue {
    /// Has a record say this from now on.
    pub(super) fn write(&self, place: &Arc<Place>, entry: Entry) {
        let mut said = place.said();
        if !said.is_over {
            self.put(place, &mut said, Word::Says(Box::new(entry)));
        }
    }

    /// Has a record say nothing, until something is said again.
    pub(super) fn withhold(&self, place: &Arc<Place>) {
        let mut said = place.said();
        if !said.is_over {
            self.clear(place, &mut said);
        }
    }

    /// Has a record say nothing for good.
    pub(super) fn erase(&self, place: &Arc<Place>) {
        let mut said = place.said();
        if !std::mem::replace(&mut said.is_over, true) {
            self.clear(place, &mut said);
        }
    }

    /// What the file never held leaves nothing that would wait.
    fn clear(&self, place: &Arc<Place>, said: &mut Said) {
        if said.is_held {
            return self.put(place, said, Word::Nothing);
        }
        said.words += 1;
        (said.word, said.written) = (None, said.words);
        if let Some(turn) = said.turn.take() {
            let mut line = lock(&self.line);
            line.waiting.remove(&turn);
            line.failed.remove(&turn);
        }
        place.tell();
    }

    fn put(&self, place: &Arc<Place>, said: &mut Said, word: Word) {
        said.words += 1;
        said.word = Some(word);
        let mut line = lock(&self.line);
        let turn = *said.turn.get_or_insert_with(|| line.give());
        line.failed.remove(&turn);
        let fresh = || Waiting { place: Arc::clone(place), since: clock::millis() };
        line.waiting.entry(turn).or_insert_with(fresh);
        self.wake(line);
    }

    fn wake(&self, mut line: MutexGuard<'_, Line>) {
        line.busy = true;
        drop(line);
        self.work.notify_one();
    }

    /// Whether what was said of a thing so far is in the file; waits for that, but not for long.
    pub(super) async fn written(&self, place: &Place) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let number = place.said().words;
        loop {
            let changed = place.changed();
            if let Some(written) = place.said().outcome(number) {
                return written;
            }
            if self.is_stuck() || timeout_at(deadline, changed).await.is_err() {
                self.complain_of_silence();
                return false;
            }
        }
    }

    /// Has the next process find the file, as soon as everything is written.
    pub(super) fn take_over(&self) {
        let mut line = lock(&self.line);
        (line.takes_over, line.again) = (true, true);
        self.wake(line);
    }

    /// Has what failed tried again.
    pub(super) fn retry(&self) {
        let mut line = lock(&self.line);
        line.again = true;
        self.wake(line);
    }

    /// Waits until the writer has done what it can; `false` where it takes longer than `bound`. Blocks.
    pub(super) fn flush(&self, bound: Duration) -> bool {
        self.until(bound, |line| !line.busy || line.stage == Stage::Over)
    }

    /// Has the writer end with what waits; waits until it has, but not for long. Blocks.
    pub(super) fn close(&self) {
        let mut line = lock(&self.line);
        line.stage = Stage::Closing;
        self.wake(line);
        self.until(PATIENCE, |line| line.stage == Stage::Over);
    }

    fn until(&self, bound: Duration, reached: impl Fn(&Line) -> bool) -> bool {
        let waited = self.rest.wait_timeout_while(lock(&self.line), bound, |line| !reached(line));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Records that wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        lock(&self.line).waiting.len()
    }

    /// Whether the next process finds the file, and not the one of the last.
    pub(super) fn is_found(&self) -> bool {
        self.is_found.load(Ordering::Relaxed)
    }

    /// Whether it finds everything.
    pub(super) fn is_kept(&self) -> bool {
        self.is_kept.load(Ordering::Relaxed) && !self.is_stuck()
    }

    /// Whether what is written now has waited for longer than anybody waits for it.
    fn is_stuck(&self) -> bool {
        let since = self.since.load(Ordering::Relaxed);
        since != 0 && clock::millis().saturating_sub(since) > millis(PATIENCE)
    }

    /// Logs that the disk does not answer, where it does not.
    pub(super) fn look(&self) {
        if self.is_stuck() {
            self.complain_of_silence();
        }
    }

    fn complain_of_silence(&self) {
        self.complain(&format_args!("it is not written after {PATIENCE:?}: the disk is slow, or does not answer"));
    }

    /// Logs why something is not kept, once until everything is.
    pub(super) fn complain(&self, problem: &dyn std::fmt::Display) {
        if !self.has_complained.swap(true, Ordering::Relaxed) {
            warn!("what changes now in sessions and instances is not kept across a restart: {problem}");
        }
    }
}

/// The writer's side.
impl Queue {
    /// Waits for something to do; `false` when there will be nothing any more.
    pub(super) fn wait(&self) -> bool {
        let idle = |line: &mut Line| !line.busy;
        let mut line = self.work.wait_while(lock(&self.line), idle).unwrap_or_else(PoisonError::into_inner);
        self.begin(clock::millis());
        if std::mem::take(&mut line.again) {
            let now = clock::millis();
            let failed = std::mem::take(&mut line.failed);
            line.waiting.extend(failed.into_iter().map(|(turn, place)| (turn, Waiting { place, since: now })));
        }
        line.stage == Stage::Open || !line.waiting.is_empty()
    }

    /// The place whose turn it is.
    pub(super) fn next(&self) -> Option<Arc<Place>> {
        let (_, Waiting { place, since }) = lock(&self.line).waiting.pop_first()?;
        self.begin(since);
        Some(place)
    }

    fn begin(&self, since: u64) {
        self.since.store(since.max(1), Ordering::Relaxed);
    }

    /// A word could not be written: it waits for the next try, unless there is a newer one by now.
    pub(super) fn fail(&self, place: &Arc<Place>, word: Word, number: u64) {
        self.is_kept.store(false, Ordering::Relaxed);
        let mut said = place.said();
        said.failed = number;
        if said.word.is_none() {
            said.word = Some(word);
            let mut line = lock(&self.line);
            let turn = line.give();
            said.turn = Some(turn);
            line.failed.insert(turn, Arc::clone(place));
        }
        drop(said);
        place.tell();
    }

    /// Whether the next process is to find the file, and everything is written.
    pub(super) fn is_to_be_found(&self) -> bool {
        let line = lock(&self.line);
        line.takes_over && line.failed.is_empty() && line.waiting.is_empty()
    }

    /// The writer has done what it can. `is_found`: the next process finds its file; `is_tidy`: and in it nothing
    /// that is over.
    pub(super) fn rest(&self, is_found: bool, is_tidy: bool) {
        let mut line = lock(&self.line);
        let is_kept = is_found && is_tidy && line.failed.is_empty();
        self.is_found.store(is_found, Ordering::Relaxed);
        self.is_kept.store(is_kept, Ordering::Relaxed);
        line.busy = !line.waiting.is_empty() || line.again || line.stage == Stage::Closing;
        if line.busy {
            return;
        }
        self.since.store(0, Ordering::Relaxed);
        drop(line);
        self.rest.notify_all();
        if is_kept && self.has_complained.swap(false, Ordering::Relaxed) {
            info!("what changes in sessions and instances is kept across a restart again");
        }
    }

    /// The writer is no more.
    pub(super) fn end(&self) {
        lock(&self.line).stage = Stage::Over;
        self.rest.notify_all();
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
