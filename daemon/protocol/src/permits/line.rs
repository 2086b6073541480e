//! Who waits for a permit, and whose turn it is: fair between tiers by weight, and between the clients of a tier.
//!
//! Tiers are served by start-time fair queueing: each has a virtual time that a served call moves on by the inverse
//! of the tier's weight, and the tier that is furthest behind is next. A tier that was away comes back at the time of
//! those who stayed, so it gathers no claims. Within a tier clients take turns, a call each. Every step costs a
//! logarithm of what waits.

use std::collections::{BTreeMap, BTreeSet};

/// The largest weight that counts.
pub const MAX_WEIGHT: u32 = 10_000;

/// What a call of a tier of weight 1 moves its tier's virtual time by. No rounding of a share shows before as many
/// calls have been served as fit into it.
const SCALE: u128 = 1 << 64;

/// Whom a waiting call counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flow {
    /// The tier's number.
    pub tier: u64,
    /// The tier's weight; from 1 to [`MAX_WEIGHT`], and whatever lies beyond counts as the nearest of these.
    pub weight: u32,
    /// The client's number, of one tier only.
    pub client: u64,
}

impl Flow {
    pub(super) fn weight(self) -> u32 {
        self.weight.clamp(1, MAX_WEIGHT)
    }

    fn stride(self) -> u128 {
        // Rounded up: a tier that has had its share is never before one that has not.
        SCALE.div_ceil(u128::from(self.weight()))
    }
}

/// Names a place in a [`Line`]. Those who came later have larger ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// Who waits. The order among them is decided when one is taken out.
#[derive(Debug, Clone)]
pub struct Line<T> {
    waiting: BTreeMap<Ticket, (Flow, T)>,
    /// Tiers that have waited since somebody has always been waiting.
    tiers: BTreeMap<u64, Tier>,
    /// Tiers of which somebody waits, the one that is next first: by virtual time, of several the heaviest.
    order: BTreeSet<Standing>,
    /// The same by weight, the heaviest last.
    weights: BTreeSet<(u32, u64)>,
    /// The virtual time at which the last one was taken out.
    clock: u128,
    next: u64,
}

/// Virtual time, stride and number of a tier.
type Standing = (u128, u128, u64);

#[derive(Debug, Clone, Default)]
struct Tier {
    /// Its virtual time.
    pass: u128,
    weight: u32,
    stride: u128,
    waiting: usize,
    clients: BTreeMap<u64, Client>,
    /// Clients by their turn.
    turns: BTreeMap<u64, u64>,
    /// Clients by how many calls wait.
    sizes: BTreeSet<(usize, u64)>,
    next_turn: u64,
}

#[derive(Debug, Clone)]
struct Client {
    turn: u64,
    calls: BTreeSet<Ticket>,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            tiers: BTreeMap::new(),
            order: BTreeSet::new(),
            weights: BTreeSet::new(),
            clock: 0,
            next: 0,
        }
    }
}

impl<T> Line<T> {
    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Who has waited for longest.
    #[must_use]
    pub fn oldest(&self) -> Option<&T> {
        self.waiting.first_key_value().map(|(_, (_, waiter))| waiter)
    }

    /// The line as it stands, of something else for each waiter; who is next is found by taking from it.
    #[must_use]
    pub fn map<U>(&self, mut seen: impl FnMut(&T) -> U) -> Line<U> {
        Line {
            waiting: self.waiting.iter().map(|(ticket, (flow, waiter))| (*ticket, (*flow, seen(waiter)))).collect(),
            tiers: self.tiers.clone(),
            order: self.order.clone(),
            weights: self.weights.clone(),
            clock: self.clock,
            next: self.next,
        }
    }

    /// The places of those who wait, of one client or all.
    pub(super) fn tickets(&self, client: Option<u64>) -> Vec<Ticket> {
        let meant = |flow: &Flow| client.is_none_or(|client| client == flow.client);
        self.waiting.iter().filter(|(_, (flow, _))| meant(flow)).map(|(ticket, _)| *ticket).collect()
    }

    /// How many of a client wait.
    #[must_use]
    pub fn waiting_of(&self, client: u64) -> usize {
        self.tiers.values().map(|tier| tier.waiting_of(client)).sum()
    }

    /// Takes out whoever is next.
    pub fn pop(&mut self) -> Option<T> {
        let (pass, _, number) = self.order.pop_first()?;
        self.clock = pass;
        let tier = self.tiers.get_mut(&number)?;
        let ticket = tier.pop()?;
        tier.pass = pass + tier.stride;
        if tier.waiting > 0 {
            self.order.insert(tier.standing(number));
        } else {
            self.weights.remove(&(tier.weight, number));
        }
        self.take(ticket).map(|(_, waiter)| waiter)
    }

    /// The most weight that anybody has who waits.
    pub(super) fn heaviest(&self) -> Option<u32> {
        self.weights.last().map(|(weight, _)| *weight)
    }

    /// Whether a call of `flow` would be next if it came now.
    pub(super) fn is_next(&self, flow: Flow) -> bool {
        let Some(first) = self.order.first() else { return true };
        let tier = self.tiers.get(&flow.tier);
        let pass = tier.map_or(self.clock, |tier| tier.pass.max(self.clock));
        tier.is_none_or(|tier| tier.waiting == 0) && (pass, flow.stride(), flow.tier) < *first
    }

