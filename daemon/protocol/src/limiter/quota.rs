//! Quotas of a day or month in UTC: one word per key, and a calendar that a wall clock cannot shake.
//!
//! What must hold: in one period no more than `max` is admitted; a wall clock that jumps within a period changes
//! nothing in it; periods only ever grow.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Cell, Over, Standing};

/// A word is the period's number above, what it has used below.
const USED_BITS: u32 = 48;
const USED: u64 = (1 << USED_BITS) - 1;
const SECONDS_OF_DAY: u64 = 86_400;

/// The length of a quota's period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// From midnight to midnight, UTC.
    Day,
    /// From the first of a month to the first of the next, UTC.
    Month,
}

/// A period of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Its length.
    pub unit: Unit,
    /// Days or months since 1970-01-01.
    pub number: u64,
    /// When it ends: nanoseconds of the monotonic clock.
    pub ends: u64,
}

/// So much per period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    max: u64,
}

impl Quota {
    /// A quota; 0 counts as 1.
    #[must_use]
    pub fn new(max: u64) -> Self {
        Self { max: max.clamp(1, USED) }
    }

    pub(super) fn max(self) -> u64 {
        self.max
    }

    pub(super) fn take(self, cell: &Cell, cost: u64, period: Period, now: u64) -> Result<(), Over> {
        cell.update(|state| self.after(state, cost, period, now))
    }

    pub(super) fn after(self, state: u64, cost: u64, period: Period, now: u64) -> Result<u64, Over> {
        let counted = Counted::at(state, period);
        let used = counted.used + cost.min(self.max);
        if used > self.max && cost > 0 {
            return Err(Over { wait: Some(period.ends.saturating_sub(now).max(1)) });
        }
        Ok(Counted { used, ..counted }.word())
    }

    /// Where the period has ended meanwhile, what was taken in it is gone already.
    pub(super) fn give_back(self, cell: &Cell, cost: u64, period: Period) {
        let _ = cell.update(|state| {
            let counted = Counted::of(state);
            let is_own = counted.number == shortened(period.number);
            let back = if is_own { cost.min(self.max) } else { 0 };
            Ok::<_, ()>(Counted { used: counted.used.saturating_sub(back), ..counted }.word())
        });
    }

    pub(super) fn standing(self, cell: &Cell, period: Period, now: u64) -> Standing {
        let remaining = self.max.saturating_sub(self.used(cell, period));
        Standing { remaining, reset: Some(period.ends.saturating_sub(now)) }
    }

    /// What a key has used in a period.
    #[must_use]
    pub fn used(self, cell: &Cell, period: Period) -> u64 {
        Counted::at(cell.word().load(Ordering::Relaxed), period).used
    }

    /// Sets what a key had used in a period, as an earlier process counted it.
    pub fn restore(self, cell: &Cell, used: u64, period: Period) {
        cell.word().store(Counted { number: shortened(period.number), used }.word(), Ordering::Relaxed);
    }
}

/// What a word says.
#[derive(Clone, Copy)]
struct Counted {
    /// As much of the period's number as a word holds.
    number: u16,
    used: u64,
}

impl Counted {
    fn of(state: u64) -> Self {
        Self { number: shortened(state >> USED_BITS), used: state & USED }
    }

    /// What counts for a call of this period: nothing of an earlier one. A later one holds for it as well: another core has
    /// seen this one end, and must not have counted for nothing.
    fn at(state: u64, period: Period) -> Self {
        let (counted, own) = (Self::of(state), shortened(period.number));
        let is_later = counted.used > 0 && counted.number.wrapping_sub(own).cast_signed() > 0;
        if counted.number == own || is_later { counted } else { Self { number: own, used: 0 } }
    }

    fn word(self) -> u64 {
        u64::from(self.number) << USED_BITS | self.used.min(USED)
    }
}

fn shortened(number: u64) -> u16 {
    #[expect(clippy::cast_possible_truncation, reason = "numbers come round after 179 years of days")]
    let number = number as u16;
    number
}

/// Which period it is. The wall clock is asked at the beginning and when a period ends by the monotonic clock, never
/// in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar(Period);

impl Calendar {
    /// The period that a wall clock (since 1970) shows at the monotonic time `now`.
    #[must_use]
    pub fn new(unit: Unit, now: u64, wall: Duration) -> Self {
        Self(period(unit, number(unit, wall), now, wall))
    }

    /// The period as it was last known; it may have ended.
    #[must_use]
    pub fn period(self) -> Period {
        self.0
    }

    /// The period after this one has ended: the next at least, or the one that the wall clock shows by now.
    #[must_use]
    pub fn turned(self, now: u64, wall: Duration) -> Self {
        let unit = self.0.unit;
        Self(period(unit, number(unit, wall).max(self.0.number + 1), now, wall))
    }
}

fn period(unit: Unit, number: u64, now: u64, wall: Duration) -> Period {
    let end = Duration::from_secs(begin(unit, number + 1).saturating_mul(SECONDS_OF_DAY));
    let left = u64::try_from(end.saturating_sub(wall).as_nanos()).unwrap_or(u64::MAX);
    Period { unit, number, ends: now.saturating_add(left.max(1)) }
}

