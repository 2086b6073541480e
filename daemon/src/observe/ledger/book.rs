//! Tables of one core: it looks things up without a lock, and shows each to the readers once, when it is new.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
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
}

/// Of a table that is full, one part of so many is forgotten at once: what it takes to find the longest idle is shared
/// by all that then find room.
const PARTS: usize = 8;

impl<V> Book<V> {
    pub(super) fn new(shown: &Shown<V>, max: usize) -> Self {
        Self { own: RefCell::default(), shown: Arc::clone(shown), max }
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

    /// Makes room where the table is full: what was used longest ago is forgotten.
    pub(super) fn make_room(&self, last_used: impl Fn(&V) -> u64) {
        let mut own = self.own.borrow_mut();
        if own.len() < self.max {
            return;
        }
        let mut ages: Vec<_> = own.iter().map(|(number, value)| (last_used(value), *number)).collect();
        let leaving = (ages.len() / PARTS).max(1).min(ages.len());
        if leaving < ages.len() {
            ages.select_nth_unstable(leaving);
        }
        let left = ages[..leaving].iter().filter_map(|(_, number)| own.remove(number));
        let left: HashSet<_> = left.map(|value| Arc::as_ptr(&value)).collect();
        lock(&self.shown).retain(|value| !left.contains(&Arc::as_ptr(value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_takes_nothing_in_until_it_is_told_to_make_room() {
        let shown = Shown::default();
        let book = Book::new(&shown, 2);
        assert_eq!(book.get(1, || 10).as_deref(), Some(&10));
        assert_eq!(book.get(2, || 20).as_deref(), Some(&20));
        assert_eq!(book.get(1, || 11).as_deref(), Some(&10), "it is known already");
        assert_eq!(book.get(3, || 30), None);
        book.make_room(|value| *value);
        assert_eq!((book.known(1), book.known(2).as_deref()), (None, Some(&20)), "the longest idle has gone");
        assert_eq!(book.get(3, || 30).as_deref(), Some(&30));
        let seen: Vec<_> = lock(&shown).iter().map(|value| **value).collect();
        assert_eq!(seen, [20, 30]);
    }

    #[test]
    fn however_many_come_the_latest_are_known_and_all_that_are_known_are_shown() {
        let shown = Shown::default();
        let book = Book::new(&shown, 64);
        for number in 0..10_000_u64 {
            // Many at the same moment: age alone does not tell them apart.
            let make = || number / 50;
            let got = book.get(number, make).or_else(|| {
                book.make_room(|value| *value);
                book.get(number, make)
            });
            assert_eq!(got.as_deref(), Some(&(number / 50)));
            assert!(book.own.borrow().len() <= 64);
            assert_eq!(book.own.borrow().len(), lock(&shown).len());
        }
        let oldest = lock(&shown).iter().map(|value| **value).min();
        assert!(oldest >= Some(10_000 / 50 - 3), "{oldest:?}");
    }
}
