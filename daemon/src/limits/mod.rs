//! Limits: which ones a call meets, and whether it may pass.
//!
//! The limit stage checks and keeps what is held with the call; a reload makes a new [`Limits`] from the old one.
//! A call that any limit refuses has used up nothing of the others.

mod advert;
mod applied;
mod calendars;
mod costs;
mod counters;
mod explain;
pub mod overrides;
pub mod quotas;
mod refusal;
mod report;
mod table;
mod tally;
pub mod temporary;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use smallvec::SmallVec;
use toolgate_protocol::limiter::{Cell, Meter, Over};

pub use advert::Told;
pub use refusal::Refusal;
pub use report::text;

use crate::config::settings::{Counted, Limit, LimitScope, Settings};
use applied::{Applied, Bound, Names};
use calendars::Calendars;
use costs::Costs;
use overrides::Overrides;
use temporary::Temporaries;

/// Limits that a call meets without memory being made for them.
const FEW: usize = 6;

/// What a call is counted by.
#[derive(Debug, Clone, Copy)]
pub struct Keys<'a> {
    /// The listener's name.
    pub listener: &'a str,
    /// Where the call comes from.
    pub address: IpAddr,
    /// Whoever was identified.
    pub client: &'a str,
    /// The client's tier.
    pub tier: Option<&'a str>,
    /// The client's organisation.
    pub organisation: Option<&'a str>,
    /// The server's name, where the call goes to one.
    pub server: Option<&'a str>,
    /// The tool's own name, where the call is one of a tool.
    pub tool: Option<&'a str>,
    /// Whether the client is to be told where it stands.
    pub tell: bool,
}

/// All limits of one configuration. Where a limit stands decides which calls meet it, its scope what is counted
/// together. The default has none.
#[derive(Debug, Default)]
pub struct Limits {
    everywhere: Vec<Applied>,
    listeners: Places,
    tiers: Places,
    organisations: Places,
    servers: Places,
    /// Whether some of them count whatever comes.
    counts_all: bool,
    costs: Costs,
    shared: Arc<Shared>,
}

type Places = HashMap<String, Vec<Applied>, RandomState>;

/// What goes on from one configuration to the next.
#[derive(Debug, Default)]
struct Shared {
    calendars: Calendars,
    overrides: Overrides,
    temporary: Temporaries,
}

/// What a call holds while it is in flight; given back when dropped.
#[derive(Debug, Default)]
#[must_use = "a limit of calls in flight only counts calls whose `Held` is kept"]
pub struct Held {
    cells: SmallVec<[Cell; 2]>,
    /// Where the client stands below the strictest of the limits that count it alone.
    pub told: Option<Told>,
}

impl Drop for Held {
    fn drop(&mut self) {
        for cell in &self.cells {
            Meter::Concurrent { max: 0 }.give_back(cell, 1, 0);
        }
    }
}

/// What a call has taken below one limit.
struct Taken<'a> {
    applied: &'a Applied,
    bound: &'a Bound,
    meter: Meter,
    cell: Cell,
    cost: u64,
}

impl Limits {
    /// The limits of `settings`. What has been counted `before` goes on where a limit is still of the same kind.
    #[must_use]
    pub fn new(settings: &Settings, before: Option<&Self>) -> Self {
        Self::at(settings, before, crate::clock::nanos())
    }

