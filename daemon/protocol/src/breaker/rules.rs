//! What a breaker opens upon, and how long it stays open.

use std::fmt;

use super::Outcome;
use super::window::Sum;

/// The operator's rules. A rule that is absent never opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Failures in a row.
    pub failures: Option<u32>,
    /// Percent of the window's calls that failed.
    pub failure_rate: Option<u64>,
    /// Milliseconds from which on an answer is slow.
    pub slow: u64,
    /// Percent of the window's calls that were slow.
    pub slow_rate: Option<u64>,
    /// Milliseconds that shares are counted over.
    pub window: u64,
    /// Calls within the window below which shares mean nothing.
    pub min_calls: u64,
    /// Milliseconds that it stays open at first.
    pub open_for: u64,
    /// Milliseconds that it stays open at most, after probes that failed.
    pub max_open: u64,
}

/// What opened a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// As many calls failed, one after the other.
    InARow(u32),
    /// This percentage of calls failed.
    Failed(u64),
    /// This percentage of calls was slow.
    Slow(u64),
    /// A probe failed.
    Probe,
    /// A probe was slow.
    SlowProbe,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InARow(1) => f.write_str("a call failed"),
            Self::InARow(calls) => write!(f, "{calls} calls failed one after the other"),
            Self::Failed(percent) => write!(f, "{percent} % of the calls failed"),
            Self::Slow(percent) => write!(f, "{percent} % of the calls were slow"),
            Self::Probe => f.write_str("it was tried again, and the call failed"),
            Self::SlowProbe => f.write_str("it was tried again, and the call was slow"),
        }
    }
}

impl Rules {
    pub(super) fn needs_window(&self) -> bool {
        self.failure_rate.is_some() || self.slow_rate.is_some()
    }

    pub(super) fn is_slow(&self, outcome: Outcome) -> bool {
        self.slow_rate.is_some() && matches!(outcome, Outcome::Answered { millis } if millis >= self.slow)
    }

    /// Why a probe with this outcome leaves it open.
    pub(super) fn condemn(&self, outcome: Outcome) -> Option<Cause> {
        if outcome == Outcome::Failed {
            return Some(Cause::Probe);
        }
        self.is_slow(outcome).then_some(Cause::SlowProbe)
    }

    pub(super) fn judge(&self, sum: Sum) -> Option<Cause> {
        if sum.calls < self.min_calls.max(1) {
            return None;
        }
        let too_many = |part: u64, most: Option<u64>| {
            let percent = part * 100 / sum.calls;
            most.is_some_and(|most| percent >= most).then_some(percent)
        };
        too_many(sum.failed, self.failure_rate)
            .map(Cause::Failed)
            .or_else(|| too_many(sum.slow, self.slow_rate).map(Cause::Slow))
    }
}
