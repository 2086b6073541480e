//! Meters against what textbooks write, alone and with many callers.

mod storm;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn rate(count: u64, seconds: u64, burst: u64) -> Meter {
    Meter::Rate(Rate::new(count, Duration::from_secs(seconds), burst))
}

fn window(count: u64, seconds: u64) -> Meter {
    Meter::Window(Window::new(count, Duration::from_secs(seconds)))
}

#[test]
fn a_burst_and_then_the_rate() {
    let meter = rate(10, 1, 3);
    let cell = meter.cell();
    let now = 7 * SECOND;
    assert_eq!(meter.standing(&cell, now), Standing { remaining: 3, reset: Some(0) });
    for left in [2, 1, 0] {
        assert_eq!(meter.take(&cell, 1, now), Ok(()));
        assert_eq!(meter.standing(&cell, now).remaining, left);
    }
    assert_eq!(meter.take(&cell, 1, now), Err(Over { wait: Some(SECOND / 10) }));
    assert_eq!(meter.take(&cell, 1, now + SECOND / 10 - 1), Err(Over { wait: Some(1) }));
    assert_eq!(meter.take(&cell, 1, now + SECOND / 10), Ok(()));
    assert!(!meter.is_idle(&cell, now + SECOND / 10));
    assert!(meter.is_idle(&cell, now + SECOND));
}

#[test]
fn a_window_forgets_each_call_a_period_after_it() {
    let meter = window(3, 60);
    let (cell, start) = (meter.cell(), 100 * SECOND);
    for at in [0, 20, 40] {
        assert_eq!(meter.take(&cell, 1, start + at * SECOND), Ok(()));
    }
    let tick = (60 * SECOND).div_ceil(1 << 16);
    let Err(Over { wait: Some(wait) }) = meter.take(&cell, 1, start + 50 * SECOND) else { panic!("a fourth") };
    assert!((10 * SECOND..=10 * SECOND + 2 * tick).contains(&wait), "{wait}");
    assert!(meter.peek(&cell, 1, start + 50 * SECOND + wait).is_ok());
    assert_eq!(meter.standing(&cell, start + 81 * SECOND).remaining, 2);
    assert!(!meter.is_idle(&cell, start + 99 * SECOND));
    assert!(meter.is_idle(&cell, start + 101 * SECOND));
    assert_eq!(meter.take(&cell, 3, start + 101 * SECOND), Ok(()));
}

#[test]
fn what_is_given_back_can_be_taken_again() {
    for meter in [rate(5, 60, 5), window(5, 60)] {
        let cell = meter.cell();
        meter.take(&cell, 5, SECOND).unwrap();
        assert!(meter.peek(&cell, 1, SECOND).is_err());
        meter.give_back(&cell, 5, SECOND);
        assert_eq!(meter.peek(&cell, 5, SECOND), Ok(()));
        meter.take(&cell, 2, SECOND).unwrap();
        meter.take(&cell, 1, 2 * SECOND).unwrap();
        meter.give_back(&cell, 1, 2 * SECOND);
        assert_eq!(meter.standing(&cell, 2 * SECOND).remaining, 3);
    }
}

#[test]
fn what_has_left_the_window_is_not_given_back_twice() {
    let meter = window(2, 1);
    let cell = meter.cell();
    meter.take(&cell, 2, SECOND).unwrap();
    meter.take(&cell, 1, 3 * SECOND).unwrap();
    meter.give_back(&cell, 1, SECOND);
    assert_eq!(meter.standing(&cell, 3 * SECOND).remaining, 1);
}

/// What others are refused for must not hold up those who keep below the limit, however many they are.
#[test]
fn what_is_given_back_makes_no_other_call_count_for_longer() {
    let meter = window(1000, 60);
    let (cell, mut refused) = (meter.cell(), 0);
    for step in 0..10 * 60 * 100 {
        let now = SECOND + step * SECOND / 100;
        if step % 10 == 0 {
            refused += u64::from(meter.take(&cell, 1, now).is_err());
        }
        // Another limit refuses this one.
        if meter.take(&cell, 1, now).is_ok() {
            meter.give_back(&cell, 1, now);
        }
    }
    assert_eq!(refused, 0, "of 6,000 calls at 600 per minute");
}

#[test]
fn a_number_in_flight() {
    let meter = Meter::Concurrent { max: 2 };
    let cell = meter.cell();
    assert_eq!((meter.take(&cell, 1, 0), meter.take(&cell, 1, 0)), (Ok(()), Ok(())));
    assert_eq!(meter.take(&cell, 1, 0), Err(Over { wait: None }));
    meter.give_back(&cell, 1, 0);
    let standing = meter.standing(&cell, 0);
    assert_eq!((standing.remaining, standing.reset, meter.take(&cell, 1, 0)), (1, None, Ok(())));
    meter.give_back(&cell, 1, 0);
    meter.give_back(&cell, 1, 0);
    assert!(meter.is_idle(&cell, 0));
}

