//! Limits that an operator set to another number for a time: until it is over, or is reverted.
//!
//! The admin sockets come here; what is overridden goes on from configuration to configuration, and ends with the
//! process. An override bounds the same kind of thing as the limit does.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use super::Limits;
use super::applied::Applied;
use crate::config::settings::Measure;
use crate::config::units;
use crate::lock::lock;

/// A number that holds for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// What is bounded meanwhile.
    pub measure: Measure,
    /// Until this time of [`crate::clock::nanos`].
    pub until: u64,
    /// Who set it.
    pub who: String,
    /// Why.
    pub reason: Option<String>,
}

/// Why a limit cannot be overridden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// No limit has this name.
    Unknown,
    /// Several have it.
    Ambiguous,
    /// What to write instead.
    Value(String),
}

/// Overrides by the limit's name.
#[derive(Debug, Default)]
pub(super) struct Overrides(Mutex<BTreeMap<String, Override>>);

impl Overrides {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Override>> {
        lock(&self.0)
    }

    /// What holds for a limit now, and until when.
    pub(super) fn of(&self, name: &str, now: u64) -> Option<(Measure, u64)> {
        let overrides = self.lock();
        overrides.get(name).filter(|found| now < found.until).map(|found| (found.measure, found.until))
    }

    /// Whose do hold.
    pub(super) fn names(&self, now: u64) -> Vec<String> {
        let overrides = self.lock();
        overrides.iter().filter(|(_, found)| now < found.until).map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn get(&self, name: &str, now: u64) -> Option<Override> {
        self.lock().get(name).filter(|found| now < found.until).cloned()
    }
}

impl Limits {
    /// What `value`, such as `20/min` or `5`, means for the limit of this name.
    ///
    /// # Errors
    /// Where there is no such limit, or the value bounds another kind of thing.
    pub fn read_override(&self, name: &str, value: &str, burst: Option<u64>) -> Result<Measure, Unfit> {
        let measure = self.named(name)?.limit.measure;
        let wrong = |help: &str| Unfit::Value(help.to_owned());
        if burst.is_some() && !matches!(measure, Measure::Rate { .. }) {
            return Err(wrong("only a rate of a token bucket has a burst: leave it out"));
        }
        match measure {
            Measure::Rate { .. } => {
                let (count, period) = units::rate(value).map_err(wrong)?;
                Ok(Measure::Rate { count, period, burst: burst.unwrap_or(count) })
            }
            // Its end comes without anybody's doing, and times in another window's ticks would mean something else.
            Measure::Window { period: configured, .. } => match units::rate(value).map_err(wrong)? {
                (count, period) if period == configured => Ok(Measure::Window { count, period }),
                _ => Err(wrong("a sliding window keeps its time: write another count for the same time")),
            },
            Measure::Quota { unit: configured, .. } => match units::quota(value).map_err(wrong)? {
                (count, unit) if unit == configured => Ok(Measure::Quota { count, unit }),
                _ => Err(wrong("a quota keeps its period: write the same one, day or month")),
            },
            Measure::Concurrent(_) => match value.trim().parse() {
                Ok(max) if max > 0 => Ok(Measure::Concurrent(max)),
                _ => Err(wrong("this limit bounds calls in flight: write a number from 1 on")),
            },
        }
    }

    /// Sets an override, for configurations that are made from now on.
    pub fn set_override(&self, name: &str, value: Override) {
        self.shared.overrides.lock().insert(name.to_owned(), value);
    }

    /// Takes an override away, for configurations that are made from now on, and gives it back.
    pub fn revert_override(&self, name: &str) -> Option<Override> {
        self.shared.overrides.lock().remove(name)
    }

    /// The one limit of a name.
    pub(super) fn named(&self, name: &str) -> Result<&Applied, Unfit> {
        let mut found = self.all().filter(|applied| applied.limit.name == name);
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (Some(_), Some(_)) => Err(Unfit::Ambiguous),
            (None, _) => Err(Unfit::Unknown),
        }
    }
}
