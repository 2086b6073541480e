//! What readers get: the sums over all cores, as the admin sockets say them.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use toolgate_admin_api::{
    Busiest, CallLife, CallRow, Caller, Calls, ClientRow, HEAT_BOUNDS_US, HeatColumn, Percentiles, Phases, ToolRow,
    Traffic,
};
use toolgate_protocol::latency::{COARSE, COARSE_US, percentile};
use toolgate_protocol::method::Method;

use super::Ledger;
use super::book::number;
use super::heat::COLUMNS;
use super::past::{Looked, Search};
use super::row::{Ended, Row};
use super::series::{Sum, TICK_MS, TICKS};
use super::shelf::{ClientPage, Shelf, ToolPage};
use crate::clock;
use crate::lock::lock;
use crate::observe::Shown;

/// Callers of a tool that are told.
const CALLERS: usize = 10;

/// A moment, and the span that rates are of.
#[derive(Debug, Clone, Copy)]
struct Now {
    ms: u64,
    tick: u64,
    seconds: f64,
}

impl Now {
    fn read() -> Self {
        let ms = clock::millis();
        let span = (TICKS as u64 - 1) * TICK_MS + ms % TICK_MS;
        Self { ms, tick: ms / TICK_MS, seconds: Duration::from_millis(span.min(ms).max(1_000)).as_secs_f64() }
    }
}

impl Sum {
    #[expect(clippy::cast_precision_loss, reason = "counts of a minute are far below 2^52")]
    fn traffic(&self, now: Now, in_flight: u64) -> Traffic {
        let [calls, errors, refused] = self.late.map(|count| count as f64 / now.seconds);
        let times = |kind: usize| {
            let (counts, longest) = (&self.fine[kind], self.longest[kind]);
            Percentiles {
                p50_us: percentile(counts, 0.50, longest),
                p95_us: percentile(counts, 0.95, longest),
                p99_us: percentile(counts, 0.99, longest),
                max_us: longest,
            }
        };
        Traffic {
            calls: self.calls,
            errors: self.errors,
            refused: self.refused,
            in_flight,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            calls_per_second: calls,
            errors_per_second: errors,
            refused_per_second: refused,
            latency: times(0),
            phases: Phases { queue: times(1), connect: times(2), first_byte: times(3), stream: times(4) },
        }
    }
}

/// Calls in flight by what they belong to, counted in one pass.
#[derive(Debug, Default)]
struct InFlight {
    gate: u64,
    by: HashMap<u64, u64>,
}

impl InFlight {
    fn count(shelves: &[Arc<Shelf>], keys: impl Fn(&Row) -> Option<u64>) -> Self {
        let mut counted = Self::default();
        for shelf in shelves {
            shelf.live.each(|row, _| {
                if row.kind.is_call() {
                    counted.gate += 1;
                    if let Some(key) = keys(row) {
                        *counted.by.entry(key).or_default() += 1;
                    }
                }
            });
        }
        counted
    }

    fn of(&self, key: u64) -> u64 {
        self.by.get(&key).copied().unwrap_or(0)
    }
}

fn server_key(row: &Row) -> Option<u64> {
    row.what.server.as_deref().map(number)
}

fn tool_key(row: &Row) -> Option<u64> {
    Some(number((row.what.server.as_deref()?, row.what.tool()?)))
}

fn client_key(row: &Row) -> Option<u64> {
    row.client.as_ref().map(|client| client.number)
}

