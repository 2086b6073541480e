//! Limits as their operators see them.

use std::time::Duration;

use toolgate_admin_api as api;
use toolgate_protocol::limiter::Unit;

use super::Limits;
use super::applied::Applied;
use super::overrides::Unfit;
use crate::clock;
use crate::config::settings::{Counted, Measure};

/// Calls that a limit refused.
#[derive(Debug)]
pub struct Rejections {
    /// The limit's name.
    pub name: String,
    /// Where it stands, such as `tier.free`.
    pub place: String,
    /// What it is counted by.
    pub per: String,
    /// How many.
    pub count: u64,
}

impl Limits {
    /// Every limit, with what it has counted.
    #[must_use]
    pub fn report(&self, now: u64) -> Vec<api::LimitStatus> {
        let mut all: Vec<_> = self.all().map(|applied| self.status(applied, now)).collect();
        all.sort_by(|one, other| (&one.place, &one.name).cmp(&(&other.place, &other.name)));
        all
    }

    /// What a limit bounds now, in words.
    ///
    /// # Errors
    /// Where not exactly one limit has this name.
    pub fn effective(&self, name: &str, now: u64) -> Result<String, Unfit> {
        Ok(text(self.named(name)?.bound(now).measure))
    }

    /// What a limit bounds by its configuration, in words.
    ///
    /// # Errors
    /// As [`Limits::effective`].
    pub fn configured(&self, name: &str) -> Result<String, Unfit> {
        Ok(text(self.named(name)?.limit.measure))
    }

    /// Calls that each limit refused. Unlike [`Self::report`], it looks at no key.
    #[must_use]
    pub fn rejections(&self) -> Vec<Rejections> {
        let rejections = |applied: &Applied| Rejections {
            name: applied.limit.name.clone(),
            place: applied.place.to_string(),
            per: applied.limit.per.to_string(),
            count: applied.tally.count(),
        };
        self.all().map(rejections).collect()
    }

    fn status(&self, applied: &Applied, now: u64) -> api::LimitStatus {
        let meter = applied.meter_now(&self.shared.calendars, now);
        let (mut keys, mut used) = (0, 0);
        applied.counters.each(|_, cell| {
            keys += 1;
            used = used.max(meter.capacity().saturating_sub(meter.standing(cell, now).remaining));
        });
        let limit = &applied.limit;
        let set = match &applied.only {
            Some(only) => Some(only.as_override()),
            None => self.shared.overrides.get(&limit.name, now),
        };
        api::LimitStatus {
            name: limit.name.clone(),
            place: applied.place.to_string(),
            per: limit.per.to_string(),
            counted: if limit.counted == Counted::Cost { "cost" } else { "calls" }.to_owned(),
            configured: if applied.only.is_some() { "-".to_owned() } else { text(limit.measure) },
            effective: text(applied.bound(now).measure),
            keys,
            forgotten: applied.counters.forgotten(),
            capacity: meter.capacity(),
            used,
            rejected: applied.tally.count(),
            rejected_per_second: applied.tally.rate(),
            top: applied.tally.top().into_iter().map(|(key, rejected)| api::LimitKey { key, rejected }).collect(),
            set: set.map(|set| {
                let left = Duration::from_nanos(set.until.saturating_sub(now));
                api::LimitOverride {
                    value: text(set.measure),
                    expires_in_seconds: left.as_secs() + u64::from(left.subsec_nanos() > 0),
                    expires_at_ms: clock::unix_millis() + u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
                    who: set.who,
                    reason: set.reason,
                }
            }),
        }
    }
}

/// What is bounded, as configurations write it.
#[must_use]
pub fn text(measure: Measure) -> String {
    match measure {
        Measure::Rate { count, period, burst } if burst == count => format!("{count}/{}", span(period)),
        Measure::Rate { count, period, burst } => format!("{count}/{} burst {burst}", span(period)),
        Measure::Window { count, period } => format!("{count}/{} sliding", span(period)),
        Measure::Quota { count, unit: Unit::Day } => format!("{count}/day UTC"),
        Measure::Quota { count, unit: Unit::Month } => format!("{count}/month UTC"),
        Measure::Concurrent(max) => format!("{max} at once"),
    }
}

fn span(period: Duration) -> String {
    let seconds = period.as_secs();
    match (seconds, period.subsec_nanos()) {
        (1, 0) => "s".into(),
        (60, 0) => "min".into(),
        (3600, 0) => "h".into(),
        (86_400, 0) => "d".into(),
        (_, 0) if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        (_, 0) if seconds.is_multiple_of(60) => format!("{}min", seconds / 60),
        (_, 0) => format!("{seconds}s"),
        _ => format!("{}ms", period.as_millis()),
    }
}
