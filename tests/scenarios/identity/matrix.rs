//! Every method of identity and every outcome: status, challenge and error, to the letter, in both eras.
//!
//! A method is a row of [`METHODS`], an outcome one of [`OUTCOMES`]; [`credential`] says what is shown. A further method
//! needs a row, and its credentials.

use serde_json::{Value, json};
use toolgate_tests::issuer::{Signer, hs256, in_seconds, unsigned};
use toolgate_tests::mcp::Era;

use crate::stage::{PATH, SECRET, Stage};

/// By what clients identify themselves here, each with the id of the client that its good credential stands for.
const METHODS: [(&str, &str); 4] =
    [("key", "key:test"), ("file", "jwt:file/ann"), ("site", "jwt:site/ann"), ("shared", "jwt:shared/ann")];

/// What is told to whoever shows something.
struct Outcome {
    name: &'static str,
    status: u16,
    code: i64,
    reason: &'static str,
    /// The beginning of the message, and the error of the challenge.
    message: &'static str,
    error: Option<&'static str>,
}

const fn refused(name: &'static str, message: &'static str) -> Outcome {
    let error = Some("invalid_token");
    Outcome { name, status: 401, code: -31401, reason: "credential-refused", message, error }
}

const OUTCOMES: [Outcome; 16] = [
    Outcome {
        name: "missing",
        status: 401,
        code: -31401,
        reason: "unauthenticated",
        message: "Send an access token or an API key",
        error: None,
    },
    refused("malformed", "This credential is neither an API key nor a signed token."),
    refused("malformed key", "This API key is not known here."),
    refused("unknown key", "This API key is not known here."),
    refused("revoked key", "This API key is not known here."),
    refused("expired", "This token has expired."),
    refused("not yet valid", "This token is not valid yet."),
    refused("wrong audience", "This token is not meant for this server."),
    refused("another path's audience", "This token is not meant for this server."),
    refused("wrong issuer", "The issuer of this token is not trusted here."),
    refused("another issuer's name", "This token"),
    refused("algorithm none", "This token is not signed in a way that is accepted here."),
    refused("key confusion", "This token is not signed in a way that is accepted here."),
    refused("unknown kid", "This token is signed with a key that its issuer does not publish."),
    refused("wrong signature", "The signature of this token is not that of its issuer."),
    Outcome {
        name: "wrong scope",
        status: 403,
        code: -31403,
        reason: "scope-insufficient",
        message: "This token lacks a scope that is needed here.",
        error: Some("insufficient_scope"),
    },
];

/// What is shown; none where the method has no such outcome.
fn credential(stage: &Stage, method: &str, outcome: &str) -> Option<String> {
    if method == "key" {
        return of_key(stage, outcome);
    }
    let claims = stage.claims(method, "ann");
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        Some(stage.token(method, &claims))
    };
    match outcome {
        "malformed" => Some(stage.good(method, "ann").replace('.', "-")),
        "expired" => with("exp", json!(in_seconds(-31))),
        "not yet valid" => with("nbf", json!(in_seconds(60))),
        "wrong audience" => with("aud", json!("https://other.example/mcp")),
        "another path's audience" => with("aud", json!(format!("{}/mcp/more", stage.url()))),
        "wrong issuer" => with("iss", json!("https://evil.example")),
        // The signature is that of whoever signs for the method.
        "another issuer's name" => {
            with("iss", json!(if method == "file" { "https://site.example" } else { "https://file.example" }))
        }
        "algorithm none" => Some(unsigned(&claims)),
        "wrong scope" => with("scope", json!("openid")),
        "key confusion" => Some(confused(stage, method, &claims)),
        "unknown kid" if method != "shared" => Some(Signer::es256("nobody-1").token(&claims)),
        "wrong signature" => Some(forged(method, &claims)),
        _ => None,
    }
}

fn of_key(stage: &Stage, outcome: &str) -> Option<String> {
    match outcome {
        "malformed key" => Some("tg_test".to_owned()),
        "unknown key" => Some(stage.gate.key_of("nobody")),
        "revoked key" => Some(stage.gate.key_of("gone")),
        _ => None,
    }
}

