//! Who may connect, and how many at once: in all, per listener, per address.
//!
//! The acceptor asks for each connection; the permit gives the place back from whichever core
//! drops it, by atomics alone.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;

use super::open::OpenListener;
use crate::config::Settings;

/// Places among all connections, their listener's and their address's, until dropped.
#[derive(Debug)]
pub struct Permit([Arc<AtomicUsize>; 3]);

impl Drop for Permit {
    fn drop(&mut self) {
        for count in &self.0 {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// What becomes of a connection.
#[derive(Debug)]
pub enum Verdict {
    /// It may stay as long as it holds this.
    Stay(Permit),
    /// Its address is not on the listener's allow-list.
    NotAllowed,
    /// A bound is reached.
    OverLimit,
}

/// Counts connections; belongs to the acceptor's thread.
pub struct Admission {
    settings: Arc<ArcSwap<Settings>>,
    all: Arc<AtomicUsize>,
    addresses: RefCell<Addresses>,
}

impl Admission {
    /// Follows `settings` for the bound on all connections.
    #[must_use]
    pub fn new(settings: Arc<ArcSwap<Settings>>) -> Self {
        Self { settings, all: Arc::default(), addresses: RefCell::default() }
    }

    /// Decides on a connection from `peer`.
    pub fn admit(&self, peer: IpAddr, listener: &OpenListener) -> Verdict {
        let rules = listener.settings();
        let peer = peer.to_canonical();
        if let Some(allow) = &rules.allow
            && !allow.iter().any(|net| net.contains(&peer))
        {
            return Verdict::NotAllowed;
        }
        let address = self.addresses.borrow_mut().count_of(peer, &self.all);
        let bounds = [
            (&self.all, self.settings.load().daemon.max_connections),
            (&listener.connections, rules.bounds.connections),
            (&address, rules.bounds.connections_per_address),
        ];
        // Only this thread adds, so what is below its bound now stays there.
        if bounds.iter().any(|(count, bound)| count.load(Ordering::Relaxed) >= *bound) {
            return Verdict::OverLimit;
        }
        Verdict::Stay(Permit(bounds.map(|(count, _)| {
            count.fetch_add(1, Ordering::Relaxed);
            Arc::clone(count)
        })))
    }
}

/// Connections per address; forgets addresses without one.
#[derive(Default)]
struct Addresses {
    counts: HashMap<IpAddr, Arc<AtomicUsize>>,
}

impl Addresses {
    fn count_of(&mut self, peer: IpAddr, all: &AtomicUsize) -> Arc<AtomicUsize> {
        // A sweep is paid for by the addresses that came since the last one.
        if self.counts.len() > 2 * all.load(Ordering::Relaxed) + 64 {
            self.counts.retain(|_, count| count.load(Ordering::Relaxed) > 0);
        }
        self.counts.entry(key(peer)).or_default().clone()
    }
}

/// One customer commonly holds a whole /64 of IPv6.
fn key(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(peer) => IpAddr::V6((u128::from(peer) >> 64 << 64).into()),
    }
}
