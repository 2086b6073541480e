//! What each rule does, and ten thousand schedules of calls, probes, leaving clients and operators.

use super::*;

fn rules() -> Rules {
    Rules {
        failures: Some(3),
        failure_rate: None,
        slow: 100,
        slow_rate: None,
        window: 10_000,
        min_calls: 10,
        open_for: 1000,
        max_open: 8000,
    }
}

fn pass(breaker: &Breaker, now: u64) -> Pass {
    match breaker.admit(now) {
        Verdict::Pass(pass) => pass,
        refused @ Verdict::Refused { .. } => panic!("{refused:?} at {now}"),
    }
}

fn refused(breaker: &Breaker, now: u64) -> Option<u64> {
    match breaker.admit(now) {
        Verdict::Refused { millis } => millis,
        Verdict::Pass(_) => panic!("let through at {now}"),
    }
}

fn call(breaker: &Breaker, rules: &Rules, outcome: Outcome, now: u64) -> Option<Change> {
    let pass = pass(breaker, now);
    breaker.record(rules, &pass, outcome, now)
}

const GOOD: Outcome = Outcome::Answered { millis: 1 };
const SLOW: Outcome = Outcome::Answered { millis: 100 };

#[test]
fn failures_in_a_row_open_it_and_a_success_between_does_not() {
    let (breaker, rules) = (Breaker::new(1), rules());
    for outcome in [Outcome::Failed, Outcome::Failed, GOOD, Outcome::Failed, Outcome::Failed] {
        assert_eq!(call(&breaker, &rules, outcome, 5), None);
    }
    let Some(Change::Opened { cause: Cause::InARow(3), millis }) = call(&breaker, &rules, Outcome::Failed, 5) else {
        panic!()
    };
    assert!((900..=1000).contains(&millis));
    assert_eq!(refused(&breaker, 5), Some(millis));
    assert_eq!(refused(&breaker, 4 + millis), Some(1));
    let glance = breaker.glance(5);
    assert_eq!((glance.state, glance.cause, glance.opened), (State::Open, Some(Cause::InARow(3)), 1));
}

#[test]
fn the_wait_doubles_up_to_its_cap_and_a_good_probe_ends_it() {
    let (breaker, rules) = (Breaker::new(1), Rules { failures: Some(1), ..rules() });
    let mut now = 0;
    for wait in [1000, 2000, 4000, 8000, 8000] {
        let Some(Change::Opened { millis, .. }) = call(&breaker, &rules, Outcome::Failed, now) else { panic!() };
        assert!((wait * 9 / 10..=wait).contains(&millis), "{millis} for {wait}");
        now += millis;
    }
    let probe = pass(&breaker, now);
    assert!(probe.is_probe());
    assert_eq!(refused(&breaker, now), Some(WHILE_PROBING), "one at a time");
    assert_eq!(breaker.would_admit(now), Err(Some(WHILE_PROBING)));
    assert_eq!(breaker.record(&rules, &probe, GOOD, now), Some(Change::Closed));
    let Some(Change::Opened { millis, .. }) = call(&breaker, &rules, Outcome::Failed, now) else { panic!() };
    assert!(millis <= 1000, "the past is forgotten");
}

#[test]
fn one_that_goes_on_for_another_knows_what_that_knew_and_probes_for_itself() {
    let rules = rules();
    let after = |before: &Breaker| {
        let after = Breaker::new(2);
        after.go_on(before);
        after
    };
    let before = Breaker::new(1);
    for _ in 0..2 {
        assert_eq!(call(&before, &rules, Outcome::Failed, 5), None);
    }
    // The third in a row, wherever it is counted.
    let breaker = after(&before);
    let Some(Change::Opened { cause, millis }) = call(&breaker, &rules, Outcome::Failed, 5) else { panic!() };
    let breaker = after(&breaker);
    assert_eq!(refused(&breaker, 5), Some(millis));
    assert_eq!((breaker.glance(5).cause, breaker.glance(5).opened), (Some(cause), 1));
    let probe = pass(&breaker, 5 + millis);
    let other = after(&breaker);
    assert!(pass(&other, 5 + millis).is_probe() && probe.is_probe());
    assert_eq!(breaker.record(&rules, &probe, GOOD, 5 + millis), Some(Change::Closed));
    assert_eq!(other.glance(5 + millis).state, State::HalfOpen, "one's probe is not the other's");
    breaker.force_open();
    assert_eq!(refused(&after(&breaker), 5), None);
    breaker.force_closed();
    assert_eq!(after(&breaker).glance(5).state, State::ForcedClosed);
}

