//! Calls in flight: a place for each, taken when it begins and given back when it ends.
//!
//! Places are made in blocks and used again, so that a call allocates nothing here. A place's lock is taken by the
//! core that owns it and by a reader once a second.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use super::row::Row;
use crate::lock::lock;

/// Places that are made at once.
const BLOCK: usize = 64;

/// How far a call has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Its request is being read, and its client identified.
    #[default]
    Read,
    /// Limits and policy look at it.
    Limit,
    /// It waits for a permit of its server.
    Queue,
    /// A connection to the server, or an instance of it, is being made.
    Connect,
    /// The server works on it.
    Server,
    /// Its answer is on its way.
    Stream,
}

impl Stage {
    const WORDS: [&'static str; 6] = ["read", "limit", "queue", "connect", "server", "stream"];

    /// As the admin sockets call it.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }
}

/// Where a call is noted; of use on its own core only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    index: u32,
    generation: u32,
}

#[derive(Debug, Default)]
struct Slot {
    stage: AtomicU8,
    row: Mutex<Option<Row>>,
}

type Block = Arc<[Slot]>;

/// What readers see of one core's calls.
#[derive(Debug, Default)]
pub(super) struct Live {
    blocks: Mutex<Vec<Block>>,
}

impl Live {
    /// Looks at every call.
    pub(super) fn each(&self, mut look: impl FnMut(&Row, &'static str)) {
        let blocks = lock(&self.blocks).clone();
        for slot in blocks.iter().flat_map(|block| block.iter()) {
            if let Some(row) = &*lock(&slot.row) {
                let stage = usize::from(slot.stage.load(Ordering::Relaxed));
                look(row, Stage::WORDS.get(stage).copied().unwrap_or_default());
            }
        }
    }
}

/// The owner's side of it.
#[derive(Debug, Default)]
pub(super) struct Places {
    own: RefCell<Own>,
}

#[derive(Debug, Default)]
struct Own {
    blocks: Vec<Block>,
    /// How often each place was given back: a call that goes on without its request must not touch the next one's.
    generations: Vec<u32>,
    free: Vec<u32>,
}

impl Own {
    fn slot(&self, index: u32) -> &Slot {
        let index = index as usize;
        &self.blocks[index / BLOCK][index % BLOCK]
    }
}

impl Places {
    /// Notes a call.
    pub(super) fn take(&self, live: &Live, row: Row) -> Place {
        let own = &mut *self.own.borrow_mut();
        let index = if let Some(index) = own.free.pop() {
            index
        } else {
            let block: Block = (0..BLOCK).map(|_| Slot::default()).collect();
            lock(&live.blocks).push(Arc::clone(&block));
            own.blocks.push(block);
            let first = own.generations.len();
            own.generations.resize(first + BLOCK, 0);
            let index = |at: usize| u32::try_from(at).expect("fewer than 2^32 calls are in flight");
            own.free.extend((first + 1..first + BLOCK).rev().map(index));
            index(first)
        };
        let slot = own.slot(index);
        slot.stage.store(Stage::Read as u8, Ordering::Relaxed);
        *lock(&slot.row) = Some(row);
        Place { index, generation: own.generations[index as usize] }
    }

    /// Says how far a call has come, if it goes on.
    pub(super) fn stage(&self, place: Place, stage: Stage) {
        let own = self.own.borrow();
        if own.generations[place.index as usize] == place.generation {
            own.slot(place.index).stage.store(stage as u8, Ordering::Relaxed);
        }
    }

    /// Changes what is noted of a call.
    pub(super) fn change(&self, place: Place, change: impl FnOnce(&mut Row)) {
        let own = self.own.borrow();
        if own.generations[place.index as usize] == place.generation
            && let Some(row) = &mut *lock(&own.slot(place.index).row)
        {
            change(row);
        }
    }

    /// Gives the place back.
    pub(super) fn give_back(&self, place: Place) -> Option<Row> {
        let own = &mut *self.own.borrow_mut();
        let generation = &mut own.generations[place.index as usize];
        if *generation != place.generation {
            return None;
        }
        *generation = generation.wrapping_add(1);
        own.free.push(place.index);
        lock(&own.slot(place.index).row).take()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::row::Kind;
    use super::super::what::What;
    use super::*;
    use crate::call::CallId;

    fn stages(live: &Live) -> Vec<&'static str> {
        let mut stages = Vec::new();
        live.each(|_, stage| stages.push(stage));
        stages
    }

    #[test]
    fn a_place_that_was_given_back_is_another_calls() {
        let (live, places) = (Live::default(), Places::default());
        let row = || Row::begun(CallId::mint(), Instant::now(), What::nothing());
        let first = places.take(&live, row());
        places.stage(first, Stage::Server);
        assert_eq!(stages(&live), ["server"]);
        assert!(places.give_back(first).is_some());
        let second = places.take(&live, row());
        places.stage(first, Stage::Stream);
        places.change(first, |row| row.kind = Kind::Request);
        assert!(places.give_back(first).is_none());
        assert_eq!(stages(&live), ["read"]);
        assert_eq!(places.give_back(second).expect("its own").kind, Kind::Frame);
        assert!(stages(&live).is_empty());
    }

    #[test]
    fn as_many_as_there_are_have_places() {
        let (live, places) = (Live::default(), Places::default());
        let all: Vec<_> = (0..1000)
            .map(|_| places.take(&live, Row::begun(CallId::mint(), Instant::now(), What::nothing())))
            .collect();
        assert_eq!(stages(&live).len(), 1000);
        for place in all {
            assert!(places.give_back(place).is_some());
        }
        assert!(stages(&live).is_empty());
        assert_eq!(places.own.borrow().blocks.len(), 1000_usize.div_ceil(BLOCK));
    }
}
