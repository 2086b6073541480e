//! A sliding window: at most `count` in any span of `period`, in a log of at most [`RUNS`] runs of calls.
//!
//! A textbook's log has the time of every call. Here calls that follow each other share an entry, a *run*, which has
//! the time of its latest one and leaves the window as a whole. So a call counts for at least the period, never for
//! less. A run has at most a `RUNS`-th of the count, and only one run can lie across the window's edge.
//!
//! What must hold: no span shorter than the period has more than `count` admitted calls; a call is refused only
//! where the textbook's log has more than `count - run` calls, with `run` = `count / RUNS` rounded up, less one. Up
//! to a count of `RUNS` it is the textbook's log.
//!
//! Time is that of a monotonic clock, as all cores see it: whoever tells an earlier time than another core did has what
//! has left the window since then counted no more.
//!
//! The first word is what all runs have together, and calls that are about to be in one; it decides. The others are
//! runs. What one core does between the two words only makes calls count longer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Cell, Over, Standing};

/// Runs of a window.
pub(super) const RUNS: usize = 12;
/// Words of a cell.
pub(super) const WORDS: usize = 1 + RUNS;
/// Ticks of a period. A run has the lower 32 bits of its latest call's tick: enough for 65,536 periods.
const TICKS: u32 = 1 << 16;
/// Ticks after which a call does not join a run if it need not: it would hold the run's others in the window.
const GAP: u32 = TICKS / 64;

/// So many per span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    count: u32,
    /// Nanoseconds, rounded up: a period is never shorter than it says.
    tick: u64,
    /// What a run may have.
    run: u32,
}

/// A run as its word says.
#[derive(Clone, Copy)]
struct Run {
    count: u32,
    /// Of its latest call.
    tick: u32,
}

impl Run {
    fn of(word: u64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of a word")]
        let (count, tick) = (word as u32, (word >> 32) as u32);
        Self { count, tick }
    }

    fn word(self) -> u64 {
        u64::from(self.tick) << 32 | u64::from(self.count)
    }

    /// Ticks since its latest call; none where another core is ahead.
    fn age(self, now: u32) -> u32 {
        now.wrapping_sub(self.tick).cast_signed().max(0).cast_unsigned()
    }

    /// Ticks until it leaves the window.
    fn left(self, now: u32) -> u32 {
        // One that has just begun, or that another core has begun a little later, is ahead.
        let age = now.wrapping_sub(self.tick).cast_signed();
        TICKS.saturating_add_signed(age.saturating_neg())
    }
}

impl Window {
    /// At most `count` in any span of `period`. Zeros count as one, and a count above 2^31 as that.
    #[must_use]
    pub fn new(count: u64, period: Duration) -> Self {
        let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        let count = u32::try_from(count).unwrap_or(u32::MAX).clamp(1, 1 << 31);
        Self { count, tick: period.div_ceil(u64::from(TICKS)).max(1), run: count.div_ceil(12) }
    }

    pub(super) fn count(self) -> u64 {
        u64::from(self.count)
    }

    pub(super) fn take(self, cell: &Cell, cost: u64, now: u64) -> Result<(), Over> {
        let cost = self.cost(cost);
        if cost == 0 {
            return Ok(());
        }
        let fits =
            |used: u64| if used + u64::from(cost) <= self.count() { Ok(used + u64::from(cost)) } else { Err(()) };
        let tick = self.tick_of(now);
        if cell.update(fits).is_err() {
            expire(cell, tick);
            cell.update(fits).map_err(|()| self.over(cell, cost, now))?;
        }
        // A call at any time within a tick counts from the tick's end.
        self.add(cell, Run { count: cost, tick: tick.wrapping_add(1) });
        Ok(())
    }

    pub(super) fn peek(self, cell: &Cell, cost: u64, now: u64) -> Result<(), Over> {
        let cost = self.cost(cost);
        if cost == 0 || self.used(cell, now) + u64::from(cost) <= self.count() {
            return Ok(());
        }
        Err(self.over(cell, cost, now))
    }

    /// Takes from the run that the call is in, where none has joined it since. Else from the latest one before: whoever is
    /// in that leaves the window earlier, so no call counts for shorter; and hardly earlier, so none counts for much
    /// longer. What has left the window since is not given back: a call too many is counted, never one too few.
    pub(super) fn give_back(self, cell: &Cell, cost: u64, then: u64) {
        let latest = self.tick_of(then).wrapping_add(1);
        let mut left = self.cost(cost);
        while left > 0 {
            let nearest = runs(cell)
                .filter(|(_, run)| run.tick == latest || run.age(latest) > 0)
                .min_by_key(|(_, run)| run.age(latest));
            let Some((word, run)) = nearest else { return };
            let taken = left.min(run.count);
            let after = Run { count: run.count - taken, ..run };
            if word.compare_exchange(run.word(), after.word(), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                cell.word().fetch_sub(u64::from(taken), Ordering::Relaxed);
                left -= taken;
            }
        }
    }

    pub(super) fn is_idle(self, cell: &Cell, now: u64) -> bool {
        self.used(cell, now) == 0
    }

