//! What is said to and by an authorization server, without I/O (RFC 6749, RFC 8414, RFC 8707).

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use toolgate_protocol::framing::is_value;

use crate::config::Secret;
use crate::config::settings::Endpoint;
use crate::config::url;
use crate::observe::Shown;

/// How long a token holds of which nobody says so (RFC 6749, section 5.1 leaves that to be known otherwise).
const UNSAID: u64 = 300;

/// The longest life that is believed.
const LONGEST: u64 = 30 * 86_400;

/// Bytes of a token: longer ones fit into no server's head.
const TOKEN_BYTES: usize = 16 << 10;

/// What an authorization server gave.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) access: Secret,
    pub(crate) refresh: Option<Secret>,
    pub(crate) lifetime: Duration,
}

/// Why it gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// A sentence for operators, without a secret.
    pub(crate) why: String,
    /// The authorization server says that what it was shown will not do (RFC 6749, section 5.2): no use in trying again.
    pub(crate) is_final: bool,
}

impl Refused {
    pub(crate) fn for_now(why: impl Into<String>) -> Self {
        Self { why: why.into(), is_final: false }
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Option<String>,
    token_type: Option<String>,
    expires_in: Option<serde_json::Number>,
    refresh_token: Option<String>,
}

#[derive(Deserialize, Default)]
struct ErrorAnswer {
    error: Option<String>,
    error_description: Option<String>,
}

/// The answer of a token endpoint.
pub(crate) fn granted(status: u16, body: &[u8]) -> Result<Granted, Refused> {
    match status {
        200 => {}
        300..=399 => return Err(Refused::for_now("it answers with a redirect, which is not followed")),
        _ => return Err(refused(status, body)),
    }
    let garbage = || Refused::for_now("its answer is no token answer of OAuth 2");
    let answer: TokenAnswer = serde_json::from_slice(body).map_err(|_| garbage())?;
    let access = answer.access_token.filter(|token| fits(token)).ok_or_else(garbage)?;
    if !answer.token_type.is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
        return Err(Refused::for_now("it gives a token that is no bearer token"));
    }
    let seconds = answer.expires_in.map_or(Some(UNSAID), |number| number.as_u64().or(seconds(&number)));
    Ok(Granted {
        access: Secret::new(access),
        refresh: answer.refresh_token.filter(|token| !token.is_empty() && token.len() <= TOKEN_BYTES).map(Secret::new),
        lifetime: Duration::from_secs(seconds.ok_or_else(garbage)?.min(LONGEST)),
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
fn seconds(number: &serde_json::Number) -> Option<u64> {
    number.as_f64().filter(|seconds| (0.0..1e15).contains(seconds)).map(|seconds| seconds as u64)
}

/// A token as a header can carry it.
fn fits(token: &str) -> bool {
    !token.is_empty() && token.len() <= TOKEN_BYTES && !token.contains(' ') && is_value(token.as_bytes())
}

fn refused(status: u16, body: &[u8]) -> Refused {
    let said: ErrorAnswer = serde_json::from_slice(body).unwrap_or_default();
    let Some(error) = said.error else {
        return Refused::for_now(format!("it answers with status {status}"));
    };
    let is_final = matches!(error.as_str(), "invalid_grant" | "invalid_client" | "unauthorized_client")
        && matches!(status, 400 | 401 | 403);
    let described = said.error_description.map(|text| format!(": {}", Shown(&text))).unwrap_or_default();
    Refused { why: format!("it refuses with {}{described}", Shown(&error)), is_final }
}

/// What an authorization server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) token_endpoint: Endpoint,
    pub(crate) authorization_endpoint: Option<Endpoint>,
    /// It names itself in the answers to browsers (RFC 9207).
    pub(crate) names_itself: bool,
}

#[derive(Deserialize)]
struct MetadataAnswer {
    issuer: String,
    token_endpoint: Option<String>,
    authorization_endpoint: Option<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// Metadata of this issuer, as it is written (RFC 8414, section 3.3: another issuer's must not be used).
pub(crate) fn metadata(issuer: &str, body: &[u8]) -> Result<Metadata, Refused> {
    let garbage = || Refused::for_now("what it says of itself is no metadata of an authorization server");
    let said: MetadataAnswer = serde_json::from_slice(body).map_err(|_| garbage())?;
    if !is_same_issuer(&said.issuer, issuer) {
        let why = format!("it calls itself {}, and not as it is configured", Shown(&said.issuer));
        return Err(Refused::for_now(why));
    }
    let secure = |text: String| {
        let endpoint = url::endpoint(&text).ok()?;
        // What comes from there is to be trusted as far as the issuer is.
        (endpoint.tls || issuer.starts_with("http://")).then_some(endpoint)
    };
    Ok(Metadata {
        token_endpoint: said.token_endpoint.and_then(secure).ok_or_else(garbage)?,
        authorization_endpoint: said.authorization_endpoint.and_then(secure),
        names_itself: said.authorization_response_iss_parameter_supported,
    })
}

/// Issuers are compared as text; a slash at the end is what operators leave out.
pub(crate) fn is_same_issuer(one: &str, other: &str) -> bool {
    one.strip_suffix('/').unwrap_or(one) == other.strip_suffix('/').unwrap_or(other)
}

/// Where metadata of an issuer are: RFC 8414, section 3.1, then `OpenID` Connect Discovery, section 4.
pub(crate) fn well_known(issuer: &Endpoint) -> [String; 2] {
    let path = issuer.path.trim_end_matches('/');
    [format!("/.well-known/oauth-authorization-server{path}"), format!("{path}/.well-known/openid-configuration")]
}

/// `application/x-www-form-urlencoded`
pub(crate) fn form<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        encode(&mut text, name);
        text.push('=');
        encode(&mut text, value);
    }
    text
}

/// A query, read; of a name that stands twice the first value counts, and what is no text is left out.
pub(crate) fn parsed(query: &str) -> HashMap<String, String> {
    let mut all = HashMap::new();
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        if let (Some(name), Some(value)) = (decoded(name), decoded(value)) {
            all.entry(name).or_insert(value);
        }
    }
    all
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = &rest[2..];
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).ok()
}

