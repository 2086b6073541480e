//! An authorization server, as the gate asks it: bounded in time and size, without redirects, and nowhere else than whoever
//! wrote its URLs may have meant.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use toolgate_protocol::reach::Word;

use super::wire::{self, Granted, Metadata, Refused};
use crate::config::Secret;
use crate::config::settings::access::{AuthMethod, Registration};
use crate::config::settings::{Endpoint, UpstreamTls};
use crate::lock::lock;
use crate::servers::credentials::watched::Watched;
use crate::servers::http::{self, HttpServer, Method, Outgoing};
use crate::servers::reach;
use crate::servers::readable::Readable;

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of an answer.
const LARGEST: usize = 64 << 10;

/// On whose word the gate connects to what the configuration names.
const OPERATOR: Word = Word::Operator { link_local: false };

/// An authorization server where the gate is a client.
#[derive(Debug)]
pub(crate) struct Provider {
    registration: Registration,
    secret: Option<Watched>,
    /// Ways to its endpoints, by authority.
    ways: Mutex<Vec<(String, Arc<HttpServer>)>>,
    metadata: Mutex<Option<Arc<Metadata>>>,
}

impl Provider {
    /// The error is a sentence, where certificates cannot be used.
    pub(crate) fn new(registration: &Registration) -> Result<Self, String> {
        let provider = Self {
            secret: registration.client_secret.as_ref().map(Watched::new),
            registration: registration.clone(),
            ways: Mutex::default(),
            metadata: Mutex::default(),
        };
        for endpoint in [&registration.issuer, &registration.token_endpoint].into_iter().flatten() {
            provider.learn_way(endpoint, http::alone(OPERATOR, endpoint.clone(), provider.tls(), PATIENCE)?);
        }
        Ok(provider)
    }

    /// Who it is, for operators: its issuer, or else where tokens come from.
    pub(crate) fn name(&self) -> String {
        let known = self.registration.issuer.as_ref().or(self.registration.token_endpoint.as_ref());
        known.map(Endpoint::authority).unwrap_or_default()
    }

