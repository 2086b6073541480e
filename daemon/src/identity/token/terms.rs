//! How long what was opened with tokens and certificates may go on.
//!
//! Calls say when their credential ends, which costs a load where another ends sooner. `lifecycle/lapse.rs` looks when
//! the first of them has ended. A stream goes on where its client has presented a newer token that would have opened it
//! as well: a client that refreshes its token in time loses nothing.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::Verified;
use crate::lock::lock;
use crate::running::Term;

/// Tokens that are known to have been presented. Of one beyond these, streams end when it does, refreshed or not.
const MOST: usize = 16 * 1024;

/// The ends that lie ahead.
pub struct Terms {
    /// When the first credential ends, in milliseconds since 1970.
    next_ms: AtomicU64,
    presented: Mutex<Presented>,
}

/// Tokens that have opened something, by their clients' numbers.
#[derive(Default)]
struct Presented {
    by_client: HashMap<u64, Vec<Arc<Verified>>>,
    count: usize,
}

impl Default for Terms {
    fn default() -> Self {
        Self { next_ms: AtomicU64::new(u64::MAX), presented: Mutex::default() }
    }
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Terms({})", lock(&self.presented).count)
    }
}

impl Terms {
    /// A credential that is in use ends then.
    pub fn hear(&self, ends_ms: u64) {
        if ends_ms < self.next_ms.load(Ordering::Relaxed) {
            self.next_ms.fetch_min(ends_ms, Ordering::Relaxed);
        }
    }

    /// Whether a credential has ended. Whoever is told so looks at all that is open, and says which end is the next.
    pub fn are_due(&self, now_ms: u64) -> bool {
        self.next_ms.load(Ordering::Relaxed) <= now_ms && {
            // What begins from here on is heard anew.
            self.next_ms.store(u64::MAX, Ordering::SeqCst);
            true
        }
    }

    /// A token has opened something: a load, but for its first time.
    pub fn present(&self, verified: &Arc<Verified>) {
        if verified.presented.load(Ordering::Relaxed) || verified.presented.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut presented = lock(&self.presented);
        if presented.count < MOST {
            presented.count += 1;
            presented.by_client.entry(verified.client.number).or_default().push(Arc::clone(verified));
        }
    }

    /// What a client's token was followed by that lasts longest.
    pub fn renewed(&self, client: u64, ended: Term) -> Option<Term> {
        let presented = lock(&self.presented);
        let all = presented.by_client.get(&client)?;
        let earlier = all.iter().find(|known| known.term == ended)?;
        let newer = all.iter().filter(|known| known.term.ends_ms > ended.ends_ms && known.follows(earlier));
        newer.map(|known| known.term).max_by_key(|term| term.ends_ms)
    }

    /// Forgets tokens that have ended, once nothing is open that was opened with them.
    pub fn forget(&self, now_ms: u64) {
        let mut presented = lock(&self.presented);
        presented.by_client.retain(|_, all| {
            all.retain(|known| known.term.ends_ms > now_ms);
            !all.is_empty()
        });
        presented.count = presented.by_client.values().map(Vec::len).sum();
    }
}