#[test]
fn shares_open_it_from_a_minimum_of_calls_on() {
    let rules = Rules { failures: None, failure_rate: Some(50), slow_rate: Some(80), ..rules() };
    let breaker = Breaker::new(1);
    for number in 0..9 {
        let outcome = if number % 2 == 0 { Outcome::Failed } else { GOOD };
        assert_eq!(call(&breaker, &rules, outcome, number), None);
    }
    assert!(matches!(
        call(&breaker, &rules, Outcome::Failed, 9),
        Some(Change::Opened { cause: Cause::Failed(60), .. })
    ));

    let breaker = Breaker::new(1);
    for number in 0..9 {
        assert_eq!(call(&breaker, &rules, SLOW, number), None);
    }
    let Some(Change::Opened { cause: Cause::Slow(100), millis }) = call(&breaker, &rules, SLOW, 9) else { panic!() };
    // A slow probe proves nothing.
    assert!(matches!(call(&breaker, &rules, SLOW, 9 + millis), Some(Change::Opened { cause: Cause::SlowProbe, .. })));
}

#[test]
fn what_is_older_than_the_window_does_not_count() {
    let rules = Rules { failures: None, failure_rate: Some(50), ..rules() };
    let breaker = Breaker::new(1);
    (0..9).for_each(|_| assert_eq!(call(&breaker, &rules, Outcome::Failed, 0), None));
    assert_eq!(call(&breaker, &rules, Outcome::Failed, 10_000), None);
    assert_eq!(breaker.glance(10_000).state, State::Closed);
}

#[test]
fn a_call_of_an_earlier_period_says_nothing() {
    let (breaker, rules) = (Breaker::new(1), Rules { failures: Some(1), ..rules() });
    let late = pass(&breaker, 0);
    let later = pass(&breaker, 0);
    let Some(Change::Opened { millis, .. }) = call(&breaker, &rules, Outcome::Failed, 0) else { panic!() };
    assert_eq!(breaker.record(&rules, &late, GOOD, 1), None);
    assert_eq!(call(&breaker, &rules, GOOD, millis), Some(Change::Closed));
    assert_eq!(breaker.record(&rules, &later, Outcome::Failed, millis), None);
    assert_eq!(breaker.glance(millis).state, State::Closed);
}

#[test]
fn what_the_operator_forces_stays() {
    let (breaker, rules) = (Breaker::new(1), Rules { failures: Some(1), ..rules() });
    let before = pass(&breaker, 0);
    breaker.force_open();
    assert_eq!(refused(&breaker, u64::MAX), None);
    assert_eq!(breaker.record(&rules, &before, GOOD, 0), None);
    breaker.force_closed();
    for _ in 0..10 {
        assert_eq!(call(&breaker, &rules, Outcome::Failed, 0), None);
    }
    breaker.reset();
    assert!(call(&breaker, &rules, Outcome::Failed, 0).is_some());
    breaker.reset();
    assert_eq!(breaker.glance(0).state, State::Closed);
}

#[test]
fn threads_never_probe_together() {
    use std::sync::atomic::AtomicUsize;

    let (breaker, rules) = (Breaker::new(1), Rules { failures: Some(1), open_for: 0, max_open: 0, ..rules() });
    call(&breaker, &rules, Outcome::Failed, 0);
    let (out, probes) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (breaker, rules, out, probes) = (&breaker, &rules, &out, &probes);
            scope.spawn(move || {
                for number in 0..20_000 {
                    let Verdict::Pass(pass) = breaker.admit(0) else { continue };
                    assert!(pass.is_probe(), "it never closes here");
                    assert_eq!(out.fetch_add(1, Ordering::SeqCst), 0, "two probes at once");
                    std::thread::yield_now();
                    out.fetch_sub(1, Ordering::SeqCst);
                    probes.fetch_add(1, Ordering::Relaxed);
                    if (number + thread) % 2 == 0 {
                        breaker.abandon(&pass);
                    } else {
                        breaker.record(rules, &pass, Outcome::Failed, 0);
                    }
                }
            });
        }
    });
    assert!(probes.load(Ordering::Relaxed) > 1000, "{probes:?}");
}

/// One schedule: calls begin, end well or badly or slowly, are dropped, and an operator meddles.
struct Schedule {
    breaker: Breaker,
    rules: Rules,
    chance: Chance,
    now: u64,
    running: Vec<Pass>,
    /// Failures since anything that speaks for the server, in this period.
    row: u32,
    forced: Option<State>,
}