fn number(unit: Unit, wall: Duration) -> u64 {
    let days = wall.as_secs() / SECONDS_OF_DAY;
    match unit {
        Unit::Day => days,
        Unit::Month => month_of(days),
    }
}

/// The day on which a period begins, since 1970-01-01.
fn begin(unit: Unit, number: u64) -> u64 {
    match unit {
        Unit::Day => number,
        Unit::Month => {
            // Days before the month, counted from 0000-03-01 as years that begin in March have February last.
            let months = number + 1970 * 12 - 2;
            let (year, month) = (months / 12, months % 12);
            let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5;
            days - 719_468
        }
    }
}

/// Months since January 1970 of a day since 1970-01-01.
fn month_of(days: u64) -> u64 {
    // 400 years have 146,097 days and 4,800 months, so by the mean a month is missed by one at most.
    let near = days * 4800 / 146_097;
    (near.saturating_sub(1)..=near + 1).rev().find(|month| begin(Unit::Month, *month) <= days).unwrap_or(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const DAY: Duration = Duration::from_secs(SECONDS_OF_DAY);

    #[test]
    fn months_begin_where_the_calendar_says() {
        for (month, day) in
            [(0, 0), (1, 31), (2, 59), (12, 365), (25, 761), (26, 790), (12 * 30 + 2, 11_017), (682, 20_758)]
        {
            assert_eq!(begin(Unit::Month, month), day, "month {month}");
            assert_eq!((month_of(day), month_of(day + 27)), (month, month), "day {day}");
            assert!(day == 0 || month_of(day - 1) == month - 1, "day {day}");
        }
        assert!((0..60_000).all(|day| month_of(day) <= month_of(day + 1)));
    }

    #[test]
    fn a_wall_clock_that_jumps_changes_nothing_within_the_period() {
        let noon = DAY * 20_000 + DAY / 2;
        let calendar = Calendar::new(Unit::Day, 5 * SECOND, noon);
        let period = calendar.period();
        assert_eq!((period.number, period.ends), (20_000, (5 + 43_200) * SECOND));
        let hour = Duration::from_secs(3600);
        // At its end the clock may be an hour behind or ahead: the day is over all the same, and only one is.
        for wall in [DAY * 20_000 + hour * 23, DAY * 20_001, DAY * 20_001 + hour] {
            let next = calendar.turned(period.ends, wall).period();
            assert_eq!(next.number, 20_001, "{wall:?}");
            let ends_at = wall + Duration::from_nanos(next.ends - period.ends);
            assert_eq!(ends_at, DAY * 20_002, "{wall:?}");
        }
        // Asleep for three days.
        assert_eq!(calendar.turned(period.ends, DAY * 20_003).period().number, 20_003);
    }

    /// One core has read the clock before midnight, and decides after another that has seen the next day.
    #[test]
    fn a_core_that_is_late_takes_nothing_from_the_next_day() {
        for number in [20_000, u64::from(u16::MAX)] {
            let (quota, cell) = (Quota::new(3), Cell::of_words(1));
            let old = Period { unit: Unit::Day, number, ends: 10 * SECOND };
            let new = Period { unit: Unit::Day, number: number + 1, ends: 20 * SECOND };
            assert!(quota.take(&cell, 2, old, 9 * SECOND).is_ok());
            assert!(quota.take(&cell, 2, new, 10 * SECOND).is_ok());
            quota.give_back(&cell, 2, old);
            assert_eq!(quota.used(&cell, new), 2, "what is given back is gone already");
            assert!(quota.take(&cell, 2, old, 10 * SECOND - 1).is_err(), "it counts in the new day");
            assert!(quota.take(&cell, 1, old, 10 * SECOND - 1).is_ok());
            assert_eq!((quota.used(&cell, new), quota.used(&cell, old)), (3, 3));
            assert!(quota.take(&cell, 1, new, 10 * SECOND).is_err());
        }
    }

    #[test]
    fn a_quota_is_used_up_and_comes_back_as_a_whole() {
        let quota = Quota::new(5);
        let cell = Cell::of_words(1);
        let mut period = Period { unit: Unit::Day, number: 70_000, ends: 10 * SECOND };
        assert!(quota.take(&cell, 3, period, SECOND).is_ok());
        assert_eq!(quota.take(&cell, 3, period, SECOND), Err(Over { wait: Some(9 * SECOND) }));
        assert!(quota.take(&cell, 2, period, SECOND).is_ok());
        assert!(quota.take(&cell, 0, period, SECOND).is_ok(), "what costs nothing passes");
        assert_eq!(quota.standing(&cell, period, SECOND), Standing { remaining: 0, reset: Some(9 * SECOND) });
        quota.give_back(&cell, 2, period);
        assert_eq!(quota.used(&cell, period), 3);
        period.number += 1;
        assert_eq!(quota.used(&cell, period), 0);
        assert!(quota.take(&cell, 100, period, SECOND).is_ok(), "dearer than all of it: all of it");
        quota.restore(&cell, 4, period);
        assert_eq!(quota.used(&cell, period), 4);
    }
}