    fn at(settings: &Settings, before: Option<&Self>, now: u64) -> Self {
        let shared = before.map(|before| Arc::clone(&before.shared)).unwrap_or_default();
        let names = Names {
            listeners: settings.listeners.iter().map(|listener| listener.name.as_str()).collect(),
            servers: settings.servers.keys().map(String::as_str).collect(),
        };
        let apply = |place: &str, limits: &[Arc<Limit>], before: Option<&Vec<Applied>>| -> Vec<Applied> {
            let before = before.map_or(&[][..], Vec::as_slice);
            limits.iter().map(|limit| Applied::new(place, limit, before, &names, &shared, now)).collect()
        };
        let listeners = settings.listeners.iter().map(|listener| {
            let before = before.and_then(|before| before.listeners.get(&listener.name));
            (listener.name.clone(), apply(&format!("listener.{}", listener.name), &listener.limits, before))
        });
        let tiers = settings.tiers.iter().map(|(name, tier)| {
            let before = before.and_then(|before| before.tiers.get(name));
            (name.clone(), apply(&format!("tier.{name}"), &tier.limits, before))
        });
        let organisations = settings.organisations.iter().map(|(name, organisation)| {
            let before = before.and_then(|before| before.organisations.get(name));
            (name.clone(), apply(&format!("organisation.{name}"), &organisation.limits, before))
        });
        let servers = settings.servers.iter().map(|(name, server)| {
            let before = before.and_then(|before| before.servers.get(name));
            (name.clone(), apply(&format!("server.{name}"), &server.limits, before))
        });
        let old = before.map(|before| &before.everywhere);
        let mut everywhere = apply("limit", &settings.limits, old);
        for set in shared.temporary.now(now) {
            let applied =
                Applied::new(temporary::PLACE, &set.limit, old.map_or(&[], Vec::as_slice), &names, &shared, now);
            everywhere.push(applied.only(set));
        }
        let listeners: Places = listeners.filter(|(_, limits)| !limits.is_empty()).collect();
        let counts_all = everywhere.iter().chain(listeners.values().flatten()).any(Applied::counts_all);
        Self {
            everywhere,
            listeners,
            counts_all,
            tiers: tiers.filter(|(_, limits)| !limits.is_empty()).collect(),
            organisations: organisations.filter(|(_, limits)| !limits.is_empty()).collect(),
            servers: servers.filter(|(_, limits)| !limits.is_empty()).collect(),
            costs: Costs::new(settings),
            shared,
        }
    }

    /// Counts a call, or refuses it for the limit that will hold it off for longest. `now` is [`crate::clock::nanos`].
    ///
    /// # Errors
    /// When a limit has not enough left.
    pub fn check(&self, keys: &Keys<'_>, now: u64) -> Result<Held, Refusal> {
        self.count(self.of(keys), keys, now)
    }

    /// Counts what is no call that a server works for, such as a greeting, a list, a notification or a stream: only
    /// limits that know nothing but where it comes from meet it. `None` where there are none of these.
    ///
    /// # Errors
    /// As [`Limits::check`].
    pub fn check_other(&self, keys: &Keys<'_>, now: u64) -> Option<Result<Held, Refusal>> {
        self.counts_all.then(|| self.count(self.of_all(keys), keys, now))
    }

