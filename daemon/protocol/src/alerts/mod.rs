//! When an operator is told of trouble, and when that it is over.
//!
//! Whoever watches says again and again what is wrong now; the machine decides what of it is told. An alert is told once
//! when it begins, again once per cooldown while it goes on, at once where it gets worse, and once when it is over, where
//! its beginning was told. Time is passed in, in milliseconds of one clock.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Alerts that are kept, over ones included.
pub const MOST: usize = 1000;

/// How long one that is over is kept.
pub const REMEMBERED_MS: u64 = 24 * 3_600_000;

/// The longest that an alert may be silenced.
pub const LONGEST_SILENCE_MS: u64 = 30 * 24 * 3_600_000;

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Somebody should look at it soon.
    Warning,
    /// Somebody should look at it now.
    Critical,
}

impl Severity {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The severity of a word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        [Self::Warning, Self::Critical].into_iter().find(|severity| severity.word() == word)
    }
}

/// Something that is wrong now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Kind and subject, such as `breaker_open:weather`: the same for as long as it is the same trouble.
    pub id: String,
    /// How bad it is.
    pub severity: Severity,
    /// Tells stages of one severity apart: a higher one is told at once.
    pub step: u8,
    /// What is wrong, as a sentence.
    pub message: String,
    /// What to do about it, as a sentence.
    pub remedy: String,
    /// It is not told again before this, where that is longer than the cooldown.
    pub spacing_ms: u64,
}

impl Condition {
    /// One of a single stage, told once per cooldown.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        severity: Severity,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { id: id.into(), severity, step: 0, message: message.into(), remedy: remedy.into(), spacing_ms: 0 }
    }

    fn rank(&self) -> Rank {
        (self.severity, self.step)
    }
}

/// How bad, and which stage of that.
pub type Rank = (Severity, u8);

/// Trouble that is there, or was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// As the condition says, when it was seen last.
    pub condition: Condition,
    /// When it began.
    pub since: u64,
    /// When it was over; absent while it fires.
    pub recovered: Option<u64>,
    /// How often it was told since it began.
    pub told: u64,
    /// When it was told last, and how bad it was then; remembered beyond its end, so that what comes and goes is told
    /// once per cooldown.
    pub last: Option<(u64, Rank)>,
    /// Its beginning was told, and its end not yet.
    pub owed: bool,
    /// Who has seen it: until it gets worse or is over it is not told again.
    pub acknowledged: Option<String>,
    /// Until when it is not told.
    pub silenced_until: Option<u64>,
}

impl Alert {
    /// Whether it is there.
    #[must_use]
    pub fn fires(&self) -> bool {
        self.recovered.is_none()
    }

    fn is_silenced(&self, now: u64) -> bool {
        self.silenced_until.is_some_and(|until| now < until)
    }
}

/// All alerts.
#[derive(Debug, Clone, Default)]
pub struct Alerts {
    all: BTreeMap<String, Alert>,
    /// Conditions that found no room when they were seen last.
    crowded_out: u64,
    /// While it lasts, nobody has looked long enough to know what is over of what an earlier process left.
    settling: Range<u64>,
    /// What fired then, and was not seen since.
    unseen: BTreeSet<String>,
}

impl Alerts {
    /// Those that an earlier process left. What it says of the future is of a clock that was set since. What fired then
    /// is over no sooner than after `settling_ms`, unless it was seen again: some trouble takes a while to be found.
    #[must_use]
    pub fn restored(alerts: impl IntoIterator<Item = Alert>, now: u64, settling_ms: u64) -> Self {
        let mut all = BTreeMap::new();
        for mut alert in alerts.into_iter().take(MOST) {
            alert.last = alert.last.map(|(at, rank)| (at.min(now), rank));
            alert.silenced_until = alert.silenced_until.map(|until| until.min(now + LONGEST_SILENCE_MS));
            all.insert(alert.condition.id.clone(), alert);
        }
        let unseen = all.values().filter(|alert| alert.fires()).map(|alert| alert.condition.id.clone()).collect();
        Self { all, crowded_out: 0, settling: now..now.saturating_add(settling_ms), unseen }
    }

