//! Agents that go round in circles: the same call again and again, or far more calls than usual.
//! `toolgated` notes every call of a tool here, with the time; calls and clients are numbers that it hashed.
//! Must hold: memory is bounded whatever is called; what was last noted a window ago counts for nothing.

use crate::hashed::Map;

/// From which number on something is done; `None`: never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Levels {
    /// The result says so.
    pub warn: Option<u32>,
    /// The call waits first.
    pub slow: Option<u32>,
    /// The call is refused.
    pub refuse: Option<u32>,
}

/// What is done about a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Nothing.
    #[default]
    Pass,
    /// It is answered with a warning.
    Warn,
    /// It waits first, and is answered with a warning.
    Slow,
    /// It is refused.
    Refuse,
}

impl Levels {
    /// Whether nothing is ever done.
    #[must_use]
    pub fn are_none(&self) -> bool {
        *self == Self::default()
    }

    /// What is done at a number.
    #[must_use]
    pub fn step(&self, number: u32) -> Step {
        let steps = [(self.refuse, Step::Refuse), (self.slow, Step::Slow), (self.warn, Step::Warn)];
        let reached = |level: &(Option<u32>, Step)| level.0.is_some_and(|from| number >= from);
        steps.into_iter().find(reached).map_or(Step::Pass, |(_, step)| step)
    }
}

/// Entries by number, of which those that were not touched for a while are forgotten: two generations, the younger of
/// which becomes the older one after that while, or when it is full.
#[derive(Debug)]
struct Recent<T> {
    young: Map<T>,
    old: Map<T>,
    since: u64,
    most: usize,
}

impl<T: Default> Recent<T> {
    fn new(most: usize) -> Self {
        Self { young: Map::default(), old: Map::default(), since: 0, most: most.max(1) }
    }

    /// The entry of a number, which counts as touched now.
    fn touch(&mut self, number: u64, now: u64, while_: u64) -> &mut T {
        let age = now.saturating_sub(self.since);
        if age >= while_ || (self.young.len() >= self.most && !self.young.contains_key(&number)) {
            self.old = std::mem::take(&mut self.young);
            if age >= while_.saturating_mul(2) {
                self.old = Map::default();
            }
            self.since = now;
        }
        let Self { young, old, .. } = self;
        young.entry(number).or_insert_with(|| old.remove(&number).unwrap_or_default())
    }

    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

/// How often the same call was made lately.
#[derive(Debug)]
pub struct Repeats(Recent<Repeated>);

#[derive(Debug, Default)]
struct Repeated {
    /// When the window began that `now` counts.
    since: u64,
    now: u32,
    /// Of the window before.
    before: u32,
}

impl Repeats {
    /// Remembers twice this many different calls at most.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self(Recent::new(most))
    }

    /// Notes a call, and says how often it was made within `window`, this time included: exactly while it is not made
    /// for longer than that, else as if what the window before had was spread evenly over it.
    pub fn note(&mut self, call: u64, now: u64, window: u64) -> u32 {
        let window = window.max(1);
        let repeated = self.0.touch(call, now, window.saturating_mul(2));
        let mut elapsed = now.saturating_sub(repeated.since);
        if repeated.now == 0 || elapsed >= window.saturating_mul(2) {
            *repeated = Repeated { since: now, ..Repeated::default() };
            elapsed = 0;
        } else if elapsed >= window {
            *repeated = Repeated { since: repeated.since + window, now: 0, before: repeated.now };
            elapsed -= window;
        }
        repeated.now = repeated.now.saturating_add(1);
        let still = u128::from(repeated.before) * u128::from(window - elapsed) / u128::from(window);
        repeated.now.saturating_add(u32::try_from(still).unwrap_or(u32::MAX))
    }

    /// Calls that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Nanoseconds of a minute.
const MINUTE: u64 = 60_000_000_000;
/// Minutes of the past that a client is compared with.
const HOUR: u32 = 60;
/// Minutes that must have passed before a client is compared with them.
const KNOWN: u32 = 10;
/// Calls in a minute below which nothing is unusual.
const FEW: u32 = 60;
/// A mean has three decimal places.
const THOUSAND: u64 = 1000;

/// How much a client calls, against its own last hour.
#[derive(Debug)]
pub struct Surges(Recent<Pace>);

#[derive(Debug, Default)]
struct Pace {
    minute: u64,
    calls: u32,
    /// Mean calls per minute of the minutes before, in thousandths.
    mean: u64,
    minutes: u32,
}

/// A client's minute against its hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surge {
    /// How many times the mean: 0 where nothing is unusual.
    pub times: u32,
    /// Calls in this minute.
    pub calls: u32,
}

