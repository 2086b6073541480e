//! A limit at its place: what it bounds now, and what it has counted.
//!
//! Made at a reload. What was counted goes on where a limit of the same name and scope still bounds the same kind of
//! thing; a changed number is told to the cells, so that what was used stays used.

use std::sync::Arc;

use toolgate_protocol::limiter::{Meter, Quota, Rate, Unit, Window};

use super::Shared;
use super::advert::Advert;
use super::calendars::Calendars;
use super::counters::Counters;
use super::tally::Tally;
use super::temporary::Set;
use crate::config::settings::{Counted, Limit, LimitScope, Measure};

/// A limit at its place.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) limit: Arc<Limit>,
    /// Such as `tier.free`; `limit` for those of everybody.
    pub(super) place: Arc<str>,
    configured: Bound,
    /// Instead of it, until a time that the monotonic clock shows.
    overridden: Option<(Bound, u64)>,
    /// Set where it is for some calls only, until a time.
    pub(super) only: Option<Arc<Set>>,
    pub(super) counters: Arc<Counters>,
    pub(super) tally: Arc<Tally>,
}

/// What is bounded, as the hot path and as clients are told.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) measure: Measure,
    kind: Kind,
    pub(super) advert: Arc<Advert>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// The same at any time.
    Fixed(Meter),
    /// Of the period that it is.
    Quota(Quota, Unit),
}

impl Bound {
    pub(super) fn new(limit: &Limit, measure: Measure) -> Self {
        let kind = match measure {
            Measure::Rate { count, period, burst } => Kind::Fixed(Meter::Rate(Rate::new(count, period, burst))),
            Measure::Window { count, period } => Kind::Fixed(Meter::Window(Window::new(count, period))),
            Measure::Quota { count, unit } => Kind::Quota(Quota::new(count), unit),
            Measure::Concurrent(max) => Kind::Fixed(Meter::Concurrent { max }),
        };
        Self { measure, kind, advert: Arc::new(Advert::new(limit, measure)) }
    }

    /// The meter at this time.
    pub(super) fn meter_now(&self, calendars: &Calendars, now: u64) -> Meter {
        match self.kind {
            Kind::Fixed(meter) => meter,
            Kind::Quota(quota, unit) => Meter::Quota(quota, calendars.period(unit, now)),
        }
    }
}

/// Names that a limit's cells may have.
pub(super) struct Names<'a> {
    pub(super) listeners: Vec<&'a str>,
    pub(super) servers: Vec<&'a str>,
}

impl Applied {
    /// Whether it counts whatever comes, and not only calls that a server works for: it knows nothing of a message but
    /// where it comes from, and costs nothing of tools.
    pub(super) fn counts_all(&self) -> bool {
        let of_calls =
            LimitScope::CLIENT | LimitScope::TIER | LimitScope::ORGANISATION | LimitScope::SERVER | LimitScope::TOOL;
        self.only.is_none() && self.limit.counted == Counted::Calls && !self.limit.per.has(of_calls)
    }

    pub(super) fn new(
        place: &str,
        limit: &Arc<Limit>,
        before: &[Self],
        names: &Names<'_>,
        shared: &Shared,
        now: u64,
    ) -> Self {
        let configured = Bound::new(limit, limit.measure);
        let meter = configured.meter_now(&shared.calendars, now);
        let overridden = shared.overrides.of(&limit.name, now).and_then(|(measure, until)| {
            let bound = Bound::new(limit, measure);
            bound.meter_now(&shared.calendars, now).is_kin(&meter).then_some((bound, until))
        });
        let old = before.iter().find(|old| {
            old.limit.name == limit.name
                && old.limit.per == limit.per
                && old.limit.prefix == limit.prefix
                && old.meter_now(&shared.calendars, now).is_kin(&meter)
        });
        let counters = Counters::new(limit.per, &meter, names, old.map(|old| &old.counters));
        let tally = old.map(|old| Arc::clone(&old.tally)).unwrap_or_default();
        let (limit, place, only) = (Arc::clone(limit), place.into(), None);
        let this = Self { limit, place, configured, overridden, only, counters, tally };
        if let Some(old) = old {
            let (old, new) = (old.meter_now(&shared.calendars, now), this.meter_now(&shared.calendars, now));
            if old != new {
                this.counters.each(|_, cell| new.adopt(cell, &old, now));
            }
        }
        this
    }

    /// The same for the calls that a temporary limit means.
    pub(super) fn only(self, set: Arc<Set>) -> Self {
        Self { only: Some(set), ..self }
    }

    /// What it bounds at this time.
    pub(super) fn bound(&self, now: u64) -> &Bound {
        match &self.overridden {
            Some((bound, until)) if now < *until => bound,
            _ => &self.configured,
        }
    }

    pub(super) fn meter_now(&self, calendars: &Calendars, now: u64) -> Meter {
        self.bound(now).meter_now(calendars, now)
    }
}
