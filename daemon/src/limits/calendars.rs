//! The days and months that quotas count in, for all cores.
//!
//! A reader compares one number; whoever finds a period ended asks the wall clock, once for all.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use toolgate_protocol::limiter::{Calendar, Period, Unit};

use crate::clock;
use crate::lock::lock;

/// The period of each unit.
#[derive(Debug, Default)]
pub(super) struct Calendars {
    day: Turning,
    month: Turning,
}

#[derive(Debug, Default)]
struct Turning {
    /// When the period ends; 0 before the first.
    ends: AtomicU64,
    number: AtomicU64,
    turn: Mutex<Option<Calendar>>,
}

impl Calendars {
    /// The period that `now` lies in.
    pub(super) fn period(&self, unit: Unit, now: u64) -> Period {
        let turning = match unit {
            Unit::Day => &self.day,
            Unit::Month => &self.month,
        };
        let ends = turning.ends.load(Ordering::Acquire);
        if now < ends {
            return Period { unit, number: turning.number.load(Ordering::Relaxed), ends };
        }
        turning.turned(unit, now)
    }
}

impl Turning {
    fn turned(&self, unit: Unit, now: u64) -> Period {
        let mut turn = lock(&self.turn);
        let wall = Duration::from_millis(clock::unix_millis());
        let calendar = match *turn {
            // Another core was first.
            Some(calendar) if now < calendar.period().ends => calendar,
            Some(calendar) => calendar.turned(now, wall),
            None => Calendar::new(unit, now, wall),
        };
        *turn = Some(calendar);
        let period = calendar.period();
        self.number.store(period.number, Ordering::Relaxed);
        // Whoever sees the new end sees the number that belongs to it.
        self.ends.store(period.ends, Ordering::Release);
        period
    }
}
