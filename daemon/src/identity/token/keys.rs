//! The keys of an issuer: a set of JSON web keys (RFC 7517), or one secret.
//!
//! Which algorithms a key verifies is told by what it is, never by what a token says. No symmetric key is ever taken
//! from a set: what everybody can read cannot prove who signed.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

use crate::config::Secret;

/// Bytes of a set.
pub(super) const LARGEST: usize = 256 * 1024;

/// Keys of a set; further ones are left out.
const MOST: usize = 64;

/// Keys that one token is verified with, where it does not name one.
const TRIES: usize = 4;

/// What signatures are verified with.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    /// As it was published; none of a secret, which verifies whatever key a token names.
    published: Option<Jwk>,
    algorithms: &'static [Algorithm],
    key: DecodingKey,
}

impl Known {
    fn kid(&self) -> Option<&str> {
        self.published.as_ref()?.common.key_id.as_deref()
    }

    fn fits(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        let named = kid.is_none() || self.published.is_none() || self.kid() == kid;
        named && self.algorithms.contains(&algorithm)
    }
}

impl KeySet {
    /// The set that a document has. Keys for another use, or of a kind that is not known here, are left out.
    ///
    /// # Errors
    /// A sentence, where it is no set, or has no key that can be used.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let document: Value =
            serde_json::from_slice(text).map_err(|error| format!("it is not JSON ({})", short(&error.to_string())))?;
        let listed = document["keys"].as_array().ok_or("it has no list `keys`, as sets of JSON web keys have")?;
        let keys: Vec<_> = listed.iter().filter_map(known).take(MOST).collect();
        if keys.is_empty() {
            return Err("it has no public key that a signature could be verified with".to_owned());
        }
        Ok(Self { keys })
    }

    /// The set in a file.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn from_file(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let mut text = Vec::new();
        let read = File::open(path).and_then(|file| file.take(LARGEST as u64 + 1).read_to_end(&mut text));
        read.map_err(|error| format!("{shown} cannot be read: {error}"))?;
        if text.len() > LARGEST {
            return Err(format!("{shown} is larger than {} KiB", LARGEST >> 10));
        }
        Self::parse(&text).map_err(|why| format!("{shown} cannot be used: {why}"))
    }

    /// A secret that is shared with the issuer.
    #[must_use]
    pub fn of_secret(secret: &Secret) -> Self {
        let key = DecodingKey::from_secret(secret.expose().as_bytes());
        Self { keys: vec![Known { published: None, algorithms: &[Algorithm::HS256], key }] }
    }

    /// The keys that a token may be signed with.
    pub(super) fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &DecodingKey> {
        self.keys.iter().filter(move |known| known.fits(kid, algorithm)).map(|known| &known.key).take(TRIES)
    }

    /// Whether a newer set still has all of these, as they are.
    #[must_use]
    pub fn all_in(&self, newer: &Self) -> bool {
        self.keys.iter().all(|known| newer.keys.iter().any(|other| other.published == known.published))
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

fn known(value: &Value) -> Option<Known> {
    let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
    let for_signatures = jwk.common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
    let verifies =
        jwk.common.key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    if !for_signatures || !verifies {
        return None;
    }
    let kind = kind(&jwk.algorithm)?;
    let algorithms = match jwk.common.key_algorithm {
        None => kind,
        Some(named) => {
            let named = Algorithm::try_from(named).ok()?;
            let at = kind.iter().position(|algorithm| *algorithm == named)?;
            &kind[at..=at]
        }
    };
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    Some(Known { published: Some(jwk), algorithms, key })
}

/// What a key of this kind can sign.
fn kind(parameters: &AlgorithmParameters) -> Option<&'static [Algorithm]> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    match parameters {
        AlgorithmParameters::RSA(_) => Some(&[RS256, RS384, RS512, PS256, PS384, PS512]),
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => Some(&[ES256]),
            EllipticCurve::P384 => Some(&[ES384]),
            _ => None,
        },
        AlgorithmParameters::OctetKeyPair(key) => match key.curve {
            EllipticCurve::Ed25519 => Some(&[EdDSA]),
            _ => None,
        },
        _ => None,
    }
}

/// A parser's words without what it read.
fn short(problem: &str) -> String {
    let at = problem.rfind(" at line ").map_or("", |at| &problem[at + 1..]);
    at.to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(keys: &Value) -> Result<KeySet, String> {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
    }

    fn ed(kid: &str) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    }

    #[test]
    fn what_a_key_verifies_is_told_by_its_kind() {
        let rsa = json!({"kty": "RSA", "kid": "r", "n": "u1SU1A", "e": "AQAB"});
        let known = set(&json!([rsa, ed("e")])).unwrap();
        let count = |kid, algorithm| known.candidates(kid, algorithm).count();
        assert_eq!((count(Some("r"), Algorithm::RS256), count(Some("r"), Algorithm::PS512)), (1, 1));
        assert_eq!((count(Some("e"), Algorithm::EdDSA), count(None, Algorithm::EdDSA)), (1, 1));
        assert_eq!((count(Some("e"), Algorithm::RS256), count(Some("x"), Algorithm::EdDSA)), (0, 0));
        // Whatever a token says, no public key is a secret.
        for kid in [None, Some("r"), Some("e")] {
            assert_eq!(count(kid, Algorithm::HS256), 0);
        }
    }

    #[test]
    fn keys_for_something_else_are_left_out() {
        let with = |member: &str, value: Value| {
            let mut key = ed("e");
            key[member] = value;
            set(&json!([key])).is_ok()
        };
        assert!(with("use", json!("sig")) && with("key_ops", json!(["verify"])) && with("alg", json!("EdDSA")));
        assert!(!with("use", json!("enc")) && !with("key_ops", json!(["sign"])) && !with("alg", json!("RS256")));
        let odd = json!([
            {"kty": "oct", "k": "AAAA", "kid": "s"},
            {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"},
            {"kty": "new", "of": "kind"},
            {"kty": "RSA", "n": "!", "e": "!"},
            7,
        ]);
        assert!(set(&odd).unwrap_err().starts_with("it has no public key"));
        let mut more = odd;
        more.as_array_mut().unwrap().push(ed("e"));
        assert_eq!(set(&more).unwrap().len(), 1);
    }

    #[test]
    fn a_document_that_is_no_set_is_told_without_its_text() {
        assert_eq!(KeySet::parse(b"{\"s3cret\": ").unwrap_err(), "it is not JSON (at line 1 column 11)");
        assert!(KeySet::parse(b"{}").unwrap_err().contains("no list `keys`"));
    }

    #[test]
    fn a_key_that_is_taken_away_or_changed_is_noticed() {
        let one = set(&json!([ed("a")])).unwrap();
        let two = set(&json!([ed("b"), ed("a")])).unwrap();
        assert!(one.all_in(&two) && !two.all_in(&one) && one.all_in(&one));
        let mut other = ed("a");
        other["x"] = json!("BBqYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert!(!one.all_in(&set(&json!([other])).unwrap()));
    }

    #[test]
    fn many_keys_do_not_make_many_tries() {
        let keys: Vec<_> = (0..100).map(|index| ed(&index.to_string())).collect();
        let known = set(&json!(keys)).unwrap();
        assert_eq!((known.len(), known.candidates(None, Algorithm::EdDSA).count()), (MOST, TRIES));
    }
}
