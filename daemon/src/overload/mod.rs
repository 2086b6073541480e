//! A gate that has too much to do: how far it has gone in letting go, read by every call in one relaxed load.
//!
//! `lifecycle::pulse` reads the numbers and moves the level as `protocol::overload` decides; `stages::shed` asks here.

pub mod readings;

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use toolgate_protocol::overload::{Numbers, Pressure, Step, share};

use crate::config::settings;

/// How far the gate has gone.
#[derive(Debug, Default)]
pub struct Overload {
    level: AtomicU8,
    told: ArcSwapOption<Told>,
}

/// What an operator is told while the level is not 0.
#[derive(Debug)]
pub struct Told {
    /// The level.
    pub level: u8,
    /// Since when it is this one.
    pub since: Instant,
    /// What presses, and how hard.
    pub reason: String,
}

impl Overload {
    /// What is let go of now.
    pub fn step(&self) -> Step {
        Step::of(self.level.load(Ordering::Relaxed))
    }

    /// What of their calls at once servers have left.
    pub fn share(&self, settings: Option<&settings::Overload>) -> f64 {
        let level = self.level.load(Ordering::Relaxed);
        settings.map_or(1.0, |settings| share(level, hundredths(settings.shrink)))
    }

    /// What to tell of it.
    pub fn told(&self) -> Option<std::sync::Arc<Told>> {
        self.told.load_full()
    }

    /// Takes over another level. `pressure` is why.
    pub fn set(&self, level: u8, pressure: Option<Pressure>) {
        self.level.store(level, Ordering::Relaxed);
        let reason = pressure.map_or_else(|| "it eases".to_owned(), reason);
        let told = Told { level, since: Instant::now(), reason };
        self.told.store((level > 0).then(|| std::sync::Arc::new(told)));
    }
}

impl Told {
    /// A finished sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!("overload: {}; {}", self.reason, words(Step::of(self.level)))
    }
}

/// From where on there is too much of what.
#[must_use]
pub fn allowed(settings: &settings::Overload) -> Numbers {
    Numbers {
        cpu: Some(hundredths(settings.cpu)),
        memory: Some(hundredths(settings.memory)),
        descriptors: Some(hundredths(settings.descriptors)),
        lag: Some(settings.lag.as_secs_f64()),
        queue_age: settings.queue_age.map(|age| age.as_secs_f64()),
    }
}

/// A percentage as a share.
#[expect(clippy::cast_precision_loss, reason = "percentages are small")]
pub fn hundredths(percent: u64) -> f64 {
    percent as f64 / 100.0
}

/// What a step does, in words.
#[must_use]
pub fn words(step: Step) -> &'static str {
    match step {
        Step::Normal => "everything is served",
        Step::Sessions => "new sessions are refused",
        Step::Lowest => "new sessions and calls of the lowest tier are refused",
        Step::Shrink => "new sessions and calls of the lowest tier are refused, and servers get fewer calls at once",
    }
}

/// `CPU 93 % of 80 %`
fn reason(pressure: Pressure) -> String {
    let Pressure { resource, used, allowed } = pressure;
    if resource.is_share() {
        format!("{} at {:.0} %, allowed are {:.0} %", resource.word(), used * 100.0, allowed * 100.0)
    } else {
        format!("{} {:.0} ms, allowed are {:.0} ms", resource.word(), used * 1000.0, allowed * 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use toolgate_protocol::overload::Resource;

    use super::*;

    #[test]
    fn what_is_told_names_the_reason_and_the_step() {
        let overload = Overload::default();
        assert!(overload.told().is_none());
        let pressure = Pressure { resource: Resource::Cpu, used: 0.934, allowed: 0.8 };
        overload.set(2, Some(pressure));
        assert_eq!(overload.step(), Step::Lowest);
        assert_eq!(
            overload.told().unwrap().sentence(),
            "overload: CPU at 93 %, allowed are 80 %; new sessions and calls of the lowest tier are refused"
        );
        overload.set(0, None);
        assert!(overload.told().is_none() && overload.step() == Step::Normal);
        let lag = Pressure { resource: Resource::Lag, used: 0.25, allowed: 0.1 };
        assert_eq!(reason(lag), "event-loop lag 250 ms, allowed are 100 ms");
    }
}
