//! Against a model of a server: as fast for `knee` calls at once as for one, and slower in proportion beyond.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a model of small counts"
)]

use super::*;

const BOUNDS: Bounds = Bounds { min: 4, max: 1000, tolerance: 1.5 };

/// xorshift64*, seeded per run.
struct Dice(u64);

impl Dice {
    /// From 0 to 1.
    fn throw(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f64 / f64::from(1 << 24)
    }
}

struct Model {
    knee: f64,
    service: f64,
    /// Callers that want to be served at once.
    demand: f64,
    noise: f64,
    dice: Dice,
}

impl Model {
    /// Runs for some seconds; the mean limit of the last third.
    fn run(&mut self, gradient: &mut Gradient, seconds: u32) -> f64 {
        let mut limits = Vec::new();
        for _ in 0..seconds {
            let in_flight = self.demand.min(gradient.limit() as f64);
            let noise = 1.0 + self.noise * (2.0 * self.dice.throw() - 1.0);
            let latency = self.service * (in_flight / self.knee).max(1.0) * noise;
            let calls = (in_flight / latency).round();
            gradient.observe(Window { calls: calls as u64, time: calls * latency, span: 1.0 });
            assert!((BOUNDS.min..=BOUNDS.max).contains(&gradient.limit()));
            limits.push(gradient.limit() as f64);
        }
        let last = &limits[limits.len() * 2 / 3..];
        last.iter().sum::<f64>() / last.len() as f64
    }
}

fn model(seed: u64) -> Model {
    let dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    Model { knee: 100.0, service: 0.05, demand: 10_000.0, noise: 0.1, dice }
}

#[test]
fn it_finds_the_knee_and_follows_it() {
    for seed in 1..=200 {
        let (mut server, mut gradient) = (model(seed), Gradient::new(BOUNDS));
        for knee in [100.0, 30.0, 300.0, 60.0] {
            server.knee = knee;
            let limit = server.run(&mut gradient, 300);
            assert!(limit >= knee && limit <= 1.9 * knee, "seed {seed}: {limit} for a knee of {knee}");
        }
    }
}

/// During an outage nothing is answered, and so nothing is seen.
#[test]
fn an_outage_moves_nothing() {
    for seed in 1..=200 {
        let (mut server, mut gradient) = (model(seed), Gradient::new(BOUNDS));
        server.run(&mut gradient, 100 + u32::try_from(seed).unwrap_or_default() % 30);
        let (limit, unloaded) = (gradient.limit(), gradient.unloaded());
        for _ in 0..seed {
            gradient.observe(Window { calls: 0, time: 0.0, span: 1.0 });
            assert_eq!((gradient.limit(), gradient.unloaded()), (limit, unloaded), "seed {seed}");
        }
        let after = server.run(&mut gradient, 60);
        assert!((90.0..190.0).contains(&after), "seed {seed}: {after}");
    }
}

#[test]
fn a_server_that_gets_slower_for_good_gets_its_calls_back() {
    for seed in 1..=200 {
        let (mut server, mut gradient) = (model(seed), Gradient::new(BOUNDS));
        server.run(&mut gradient, 200);
        server.service *= 3.0;
        let short = server.run(&mut gradient, 15);
        assert!(short < 100.0, "seed {seed}: at first it looks loaded: {short}");
        let long = server.run(&mut gradient, 300);
        assert!((90.0..190.0).contains(&long), "seed {seed}: {long}");
        server.service /= 3.0;
        let again = server.run(&mut gradient, 300);
        assert!((90.0..190.0).contains(&again), "seed {seed}: {again}");
    }
}

#[test]
fn an_idle_server_keeps_its_limit_and_a_stuck_one_goes_to_the_least() {
    let (mut server, mut gradient) = (model(1), Gradient::new(BOUNDS));
    let before = server.run(&mut gradient, 200);
    server.demand = 3.0;
    let idle = server.run(&mut gradient, 200);
    assert!(idle >= before / 2.0, "{before} before, {idle} with hardly a call");
    for _ in 0..100 {
        gradient.observe(Window { calls: 0, time: 0.0, span: 1.0 });
    }
    assert!(gradient.limit() as f64 >= before / 2.0, "no calls say nothing");
    // Each call takes as long as it may and no longer.
    server.demand = 1000.0;
    server.knee = 0.1;
    assert!(server.run(&mut gradient, 120) < 10.0);
}

#[test]
fn bounds_hold_at_once() {
    let mut gradient = Gradient::new(Bounds { min: 50, max: 10, tolerance: 2.0 });
    assert_eq!((gradient.limit(), gradient.unloaded()), (50, None));
    gradient.set_bounds(Bounds { min: 1, max: 5, tolerance: 2.0 });
    assert_eq!(gradient.limit(), 5);
}
