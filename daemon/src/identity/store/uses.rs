//! When keys were used last, and how often: counted by the calls, written down behind them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::file;
use crate::lock::lock;

/// What calls have counted of a key since it was last written down.
#[derive(Debug, Default)]
pub(super) struct Used {
    last_ms: AtomicU64,
    count: AtomicU64,
}

impl Used {
    /// Takes note of a call.
    pub(super) fn note(&self, now_ms: u64) {
        self.last_ms.store(now_ms, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// What has been counted and not been written down.
    fn now(&self) -> file::Use {
        (self.last_ms.load(Ordering::Relaxed), self.count.load(Ordering::Relaxed))
    }
}

/// Keys that were used of late, by id.
#[derive(Debug, Default)]
pub(super) struct Uses(Mutex<HashMap<String, Arc<Used>>>);

impl Uses {
    /// Where the uses of a key are counted; asked when it is decided about a key, not with every call.
    pub(super) fn of(&self, id: &str) -> Arc<Used> {
        Arc::clone(lock(&self.0).entry(id.to_owned()).or_default())
    }

    /// What is counted of a key and not written down.
    pub(super) fn unwritten(&self, id: &str) -> file::Use {
        lock(&self.0).get(id).map(|used| used.now()).unwrap_or_default()
    }

    /// What is to be written down now.
    pub(super) fn due(&self) -> Vec<(String, file::Use)> {
        let uses = lock(&self.0);
        uses.iter().map(|(id, used)| (id.clone(), used.now())).filter(|(_, used)| used.1 > 0).collect()
    }

    /// Takes off what was written, and forgets whom nobody decides about any more.
    pub(super) fn written(&self, written: &[(String, file::Use)]) {
        let mut uses = lock(&self.0);
        for (id, (_, count)) in written {
            if let Some(used) = uses.get(id) {
                used.count.fetch_sub(*count, Ordering::Relaxed);
            }
        }
        uses.retain(|_, used| Arc::strong_count(used) > 1 || used.count.load(Ordering::Relaxed) > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_while_it_is_written_is_not_lost() {
        let uses = Uses::default();
        let ann = uses.of("ann1");
        (1..=3).for_each(|now| ann.note(now));
        let due = uses.due();
        assert_eq!(due, [("ann1".to_owned(), (3, 3))]);
        ann.note(4);
        uses.written(&due);
        assert_eq!(uses.unwritten("ann1"), (4, 1));
        drop(ann);
        uses.written(&uses.due());
        assert!(uses.due().is_empty() && lock(&uses.0).is_empty());
    }
}
