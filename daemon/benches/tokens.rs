//! What it costs to know who shows a token: one that is remembered, and one that is new, by algorithm.
//!
//! `cargo bench -p toolgated --bench tokens` prints a table; it judges nothing.

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use toolgated::config::{self, Environment};
use toolgated::identity::token::{Issuers, now};

const ROUNDS: u32 = 2_000;

fn main() {
    let folder = std::env::temp_dir().join(format!("toolgate-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let (ec, ed) = (
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"),
        Ed25519KeyPair::generate().expect("a key"),
    );
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    std::fs::write(folder.join("keys.json"), keys(&ec, &ed, &rsa)).expect("the keys");
    let main = folder.join("toolgate.toml");
    std::fs::write(
        &main,
        "version = 1\n[listener.a]\naddress = [\"127.0.0.1:1\"]\nauth = [\"jwt\"]\n\
         [issuer.a]\nissuer = \"https://a.example\"\njwks = \"file:keys.json\"\n",
    )
    .expect("the configuration");
    let (settings, _) = config::load(&main, &Environment::default()).expect("a good configuration");
    let random = SystemRandom::new();
    let es256 = signed("ES256", |text| ec.sign(&random, text).expect("a signature").as_ref().to_vec());
    let eddsa = signed("EdDSA", |text| ed.sign(text).as_ref().to_vec());
    let rs256 = signed("RS256", |text| {
        let mut signature = vec![0; rsa.public_modulus_len()];
        rsa.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature).expect("a signature");
        signature
    });
    let issuers = Issuers::new(&settings, None);
    for (name, token) in [("ES256", &es256), ("EdDSA", &eddsa), ("RS256", &rs256)] {
        let new = each(|| drop(black_box(issuers.verify(token).expect("a good token"))));
        let known = each(|| drop(black_box(issuers.known(token).expect("a known token"))));
        println!("{name}, {} bytes: new {:>9.2} us, remembered {:>7.3} us", token.len(), micros(new), micros(known));
    }
    std::fs::remove_dir_all(&folder).ok();
}

fn keys(ec: &EcdsaKeyPair, ed: &Ed25519KeyPair, rsa: &RsaKeyPair) -> String {
    let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let (x, y) = ec.public_key().as_ref()[1..].split_at(32);
    let parts = PublicKeyComponents::<Vec<u8>>::from(rsa.public_key());
    json!({"keys": [
        {"kty": "EC", "crv": "P-256", "kid": "ES256", "x": encoded(x), "y": encoded(y)},
        {"kty": "OKP", "crv": "Ed25519", "kid": "EdDSA", "x": encoded(ed.public_key().as_ref())},
        {"kty": "RSA", "kid": "RS256", "n": encoded(&parts.n), "e": encoded(&parts.e)},
    ]})
    .to_string()
}

fn signed(algorithm: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({"alg": algorithm, "typ": "at+jwt", "kid": algorithm});
    let claims = json!({
        "iss": "https://a.example", "sub": "auth0|5f7c8ec7c33c6c004bbafe82", "aud": "https://gate.example/mcp",
        "iat": now(), "exp": now() + 3600, "scope": "openid profile mcp", "client_id": "s6BhdRkqt3", "jti": "dbe39bf3a3ba4238a513f51d6e1691c4",
    });
    let text = format!("{}.{}", part(&header), part(&claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(text.as_bytes()));
    format!("{text}.{signature}")
}

fn each(mut work: impl FnMut()) -> Duration {
    work();
    let began = Instant::now();
    (0..ROUNDS).for_each(|_| work());
    began.elapsed() / ROUNDS
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
