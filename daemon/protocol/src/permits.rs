//! Permits of a server and the line of those who wait for one, without a clock or a wake-up.
//!
//! `toolgated::servers::queue` adds both. [`Permits::try_acquire`] and [`Permits::release`] may run anywhere;
//! everything that takes a [`Line`] must run under the lock that guards that line.
//!
//! What must hold: in flight never grows beyond the cap; a permit is never lost, so nobody waits while one is
//! free; nobody overtakes a waiter. The number of waiters in the word equals the line's length whenever the
//! lock is free.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Place;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};

/// The largest cap, and the largest number of waiters.
pub const MAX: usize = (1 << BITS) - 1;

const BITS: u32 = 21;
const MASK: u64 = (1 << BITS) - 1;

/// In flight, waiting and cap of one server in one word, so that each decision sees all three at one instant.
#[derive(Debug)]
pub struct Permits(AtomicU64);

/// The three numbers of [`Permits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Permits held. More than `cap` only after the cap was lowered.
    pub in_flight: usize,
    /// Calls in the line.
    pub waiting: usize,
    /// Permits that may be held.
    pub cap: usize,
}

impl Load {
    fn unpack(word: u64) -> Self {
        let part = |place: u32| usize::try_from((word >> (place * BITS)) & MASK).unwrap_or(MAX);
        Self { in_flight: part(0), waiting: part(1), cap: part(2) }
    }

    fn pack(self) -> u64 {
        let part = |number: usize, place: u32| (number.min(MAX) as u64) << (place * BITS);
        part(self.in_flight, 0) | part(self.waiting, 1) | part(self.cap, 2)
    }

    fn has_room(self) -> bool {
        self.in_flight < self.cap
    }
}

/// What became of a permit that was given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// It is free.
    Freed,
    /// Somebody waits: the caller still holds it and must call [`Permits::hand_over`].
    Owed,
}

/// What became of a call that did not get a permit at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A permit became free in the meantime.
    Admitted,
    /// It waits.
    Waiting {
        /// Names it until it is handed a permit or leaves.
        ticket: Ticket,
        /// How many are before it.
        position: usize,
    },
    /// The line is full.
    Full {
        /// How many wait.
        waiting: usize,
    },
}

impl Permits {
    /// All free. A cap above [`MAX`] counts as [`MAX`].
    #[must_use]
    pub fn new(cap: usize) -> Self {
        Self(AtomicU64::new(Load { in_flight: 0, waiting: 0, cap }.pack()))
    }

    /// The numbers of this instant.
    #[must_use]
    pub fn load(&self) -> Load {
        Load::unpack(self.0.load(Ordering::Acquire))
    }

    /// Takes a permit if one is free and nobody waits.
    #[must_use]
    pub fn try_acquire(&self) -> bool {
        self.update(|load| {
            (load.has_room() && load.waiting == 0).then(|| Load { in_flight: load.in_flight + 1, ..load })
        })
        .is_ok()
    }

    /// Gives a permit back.
    #[must_use]
    pub fn release(&self) -> Release {
        if self.free() { Release::Freed } else { Release::Owed }
    }

    /// Frees a permit unless a waiter inherits it. Above a lowered cap the permit ends with its call.
    fn free(&self) -> bool {
        self.update(|load| {
            let inherited = load.waiting > 0 && load.in_flight <= load.cap;
            (!inherited).then(|| Load { in_flight: load.in_flight.saturating_sub(1), ..load })
        })
        .is_ok()
    }

    /// Under the lock: takes a permit, or a place in a line of at most `max`. `waiter` is only called for a place.
    pub fn enter<F, T>(&self, line: &mut Line<F, T>, flow: F, max: usize, waiter: impl FnOnce() -> T) -> Entry
    where
        F: Eq + Hash,
    {
        // A release either has freed its permit before this, and is seen here, or sees the waiter.
        let before = self.update(|load| match load {
            load if load.has_room() && load.waiting == 0 => Some(Load { in_flight: load.in_flight + 1, ..load }),
            load if load.waiting < max.min(MAX) => Some(Load { waiting: load.waiting + 1, ..load }),
            _ => None,
        });
        match before {
            Err(load) => Entry::Full { waiting: load.waiting },
            Ok(load) if load.has_room() && load.waiting == 0 => Entry::Admitted,
            Ok(load) => Entry::Waiting { ticket: line.push(flow, waiter()), position: load.waiting },
        }
    }