impl Schedule {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let mut some = |most: u64| (chance.below(3) > 0).then(|| 1 + chance.below(most));
        let rules = Rules {
            failures: some(8).map(|most| u32::try_from(most).unwrap()),
            failure_rate: some(100),
            slow_rate: some(100),
            open_for: some(2000).unwrap_or(1),
            max_open: some(20_000).unwrap_or(1),
            window: some(20_000).unwrap_or(10),
            min_calls: some(20).unwrap_or(1),
            slow: 100,
        };
        let breaker = Breaker::new(chance.random());
        Self { breaker, rules, chance, now: 0, running: Vec::new(), row: 0, forced: None }
    }

    fn step(&mut self) {
        self.now += self.chance.below(300);
        match self.chance.below(40) {
            0 => self.operate(),
            1..=18 => self.begin(),
            _ => self.end(),
        }
        let glance = self.breaker.glance(self.now);
        if let Some(forced) = self.forced {
            assert_eq!(glance.state, forced, "what is forced stays");
        }
        let probes = self.probes();
        assert!(probes <= 1, "half-open lets two through");
        assert_eq!(glance.state == State::HalfOpen, probes == 1, "a probe that is gone frees its place");
        let cap = self.rules.max_open.max(self.rules.open_for);
        assert!(glance.millis.is_none_or(|millis| millis <= cap), "{glance:?} is open for longer than {cap}");
    }

    /// Probes of this period: those of earlier ones were overtaken by the operator.
    fn probes(&self) -> usize {
        let current = period(self.breaker.word.load(Ordering::Relaxed));
        self.running.iter().filter(|pass| pass.probe && pass.period == current).count()
    }

    fn operate(&mut self) {
        self.row = 0;
        self.forced = match self.chance.below(4) {
            0 => {
                self.breaker.force_open();
                Some(State::ForcedOpen)
            }
            1 => {
                self.breaker.force_closed();
                Some(State::ForcedClosed)
            }
            _ => {
                self.breaker.reset();
                None
            }
        };
    }

    fn begin(&mut self) {
        let (before, foretold) = (self.breaker.glance(self.now), self.breaker.would_admit(self.now));
        match self.breaker.admit(self.now) {
            Verdict::Pass(pass) => {
                assert_eq!(foretold, Ok(()));
                let due = before.millis == Some(0);
                assert!(due == pass.is_probe() && (due || matches!(before.state, State::Closed | State::ForcedClosed)));
                self.running.push(pass);
            }
            Verdict::Refused { millis } => {
                assert_eq!(foretold, Err(millis));
                assert_eq!(millis.is_none(), self.forced == Some(State::ForcedOpen));
                assert!(!matches!(before.state, State::Closed | State::ForcedClosed));
            }
        }
    }

    fn end(&mut self) {
        if self.running.is_empty() {
            return;
        }
        let at = self.chance.below(self.running.len() as u64);
        let pass = self.running.swap_remove(usize::try_from(at).unwrap());
        let current = pass.period == period(self.breaker.word.load(Ordering::Relaxed));
        let state = self.breaker.glance(self.now).state;
        let outcome = match self.chance.below(4) {
            0 => return self.breaker.abandon(&pass),
            1 => Outcome::Failed,
            2 => SLOW,
            _ => GOOD,
        };
        let change = self.breaker.record(&self.rules, &pass, outcome, self.now);
        if !current || self.forced.is_some() {
            assert_eq!(change, None, "it does not count");
            return;
        }
        self.row = if outcome == Outcome::Failed && change.is_none() { self.row + 1 } else { 0 };
        if state == State::HalfOpen {
            assert!(change.is_some(), "a probe decides");
        }
        assert!(self.rules.failures.is_none_or(|most| self.row < most), "it must have opened by now");
    }

    /// Every schedule ends in a breaker that lets calls through once the server answers and nobody forces it.
    fn recovers(mut self) {
        self.running.drain(..).for_each(|pass| self.breaker.abandon(&pass));
        if self.forced.is_some() {
            self.breaker.reset();
        }
        self.now += self.rules.max_open.max(self.rules.open_for);
        let probe = pass(&self.breaker, self.now);
        self.breaker.record(&self.rules, &probe, GOOD, self.now);
        assert_eq!(self.breaker.glance(self.now).state, State::Closed);
    }
}

#[test]
fn ten_thousand_schedules_break_no_rule() {
    for seed in 0..10_000 {
        let mut schedule = Schedule::new(seed);
        (0..200).for_each(|_| schedule.step());
        schedule.recovers();
    }
}
