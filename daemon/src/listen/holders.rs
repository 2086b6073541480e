//! Certificates by which clients were identified lately, whether they are connected or not: so that their sessions end
//! with them.
//!
//! A connection adds its own when it is first asked whose it is. Bounded: whoever was not seen for longest gives way, and
//! his sessions then end by idleness alone.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, Weak};

use rustls::pki_types::CertificateDer;

use super::open::OpenListener;
use crate::clock;
use crate::lock::lock;

/// Certificates that are remembered: about 2 kB each.
const MOST: usize = 4096;

/// What was shown by whom.
#[derive(Debug, Default)]
pub struct Holders {
    shown: Mutex<HashMap<u64, Held>>,
    keyed: RandomState,
}

#[derive(Debug)]
struct Held {
    listener: Weak<OpenListener>,
    chain: Arc<[CertificateDer<'static>]>,
    client: Arc<str>,
    seen: u64,
}

impl Holders {
    /// A certificate has identified a client.
    pub(super) fn note(&self, listener: &Arc<OpenListener>, chain: &Arc<[CertificateDer<'static>]>, client: &Arc<str>) {
        let Some(leaf) = chain.first() else { return };
        let key = self.keyed.hash_one((leaf.as_ref(), client));
        let held = Held {
            listener: Arc::downgrade(listener),
            chain: Arc::clone(chain),
            client: Arc::clone(client),
            seen: clock::millis(),
        };
        let mut shown = lock(&self.shown);
        if shown.len() >= MOST && !shown.contains_key(&key) {
            forget_oldest(&mut shown);
        }
        shown.insert(key, held);
    }

    /// Clients whose certificates are not good any more, and who have shown no other that is. What is not good is
    /// forgotten.
    #[must_use]
    pub fn review(&self) -> HashSet<Arc<str>> {
        let all: Vec<_> = {
            let mut shown = lock(&self.shown);
            shown.retain(|_, held| held.listener.strong_count() > 0);
            let each = |(key, held): (&u64, &Held)| {
                Some((*key, held.listener.upgrade()?, Arc::clone(&held.chain), Arc::clone(&held.client)))
            };
            shown.iter().filter_map(each).collect()
        };
        let (mut lost, mut kept, mut bad) = (HashSet::new(), HashSet::new(), Vec::new());
        // Without the lock, for each takes a signature's time.
        for (key, listener, chain, client) in all {
            if listener.verify(&chain) {
                kept.insert(client);
            } else {
                bad.push(key);
                lost.insert(client);
            }
        }
        let mut shown = lock(&self.shown);
        for key in &bad {
            shown.remove(key);
        }
        lost.retain(|client| !kept.contains(client));
        lost
    }
}

fn forget_oldest(shown: &mut HashMap<u64, Held>) {
    let mut seen: Vec<_> = shown.values().map(|held| held.seen).collect();
    let (_, limit, _) = seen.select_nth_unstable(MOST / 4);
    let limit = *limit;
    shown.retain(|_, held| held.seen > limit);
}
