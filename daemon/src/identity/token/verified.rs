//! Tokens that were verified, by their hash, until they end.
//!
//! Read by every call that brings a token: a look-up in one of many shards, and no allocation. Who knows a hash cannot
//! show the token.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use aws_lc_rs::digest;
use quick_cache::sync::Cache;

use super::{Flaw, Issuer};
use crate::identity::resource::Resource;
use crate::identity::{self, Client};
use crate::running::Term;

/// Tokens that are remembered at once; the least used give way.
const MOST: usize = 16 * 1024;

/// What is known of a token whose signature and claims are good.
#[derive(Debug)]
pub struct Verified {
    pub(super) client: Arc<Client>,
    pub(super) issuer: Arc<Issuer>,
    /// The issuer's keys when it was verified.
    pub(super) generation: u64,
    /// The first second since 1970 at which it is refused.
    pub(super) ends: u64,
    pub(super) audiences: Vec<String>,
    /// It has the scopes that it must have.
    pub(super) suffices: bool,
    /// What its streams are marked with.
    pub(super) term: Term,
    /// It has opened something: [`Terms`](super::Terms) know of it.
    pub(super) presented: AtomicBool,
}

impl Verified {
    /// Whether its issuer still has the keys that it was verified with.
    pub(super) fn stands(&self) -> bool {
        self.generation == self.issuer.generation()
    }

    /// What keeps it from being used at this path now, in seconds since 1970.
    pub fn flaw(&self, resource: &Resource<'_>, view: &str, now: u64) -> Option<Flaw> {
        if now >= self.ends {
            return Some(Flaw::Expired);
        }
        let audience = &self.issuer.settings().audience;
        let meant = if audience.is_empty() {
            self.audiences.iter().any(|named| resource.is_meant(named, view))
        } else {
            self.audiences.iter().any(|named| audience.contains(named))
        };
        (!meant).then_some(Flaw::Audience)
    }

    /// How long streams that it opened go on.
    #[must_use]
    pub fn term(&self) -> Term {
        self.term
    }

    /// Whether what an earlier token of the same client opened may go on with this one: it is good wherever that was,
    /// and opens what that did.
    pub(super) fn follows(&self, earlier: &Self) -> bool {
        let meant = !self.issuer.settings().audience.is_empty()
            || earlier.audiences.iter().all(|audience| self.audiences.contains(audience));
        self.stands() && meant && self.client.may_all_that(&earlier.client)
    }

    /// Who shows it.
    #[must_use]
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Whose it is.
    #[must_use]
    pub fn issuer(&self) -> &Arc<Issuer> {
        &self.issuer
    }

    /// Whether it has all scopes that its issuer's tokens must have.
    #[must_use]
    pub fn suffices(&self) -> bool {
        self.suffices
    }
}

/// The term of a token of this process.
pub(super) fn term(issuer: &Issuer, ends: u64) -> Term {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let issuer = identity::number(&issuer.settings().name);
    Term { ends_ms: ends.saturating_mul(1000), token: NEXT.fetch_add(1, Ordering::Relaxed), issuer }
}

/// SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Hash([u8; 32]);

impl Hash {
    pub(super) fn of(token: &str) -> Self {
        let digest = digest::digest(&digest::SHA256, token.as_bytes());
        let mut hash = [0; 32];
        hash.copy_from_slice(digest.as_ref());
        Self(hash)
    }
}

/// The table of them.
pub(super) struct Remembered(Cache<Hash, Arc<Verified>>);

impl Default for Remembered {
    fn default() -> Self {
        Self(Cache::new(MOST))
    }
}

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remembered({})", self.0.len())
    }
}

impl Remembered {
    pub(super) fn get(&self, hash: Hash) -> Option<Arc<Verified>> {
        self.0.get(&hash).filter(|known| known.stands())
    }

    pub(super) fn put(&self, hash: Hash, verified: &Arc<Verified>) {
        self.0.insert(hash, Arc::clone(verified));
    }
}
