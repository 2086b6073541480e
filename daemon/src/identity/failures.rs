//! Addresses that show wrong credentials: how many, and which of them nothing more is looked at for a while.
//!
//! Asked where a credential was shown, before it is looked at. While nobody has failed lately a call pays one load and
//! remembers its credential by a keyed hash, so that who is known to be good passes behind an address that is blocked.
//! Bounded in memory; a shard's lock is taken only while somebody fails.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use foldhash::quality::RandomState as Seed;
use toolgate_protocol::failures::{Failures as Address, Rules};

use crate::lock::lock;

const SHARDS: usize = 64;
/// Addresses that are remembered at once: about 100 bytes each.
const MOST: usize = 1 << 16;
const MOST_OF_SHARD: usize = MOST / SHARDS;
/// Good credentials that are remembered; a newer one takes an older one's place.
const GOOD: usize = 1 << 13;

/// How somebody failed to prove who he is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// By what stood in a header, or in the path.
    Credential,
    /// By a certificate that stands for nobody.
    Certificate,
}

impl Method {
    /// Both, in the order of the counts.
    pub const ALL: [Self; 2] = [Self::Credential, Self::Certificate];

    /// One word for metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Certificate => "certificate",
        }
    }
}

/// What is known of failures.
#[derive(Debug)]
pub struct Failures {
    shards: [Mutex<HashMap<IpAddr, Address>>; SHARDS],
    /// Addresses in all shards.
    watched: AtomicUsize,
    good: Box<[AtomicU64]>,
    keyed: RandomState,
    /// Of good credentials. It is fast, and need not stand against whoever knows it: two that share a hash win a look.
    seed: Seed,
    counts: [AtomicU64; Method::ALL.len()],
    refused: AtomicU64,
}

impl Default for Failures {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            watched: AtomicUsize::new(0),
            good: (0..GOOD).map(|_| AtomicU64::new(0)).collect(),
            keyed: RandomState::new(),
            seed: Seed::default(),
            counts: [const { AtomicU64::new(0) }; Method::ALL.len()],
            refused: AtomicU64::new(0),
        }
    }
}

impl Failures {
    /// Whether a credential from an address is looked at.
    ///
    /// # Errors
    /// How long it is not.
    pub fn admit(&self, address: IpAddr, credential: &str, now: u64) -> Result<(), Duration> {
        if self.watched.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        let address = key(address);
        let left = lock(self.shard(address)).get(&address).and_then(|address| address.blocked(now));
        match left {
            // It is looked at all the same, so a hash that two share lets nobody in.
            Some(left) if !self.is_good(credential) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                Err(Duration::from_nanos(left))
            }
            _ => Ok(()),
        }
    }

    /// Somebody showed what is not good; without rules it is counted only.
    pub fn fail(&self, address: IpAddr, method: Method, rules: Option<&Rules>, now: u64) {
        self.counts[method as usize].fetch_add(1, Ordering::Relaxed);
        let Some(rules) = rules else { return };
        let address = key(address);
        let mut shard = lock(self.shard(address));
        if !shard.contains_key(&address) {
            self.make_room(&mut shard, rules, now);
            self.watched.fetch_add(1, Ordering::Relaxed);
        }
        if shard.entry(address).or_insert_with(|| Address::new(rules)).fail(rules, now) {
            drop(shard);
            tracing::warn!(%address, "an address has shown too many wrong credentials: it is answered with 429 for a while");
        }
    }

    /// A credential was good.
    pub fn succeed(&self, credential: &str) {
        let hash = self.hash(credential);
        let place = self.place(hash);
        // A load where it is there already, so that cores do not take the line from each other.
        if place.load(Ordering::Relaxed) != hash {
            place.store(hash, Ordering::Relaxed);
        }
    }

    /// Forgets addresses that decide like new ones.
    pub fn sweep(&self, rules: Option<&Rules>, now: u64) {
        if self.watched.load(Ordering::Relaxed) == 0 {
            return;
        }
        for shard in &self.shards {
            self.retain(&mut lock(shard), |address| rules.is_some_and(|rules| !address.is_idle(rules, now)));
        }
    }

    /// Addresses that are blocked now: how many, and one of them.
    #[must_use]
    pub fn blocked(&self, now: u64) -> (usize, Option<IpAddr>) {
        if self.watched.load(Ordering::Relaxed) == 0 {
            return (0, None);
        }
        let mut found = (0, None);
        for shard in &self.shards {
            for (address, _) in lock(shard).iter().filter(|(_, address)| address.blocked(now).is_some()) {
                found = (found.0 + 1, Some(*address));
            }
        }
        found
    }

    /// Wrong credentials so far, by how they were shown.
    #[must_use]
    pub fn counts(&self) -> [(Method, u64); Method::ALL.len()] {
        Method::ALL.map(|method| (method, self.counts[method as usize].load(Ordering::Relaxed)))
    }

    /// Credentials so far that were not looked at.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn shard(&self, address: IpAddr) -> &Mutex<HashMap<IpAddr, Address>> {
        let place = usize::try_from(self.keyed.hash_one(address) % SHARDS as u64);
        &self.shards[place.unwrap_or_default()]
    }

    /// Idle ones go first, then such as are not blocked, then any: whoever has so many addresses is not bounded by them.
    fn make_room(&self, shard: &mut HashMap<IpAddr, Address>, rules: &Rules, now: u64) {
        if shard.len() < MOST_OF_SHARD {
            return;
        }
        self.retain(shard, |address| !address.is_idle(rules, now));
        let mut spare = shard.len().saturating_sub(MOST_OF_SHARD * 3 / 4);
        self.retain(shard, |address| address.blocked(now).is_some() || !take(&mut spare));
        self.retain(shard, |_| !take(&mut spare));
    }

    fn retain(&self, shard: &mut HashMap<IpAddr, Address>, mut keep: impl FnMut(&Address) -> bool) {
        let before = shard.len();
        shard.retain(|_, address| keep(address));
        self.watched.fetch_sub(before - shard.len(), Ordering::Relaxed);
    }

    fn is_good(&self, credential: &str) -> bool {
        let hash = self.hash(credential);
        self.place(hash).load(Ordering::Relaxed) == hash
    }

    /// Never 0, which an empty place holds.
    fn hash(&self, credential: &str) -> u64 {
        self.seed.hash_one(credential).max(1)
    }

    fn place(&self, hash: u64) -> &AtomicU64 {
        &self.good[(hash >> 32) as usize % GOOD]
    }
}

