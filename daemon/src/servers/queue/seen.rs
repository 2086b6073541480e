//! A queue as operators see it: numbers, and who waits in which order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use toolgate_protocol::permits::Load;

use super::apart::PerClient;
use super::{Flow, Queue};

/// The numbers of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// Calls in flight.
    pub in_flight: usize,
    /// Calls that wait for a permit.
    pub waiting: usize,
    /// Calls that wait for others of their own client to end.
    pub aside: usize,
    /// Calls that may be in flight.
    pub cap: usize,
    /// How many of these the lightest calls leave free for heavier tiers.
    pub held_back: usize,
    /// How long the call that came first has waited; zero when nobody waits.
    pub oldest: Duration,
}

/// Those of one tier who wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierSeen {
    /// Its name; none for clients without one.
    pub name: Option<String>,
    /// Its weight.
    pub weight: u32,
    /// Calls that wait.
    pub waiting: usize,
    /// Whose they are, how many.
    pub clients: usize,
}

/// A call that waits; in the order in which permits will be handed over if nobody else comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingSeen {
    /// The client's id.
    pub client: Option<Arc<str>>,
    /// Its tier's name.
    pub tier: Option<String>,
    /// How long it has waited.
    pub waited: Duration,
}

impl Queue {
    /// The numbers of this instant.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let Load { in_flight, waiting, cap } = self.permits.load();
        let aside = self.clients.as_ref().map_or(0, PerClient::waiting);
        // Whoever looks takes the lock only where somebody waits.
        let oldest = if waiting == 0 { None } else { self.waiting().line.oldest().map(|waiter| waiter.since) };
        let held_back = self.permits.held_back(1);
        Snapshot {
            in_flight,
            waiting,
            aside,
            cap,
            held_back,
            oldest: oldest.map_or(Duration::ZERO, |since| since.elapsed()),
        }
    }

    /// Calls of one client that wait, for permits of the server or for its own.
    #[must_use]
    pub fn waiting_of(&self, client: u64) -> usize {
        let own = self.clients.as_ref().and_then(|clients| clients.of(client));
        let aside = own.map_or(0, |own| own.permits.load().waiting);
        aside + self.waiting().line.waiting_of(client)
    }

    /// The tiers of which somebody waits, and the first `most` calls in the order of the line.
    #[must_use]
    pub fn look(&self, most: usize) -> (Vec<TierSeen>, Vec<WaitingSeen>) {
        // Copied under the lock, put into order outside of it.
        let mut line = self.waiting().line.map(|waiter| (waiter.flow.clone(), waiter.since));
        let in_order: Vec<(Flow, Instant)> = std::iter::from_fn(|| line.pop()).collect();
        let mut tiers: BTreeMap<Option<String>, (u32, usize, Vec<u64>)> = BTreeMap::new();
        for (flow, _) in &in_order {
            let place = flow.place();
            let tier = tiers.entry(tier_of(flow)).or_insert_with(|| (place.weight, 0, Vec::new()));
            tier.1 += 1;
            tier.2.push(place.client);
        }
        let tiers = tiers.into_iter().map(|(name, (weight, waiting, mut clients))| {
            clients.sort_unstable();
            clients.dedup();
            TierSeen { name, weight, waiting, clients: clients.len() }
        });
        let calls = in_order.iter().take(most).map(|(flow, since)| WaitingSeen {
            client: flow.client().map(|client| Arc::clone(&client.id)),
            tier: tier_of(flow),
            waited: since.elapsed(),
        });
        (tiers.collect(), calls.collect())
    }
}

fn tier_of(flow: &Flow) -> Option<String> {
    flow.client()?.tier.as_ref().map(|tier| tier.name.clone())
}
