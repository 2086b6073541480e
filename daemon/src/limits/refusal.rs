//! A refused call: which limit, when to come back, and words that an agent can act on.
//!
//! Made by the check; the one place that makes answers turns it into one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use toolgate_protocol::limiter::{Over, Standing, Unit};

use super::advert::Told;
use super::applied::Bound;
use crate::config::settings::{Counted, Limit, LimitScope, Measure};

/// Advice where nobody can know: when a call in flight ends.
const A_WHILE: Duration = Duration::from_secs(1);

/// A limit that a call exceeds.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The limit as configured.
    pub limit: Arc<Limit>,
    /// When the same call would pass if nobody else called.
    pub retry_after: Duration,
    /// Where the client stands below it.
    pub told: Told,
    /// What the limit bounds now: an override may differ from what is configured.
    measure: Measure,
    /// What the call counts for.
    cost: u64,
}

impl Refusal {
    pub(super) fn new(limit: &Arc<Limit>, bound: &Bound, cost: u64, standing: Standing, over: Over) -> Self {
        Self {
            limit: Arc::clone(limit),
            retry_after: over.wait.map_or(A_WHILE, Duration::from_nanos),
            told: Told::new(bound, standing),
            measure: bound.measure,
            cost,
        }
    }

    /// Whole seconds for `Retry-After`, at least 1.
    #[must_use]
    pub fn retry_after_seconds(&self) -> u64 {
        u64::try_from(self.retry_after.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u64::MAX).max(1)
    }

    /// Members of the error's `data` that name the limit.
    #[must_use]
    pub fn data(&self) -> String {
        format!("\"limit\":{}", serde_json::Value::from(self.limit.name.as_str()))
    }
}

/// The configured message, or what the limit is; then when to come back.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.limit.message {
            Some(message) => {
                let end = if message.ends_with(['.', '!', '?']) { "" } else { "." };
                write!(f, "{message}{end} ")?;
            }
            None => self.standard(f)?,
        }
        let seconds = self.retry_after_seconds();
        write!(f, "Nothing was executed. Wait {seconds} s")?;
        match (seconds + 1800) / 3600 {
            0 => {}
            1 => f.write_str(" (about an hour)")?,
            hours => write!(f, " (about {hours} hours)")?,
        }
        f.write_str(", then repeat the call; do not repeat it sooner.")
    }
}

impl Refusal {
    fn standard(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whom, cost) = (Whom(self.limit.per), self.limit.counted == Counted::Cost);
        let amount = |count| Amount { count, cost };
        write!(f, "The limit `{}` is reached: ", self.limit.name)?;
        match self.measure {
            Measure::Rate { count, period, .. } | Measure::Window { count, period } => {
                write!(f, "{} per {} {whom}", amount(count), Span(period))?;
            }
            Measure::Quota { count, unit } => {
                let unit = if unit == Unit::Day { "day" } else { "month" };
                write!(f, "{} per {unit} (UTC) {whom}", amount(count))?;
            }
            Measure::Concurrent(max) => write!(f, "{} at a time {whom}", amount(max))?,
        }
        if cost {
            write!(f, ", and this call costs {}", self.cost)?;
        }
        f.write_str(". ")
    }
}

/// Who and what is counted together.
struct Whom(LimitScope);

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(per) = *self;
        if per == LimitScope::GLOBAL {
            return f.write_str("for all callers together");
        }
        let client = if per == LimitScope::CLIENT { "for you" } else { "from you" };
        let parts = [
            (LimitScope::CLIENT, client),
            (LimitScope::ADDRESS, "from your address"),
            (LimitScope::TIER, "for your tier"),
            (LimitScope::ORGANISATION, "for your organisation"),
            (LimitScope::LISTENER, "on this listener"),
            (LimitScope::TOOL, "to this tool"),
            (LimitScope::SERVER, "to this server"),
        ];
        let parts: Vec<_> = parts
            .into_iter()
            .filter(|(scope, _)| per.has(*scope))
            .filter(|(scope, _)| *scope != LimitScope::SERVER || !per.has(LimitScope::TOOL))
            .map(|(_, words)| words)
            .collect();
        f.write_str(&parts.join(" "))
    }
}

struct Amount {
    count: u64,
    cost: bool,
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.cost, self.count) {
            (true, count) => write!(f, "a cost of {count}"),
            (false, 1) => f.write_str("1 call"),
            (false, count) => write!(f, "{count} calls"),
        }
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
