//! What a call spent its time with. The parts follow on each other, as the timers of `HAProxy` do; a part that a call did
//! not come to, or that took no time, is 0.

use std::time::{Duration, Instant};

use super::series::TIMES;
use crate::call::Times;

/// Times of a call, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// From the head of the request to the end of its body.
    pub read: u64,
    /// Waiting for a permit of the server.
    pub queue: u64,
    /// Making a connection to it.
    pub connect: u64,
    /// From there to the first byte of the server's answer.
    pub first_byte: u64,
    /// From there to the last.
    pub stream: u64,
    /// From the head of the request to the end of the answer.
    pub total: u64,
}

impl Spent {
    /// The times of a call that ends now.
    #[must_use]
    pub fn of(started: Instant, times: &Times, now: Instant) -> Self {
        let between = |from: Instant, to: Option<Instant>| {
            micros(to.map_or(Duration::ZERO, |to| to.saturating_duration_since(from)))
        };
        let sent = times.admitted.unwrap_or(times.read) + times.connect;
        Self {
            read: between(started, Some(times.read)),
            queue: between(times.read, times.admitted),
            connect: micros(times.connect),
            first_byte: between(sent, times.first_byte),
            stream: times.first_byte.map_or(0, |first| between(first, Some(now))),
            total: between(started, Some(now)),
        }
    }

    /// As series count them: the whole, then the phases.
    pub(super) fn times(&self) -> [u64; TIMES] {
        [self.total, self.queue, self.connect, self.first_byte, self.stream]
    }
}

/// Whole microseconds.
pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_follow_on_each_other() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let times =
            Times { read: at(2), admitted: Some(at(5)), connect: Duration::from_millis(10), first_byte: Some(at(115)) };
        let spent = Spent::of(start, &times, at(120));
        let wanted =
            Spent { read: 2_000, queue: 3_000, connect: 10_000, first_byte: 100_000, stream: 5_000, total: 120_000 };
        assert_eq!(spent, wanted);
        assert_eq!(spent.times().iter().skip(1).sum::<u64>() + spent.read, spent.total);
    }

    #[test]
    fn a_call_that_reached_nothing_has_no_phases() {
        let start = Instant::now();
        let times = Times { read: start, admitted: None, connect: Duration::ZERO, first_byte: None };
        let spent = Spent::of(start, &times, start + Duration::from_millis(1));
        assert_eq!(spent, Spent { total: 1_000, ..Spent::default() });
    }
}
