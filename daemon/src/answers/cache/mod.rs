//! Answers that are kept, per server: bounded in number and bytes, shared by all cores.
//!
//! What is in it was a complete result without error, in a client's era and with the server's own names; only its id, and
//! what is left of its time, change when it is given again. Whatever the server or the operator says makes all of it void at once.

mod flights;
mod key;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use foldhash::fast::RandomState;
use quick_cache::sync::Cache as Kept;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};
use toolgate_protocol::freshness::Freshness;
use toolgate_protocol::json::Span;
use toolgate_protocol::splice::{self, Edit};
use toolgate_protocol::{json, list, tool_result};

pub(super) use self::flights::Waited;
use self::flights::{Flight, Flights, Joined};
pub(super) use self::key::{Key, Keys};
use crate::clock;
use crate::config::settings;
use crate::message::Message;

/// Shards of a cache, and with it the share of its size that one answer may have at most.
const SHARDS: usize = 8;
/// What an entry takes beside its answer.
const OVERHEAD: usize = 128;
/// No answer is kept for longer because its server says so, in milliseconds.
const LONGEST: u64 = 86_400_000;

/// The cache of one server.
#[derive(Debug)]
pub(super) struct Cache {
    kept: Kept<Key, Arc<Entry>, Weigh, RandomState, Evictions>,
    flights: Arc<Flights>,
    /// Answers to what was asked before the last change are not kept.
    epoch: AtomicU64,
    counts: Counts,
}

/// One answer.
#[derive(Debug)]
pub(super) struct Entry {
    answer: Bytes,
    id: Span,
    /// Where it says for how long it holds, where it is kept for that.
    says: Option<Span>,
    /// When it came, by our clock, in milliseconds.
    since: u64,
    /// In milliseconds.
    ttl: u64,
}

/// How often what happened.
#[derive(Debug, Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    shared: AtomicU64,
    stale: AtomicU64,
    evictions: Arc<AtomicU64>,
}

/// A look at the counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Answers that are kept.
    pub entries: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// Calls that were answered by one.
    pub hits: u64,
    /// Calls that went to the server.
    pub misses: u64,
    /// Calls that shared the flight of another.
    pub shared: u64,
    /// Calls that wait for the answer of another at this moment.
    pub waiting: u64,
    /// Calls that got an answer past its time.
    pub stale: u64,
    /// Answers that gave way to others.
    pub evictions: u64,
}

/// How a kind of answer is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// As the operator says, in milliseconds.
    Told { ttl: u64, shared: bool, grace: u64 },
    /// As the server says.
    Hinted,
}

impl Rule {
    fn grace(self) -> u64 {
        match self {
            Self::Told { grace, .. } => grace,
            Self::Hinted => 0,
        }
    }

    /// The key that calls at once are joined by.
    fn flight(self, keys: &Keys) -> Key {
        match self {
            Self::Told { shared, .. } => keys.pick(shared),
            // Only the answer will tell whether others may have it.
            Self::Hinted => keys.own,
        }
    }
}

/// What a look brought.
pub(super) enum Look {
    /// An answer that still holds.
    Hit(Arc<Entry>),
    /// Another call asks the same.
    Follow(flights::Follower),
    /// The call is the first to ask.
    Miss(Keeping),
}

/// A call whose answer is to be kept.
#[derive(Debug)]
pub struct Keeping {
    cache: Arc<Cache>,
    keys: Keys,
    rule: Rule,
    epoch: u64,
    flight: Option<Flight>,
}

impl Cache {
    pub(super) fn new(rules: &settings::Cache) -> Self {
        let options = OptionsBuilder::new()
            .shards(SHARDS)
            .estimated_items_capacity(rules.entries)
            .weight_capacity(rules.size as u64)
            .build()
            .expect("both capacities are given");
        let counts = Counts::default();
        let weigh = Weigh { least: (rules.size / rules.entries.max(1)) as u64 };
        let evictions = Evictions(Arc::clone(&counts.evictions));
        Self {
            kept: Kept::with_options(options, weigh, RandomState::default(), evictions),
            flights: Arc::default(),
            epoch: AtomicU64::new(0),
            counts,
        }
    }

