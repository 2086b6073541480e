//! State that clients carry for us: cursors. Sealed so that nobody reads or forges it.
//!
//! AES-256-GCM, bound to the client (the additional data): another client's cursor does not open.
//! The key is part of the state, so that a cursor outlives a restart; without state it is the process's.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Seals and opens.
#[derive(Debug)]
pub struct Seal {
    key: RandomizedNonceKey,
}

impl Seal {
    /// A seal that ends with the process.
    pub fn random() -> Self {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).expect("the system has a random source");
        Self::of(&key)
    }

    /// A seal that opens what others with the same key made.
    pub fn of(key: &[u8; 32]) -> Self {
        Self { key: RandomizedNonceKey::new(&AES_256_GCM, key).expect("a key of 32 bytes is an AES-256 key") }
    }

    /// Seals `text` for `client`.
    pub fn seal(&self, client: &str, text: &[u8]) -> String {
        let mut sealed = text.to_vec();
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(client.as_bytes()), &mut sealed)
            .expect("a cursor is far shorter than what one nonce may seal");
        sealed.extend_from_slice(nonce.as_ref());
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// Opens what [`Seal::seal`] made for the same client; `None` for everything else.
    pub fn open(&self, client: &str, sealed: &str) -> Option<Vec<u8>> {
        let mut bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let nonce = bytes.split_off(bytes.len().checked_sub(NONCE_LEN)?);
        let nonce = Nonce::try_assume_unique_for_key(&nonce).ok()?;
        let text = self.key.open_in_place(nonce, Aad::from(client.as_bytes()), &mut bytes).ok()?;
        Some(text.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_for_a_client_opens_for_that_client_only() {
        let seal = Seal::random();
        let sealed = seal.seal("key:ann", b"weather:page2");
        assert_eq!(seal.open("key:ann", &sealed).unwrap(), b"weather:page2");
        assert_eq!(seal.open("key:bob", &sealed), None);
        assert_eq!(Seal::random().open("key:ann", &sealed), None);
    }

    #[test]
    fn nothing_forged_opens() {
        let seal = Seal::random();
        let sealed = seal.seal("key:ann", b"x");
        for index in 0..sealed.len() {
            let mut forged = sealed.clone().into_bytes();
            forged[index] = if forged[index] == b'A' { b'B' } else { b'A' };
            assert_eq!(seal.open("key:ann", std::str::from_utf8(&forged).unwrap()), None, "{index}");
        }
        assert_eq!(seal.open("key:ann", ""), None);
        assert_eq!(seal.open("key:ann", "AAAA"), None);
    }
}
