//! Which keys there are, as every call asks: ids with the hashes of their secrets, sorted.
//!
//! A look takes the same steps whatever it finds: a search of as many steps as the table is long, which always ends at
//! a row, and whole comparisons with that row in constant time. So an id that nobody has costs what any other does, and
//! a wrong secret the same wherever it goes wrong. What is not in the table is looked for nowhere else: made-up ids
//! fill no memory and reach no disk.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use subtle::{Choice, ConstantTimeEq};

/// Letters of an id.
pub const LONGEST: usize = 32;

/// A hash of a secret, and when it ceases to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// SHA-256 of the secret.
    pub sha256: [u8; 32],
    /// In milliseconds since 1970; [`u64::MAX`]: never, 0: it never did.
    pub until_ms: u64,
}

impl Proof {
    /// What no secret has.
    pub const NONE: Self = Self { sha256: [0; 32], until_ms: 0 };

    /// One without an end of its own.
    #[must_use]
    pub fn lasting(sha256: [u8; 32]) -> Self {
        Self { sha256, until_ms: u64::MAX }
    }

    /// Whether what it opens depends on the time.
    fn ends(&self) -> bool {
        self.until_ms != 0 && self.until_ms != u64::MAX
    }

    fn opens(&self, sha256: &[u8; 32], now_ms: u64) -> Choice {
        self.sha256.ct_eq(sha256) & Choice::from(u8::from(now_ms < self.until_ms))
    }
}

/// An id in a fixed size: its length, its letters, and zeros.
type Padded = [u8; LONGEST + 1];

/// What nobody has: its length fits no id.
const NOBODY: Padded = [u8::MAX; LONGEST + 1];

fn padded(id: &str) -> Padded {
    let mut padded = [0; LONGEST + 1];
    let kept = id.len().min(LONGEST);
    padded[0] = u8::try_from(id.len()).ok().filter(|length| usize::from(*length) <= LONGEST).unwrap_or(0);
    padded[1..=kept].copy_from_slice(&id.as_bytes()[..kept]);
    padded
}

/// A key.
#[derive(Debug, Clone)]
pub struct Row<T> {
    id: Padded,
    proofs: [Proof; 2],
    value: Option<T>,
}

impl<T> Row<T> {
    /// A key with what whoever proves it gets.
    pub fn new(id: &str, proofs: [Proof; 2], value: T) -> Self {
        Self { id: padded(id), proofs, value: Some(value) }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        let length = usize::from(self.id[0]).min(LONGEST);
        std::str::from_utf8(&self.id[1..=length]).unwrap_or_default()
    }

    fn is(&self, id: &Padded) -> bool {
        self.id == *id
    }

    /// What it gives.
    pub fn value(&self) -> Option<&T> {
        self.value.as_ref()
    }
}

/// What a look has found.
#[derive(Debug, PartialEq, Eq)]
pub struct Found<'a, T> {
    /// Somebody has the id.
    pub known: bool,
    /// And the secret is theirs: what they get.
    pub proven: Option<&'a T>,
}

/// Keys, sorted by a hash of their ids.
#[derive(Debug, Clone)]
pub struct Proofs<T> {
    state: RandomState,
    /// The first is that of a row that is nobody's: every search ends at one.
    hashes: Box<[u64]>,
    rows: Box<[Row<T>]>,
    /// The secret of one of them ends. The time is then asked for whatever is looked for, lest it tell which one.
    ends: bool,
}

impl<T> Default for Proofs<T> {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl<T> Proofs<T> {
    /// A table of keys with different ids.
    #[must_use]
    pub fn new(rows: Vec<Row<T>>) -> Self {
        let ends = rows.iter().any(|row| row.proofs.iter().any(Proof::ends));
        let mut rows: Vec<_> = rows.into_iter().map(|row| (0, row)).collect();
        rows.push((0, Row { id: NOBODY, proofs: [Proof::NONE; 2], value: None }));
        loop {
            let state = RandomState::default();
            for (hash, row) in &mut rows {
                *hash = if row.value.is_some() { state.hash_one(row.id).max(1) } else { 0 };
            }
            rows.sort_unstable_by_key(|(hash, _)| *hash);
            // Two ids with one hash would hide each other: once in centuries, and then they get other ones.
            if rows.windows(2).all(|pair| pair[0].0 != pair[1].0) {
                let (hashes, rows): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
                return Self { state, hashes: hashes.into(), rows: rows.into(), ends };
            }
        }
    }

    /// Looks for a key by its id and the hash of its secret. `now` says the time in milliseconds since 1970, and is asked
    /// where a secret of the table ends.
    pub fn look(&self, id: &str, sha256: &[u8; 32], now: impl FnOnce() -> u64) -> Found<'_, T> {
        let now_ms = if self.ends { now() } else { 0 };
        let id = padded(id);
        let row = self.nearest(&id);
        let known = row.id.ct_eq(&id);
        let proven = known & (row.proofs[0].opens(sha256, now_ms) | row.proofs[1].opens(sha256, now_ms));
        Found { known: known.into(), proven: row.value.as_ref().filter(|_| bool::from(proven)) }
    }

