//! The rules one by one, and a simulation of many calls on many cores, interleaved at every atomic step.

mod flood;

use super::*;

const ANYBODY: Flow = Flow { tier: 0, weight: 1, client: 0 };

#[test]
fn a_waiter_is_never_overtaken() {
    let (permits, mut line) = (Permits::new(1), Line::default());
    assert!(permits.try_acquire(ANYBODY));
    assert_eq!(permits.load(), Load { in_flight: 1, waiting: 0, cap: 1 });
    for waiter in [1, 2] {
        assert!(matches!(permits.enter(&mut line, ANYBODY, 9, || waiter), Entry::Waiting { .. }));
    }
    assert_eq!(permits.release(), Release::Owed);
    assert!(!permits.try_acquire(ANYBODY), "a permit on its way to a waiter is not free");
    assert_eq!(permits.hand_over(&mut line), Some(1));
    assert_eq!(permits.release(), Release::Owed);
    assert_eq!(permits.hand_over(&mut line), Some(2));
    assert_eq!(permits.release(), Release::Freed);
    assert_eq!(permits.load(), Load { in_flight: 0, waiting: 0, cap: 1 });
}

#[test]
fn a_full_line_refuses_and_an_empty_one_admits() {
    let (permits, mut line) = (Permits::new(1), Line::default());
    assert_eq!(permits.enter(&mut line, ANYBODY, 0, || ()), Entry::Admitted);
    assert_eq!(permits.enter(&mut line, ANYBODY, 0, || ()), Entry::Full { waiting: 0 });
    assert!(matches!(permits.enter(&mut line, ANYBODY, 1, || ()), Entry::Waiting { .. }));
    assert_eq!(permits.enter(&mut line, ANYBODY, 1, || ()), Entry::Full { waiting: 1 });
}

#[test]
fn one_who_leaves_frees_the_place_and_not_the_permit() {
    let (permits, mut line) = (Permits::new(1), Line::default());
    assert!(permits.try_acquire(ANYBODY));
    let Entry::Waiting { ticket, .. } = permits.enter(&mut line, ANYBODY, 1, || 'a') else { panic!() };
    let owed = permits.release();
    assert_eq!(permits.leave(&mut line, ticket), Some('a'));
    assert_eq!(permits.leave(&mut line, ticket), None);
    assert_eq!((owed, permits.hand_over(&mut line)), (Release::Owed, None));
    assert_eq!(permits.load(), Load { in_flight: 0, waiting: 0, cap: 1 });
}

#[test]
fn whoever_is_taken_out_holds_nobody_up() {
    let (permits, mut line) = (Permits::new(1), Line::default());
    assert!(permits.try_acquire(ANYBODY));
    for (waiter, client) in [(1, 7), (2, 8), (3, 7)] {
        let flow = Flow { client, ..ANYBODY };
        assert!(matches!(permits.enter(&mut line, flow, 9, || waiter), Entry::Waiting { .. }));
    }
    assert_eq!((line.waiting_of(7), permits.purge(&mut line, Some(7))), (2, vec![1, 3]));
    assert_eq!(permits.load(), Load { in_flight: 1, waiting: 1, cap: 1 });
    let owed = permits.release();
    assert_eq!(permits.purge(&mut line, None), [2]);
    assert_eq!((owed, permits.hand_over(&mut line)), (Release::Owed, None));
    assert_eq!(permits.load(), Load { in_flight: 0, waiting: 0, cap: 1 });
}

#[test]
fn the_cap_changes_under_way() {
    let (permits, mut line) = (Permits::new(2), Line::default());
    assert!(permits.try_acquire(ANYBODY) && permits.try_acquire(ANYBODY));
    for waiter in 0..3 {
        assert!(matches!(permits.enter(&mut line, ANYBODY, 9, || waiter), Entry::Waiting { .. }));
    }
    permits.set_cap(1);
    assert_eq!(permits.release(), Release::Freed, "above the cap nobody inherits");
    assert_eq!(permits.hand_out(&mut line), None);
    permits.set_cap(3);
    assert_eq!((permits.hand_out(&mut line), permits.hand_out(&mut line)), (Some(0), Some(1)));
    assert_eq!(permits.hand_out(&mut line), None);
    assert_eq!(permits.load(), Load { in_flight: 3, waiting: 1, cap: 3 });
}

#[test]
fn a_cap_of_zero_admits_nobody_and_the_largest_fits() {
    assert!(!Permits::new(0).try_acquire(ANYBODY));
    assert_eq!(Permits::new(usize::MAX).load().cap, MAX);
}

/// What a call does next. Every variant ends at the next atomic step or locked section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Arrives,
    Queues,
    Waits(Ticket),
    Holds,
    /// Its permit is on its way to somebody else.
    Owes,
    Ended,
}

/// xorshift64*, seeded per schedule.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize;
        high % bound
    }
}

struct World {
    permits: Permits,
    line: Line<usize>,
    calls: Vec<Call>,
    flows: Vec<Flow>,
    displaced: usize,
    max: usize,
    /// Lowered once below: calls in flight may then exceed the cap until they end.
    ceiling: usize,
    refused: usize,
    served: usize,
}