    /// Looks for an answer; who finds none and nobody who fetches it has to.
    pub(super) fn look(self: &Arc<Self>, keys: Keys, rule: Rule) -> Look {
        if let Some(entry) = self.fresh(&keys, rule) {
            self.counts.hits.fetch_add(1, Ordering::Relaxed);
            return Look::Hit(entry);
        }
        // Read before the flight is found: one that is void by then is followed by nobody who comes after the change.
        let epoch = self.epoch.load(Ordering::SeqCst);
        match self.flights.join(rule.flight(&keys), epoch) {
            Joined::Follows(follower) => Look::Follow(follower),
            Joined::Leads(flight) => {
                // It may have landed between the two looks.
                if let Some(entry) = self.fresh(&keys, rule) {
                    self.counts.hits.fetch_add(1, Ordering::Relaxed);
                    return Look::Hit(entry);
                }
                Look::Miss(self.keeping(keys, rule, epoch, Some(flight)))
            }
        }
    }

    /// For a call that waits for no other.
    pub(super) fn alone(self: &Arc<Self>, keys: Keys, rule: Rule) -> Keeping {
        self.keeping(keys, rule, self.epoch.load(Ordering::SeqCst), None)
    }

    /// Counts a call that got the answer of another.
    pub(super) fn shared(&self) {
        self.counts.shared.fetch_add(1, Ordering::Relaxed);
    }

    fn keeping(self: &Arc<Self>, keys: Keys, rule: Rule, epoch: u64, flight: Option<Flight>) -> Keeping {
        self.counts.misses.fetch_add(1, Ordering::Relaxed);
        Keeping { cache: Arc::clone(self), keys, rule, epoch, flight }
    }

    fn fresh(&self, keys: &Keys, rule: Rule) -> Option<Arc<Entry>> {
        self.find(keys, rule).filter(|entry| entry.freshness(0) == Freshness::Fresh)
    }

    fn find(&self, keys: &Keys, rule: Rule) -> Option<Arc<Entry>> {
        match rule {
            Rule::Told { shared, .. } => self.kept.get(&keys.pick(shared)),
            Rule::Hinted => self.kept.get(&keys.own).or_else(|| self.kept.get(&keys.shared)),
        }
    }

    /// Forgets everything, also what is under way.
    pub(super) fn clear(&self) -> Statistics {
        let before = self.statistics();
        // First: what is asked before is not kept after.
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.kept.clear();
        before
    }

    pub(super) fn statistics(&self) -> Statistics {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Statistics {
            entries: self.kept.len() as u64,
            bytes: self.kept.iter().map(|(_, entry)| entry.answer.len() as u64).sum(),
            hits: count(&self.counts.hits),
            misses: count(&self.counts.misses),
            shared: count(&self.counts.shared),
            waiting: self.flights.waiting(),
            stale: count(&self.counts.stale),
            evictions: count(&self.counts.evictions),
        }
    }
}

impl Keeping {
    /// What came of the call: an answer, or none.
    pub fn end(self, answer: Option<&Bytes>) {
        match answer {
            Some(answer) => self.land(answer),
            None => drop(self.fail(false)),
        }
    }

    /// Keeps an answer where it can be kept, and gives it to all who wait for it.
    pub(super) fn land(self, answer: &Bytes) {
        let Self { cache, keys, rule, epoch, flight } = self;
        let Some((key, entry)) = entry(answer, &keys, rule) else {
            if let Some(flight) = flight {
                flight.fail();
            }
            return;
        };
        let entry = Arc::new(entry);
        cache.kept.insert(key, Arc::clone(&entry));
        if cache.epoch.load(Ordering::SeqCst) != epoch {
            cache.kept.remove(&key);
        }
        if let Some(flight) = flight {
            flight.land(&entry);
        }
    }

