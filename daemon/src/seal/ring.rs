//! Which keys there are: one that seals, older ones that still open. No clock and no file.
//!
//! A ring never changes: whoever rotates makes another one, and readers keep the one that they have.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;

use crate::config::settings::{SealKey, Sealing};

/// Bytes of a key's short name, which each sealed text begins with.
pub(super) const ID: usize = 4;

/// Where a key is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The gate made it, and keeps it in its state folder.
    Own,
    /// The configuration names it; the gate writes it nowhere.
    Configured,
}

/// A key, ready for use.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) id: [u8; ID],
    pub(super) key: SealKey,
    cipher: RandomizedNonceKey,
    pub(super) origin: Origin,
    /// When it was made, or first seen; in milliseconds since 1970, as all times here.
    pub(super) made_ms: u64,
    /// Since when it seals no more.
    pub(super) retired_ms: Option<u64>,
}

impl Held {
    pub(super) fn new(key: SealKey, origin: Origin, made_ms: u64, retired_ms: Option<u64>) -> Self {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()), b"the name of a sealing key");
        let mut id = [0; ID];
        id.copy_from_slice(&tag.as_ref()[..ID]);
        let cipher = RandomizedNonceKey::new(&AES_256_GCM, key.expose()).expect("32 bytes are an AES-256 key");
        Self { id, key, cipher, origin, made_ms, retired_ms }
    }

    /// The same key from now on only opening, where it does not already.
    fn retired(self: &Arc<Self>, now_ms: u64) -> Arc<Self> {
        if self.retired_ms.is_some() {
            return Arc::clone(self);
        }
        Arc::new(Self::new(self.key.clone(), self.origin, self.made_ms, Some(now_ms)))
    }

    pub(super) fn seal(&self, owner: &[u8], text: &[u8]) -> Vec<u8> {
        let mut sealed = text.to_vec();
        let nonce = self
            .cipher
            .seal_in_place_append_tag(Aad::from(owner), &mut sealed)
            .expect("a text is far shorter than what one nonce may seal");
        [&self.id, sealed.as_slice(), nonce.as_ref()].concat()
    }

    /// Opens what stands behind the name.
    fn open(&self, owner: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (sealed, nonce) = sealed.split_at_checked(sealed.len().checked_sub(NONCE_LEN)?)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = sealed.to_vec();
        let length = self.cipher.open_in_place(nonce, Aad::from(owner), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }
}

/// All keys; the first one seals.
#[derive(Debug, Clone)]
pub(super) struct Ring(Vec<Arc<Held>>);

impl Ring {
    /// A ring of what was kept, which may be nothing. It seals only after [`Ring::under`].
    pub(super) fn of(kept: Vec<Held>) -> Self {
        Self(kept.into_iter().map(Arc::new).collect())
    }

    /// What these settings make of it: a configured key seals, else the newest of the gate's own, else a fresh one.
    /// Others are retired, and those that were long enough ago are gone.
    pub(super) fn under(&self, sealing: &Sealing, now_ms: u64, fresh: impl FnOnce() -> SealKey) -> Self {
        let first = match &sealing.key {
            Some(key) => self.known(key).unwrap_or_else(|| configured(key, now_ms)),
            None => self.newest_own().unwrap_or_else(|| own(fresh(), now_ms)),
        };
        self.led_by(first, sealing, now_ms)
    }

    /// The ring with a fresh key of the gate's own in front.
    pub(super) fn rotated(&self, sealing: &Sealing, now_ms: u64, fresh: SealKey) -> Self {
        self.led_by(own(fresh, now_ms), sealing, now_ms)
    }

    /// The ring of the key that seals alone, and of what the configuration names.
    pub(super) fn alone(&self, sealing: &Sealing, now_ms: u64) -> Self {
        Self(self.0.first().cloned().into_iter().collect()).under(sealing, now_ms, || unreachable!("one seals"))
    }

    fn led_by(&self, first: Arc<Held>, sealing: &Sealing, now_ms: u64) -> Self {
        let mut keys = vec![first];
        if let Some(key) = sealing.other_key.as_ref().filter(|key| **key != keys[0].key) {
            keys.push(self.known(key).unwrap_or_else(|| configured(key, now_ms)));
        }
        let overlap_ms = u64::try_from(sealing.overlap.as_millis()).unwrap_or(u64::MAX);
        for key in &self.0 {
            if keys.iter().all(|kept| kept.key != key.key) {
                keys.push(key.retired(now_ms));
            }
        }
        keys.retain(|key| key.retired_ms.is_none_or(|retired| now_ms < retired.saturating_add(overlap_ms)));
        Self(keys)
    }

    /// A configured key that seals or opens already. One that is retired begins anew: it was taken back into use.
    fn known(&self, key: &SealKey) -> Option<Arc<Held>> {
        self.0
            .iter()
            .find(|held| held.key == *key && held.origin == Origin::Configured && held.retired_ms.is_none())
            .cloned()
    }

    /// A key of the gate's own that was retired never seals again: it may be older than it should be.
    fn newest_own(&self) -> Option<Arc<Held>> {
        self.0.iter().find(|held| held.origin == Origin::Own && held.retired_ms.is_none()).cloned()
    }

    /// The key that seals.
    pub(super) fn sealing(&self) -> &Held {
        self.0.first().expect("a ring in use has a key")
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Held> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// Whether time alone has this ring change: a key is old enough, or was retired long enough ago.
    pub(super) fn is_due(&self, sealing: &Sealing, now_ms: u64) -> Due {
        let since = |at: u64, span: std::time::Duration| {
            now_ms >= at.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
        };
        let first = self.sealing();
        if first.origin == Origin::Own && sealing.rotate_every.is_some_and(|every| since(first.made_ms, every)) {
            return Due::Rotation;
        }
        let is_over = |held: &Held| held.retired_ms.is_some_and(|retired| since(retired, sealing.overlap));
        if self.all().any(is_over) { Due::Forgetting } else { Due::Nothing }
    }

    /// Opens what any of the keys has sealed for this owner.
    pub(super) fn open(&self, owner: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (id, sealed) = sealed.split_first_chunk::<ID>()?;
        self.all().filter(|held| held.id == *id).find_map(|held| held.open(owner, sealed))
    }
}

/// What time asks of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// It is as it should be.
    Nothing,
    /// A key opens no more.
    Forgetting,
    /// The key that seals is old enough.
    Rotation,
}

fn configured(key: &SealKey, now_ms: u64) -> Arc<Held> {
    Arc::new(Held::new(key.clone(), Origin::Configured, now_ms, None))
}

fn own(key: SealKey, now_ms: u64) -> Arc<Held> {
    Arc::new(Held::new(key, Origin::Own, now_ms, None))
}

#[cfg(test)]
mod tests;