impl World {
    fn step(&mut self, at: usize, dice: &mut Dice) {
        self.calls[at] = match self.calls[at] {
            Call::Arrives if self.permits.try_acquire(self.flows[at]) => Call::Holds,
            Call::Arrives => Call::Queues,
            Call::Queues => match self.permits.enter(&mut self.line, self.flows[at], self.max, || at) {
                Entry::Admitted => Call::Holds,
                Entry::Waiting { ticket, displaced } => {
                    if let Some(victim) = displaced {
                        assert!(matches!(self.calls[victim], Call::Waits(_)), "the displaced one does not wait");
                        self.calls[victim] = Call::Ended;
                        self.refused += 1;
                        self.displaced += 1;
                    }
                    self.calls[at] = Call::Waits(ticket);
                    self.hand_out();
                    self.calls[at]
                }
                Entry::Full { .. } => {
                    self.refused += 1;
                    Call::Ended
                }
            },
            // Most wait; one in eight turns is a deadline or a client that went away.
            Call::Waits(ticket) if dice.below(8) == 0 => match self.permits.leave(&mut self.line, ticket) {
                Some(_) => {
                    self.refused += 1;
                    Call::Ended
                }
                None => Call::Waits(ticket),
            },
            Call::Holds => {
                self.served += 1;
                match self.permits.release() {
                    Release::Freed => Call::Ended,
                    Release::Owed => Call::Owes,
                }
            }
            Call::Owes => {
                if let Some(heir) = self.permits.hand_over(&mut self.line) {
                    assert!(matches!(self.calls[heir], Call::Waits(_)), "the heir does not wait");
                    self.calls[heir] = Call::Holds;
                }
                Call::Ended
            }
            other => other,
        };
    }

    fn set_cap(&mut self, cap: usize) {
        self.ceiling = self.ceiling.max(cap);
        self.permits.set_cap(cap);
        self.hand_out();
    }

    fn look(&mut self) {
        if self.permits.look() {
            self.hand_out();
        }
    }

    fn hand_out(&mut self) {
        while let Some(heir) = self.permits.hand_out(&mut self.line) {
            assert!(matches!(self.calls[heir], Call::Waits(_)), "the heir does not wait");
            self.calls[heir] = Call::Holds;
        }
    }

    fn check(&self) {
        let load = self.permits.load();
        let held = self.calls.iter().filter(|call| matches!(call, Call::Holds | Call::Owes)).count();
        let waiting = self.calls.iter().filter(|call| matches!(call, Call::Waits(_))).count();
        assert_eq!(load.in_flight, held, "a permit is lost or invented");
        assert_eq!((load.waiting, self.line.len()), (waiting, waiting), "the line and the word differ");
        assert!(load.in_flight <= self.ceiling && load.waiting <= self.max, "a bound is exceeded");
        let owed = self.calls.contains(&Call::Owes);
        let open = self.line.heaviest().map_or(0, |weight| load.cap - self.permits.held_back(weight));
        assert!(waiting == 0 || load.in_flight >= open || owed, "somebody waits while a permit is open to the line");
    }
}

#[test]
fn ten_thousand_schedules_lose_no_permit() {
    let (mut served, mut refused, mut displaced) = (0, 0, 0);
    for seed in 1..=10_000_u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        // From ten permits on some are held back.
        let least = if dice.below(4) == 0 { 10 } else { 1 };
        let (cap, max) = (least + dice.below(4), dice.below(6));
        let calls = 1 + dice.below(14) + 2 * least;
        let flow = |dice: &mut Dice| {
            let tier = dice.below(3) as u64;
            Flow { tier, weight: [1, 3, 7][dice.below(3)], client: 10 * tier + dice.below(3) as u64 }
        };
        let flows = (0..calls).map(|_| flow(&mut dice)).collect();
        let mut world = World {
            permits: Permits::new(cap),
            line: Line::default(),
            calls: vec![Call::Arrives; calls],
            flows,
            displaced: 0,
            max,
            ceiling: cap,
            refused: 0,
            served: 0,
        };
        let mut turns = 0;
        while world.calls.iter().any(|call| *call != Call::Ended) {
            let at = dice.below(world.calls.len());
            world.step(at, &mut dice);
            if dice.below(16) == 0 {
                world.set_cap(least + dice.below(4));
            }
            if dice.below(2) == 0 {
                world.look();
            }
            world.check();
            turns += 1;
            assert!(turns < 100_000, "seed {seed}: a call never ends");
        }
        assert_eq!(world.served + world.refused, world.calls.len(), "seed {seed}");
        let load = world.permits.load();
        assert_eq!((load.in_flight, load.waiting), (0, 0), "seed {seed}");
        served += world.served;
        refused += world.refused;
        displaced += world.displaced;
    }
    assert!(
        served > 10_000 && refused > 1_000 && displaced > 500,
        "the schedules are too tame: {served} served, {refused} refused, {displaced} of them displaced"
    );
}
