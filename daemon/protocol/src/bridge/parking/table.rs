//! Calls that wait for a modern client to come back, each in a place with an id.
//! Called when a call is parked, tried again, and when it is over: answered, or waited for during [`PARKED_MILLIS`] by
//! whoever keeps it, who cancels it at its server.
//! Must hold: a place opens only to its owner and the same call; none is kept beyond its time; nobody has more than
//! his share; a call that is lost is never run again.

use std::collections::HashMap;
use std::hash::Hash;

/// How long a call stays parked.
pub const PARKED_MILLIS: u64 = 600_000;
/// Calls of one owner, parked or running again.
pub const PER_OWNER: usize = 10;

/// A place in the table: the secret part of `requestState`, to be sealed by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place(pub u64);

/// What a retry finds.
#[derive(Debug, PartialEq, Eq)]
pub enum Retry<'t, T> {
    /// Its call, which now runs again.
    Resumes(&'t mut T),
    /// Its call, which an earlier copy of the same retry has set going: wait for the same answer.
    Joins(&'t mut T),
    /// No call. The answer is an error.
    Lost(Lost),
}

/// Why a retry finds no call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Its time is over, it was answered already, or the gate has started anew.
    Gone,
    /// It belongs to another client.
    Foreign,
    /// It is another method or has other params.
    Different,
}

impl Lost {
    /// What to tell the client.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            // Who asks for another's call learns nothing about it.
            Self::Gone | Self::Foreign => {
                "The call that this continues is gone, and it was not run again. Its effects are unknown: look before you call anew."
            }
            Self::Different => "This continues another call; repeat the method and the params of the first attempt.",
        }
    }
}

/// Calls by place. `O` tells owners apart, `D` is the digest of a call, `T` what is kept of it. Times are milliseconds
/// of any monotonic clock.
#[derive(Debug)]
pub struct Parked<O, D, T> {
    next: u64,
    places: HashMap<Place, Entry<O, D, T>>,
    owners: HashMap<O, usize>,
}

#[derive(Debug)]
struct Entry<O, D, T> {
    owner: O,
    digest: D,
    /// While it waits for the client; `None` while it runs.
    expires: Option<u64>,
    call: T,
}

impl<O: Clone + Eq + Hash, D: PartialEq, T> Parked<O, D, T> {
    /// An empty table. Ids count from `first`, which is best drawn anew at each start: those of the last are then
    /// unknown rather than another's.
    #[must_use]
    pub fn new(first: u64) -> Self {
        Self { next: first, places: HashMap::new(), owners: HashMap::new() }
    }

    /// Parks a call for the first time.
    ///
    /// # Errors
    /// The call, when its owner has [`PER_OWNER`] already.
    pub fn park(&mut self, owner: O, digest: D, now: u64, call: T) -> Result<Place, T> {
        // A full owner is in the map already, so a refusal leaves nothing behind.
        let count = self.owners.entry(owner.clone()).or_default();
        if *count >= PER_OWNER {
            return Err(call);
        }
        *count += 1;
        let place = Place(self.next);
        self.next = self.next.wrapping_add(1);
        let expires = now.saturating_add(PARKED_MILLIS);
        self.places.insert(place, Entry { owner, digest, expires: Some(expires), call });
        Ok(place)
    }

    /// The owner came back with a retry.
    pub fn retry(&mut self, place: Place, owner: &O, digest: &D, now: u64) -> Retry<'_, T> {
        let Some(entry) = self.places.get_mut(&place) else { return Retry::Lost(Lost::Gone) };
        if entry.owner != *owner {
            return Retry::Lost(Lost::Foreign);
        }
        if entry.digest != *digest {
            return Retry::Lost(Lost::Different);
        }
        match entry.expires {
            None => Retry::Joins(&mut entry.call),
            // Whoever keeps it is about to end it.
            Some(expires) if expires <= now => Retry::Lost(Lost::Gone),
            Some(_) => {
                entry.expires = None;
                Retry::Resumes(&mut entry.call)
            }
        }
    }

    /// A call that ran again waits for the client again, with its time begun anew. `None` when it is gone.
    pub fn park_again(&mut self, place: Place, now: u64) -> Option<&mut T> {
        let entry = self.places.get_mut(&place)?;
        entry.expires = Some(now.saturating_add(PARKED_MILLIS));
        Some(&mut entry.call)
    }

    /// What is kept of a call, whoever asks.
    pub fn get_mut(&mut self, place: Place) -> Option<&mut T> {
        self.places.get_mut(&place).map(|entry| &mut entry.call)
    }

    /// A call has ended: it was answered, its time is over, or its server is gone.
    pub fn take(&mut self, place: Place) -> Option<T> {
        let entry = self.places.remove(&place)?;
        if let Some(count) = self.owners.get_mut(&entry.owner) {
            *count -= 1;
            if *count == 0 {
                self.owners.remove(&entry.owner);
            }
        }
        Some(entry.call)
    }

    /// Calls in the table, parked and running.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}
