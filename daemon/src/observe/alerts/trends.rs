//! Counts that only grow, as what they have grown by of late.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::unusual::{Minutes, Unusual};
use crate::gate::Gate;

/// A limit that has refused anybody within this is breached.
const BREACH: Duration = Duration::from_secs(60);

/// Ends of instances count for so long.
const RESTARTS: Duration = Duration::from_secs(3600);

/// How often counts are read.
const STEP_MS: u64 = 5000;

/// What grew of late.
#[derive(Debug, Default)]
pub struct Trends {
    read_at: Option<u64>,
    refusals: HashMap<String, Growth>,
    failures: HashMap<String, Growth>,
    wrong: Growth,
    minutes: Minutes,
}

/// How much a count has grown within a while.
#[derive(Debug, Default)]
struct Growth {
    /// When it was read, and what it was.
    points: VecDeque<(u64, u64)>,
}

impl Growth {
    fn read(&mut self, now: u64, count: u64, within: Duration) {
        let within = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        // A count that fell is another one of the same name.
        if self.points.back().is_some_and(|(_, last)| count < *last) {
            self.points.clear();
        }
        // A point at which nothing grew says nothing that the one before it does not.
        match self.points.len() {
            length if length >= 2 && self.points[length - 1].1 == count && self.points[length - 2].1 == count => {
                self.points[length - 1].0 = now;
            }
            _ => self.points.push_back((now, count)),
        }
        while self.points.len() > 1 && now.saturating_sub(self.points[1].0) >= within {
            self.points.pop_front();
        }
    }

    fn by(&self) -> u64 {
        match (self.points.front(), self.points.back()) {
            (Some((_, first)), Some((_, last))) => last - first,
            _ => 0,
        }
    }
}

impl Trends {
    /// Reads the counts, where it is time to. `now` is of the monotonic clock, in milliseconds.
    pub fn read(&mut self, gate: &Gate, now: u64) {
        if self.read_at.is_some_and(|at| now.saturating_sub(at) < STEP_MS) {
            return;
        }
        self.read_at = Some(now);
        let policy = gate.policy.load_full();
        let refusals: HashMap<_, _> =
            policy.limits.refusals().map(|(place, name, count)| (format!("{place}/{name}"), count)).collect();
        let instances = policy.servers.values().filter_map(|server| Some((server, server.instances()?)));
        let failures: HashMap<_, _> =
            instances.map(|(server, instances)| (server.settings.name.clone(), instances.failures())).collect();
        grow(&mut self.refusals, &refusals, now, BREACH);
        grow(&mut self.failures, &failures, now, RESTARTS);
        self.wrong.read(now, gate.failures.counts().iter().map(|(_, count)| count).sum(), BREACH);
        self.minutes.read(now, gate.ledger.client_calls(), policy.settings.alerts.unusual);
    }

    /// Limits that have refused somebody in the last minute, and how often.
    pub fn breached(&self) -> impl Iterator<Item = (&str, u64)> {
        self.refusals.iter().map(|(name, growth)| (name.as_str(), growth.by())).filter(|(_, by)| *by > 0)
    }

    /// Wrong credentials that were shown in the last minute.
    pub(super) fn wrong_credentials(&self) -> u64 {
        self.wrong.by()
    }

    /// Clients that call far more than they usually do.
    pub(super) fn unusual(&self) -> &[Unusual] {
        self.minutes.found()
    }

    /// Servers of which instances ended by themselves in the last hour, and how many.
    pub fn failed(&self) -> impl Iterator<Item = (&str, u64)> {
        self.failures.iter().map(|(name, growth)| (name.as_str(), growth.by())).filter(|(_, by)| *by > 0)
    }
}

fn grow(known: &mut HashMap<String, Growth>, counts: &HashMap<String, u64>, now: u64, within: Duration) {
    known.retain(|name, _| counts.contains_key(name));
    for (name, count) in counts {
        let growth = known.entry(name.clone()).or_insert_with(|| {
            // What was counted before anybody looked happened since the start, which is of late.
            let mut growth = Growth::default();
            growth.read(now, 0, within);
            growth
        });
        growth.read(now, *count, within);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_of_late_and_small() {
        let (mut growth, minute) = (Growth::default(), Duration::from_secs(60));
        growth.read(0, 0, minute);
        growth.read(5000, 7, minute);
        assert_eq!(growth.by(), 7);
        (2..=12).for_each(|step| growth.read(step * 5000, 7, minute));
        assert_eq!(growth.by(), 7, "it grew within the minute");
        assert!(growth.points.len() <= 4, "{growth:?}");
        growth.read(65_000, 7, minute);
        assert_eq!(growth.by(), 0);
        growth.read(70_000, 9, minute);
        assert_eq!(growth.by(), 2);
        growth.read(75_000, 1, minute);
        assert_eq!(growth.by(), 0, "it is another count");
    }
}
