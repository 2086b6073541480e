//! Which sessions each client has, so that one can be bounded.
//!
//! Sharded by client; the table enters a session here before anybody can find it, and never holds
//! a lock of its own meanwhile.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex};

use foldhash::fast::RandomState;

use super::SessionId;
use crate::lock::lock;

/// A power of two.
const SHARDS: usize = 64;

type Shard = HashMap<Arc<str>, HashSet<SessionId, RandomState>, RandomState>;

/// Sessions by client.
#[derive(Debug)]
pub(super) struct Clients {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
}

/// The client has as many sessions as it may.
#[derive(Debug)]
pub(super) struct Refused {
    /// Those that it has.
    pub(super) others: Vec<SessionId>,
}

impl Default for Clients {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::default() }
    }
}

impl Clients {
    /// Adds a session unless the client has `max` already.
    pub(super) fn enter(&self, client: &Arc<str>, id: SessionId, max: usize) -> Result<(), Refused> {
        let mut shard = lock(self.shard(client));
        let sessions = shard.entry(Arc::clone(client)).or_default();
        if sessions.len() >= max {
            return Err(Refused { others: sessions.iter().copied().collect() });
        }
        sessions.insert(id);
        Ok(())
    }

    /// Forgets a session, and with its last one the client.
    pub(super) fn leave(&self, client: &Arc<str>, id: SessionId) {
        let mut shard = lock(self.shard(client));
        let Some(sessions) = shard.get_mut(client) else { return };
        sessions.remove(&id);
        if sessions.is_empty() {
            shard.remove(client);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| lock(shard).is_empty())
    }

    fn shard(&self, client: &str) -> &Mutex<Shard> {
        let place = usize::try_from(self.hasher.hash_one(client) % SHARDS as u64);
        &self.shards[place.expect("less than the number of shards")]
    }
}