    pub(super) fn standing(self, cell: &Cell, now: u64) -> Standing {
        let tick = self.tick_of(now);
        // Once through the runs: each call asks.
        let (mut gone, mut youngest) = (0, 0);
        for (_, run) in runs(cell) {
            let left = run.left(tick);
            gone += if left == 0 { u64::from(run.count) } else { 0 };
            youngest = youngest.max(left);
        }
        let used = cell.word().load(Ordering::Relaxed).saturating_sub(gone);
        Standing { remaining: self.count().saturating_sub(used), reset: Some(self.nanos(youngest, now)) }
    }

    /// All that counts, counts from now on: when it happened cannot be told in other ticks.
    pub(super) fn adopt(self, cell: &Cell, before: &Self, now: u64) {
        expire(cell, before.tick_of(now));
        let tick = self.tick_of(now).wrapping_add(1);
        for (word, run) in runs(cell) {
            let moved = Run { tick, ..run };
            let _ = word.compare_exchange(run.word(), moved.word(), Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn cost(self, cost: u64) -> u32 {
        u32::try_from(cost).unwrap_or(u32::MAX).min(self.count)
    }

    fn tick_of(self, now: u64) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "ticks come round")]
        let tick = (now / self.tick) as u32;
        tick
    }

    /// Nanoseconds until this many ticks have begun.
    fn nanos(self, ticks: u32, now: u64) -> u64 {
        if ticks == 0 { 0 } else { u64::from(ticks).saturating_mul(self.tick).saturating_sub(now % self.tick) }
    }

    /// What counts now.
    fn used(self, cell: &Cell, now: u64) -> u64 {
        let tick = self.tick_of(now);
        let gone: u64 = runs(cell).filter(|(_, run)| run.left(tick) == 0).map(|(_, run)| u64::from(run.count)).sum();
        cell.word().load(Ordering::Relaxed).saturating_sub(gone)
    }

    /// The refusal of a call: when enough of the oldest runs have left the window.
    fn over(self, cell: &Cell, cost: u32, now: u64) -> Over {
        let tick = self.tick_of(now);
        let mut leaving: Vec<_> = runs(cell).map(|(_, run)| (run.left(tick), run.count)).collect();
        leaving.sort_unstable();
        let room = self.count() - u64::from(cost);
        let mut used = cell.word().load(Ordering::Relaxed);
        for (left, count) in leaving {
            used = used.saturating_sub(u64::from(count));
            if used <= room {
                return Over { wait: Some(self.nanos(left, now).max(1)) };
            }
        }
        Over { wait: Some(self.nanos(TICKS, now)) }
    }

    /// Empties runs that have left the window, before their ticks come round.
    pub(super) fn settle(self, cell: &Cell, now: u64) {
        expire(cell, self.tick_of(now));
    }

    /// Notes an admitted call: in the latest run while it has room, else in an empty word, else in the latest after all.
    fn add(self, cell: &Cell, admitted: Run) {
        loop {
            // Of runs that are as late the one with room: a burst must not use up the words.
            let latest = runs(cell).min_by_key(|(_, run)| (run.age(admitted.tick), run.count));
            let joins = |run: &Run| {
                run.count.saturating_add(admitted.count) <= self.run
                    && (run.age(admitted.tick) < GAP || !self.may_begin(cell, admitted))
            };
            let (word, before) = match latest {
                Some((word, run)) if joins(&run) => (word, run),
                latest => match empty(cell, admitted.tick).or(latest) {
                    Some(found) => found,
                    None => continue,
                },
            };
            let after = Run { count: before.count.saturating_add(admitted.count), tick: later(before, admitted) };
            if word.compare_exchange(before.word(), after.word(), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                return;
            }
        }
    }

    /// Whether a call long after the latest run may have its own, which then need not wait for it: where the words
    /// that are left have room for all that may still be admitted.
    fn may_begin(self, cell: &Cell, admitted: Run) -> bool {
        // The call's own tick is not over yet.
        expire(cell, admitted.tick.wrapping_sub(1));
        let free = (RUNS - runs(cell).count()) as u64;
        let room = (free * u64::from(self.run)).saturating_sub(u64::from(admitted.count));
        room >= self.count().saturating_sub(cell.word().load(Ordering::Relaxed))
    }
}

/// The tick of the later one; an empty run has none.
fn later(before: Run, admitted: Run) -> u32 {
    let is_ahead = before.count > 0 && before.tick.wrapping_sub(admitted.tick).cast_signed() > 0;
    if is_ahead { before.tick } else { admitted.tick }
}

/// Empties runs that have left the window. Who empties one subtracts it, so that it is subtracted once.
fn expire(cell: &Cell, tick: u32) {
    for (word, run) in runs(cell) {
        if run.left(tick) == 0 && word.compare_exchange(run.word(), 0, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            cell.word().fetch_sub(u64::from(run.count), Ordering::Relaxed);
        }
    }
}

/// A word without a run, or whose run has left the window.
fn empty(cell: &Cell, tick: u32) -> Option<(&AtomicU64, Run)> {
    let free =
        || cell.0[1..].iter().map(|word| (word, Run::of(word.load(Ordering::Relaxed)))).find(|(_, run)| run.count == 0);
    free().or_else(|| {
        expire(cell, tick.wrapping_sub(1));
        free()
    })
}

/// Words that have a run.
fn runs(cell: &Cell) -> impl Iterator<Item = (&AtomicU64, Run)> {
    let all = cell.0[1..].iter().map(|word| (word, Run::of(word.load(Ordering::Relaxed))));
    all.filter(|(_, run)| run.count > 0)
}