impl Ledger {
    /// All calls.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let (shelves, now, mut sum) = (self.shelves(), Now::read(), Sum::default());
        for series in shelves.iter().flat_map(|shelf| &shelf.methods).filter_map(OnceLock::get) {
            sum.add(series, now.tick);
        }
        sum.traffic(now, InFlight::count(&shelves, |_| None).gate)
    }

    /// Calls by server; those without calls are not there.
    #[must_use]
    pub fn servers(&self) -> HashMap<String, Traffic> {
        let (shelves, now) = (self.shelves(), Now::read());
        let in_flight = InFlight::count(&shelves, server_key);
        let mut sums = HashMap::<Arc<str>, Sum>::new();
        for shelf in &shelves {
            for page in &*lock(&shelf.servers) {
                sums.entry(Arc::clone(&page.name)).or_default().add(&page.series, now.tick);
            }
        }
        let traffic = |(name, sum): (Arc<str>, Sum)| {
            let traffic = sum.traffic(now, in_flight.of(number(&*name)));
            (name.to_string(), traffic)
        };
        sums.into_iter().map(traffic).collect()
    }

    /// Calls of one server.
    #[must_use]
    pub fn server(&self, name: &str) -> Traffic {
        self.servers().remove(name).unwrap_or_default()
    }

    /// Calls by method, the busiest first; methods that the gate does not know are one.
    #[must_use]
    pub fn methods(&self) -> Vec<(&'static str, Traffic)> {
        let (shelves, now) = (self.shelves(), Now::read());
        let in_flight = InFlight::count(&shelves, |row| Some(row.what.known.map_or(u64::MAX, |method| method as u64)));
        let names = Method::all().map(Some).chain([None]);
        let mut methods: Vec<_> = names
            .enumerate()
            .filter_map(|(at, method)| {
                let mut sum = Sum::default();
                for series in shelves.iter().filter_map(|shelf| shelf.methods.get(at)?.get()) {
                    sum.add(series, now.tick);
                }
                let in_flight = in_flight.of(method.map_or(u64::MAX, |method| method as u64));
                let traffic = sum.traffic(now, in_flight);
                (traffic.calls + in_flight > 0).then_some((method.map_or("other", Method::as_str), traffic))
            })
            .collect();
        methods.sort_by_key(|(_, traffic)| std::cmp::Reverse(traffic.calls));
        methods
    }

    /// Tools that were called, with their callers.
    #[must_use]
    pub fn tools(&self) -> Vec<ToolRow> {
        let (shelves, now) = (self.shelves(), Now::read());
        let in_flight = InFlight::count(&shelves, tool_key);
        let names = client_names(&shelves);
        let mut by_number = HashMap::<u64, Vec<Arc<ToolPage>>>::new();
        for page in shelves.iter().flat_map(|shelf| lock(&shelf.tools).clone()) {
            by_number.entry(page.number).or_default().push(page);
        }
        by_number
            .into_iter()
            .map(|(number, pages)| {
                let mut sum = Sum::default();
                for page in &pages {
                    sum.add(&page.series, now.tick);
                }
                ToolRow {
                    server: pages[0].server().to_string(),
                    tool: Shown(pages[0].tool()).to_string(),
                    traffic: sum.traffic(now, in_flight.of(number)),
                    callers: callers(&pages, &names, now),
                    largest: sum.largest,
                    ..ToolRow::default()
                }
            })
            .collect()
    }

    /// Clients that called, with the tool that each calls most.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientRow> {
        let (shelves, now) = (self.shelves(), Now::read());
        let in_flight = InFlight::count(&shelves, client_key);
        let mut names = HashMap::<u64, Arc<ToolPage>>::new();
        for page in shelves.iter().flat_map(|shelf| lock(&shelf.tools).clone()) {
            names.insert(page.number, page);
        }
        let mut by_number = HashMap::<u64, Vec<Arc<ClientPage>>>::new();
        for page in shelves.iter().flat_map(|shelf| lock(&shelf.clients).clone()) {
            by_number.entry(page.client.number).or_default().push(page);
        }
        let unix = clock::unix_millis();
        by_number
            .into_iter()
            .map(|(number, pages)| {
                let mut sum = Sum::default();
                for page in &pages {
                    sum.add(&page.series, now.tick);
                }
                let client = &pages[0].client;
                ClientRow {
                    id: client.id.to_string(),
                    owner: Shown(&client.owner).to_string(),
                    tier: client.tier.as_ref().map(|tier| tier.name.clone()),
                    organisation: client.organisation.as_ref().map(|organisation| organisation.name.clone()),
                    roles: client.roles().map(str::to_owned).collect(),
                    scopes: client.scopes().map(str::to_owned).collect(),
                    traffic: sum.traffic(now, in_flight.of(number)),
                    busiest: busiest(&pages, &names, now),
                    last_seen_ms: Some(unix.saturating_sub(now.ms.saturating_sub(sum.last_ms))),
                    ..ClientRow::default()
                }
            })
            .collect()
    }

    /// Clients that called, and how often: without what their rows have besides.
    pub fn client_calls(&self) -> impl Iterator<Item = (Arc<str>, u64)> {
        let mut calls = HashMap::<u64, (Arc<str>, u64)>::new();
        for shelf in self.shelves() {
            let pages = lock(&shelf.clients).clone();
            for page in pages {
                let of_client = calls.entry(page.client.number);
                of_client.or_insert_with(|| (Arc::clone(&page.client.id), 0)).1 += page.series.calls.get();
            }
        }
        calls.into_values()
    }

    /// How long calls of the last ten minutes took, the oldest column first.
    #[must_use]
    pub fn heat(&self) -> Vec<HeatColumn> {
        let (shelves, now) = (self.shelves(), Now::read());
        let began = clock::unix_millis().saturating_sub(now.ms);
        let first = now.tick.saturating_sub(COLUMNS as u64 - 1);
        (first..=now.tick)
            .map(|tick| {
                let mut counts = [0; COARSE];
                for shelf in &shelves {
                    shelf.heat.sum(tick, &mut counts);
                }
                HeatColumn { at_ms: began + (tick + 1) * TICK_MS, counts: as_heat(&counts) }
            })
            .collect()
    }

    /// Calls in flight, the oldest first.
    #[must_use]
    pub fn calls(&self) -> Calls {
        let (now, mut calls) = (Instant::now(), Vec::<CallRow>::new());
        for shelf in self.shelves() {
            shelf.live.each(|row, stage| {
                if row.kind.is_call() {
                    calls.push(row.shown(stage, now));
                }
            });
        }
        calls.sort_by_key(|call| std::cmp::Reverse(call.age_ms));
        Calls { total: calls.len() as u64, calls }
    }

    /// What is known of one call: it is in flight, or it is one of those that ended last.
    #[must_use]
    pub fn call(&self, id: &str) -> Option<CallLife> {
        let shelves = self.shelves();
        let (now, mut found) = (Instant::now(), None);
        for shelf in &shelves {
            shelf.live.each(|row, stage| {
                if row.id.as_str() == id {
                    found = Some(CallLife::InFlight(row.shown(stage, now)));
                }
            });
        }
        found.or_else(|| shelves.iter().find_map(|shelf| ended(shelf, id)).map(|ended| CallLife::Ended(ended.shown())))
    }
}

