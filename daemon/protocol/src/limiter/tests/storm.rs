//! Storms: callers on several cores before a stack of limits, interleaved between any two steps of their decisions.
//!
//! A caller takes from one limit after another and gives all back where one refuses. Against logs of what was taken and
//! not given back: no limit ever has more than it says, at any moment of a decision; nothing is lost at the end.

use super::*;

/// What a caller may be behind the others by, in nanoseconds: cores read the clock before they decide.
const BEHIND: u64 = 3_000;
/// What logs may differ by because of that.
const SLACK: u64 = 4 * BEHIND;
/// A day of these quotas.
const DAY: u64 = SECOND;

#[derive(Clone, Copy)]
enum Bound {
    Fixed(Meter),
    Daily(Quota),
}

/// A limit, and all that was taken from it.
struct Stacked {
    bound: Bound,
    /// Of a rate: nanoseconds per token; of a window: its period.
    span: u64,
    cell: Cell,
    log: Vec<Taking>,
    takings: u64,
    /// Of a quota: the day that it counts.
    day: u64,
}

#[derive(Clone, Copy)]
struct Taking {
    number: u64,
    caller: usize,
    at: u64,
    cost: u64,
    day: u64,
}

#[derive(Clone, Copy)]
enum Doing {
    Nothing,
    /// Up to this limit all have said yes.
    Takes(usize),
    /// Those below this one are still to be given back.
    GivesBack(usize),
    Flies,
}

struct Caller {
    doing: Doing,
    now: u64,
    cost: u64,
    /// As each limit was when it was asked.
    meters: Vec<Meter>,
}

impl Stacked {
    fn new(random: &mut Random) -> Self {
        let (count, millis) = (1 + random.below(40), 50 + random.below(2_000));
        let (bound, span) = match random.below(4) {
            0 => {
                let period = Duration::from_millis(millis);
                let rate = Rate::new(count, period, 1 + random.below(20));
                (Bound::Fixed(Meter::Rate(rate)), u64::try_from(period.as_nanos()).unwrap().div_ceil(count))
            }
            1 => {
                let window = Window::new(count, Duration::from_millis(millis));
                (Bound::Fixed(Meter::Window(window)), millis * SECOND / 1000)
            }
            2 => (Bound::Daily(Quota::new(count)), DAY),
            _ => (Bound::Fixed(Meter::Concurrent { max: 1 + random.below(6) }), 0),
        };
        let cell = match bound {
            Bound::Fixed(meter) => meter.cell(),
            Bound::Daily(_) => Cell::of_words(1),
        };
        Self { bound, span, cell, log: Vec::new(), takings: 0, day: 0 }
    }

    fn meter(&self, now: u64) -> Meter {
        match self.bound {
            Bound::Fixed(meter) => meter,
            Bound::Daily(quota) => {
                let number = now / DAY;
                Meter::Quota(quota, Period { unit: Unit::Day, number, ends: (number + 1) * DAY })
            }
        }
    }

    fn take(&mut self, caller: usize, meter: &Meter, cost: u64, now: u64) -> bool {
        if let Err(Over { wait }) = meter.take(&self.cell, cost, now) {
            // A core that is behind knows no end of a day that it has not seen.
            let knows = !matches!(meter, Meter::Quota(..)) || self.day <= now / DAY;
            if let Some(wait) = wait.filter(|_| knows) {
                assert!(
                    self.meter(now + wait).peek(&self.cell, cost, now + wait).is_ok(),
                    "{meter:?}: {wait} is too short"
                );
            }
            return false;
        }
        if let Meter::Quota(..) = meter {
            self.day = self.cell.word().load(Ordering::Relaxed) >> 48;
        }
        let cost = if matches!(meter, Meter::Concurrent { .. }) { 1 } else { cost.min(meter.capacity()) };
        self.takings += 1;
        self.log.push(Taking { number: self.takings, caller, at: now, cost, day: self.day });
        self.holds(meter, now);
        true
    }

    fn give_back(&mut self, caller: usize, meter: &Meter, cost: u64, now: u64) {
        meter.give_back(&self.cell, cost, now);
        let own = self.log.iter().filter(|taking| taking.caller == caller);
        let latest = own.map(|taking| taking.number).max();
        self.log.retain(|taking| Some(taking.number) != latest);
    }

    /// What is in the log is no more than the limit says.
    fn holds(&mut self, meter: &Meter, now: u64) {
        let capacity = meter.capacity();
        match meter {
            Meter::Rate(_) => {
                self.log.sort_by_key(|taking| std::cmp::Reverse(taking.at));
                let mut sum = 0;
                for taking in &self.log {
                    sum += taking.cost;
                    let span = now.saturating_sub(taking.at) + SLACK;
                    assert!(sum * self.span <= capacity * self.span + span, "{sum} of {meter:?} in {span} ns");
                }
                let gone = self.span * capacity * 4;
                self.log.retain(|taking| taking.at + gone > now);
            }
            Meter::Window(_) => {
                self.log.retain(|taking| taking.at + self.span > now + SLACK);
                let sum: u64 = self.log.iter().map(|taking| taking.cost).sum();
                assert!(sum <= capacity, "{sum} of {meter:?}");
                let remaining = meter.standing(&self.cell, now).remaining;
                assert!(sum + remaining <= capacity, "{sum} are used, and {remaining} left of {meter:?}");
            }
            Meter::Quota(..) => {
                self.log.retain(|taking| taking.day + 2 > self.day);
                let today = self.log.iter().filter(|taking| taking.day == self.day);
                let sum: u64 = today.map(|taking| taking.cost).sum();
                assert!(sum <= capacity, "{sum} of {meter:?} on day {}", self.day);
            }
            Meter::Concurrent { .. } => {
                let in_flight = self.log.len() as u64;
                assert_eq!(in_flight + meter.standing(&self.cell, now).remaining, capacity, "{meter:?}");
            }
        }
    }
}

