//! Permits of a server and the line of those who wait for one, without a clock or a wake-up.
//!
//! `toolgated::servers::queue` adds both. [`Permits::try_acquire`] and [`Permits::release`] may run anywhere;
//! everything that takes a [`Line`] must run under the lock that guards that line.
//!
//! What must hold: in flight never grows beyond the cap; a permit is never lost, so nobody waits while one is
//! open to it; nobody overtakes a waiter but in the [`Line`]'s own order. The number of waiters in the word equals the
//! line's length whenever the lock is free.
//!
//! A permit is open to a call unless it is held back for heavier tiers ([`reserve`]), and to a line if it is to the
//! heaviest that waits there: among those who wait, the order alone decides. So what is held back changes no share
//! where all tiers wait, and starves nobody: a heavy tier that has had more than its share waits as well.

mod line;
mod pace;
pub mod reserve;

use std::sync::atomic::{AtomicU64, Ordering};

pub use line::{Flow, Line, MAX_WEIGHT, Ticket};
pub use pace::Pace;
use reserve::{Heaviest, Missed, held_back};

/// The largest cap, and the largest number of waiters.
pub const MAX: usize = (1 << BITS) - 1;

const BITS: u32 = 21;
const MASK: u64 = (1 << BITS) - 1;

/// In flight, waiting and cap of one server in one word, so that each decision sees all three at one instant.
#[derive(Debug)]
pub struct Permits {
    word: AtomicU64,
    heaviest: Heaviest,
    missed: Missed,
}

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

    /// Permits that calls of this weight may have, beside whatever else is in flight.
    fn open_to(self, weight: u32, heaviest: u32, missed: usize) -> usize {
        self.cap - held_back(self.cap, weight, heaviest, missed)
    }

    fn with_one_more(self) -> Self {
        Self { in_flight: self.in_flight + 1, ..self }
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
#[derive(Debug, PartialEq, Eq)]
pub enum Entry<T> {
    /// A permit became free in the meantime.
    Admitted,
    /// It waits.
    Waiting {
        /// Names it until it is handed a permit or leaves.
        ticket: Ticket,
        /// The waiter of a fuller flow that lost its place to this one in a full line.
        displaced: Option<T>,
    },
    /// The line is full, and nobody in it has more than its share.
    Full {
        /// How many wait.
        waiting: usize,
    },
}

impl Permits {
    /// All free. A cap above [`MAX`] counts as [`MAX`].
    #[must_use]
    pub fn new(cap: usize) -> Self {
        let word = AtomicU64::new(Load { in_flight: 0, waiting: 0, cap }.pack());
        Self { word, heaviest: Heaviest::default(), missed: Missed::default() }
    }

    /// The numbers of this instant.
    #[must_use]
    pub fn load(&self) -> Load {
        Load::unpack(self.word.load(Ordering::Acquire))
    }

    /// Permits that a tier of this weight leaves free at this instant.
    #[must_use]
    pub fn held_back(&self, weight: u32) -> usize {
        held_back(self.load().cap, weight, self.heaviest.weight(), self.missed.count())
    }

    /// To be called once a second: whether less is held back from now on, so that [`Permits::hand_out`] must follow.
    #[must_use]
    pub fn look(&self) -> bool {
        let is_gone = self.heaviest.look();
        if is_gone {
            self.missed.forget();
        }
        self.missed.look(self.load().cap) || is_gone
    }

    /// Takes a permit if one is open to `flow` and nobody waits.
    #[must_use]
    pub fn try_acquire(&self, flow: Flow) -> bool {
        let (weight, heaviest) = (flow.weight(), self.heaviest.note(flow.weight()));
        let missed = self.missed.count();
        let is_free = |load: Load| load.waiting == 0 && load.in_flight < load.open_to(weight, heaviest, missed);
        let before = self.update(|load| is_free(load).then(|| load.with_one_more()));
        if let Ok(before) = before
            && weight == heaviest
        {
            self.note_use(before, heaviest, missed);
        }
        before.is_ok()
    }

    /// A call of the heaviest weight has a permit: how many are in use of those that the lightest leave.
    fn note_use(&self, before: Load, heaviest: u32, missed: usize) {
        let open = before.open_to(1, heaviest, missed);
        if before.in_flight >= open && heaviest > 1 {
            self.missed.uses(before.in_flight + 1 - open);
        }
    }

    /// Gives a permit back.
    #[must_use]
    pub fn release(&self) -> Release {
        // Above a lowered cap the permit ends with its call.
        let is_owed = |load: Load| load.waiting > 0 && load.in_flight <= load.cap;
        match self.update(|load| (!is_owed(load)).then(|| Load { in_flight: load.in_flight.saturating_sub(1), ..load }))
        {
            Ok(_) => Release::Freed,
            Err(_) => Release::Owed,
        }
    }

    /// Under the lock: takes a permit, or a place in a line of at most `max`. `waiter` is only called for a place;
    /// [`Permits::hand_out`] must follow where one was taken, for a heavier waiter opens permits to the whole line.
    pub fn enter<T>(&self, line: &mut Line<T>, flow: Flow, max: usize, waiter: impl FnOnce() -> T) -> Entry<T> {
        let (next, heaviest) = (line.is_next(flow), self.heaviest.note(flow.weight()));
        let weight = line.heaviest().unwrap_or(0).max(flow.weight());
        let missed = self.missed.count();
        let passes = |load: Load| next && load.in_flight < load.open_to(weight, heaviest, missed);
        // A release either has freed its permit before this, and is seen here, or sees the waiter.
        let before = self.update(|load| match load {
            load if passes(load) => Some(load.with_one_more()),
            load if load.waiting < max.min(MAX) => Some(Load { waiting: load.waiting + 1, ..load }),
            _ => None,
        });
        // Nobody is before its tier, and lighter ones have all permits.
        if flow.weight() == heaviest && !before.is_ok_and(passes) && (next || line.is_turn(flow.tier)) {
            self.missed.note(self.load().cap);
        }
        match before {
            Ok(load) if passes(load) => {
                if flow.weight() == heaviest {
                    self.note_use(load, heaviest, missed);
                }
                line.pass(flow);
                Entry::Admitted
            }
            Ok(_) => Entry::Waiting { ticket: line.push(flow, waiter()), displaced: None },
            // One comes and one goes: the number in the word stays.
            Err(load) => match line.displace(flow) {
                Some(displaced) => Entry::Waiting { ticket: line.push(flow, waiter()), displaced: Some(displaced) },
                None => Entry::Full { waiting: load.waiting },
            },
        }
    }

    /// Under the lock, with an owed permit: the waiter that gets it, or `None` when the permit is free again.
    pub fn hand_over<T>(&self, line: &mut Line<T>) -> Option<T> {
        let (weight, heaviest, missed) = (line.heaviest(), self.heaviest.weight(), self.missed.count());
        let is_inherited =
            |load: Load| weight.is_some_and(|weight| load.in_flight <= load.open_to(weight, heaviest, missed));
        // Deciding and freeing are one step: another release may bring the number in flight below what is open.
        let before = self.update(|load| {
            Some(if is_inherited(load) {
                Load { waiting: load.waiting.saturating_sub(1), ..load }
            } else {
                Load { in_flight: load.in_flight.saturating_sub(1), ..load }
            })
        });
        if before.is_ok_and(is_inherited) { line.pop() } else { None }
    }

    /// Under the lock: a waiter gives up. `None` when it has been taken out of the line before: then it was,
    /// or is about to be, handed a permit, or was displaced.
    pub fn leave<T>(&self, line: &mut Line<T>, ticket: Ticket) -> Option<T> {
        let waiter = line.remove(ticket)?;
        self.forget_waiter();
        Some(waiter)
    }

    /// Under the lock: takes out those who wait, of one client or all.
    pub fn purge<T>(&self, line: &mut Line<T>, client: Option<u64>) -> Vec<T> {
        let tickets = line.tickets(client);
        tickets.into_iter().filter_map(|ticket| self.leave(line, ticket)).collect()
    }

    /// Under the lock: a waiter that gets a free permit, after more of them were opened to the line. To be called
    /// until `None`.
    pub fn hand_out<T>(&self, line: &mut Line<T>) -> Option<T> {
        let (weight, heaviest, missed) = (line.heaviest()?, self.heaviest.weight(), self.missed.count());
        let is_open = |load: Load| load.in_flight < load.open_to(weight, heaviest, missed);
        let taken = |load: Load| Load { waiting: load.waiting.saturating_sub(1), ..load.with_one_more() };
        self.update(|load| is_open(load).then(|| taken(load))).ok()?;
        line.pop()
    }

    /// Under the lock: changes the cap. Those in flight stay; after raising it, [`Permits::hand_out`] must follow.
    pub fn set_cap(&self, cap: usize) {
        if let Ok(before) = self.update(|load| Some(Load { cap, ..load })) {
            self.missed.recap(before.cap, cap.min(MAX));
        }
    }

    fn forget_waiter(&self) {
        let _ = self.update(|load| Some(Load { waiting: load.waiting.saturating_sub(1), ..load }));
    }

    /// The load before the change, or the load for which there is none.
    fn update(&self, mut change: impl FnMut(Load) -> Option<Load>) -> Result<Load, Load> {
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| change(Load::unpack(word)).map(Load::pack))
            .map(Load::unpack)
            .map_err(Load::unpack)
    }
}

#[cfg(test)]
mod tests;