    /// Under the lock, with an owed permit: the waiter that gets it, or `None` when the permit is free again.
    pub fn hand_over<F, T>(&self, line: &mut Line<F, T>) -> Option<T>
    where
        F: Eq + Hash,
    {
        // Deciding and freeing are one step: another release may bring the number in flight below the cap.
        if self.free() {
            return None;
        }
        self.forget_waiter();
        line.pop()
    }

    /// Under the lock: a waiter gives up. `None` when it has been taken out of the line before: then it was,
    /// or is about to be, handed a permit.
    pub fn leave<F, T>(&self, line: &mut Line<F, T>, ticket: Ticket) -> Option<T>
    where
        F: Eq + Hash,
    {
        let waiter = line.remove(ticket)?;
        self.forget_waiter();
        Some(waiter)
    }

    /// Under the lock: a waiter that gets a free permit, after the cap was raised. To be called until `None`.
    pub fn hand_out<F, T>(&self, line: &mut Line<F, T>) -> Option<T>
    where
        F: Eq + Hash,
    {
        self.update(|load| {
            (load.has_room() && load.waiting > 0).then(|| Load {
                in_flight: load.in_flight + 1,
                waiting: load.waiting - 1,
                ..load
            })
        })
        .ok()?;
        line.pop()
    }

    /// Under the lock: changes the cap. Those in flight stay; after raising it, [`Permits::hand_out`] must follow.
    pub fn set_cap(&self, cap: usize) {
        let _ = self.update(|load| Some(Load { cap, ..load }));
    }

    fn forget_waiter(&self) {
        let _ = self.update(|load| Some(Load { waiting: load.waiting.saturating_sub(1), ..load }));
    }

    /// The load before the change, or the load for which there is none.
    fn update(&self, mut change: impl FnMut(Load) -> Option<Load>) -> Result<Load, Load> {
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| change(Load::unpack(word)).map(Load::pack))
            .map(Load::unpack)
            .map_err(Load::unpack)
    }
}

/// Names a place in a [`Line`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    /// What the discipline sorts by; the smallest is next.
    rank: u64,
    /// Decides between equal ranks: who came first.
    number: u64,
}

/// Who waits, in the order in which permits are handed over.
///
/// `F` is the flow that a call belongs to, such as its client. The discipline today is first come, first served,
/// over all flows; a fair one gives each push a rank from its flow's past and changes nothing else.
#[derive(Debug)]
pub struct Line<F, T> {
    waiting: BTreeMap<Ticket, (F, T)>,
    next: u64,
}

impl<F, T> Default for Line<F, T> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), next: 0 }
    }
}

impl<F: Eq + Hash, T> Line<F, T> {
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

    /// Who waits, the next one first, with the flow of each.
    pub fn iter(&self) -> impl Iterator<Item = (Ticket, &F, &T)> {
        self.waiting.iter().map(|(ticket, (flow, waiter))| (*ticket, flow, waiter))
    }

    /// How many are before `ticket`; `None` when it has left the line. Walks the line.
    #[must_use]
    pub fn position(&self, ticket: Ticket) -> Option<usize> {
        self.waiting.contains_key(&ticket).then(|| self.waiting.range(..ticket).count())
    }

    fn push(&mut self, flow: F, waiter: T) -> Ticket {
        let ticket = Ticket { rank: 0, number: self.next };
        self.next += 1;
        self.waiting.insert(ticket, (flow, waiter));
        ticket
    }

    fn pop(&mut self) -> Option<T> {
        self.waiting.pop_first().map(|(_, (_, waiter))| waiter)
    }

    fn remove(&mut self, ticket: Ticket) -> Option<T> {
        match self.waiting.entry(ticket) {
            Place::Occupied(place) => Some(place.remove().1),
            Place::Vacant(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