    /// Its issuer as it is configured, where it is.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.registration.issuer.as_ref().map(|issuer| issuer.url.as_str())
    }

    /// Reads the client's secret where its file has changed.
    pub(crate) fn look(&self, server: &str) -> bool {
        self.secret.as_ref().is_some_and(|secret| secret.look(server))
    }

    /// What an operator should know of the client's secret.
    pub(crate) fn told(&self) -> Option<String> {
        self.secret.as_ref()?.told()
    }

    /// Asks for a token for the gate itself (RFC 6749, section 4.4.2).
    pub(crate) async fn own_token(&self) -> Result<Granted, Refused> {
        let scope = self.registration.scopes.join(" ");
        let mut pairs = vec![("grant_type", "client_credentials")];
        if !scope.is_empty() {
            pairs.push(("scope", &scope));
        }
        self.token(&pairs).await
    }

    /// Asks for a token with these parameters; who asks and whom it is for is added.
    pub(crate) async fn token(&self, pairs: &[(&str, &str)]) -> Result<Granted, Refused> {
        let endpoint = match &self.registration.token_endpoint {
            Some(endpoint) => endpoint.clone(),
            None => self.metadata().await?.token_endpoint.clone(),
        };
        let mut pairs = pairs.to_vec();
        pairs.extend(self.registration.resource.as_deref().map(|resource| ("resource", resource)));
        let (status, body) = self.post(&endpoint, &pairs).await?;
        wire::granted(status, &body)
    }

    /// What it says of itself; asked once.
    pub(crate) async fn metadata(&self) -> Result<Arc<Metadata>, Refused> {
        let known = lock(&self.metadata).clone();
        if let Some(known) = known {
            return Ok(known);
        }
        let issuer = self.registration.issuer.as_ref().ok_or_else(|| Refused::for_now("its issuer is not known"))?;
        let mut last = None;
        for path in wire::well_known(issuer) {
            let endpoint = Endpoint { path, ..issuer.clone() };
            match self.exchange(&endpoint, Method::Get, &[("accept", b"application/json")], b"").await? {
                (200, body) => {
                    let metadata = Arc::new(wire::metadata(&issuer.url, &body)?);
                    *lock(&self.metadata) = Some(Arc::clone(&metadata));
                    return Ok(metadata);
                }
                (status, _) => last = Some(status),
            }
        }
        let status = last.unwrap_or_default();
        Err(Refused::for_now(format!("it does not say what it is: its metadata are answered with status {status}")))
    }

    /// Posts a form as this client.
    async fn post(&self, endpoint: &Endpoint, pairs: &[(&str, &str)]) -> Result<(u16, Bytes), Refused> {
        let Registration { client_id, auth_method, .. } = &self.registration;
        let secret = self.secret.as_ref().map(Watched::now).transpose().map_err(Refused::for_now)?;
        let mut pairs = pairs.to_vec();
        let proof: Option<Secret> = match (&secret, auth_method) {
            (Some(secret), AuthMethod::Basic) => Some(wire::basic(client_id, secret)),
            (Some(secret), AuthMethod::Post) => {
                pairs.extend([("client_id", client_id.as_str()), ("client_secret", secret.expose())]);
                None
            }
            (None, _) => {
                pairs.push(("client_id", client_id));
                None
            }
        };
        let mut headers: Vec<(&str, &[u8])> =
            vec![("content-type", b"application/x-www-form-urlencoded"), ("accept", b"application/json")];
        headers.extend(proof.as_ref().map(|proof| ("authorization", proof.expose().as_bytes())));
        self.exchange(endpoint, Method::Post, &headers, wire::form(pairs).as_bytes()).await
    }

    async fn exchange(
        &self,
        endpoint: &Endpoint,
        method: Method,
        headers: &[(&str, &[u8])],
        body: &[u8],
    ) -> Result<(u16, Bytes), Refused> {
        let way = self.way(endpoint).await?;
        let body = [body];
        let target = Some(endpoint.path.as_str());
        let request = Outgoing { method, endpoint: 0, headers, target, body: &body, first_byte: None };
        let client = way.apart();
        let asked = async {
            let answer = client.send(request).await.map_err(|error| format!("it cannot be asked: {error}"))?;
            let status = answer.status;
            let body = Readable::new(&answer.headers, answer.body).map_err(|problem| problem.to_string())?;
            let whole = Limited::new(body, LARGEST).collect().await;
            let whole = whole.map_err(|_| "its answer is too long, or breaks off".to_owned())?;
            Ok((status, whole.to_bytes()))
        };
        let late = || Err("it gives no answer in time".to_owned());
        timeout(PATIENCE, asked).await.unwrap_or_else(|_| late()).map_err(Refused::for_now)
    }

    /// The way to an endpoint's origin. One that metadata name is made when it is needed first, on the word of whoever says
    /// so: what it reads may be on a disk that does not answer.
    async fn way(&self, endpoint: &Endpoint) -> Result<Arc<HttpServer>, Refused> {
        let origin = origin(endpoint);
        let known = lock(&self.ways).iter().find(|(known, _)| *known == origin).map(|(_, way)| Arc::clone(way));
        if let Some(way) = known {
            return Ok(way);
        }
        let word = match &self.registration.issuer {
            Some(issuer) => reach::on_word_of(issuer, endpoint).await,
            None => OPERATOR,
        };
        let (endpoint, tls) = (endpoint.clone(), self.tls());
        let target = endpoint.clone();
        let made = spawn_blocking(move || http::alone(word, target, tls, PATIENCE)).await;
        let way = made.unwrap_or_else(|_| Err("it cannot be asked".to_owned())).map_err(Refused::for_now)?;
        self.learn_way(&endpoint, Arc::clone(&way));
        Ok(way)
    }

    fn learn_way(&self, endpoint: &Endpoint, way: Arc<HttpServer>) {
        lock(&self.ways).push((origin(endpoint), way));
    }

    fn tls(&self) -> UpstreamTls {
        self.registration.tls.clone()
    }
}

fn origin(endpoint: &Endpoint) -> String {
    format!("{}:{}:{}", endpoint.tls, endpoint.host, endpoint.port)
}
