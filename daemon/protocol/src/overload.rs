//! When a gate that has too much to do lets go of what, and when it takes it up again.
//!
//! A machine over readings: what is used of each resource, as a share of what is allowed. A step up follows after a
//! while above, a step down after a longer while well below; between the two nothing changes, so that no step is taken
//! back by what it brought. Time is passed in and is of one monotonic clock.

use std::time::Duration;

/// Too much for this long is a step up.
pub const RISE: Duration = Duration::from_secs(3);

/// Little enough for this long is a step down.
pub const FALL: Duration = Duration::from_secs(10);

/// Little enough is this share of what is allowed.
const EASE: f64 = 0.9;

/// The highest level. Each beyond [`Step::Shrink`] shrinks once more.
pub const HIGHEST: u8 = 6;

/// What may run out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Processor time of the gate, of what it may use.
    Cpu,
    /// Memory of the gate, of what it may use.
    Memory,
    /// Open descriptors, of what it may open.
    Descriptors,
    /// How long a task that is ready waits for its core.
    Lag,
    /// How long the call has waited that waits for longest.
    QueueAge,
}

impl Resource {
    const ALL: [Self; 5] = [Self::Cpu, Self::Memory, Self::Descriptors, Self::Lag, Self::QueueAge];

    /// Its name in a sentence.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::Memory => "memory",
            Self::Descriptors => "descriptors",
            Self::Lag => "event-loop lag",
            Self::QueueAge => "queue age",
        }
    }

    /// Whether its readings are shares; else they are seconds.
    #[must_use]
    pub fn is_share(self) -> bool {
        matches!(self, Self::Cpu | Self::Memory | Self::Descriptors)
    }
}

/// One number per resource; `None` where it is not known, or not looked at. Shares of 1, or seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Numbers {
    /// [`Resource::Cpu`]
    pub cpu: Option<f64>,
    /// [`Resource::Memory`]
    pub memory: Option<f64>,
    /// [`Resource::Descriptors`]
    pub descriptors: Option<f64>,
    /// [`Resource::Lag`]
    pub lag: Option<f64>,
    /// [`Resource::QueueAge`]
    pub queue_age: Option<f64>,
}

impl Numbers {
    /// The number of one.
    #[must_use]
    pub fn of(&self, resource: Resource) -> Option<f64> {
        match resource {
            Resource::Cpu => self.cpu,
            Resource::Memory => self.memory,
            Resource::Descriptors => self.descriptors,
            Resource::Lag => self.lag,
            Resource::QueueAge => self.queue_age,
        }
    }
}

/// The resource that presses most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pressure {
    /// Which.
    pub resource: Resource,
    /// What is used.
    pub used: f64,
    /// What is allowed.
    pub allowed: f64,
}

impl Pressure {
    /// Which of those that have both numbers presses most.
    #[must_use]
    pub fn of(used: &Numbers, allowed: &Numbers) -> Option<Self> {
        let pressure = |resource| Some(Self { resource, used: used.of(resource)?, allowed: allowed.of(resource)? });
        Resource::ALL.into_iter().filter_map(pressure).max_by(|one, other| one.share().total_cmp(&other.share()))
    }

    fn share(self) -> f64 {
        self.used / self.allowed.max(f64::MIN_POSITIVE)
    }
}

/// What is let go of. Each step includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Nothing.
    Normal,
    /// New sessions are refused.
    Sessions,
    /// Calls of the lowest tier are refused.
    Lowest,
    /// Servers are given fewer calls at once.
    Shrink,
}

impl Step {
    /// The step of a level.
    #[must_use]
    pub fn of(level: u8) -> Self {
        match level {
            0 => Self::Normal,
            1 => Self::Sessions,
            2 => Self::Lowest,
            _ => Self::Shrink,
        }
    }
}

/// What of their calls at once servers have left at a level, where each of its steps leaves `shrink`.
#[must_use]
pub fn share(level: u8, shrink: f64) -> f64 {
    shrink.powi(i32::from(level.saturating_sub(2)))
}

/// Where a gate stands.
#[derive(Debug, Clone, Default)]
pub struct Overload {
    level: u8,
    /// Since when there is too much, or little enough.
    above: Option<Duration>,
    below: Option<Duration>,
}

impl Overload {
    /// 0, or how far it has gone.
    #[must_use]
    pub fn level(&self) -> u8 {
        self.level
    }

    /// Takes the pressure of this moment; says whether the level is another one now.
    pub fn observe(&mut self, now: Duration, pressure: Option<Pressure>) -> bool {
        let share = pressure.map_or(0.0, Pressure::share);
        let since = |held: Option<Duration>, holds: bool| holds.then_some(held.unwrap_or(now));
        self.above = since(self.above, share >= 1.0);
        self.below = since(self.below, share < EASE);
        let lasts = |since: Option<Duration>, span| since.is_some_and(|since| now.saturating_sub(since) >= span);
        let level = if lasts(self.above, RISE) {
            (self.level + 1).min(HIGHEST)
        } else if lasts(self.below, FALL) {
            self.level.saturating_sub(1)
        } else {
            return false;
        };
        // The next step needs as long again.
        self.above = self.above.map(|_| now);
        self.below = self.below.map(|_| now);
        std::mem::replace(&mut self.level, level) != level
    }
}

#[cfg(test)]
mod tests;
