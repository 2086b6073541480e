//! How many machines a load asks for: advice, one step at a time.
//!
//! Up where processor or memory is above its target, down where both are below half of it. Between two steps, whoever
//! took them, a cooldown passes: a longer one before a step down. Time is passed in and is of one monotonic clock.

use std::time::Duration;

/// What to aim at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Targets {
    /// Share of the processors.
    pub cpu: f64,
    /// Share of the memory.
    pub memory: f64,
    /// The fewest machines.
    pub least: u32,
    /// The most.
    pub most: u32,
    /// Between a step and a step up.
    pub up: Duration,
    /// Between a step and a step down.
    pub down: Duration,
}

/// What is used, as shares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Of the processors.
    pub cpu: f64,
    /// Of the memory.
    pub memory: f64,
}

/// What to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Action {
    /// One more.
    Up,
    /// One less.
    Down,
    /// Nothing.
    #[default]
    Stay,
}

impl Action {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Stay => "stay",
        }
    }
}

/// What to do, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// What to do.
    pub action: Action,
    /// As many machines as would do.
    pub replicas: u32,
    /// Why, as a sentence.
    pub reason: String,
}

/// Remembers when the last step was.
#[derive(Debug, Default)]
pub struct Adviser {
    current: Option<u32>,
    action: Action,
    /// When the last step was advised or taken; at first, when watching began.
    stepped: Option<Duration>,
    /// Whether `stepped` is a step and not the beginning.
    has_stepped: bool,
}

impl Adviser {
    /// What to do at `now` with `current` machines.
    pub fn advise(&mut self, now: Duration, load: Load, current: u32, targets: &Targets) -> Advice {
        let began = *self.stepped.get_or_insert(now);
        if self.current.replace(current).is_some_and(|before| before != current) {
            (self.action, self.stepped, self.has_stepped) = (Action::Stay, Some(now), true);
        }
        let wanted = wanted(load, current, targets);
        let since = now.saturating_sub(self.stepped.unwrap_or(began));
        let cooled = match wanted {
            Action::Up => !self.has_stepped || since >= targets.up,
            Action::Down => since >= targets.down,
            Action::Stay => true,
        };
        if wanted == Action::Stay {
            self.action = Action::Stay;
        } else if wanted != self.action {
            self.action = if cooled { wanted } else { Action::Stay };
            if cooled {
                (self.stepped, self.has_stepped) = (Some(now), true);
            }
        }
        let replicas = match self.action {
            Action::Up => current + 1,
            Action::Down => current - 1,
            Action::Stay => current,
        };
        let waits = self.action != wanted;
        Advice { action: self.action, replicas, reason: reason(load, current, targets, wanted, waits) }
    }
}

fn wanted(load: Load, current: u32, targets: &Targets) -> Action {
    let above = load.cpu > targets.cpu || load.memory > targets.memory;
    let far_below = load.cpu < targets.cpu / 2.0 && load.memory < targets.memory / 2.0;
    match () {
        () if current < targets.least || (above && current < targets.most) => Action::Up,
        () if current > targets.most || (far_below && current > targets.least) => Action::Down,
        () => Action::Stay,
    }
}

fn reason(load: Load, current: u32, targets: &Targets, wanted: Action, waits: bool) -> String {
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let used = format!(
        "CPU is at {} (target {}) and memory at {} (target {})",
        percent(load.cpu),
        percent(targets.cpu),
        percent(load.memory),
        percent(targets.memory)
    );
    let above = load.cpu > targets.cpu || load.memory > targets.memory;
    match wanted {
        _ if waits => format!("{used}; the last step was too short a while ago for another one."),
        Action::Up if current < targets.least => {
            format!("{current} are fewer than the {} that there must be.", targets.least)
        }
        Action::Down if current > targets.most => {
            format!("{current} are more than the {} that there may be.", targets.most)
        }
        Action::Down => format!("{used}: both are below half of their targets."),
        Action::Stay if above => format!("{used}, but there are {current} already, as many as there may be."),
        Action::Up | Action::Stay => format!("{used}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TARGETS: Targets = Targets {
        cpu: 0.7,
        memory: 0.8,
        least: 2,
        most: 10,
        up: Duration::from_secs(300),
        down: Duration::from_secs(600),
    };

    fn at(adviser: &mut Adviser, seconds: u64, cpu: f64, memory: f64, current: u32) -> (&'static str, u32) {
        let advice = adviser.advise(Duration::from_secs(seconds), Load { cpu, memory }, current, &TARGETS);
        (advice.action.word(), advice.replicas)
    }

    #[test]
    fn up_above_a_target_and_down_far_below_both() {
        let mut adviser = Adviser::default();
        assert_eq!(at(&mut adviser, 0, 0.6, 0.6, 3), ("stay", 3));
        assert_eq!(at(&mut adviser, 1, 0.71, 0.1, 3), ("up", 4));
        assert_eq!(at(&mut adviser, 200, 0.75, 0.1, 3), ("up", 4), "for as long as it is so");
        assert_eq!(at(&mut adviser, 201, 0.75, 0.1, 4), ("stay", 4), "the step was taken");
        assert_eq!(at(&mut adviser, 500, 0.1, 0.81, 4), ("stay", 4));
        assert_eq!(at(&mut adviser, 501, 0.1, 0.81, 4), ("up", 5));
        assert_eq!(at(&mut adviser, 502, 0.1, 0.1, 4), ("stay", 4));
        assert_eq!(at(&mut adviser, 1100, 0.34, 0.39, 4), ("stay", 4));
        assert_eq!(at(&mut adviser, 1101, 0.34, 0.39, 4), ("down", 3));
        assert_eq!(at(&mut adviser, 3000, 0.34, 0.41, 4), ("stay", 4), "memory is not below half");
    }

    #[test]
    fn a_gate_that_has_just_started_asks_for_no_less() {
        let mut adviser = Adviser::default();
        assert_eq!(at(&mut adviser, 50, 0.0, 0.0, 5), ("stay", 5));
        assert_eq!(at(&mut adviser, 649, 0.0, 0.0, 5), ("stay", 5));
        assert_eq!(at(&mut adviser, 650, 0.0, 0.0, 5), ("down", 4));
    }

    #[test]
    fn the_reason_has_the_numbers() {
        let mut adviser = Adviser::default();
        let advice = adviser.advise(Duration::ZERO, Load { cpu: 0.934, memory: 0.5 }, 10, &TARGETS);
        assert_eq!(
            advice.reason,
            "CPU is at 93 % (target 70 %) and memory at 50 % (target 80 %), but there are 10 already, as many as there may be."
        );
    }

    proptest! {
        #[test]
        fn one_step_within_the_bounds(steps in prop::collection::vec((0_u64..400, 0.0..1.2, 0.0..1.2), 1..60), begin in 2_u32..=10) {
            let (mut adviser, mut now, mut current) = (Adviser::default(), 0, begin);
            let mut taken: Option<u64> = None;
            for (seconds, cpu, memory) in steps {
                now += seconds;
                let (action, replicas) = at(&mut adviser, now, cpu, memory, current);
                prop_assert!((2..=10).contains(&replicas) && replicas.abs_diff(current) <= 1);
                if replicas != current {
                    let cooldown = if action == "up" { 300 } else { 600 };
                    prop_assert!(taken.is_none_or(|at| now - at >= cooldown));
                    // Whoever follows the advice does so at once, and is asked again.
                    current = replicas;
                    at(&mut adviser, now, cpu, memory, current);
                    taken = Some(now);
                }
            }
        }
    }
}