    /// There is no answer: who waits goes on alone. Gives back what may stand in for it, where anything may.
    pub(super) fn fail(self, unreachable: bool) -> Option<Arc<Entry>> {
        if let Some(flight) = self.flight {
            flight.fail();
        }
        if !unreachable {
            return None;
        }
        let found = self.cache.find(&self.keys, self.rule)?;
        // A fresh one came by way of somebody else meanwhile.
        if found.freshness(self.rule.grace()) == Freshness::Expired {
            return None;
        }
        self.cache.counts.stale.fetch_add(1, Ordering::Relaxed);
        Some(found)
    }
}

/// What is kept of an answer, and where; `None` where it says nothing lasting.
fn entry(answer: &Bytes, keys: &Keys, rule: Rule) -> Option<(Key, Entry)> {
    let message = Message::parse(answer.clone()).ok()?;
    let (result, id) = (message.envelope.result?, message.envelope.id?);
    if !tool_result::is_lasting(answer, result) {
        return None;
    }
    let (ttl, shared, says) = match rule {
        Rule::Told { ttl, shared, .. } => (ttl, shared, None),
        Rule::Hinted => {
            let hints = list::cache_hints(answer, result);
            let says = json::get(answer, result, "ttlMs");
            (hints.ttl_ms.min(LONGEST), hints.scope == list::CacheScope::Public, says)
        }
    };
    // A slice of a larger buffer would keep all of that.
    let answer = Bytes::copy_from_slice(answer);
    (ttl > 0).then(|| (keys.pick(shared), Entry { answer, id, says, since: clock::millis(), ttl }))
}

impl Entry {
    /// The answer to a request with this raw id. Who is told for how long it holds is told what is left of that.
    pub(super) fn answer(&self, id: &[u8]) -> Bytes {
        let mut edits = vec![Edit::replace(self.id, id)];
        if let Some(says) = self.says {
            edits.push(Edit::replace(says, self.left().max(0).to_string().into_bytes()));
        }
        splice::apply(&self.answer, &mut edits).into()
    }

    /// The same, marked in `_meta` as what it is.
    pub(super) fn stale_answer(&self, id: &[u8]) -> Bytes {
        let mark = format!(r#"{{"ageSeconds":{}}}"#, self.age() / 1000);
        let marks: [(&str, &[u8]); 1] = [("toolgate/stale", mark.as_bytes())];
        let mut edits = vec![Edit::replace(self.id, id)];
        let whole = json::document(&self.answer).ok();
        if let Some(result) = whole.and_then(|whole| json::get(&self.answer, whole, "result")) {
            let meta = json::get(&self.answer, result, "_meta").filter(|meta| meta.of(&self.answer).starts_with(b"{"));
            if let Some(meta) = meta {
                edits.extend(splice::set_members(&self.answer, meta, &marks));
            } else {
                let meta = format!(r#"{{"toolgate/stale":{mark}}}"#);
                edits.extend(splice::set_members(&self.answer, result, &[("_meta", meta.as_bytes())]));
            }
        }
        splice::apply(&self.answer, &mut edits).into()
    }

    /// Milliseconds since it came.
    pub(super) fn age(&self) -> u64 {
        clock::millis_since(self.since)
    }

    /// Milliseconds that it still holds; less than nothing where it is stale.
    pub(super) fn left(&self) -> i64 {
        self.ttl.cast_signed().saturating_sub(self.age().cast_signed())
    }

    fn freshness(&self, grace: u64) -> Freshness {
        Freshness::of(self.age(), self.ttl, grace)
    }

    #[cfg(test)]
    fn for_tests(text: &'static [u8]) -> Self {
        Self { answer: Bytes::from_static(text), id: Span::empty(0), says: None, since: 0, ttl: 1 }
    }
}

/// Each entry counts for its bytes, and for its share of the size at least: so there are never more than there may be.
#[derive(Debug, Clone)]
struct Weigh {
    least: u64,
}

impl Weighter<Key, Arc<Entry>> for Weigh {
    fn weight(&self, _: &Key, entry: &Arc<Entry>) -> u64 {
        ((entry.answer.len() + OVERHEAD) as u64).max(self.least)
    }
}

#[derive(Debug, Clone)]
struct Evictions(Arc<AtomicU64>);

impl Lifecycle<Key, Arc<Entry>> for Evictions {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: Key, _: Arc<Entry>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
