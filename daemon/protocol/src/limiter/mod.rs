//! Limits on one key: a rate, a count per window, a quota of a calendar's period, or a number in flight.
//!
//! `toolgated::limits` keeps one [`Cell`] per key and asks here. Time is nanoseconds of a monotonic clock.
//!
//! What must hold, whatever the cores' order: a meter never admits more than it says; a cell that
//! [`Meter::is_idle`] may be forgotten without changing any later decision; a cost above the whole limit counts as
//! the whole limit, so that a dear call waits for all of it instead of forever.

mod quota;
mod rate;
mod window;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use quota::{Calendar, Period, Quota, Unit};
pub use rate::Rate;
pub use window::Window;

/// What one key has used; what its words mean is the meter's business. Clones are the same cell.
#[derive(Debug, Clone)]
pub struct Cell(Arc<[AtomicU64]>);

impl Cell {
    fn of_words(count: usize) -> Self {
        Self((0..count).map(|_| AtomicU64::new(0)).collect())
    }

    /// Whether somebody else has the cell as well.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    fn word(&self) -> &AtomicU64 {
        &self.0[0]
    }

    /// Replaces the first word by what `next` makes of it. Nothing else is published by it, so no ordering is needed.
    fn update<E>(&self, mut next: impl FnMut(u64) -> Result<u64, E>) -> Result<(), E> {
        let mut before = self.word().load(Ordering::Relaxed);
        loop {
            let after = next(before)?;
            match self.word().compare_exchange_weak(before, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(other) => before = other,
            }
        }
    }
}

/// What is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meter {
    /// Calls per time, some of them at once: a token bucket.
    Rate(Rate),
    /// Calls in any span of a length.
    Window(Window),
    /// Calls in a day or month of the calendar; the period is the one that it is now.
    Quota(Quota, Period),
    /// Calls in flight.
    Concurrent {
        /// At once.
        max: u64,
    },
}

/// A refusal: nanoseconds until the same call would be admitted if nobody else calls, where that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over {
    /// `None` where it depends on when others end.
    pub wait: Option<u64>,
}

/// Where a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What would be admitted at once.
    pub remaining: u64,
    /// Nanoseconds until all of it is available again, where known.
    pub reset: Option<u64>,
}

impl Meter {
    /// A cell of a key that has used nothing.
    #[must_use]
    pub fn cell(&self) -> Cell {
        Cell::of_words(if matches!(self, Self::Window(_)) { window::WORDS } else { 1 })
    }

    /// What may be used at once.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        match self {
            Self::Rate(rate) => rate.burst(),
            Self::Window(window) => window.count(),
            Self::Quota(quota, _) => quota.max(),
            Self::Concurrent { max } => *max,
        }
    }

    /// Takes a call's cost, or says why not and takes nothing.
    ///
    /// # Errors
    /// When there is not enough left.
    pub fn take(&self, cell: &Cell, cost: u64, now: u64) -> Result<(), Over> {
        match self {
            Self::Rate(rate) => rate.take(cell, cost, now),
            Self::Window(window) => window.take(cell, cost, now),
            Self::Quota(quota, period) => quota.take(cell, cost, *period, now),
            Self::Concurrent { max } => {
                cell.update(|used| if used < *max { Ok(used + 1) } else { Err(Over { wait: None }) })
            }
        }
    }

    /// What [`Meter::take`] would say, without taking.
    ///
    /// # Errors
    /// As [`Meter::take`].
    pub fn peek(&self, cell: &Cell, cost: u64, now: u64) -> Result<(), Over> {
        let state = cell.word().load(Ordering::Relaxed);
        match self {
            Self::Rate(rate) => rate.after(state, cost, now).map(drop),
            Self::Window(window) => window.peek(cell, cost, now),
            Self::Quota(quota, period) => quota.after(state, cost, *period, now).map(drop),
            Self::Concurrent { max } => {
                if state < *max {
                    Ok(())
                } else {
                    Err(Over { wait: None })
                }
            }
        }
    }

    /// Gives back what was taken at `then`: by a call in flight that has ended, or one that another limit refused.
    pub fn give_back(&self, cell: &Cell, cost: u64, then: u64) {
        match self {
            Self::Rate(rate) => rate.give_back(cell, cost),
            Self::Window(window) => window.give_back(cell, cost, then),
            Self::Quota(quota, period) => quota.give_back(cell, cost, *period),
            Self::Concurrent { .. } => {
                let _ = cell.update(|used| Ok::<_, ()>(used.saturating_sub(1)));
            }
        }
    }

    /// Puts away what does not count any more. To be called now and then for every cell that is kept: a window's
    /// times come round after 32,768 of its periods.
    pub fn settle(&self, cell: &Cell, now: u64) {
        if let Self::Window(window) = self {
            window.settle(cell, now);
        }
    }

    /// Whether the cell decides like a new one.
    #[must_use]
    pub fn is_idle(&self, cell: &Cell, now: u64) -> bool {
        match self {
            Self::Rate(_) => cell.word().load(Ordering::Relaxed) <= now,
            Self::Window(window) => window.is_idle(cell, now),
            Self::Quota(quota, period) => quota.used(cell, *period) == 0,
            Self::Concurrent { .. } => cell.word().load(Ordering::Relaxed) == 0,
        }
    }

    /// Where the key stands.
    #[must_use]
    pub fn standing(&self, cell: &Cell, now: u64) -> Standing {
        match self {
            Self::Rate(rate) => rate.standing(cell.word().load(Ordering::Relaxed), now),
            Self::Window(window) => window.standing(cell, now),
            Self::Quota(quota, period) => quota.standing(cell, *period, now),
            Self::Concurrent { max } => {
                let used = cell.word().load(Ordering::Relaxed);
                Standing { remaining: max.saturating_sub(used), reset: None }
            }
        }
    }

    /// Whether cells of the two mean things that can be told in each other's terms.
    #[must_use]
    pub fn is_kin(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Rate(_), Self::Rate(_))
            | (Self::Window(_), Self::Window(_))
            | (Self::Concurrent { .. }, Self::Concurrent { .. }) => true,
            (Self::Quota(_, one), Self::Quota(_, other)) => one.unit == other.unit,
            _ => false,
        }
    }

    /// Tells a cell in the terms of this meter that was used by its kin `before`: what was used stays used.
    pub fn adopt(&self, cell: &Cell, before: &Self, now: u64) {
        match (self, before) {
            (Self::Rate(rate), Self::Rate(before)) if rate != before => {
                let _ = cell.update(|state| Ok::<_, ()>(rate.adopt(state, before, now)));
            }
            (Self::Window(window), Self::Window(before)) if window != before => window.adopt(cell, before, now),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