struct Storm {
    limits: Vec<Stacked>,
    callers: Vec<Caller>,
    now: u64,
    random: Random,
    admitted: u64,
    refused: u64,
}

impl Storm {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let limits = (0..=random.below(4)).map(|_| Stacked::new(&mut random)).collect();
        let callers = (0..2 + random.below(7))
            .map(|_| Caller { doing: Doing::Nothing, now: 0, cost: 0, meters: Vec::new() })
            .collect();
        Self { limits, callers, now: 5 * SECOND + random.below(SECOND), random, admitted: 0, refused: 0 }
    }

    fn is_anybody_deciding(&self) -> bool {
        self.callers.iter().any(|caller| matches!(caller.doing, Doing::Takes(_) | Doing::GivesBack(_)))
    }

    /// Time passes: hardly any while somebody decides, for that takes no longer. Now and then it is almost midnight.
    fn pass(&mut self) {
        if !self.is_anybody_deciding() && self.random.below(8) == 0 {
            let midnight = (self.now / DAY + 1) * DAY;
            self.now = self.now.max(midnight - self.random.below(BEHIND));
        }
        let longest = match self.random.below(40) {
            _ if self.is_anybody_deciding() => 300,
            0 => 2 * SECOND,
            1..=10 => SECOND / 20,
            _ => SECOND / 1000,
        };
        self.now += self.random.below(longest);
    }

    fn step(&mut self, at: usize) {
        let caller = &mut self.callers[at];
        let doing = match caller.doing {
            Doing::Nothing => {
                caller.now = self.now - self.random.below(BEHIND);
                caller.cost = [1, 1, 1, 2, 5, 50][usize::try_from(self.random.below(6)).unwrap()];
                caller.meters.clear();
                Doing::Takes(0)
            }
            Doing::Takes(next) if next == self.limits.len() => {
                self.admitted += 1;
                Doing::Flies
            }
            Doing::Takes(next) => {
                let limit = &mut self.limits[next];
                let meter = limit.meter(caller.now);
                caller.meters.push(meter);
                if limit.take(at, &meter, caller.cost, caller.now) {
                    Doing::Takes(next + 1)
                } else {
                    self.refused += 1;
                    Doing::GivesBack(next)
                }
            }
            Doing::GivesBack(0) => Doing::Nothing,
            Doing::GivesBack(left) => {
                let (limit, meter) = (&mut self.limits[left - 1], caller.meters[left - 1]);
                limit.give_back(at, &meter, caller.cost, caller.now);
                Doing::GivesBack(left - 1)
            }
            // Most of those that fly go on flying.
            Doing::Flies if self.random.below(3) > 0 => Doing::Flies,
            Doing::Flies => {
                self.land(at);
                Doing::Nothing
            }
        };
        self.callers[at].doing = doing;
    }

    /// A call in flight ends: only what counts those is given back.
    fn land(&mut self, at: usize) {
        for limit in &mut self.limits {
            let meter = limit.meter(self.now);
            if matches!(meter, Meter::Concurrent { .. }) {
                limit.give_back(at, &meter, 1, self.now);
                limit.holds(&meter, self.now);
            }
        }
    }

    fn end(mut self) -> (u64, u64) {
        while self.is_anybody_deciding() {
            for at in 0..self.callers.len() {
                if !matches!(self.callers[at].doing, Doing::Nothing | Doing::Flies) {
                    self.step(at);
                }
            }
        }
        for at in 0..self.callers.len() {
            if matches!(self.callers[at].doing, Doing::Flies) {
                self.land(at);
            }
        }
        for limit in &self.limits {
            let later = self.now + 4 * SECOND + limit.span * 100;
            let meter = limit.meter(later);
            assert!(meter.is_idle(&limit.cell, later), "something is left of {meter:?}");
            assert_eq!(meter.standing(&limit.cell, later).remaining, meter.capacity(), "{meter:?}");
        }
        (self.admitted, self.refused)
    }
}

#[test]
fn in_ten_thousand_storms_no_limit_is_exceeded_and_nothing_is_lost() {
    let (mut admitted, mut refused) = (0, 0);
    for seed in 1..=10_000 {
        let mut storm = Storm::new(seed);
        for _ in 0..500 {
            storm.pass();
            let at = usize::try_from(storm.random.below(storm.callers.len() as u64)).unwrap();
            storm.step(at);
        }
        let (more, others) = storm.end();
        (admitted, refused) = (admitted + more, refused + others);
    }
    assert!(admitted > 100_000 && refused > 100_000, "{admitted} were admitted and {refused} refused");
}
