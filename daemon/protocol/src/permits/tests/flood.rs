//! A server with a fixed service time, and callers of two tiers that call again as soon as they were answered: what a
//! paying caller waits for beside a flood, and what either tier gets.

use std::collections::BTreeMap;

use super::*;

/// Microseconds that a call takes.
const SERVICE: u64 = 50_000;
/// To how many of them it is exact.
const TIMER: u64 = 1000;
const CAP: usize = 100;
const LOOK: u64 = 1_000_000;
/// What is counted begins when everybody has been served for a while.
const WARM: u64 = 20 * SERVICE;
const LIGHT: Flow = Flow { tier: 1, weight: 1, client: 1 };

/// Callers of two tiers in closed loops, and what came of their calls.
struct Site {
    permits: Permits,
    line: Line<usize>,
    flows: Vec<Flow>,
    /// What happens when: a caller calls, or its call ends.
    events: BTreeMap<(u64, u64), (usize, bool)>,
    /// The next time at which somebody looks.
    looks: u64,
    number: u64,
    began: Vec<u64>,
    dice: Dice,
    /// How long each call of the heavier tier waited.
    waits: Vec<u64>,
    /// Calls begun of either tier, the light one first.
    begun: [u32; 2],
    busiest: usize,
}

impl Site {
    fn new(heavy: Flow, callers: [usize; 2], seed: u64) -> Self {
        let flows: Vec<_> = [vec![LIGHT; callers[0]], vec![heavy; callers[1]]].concat();
        let mut site = Self {
            permits: Permits::new(CAP),
            line: Line::default(),
            began: vec![0; flows.len()],
            events: BTreeMap::new(),
            looks: LOOK,
            number: 0,
            dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            waits: Vec::new(),
            begun: [0; 2],
            busiest: 0,
            flows,
        };
        // A flood comes at once, and is what a paying caller finds.
        for caller in 0..site.flows.len() {
            let at = if caller < callers[0] { site.below(1000) } else { SERVICE + site.below(SERVICE) };
            site.put(at, caller, false);
        }
        site
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.dice.below(usize::try_from(bound).unwrap()) as u64
    }

    fn put(&mut self, at: u64, caller: usize, ends: bool) {
        self.number += 1;
        self.events.insert((at, self.number), (caller, ends));
    }

    fn run(mut self, until: u64) -> Self {
        while let Some(((now, _), (caller, ends))) = self.events.pop_first()
            && now < until
        {
            if now >= self.looks {
                self.looks += LOOK;
                if self.permits.look() {
                    self.hand_out(now);
                }
            }
            if ends {
                let think = 100 + self.below(200);
                self.put(now + think, caller, false);
                if self.permits.release() == Release::Owed
                    && let Some(heir) = self.permits.hand_over(&mut self.line)
                {
                    self.begin(heir, now);
                }
            } else {
                self.began[caller] = now;
                self.call(caller, now);
            }
            self.busiest = self.busiest.max(self.permits.load().in_flight);
        }
        self
    }

    fn call(&mut self, caller: usize, now: u64) {
        let flow = self.flows[caller];
        if self.permits.try_acquire(flow) {
            return self.begin(caller, now);
        }
        match self.permits.enter(&mut self.line, flow, MAX, || caller) {
            Entry::Admitted => self.begin(caller, now),
            Entry::Waiting { .. } => self.hand_out(now),
            Entry::Full { .. } => panic!("there is room for all"),
        }
    }

    fn hand_out(&mut self, now: u64) {
        while let Some(heir) = self.permits.hand_out(&mut self.line) {
            self.begin(heir, now);
        }
    }

    fn begin(&mut self, caller: usize, now: u64) {
        let is_heavy = self.flows[caller].tier != LIGHT.tier;
        if now > WARM {
            self.begun[usize::from(is_heavy)] += 1;
            if is_heavy {
                self.waits.push(now - self.began[caller]);
            }
        }
        // Servers are a little uneven, or bunches would never dissolve; and their timers are coarse, which makes new ones.
        let ends = now + SERVICE + self.below(SERVICE / 100);
        self.put(ends.next_multiple_of(TIMER), caller, true);
    }

    /// The wait that all but one in so many calls stay below.
    fn all_but_one_in(&mut self, many: usize) -> u64 {
        self.waits.sort_unstable();
        self.waits[self.waits.len() - 1 - self.waits.len() / many]
    }
}

fn heavy(weight: u32) -> Flow {
    Flow { tier: 2, weight, client: 2 }
}

#[test]
fn a_paying_tier_hardly_waits_for_a_flood_that_came_as_one_bunch() {
    let site = |weight, callers, seed| Site::new(heavy(weight), [1500, callers], seed).run(800 * SERVICE);
    // Fewer than a tenth of the permits, and more: then as many are held back as they turn out to need.
    for callers in [8, 16, 20] {
        for seed in 1..=5 {
            let reserved = site(6, callers, seed).all_but_one_in(400);
            let plain = site(1, callers, seed).all_but_one_in(100);
            assert!(reserved * 20 <= SERVICE, "{callers} callers, seed {seed}: {reserved} us with permits held back");
            assert!(plain * 4 >= SERVICE, "{callers} callers, seed {seed}: {plain} us without: this shows nothing");
        }
    }
}

#[test]
fn shares_stay_exact_where_both_tiers_wait() {
    for weight in [2, 3, 6, 40] {
        let site = Site::new(heavy(weight), [1500, 1500], 7).run(400 * SERVICE);
        let share = f64::from(site.begun[0]) / f64::from(site.begun[0] + site.begun[1]) * f64::from(1 + weight);
        assert!((0.99..1.01).contains(&share), "{weight}: {share} of its share");
    }
}

#[test]
fn a_heavy_tier_that_would_fill_the_server_leaves_the_other_its_share() {
    // Between what is open to the light one and all there is: without a bound it would never get a permit again.
    for callers in [91, 95, 99, 100, 120] {
        let site = Site::new(heavy(6), [1500, callers], 3).run(400 * SERVICE);
        let light = f64::from(site.begun[0]) / f64::from(site.begun[0] + site.begun[1]);
        assert!(light * 7.0 > 0.98, "{callers} heavy callers: the light tier has {:.1} %", light * 100.0);
    }
}

#[test]
fn where_one_tier_is_alone_it_has_all_permits() {
    for flow in [LIGHT, heavy(6)] {
        let site = Site::new(flow, [0, 500], 5).run(10 * SERVICE);
        assert_eq!(site.busiest, CAP, "{flow:?}");
    }
    let permits = Permits::new(CAP);
    let take = |flow| std::iter::from_fn(|| permits.try_acquire(flow).then_some(())).count();
    assert_eq!(take(LIGHT), CAP);
    for _ in 0..CAP {
        assert_eq!(permits.release(), Release::Freed);
    }
    assert!(permits.try_acquire(heavy(6)));
    assert_eq!(take(LIGHT), CAP - 1 - 9, "a tenth less its share");
    // Looked at once a second: a minute after its last call the heavy one is gone.
    assert_eq!((0..=reserve::LOOKS).filter(|_| permits.look()).count(), 1);
    assert_eq!(take(LIGHT), 9);
}
