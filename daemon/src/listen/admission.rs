//! Who may connect, and how many at once: in all, per listener, per address.
//!
//! The acceptor asks for each connection, and a core once more where a PROXY header names the
//! client; the permit gives the places back from whichever core drops it, by atomics alone.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use super::open::OpenListener;
use crate::config::Settings;
use crate::config::settings::Listener;
use crate::lock::lock;

/// Places among all connections and their listener's, and their address's where it is known,
/// until dropped.
#[derive(Debug)]
pub struct Permit {
    held: [Arc<AtomicUsize>; 2],
    address: Option<Arc<AtomicUsize>>,
    /// Where a place for the client's address is still to be taken.
    addresses: Option<Arc<Addresses>>,
}

impl Permit {
    /// Whether the connection must say whose it is. It was let in for that, whatever a reload has changed since.
    pub fn awaits_name(&self) -> bool {
        self.addresses.is_some()
    }

    /// Takes the place of the client that a PROXY header named; says whether it may stay.
    pub fn name(&mut self, client: IpAddr, rules: &Listener) -> Result<(), Refused> {
        let Some(addresses) = self.addresses.take().filter(|_| !rules.trusts(client)) else { return Ok(()) };
        if !rules.allows(client) {
            return Err(Refused::NotAllowed);
        }
        let place = addresses.enter(client, rules.bounds.connections_per_address, &self.held[0]);
        self.address = Some(place.ok_or(Refused::OverLimit)?);
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        for count in self.held.iter().chain(&self.address) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Why a connection may not stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Its address is not on the listener's allow-list, or not that of a proxy where only those may connect.
    NotAllowed,
    /// A bound is reached.
    OverLimit,
}

/// Counts connections; belongs to the acceptor's thread.
pub struct Admission {
    settings: Arc<ArcSwap<Settings>>,
    all: Arc<AtomicUsize>,
    addresses: Arc<Addresses>,
}

impl Admission {
    /// Follows `settings` for the bound on all connections.
    #[must_use]
    pub fn new(settings: Arc<ArcSwap<Settings>>) -> Self {
        Self { settings, all: Arc::default(), addresses: Arc::default() }
    }

    /// Decides on a connection from `peer`; it may stay as long as it holds the permit.
    ///
    /// A trusted proxy connects for others: it is bound by the listener's connections, not by those per address, and
    /// the allow-list is for those whom it names.
    pub fn admit(&self, peer: IpAddr, listener: &OpenListener) -> Result<Permit, Refused> {
        let rules = listener.settings();
        let peer = peer.to_canonical();
        let proxy = rules.trusts(peer);
        if !proxy && (rules.proxy_protocol || !rules.allows(peer)) {
            return Err(Refused::NotAllowed);
        }
        let bounds = [
            (&self.all, self.settings.load().daemon.max_connections),
            (&listener.connections, rules.bounds.connections),
        ];
        // Only this thread adds, so what is below its bound now stays there.
        if bounds.iter().any(|(count, bound)| count.load(Ordering::Relaxed) >= *bound) {
            return Err(Refused::OverLimit);
        }
        let address = if proxy {
            None
        } else {
            let place = self.addresses.enter(peer, rules.bounds.connections_per_address, &self.all);
            Some(place.ok_or(Refused::OverLimit)?)
        };
        let held = bounds.map(|(count, _)| {
            count.fetch_add(1, Ordering::Relaxed);
            Arc::clone(count)
        });
        let addresses = rules.proxy_protocol.then(|| Arc::clone(&self.addresses));
        Ok(Permit { held, address, addresses })
    }
}

/// Connections per address; forgets addresses without one.
#[derive(Debug, Default)]
struct Addresses {
    /// Taken once per connection: by the acceptor, and by cores only for connections that a PROXY header begins.
    counts: Mutex<HashMap<IpAddr, Arc<AtomicUsize>>>,
}

impl Addresses {
    /// A place for a connection from `peer`, already counted, if its bound leaves one.
    fn enter(&self, peer: IpAddr, bound: usize, all: &AtomicUsize) -> Option<Arc<AtomicUsize>> {
        let mut counts = lock(&self.counts);
        // A sweep is paid for by the addresses that came since the last one.
        if counts.len() > 2 * all.load(Ordering::Relaxed) + 64 {
            counts.retain(|_, count| count.load(Ordering::Relaxed) > 0);
        }
        let count = counts.entry(key(peer)).or_default();
        // Whoever adds holds the lock, so what is below its bound now stays there.
        if count.load(Ordering::Relaxed) >= bound {
            return None;
        }
        count.fetch_add(1, Ordering::Relaxed);
        Some(Arc::clone(count))
    }
}

/// One customer commonly holds a whole /64 of IPv6.
fn key(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(peer) => IpAddr::V6((u128::from(peer) >> 64 << 64).into()),
    }
}
