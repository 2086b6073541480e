//! An issuer of tokens, and a site with its keys that can be away.
//!
//! Tokens are written here member by member, so that they can be wrong in any way; no library that the gate reads them
//! with takes part.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::fake::http::{plain, read_request};

/// A key that signs tokens.
pub struct Signer {
    kid: String,
    key: Key,
}

enum Key {
    Es256(Box<EcdsaKeyPair>),
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl Signer {
    /// A new key on the curve P-256.
    ///
    /// # Panics
    /// When none can be made.
    #[must_use]
    pub fn es256(kid: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        Self { kid: kid.to_owned(), key: Key::Es256(Box::new(key)) }
    }

    /// A new RSA key of 2048 bits.
    ///
    /// # Panics
    /// When none can be made.
    #[must_use]
    pub fn rsa(kid: &str) -> Self {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        Self { kid: kid.to_owned(), key: Key::Rsa(Box::new(key)) }
    }

    /// A new key on the curve Ed25519.
    ///
    /// # Panics
    /// When none can be made.
    #[must_use]
    pub fn ed25519(kid: &str) -> Self {
        let key = Ed25519KeyPair::generate().expect("a key");
        Self { kid: kid.to_owned(), key: Key::Ed25519(Box::new(key)) }
    }

    /// The public half as a JSON web key.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let kid = &self.kid;
        match &self.key {
            Key::Es256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = point[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "x": encoded(x), "y": encoded(y)})
            }
            Key::Rsa(pair) => {
                let parts = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({"kty": "RSA", "kid": kid, "use": "sig", "n": encoded(&parts.n), "e": encoded(&parts.e)})
            }
            Key::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": encoded(pair.public_key().as_ref())})
            }
        }
    }

    /// The public half as whoever confuses keys with secrets takes it for one: the DER of it.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn public_der(&self) -> Vec<u8> {
        match &self.key {
            Key::Es256(pair) => pair.public_key().as_der().expect("DER").as_ref().to_vec(),
            Key::Rsa(pair) => pair.public_key().as_der().expect("DER").as_ref().to_vec(),
            Key::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// The algorithm that it signs with.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        match &self.key {
            Key::Es256(_) => "ES256",
            Key::Rsa(_) => "RS256",
            Key::Ed25519(_) => "EdDSA",
        }
    }

    /// An access token that says this.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        self.sign(&json!({"alg": self.algorithm(), "typ": "at+jwt", "kid": self.kid}), claims)
    }

    /// The same with another header. `PS256` there makes an RSA key sign so.
    ///
    /// # Panics
    /// When it cannot sign.
    #[must_use]
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let (text, random) = (signed(header, claims), SystemRandom::new());
        let signature = match &self.key {
            Key::Es256(pair) => pair.sign(&random, text.as_bytes()).expect("a signature").as_ref().to_vec(),
            Key::Ed25519(pair) => pair.sign(text.as_bytes()).as_ref().to_vec(),
            Key::Rsa(pair) => {
                let way: &'static dyn aws_lc_rs::signature::RsaEncoding =
                    if header["alg"] == "PS256" { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(way, &random, text.as_bytes(), &mut signature).expect("a signature");
                signature
            }
        };
        format!("{text}.{}", encoded(&signature))
    }
}

/// A token with a secret's signature.
#[must_use]
pub fn hs256(secret: &[u8], header: &Value, claims: &Value) -> String {
    let text = signed(header, claims);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes());
    format!("{text}.{}", encoded(tag.as_ref()))
}

/// A token without a signature.
#[must_use]
pub fn unsigned(claims: &Value) -> String {
    format!("{}.", signed(&json!({"alg": "none", "typ": "JWT"}), claims))
}

fn signed(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encoded(header.to_string().as_bytes()), encoded(claims.to_string().as_bytes()))
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Seconds since 1970, and so many more.
///
/// # Panics
/// When the clock stands before 1970.
#[must_use]
pub fn in_seconds(more: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_secs()).expect("a date") + more
}

/// A set of keys, as a document.
#[must_use]
pub fn key_set(signers: &[&Signer]) -> String {
    json!({"keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>()}).to_string()
}

#[derive(Debug, Default)]
struct Told {
    /// By path; what is not here is 404.
    pages: Vec<(String, String)>,
    /// Instead of 200; 0: nothing else.
    status: u16,
    /// Further headers.
    headers: String,
    /// Paths that were asked for, in order.
    asked: Vec<String>,
}

/// A site with documents of an issuer.
pub struct Site {
    /// Where it is.
    pub address: SocketAddr,
    told: Arc<Mutex<Told>>,
    task: JoinHandle<()>,
}

impl Site {
    /// Starts one that has nothing.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let told: Arc<Mutex<Told>> = Arc::default();
        let task = tokio::spawn(serve(listener, Arc::clone(&told)));
        Self { address, told, task }
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Has this document at a path from now on.
    pub fn publish(&self, path: &str, document: &str) {
        self.with(|told| {
            told.pages.retain(|(known, _)| known != path);
            told.pages.push((path.to_owned(), document.to_owned()));
        });
    }

    /// Answers everything with this status from now on; 200: as it should.
    pub fn answer(&self, status: u16) {
        self.with(|told| told.status = status);
    }

    /// Adds header lines to answers, each with its end.
    pub fn say(&self, headers: &str) {
        self.with(|told| headers.clone_into(&mut told.headers));
    }

    /// How often a path was asked for.
    #[must_use]
    pub fn asked(&self, path: &str) -> usize {
        self.with(|told| told.asked.iter().filter(|asked| *asked == path).count())
    }

    fn with<T>(&self, read: impl FnOnce(&mut Told) -> T) -> T {
        read(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, told: Arc<Mutex<Told>>) {
    let mut open = tokio::task::JoinSet::new();
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let told = Arc::clone(&told);
        open.spawn(async move { drop(connection(socket, &told).await) });
    }
}

async fn connection(mut socket: TcpStream, told: &Mutex<Told>) -> std::io::Result<()> {
    let mut held = Vec::new();
    while let Some(request) = read_request(&mut socket, &mut held).await? {
        let answer = {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            told.asked.push(request.target.clone());
            let page = told.pages.iter().find(|(path, _)| *path == request.target);
            match (told.status, page) {
                (0 | 200, Some((_, document))) => plain(200, &told.headers, document),
                (0 | 200, None) => plain(404, "", "{}"),
                (status, _) => plain(status, &told.headers, "{}"),
            }
        };
        socket.write_all(&answer).await?;
    }
    Ok(())
}
