//! What is counted of anything that has calls, by one core: totals, and the last minute in parts of ten seconds.

use std::array;
use std::sync::OnceLock;

use toolgate_protocol::latency::{COARSE, FINE, coarse, fine};

use super::count::{Count, Count32};
use super::outcome::Outcome;

/// Length of a part of the last minute.
pub(super) const TICK_MS: u64 = 10_000;
/// Parts that a minute has.
pub(super) const TICKS: usize = 6;
/// Times that are measured of a call: all of it, and its [`PHASES`].
pub(super) const TIMES: usize = 1 + PHASES;
/// Queue, connect, first byte, stream.
pub(super) const PHASES: usize = 4;

/// What one ended call adds to every series that it belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// The part of the time in which it ended.
    pub(super) tick: u64,
    pub(super) outcome: Outcome,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    /// The whole first, as the phases are told; none of a call that only listened or was refused.
    pub(super) times: Option<[Took; TIMES]>,
}

/// A time, with the bucket that all series count it in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Took {
    pub(super) us: u64,
    bucket: usize,
}

impl From<u64> for Took {
    fn from(us: u64) -> Self {
        Self { us, bucket: fine(us) }
    }
}

/// Calls of one thing on one core.
#[derive(Debug, Default)]
pub(super) struct Series {
    pub(super) calls: Count,
    /// Those that went well. It is no difference of the others: a reader who sees one before the other would be told of
    /// a count that falls.
    pub(super) well: Count,
    pub(super) errors: Count,
    pub(super) refused: Count,
    pub(super) gone: Count,
    pub(super) bytes_in: Count,
    pub(super) bytes_out: Count,
    /// The largest answer.
    pub(super) largest: Count,
    /// When the last call ended, by our clock, in milliseconds.
    pub(super) last_ms: Count,
    parts: [Part; TICKS],
    /// Fine buckets of each time. Most things have no calls that queue or connect: these stay unmade.
    windows: [OnceLock<Box<Window>>; TIMES],
}

/// Ten seconds.
#[derive(Debug, Default)]
struct Part {
    tick: Count,
    calls: Count,
    errors: Count,
    refused: Count,
    /// Calls whose times were measured.
    timed: Count,
    longest: [Count; TIMES],
}

/// One time of the calls of a minute: fine buckets by part.
#[derive(Debug)]
struct Window([[Count32; FINE]; TICKS]);

impl Default for Window {
    fn default() -> Self {
        Self(array::from_fn(|_| array::from_fn(|_| Count32::default())))
    }
}

impl Series {
    /// Adds a call that ended; for the core that owns this.
    pub(super) fn add(&self, seen: &Seen, now_ms: u64) {
        let part = self.part(seen.tick);
        for (total, of_part, one) in [
            (&self.calls, &part.calls, true),
            (&self.errors, &part.errors, seen.outcome == Outcome::Error),
            (&self.refused, &part.refused, seen.outcome == Outcome::Refused),
        ] {
            if one {
                total.add(1);
                of_part.add(1);
            }
        }
        match seen.outcome {
            Outcome::Ok => self.well.add(1),
            Outcome::Gone => self.gone.add(1),
            Outcome::Error | Outcome::Refused => {}
        }
        self.bytes_in.add(seen.bytes_in);
        self.bytes_out.add(seen.bytes_out);
        self.largest.raise(seen.bytes_out);
        self.last_ms.set(now_ms);
        let Some(times) = &seen.times else { return };
        part.timed.add(1);
        for (kind, took) in times.iter().enumerate() {
            // What took no time is known by what is missing.
            if took.bucket > 0 {
                part.longest[kind].raise(took.us);
                self.windows[kind].get_or_init(Box::default).0[place(seen.tick)][took.bucket].increment();
            }
        }
    }

    /// The current part, emptied where what it holds is a minute old.
    fn part(&self, tick: u64) -> &Part {
        let part = &self.parts[place(tick)];
        if part.tick.get() != tick {
            for count in [&part.calls, &part.errors, &part.refused, &part.timed].into_iter().chain(&part.longest) {
                count.set(0);
            }
            for window in self.windows.iter().filter_map(OnceLock::get) {
                window.0[place(tick)].iter().for_each(|count| count.set(0));
            }
            part.tick.set(tick);
        }
        part
    }
}

fn place(tick: u64) -> usize {
    usize::try_from(tick % TICKS as u64).unwrap_or(0)
}

/// Calls of one thing on all cores.
#[derive(Debug)]
pub(super) struct Sum {
    pub(super) calls: u64,
    pub(super) errors: u64,
    pub(super) refused: u64,
    pub(super) gone: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) largest: u64,
    pub(super) last_ms: u64,
    /// Of the last minute.
    pub(super) late: [u64; 3],
    pub(super) longest: [u64; TIMES],
    pub(super) fine: Box<[[u64; FINE]; TIMES]>,
}

