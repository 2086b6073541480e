//! Limits: which ones a call meets, and whether it may pass.
//!
//! The limit stage checks and keeps what is held with the call; a reload makes a new [`Limits`] from the old one.
//! A call that any limit refuses has used up nothing of the others.

mod refusal;
mod table;

use std::collections::HashMap;
use std::hash::Hasher;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use toolgate_protocol::limiter::{Cell, Meter, Over, Rate};

pub use refusal::Refusal;

use crate::config::settings::{Limit, LimitScope, Measure, Settings};
use table::Table;

/// What a call is counted by.
#[derive(Debug, Clone, Copy)]
pub struct Keys<'a> {
    /// The listener's name.
    pub listener: &'a str,
    /// Where the call comes from; IPv6 counts by /64.
    pub address: IpAddr,
    /// Whoever was identified.
    pub client: &'a str,
    /// The client's tier.
    pub tier: Option<&'a str>,
    /// The server's name, where the call goes to one.
    pub server: Option<&'a str>,
    /// The tool's own name, where the call is one of a tool.
    pub tool: Option<&'a str>,
}

/// All limits of one configuration. Where a limit stands decides which calls meet it, its scope what is counted
/// together. The default has none.
#[derive(Debug, Default)]
pub struct Limits {
    everywhere: Vec<Applied>,
    listeners: Places,
    tiers: Places,
    servers: Places,
}

type Places = HashMap<String, Vec<Applied>, RandomState>;

/// A limit at its place.
#[derive(Debug)]
struct Applied {
    limit: Arc<Limit>,
    meter: Meter,
    counters: Arc<Counters>,
}

/// The cells of a limit. Those whose keys are known at reload are found without a lock.
#[derive(Debug)]
enum Counters {
    One(Arc<Cell>),
    Named(HashMap<String, Arc<Cell>, RandomState>),
    Keyed(Box<Table>),
}

/// What a call holds while it is in flight; given back when dropped.
#[derive(Debug, Default)]
#[must_use = "a limit of calls in flight only counts calls whose `Held` is kept"]
pub struct Held(Vec<(Meter, Arc<Cell>)>);

impl Drop for Held {
    fn drop(&mut self) {
        for (meter, cell) in &self.0 {
            meter.give_back(cell);
        }
    }
}

impl Limits {
    /// The limits of `settings`. What has been counted `before` goes on where a limit is still the same.
    #[must_use]
    pub fn new(settings: &Settings, before: Option<&Self>) -> Self {
        let names = Names {
            listeners: settings.listeners.iter().map(|listener| listener.name.as_str()).collect(),
            servers: settings.servers.keys().map(String::as_str).collect(),
        };
        let apply = |limits: &[Arc<Limit>], before: Option<&Vec<Applied>>| -> Vec<Applied> {
            let before = before.map_or(&[][..], Vec::as_slice);
            limits.iter().map(|limit| Applied::new(limit, before, &names)).collect()
        };
        let listeners = settings.listeners.iter().map(|listener| {
            let before = before.and_then(|before| before.listeners.get(&listener.name));
            (listener.name.clone(), apply(&listener.limits, before))
        });
        let tiers = settings
            .tiers
            .iter()
            .map(|(name, tier)| (name.clone(), apply(&tier.limits, before.and_then(|before| before.tiers.get(name)))));
        let servers = settings.servers.iter().map(|(name, server)| {
            (name.clone(), apply(&server.limits, before.and_then(|before| before.servers.get(name))))
        });
        Self {
            everywhere: apply(&settings.limits, before.map(|before| &before.everywhere)),
            listeners: listeners.filter(|(_, limits)| !limits.is_empty()).collect(),
            tiers: tiers.filter(|(_, limits)| !limits.is_empty()).collect(),
            servers: servers.filter(|(_, limits)| !limits.is_empty()).collect(),
        }
    }

    /// Counts a call, or refuses it for the limit that will hold it off for longest. `now` is [`crate::clock::nanos`].
    pub fn check(&self, keys: &Keys<'_>, now: u64) -> Result<Held, Refusal> {
        let mut taken = Held::default();
        let mut limits = self.of(keys);
        while let Some(applied) = limits.next() {
            let Some(cell) = applied.counters.cell(applied.limit.per, keys, &applied.meter, now) else { continue };
            match applied.meter.take(&cell, now) {
                Ok(()) => taken.0.push((applied.meter, cell)),
                // What is held gives back what the limits before this one have counted.
                Err(over) => return Err(strictest(applied, over, limits, keys, now)),
            }
        }
        taken.0.retain(|(meter, _)| matches!(meter, Meter::Concurrent { .. }));
        Ok(taken)
    }

    /// Forgets keys that no longer count. To be called now and then, for it looks at every key. A flood of new keys
    /// is bounded without it.
    pub fn sweep(&self, now: u64) {
        for applied in self.all() {
            if let Counters::Keyed(table) = &*applied.counters {
                table.sweep(&applied.meter, now);
            }
        }
    }

