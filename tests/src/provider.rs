//! An authorization server that remembers what it was asked, and that can be away, forgetful or dishonest.
//!
//! Its tokens are shared with a [`Http`](crate::fake::http::Http) server that demands them.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::door::Door;
use crate::fake::http::{Request, plain, read_request};

/// Tokens that a server takes.
pub type Living = Arc<Mutex<HashSet<String>>>;

/// What an authorization request asked for, until its code is exchanged.
#[derive(Debug, Clone)]
struct Code {
    challenge: String,
    redirect_uri: String,
}

#[derive(Debug, Default)]
struct Seen {
    /// Forms that reached the token endpoint, with `authorization` where it was there.
    asked: Vec<Value>,
    /// Seconds for which tokens hold; 0: an hour.
    lifetime: u64,
    /// Answers the token endpoint with this instead.
    says: Option<(u16, String)>,
    /// What it calls itself in its metadata.
    issuer: Option<String>,
    /// Where it says that its tokens are.
    token_endpoint: Option<String>,
    /// What it calls itself to browsers.
    iss: Option<String>,
    codes: HashMap<String, Code>,
    refresh: HashSet<String>,
    minted: usize,
}

/// A running authorization server.
pub struct Provider {
    /// Where it is.
    pub address: SocketAddr,
    /// Access tokens that hold.
    pub living: Living,
    seen: Arc<Mutex<Seen>>,
    door: Door,
}

#[derive(Clone, Default)]
struct Served {
    living: Living,
    seen: Arc<Mutex<Seen>>,
}