    /// Whether this tier waits and is next.
    pub(super) fn is_turn(&self, tier: u64) -> bool {
        self.order.first().is_some_and(|(_, _, first)| *first == tier)
    }

    /// A call of `flow` is next and does not wait: it counts as if it had come and been taken out.
    pub(super) fn pass(&mut self, flow: Flow) {
        if !self.is_empty() {
            let tier = self.tiers.entry(flow.tier).or_default();
            tier.follow(flow);
            self.clock = tier.pass.max(self.clock);
            tier.pass = self.clock + tier.stride;
        }
    }

    pub(super) fn push(&mut self, flow: Flow, waiter: T) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        let tier = self.tiers.entry(flow.tier).or_default();
        if tier.waiting == 0 || tier.weight != flow.weight() {
            self.order.remove(&tier.standing(flow.tier));
            self.weights.remove(&(tier.weight, flow.tier));
            tier.follow(flow);
            tier.pass = tier.pass.max(self.clock);
            self.order.insert(tier.standing(flow.tier));
            self.weights.insert((tier.weight, flow.tier));
        }
        tier.push(flow.client, ticket);
        self.waiting.insert(ticket, (flow, waiter));
        ticket
    }

    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<T> {
        let (flow, waiter) = self.take(ticket)?;
        if let Some(tier) = self.tiers.get_mut(&flow.tier) {
            tier.remove(flow.client, ticket);
            if tier.waiting == 0 {
                self.order.remove(&tier.standing(flow.tier));
                self.weights.remove(&(tier.weight, flow.tier));
            }
        }
        Some(waiter)
    }

    /// Takes out the youngest call of whoever has most in a full line, for a call of `flow`: of the tier that has most
    /// for its weight, of the client that has most in it. `None` where that would leave `flow` no better off than
    /// whoever it displaces. Looks at each tier.
    pub(super) fn displace(&mut self, flow: Flow) -> Option<T> {
        let load = |tier: &Tier, more: usize| tier.stride * (tier.waiting + more) as u128;
        let own = self.tiers.get(&flow.tier);
        let own_load = own.map_or_else(|| flow.stride(), |tier| load(tier, 1));
        let fullest = self.tiers.iter().max_by_key(|(_, tier)| load(tier, 0))?;
        let ticket = match (fullest, own) {
            ((number, tier), _) if *number != flow.tier && load(tier, 0) > own_load => tier.youngest_of_most()?,
            (_, Some(own)) if own.most() > own.waiting_of(flow.client) + 1 => own.youngest_of_most()?,
            _ => return None,
        };
        self.remove(ticket)
    }

    fn take(&mut self, ticket: Ticket) -> Option<(Flow, T)> {
        let taken = self.waiting.remove(&ticket);
        if self.waiting.is_empty() {
            // All have had what they waited for: nobody is owed anything.
            self.tiers.clear();
            self.order.clear();
            self.weights.clear();
            self.clock = 0;
        }
        taken
    }
}

impl Tier {
    fn standing(&self, number: u64) -> Standing {
        (self.pass, self.stride, number)
    }

    /// A reload may have changed its weight.
    fn follow(&mut self, flow: Flow) {
        if self.weight != flow.weight() {
            (self.weight, self.stride) = (flow.weight(), flow.stride());
        }
    }

    fn push(&mut self, number: u64, ticket: Ticket) {
        let turn = self.next_turn;
        let client = self.clients.entry(number).or_insert_with(|| Client { turn, calls: BTreeSet::new() });
        if client.calls.is_empty() {
            self.next_turn += 1;
            self.turns.insert(turn, number);
        } else {
            self.sizes.remove(&(client.calls.len(), number));
        }
        client.calls.insert(ticket);
        self.sizes.insert((client.calls.len(), number));
        self.waiting += 1;
    }

    /// The oldest call of the client whose turn it is, which goes to the end.
    fn pop(&mut self) -> Option<Ticket> {
        let (_, number) = self.turns.first_key_value()?;
        let number = *number;
        let ticket = *self.clients.get(&number)?.calls.first()?;
        self.remove(number, ticket);
        if let Some(client) = self.clients.get_mut(&number) {
            self.turns.remove(&client.turn);
            client.turn = self.next_turn;
            self.next_turn += 1;
            self.turns.insert(client.turn, number);
        }
        Some(ticket)
    }

    fn remove(&mut self, number: u64, ticket: Ticket) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let size = client.calls.len();
        if !client.calls.remove(&ticket) {
            return;
        }
        self.waiting -= 1;
        self.sizes.remove(&(size, number));
        if client.calls.is_empty() {
            self.turns.remove(&client.turn);
            self.clients.remove(&number);
        } else {
            self.sizes.insert((size - 1, number));
        }
    }

    fn most(&self) -> usize {
        self.sizes.last().map_or(0, |(size, _)| *size)
    }

    fn waiting_of(&self, client: u64) -> usize {
        self.clients.get(&client).map_or(0, |client| client.calls.len())
    }

    fn youngest_of_most(&self) -> Option<Ticket> {
        let (_, number) = self.sizes.last()?;
        self.clients.get(number)?.calls.last().copied()
    }
}

#[cfg(test)]
mod tests;