/// The call that ended, where its core still has it, which is let go of after every few steps.
fn ended(shelf: &Shelf, id: &str) -> Option<Box<Ended>> {
    let mut search = Search::of(id)?;
    loop {
        let looked = lock(&shelf.past).look(&mut search);
        match looked {
            Looked::Found(ended) => return Some(ended),
            Looked::Further => {}
            Looked::Nowhere => return None,
        }
    }
}

/// Clients by number, as far as they are known.
fn client_names(shelves: &[Arc<Shelf>]) -> HashMap<u64, Arc<str>> {
    let mut names = HashMap::new();
    for shelf in shelves {
        let pages = lock(&shelf.clients).clone();
        for page in pages {
            names.insert(page.client.number, Arc::clone(&page.client.id));
        }
    }
    names
}

fn callers(pages: &[Arc<ToolPage>], names: &HashMap<u64, Arc<str>>, now: Now) -> Vec<Caller> {
    let mut calls = HashMap::<u64, u64>::new();
    for page in pages {
        for (client, count) in lock(&page.callers).told(now.ms / super::desk::CALLERS_TICK_MS) {
            *calls.entry(client).or_default() += count;
        }
    }
    let caller = |(client, calls)| Some(Caller { client: names.get(&client)?.to_string(), calls });
    let mut callers: Vec<Caller> = calls.into_iter().filter_map(caller).collect();
    callers.sort_by(|one, other| other.calls.cmp(&one.calls).then_with(|| one.client.cmp(&other.client)));
    callers.truncate(CALLERS);
    callers
}

fn busiest(pages: &[Arc<ClientPage>], names: &HashMap<u64, Arc<ToolPage>>, now: Now) -> Option<Busiest> {
    let mut calls = HashMap::<u64, u64>::new();
    for page in pages {
        for (tool, count) in lock(&page.tools).told(now.tick) {
            *calls.entry(tool).or_default() += count;
        }
    }
    let told = |(tool, calls_last_minute)| {
        let page: &Arc<ToolPage> = names.get(&tool)?;
        Some(Busiest { tool: format!("{}/{}", page.server(), Shown(page.tool())), calls_last_minute })
    };
    let busiest = calls.into_iter().filter_map(told);
    busiest.max_by(|one, other| {
        one.calls_last_minute.cmp(&other.calls_last_minute).then_with(|| other.tool.cmp(&one.tool))
    })
}

/// Coarse buckets under the fewer bounds of a column.
fn as_heat(counts: &[u64; COARSE]) -> Vec<u64> {
    let mut heat = vec![0; HEAT_BOUNDS_US.len() + 1];
    for (at, count) in counts.iter().enumerate() {
        let bound = COARSE_US.get(at).copied().unwrap_or(u64::MAX);
        heat[HEAT_BOUNDS_US.partition_point(|heat| *heat < bound)] += count;
    }
    heat
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_of_a_column_is_one_of_the_buckets() {
        assert!(HEAT_BOUNDS_US.iter().all(|bound| COARSE_US.contains(bound)));
        let mut counts = [0; COARSE];
        counts.iter_mut().enumerate().for_each(|(at, count)| *count = 1 << at);
        let heat = as_heat(&counts);
        assert_eq!(heat.iter().sum::<u64>(), (1 << COARSE) - 1);
        assert_eq!(heat[9], 1 << 9 | 1 << 10, "up to half a second, and up to one");
        assert_eq!(heat[12], 1 << 15, "what took longer than all");
    }
}
