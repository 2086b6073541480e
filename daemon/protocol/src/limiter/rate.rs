//! A token bucket in one word: the generic cell rate algorithm. The word is the time at which the bucket is full.
//!
//! What must hold: in any span `t` at most `burst + t / interval` are admitted.

use std::time::Duration;

use super::{Cell, Over, Standing};

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Nanoseconds in which one token comes back.
    interval: u64,
    /// Nanoseconds by which calls may be ahead of the rate: all tokens but one.
    tolerance: u64,
}

impl Rate {
    /// `count` calls per `period`, `burst` at once. Zeros count as one; the interval is rounded up, so that the
    /// rate is never exceeded.
    #[must_use]
    pub fn new(count: u64, period: Duration, burst: u64) -> Self {
        let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX).max(1);
        let interval = period.div_ceil(count.max(1)).max(1);
        Self { interval, tolerance: interval.saturating_mul(burst.max(1) - 1) }
    }

    pub(super) fn burst(&self) -> u64 {
        self.tolerance / self.interval + 1
    }

    pub(super) fn take(&self, cell: &Cell, cost: u64, now: u64) -> Result<(), Over> {
        cell.update(|state| self.after(state, cost, now))
    }

    /// The word after a call of this cost.
    pub(super) fn after(&self, state: u64, cost: u64, now: u64) -> Result<u64, Over> {
        let Some(further) = self.further(cost) else { return Ok(state) };
        let full = state.max(now);
        // The first token is covered by what the tolerance leaves out.
        let ahead = (full - now).saturating_add(further);
        if ahead > self.tolerance {
            return Err(Over { wait: Some(ahead - self.tolerance) });
        }
        Ok(full.saturating_add(further).saturating_add(self.interval))
    }

    pub(super) fn give_back(&self, cell: &Cell, cost: u64) {
        let Some(further) = self.further(cost) else { return };
        let amount = further.saturating_add(self.interval);
        let _ = cell.update(|state| Ok::<_, ()>(state.saturating_sub(amount)));
    }

    /// Nanoseconds of all tokens but the first; `None` for a call that costs nothing.
    fn further(&self, cost: u64) -> Option<u64> {
        let cost = cost.checked_sub(1)?;
        Some(if cost == 0 { 0 } else { self.interval.saturating_mul(cost).min(self.tolerance) })
    }

    pub(super) fn standing(&self, state: u64, now: u64) -> Standing {
        let ahead = state.saturating_sub(now);
        let room = self.tolerance.saturating_add(self.interval).saturating_sub(ahead);
        Standing { remaining: room / self.interval, reset: Some(ahead) }
    }

    /// As many tokens are missing as were missing of `before`'s bucket, none of ours more than there are.
    pub(super) fn adopt(&self, state: u64, before: &Self, now: u64) -> u64 {
        let missing = state.saturating_sub(now).div_ceil(before.interval);
        let ahead = missing.saturating_mul(self.interval).min(self.tolerance.saturating_add(self.interval));
        if ahead == 0 { state.min(now) } else { now.saturating_add(ahead) }
    }
}
