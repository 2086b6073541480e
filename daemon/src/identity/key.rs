//! API keys: `tg_<id>_<secret>`, of which the configuration holds only SHA-256 of the secret.

use aws_lc_rs::digest;
use subtle::ConstantTimeEq;

use crate::config::settings::Key;

/// The two parts of a key's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presented<'a> {
    /// Public; finds the entry.
    pub id: &'a str,
    secret: &'a str,
}

/// Takes a key's text apart; `None` when it is no key at all.
pub fn parse(text: &str) -> Option<Presented<'_>> {
    let (id, secret) = text.strip_prefix("tg_")?.split_once('_')?;
    (!id.is_empty() && !secret.is_empty()).then_some(Presented { id, secret })
}

/// Whether the secret is the one whose hash is known; takes the same time wherever they differ.
pub fn verify(presented: Presented<'_>, key: &Key) -> bool {
    let hash = digest::digest(&digest::SHA256, presented.secret.as_bytes());
    bool::from(hash.as_ref().ct_eq(&key.sha256))
}

/// What an unknown id is compared with, so that it takes as long as a known one.
pub fn verify_nobody(presented: Presented<'_>) {
    let hash = digest::digest(&digest::SHA256, presented.secret.as_bytes());
    let _ = std::hint::black_box(hash.as_ref().ct_eq(&[0; 32]));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str) -> Key {
        let hash = digest::digest(&digest::SHA256, secret.as_bytes());
        Key {
            id: "ci1234".into(),
            sha256: hash.as_ref().try_into().unwrap(),
            owner: "ci".into(),
            tier: None,
            organisation: None,
            scopes: Vec::new(),
            roles: Vec::new(),
            created: None,
        }
    }

    #[test]
    fn a_key_is_taken_apart_at_its_first_two_underscores() {
        let presented = parse("tg_ci1234_a_b").unwrap();
        assert_eq!((presented.id, presented.secret), ("ci1234", "a_b"));
    }

    #[test]
    fn what_is_no_key_is_none() {
        for text in ["", "tg_", "tg_id", "tg_id_", "tg__secret", "xx_id_secret"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_the_right_secret_verifies() {
        assert!(verify(parse("tg_ci1234_right").unwrap(), &key("right")));
        assert!(!verify(parse("tg_ci1234_wrong").unwrap(), &key("right")));
    }
}