#[test]
fn dear_calls_take_what_they_cost_and_no_more_than_all() {
    for meter in [rate(10, 10, 10), window(10, 10)] {
        let cell = meter.cell();
        assert_eq!(meter.take(&cell, 0, SECOND), Ok(()));
        assert_eq!(meter.take(&cell, 7, SECOND), Ok(()));
        assert!(meter.take(&cell, 4, SECOND).is_err());
        assert_eq!(meter.take(&cell, 3, SECOND), Ok(()));
        assert!(meter.take(&cell, 99, 5 * SECOND).is_err());
        assert_eq!(meter.take(&cell, 99, 12 * SECOND), Ok(()), "all of it, once all of it is there");
        assert_eq!(meter.standing(&cell, 12 * SECOND).remaining, 0);
    }
}

#[test]
fn what_was_used_stays_used_under_another_limit_of_the_kind() {
    for (before, after, left) in [
        (rate(10, 1, 10), rate(100, 60, 100), 94),
        (rate(10, 1, 10), rate(4, 1, 4), 0),
        (window(10, 1), window(100, 60), 94),
        (window(10, 1), window(4, 3600), 0),
    ] {
        let cell = before.cell();
        before.take(&cell, 6, 5 * SECOND).unwrap();
        assert!(after.is_kin(&before));
        after.adopt(&cell, &before, 5 * SECOND);
        assert_eq!(after.standing(&cell, 5 * SECOND).remaining, left, "{after:?}");
        after.adopt(&cell, &after, 5 * SECOND);
        assert_eq!(after.standing(&cell, 5 * SECOND).remaining, left, "{after:?}");
    }
}

#[test]
fn extreme_numbers_neither_panic_nor_open_the_gate() {
    let meters = [
        rate(0, 0, 0),
        rate(u64::MAX, 1, u64::MAX),
        rate(1, u64::MAX / SECOND, u64::MAX),
        window(0, 0),
        window(u64::MAX, 1),
        window(1, u64::MAX),
    ];
    for meter in meters {
        let cell = meter.cell();
        meter.take(&cell, 1, u64::MAX).unwrap();
        let _ = (meter.take(&cell, u64::MAX, 0), meter.standing(&cell, 0), meter.take(&cell, 1, u64::MAX));
    }
    let none = Meter::Concurrent { max: 0 };
    assert!(none.take(&none.cell(), 1, 0).is_err());
}

