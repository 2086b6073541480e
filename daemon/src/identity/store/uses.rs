//! When keys were used last, and how often: counted by the calls, written down behind them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::file;
use crate::clock;
use crate::lock::lock;

/// What calls have counted of a key since it was last written down.
#[derive(Debug, Default)]
pub(super) struct Used {
    /// By [`clock::millis`]: what time that was is only asked when it is told.
    last: AtomicU64,
    count: AtomicU64,
}

impl Used {
    /// Takes note of a call that began then.
    pub(super) fn note(&self, then: u64) {
        self.last.store(then, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// What has been counted and not been written down.
    fn now(&self) -> file::Use {
        let count = self.count.load(Ordering::Relaxed);
        let last = if count > 0 { clock::unix_millis_then(self.last.load(Ordering::Relaxed)) } else { 0 };
        (last, count)
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
        assert_eq!(due.iter().map(|(id, (_, count))| (id.as_str(), *count)).collect::<Vec<_>>(), [("ann1", 3)]);
        ann.note(clock::millis());
        uses.written(&due);
        let (last, count) = uses.unwritten("ann1");
        assert_eq!(count, 1);
        assert!(last >= due[0].1.0 && last <= clock::unix_millis(), "{last}");
        drop(ann);
        uses.written(&uses.due());
        assert!(uses.due().is_empty() && lock(&uses.0).is_empty());
    }
}