/// Signed with what everybody knows, as if it were a secret; or where there is a secret, with a key of one's own.
fn confused(stage: &Stage, method: &str, claims: &Value) -> String {
    let header = |kid: &str| json!({"alg": "HS256", "kid": kid});
    match method {
        "file" => hs256(&stage.of_file.public_der(), &header("file-1"), claims),
        "site" => hs256(&stage.of_site.public_der(), &header("site-1"), claims),
        _ => Signer::es256("own").token(claims),
    }
}

/// Signed by somebody else under the key's id.
fn forged(method: &str, claims: &Value) -> String {
    match method {
        "file" => Signer::es256("file-1").token(claims),
        "site" => Signer::rsa("site-1").token(claims),
        _ => hs256(b"another-secret-with-more-than-32-bytes-in-it", &json!({"alg": "HS256"}), claims),
    }
}

/// The challenge of an outcome, but for the words of its description.
fn challenge(stage: &Stage, outcome: &Outcome, message: &str) -> String {
    let metadata = format!("{}/.well-known/oauth-protected-resource{PATH}", stage.url());
    let rest = format!("resource_metadata=\"{metadata}\", scope=\"mcp\"");
    match outcome.error {
        Some(error) => format!("Bearer error=\"{error}\", error_description=\"{message}\", {rest}"),
        None => format!("Bearer {rest}"),
    }
}

#[tokio::test]
async fn every_outcome_of_every_method_is_told_to_the_letter() {
    let mut stage = Stage::start().await;
    let gone = stage.gate.key_of("gone");
    assert_eq!(stage.calls(PATH, &gone).await.0, 200);
    stage.gate.change(|setup| setup.without_key("gone"));
    stage.gate.reload().await;
    let mut told = 0;
    for (method, _) in METHODS {
        for outcome in &OUTCOMES {
            let shown = credential(&stage, method, outcome.name);
            if shown.is_none() && outcome.name != "missing" {
                continue;
            }
            for era in [Era::Legacy, Era::Modern] {
                let what = format!("{method}: {}, {era:?}", outcome.name);
                let caller = stage.caller(PATH, era, shown.as_deref());
                let reply = if era == Era::Legacy {
                    caller.initialize().await
                } else {
                    caller.call("5", "echo", json!({})).await
                };
                let head = reply.head.clone();
                let answer = reply.answer().await;
                let error = &answer["error"];
                assert_eq!(head.status, outcome.status, "{what}: {answer}");
                assert_eq!(
                    (&error["code"], &error["data"]["reason"]),
                    (&json!(outcome.code), &json!(outcome.reason)),
                    "{what}"
                );
                let message = error["message"].as_str().unwrap_or_default();
                assert!(message.starts_with(outcome.message), "{what}: {message}");
                let said = head.header("www-authenticate").unwrap_or_default();
                assert_eq!(said, challenge(&stage, outcome, message), "{what}");
                assert_eq!(head.header("content-type"), Some("application/json"), "{what}");
                assert_eq!(answer["id"], if era == Era::Legacy { 0 } else { 5 }, "{what}");
                told += 1;
            }
        }
    }
    assert_eq!(told, 2 * (4 + 3 + 12 + 12 + 11), "no outcome was left out");
    assert_eq!(stage.server.record.of("tools/call").len(), 1, "nothing of it reached the server");
}

#[tokio::test]
async fn what_is_good_is_served_and_what_is_suspended_is_told_so() {
    let stage = Stage::start().await;
    for (method, id) in METHODS {
        let shown = if method == "key" { stage.gate.key() } else { stage.good(method, "ann") };
        let legacy = stage.caller(PATH, Era::Legacy, Some(&shown)).opened().await;
        let modern = stage.caller(PATH, Era::Modern, Some(&shown));
        for caller in [&legacy, &modern] {
            let answer = caller.call("5", "echo", json!({})).await.answer().await;
            assert!(answer.get("result").is_some(), "{method}: {answer}");
        }
        let clients = stage.gate.control("GET", "/v1/clients").await.1;
        assert!(clients.to_string().contains(id), "{method}: {clients}");
        let path = |change: &str| format!("/v1/clients/{}/{change}", id.replace(':', "%3A").replace('/', "%2F"));
        let (status, outcome) = stage.gate.control_with("POST", &path("suspend"), &json!({"say": "Stop."})).await;
        assert_eq!((status, &outcome["sessions"]), (200, &json!(1)), "{method}: {outcome}");
        for (caller, status) in [(&legacy, 200), (&modern, 403)] {
            let reply = caller.call("5", "echo", json!({})).await;
            let head = reply.head.clone();
            let answer = reply.answer().await;
            assert_eq!(
                (head.status, &answer["error"]["data"]["reason"]),
                (status, &json!("suspended")),
                "{method}: {answer}"
            );
            assert_eq!(answer["error"]["code"], -31403, "{method}");
            assert_eq!(head.header("www-authenticate"), None, "{method}: no other credential would help");
        }
        assert_eq!(stage.gate.control("POST", &path("resume")).await.0, 200);
        assert_eq!(stage.calls(PATH, &shown).await.0, 200, "{method}");
    }
}

