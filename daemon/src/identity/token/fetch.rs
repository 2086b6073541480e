//! Fetching the keys of an issuer: a file, a URL, or a URL that its metadata name.
//!
//! Runs beside the cores, on the thread that watches. No redirect is followed, answers are bounded in size and time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use serde_json::Value;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use toolgate_protocol::reach::Word;

use super::KeySet;
use super::keys::LARGEST;
use crate::config::settings::{Endpoint, Issuer, KeySource, UpstreamTls};
use crate::config::url;
use crate::listen::tls::certificates::{Stamp, stamp as stamp_of};
use crate::servers::http::{HttpClient, Method, Outgoing, lone_on};
use crate::servers::reach;

/// How long an answer may take, to its last byte.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was found.
pub(super) enum Found {
    /// Keys, with word of how long they hold, and the document that they came in.
    Keys(KeySet, Option<Duration>, Vec<u8>),
    /// The file is the one that was read before.
    Unchanged,
}

/// The way to the keys, with what it keeps from one fetch to the next.
pub(super) enum Way {
    File(PathBuf, Option<Stamp>),
    Url(Box<Site>),
    Discovered(Box<Discovery>),
}

/// The way over an issuer's metadata.
pub(super) struct Discovery {
    issuer: String,
    at: Endpoint,
    tls: UpstreamTls,
    found: Option<Site>,
}

impl Way {
    /// None where nothing is to be fetched.
    pub(super) fn new(issuer: &Issuer) -> Option<Self> {
        match &issuer.keys {
            KeySource::File(path) => Some(Self::File(path.clone(), None)),
            KeySource::Url(endpoint, tls) => Some(Self::Url(Box::new(Site::new(endpoint.clone(), tls.clone())))),
            KeySource::Discovered(endpoint, tls) => Some(Self::Discovered(Box::new(Discovery {
                issuer: issuer.issuer.clone(),
                at: endpoint.clone(),
                tls: tls.clone(),
                found: None,
            }))),
            KeySource::Secret(_) => None,
        }
    }

    /// The error is a sentence without its end.
    pub(super) async fn fetch(&mut self, failed_before: bool) -> Result<Found, String> {
        match self {
            Self::File(path, stamp) => read(path, stamp, failed_before).await,
            Self::Url(site) => site.keys().await,
            Self::Discovered(discovery) => discovery.keys().await,
        }
    }
}

impl Discovery {
    async fn keys(&mut self) -> Result<Found, String> {
        let site = if let Some(site) = &mut self.found {
            site
        } else {
            let endpoint = discover(&self.issuer, &self.at, &self.tls).await?;
            let word = reach::on_word_of(&self.at, &endpoint).await;
            self.found.insert(Site { word, ..Site::new(endpoint, self.tls.clone()) })
        };
        let keys = site.keys().await;
        if keys.is_err() {
            // It may have moved.
            self.found = None;
        }
        keys
    }
}

/// Off this thread: a file system may hang.
async fn read(path: &Path, stamp: &mut Option<Stamp>, failed_before: bool) -> Result<Found, String> {
    let (path, before) = (path.to_owned(), stamp.filter(|_| !failed_before));
    let read = spawn_blocking(move || {
        let now = stamp_of(&path);
        if now.is_some() && now == before { (now, Ok(None)) } else { (now, KeySet::from_file(&path).map(Some)) }
    });
    let (now, keys) = read.await.map_err(|_| "the file cannot be looked at".to_owned())?;
    *stamp = now;
    Ok(keys?.map_or(Found::Unchanged, |keys| Found::Keys(keys, None, Vec::new())))
}

/// A URL that is asked again and again.
pub(super) struct Site {
    endpoint: Endpoint,
    tls: UpstreamTls,
    /// Whose URL it is: the operator's, or one that metadata name.
    word: Word,
    client: Option<HttpClient>,
}

impl Site {
    fn new(endpoint: Endpoint, tls: UpstreamTls) -> Self {
        Self { endpoint, tls, word: Word::Operator { link_local: false }, client: None }
    }

    async fn keys(&mut self) -> Result<Found, String> {
        let host = self.endpoint.authority();
        let (text, max_age) = self.get().await.inspect_err(|_| self.client = None)?;
        let keys = KeySet::parse(&text).map_err(|why| format!("what {host} answers cannot be used: {why}"))?;
        Ok(Found::Keys(keys, max_age, text))
    }