#[test]
fn cores_together_admit_no_more_than_one_would() {
    for (meter, most) in [(rate(1000, 1, 50), 1050), (window(500, 1), 1000), (window(7, 1), 14)] {
        let (cell, admitted) = (meter.cell(), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    // Every thread sees the same second, in steps of a millisecond.
                    for step in 0..1000 {
                        for _ in 0..3 {
                            let taken = meter.take(&cell, 1, 5 * SECOND + step * SECOND / 1000).is_ok();
                            admitted.fetch_add(u64::from(taken), Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        let admitted = admitted.into_inner();
        // Threads drift, so a second of one may overlap with the next of another.
        assert!((most / 2..=most).contains(&admitted), "{admitted} calls were admitted by {meter:?}");
    }
}

/// A bucket of tokens as a textbook writes it, in exact fractions of a token.
struct Bucket {
    level: u64,
    at: u64,
    interval: u64,
    burst: u64,
}

impl Bucket {
    fn take(&mut self, now: u64) -> bool {
        self.level = (self.level + (now - self.at)).min(self.burst * self.interval);
        self.at = now;
        let admitted = self.level >= self.interval;
        if admitted {
            self.level -= self.interval;
        }
        admitted
    }
}

/// A sliding window as a textbook writes it: the time of every call.
struct Log(VecDeque<u64>);

impl Log {
    /// Calls in the span that ends now.
    fn calls(&self, period: u64, now: u64) -> u64 {
        self.0.iter().filter(|at| **at + period > now).count() as u64
    }
}

/// xorshift64*: the same sequence on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
    }
}

/// 64 clients that call again between at once and a quarter of a second after their last answer, for an hour. The
/// wall clock may do what it wants meanwhile: no meter hears of it.
#[test]
fn sixty_four_clients_are_admitted_exactly_the_rate() {
    const HOUR: u64 = 3600;
    for (meter, exact, lost) in [
        (rate(10, 1, 20), 10 * HOUR + 20, 0),
        (rate(500, 60, 1000), 30_000 + 1000, 0),
        // A single token that nobody takes at once brings no second one.
        (rate(100, 60, 1), 6000, 30),
        // A call leaves the window with its run. What passes meanwhile is lost: a twelfth of the clients' own pace.
        (window(100, 1), 100 * HOUR, 40 * HOUR / 10),
        (window(1000, 60), 60_000, 400),
        (window(12, 60), 12 * 60, 2),
    ] {
        let (cell, mut random) = (meter.cell(), Random(0x746f_6f6c));
        let mut due: BinaryHeap<_> = (0..64).map(|client| Reverse(SECOND + client)).collect();
        let mut admitted = 0;
        while let Some(Reverse(now)) = due.pop().filter(|Reverse(now)| *now < (HOUR + 1) * SECOND) {
            admitted += u64::from(meter.take(&cell, 1, now).is_ok());
            due.push(Reverse(now + 1 + random.below(SECOND / 4)));
        }
        assert!((exact - lost - 1..=exact).contains(&admitted), "{admitted} of {exact} by {meter:?}");
    }
}

proptest! {
    #[test]
    fn a_rate_decides_as_a_token_bucket_does(
        count in 1..2000_u64,
        burst in 1..100_u64,
        steps in prop::collection::vec(0..20_000_000_u64, 1..400),
    ) {
        let meter = rate(count, 1, burst);
        let cell = meter.cell();
        let interval = SECOND.div_ceil(count);
        let mut now = SECOND;
        let mut bucket = Bucket { level: burst * interval, at: now, interval, burst };
        for step in steps {
            now += step;
            let decision = meter.take(&cell, 1, now);
            prop_assert_eq!(decision.is_ok(), bucket.take(now), "at {}", now);
            if let Err(Over { wait }) = decision {
                let wait = wait.unwrap();
                prop_assert!(meter.peek(&cell, 1, now + wait).is_ok() && meter.peek(&cell, 1, now + wait - 1).is_err());
            }
            // Forgetting an idle cell changes nothing.
            if meter.is_idle(&cell, now) {
                prop_assert_eq!(meter.standing(&cell, now), meter.standing(&meter.cell(), now));
            }
        }
    }

    /// Whatever the pace: never more than the count in any span of the period, and a refusal only where the exact log
    /// is within one run of it.
    #[test]
    fn a_window_never_exceeds_the_exact_log_and_falls_short_by_less_than_a_run(
        count in 1..60_u64,
        steps in prop::collection::vec((0..4_u32, 0..60_000_000_u64), 1..600),
    ) {
        let (meter, period) = (window(count, 1), SECOND);
        let (cell, run) = (meter.cell(), count.div_ceil(12));
        // Two ticks, and what rounding them up adds to a period.
        let coarse = 2 * SECOND.div_ceil(1 << 16) + (1 << 16);
        let (mut now, mut log) = (SECOND, Log(VecDeque::new()));
        for (pause, step) in steps {
            // Bursts, trickles and pauses.
            while log.0.front().is_some_and(|at| at + period + coarse < now) {
                log.0.pop_front();
            }
            now += match pause { 0 => 0, 1 => step / 1000, 2 => step, _ => step * 20 };
            match meter.take(&cell, 1, now) {
                Ok(()) => {
                    log.0.push_back(now);
                    prop_assert!(log.calls(period, now) <= count, "{} calls at {}", log.calls(period, now), now);
                }
                Err(Over { wait }) => {
                    prop_assert!(log.calls(period + coarse, now) + run > count, "refused at {}", now);
                    let wait = wait.unwrap();
                    prop_assert!(wait <= period + coarse);
                    prop_assert!(meter.peek(&cell, 1, now + wait).is_ok() && meter.peek(&cell, 1, now + wait - 1).is_err());
                }
            }
            if meter.is_idle(&cell, now) {
                prop_assert_eq!(meter.standing(&cell, now), meter.standing(&meter.cell(), now));
            }
        }
    }

    /// Several limits meet a call: what one took and another refused is given back, at costs of all sizes.
    #[test]
    fn a_window_that_gives_back_never_exceeds_the_log_either(
        count in 1..40_u64,
        steps in prop::collection::vec((0..80_000_000_u64, 1..5_u64, any::<bool>()), 1..400),
    ) {
        let (meter, period) = (window(count, 1), SECOND);
        let cell = meter.cell();
        let (mut now, mut log) = (SECOND, VecDeque::new());
        for (step, cost, keep) in steps {
            now += step;
            if meter.take(&cell, cost, now).is_ok() {
                if keep {
                    log.push_back((now, cost.min(count)));
                } else {
                    meter.give_back(&cell, cost, now);
                }
            }
            let used: u64 = log.iter().filter(|(at, _)| at + period > now).map(|(_, cost)| cost).sum();
            prop_assert!(used <= count);
            prop_assert!(used + meter.standing(&cell, now).remaining <= count);
        }
        // Nothing is lost for good.
        prop_assert!(meter.is_idle(&cell, now + 2 * period));
        prop_assert_eq!(meter.standing(&cell, now + 2 * period).remaining, count);
    }

    #[test]
    fn a_clock_that_steps_back_admits_nothing_more_at_a_rate(jumps in prop::collection::vec(0..4 * SECOND, 1..200)) {
        let meter = rate(5, 1, 5);
        let cell = meter.cell();
        let admitted = jumps.iter().filter(|jump| meter.take(&cell, 1, **jump).is_ok()).count() as u64;
        prop_assert!(admitted <= 5 + 5 * 4);
    }
}
