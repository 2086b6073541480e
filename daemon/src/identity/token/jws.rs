//! The compact form of a signed token (RFC 7515, section 7.1), taken apart.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::Flaw;

/// Bytes of a token; none that is longer is looked at.
const LONGEST: usize = 16 * 1024;

/// A token of which nothing is believed yet. It has no `Debug`: it is a credential.
pub(super) struct Jws<'a> {
    /// What is signed: header and claims.
    signed: &'a str,
    signature: &'a str,
    pub(super) algorithm: Algorithm,
    /// Which of its issuer's keys signed it.
    pub(super) kid: Option<String>,
    /// What it says, whoever says it.
    pub(super) claims: Value,
}

/// What of a header counts. That it stands twice is an error.
#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
    b64: Option<IgnoredAny>,
}

impl<'a> Jws<'a> {
    /// Takes it apart. No key that its header names or brings is ever looked at (`jku`, `jwk`, `x5u`, `x5c`).
    pub(super) fn parse(token: &'a str) -> Result<Self, Flaw> {
        if token.len() > LONGEST {
            return Err(Flaw::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Flaw::Malformed)?;
        let (header, payload) =
            signed.split_once('.').filter(|(_, rest)| !rest.contains('.')).ok_or(Flaw::Malformed)?;
        let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| Flaw::Malformed)?;
        if header.crit.is_some() || header.b64.is_some() {
            return Err(Flaw::Critical);
        }
        if !header.typ.as_deref().is_none_or(is_access_token) {
            return Err(Flaw::Type);
        }
        let algorithm = header.alg.parse().map_err(|_| Flaw::Algorithm)?;
        let claims: Value = serde_json::from_slice(&decoded(payload)?).map_err(|_| Flaw::Malformed)?;
        if !claims.is_object() {
            return Err(Flaw::Malformed);
        }
        Ok(Self { signed, signature, algorithm, kid: header.kid, claims })
    }

    /// Whether this key signed it.
    pub(super) fn is_signed_with(&self, key: &DecodingKey) -> bool {
        crypto::verify(self.signature, self.signed.as_bytes(), key, self.algorithm).unwrap_or(false)
    }
}

fn decoded(part: &str) -> Result<Vec<u8>, Flaw> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Flaw::Malformed)
}

/// RFC 9068, section 2.1; RFC 7519, section 5.1. Others, such as a `logout+jwt`, are meant for something else.
fn is_access_token(typ: &str) -> bool {
    const PREFIX: &str = "application/";
    let bare = match typ.get(..PREFIX.len()) {
        Some(prefix) if prefix.eq_ignore_ascii_case(PREFIX) => &typ[PREFIX.len()..],
        _ => typ,
    };
    bare.eq_ignore_ascii_case("JWT") || bare.eq_ignore_ascii_case("at+jwt")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(header: &str, claims: &str) -> String {
        format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }

    fn flaw(header: &str) -> Option<Flaw> {
        Jws::parse(&token(header, "{}")).err()
    }

    #[test]
    fn only_signed_access_tokens_pass() {
        let table = [
            (r#"{"alg":"RS256"}"#, None),
            (r#"{"alg":"RS256","typ":"JWT","kid":"a"}"#, None),
            (r#"{"alg":"EdDSA","typ":"at+jwt"}"#, None),
            (r#"{"alg":"ES384","typ":"application/AT+JWT"}"#, None),
            (r#"{"alg":"RS256","typ":"logout+jwt"}"#, Some(Flaw::Type)),
            (r#"{"alg":"RS256","typ":"dpop+jwt"}"#, Some(Flaw::Type)),
            (r#"{"alg":"none"}"#, Some(Flaw::Algorithm)),
            (r#"{"alg":"None"}"#, Some(Flaw::Algorithm)),
            (r#"{"alg":""}"#, Some(Flaw::Algorithm)),
            (r#"{"alg":"RS256","crit":["exp"]}"#, Some(Flaw::Critical)),
            (r#"{"alg":"RS256","b64":false}"#, Some(Flaw::Critical)),
            (r#"{"alg":"none","alg":"RS256"}"#, Some(Flaw::Malformed)),
            (r#"{"alg":"RS256","kid":"a","kid":"b"}"#, Some(Flaw::Malformed)),
            (r#"{"alg":1}"#, Some(Flaw::Malformed)),
            (r#"{"typ":"JWT"}"#, Some(Flaw::Malformed)),
            ("[]", Some(Flaw::Malformed)),
        ];
        for (header, wanted) in table {
            assert_eq!(flaw(header), wanted, "{header}");
        }
    }

    #[test]
    fn what_has_not_three_parts_of_base64_is_no_token() {
        let good = token(r#"{"alg":"RS256"}"#, "{}");
        let long = format!("{good}{}", "A".repeat(LONGEST));
        let padded = good.replace(".c2ln", "=.c2ln");
        for text in ["", ".", "..", "a.b", "a.b.c.d", "not a token", &padded, &format!("{good}.x"), &long] {
            assert_eq!(Jws::parse(text).err(), Some(Flaw::Malformed), "{text}");
        }
        assert_eq!(Jws::parse(&token(r#"{"alg":"RS256"}"#, "[1]")).err(), Some(Flaw::Malformed));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,300}") {
            let _ = Jws::parse(&text);
        }

        /// A token whose bytes were changed anywhere is another one, or none.
        #[test]
        fn what_is_signed_is_what_is_read(header in r#"\{"alg":"HS256"(,"[a-z]{1,3}":[0-9]{1,3})?\}"#, sub in "[a-z]{1,20}", at in 0_usize..200) {
            let text = token(&header, &format!(r#"{{"sub":"{sub}"}}"#));
            if let Ok(jws) = Jws::parse(&text) {
                prop_assert_eq!(jws.claims["sub"].as_str(), Some(&*sub));
                let secret = DecodingKey::from_secret(&[7; 32]);
                prop_assert!(!jws.is_signed_with(&secret));
            }
            let mut bytes = text.into_bytes();
            let at = at % bytes.len();
            bytes[at] ^= 1;
            if let Ok(text) = String::from_utf8(bytes) {
                let _ = Jws::parse(&text);
            }
        }
    }
}