    fn count<'a>(
        &'a self,
        mut limits: impl Iterator<Item = &'a Applied>,
        keys: &Keys<'_>,
        now: u64,
    ) -> Result<Held, Refusal> {
        let (mut taken, mut windows): (SmallVec<[Taken<'_>; FEW]>, SmallVec<[Taken<'_>; 2]>) = Default::default();
        while let Some(applied) = limits.next() {
            let Some(next) = self.weigh(applied, keys, now) else { continue };
            // A window joins calls to runs, so that one which is given back leaves its trace: nothing is taken from one
            // before all others have said yes. The first is asked by taking from it.
            let decision = match next.meter {
                Meter::Window(_) if windows.is_empty() => Ok(()),
                Meter::Window(_) => next.meter.peek(&next.cell, next.cost, now),
                _ => next.meter.take(&next.cell, next.cost, now),
            };
            match decision {
                Ok(()) if matches!(next.meter, Meter::Window(_)) => windows.push(next),
                Ok(()) => taken.push(next),
                Err(over) => {
                    give_back(&taken, now);
                    let rest = windows.into_iter().chain(limits.filter_map(|applied| self.weigh(applied, keys, now)));
                    return Err(strictest(next, over, rest, keys, now));
                }
            }
        }
        let mut windows = windows.into_iter();
        while let Some(next) = windows.next() {
            match next.meter.take(&next.cell, next.cost, now) {
                Ok(()) => taken.push(next),
                Err(over) => {
                    give_back(&taken, now);
                    return Err(strictest(next, over, windows, keys, now));
                }
            }
        }
        let told = if keys.tell { strictest_standing(&taken, now) } else { None };
        let held = taken.into_iter().filter(|taken| matches!(taken.meter, Meter::Concurrent { .. }));
        Ok(Held { cells: held.map(|taken| taken.cell).collect(), told })
    }

    /// A limit's cell, meter and cost of a call, where the limit applies to it.
    fn weigh<'a>(&'a self, applied: &'a Applied, keys: &Keys<'_>, now: u64) -> Option<Taken<'a>> {
        if let Some(set) = &applied.only
            && !set.temporary.means(keys, now)
        {
            return None;
        }
        let bound = applied.bound(now);
        let meter = bound.meter_now(&self.shared.calendars, now);
        let cell = applied.counters.cell(&applied.limit, keys, &meter, now)?;
        let cost = match applied.limit.counted {
            Counted::Calls => 1,
            Counted::Cost => self.costs.of(keys),
        };
        Some(Taken { applied, bound, meter, cell, cost })
    }

    /// Forgets keys that no longer count. To be called now and then, for it looks at every key. A flood of new keys
    /// is bounded without it.
    pub fn sweep(&self, now: u64) {
        for applied in self.all() {
            applied.counters.sweep(&applied.meter_now(&self.shared.calendars, now), now);
        }
    }

    /// Keys that are remembered, over all limits.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.all().map(|applied| applied.counters.len()).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    fn of<'a>(&'a self, keys: &Keys<'_>) -> impl Iterator<Item = &'a Applied> {
        let at = |places: &'a Places, name: Option<&str>| -> &'a [Applied] {
            // Most configurations have no limits at most places: then no name is hashed.
            let found = if places.is_empty() { None } else { name.and_then(|name| places.get(name)) };
            found.map_or(&[], Vec::as_slice)
        };
        let listener = at(&self.listeners, Some(keys.listener));
        let (tier, server) = (at(&self.tiers, keys.tier), at(&self.servers, keys.server));
        let organisation = at(&self.organisations, keys.organisation);
        self.everywhere.iter().chain(listener).chain(tier).chain(organisation).chain(server)
    }

    /// Those that meet whatever comes.
    fn of_all<'a>(&'a self, keys: &Keys<'_>) -> impl Iterator<Item = &'a Applied> {
        let listener = self.listeners.get(keys.listener).map_or(&[][..], Vec::as_slice);
        self.everywhere.iter().chain(listener).filter(|applied| applied.counts_all())
    }

    /// How often each limit has refused: its place, its name, and the count. Looks at no key.
    pub fn refusals(&self) -> impl Iterator<Item = (String, String, u64)> {
        self.all().map(|applied| (applied.place.to_string(), applied.limit.name.clone(), applied.tally.count()))
    }

    fn all(&self) -> impl Iterator<Item = &Applied> {
        let places = [&self.listeners, &self.tiers, &self.organisations, &self.servers];
        self.everywhere.iter().chain(places.into_iter().flat_map(|places| places.values().flatten()))
    }
}

fn give_back(taken: &[Taken<'_>], now: u64) {
    for one in taken {
        one.meter.give_back(&one.cell, one.cost, now);
    }
}

/// The refusal of whichever limit makes the call wait for longest: `first` has refused, `rest` is only asked.
fn strictest<'a>(
    first: Taken<'a>,
    over: Over,
    rest: impl Iterator<Item = Taken<'a>>,
    keys: &Keys<'_>,
    now: u64,
) -> Refusal {
    let mut worst = (first, over);
    for asked in rest {
        if let Err(over) = asked.meter.peek(&asked.cell, asked.cost, now)
            && over.wait > worst.1.wait
        {
            worst = (asked, over);
        }
    }
    let (Taken { applied, bound, meter, cell, cost }, mut over) = worst;
    if let Some(wait) = applied.only.as_ref().and_then(|set| set.temporary.end_of_all(now)) {
        over.wait = Some(wait);
    }
    applied.tally.refused(|| counters::describe(applied.limit.per, applied.limit.prefix, keys));
    let standing = meter.standing(&cell, now);
    Refusal::new(&applied.limit, bound, cost.min(meter.capacity()), standing, over)
}

/// Of what was counted for the client alone, where it stands worst. What others use is not told.
fn strictest_standing(taken: &[Taken<'_>], now: u64) -> Option<Told> {
    let own = taken.iter().filter(|taken| taken.applied.limit.per.has(LimitScope::CLIENT | LimitScope::ADDRESS));
    own.map(|taken| Told::new(taken.bound, taken.meter.standing(&taken.cell, now))).min_by_key(|told| told.remaining)
}

#[cfg(test)]
mod tests;
