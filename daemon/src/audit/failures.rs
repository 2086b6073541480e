//! Refusals of those who are not known, counted: a line for each address and reason in a while, and none for each
//! request of a flood.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::failure::Kind;
use crate::policy::Entrance;

/// Addresses and reasons that are counted apart, on one core.
const MOST: usize = 1024;
/// Lines of one interval.
pub(super) const LINES: usize = 256;

/// Who was refused, where and why.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Refused {
    pub(super) address: IpAddr,
    pub(super) kind: &'static str,
    pub(super) listener: Arc<str>,
}

/// How often who was refused.
#[derive(Debug, Default)]
pub(super) struct Failures {
    counts: HashMap<Refused, u64, foldhash::fast::RandomState>,
    /// Those that have no room of their own.
    others: u64,
}

impl Failures {
    /// Counts one refusal.
    pub(super) fn count(&mut self, address: IpAddr, kind: Kind, entrance: &Entrance) {
        let refused =
            Refused { address: network(address), kind: kind.word(), listener: entrance.listener.name.as_str().into() };
        self.add_one(refused, 1);
    }

    fn add_one(&mut self, refused: Refused, more: u64) {
        let room = self.counts.len() < MOST;
        match self.counts.get_mut(&refused) {
            Some(count) => *count += more,
            None if room => _ = self.counts.insert(refused, more),
            None => self.others += more,
        }
    }

    /// Adds what another core has counted.
    pub(super) fn add(&mut self, other: Self) {
        for (refused, count) in other.counts {
            self.add_one(refused, count);
        }
        self.others += other.others;
    }

    /// Those that were refused most, and how many others were.
    pub(super) fn take(&mut self) -> (Vec<(Refused, u64)>, u64) {
        let mut counts: Vec<_> = std::mem::take(&mut self.counts).into_iter().collect();
        counts.sort_by(|(one, most), (other, least)| least.cmp(most).then_with(|| one.address.cmp(&other.address)));
        let rest: u64 = counts.drain(LINES.min(counts.len())..).map(|(_, count)| count).sum();
        (counts, std::mem::take(&mut self.others) + rest)
    }
}

/// What one customer of a network has: an address of IPv4, a /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_number_and_tables_are_bounded() {
        let settings = crate::config::from_text("version = 1\n[listener.a]\naddress = \"127.0.0.1:1\"\nauth = \"key\"");
        let entrance = Entrance::new(Arc::clone(&settings.expect("a configuration").listeners[0]));
        let mut failures = Failures::default();
        for _ in 0..1000 {
            failures.count("10.0.0.1".parse().expect("an address"), Kind::Unauthenticated, &entrance);
        }
        for number in 0..5000_u32 {
            failures.count(IpAddr::V4((0x0b00_0000 + number).into()), Kind::Unauthenticated, &entrance);
        }
        let mut other = Failures::default();
        other.count("10.0.0.1".parse().expect("an address"), Kind::Unauthenticated, &entrance);
        failures.add(other);
        let (lines, others) = failures.take();
        assert_eq!((lines.len(), lines[0].1, &*lines[0].0.listener), (LINES, 1001, "a"));
        assert_eq!(lines.iter().map(|(_, count)| count).sum::<u64>() + others, 6001, "nobody is forgotten");
        assert_eq!(failures.take().0.len(), 0);
        let network = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(network("2001:db8::1"), network("2001:db8::2"));
        assert_ne!(network("2001:db8:0:1::1"), network("2001:db8::1"));
    }
}