impl Surges {
    /// Remembers twice this many clients at most.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self(Recent::new(most))
    }

    /// Notes a client's call, and says how its minute compares.
    pub fn note(&mut self, client: u64, now: u64) -> Surge {
        let pace = self.0.touch(client, now, u64::from(HOUR) * MINUTE);
        pace.turn(now / MINUTE);
        pace.calls = pace.calls.saturating_add(1);
        let calls = pace.calls;
        if calls < FEW || pace.minutes < KNOWN {
            return Surge { times: 0, calls };
        }
        // Who hardly ever called is not ten times as busy at its tenth call.
        let times = u64::from(calls) * THOUSAND / pace.mean.max(THOUSAND);
        Surge { times: u32::try_from(times).unwrap_or(u32::MAX), calls }
    }
}

impl Pace {
    fn turn(&mut self, minute: u64) {
        if self.minutes == 0 && self.calls == 0 {
            self.minute = minute;
        }
        let passed = minute.saturating_sub(self.minute);
        for _ in 0..passed.min(u64::from(HOUR)) {
            let known = self.minutes.min(HOUR - 1);
            let sum = self.mean * u64::from(known) + u64::from(self.calls) * THOUSAND;
            self.mean = sum / u64::from(known + 1);
            self.minutes = self.minutes.saturating_add(1);
            self.calls = 0;
        }
        self.minute = self.minute.max(minute);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const WINDOW: u64 = 60 * SECOND;

    #[test]
    fn each_level_begins_where_it_says() {
        let levels = Levels { warn: Some(3), slow: None, refuse: Some(5) };
        let steps: Vec<_> = (1..7).map(|number| levels.step(number)).collect();
        assert_eq!(steps, [Step::Pass, Step::Pass, Step::Warn, Step::Warn, Step::Refuse, Step::Refuse]);
        assert!(Levels::default().are_none() && Levels::default().step(u32::MAX) == Step::Pass);
    }

    #[test]
    fn the_same_call_is_counted_and_forgotten() {
        let mut repeats = Repeats::new(100);
        let counts: Vec<_> = (0..5).map(|second| repeats.note(1, 1000 * SECOND + second * SECOND, WINDOW)).collect();
        assert_eq!(counts, [1, 2, 3, 4, 5]);
        assert_eq!(repeats.note(2, 1005 * SECOND, WINDOW), 1, "another call");
        // Half of the window before still counts, then nothing of it.
        assert_eq!(repeats.note(1, 1090 * SECOND, WINDOW), 1 + 2);
        assert_eq!(repeats.note(1, 1300 * SECOND, WINDOW), 1);
    }

    #[test]
    fn memory_is_bounded_and_what_goes_on_is_remembered() {
        let mut repeats = Repeats::new(1000);
        for number in 0..100_000 {
            repeats.note(number + 10, SECOND + number, WINDOW);
            if number % 100 == 0 {
                assert_eq!(repeats.note(1, SECOND + number, WINDOW), u32::try_from(number / 100).unwrap() + 1);
            }
            assert!(repeats.len() <= 2000);
        }
        repeats.note(1, 1000 * SECOND, WINDOW);
        repeats.note(1, 2000 * SECOND, WINDOW);
        assert_eq!(repeats.len(), 1);
    }

    #[test]
    fn a_client_is_compared_with_its_own_hour() {
        let mut surges = Surges::new(100);
        let mut minute = |minute: u64, calls: u64| {
            (0..calls).map(|call| surges.note(7, (100 + minute) * MINUTE + call)).last().unwrap()
        };
        assert_eq!(minute(0, 500).times, 0, "nobody knows it yet");
        for number in 1..30 {
            assert!(minute(number, 20).times <= 1);
        }
        // (500 + 29 * 20) / 30 per minute.
        assert_eq!(minute(30, 1080), Surge { times: 30, calls: 1080 });
        assert_eq!(minute(31, 59).times, 0);
        // After two hours of silence its mean is nothing, and still not less than one call per minute.
        assert_eq!(minute(152, 59).times, 0);
    }

    proptest! {
        #[test]
        fn a_count_lies_between_those_of_one_and_two_windows(
            steps in prop::collection::vec(0..30 * SECOND, 1..200),
        ) {
            let mut repeats = Repeats::new(10);
            let (mut now, mut times) = (SECOND, Vec::new());
            for step in steps {
                now += step;
                times.push(now);
                let count = repeats.note(1, now, WINDOW) as usize;
                let within = |span: u64| times.iter().filter(|at| **at + span > now).count();
                prop_assert!(count <= within(2 * WINDOW), "{} of {}", count, within(2 * WINDOW));
                prop_assert!(count >= 1);
            }
        }

        #[test]
        fn no_times_panic(steps in prop::collection::vec((any::<u64>(), 0..5_u64), 1..100)) {
            let (mut repeats, mut surges) = (Repeats::new(2), Surges::new(2));
            for (now, key) in steps {
                prop_assert!(repeats.note(key, now, now / 3) >= 1);
                surges.note(key, now);
                prop_assert!(repeats.len() <= 4);
            }
        }
    }
}