impl Provider {
    /// Starts one.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start() -> Self {
        let served = Served::default();
        let (living, seen) = (Arc::clone(&served.living), Arc::clone(&served.seen));
        let door = Door::open(move |socket| served.clone().connection(socket)).await;
        Self { address: door.address, living, seen, door }
    }

    /// Its issuer.
    #[must_use]
    pub fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Forms that reached its token endpoint.
    #[must_use]
    pub fn asked(&self) -> Vec<Value> {
        self.with(|seen| seen.asked.clone())
    }

    /// Those of this grant.
    #[must_use]
    pub fn asked_by(&self, grant: &str) -> usize {
        self.asked().iter().filter(|form| form["grant_type"] == grant).count()
    }

    /// Its tokens hold for so many seconds from now on.
    pub fn lifetime(&self, seconds: u64) {
        self.with(|seen| seen.lifetime = seconds);
    }

    /// Answers the token endpoint with this; `None`: with tokens again.
    pub fn says(&self, says: Option<(u16, &str)>) {
        self.with(|seen| seen.says = says.map(|(status, body)| (status, body.to_owned())));
    }

    /// Calls itself otherwise in its metadata.
    pub fn calls_itself(&self, issuer: &str) {
        self.with(|seen| seen.issuer = Some(issuer.to_owned()));
    }

    /// Says in its metadata that its tokens are elsewhere; `None`: where they are.
    pub fn sends_to(&self, token_endpoint: Option<&str>) {
        self.with(|seen| seen.token_endpoint = token_endpoint.map(str::to_owned));
    }

    /// Calls itself otherwise to browsers.
    pub fn tells_browsers(&self, issuer: &str) {
        self.with(|seen| seen.iss = Some(issuer.to_owned()));
    }

    /// None of its access tokens holds any more.
    pub fn forget_access(&self) {
        self.living.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// None of its refresh tokens holds any more.
    pub fn forget_refresh(&self) {
        self.with(|seen| seen.refresh.clear());
    }

    /// Nobody listens any more.
    pub fn leave(&mut self) {
        self.door.leave();
    }

    /// It is there again, at the same address.
    ///
    /// # Panics
    /// When somebody else has its port by now.
    pub fn come_back(&mut self) {
        self.door.come_back();
    }

    fn with<T>(&self, read: impl FnOnce(&mut Seen) -> T) -> T {
        read(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Served {
    async fn connection(self, mut socket: TcpStream) -> std::io::Result<()> {
        let own = format!("http://{}", socket.local_addr()?);
        let mut held = Vec::new();
        while let Some(request) = read_request(&mut socket, &mut held).await? {
            let answer = self.answer(&own, &request);
            socket.write_all(&answer).await?;
        }
        Ok(())
    }

    fn answer(&self, own: &str, request: &Request) -> Vec<u8> {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        match path {
            "/.well-known/oauth-authorization-server" => plain(200, "", &self.metadata(own).to_string()),
            "/authorize" => self.authorize(own, &form(query)),
            "/token" => {
                let (status, body) = self.token(request);
                plain(status, "Cache-Control: no-store\r\n", &body)
            }
            _ => plain(404, "", "{}"),
        }
    }

    fn metadata(&self, own: &str) -> Value {
        let (issuer, token) = self.with(|seen| (seen.issuer.clone(), seen.token_endpoint.clone()));
        let issuer = issuer.unwrap_or_else(|| own.to_owned());
        let token = token.unwrap_or_else(|| format!("{own}/token"));
        json!({
            "issuer": issuer,
            "token_endpoint": token,
            "authorization_endpoint": format!("{own}/authorize"),
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
        })
    }

    /// Whoever comes is logged in and agrees.
    fn authorize(&self, own: &str, asked: &Value) -> Vec<u8> {
        let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
        if text("response_type") != "code" || text("code_challenge_method") != "S256" {
            return plain(400, "", r#"{"error":"invalid_request"}"#);
        }
        let code = format!("code-{}", self.mint());
        let (challenge, redirect_uri) = (text("code_challenge"), text("redirect_uri"));
        let location_base = redirect_uri.clone();
        let iss = self.with(|seen| {
            seen.codes.insert(code.clone(), Code { challenge, redirect_uri });
            seen.iss.clone()
        });
        let iss = iss.unwrap_or_else(|| own.to_owned());
        let location = format!("{location_base}?code={code}&state={}&iss={iss}", text("state"));
        plain(302, &format!("Location: {location}\r\n"), "")
    }

    fn token(&self, request: &Request) -> (u16, String) {
        let mut asked = form(&request.body);
        if let Some(authorization) = request.headers["authorization"].as_str() {
            asked["authorization"] = authorization.into();
        }
        self.with(|seen| seen.asked.push(asked.clone()));
        if let Some((status, body)) = self.with(|seen| seen.says.clone()) {
            return (status, body);
        }
        let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
        let refused = || (400, r#"{"error":"invalid_grant","error_description":"not known here"}"#.to_owned());
        let mut refreshes = true;
        match text("grant_type").as_str() {
            "client_credentials" => refreshes = false,
            "authorization_code" => {
                let Some(code) = self.with(|seen| seen.codes.remove(&text("code"))) else { return refused() };
                let verified =
                    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text("code_verifier").as_bytes()));
                if code.challenge != verified || code.redirect_uri != text("redirect_uri") {
                    return refused();
                }
            }
            "refresh_token" if self.with(|seen| seen.refresh.remove(&text("refresh_token"))) => {}
            _ => return refused(),
        }
        let number = self.mint();
        let access = format!("access-{number}");
        self.living.lock().unwrap_or_else(PoisonError::into_inner).insert(access.clone());
        let lifetime = self.with(|seen| if seen.lifetime == 0 { 3600 } else { seen.lifetime });
        let mut answer = json!({"access_token": access, "token_type": "Bearer", "expires_in": lifetime});
        if refreshes {
            let refresh = format!("refresh-{number}");
            answer["refresh_token"] = refresh.clone().into();
            self.with(|seen| seen.refresh.insert(refresh));
        }
        (200, answer.to_string())
    }

    fn mint(&self) -> usize {
        self.with(|seen| {
            seen.minted += 1;
            seen.minted
        })
    }

    fn with<T>(&self, read: impl FnOnce(&mut Seen) -> T) -> T {
        read(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A form, or a query.
#[must_use]
pub fn form(text: &str) -> Value {
    let mut all = json!({});
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        all[decoded(name)] = decoded(value).into();
    }
    all
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                bytes.push(u8::from_str_radix(&digits, 16).unwrap_or(b'?'));
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
