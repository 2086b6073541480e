//! Limits that no file has: for one client, one tool, or both, until a time.
//!
//! They stand beside those of everybody and go on from configuration to configuration, as overrides do.

use std::sync::{Arc, Mutex, MutexGuard};

use super::overrides::Override;
use super::{Keys, Limits};
use crate::clock;
use crate::config::settings::{Counted, Limit, LimitScope, Measure, Prefix, Written};
use crate::config::units;
use crate::lock::lock;

/// As many may hold at once: each call is compared with every one of them.
pub const MOST: usize = 100;
/// How each is called, before its number.
const NAME: &str = "temporary.";
/// Where they stand.
pub(super) const PLACE: &str = "temporary";

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Temporary {
    /// The client's id; none: everybody's calls count together.
    pub client: Option<String>,
    /// The server and its tool; none: all calls.
    pub tool: Option<(String, String)>,
    /// What is bounded.
    pub measure: Measure,
    /// What a refused client reads first.
    pub say: Option<String>,
    /// Until this time of [`crate::clock::nanos`].
    pub until: u64,
    /// Who set it.
    pub who: String,
    /// Why.
    pub reason: Option<String>,
}

/// A limit that holds for a time, with its name.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) limit: Arc<Limit>,
    pub(super) temporary: Temporary,
}

impl Set {
    /// The same as overrides are told.
    pub(super) fn as_override(&self) -> Override {
        let Temporary { measure, until, who, reason, .. } = &self.temporary;
        Override { measure: *measure, until: *until, who: who.clone(), reason: reason.clone() }
    }
}

/// Those that hold.
#[derive(Debug, Default)]
pub(super) struct Temporaries(Mutex<Vec<Arc<Set>>>);

impl Temporaries {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Set>>> {
        lock(&self.0)
    }

    pub(super) fn now(&self, now: u64) -> Vec<Arc<Set>> {
        self.holding(now).clone()
    }

    /// Those that hold, without what is over.
    fn holding(&self, now: u64) -> MutexGuard<'_, Vec<Arc<Set>>> {
        let mut all = self.lock();
        all.retain(|set| now < set.temporary.until);
        all
    }
}

impl Temporary {
    /// Whether a call is one of those that it is for.
    pub(super) fn means(&self, keys: &Keys<'_>, now: u64) -> bool {
        now < self.until
            && self.client.as_deref().is_none_or(|client| client == keys.client)
            && self
                .tool
                .as_ref()
                .is_none_or(|(server, tool)| keys.server == Some(server.as_str()) && keys.tool == Some(tool.as_str()))
    }

    /// When a call may come back that it lets through under no circumstances.
    pub(super) fn end_of_all(&self, now: u64) -> Option<u64> {
        (self.measure == Measure::Concurrent(0)).then(|| self.until.saturating_sub(now))
    }
}

/// What `value` bounds: `5/min`, or `2` for calls in flight.
///
/// # Errors
/// What to write instead.
pub fn measure(value: &str) -> Result<Measure, String> {
    if let Ok(max) = value.trim().parse() {
        return Ok(Measure::Concurrent(max));
    }
    let (count, period) = units::rate(value).map_err(|help| format!("{help}; or a number of calls in flight"))?;
    Ok(Measure::Rate { count, period, burst: count })
}

impl Limits {
    /// Adds a limit, for configurations that are made from now on, and says how it is called; `None` where there are
    /// as many as may be.
    pub fn add_temporary(&self, temporary: Temporary, name: Option<&str>) -> Option<String> {
        let mut all = self.shared.temporary.holding(clock::nanos());
        if all.len() >= MOST {
            return None;
        }
        let number = |set: &Arc<Set>| set.limit.name.strip_prefix(NAME).and_then(|text| text.parse::<u64>().ok());
        let next = || format!("{NAME}{}", all.iter().filter_map(number).max().unwrap_or(0) + 1);
        let name = name.map_or_else(next, str::to_owned);
        all.push(Arc::new(Set { limit: Arc::new(limit(&name, &temporary)), temporary }));
        Some(name)
    }

    /// Whether one more may be added.
    #[must_use]
    pub fn have_room_for_temporary(&self) -> bool {
        self.shared.temporary.holding(clock::nanos()).len() < MOST
    }

    /// Takes one away, for configurations that are made from now on; whether there was one of this name.
    pub fn end_temporary(&self, name: &str) -> bool {
        let mut all = self.shared.temporary.lock();
        let before = all.len();
        all.retain(|set| set.limit.name != name);
        before != all.len()
    }

    /// The names of all that holds by hand: these, and overrides.
    #[must_use]
    pub fn by_hand(&self) -> Vec<String> {
        let now = clock::nanos();
        let temporary = self.shared.temporary.now(now);
        temporary.iter().map(|set| set.limit.name.clone()).chain(self.shared.overrides.names(now)).collect()
    }

    /// Whether a limit of this name is one of them.
    #[must_use]
    pub fn is_temporary(&self, name: &str) -> bool {
        self.shared.temporary.lock().iter().any(|set| set.limit.name == name)
    }
}

fn limit(name: &str, temporary: &Temporary) -> Limit {
    let of = |wanted, scope| if wanted { scope } else { LimitScope::GLOBAL };
    Limit {
        name: name.to_owned(),
        per: of(temporary.client.is_some(), LimitScope::CLIENT) | of(temporary.tool.is_some(), LimitScope::TOOL),
        prefix: Prefix { v4: 32, v6: 64 },
        measure: temporary.measure,
        counted: Counted::Calls,
        message: temporary.say.clone(),
        written: Written::default(),
    }
}
