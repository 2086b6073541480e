//! API keys: `tg_<id>_<secret>`, of which only SHA-256 of the secret is known here.
//!
//! [`find`] looks into the files of the configuration and into the store, always into both, and compares in constant
//! time: how long a refusal takes says nothing of ids and secrets.

use std::sync::Arc;

use aws_lc_rs::digest;
use toolgate_protocol::key::PREFIX;

use super::Client;
use super::proofs::Proofs;
use super::store::index::{Index, Known};

/// The two parts of a key's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presented<'a> {
    /// Public; finds the entry.
    pub id: &'a str,
    secret: &'a str,
}

/// Whose key it is.
#[derive(Debug)]
pub enum Owner {
    /// A client of the configuration.
    Configured(Arc<Client>),
    /// A key of the store, whose record says the rest.
    Stored(Known),
}

/// Takes a key's text apart; `None` when it is no key at all.
pub fn parse(text: &str) -> Option<Presented<'_>> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    (!id.is_empty() && !secret.is_empty()).then_some(Presented { id, secret })
}

/// SHA-256 of a secret.
#[must_use]
pub fn hash(secret: &str) -> [u8; 32] {
    let hash = digest::digest(&digest::SHA256, secret.as_bytes());
    hash.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Whose key was shown; nobody's where the id is unknown or the secret wrong. An id that the files have is theirs alone.
/// `now` says the time in milliseconds since 1970, and is asked where secrets end.
pub fn find(
    presented: Presented<'_>,
    configured: &Proofs<Arc<Client>>,
    stored: &Index,
    now: impl Fn() -> u64,
) -> Option<Owner> {
    let hash = hash(presented.secret);
    let of_files = configured.look(presented.id, &hash, &now);
    let of_store = stored.look(presented.id, &hash, &now, |found| found.proven.copied());
    match of_files.proven {
        Some(client) => Some(Owner::Configured(Arc::clone(client))),
        None => of_store.filter(|_| !of_files.known).map(Owner::Stored),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Persona;
    use crate::identity::proofs::{Proof, Row};
    use crate::identity::store::record::Line;

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
    fn only_the_right_secret_opens_and_the_files_come_before_the_store() {
        let both = |secret: &str| [Proof::lasting(hash(secret)), Proof::NONE];
        let client = Arc::new(Client::new(Persona { id: "key:both".into(), ..Persona::default() }));
        let files = Proofs::new(vec![Row::new("both", both("file"), client)]);
        let store = Index::default();
        let line = |secret| Line { proofs: both(secret), expires_ms: u64::MAX, since_ms: 0 };
        store.put([("both".to_owned(), line("store")), ("only".to_owned(), line("only"))], 0);
        let found = |text: &str| find(parse(text).unwrap(), &files, &store, || 1);
        assert!(matches!(found("tg_both_file"), Some(Owner::Configured(_))));
        assert!(found("tg_both_store").is_none(), "the files have this id");
        assert!(matches!(found("tg_only_only"), Some(Owner::Stored(_))));
        assert!(found("tg_only_file").is_none() && found("tg_nobody_only").is_none());
    }
}