    /// Takes in all that is wrong at `now`, and returns what is to be told, in order.
    pub fn observe(&mut self, now: u64, conditions: Vec<Condition>, cooldown_ms: u64) -> Vec<Alert> {
        let mut told = Vec::new();
        self.crowded_out = 0;
        let holds = |id: &str| conditions.iter().any(|condition| condition.id == id);
        // A clock that was set back ends it too.
        if !self.settling.contains(&now) {
            self.unseen.clear();
        }
        for alert in self.all.values_mut().filter(|alert| alert.fires()) {
            let id = &alert.condition.id;
            if holds(id) {
                self.unseen.remove(id);
            } else if !self.unseen.contains(id) {
                alert.recovered = Some(now);
                alert.acknowledged = None;
                if std::mem::take(&mut alert.owed) {
                    told.push(alert.clone());
                }
            }
        }
        for condition in conditions {
            told.extend(self.hold(now, condition, cooldown_ms));
        }
        self.all.retain(|_, alert| {
            let forgotten = |over: u64| now.saturating_sub(over) >= REMEMBERED_MS && !alert.is_silenced(now);
            !alert.recovered.is_some_and(forgotten)
        });
        told
    }

    /// One condition holds; the alert, where it is to be told.
    fn hold(&mut self, now: u64, condition: Condition, cooldown_ms: u64) -> Option<Alert> {
        let rank = condition.rank();
        if !self.all.contains_key(&condition.id) && !self.make_room(condition.severity) {
            self.crowded_out += 1;
            return None;
        }
        let alert = self.all.entry(condition.id.clone()).or_insert_with(|| Alert {
            condition: condition.clone(),
            since: now,
            recovered: None,
            told: 0,
            last: None,
            owed: false,
            acknowledged: None,
            silenced_until: None,
        });
        if alert.recovered.take().is_some() {
            (alert.since, alert.told) = (now, 0);
        }
        alert.condition = condition;
        alert.silenced_until = alert.silenced_until.filter(|until| now < *until);
        let spacing = cooldown_ms.max(alert.condition.spacing_ms);
        let worse = alert.last.is_some_and(|(_, before)| rank > before);
        let due = worse || alert.last.is_none_or(|(at, _)| now.saturating_sub(at) >= spacing);
        if worse {
            alert.acknowledged = None;
        }
        if !due || alert.acknowledged.is_some() || alert.is_silenced(now) {
            return None;
        }
        alert.last = Some((now, rank));
        alert.told += 1;
        alert.owed = true;
        Some(alert.clone())
    }

    /// Makes room for one more, by the oldest of those that are over; for a critical one else by the newest warning.
    fn make_room(&mut self, severity: Severity) -> bool {
        if self.all.len() < MOST {
            return true;
        }
        let over = self.all.values().filter_map(|alert| Some((alert.recovered?, &alert.condition.id)));
        let oldest = over.min().map(|(_, id)| id.clone());
        let Some(leaves) = oldest.or_else(|| self.displaced_by(severity)) else { return false };
        self.all.remove(&leaves);
        true
    }

    fn displaced_by(&mut self, severity: Severity) -> Option<String> {
        let lesser = self.all.values().filter(|alert| alert.condition.severity < severity);
        let newest = lesser.max_by_key(|alert| (alert.since, &alert.condition.id))?.condition.id.clone();
        self.crowded_out += 1;
        Some(newest)
    }

    /// Somebody has seen it; `None` where it does not fire.
    pub fn acknowledge(&mut self, id: &str, who: &str) -> Option<&Alert> {
        let alert = self.all.get_mut(id).filter(|alert| alert.fires())?;
        alert.acknowledged = Some(who.to_owned());
        Some(alert)
    }

    /// It is not told for so long; `None` where there is no such alert.
    pub fn silence(&mut self, id: &str, now: u64, length_ms: u64) -> Option<&Alert> {
        let alert = self.all.get_mut(id)?;
        alert.silenced_until = Some(now.saturating_add(length_ms.min(LONGEST_SILENCE_MS)));
        Some(alert)
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Alert> {
        self.all.get(id)
    }

    /// Those that fire, the worst first, then those that are over, the newest first.
    #[must_use]
    pub fn listed(&self) -> Vec<&Alert> {
        let mut all: Vec<&Alert> = self.all.values().collect();
        all.sort_by_key(|alert| {
            let (severity, time) =
                (std::cmp::Reverse(alert.condition.severity), alert.recovered.unwrap_or(alert.since));
            (!alert.fires(), alert.fires().then_some(severity), std::cmp::Reverse(time))
        });
        all
    }

    /// Conditions that hold and found no room.
    #[must_use]
    pub fn crowded_out(&self) -> u64 {
        self.crowded_out
    }
}