    /// Keys that are remembered, over all limits.
    #[must_use]
    pub fn keys(&self) -> usize {
        let keyed = self.all().map(|applied| match &*applied.counters {
            Counters::One(_) => 1,
            Counters::Named(cells) => cells.len(),
            Counters::Keyed(table) => table.len(),
        });
        keyed.sum()
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
        self.everywhere.iter().chain(listener).chain(tier).chain(server)
    }

    fn all(&self) -> impl Iterator<Item = &Applied> {
        let places = [&self.listeners, &self.tiers, &self.servers];
        self.everywhere.iter().chain(places.into_iter().flat_map(|places| places.values().flatten()))
    }
}

/// The refusal of whichever limit makes the call wait for longest: `first` has refused, `rest` is only asked.
fn strictest<'a>(
    first: &'a Applied,
    over: Over,
    rest: impl Iterator<Item = &'a Applied>,
    keys: &Keys<'_>,
    now: u64,
) -> Refusal {
    let mut worst = (first, over);
    for applied in rest {
        let Some(cell) = applied.counters.cell(applied.limit.per, keys, &applied.meter, now) else { continue };
        if let Err(over) = applied.meter.peek(&cell, now)
            && over.wait > worst.1.wait
        {
            worst = (applied, over);
        }
    }
    Refusal::new(&worst.0.limit, worst.1)
}

/// Names that a limit's cells may have.
struct Names<'a> {
    listeners: Vec<&'a str>,
    servers: Vec<&'a str>,
}

impl Applied {
    fn new(limit: &Arc<Limit>, before: &[Self], names: &Names<'_>) -> Self {
        let meter = match limit.measure {
            Measure::Rate { count, period, burst } => Meter::Rate(Rate::new(count, period, burst)),
            Measure::Concurrent(max) => Meter::Concurrent { max },
        };
        let same = before.iter().find(|old| {
            let counts_alike = match (old.meter, meter) {
                (Meter::Concurrent { .. }, Meter::Concurrent { .. }) => true,
                // A debt in the old rate's tokens means nothing in the new one's.
                (old, new) => old == new,
            };
            old.limit.name == limit.name && old.limit.per == limit.per && counts_alike
        });
        let counters = match (limit.per, same.map(|old| &old.counters)) {
            (LimitScope::Listener, old) => Arc::new(Counters::named(&names.listeners, old)),
            (LimitScope::Server, old) => Arc::new(Counters::named(&names.servers, old)),
            (_, Some(old)) => Arc::clone(old),
            (LimitScope::Global, None) => Arc::new(Counters::One(Arc::default())),
            (_, None) => Arc::new(Counters::Keyed(Box::new(Table::new()))),
        };
        Self { limit: Arc::clone(limit), meter, counters }
    }
}

impl Counters {
    fn named(names: &[&str], old: Option<&Arc<Self>>) -> Self {
        let old = match old.map(|old| &**old) {
            Some(Self::Named(cells)) => Some(cells),
            _ => None,
        };
        let cell = |name: &str| old.and_then(|old| old.get(name)).map(Arc::clone).unwrap_or_default();
        Self::Named(names.iter().map(|name| ((*name).to_owned(), cell(name))).collect())
    }

    /// The cell of a call; `None` where the call has no such key: a list has no tool.
    fn cell(&self, scope: LimitScope, keys: &Keys<'_>, meter: &Meter, now: u64) -> Option<Arc<Cell>> {
        let table = match self {
            Self::One(cell) => return Some(Arc::clone(cell)),
            Self::Named(cells) => {
                let name = if scope == LimitScope::Listener { Some(keys.listener) } else { keys.server };
                return name.and_then(|name| cells.get(name)).map(Arc::clone);
            }
            Self::Keyed(table) => table,
        };
        Some(match scope {
            LimitScope::Address => table.cell(|hasher| write_address(hasher, keys.address), meter, now),
            LimitScope::Tool | LimitScope::ClientTool => {
                let (server, tool) = (keys.server.unwrap_or_default(), keys.tool?);
                let client = if scope == LimitScope::Tool { "" } else { keys.client };
                table.cell(|hasher| [client, server, tool].iter().for_each(|text| write(hasher, text)), meter, now)
            }
            _ => table.cell(|hasher| write(hasher, keys.client), meter, now),
        })
    }
}

/// With its length, so that texts that follow each other cannot be cut elsewhere.
fn write(hasher: &mut dyn Hasher, text: &str) {
    hasher.write_usize(text.len());
    hasher.write(text.as_bytes());
}

fn write_address(hasher: &mut dyn Hasher, address: IpAddr) {
    match address.to_canonical() {
        IpAddr::V4(address) => hasher.write_u32(address.to_bits()),
        // Whoever has one address of a /64 has all of them.
        IpAddr::V6(address) => hasher.write_u64((address.to_bits() >> 64) as u64),
    }
}

#[cfg(test)]
mod tests;
