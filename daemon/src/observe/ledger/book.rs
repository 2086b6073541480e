//! Tables of one core: it looks things up without a lock, and shows each to the readers once, when it is new.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, LazyLock, Mutex};

use foldhash::fast::RandomState;

use crate::lock::lock;

/// The things of a table, for readers.
pub(super) type Shown<V> = Arc<Mutex<Vec<Arc<V>>>>;

/// The number under which a thing is known on all cores.
pub(super) fn number(of: impl Hash) -> u64 {
    static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::default);
    STATE.hash_one(of)
}

/// A bounded table.
#[derive(Debug)]
pub(super) struct Book<V> {
    own: RefCell<HashMap<u64, Arc<V>, RandomState>>,
    shown: Shown<V>,
    max: usize,
    /// When idle things were looked for, in milliseconds.
    swept: Cell<u64>,
}

/// A table that is full looks this often for what it may forget, in milliseconds.
const SWEEP_EVERY: u64 = 60_000;

impl<V> Book<V> {
    pub(super) fn new(shown: &Shown<V>, max: usize) -> Self {
        Self { own: RefCell::default(), shown: Arc::clone(shown), max, swept: Cell::new(0) }
    }

    /// The thing of this number, made where there is room for it.
    pub(super) fn get(&self, number: u64, make: impl FnOnce() -> V) -> Option<Arc<V>> {
        let mut own = self.own.borrow_mut();
        if let Some(known) = own.get(&number) {
            return Some(Arc::clone(known));
        }
        if own.len() >= self.max {
            return None;
        }
        let fresh = Arc::new(make());
        own.insert(number, Arc::clone(&fresh));
        lock(&self.shown).push(Arc::clone(&fresh));
        Some(fresh)
    }

    /// The thing of this number, if there is one.
    pub(super) fn known(&self, number: u64) -> Option<Arc<V>> {
        self.own.borrow().get(&number).cloned()
    }

    /// Forgets what is idle where the table is full; not more often than it is worth it.
    pub(super) fn make_room(&self, now_ms: u64, idle: impl Fn(&V) -> bool) {
        let mut own = self.own.borrow_mut();
        if own.len() < self.max || now_ms.saturating_sub(self.swept.get()) < SWEEP_EVERY {
            return;
        }
        self.swept.set(now_ms);
        own.retain(|_, value| !idle(value));
        lock(&self.shown).retain(|value| !idle(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_takes_nothing_in_until_something_idles() {
        let shown = Shown::default();
        let book = Book::new(&shown, 2);
        assert_eq!(book.get(1, || 10).as_deref(), Some(&10));
        assert_eq!(book.get(2, || 20).as_deref(), Some(&20));
        assert_eq!(book.get(1, || 11).as_deref(), Some(&10), "it is known already");
        assert_eq!(book.get(3, || 30), None);
        book.make_room(SWEEP_EVERY, |value| *value == 10);
        assert_eq!(book.get(3, || 30).as_deref(), Some(&30));
        book.make_room(SWEEP_EVERY + 1, |_| true);
        assert_eq!(book.known(2).as_deref(), Some(&20), "it was looked through a moment ago");
        let seen: Vec<_> = lock(&shown).iter().map(|value| **value).collect();
        assert_eq!(seen, [20, 30]);
    }
}