/// One less, where there is one.
fn take(left: &mut usize) -> bool {
    let there = *left > 0;
    *left -= usize::from(there);
    there
}

/// One customer commonly holds a whole /64 of IPv6.
fn key(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn rules() -> Rules {
        Rules::new(10, Duration::from_secs(60), 2, Duration::from_secs(30))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn fail(failures: &Failures, from: &str, times: usize, now: u64) {
        for _ in 0..times {
            failures.fail(address(from), Method::Credential, Some(&rules()), now);
        }
    }

    #[test]
    fn an_address_is_blocked_and_whoever_was_good_passes() {
        let failures = Failures::default();
        failures.succeed("good");
        fail(&failures, "192.0.2.1", 2, SECOND);
        assert_eq!(failures.admit(address("192.0.2.1"), "bad", SECOND), Ok(()));
        fail(&failures, "192.0.2.1", 1, SECOND);
        assert_eq!(failures.admit(address("192.0.2.1"), "bad", 11 * SECOND), Err(Duration::from_secs(20)));
        assert_eq!(failures.admit(address("192.0.2.1"), "good", SECOND), Ok(()));
        assert_eq!(failures.admit(address("192.0.2.2"), "bad", SECOND), Ok(()));
        assert_eq!(failures.blocked(SECOND), (1, Some(address("192.0.2.1"))));
        assert_eq!((failures.counts()[0].1, failures.refused()), (3, 1));
        failures.sweep(Some(&rules()), 20 * SECOND);
        assert_eq!(failures.blocked(20 * SECOND).0, 1);
        assert_eq!(failures.admit(address("192.0.2.1"), "bad", 31 * SECOND), Ok(()));
        failures.sweep(Some(&rules()), 100 * SECOND);
        assert_eq!(failures.watched.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let failures = Failures::default();
        fail(&failures, "2001:db8::1", 3, SECOND);
        assert!(failures.admit(address("2001:db8::2"), "bad", SECOND).is_err());
        assert!(failures.admit(address("2001:db8:0:1::1"), "bad", SECOND).is_ok());
    }

    #[test]
    fn memory_is_bounded_and_blocked_addresses_stay_longest() {
        let failures = Failures::default();
        fail(&failures, "192.0.2.1", 3, SECOND);
        for number in 0..4 * u32::try_from(MOST).unwrap() {
            let from = IpAddr::V4((0x0a00_0000 + number).into());
            failures.fail(from, Method::Certificate, Some(&rules()), SECOND);
        }
        let watched = failures.watched.load(Ordering::Relaxed);
        assert!(watched <= MOST && watched > MOST / 2, "{watched}");
        assert_eq!(watched, failures.shards.iter().map(|shard| lock(shard).len()).sum::<usize>());
        assert!(failures.admit(address("192.0.2.1"), "bad", SECOND).is_err());
    }

    #[test]
    fn without_rules_failures_are_counted_and_nobody_is_blocked() {
        let failures = Failures::default();
        for _ in 0..1000 {
            failures.fail(address("192.0.2.1"), Method::Certificate, None, SECOND);
        }
        assert_eq!(failures.counts(), [(Method::Credential, 0), (Method::Certificate, 1000)]);
        assert_eq!(failures.admit(address("192.0.2.1"), "bad", SECOND), Ok(()));
    }
}