    async fn get(&mut self) -> Result<(Vec<u8>, Option<Duration>), String> {
        let host = self.endpoint.authority();
        let client = if let Some(client) = &self.client {
            client
        } else {
            // Anew after a failure: an authority may have been renewed in its file.
            let way = lone_on(self.word, self.endpoint.clone(), self.tls.clone(), Vec::new(), PATIENCE)?;
            self.client.insert(way)
        };
        let headers: &[(&str, &[u8])] = &[("accept", b"application/json, application/jwk-set+json")];
        let request = Outgoing { method: Method::Get, endpoint: 0, headers, target: None, body: &[], first_byte: None };
        let asked = async {
            let answer = client.send(request).await.map_err(|error| format!("{host} cannot be asked: {error}"))?;
            if answer.status != 200 {
                return Err(format!("{host} answers with status {}", answer.status));
            }
            let max_age = answer.headers.get("cache-control").and_then(max_age);
            let body = Limited::new(answer.body, LARGEST).collect().await;
            let body =
                body.map_err(|_| format!("the answer of {host} breaks off, or is larger than {} KiB", LARGEST >> 10))?;
            Ok((body.to_bytes().to_vec(), max_age))
        };
        timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(format!("{host} gives no answer in time")))
    }
}

/// `max-age` of a `Cache-Control` (RFC 9111, section 5.2.2.1); what must not be kept is asked for as often as may be.
fn max_age(value: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.to_ascii_lowercase();
    let mut said = text.split(',').map(str::trim);
    if said.clone().any(|word| matches!(word, "no-store" | "no-cache")) {
        return Some(Duration::ZERO);
    }
    let seconds = said.find_map(|word| word.strip_prefix("max-age="))?;
    seconds.trim_matches('"').parse().ok().map(Duration::from_secs)
}

/// Where the issuer's metadata say that its keys are.
async fn discover(issuer: &str, at: &Endpoint, tls: &UpstreamTls) -> Result<Endpoint, String> {
    let mut first = None;
    for path in places(&at.path) {
        let mut site = Site::new(Endpoint { path, ..at.clone() }, tls.clone());
        let found = match site.get().await {
            Ok((text, _)) => named(&text, issuer, at),
            Err(why) => Err(why),
        };
        match found {
            Ok(endpoint) => return Ok(endpoint),
            Err(why) => first = first.or(Some(why)),
        }
    }
    Err(format!("its metadata cannot be had: {}", first.unwrap_or_default()))
}

/// Paths of metadata, the likeliest first: RFC 8414, section 3.1, and `OpenID` Connect Discovery, section 4.
fn places(path: &str) -> Vec<String> {
    let path = path.split('?').next().unwrap_or_default().trim_end_matches('/');
    let mut places = vec![
        format!("/.well-known/oauth-authorization-server{path}"),
        format!("{path}/.well-known/openid-configuration"),
    ];
    if !path.is_empty() {
        places.push(format!("/.well-known/openid-configuration{path}"));
    }
    places
}

/// The URL of the keys in metadata that are this issuer's own (RFC 8414, section 3.3).
fn named(text: &[u8], issuer: &str, at: &Endpoint) -> Result<Endpoint, String> {
    let host = at.authority();
    let metadata: Value = serde_json::from_slice(text).map_err(|_| format!("the metadata of {host} are not JSON"))?;
    if metadata["issuer"].as_str() != Some(issuer) {
        return Err(format!("the metadata of {host} are those of another issuer"));
    }
    let keys = metadata["jwks_uri"].as_str().and_then(|text| url::endpoint(text).ok());
    let keys = keys.ok_or_else(|| format!("the metadata of {host} name no URL of keys"))?;
    // Keys that came over a way on which others may write are anybody's.
    if !keys.tls && (at.tls || keys.host != at.host) {
        return Err(format!("the metadata of {host} name a URL of keys without TLS"));
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_how_long_keys_hold() {
        let table: &[(&[u8], Option<u64>)] = &[
            (b"max-age=300", Some(300)),
            (b"public, Max-Age=\"60\", must-revalidate", Some(60)),
            (b"no-store, max-age=300", Some(0)),
            (b"public", None),
            (b"max-age=soon", None),
            (b"\xff", None),
        ];
        for (value, wanted) in table {
            assert_eq!(max_age(value), wanted.map(Duration::from_secs));
        }
    }

    #[test]
    fn metadata_are_looked_for_in_the_places_of_both_standards() {
        assert_eq!(places("/"), ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"]);
        assert_eq!(
            places("/tenant/"),
            [
                "/.well-known/oauth-authorization-server/tenant",
                "/tenant/.well-known/openid-configuration",
                "/.well-known/openid-configuration/tenant"
            ]
        );
    }

    #[test]
    fn metadata_of_another_issuer_name_no_keys() {
        let at = url::endpoint("https://a.example").unwrap();
        let named = |text: &str| named(text.as_bytes(), "https://a.example", &at);
        let good = r#"{"issuer": "https://a.example", "jwks_uri": "https://keys.example/all"}"#;
        assert_eq!(named(good).unwrap().host, "keys.example");
        assert!(named(&good.replace("\"https://a.example\"", "\"https://b.example\"")).is_err());
        assert!(named(&good.replace("https://keys", "http://keys")).unwrap_err().contains("without TLS"));
        assert!(named("{}").is_err() && named("[").is_err());
    }
}
