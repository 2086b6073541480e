//! Resumption of TLS sessions, for exactly as long as configured.
//!
//! The library's own tickets and cache keep to times of their own. Here each ticket and each kept
//! session carries when it was made, on a clock that cannot be set.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use rustls::crypto::GetRandomFailed;
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};
use rustls::ticketer::TicketRotator;

/// Sessions kept where there are no tickets: about 1 kB each.
const KEPT: usize = 16_384;

/// RFC 8446, section 4.6.1: no ticket may be used for longer than a week.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// Tickets that are valid for `lifetime`; their keys live in this process only.
pub(super) fn tickets(lifetime: Duration) -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
    let lifetime = lifetime.min(LONGEST);
    let seconds = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX).max(1);
    // A key seals for one lifetime and opens for another, so no ticket outlives its key.
    let keys = TicketRotator::new(seconds, || Ok(Box::new(TicketKey::new()?)))?;
    Ok(Arc::new(Tickets { keys, lifetime, seconds }))
}

/// Sessions that are kept for `lifetime`.
pub(super) fn store(lifetime: Duration) -> Arc<dyn StoresServerSessions> {
    Arc::new(Store { kept: ServerSessionMemoryCache::new(KEPT), lifetime: lifetime.min(LONGEST) })
}

/// Milliseconds on a clock that starts with the process.
fn now() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn stamp(value: &[u8]) -> Vec<u8> {
    [&now().to_be_bytes(), value].concat()
}

/// What was stamped, unless that was too long ago.
fn fresh(stamped: &[u8], lifetime: Duration) -> Option<Vec<u8>> {
    let (stamp, value) = stamped.split_first_chunk()?;
    let age = now().saturating_sub(u64::from_be_bytes(*stamp));
    (Duration::from_millis(age) <= lifetime).then(|| value.to_vec())
}

#[derive(Debug)]
struct Tickets {
    keys: TicketRotator,
    lifetime: Duration,
    /// The same, as clients are told.
    seconds: u32,
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.seconds
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.keys.encrypt(&stamp(plain))
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        fresh(&self.keys.decrypt(ticket)?, self.lifetime)
    }
}

/// One key: a ticket is a nonce and what it sealed.
struct TicketKey(RandomizedNonceKey);

impl TicketKey {
    fn new() -> Result<Self, GetRandomFailed> {
        let mut key = [0_u8; 32];
        rand::fill(&mut key).map_err(|_| GetRandomFailed)?;
        RandomizedNonceKey::new(&AES_256_GCM, &key).map(Self).map_err(|_| GetRandomFailed)
    }
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKey")
    }
}

impl ProducesTickets for TicketKey {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = plain.to_vec();
        let nonce = self.0.seal_in_place_append_tag(Aad::empty(), &mut sealed).ok()?;
        Some([nonce.as_ref(), sealed.as_slice()].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = ticket.split_first_chunk::<NONCE_LEN>()?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.0.open_in_place(nonce, Aad::empty(), &mut sealed).ok()?;
        Some(opened.to_vec())
    }
}

#[derive(Debug)]
struct Store {
    kept: Arc<ServerSessionMemoryCache>,
    lifetime: Duration,
}

impl StoresServerSessions for Store {
    fn put(&self, id: Vec<u8>, session: Vec<u8>) -> bool {
        self.kept.put(id, stamp(&session))
    }

    fn get(&self, id: &[u8]) -> Option<Vec<u8>> {
        fresh(&self.kept.get(id)?, self.lifetime)
    }

    fn take(&self, id: &[u8]) -> Option<Vec<u8>> {
        fresh(&self.kept.take(id)?, self.lifetime)
    }

    fn can_cache(&self) -> bool {
        self.kept.can_cache()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_opens_to_what_was_sealed_and_only_unchanged() {
        let tickets = tickets(Duration::from_secs(3600)).expect("keys");
        assert_eq!(tickets.lifetime(), 3600);
        let ticket = tickets.encrypt(b"a session").expect("sealed");
        assert_eq!(tickets.decrypt(&ticket).as_deref(), Some(&b"a session"[..]));
        assert_ne!(tickets.encrypt(b"a session"), Some(ticket.clone()), "no nonce twice");
        for byte in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[byte] ^= 1;
            assert_eq!(tickets.decrypt(&changed), None);
            assert_eq!(tickets.decrypt(&ticket[..byte]), None);
        }
        let others = super::tickets(Duration::from_secs(3600)).expect("keys");
        assert_eq!(others.decrypt(&ticket), None);
    }

    #[test]
    fn what_is_too_old_is_not_resumed() {
        // Made in the first millisecond of the clock, at the latest.
        let old = [&[0; 8][..], b"x"].concat();
        let at = now();
        while now() == at {
            std::hint::spin_loop();
        }
        assert_eq!(fresh(&old, Duration::ZERO), None);
        assert_eq!(fresh(&old, LONGEST).as_deref(), Some(&b"x"[..]));
        assert_eq!(fresh(b"short", LONGEST), None);

        let store = store(LONGEST);
        assert!(store.put(b"id".to_vec(), b"session".to_vec()));
        assert_eq!(store.get(b"id").as_deref(), Some(&b"session"[..]));
        assert_eq!(store.take(b"id").as_deref(), Some(&b"session"[..]));
        assert_eq!(store.get(b"id"), None);
    }

    #[test]
    fn no_ticket_lives_longer_than_the_protocol_allows() {
        let tickets = tickets(Duration::MAX).expect("keys");
        assert_eq!(tickets.lifetime(), 604_800);
    }
}
