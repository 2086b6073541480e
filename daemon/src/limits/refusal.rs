//! A refused call: which limit, when to come back, and words that an agent can act on.
//!
//! Made by the check; the one place that makes answers turns it into one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use toolgate_protocol::limiter::Over;

use crate::config::settings::{Limit, LimitScope, Measure};

/// Advice where nobody can know: when a call in flight ends.
const A_WHILE: Duration = Duration::from_secs(1);

/// A limit that a call exceeds.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The limit as configured.
    pub limit: Arc<Limit>,
    /// When the same call would pass if nobody else called.
    pub retry_after: Duration,
}

impl Refusal {
    pub(super) fn new(limit: &Arc<Limit>, over: Over) -> Self {
        Self { limit: Arc::clone(limit), retry_after: over.wait.map_or(A_WHILE, Duration::from_nanos) }
    }

    /// Whole seconds for `Retry-After`, at least 1.
    #[must_use]
    pub fn retry_after_seconds(&self) -> u64 {
        u64::try_from(self.retry_after.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u64::MAX).max(1)
    }
}

/// The configured message, or what the limit is and when to come back.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(message) = &self.limit.message {
            return f.write_str(message);
        }
        let what = match self.limit.per {
            LimitScope::Global => "for all callers together",
            LimitScope::Listener => "on this listener",
            LimitScope::Address => "from your address",
            LimitScope::Client => "for you",
            LimitScope::Server => "to this server",
            LimitScope::Tool => "to this tool",
            LimitScope::ClientTool => "from you to this tool",
        };
        let (name, seconds) = (&self.limit.name, self.retry_after_seconds());
        match self.limit.measure {
            Measure::Rate { count, period, .. } => {
                let (calls, span) = (Calls(count), Span(period));
                write!(f, "The limit `{name}` is reached: {calls} per {span} {what}. ")?;
            }
            Measure::Concurrent(max) => {
                write!(f, "The limit `{name}` is reached: {} at a time {what}. ", Calls(max))?;
            }
        }
        write!(f, "Nothing was executed. Wait {seconds} s, then repeat the call; do not repeat it sooner.")
    }
}

struct Calls(u64);

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, if self.0 == 1 { "call" } else { "calls" })
    }
}

/// A period as configurations write it.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.as_secs(), self.0.subsec_nanos()) {
            (86_400, 0) => f.write_str("day"),
            (3_600, 0) => f.write_str("hour"),
            (60, 0) => f.write_str("minute"),
            (1, 0) => f.write_str("second"),
            (seconds, 0) if seconds % 60 == 0 => write!(f, "{} minutes", seconds / 60),
            (seconds, 0) => write!(f, "{seconds} seconds"),
            _ => write!(f, "{:?}", self.0),
        }
    }
}