#[tokio::test]
async fn another_clients_session_is_none() {
    let stage = Stage::start().await;
    for (method, _) in METHODS {
        let (own, other) = match method {
            "key" => (stage.gate.key(), stage.gate.key_of("other")),
            _ => (stage.good(method, "ann"), stage.good(method, "bob")),
        };
        let session = stage.caller(PATH, Era::Legacy, Some(&own)).opened().await;
        let thief = session.clone().with("Authorization", &format!("Bearer {other}"));
        let reply = thief.call("5", "echo", json!({})).await;
        let head = reply.head.clone();
        let answer = reply.answer().await;
        assert_eq!(
            (head.status, &answer["error"]["data"]["reason"]),
            (404, &json!("session-unknown")),
            "{method}: {answer}"
        );
        assert_eq!(thief.end().await, 404, "{method}");
        let answer = session.call("6", "echo", json!({})).await.answer().await;
        assert!(answer.get("result").is_some(), "{method}: {answer}");
    }
    // The same name at another issuer is another client.
    let session = stage.caller(PATH, Era::Legacy, Some(&stage.good("file", "ann"))).opened().await;
    let other = session.with("Authorization", &format!("Bearer {}", stage.good("site", "ann")));
    assert_eq!(other.call("5", "echo", json!({})).await.head.status, 404);
}

#[tokio::test]
async fn scopes_open_what_they_name_and_a_token_without_them_opens_nothing() {
    let stage = Stage::start().await;
    let with = |tools: Value| {
        let mut claims = stage.claims("file", "ann");
        claims["tools"] = tools;
        stage.token("file", &claims)
    };
    for (tools, status, reason) in [
        (json!("web/*"), 200, None),
        (json!(["more/*", "web/echo"]), 200, None),
        // Where nothing of a server is open, its path is none.
        (json!("more/*"), 404, Some("path-unknown")),
        (json!("web/other web/e"), 200, Some("name-unknown")),
        (json!(""), 404, Some("path-unknown")),
        (Value::Null, 404, Some("path-unknown")),
    ] {
        let said = stage.calls(PATH, &with(tools.clone())).await;
        assert_eq!(said, (status, reason.map(str::to_owned)), "{tools}");
    }
}

#[tokio::test]
async fn every_algorithm_verifies_and_two_credentials_are_none() {
    let stage = Stage::start().await;
    let (ed, rsa) = (Signer::ed25519("ed"), Signer::rsa("rsa"));
    std::fs::write(&stage.file, toolgate_tests::issuer::key_set(&[&ed, &rsa])).expect("the keys");
    let claims = stage.claims("file", "ann");
    let good = [ed.token(&claims), rsa.token(&claims), rsa.sign(&json!({"alg": "PS256", "kid": "rsa"}), &claims)];
    for token in &good {
        assert_eq!(stage.calls(PATH, token).await.0, 200);
    }
    // A key's kind decides, whatever is said.
    let lie = ed.sign(&json!({"alg": "ES256", "kid": "ed"}), &claims);
    assert_eq!(stage.calls(PATH, &lie).await.0, 401);
    let caller = stage.caller(PATH, Era::Modern, None);
    let query = stage.caller(&format!("{PATH}?access_token={}", good[0]), Era::Modern, None);
    for (caller, wanted) in [(caller.with("X-API-Key", &good[0]), 401), (query, 401)] {
        assert_eq!(caller.call("5", "echo", json!({})).await.head.status, wanted);
    }
    assert!(!stage.gate.log().contains(&good[0][..60]), "no token is in the log");
    let secret = String::from_utf8_lossy(SECRET).into_owned();
    assert!(!stage.gate.log().contains(&secret));
}
