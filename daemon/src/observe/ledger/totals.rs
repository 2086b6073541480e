//! Sums since the process began, over all cores: what metrics are made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Ledger;
use super::book::Shown;
use super::outcome::Outcome;
use super::series::{Durations, PHASES, Series};
use crate::lock::lock;
use crate::observe::metrics::Times;

impl Times {
    fn add(&mut self, durations: &Durations) {
        self.counts.iter_mut().zip(&durations.counts).for_each(|(sum, count)| *sum += count.get());
        self.sum_us += durations.sum_us.get();
    }
}

impl Series {
    /// Calls that ended, in the order of [`Outcome::ALL`].
    fn outcomes(&self) -> [u64; 4] {
        [&self.well, &self.errors, &self.refused, &self.gone].map(super::count::Count::get)
    }
}

impl Ledger {
    /// Sums over the pages of all cores that have the same key.
    fn summed<V, K: Ord, S: Default>(
        &self,
        of: impl Fn(&super::shelf::Shelf) -> &Shown<V>,
        key: impl Fn(&V) -> K,
        add: impl Fn(&mut S, &V),
    ) -> BTreeMap<K, S> {
        let mut sums = BTreeMap::new();
        for shelf in self.shelves() {
            let pages = lock(of(&shelf)).clone();
            for page in &pages {
                add(sums.entry(key(page)).or_default(), page);
            }
        }
        sums
    }

    /// Answers to HTTP requests, by method, route and status.
    #[must_use]
    pub fn routes(&self) -> BTreeMap<(&'static str, Box<str>, u16), Times> {
        let key = |page: &super::shelf::RoutePage| (page.method, page.route.clone(), page.status);
        self.summed(|shelf| &shelf.routes, key, |times: &mut Times, page| times.add(&page.durations))
    }

    /// Calls, by server, method and outcome.
    #[must_use]
    pub fn requests(&self) -> BTreeMap<(Arc<str>, &'static str, Outcome), Times> {
        let key = |page: &super::shelf::RequestPage| (Arc::clone(&page.server), page.method, page.outcome);
        self.summed(|shelf| &shelf.requests, key, |times: &mut Times, page| times.add(&page.durations))
    }

    /// Calls of tools, by server and tool, in the order of [`Outcome::ALL`].
    #[must_use]
    pub fn executions(&self) -> BTreeMap<(Arc<str>, Box<str>), [u64; 4]> {
        let key = |page: &super::shelf::ToolPage| (Arc::clone(page.server()), page.tool().into());
        let add = |sums: &mut [u64; 4], page: &super::shelf::ToolPage| {
            sums.iter_mut().zip(page.series.outcomes()).for_each(|(sum, count)| *sum += count);
        };
        self.summed(|shelf| &shelf.tools, key, add)
    }

    /// Reads of resources, by server, scheme and outcome.
    #[must_use]
    pub fn reads(&self) -> BTreeMap<(Arc<str>, Box<str>, Outcome), u64> {
        let key = |page: &super::shelf::ResourcePage| (Arc::clone(&page.server), page.scheme.clone(), page.outcome);
        self.summed(|shelf| &shelf.resources, key, |sum: &mut u64, page| *sum += page.reads.get())
    }

    /// Bytes of requests and answers by server; those of no server, or of several, under the empty name.
    #[must_use]
    pub fn bytes(&self) -> BTreeMap<Arc<str>, [u64; 2]> {
        let key = |page: &super::shelf::ServerPage| Arc::clone(&page.name);
        let mut bytes = self.summed(
            |shelf| &shelf.servers,
            key,
            |sum: &mut [u64; 2], page| {
                sum[0] += page.series.bytes_in.get();
                sum[1] += page.series.bytes_out.get();
            },
        );
        let mut rest = [0_u64; 2];
        for shelf in self.shelves() {
            rest.iter_mut().zip(&shelf.unserved).for_each(|(sum, count)| *sum += count.get());
        }
        bytes.insert("".into(), rest);
        bytes
    }

    /// Where the time of calls went, by server, in the order of the phases.
    #[must_use]
    pub fn phases(&self) -> BTreeMap<Arc<str>, [Times; PHASES]> {
        let key = |page: &super::shelf::ServerPage| Arc::clone(&page.name);
        self.summed(
            |shelf| &shelf.servers,
            key,
            |sums: &mut [Times; PHASES], page| {
                sums.iter_mut().zip(&page.phases).for_each(|(sum, phase)| sum.add(phase));
            },
        )
    }

    /// Events that went to clients on streams, those of them that waited too long for their client, and how long each was
    /// on its way through the gate.
    #[must_use]
    pub fn streamed(&self) -> (u64, u64, Times) {
        let (mut events, mut slow, mut latency) = (0, 0, Times::default());
        for shelf in self.shelves() {
            events += shelf.events.get();
            slow += shelf.slow.get();
            latency.add(&shelf.latency);
        }
        (events, slow, latency)
    }

    /// Open connections of clients.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shelves().iter().map(|shelf| shelf.load.connections()).sum()
    }

    /// Requests in flight.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        let mut calls = 0;
        self.shelves().iter().for_each(|shelf| shelf.live.each(|row, _| calls += u64::from(row.kind.is_call())));
        calls
    }
}