/// Percent-encodes all but what RFC 3986 calls unreserved.
pub(crate) fn encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// `Authorization` of a client with a secret (RFC 6749, section 2.3.1).
pub(crate) fn basic(client: &str, secret: &Secret) -> Secret {
    let mut pair = String::new();
    encode(&mut pair, client);
    pair.push(':');
    encode(&mut pair, secret.expose());
    Secret::new(format!("Basic {}", STANDARD.encode(pair)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_answer_is_read_and_everything_else_is_refused() {
        let taken = granted(200, br#"{"access_token":"t0k","token_type":"bearer","expires_in":60,"x":1}"#).unwrap();
        assert_eq!((taken.access.expose(), taken.lifetime.as_secs(), taken.refresh.is_none()), ("t0k", 60, true));
        let taken = granted(200, br#"{"access_token":"t","token_type":"Bearer","refresh_token":"r"}"#).unwrap();
        assert_eq!((taken.lifetime.as_secs(), taken.refresh.unwrap().expose()), (UNSAID, "r"));
        for (status, body) in [
            (200, &b"{}"[..]),
            (200, b"not json"),
            (200, br#"{"access_token":"a\r\nb: c","token_type":"bearer"}"#),
            (200, br#"{"access_token":"a b","token_type":"bearer"}"#),
            (200, br#"{"access_token":"t","token_type":"mac"}"#),
            (200, br#"{"access_token":"t","token_type":"bearer","expires_in":-1}"#),
            (302, b""),
            (500, br#"{"error":"invalid_grant"}"#),
        ] {
            assert!(!granted(status, body).unwrap_err().is_final, "{status} {}", String::from_utf8_lossy(body));
        }
        let refused = granted(400, br#"{"error":"invalid_grant","error_description":"gone\u001b[2J"}"#).unwrap_err();
        assert!(refused.is_final);
        assert_eq!(refused.why, r"it refuses with invalid_grant: gone\u{1b}[2J");
    }

    #[test]
    fn metadata_must_be_the_issuers_own_and_as_secure() {
        let text = |issuer: &str, endpoint: &str| format!(r#"{{"issuer":"{issuer}","token_endpoint":"{endpoint}"}}"#);
        let read = |issuer: &str, text: &str| metadata(issuer, text.as_bytes());
        let good = text("https://as.example", "https://as.example/token");
        assert_eq!(read("https://as.example/", &good).unwrap().token_endpoint.path, "/token");
        assert!(read("https://evil.example", &good).unwrap_err().why.contains("https://as.example"));
        assert!(read("https://as.example", &text("https://as.example", "http://as.example/token")).is_err());
        assert!(read("http://localhost:1", &text("http://localhost:1", "http://localhost:1/token")).is_ok());
    }

    #[test]
    fn metadata_are_looked_for_where_both_standards_say() {
        let at = |text: &str| well_known(&url::endpoint(text).unwrap());
        assert_eq!(
            at("https://as.example/tenant"),
            ["/.well-known/oauth-authorization-server/tenant", "/tenant/.well-known/openid-configuration"]
        );
        assert_eq!(
            at("https://as.example"),
            ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"]
        );
    }

    #[test]
    fn a_query_is_read_as_it_was_written() {
        let read = parsed(&form([("state", "a&b=c d"), ("x", "é")]));
        assert_eq!((read["state"].as_str(), read["x"].as_str()), ("a&b=c d", "é"));
        let read = parsed("a=1&a=2&b=%zz&c&d=%ff&e=x+y");
        assert_eq!((read.len(), read["a"].as_str(), read["e"].as_str()), (2, "1", "x y"));
    }

    #[test]
    fn forms_and_secrets_are_encoded() {
        assert_eq!(form([("a", "b c&d=é"), ("e", "~")]), "a=b%20c%26d%3D%C3%A9&e=~");
        let secret = Secret::new("p:w%".into());
        assert_eq!(basic("id x", &secret).expose(), format!("Basic {}", STANDARD.encode("id%20x:p%3Aw%25")));
    }
}