impl Default for Sum {
    fn default() -> Self {
        Self {
            calls: 0,
            errors: 0,
            refused: 0,
            gone: 0,
            bytes_in: 0,
            bytes_out: 0,
            largest: 0,
            last_ms: 0,
            late: [0; 3],
            longest: [0; TIMES],
            fine: Box::new([[0; FINE]; TIMES]),
        }
    }
}

impl Sum {
    /// Adds what one core has counted; `tick` is the current one.
    pub(super) fn add(&mut self, series: &Series, tick: u64) {
        self.calls += series.calls.get();
        self.errors += series.errors.get();
        self.refused += series.refused.get();
        self.gone += series.gone.get();
        self.bytes_in += series.bytes_in.get();
        self.bytes_out += series.bytes_out.get();
        self.largest = self.largest.max(series.largest.get());
        self.last_ms = self.last_ms.max(series.last_ms.get());
        for (at, part) in series.parts.iter().enumerate() {
            let of = part.tick.get();
            if of + (TICKS as u64) <= tick || part.calls.get() == 0 {
                continue;
            }
            for (sum, count) in self.late.iter_mut().zip([&part.calls, &part.errors, &part.refused]) {
                *sum += count.get();
            }
            let timed = part.timed.get();
            for (kind, window) in series.windows.iter().enumerate() {
                self.longest[kind] = self.longest[kind].max(part.longest[kind].get());
                let into = &mut self.fine[kind];
                let before = into.iter().skip(1).sum::<u64>();
                if let Some(window) = window.get() {
                    into.iter_mut().zip(&window.0[at]).for_each(|(sum, count)| *sum += u64::from(count.get()));
                }
                let measured = into.iter().skip(1).sum::<u64>() - before;
                into[0] += timed.saturating_sub(measured);
            }
        }
    }
}

/// How long calls took since the process began, in coarse buckets.
#[derive(Debug, Default)]
pub(super) struct Durations {
    pub(super) counts: [Count; COARSE],
    pub(super) sum_us: Count,
}

impl Durations {
    pub(super) fn add(&self, us: u64) {
        self.counts[coarse(us)].add(1);
        self.sum_us.add(us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(tick: u64, outcome: Outcome, us: u64) -> Seen {
        let times = (outcome != Outcome::Refused).then_some([us, 0, 0, us, 0].map(Took::from));
        Seen { tick, outcome, bytes_in: 10, bytes_out: us, times }
    }

    fn sum(series: &[&Series], tick: u64) -> Sum {
        let mut sum = Sum::default();
        for series in series {
            sum.add(series, tick);
        }
        sum
    }

    #[test]
    fn a_minute_later_the_totals_are_what_is_left() {
        let series = Series::default();
        for tick in 5..10 {
            series.add(&seen(tick, Outcome::Ok, 1_000), tick);
        }
        series.add(&seen(10, Outcome::Error, 9_000), 10);
        series.add(&seen(10, Outcome::Refused, 0), 10);
        series.add(&seen(10, Outcome::Gone, 2_000), 10);
        let now = sum(&[&series], 10);
        assert_eq!((now.calls, now.errors, now.refused, now.gone), (8, 1, 1, 1));
        assert_eq!((now.late, now.longest[0], now.fine[0].iter().sum::<u64>()), ([8, 1, 1], 9_000, 7));
        assert_eq!((now.fine[1][0], now.fine[3][0]), (7, 0), "none waited, and all worked");
        assert_eq!(sum(&[&series], 14).late, [4, 1, 1], "ticks 9 and 10 are within the last minute");
        let later = sum(&[&series], 16);
        assert_eq!((later.calls, later.late, later.longest[0]), (8, [0, 0, 0], 0));
    }

    #[test]
    fn a_part_that_is_used_again_holds_nothing_of_before() {
        let series = Series::default();
        series.add(&seen(3, Outcome::Error, 70_000_000), 3);
        let next = 3 + TICKS as u64;
        series.add(&seen(next, Outcome::Ok, 500), next);
        let now = sum(&[&series], next);
        assert_eq!((now.late, now.longest[0], now.fine[0].iter().sum::<u64>()), ([1, 0, 0], 500, 1));
        assert_eq!((now.calls, now.largest, now.bytes_in), (2, 70_000_000, 20));
    }

    #[test]
    fn cores_add_up() {
        let (one, other) = (Series::default(), Series::default());
        one.add(&seen(7, Outcome::Ok, 100), 7);
        other.add(&seen(7, Outcome::Ok, 100_000), 8);
        let both = sum(&[&one, &other], 7);
        assert_eq!((both.calls, both.late[0], both.longest[0], both.last_ms), (2, 2, 100_000, 8));
    }
}
