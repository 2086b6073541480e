//! Header lines that show a server who the gate is, or for whom it calls.
//!
//! Where they can change while a server runs they are no part of the template of its endpoints, and are written once per
//! change. Whoever sends takes what holds now along.

use std::fmt;
use std::sync::Arc;

use super::request::{is_ours, is_token, put_line};
use crate::config::Secret;
use toolgate_protocol::framing::is_value;

/// Header lines, as they are sent.
pub struct Proof {
    text: Vec<u8>,
    names: Vec<String>,
}

impl Proof {
    /// The lines of these headers: name, what stands before the secret, and the secret.
    ///
    /// # Errors
    /// A sentence, where one cannot be a header.
    pub fn new<'a>(headers: impl Iterator<Item = (&'a str, &'a str, &'a Secret)>) -> Result<Self, String> {
        let mut proof = Self { text: Vec::new(), names: Vec::new() };
        for (name, before, secret) in headers {
            let value = [before.as_bytes(), secret.expose().as_bytes()].concat();
            if !is_token(name) || !is_value(&value) || is_ours(name) {
                return Err(format!("the header `{name}` cannot be set: remove it from `headers`"));
            }
            put_line(&mut proof.text, name, &value);
            proof.names.push(name.to_owned());
        }
        Ok(proof)
    }

    /// A bearer token (RFC 6750, section 2.1).
    ///
    /// # Errors
    /// A sentence, where it cannot be a header's value.
    pub fn bearer(token: &Secret) -> Result<Self, String> {
        Self::new(std::iter::once(("authorization", "Bearer ", token)))
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proof({})", self.names.join(", "))
    }
}

/// What goes along with a request.
#[derive(Debug, Clone, Default)]
pub struct Proofs {
    /// What the operator wrote.
    pub own: Option<Arc<Proof>>,
    /// What was granted.
    pub token: Option<Arc<Proof>>,
    /// Why nothing can be sent, as a sentence.
    pub lacks: Option<Arc<str>>,
}

impl Proofs {
    /// Appends the lines.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        self.each().for_each(|proof| out.extend_from_slice(&proof.text));
    }

    /// Whether a header of this name is among them.
    pub(super) fn has(&self, name: &str) -> bool {
        self.each().any(|proof| proof.names.iter().any(|own| own.eq_ignore_ascii_case(name)))
    }

    fn each(&self) -> impl Iterator<Item = &Arc<Proof>> {
        self.own.iter().chain(&self.token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_as_they_are_sent_and_never_shown() {
        let secret = Secret::new("s3cret".into());
        let proof = Proof::new([("x-key", "", &secret), ("authorization", "Bearer ", &secret)].into_iter()).unwrap();
        assert_eq!(format!("{proof:?}"), "Proof(x-key, authorization)");
        let proofs = Proofs { own: Some(Arc::new(proof)), ..Proofs::default() };
        let mut out = Vec::new();
        proofs.put(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "x-key: s3cret\r\nauthorization: Bearer s3cret\r\n");
        assert!(proofs.has("Authorization") && !proofs.has("accept"));
    }

    #[test]
    fn no_secret_smuggles_a_line() {
        for secret in ["a\r\nx: y", "a\nb", "\0"] {
            assert!(Proof::bearer(&Secret::new(secret.into())).is_err(), "{secret:?}");
        }
        let secret = Secret::new("a".into());
        assert!(Proof::new(std::iter::once(("host", "", &secret))).is_err());
    }
}