    /// What belongs to an id, whoever asks.
    pub fn of(&self, id: &str) -> Option<&T> {
        let id = padded(id);
        Some(self.nearest(&id)).filter(|row| row.is(&id))?.value.as_ref()
    }

    /// The row with the hash of an id, else with the next lower one. How many steps it takes depends on the length of
    /// the table alone.
    fn nearest(&self, id: &Padded) -> &Row<T> {
        let hash = self.state.hash_one(id).max(1);
        let (mut at, mut left) = (0, self.hashes.len());
        while left > 1 {
            let half = left / 2;
            at += usize::from(self.hashes[at + half] <= hash) * half;
            left -= half;
        }
        &self.rows[at]
    }

    /// The keys.
    pub fn rows(&self) -> impl Iterator<Item = &Row<T>> {
        self.rows.iter().filter(|row| row.value.is_some())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len() - 1
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: Clone> Proofs<T> {
    /// The same with other keys in the places of those of the same ids, and with those that are new.
    #[must_use]
    pub fn with(&self, new: Vec<Row<T>>) -> Self {
        let replaced = |row: &Row<T>| new.iter().any(|new| new.id == row.id);
        let mut rows: Vec<_> = self.rows().filter(|row| !replaced(row)).cloned().collect();
        rows.extend(new);
        Self::new(rows)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn row(id: &str, secret: u8, value: u32) -> Row<u32> {
        Row::new(id, [Proof::lasting([secret; 32]), Proof::NONE], value)
    }

    #[test]
    fn nobody_is_known_in_an_empty_table() {
        let none = Proofs::<u32>::default();
        for id in ["", "a", "abcdefghijklmnopqrstuvwxyz0123456789", "\u{fffd}"] {
            assert_eq!(none.look(id, &[0; 32], || 0), Found { known: false, proven: None }, "{id}");
        }
        assert!(none.is_empty());
    }

    #[test]
    fn a_secret_opens_until_its_end() {
        let both = [Proof { sha256: [1; 32], until_ms: 50 }, Proof::lasting([2; 32])];
        let table = Proofs::new(vec![Row::new("ann1", both, 7)]);
        let opens = |secret, now| table.look("ann1", &[secret; 32], || now).proven.is_some();
        assert!(opens(1, 49) && opens(2, 49) && !opens(3, 49));
        assert!(!opens(1, 50) && opens(2, u64::MAX - 1));
        assert!(!opens(0, 0), "the place of a second hash opens nothing");
    }

    #[test]
    fn the_time_is_asked_for_where_a_secret_ends_whatever_is_looked_for() {
        let ending = [Proof { sha256: [1; 32], until_ms: 50 }, Proof::NONE];
        let asked = |table: &Proofs<u32>, id: &str| {
            let asked = std::cell::Cell::new(false);
            let found = table.look(id, &[1; 32], || {
                asked.set(true);
                49
            });
            assert_eq!(found.proven.is_some(), found.known, "{id}");
            asked.get()
        };
        let lasting = Proofs::new(vec![row("ann1", 1, 7), row("bob1", 1, 8)]);
        let mixed = lasting.with(vec![Row::new("cid1", ending, 9)]);
        for id in ["ann1", "bob1", "nobody"] {
            assert!(!asked(&lasting, id) && asked(&mixed, id), "{id}");
        }
        assert!(asked(&mixed, "cid1") && !asked(&mixed.with(vec![row("cid1", 1, 9)]), "ann1"));
    }

    #[test]
    fn an_id_that_is_too_long_is_not_its_beginning() {
        let id = "a".repeat(LONGEST);
        let table = Proofs::new(vec![row(&id, 1, 7)]);
        assert!(table.look(&id, &[1; 32], || 0).proven.is_some());
        assert!(!table.look(&format!("{id}a"), &[1; 32], || 0).known);
        assert!(!table.look(&"a".repeat(300), &[1; 32], || 0).known);
    }

    proptest! {
        #[test]
        fn it_knows_what_a_map_knows(
            first in prop::collection::btree_map("[a-z0-9]{1,8}", (0_u8..4, any::<u32>()), 0..40),
            second in prop::collection::btree_map("[a-z0-9]{1,8}", (0_u8..4, any::<u32>()), 0..40),
            asked in prop::collection::vec(("[a-z0-9]{1,8}", 0_u8..4), 0..40),
        ) {
            let rows = |from: &BTreeMap<String, (u8, u32)>| -> Vec<_> {
                from.iter().map(|(id, (secret, value))| row(id, *secret, *value)).collect()
            };
            let table = Proofs::new(rows(&first)).with(rows(&second));
            let mut map = first;
            map.extend(second);
            prop_assert_eq!(table.len(), map.len());
            let known = map.iter().map(|(id, (secret, _))| (id.clone(), *secret)).collect::<Vec<_>>();
            for (id, secret) in known.into_iter().chain(asked) {
                let found = table.look(&id, &[secret; 32], || 0);
                prop_assert_eq!(found.known, map.contains_key(&id));
                let expected = map.get(&id).filter(|(right, _)| *right == secret).map(|(_, value)| value);
                prop_assert_eq!(found.proven, expected);
                prop_assert_eq!(table.of(&id), map.get(&id).map(|(_, value)| value));
            }
        }
    }
}
