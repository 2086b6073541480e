//! Keys of issuers: fetched anew when they change, used on while they cannot be had, and taken back with what they signed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use toolgate_tests::issuer::{Signer, Site, key_set};
use toolgate_tests::wait;

use crate::stage::{KEYS, PATH, Stage};

/// What health says of an issuer.
async fn health(stage: &Stage, issuer: &str) -> Value {
    let (_, health) = stage.gate.control("GET", "/v1/health").await;
    let name = format!("issuer:{issuer}");
    let all = health["checks"].as_array().cloned().unwrap_or_default();
    all.into_iter().find(|check| check["name"] == *name).unwrap_or_default()
}

async fn until_status(stage: &Stage, issuer: &str, status: &str) -> Value {
    wait::until(&format!("{issuer} to be {status}"), async || {
        Some(health(stage, issuer).await).filter(|check| check["status"] == status)
    })
    .await
}

#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_names_it_and_not_for_every_stranger() {
    let stage = Stage::start().await;
    assert_eq!(stage.calls(PATH, &stage.good("site", "ann")).await.0, 200);
    let asked = stage.site.asked(KEYS);
    let new = Signer::es256("site-2");
    stage.site.publish(KEYS, &key_set(&[&stage.of_site, &new]));
    let token = new.token(&stage.claims("site", "ann"));
    assert_eq!(stage.calls(PATH, &token).await.0, 200, "the call itself waits for the new key");
    assert_eq!(stage.site.asked(KEYS), asked + 1);
    // Strangers are told at once, and cause no further fetch.
    let began = Instant::now();
    for number in 0..20 {
        let stranger = Signer::es256(&format!("nobody-{number}")).token(&stage.claims("site", "ann"));
        assert_eq!(stage.calls(PATH, &stranger).await, (401, Some("credential-refused".to_owned())));
    }
    assert_eq!(stage.site.asked(KEYS), asked + 1, "{:?}", began.elapsed());
    assert_eq!(stage.calls(PATH, &stage.good("site", "ann")).await.0, 200);
}

#[tokio::test]
async fn many_calls_with_a_new_key_wait_for_one_fetch() {
    let stage = Stage::start().await;
    assert_eq!(stage.calls(PATH, &stage.good("site", "ann")).await.0, 200);
    let asked = stage.site.asked(KEYS);
    let new = Signer::es256("site-2");
    stage.site.publish(KEYS, &key_set(&[&new]));
    let tokens = ["a", "b", "c", "d"].map(|subject| new.token(&stage.claims("site", subject)));
    let call = |at: usize| stage.calls(PATH, &tokens[at]);
    let answers: [_; 4] = tokio::join!(call(0), call(1), call(2), call(3)).into();
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    assert_eq!(stage.site.asked(KEYS), asked + 1);
}

#[tokio::test]
async fn keys_that_cannot_be_had_again_are_used_on_with_a_warning() {
    let stage = Stage::with(|setup| setup, "refresh = \"1s\"\nstale = \"4s\"").await;
    let token = stage.good("site", "ann");
    assert_eq!(stage.calls(PATH, &token).await.0, 200);
    until_status(&stage, "site", "healthy").await;
    stage.site.answer(503);
    let check = until_status(&stage, "site", "warning").await;
    assert!(check["message"].as_str().unwrap_or_default().contains("answers with status 503"), "{check}");
    // Stale: what was verified and what was not yet are both served.
    assert_eq!(stage.calls(PATH, &token).await.0, 200);
    assert_eq!(stage.calls(PATH, &stage.good("site", "bob")).await.0, 200);
    wait::until("the alert", async || {
        let (_, health) = stage.gate.control("GET", "/v1/health").await;
        let alerts = health["alerts"].as_array().cloned().unwrap_or_default();
        alerts.iter().any(|alert| alert["id"] == "issuer_keys:site").then_some(())
    })
    .await;
    // Gone: nobody can tell any more, and that is the gate's trouble, not the token's.
    wait::until("the keys to be forgotten", async || (stage.calls(PATH, &token).await.0 == 503).then_some(())).await;
    assert_eq!(stage.calls(PATH, &token).await, (503, Some("identity-unavailable".to_owned())));
    let reply = stage.caller(PATH, toolgate_tests::mcp::Era::Modern, Some(&token)).call("5", "echo", json!({})).await;
    assert_eq!((reply.head.header("retry-after"), reply.head.header("www-authenticate")), (Some("5"), None));
    assert_eq!(stage.calls(PATH, &stage.good("file", "ann")).await.0, 200, "other issuers go on");
    stage.site.answer(200);
    until_status(&stage, "site", "healthy").await;
    assert_eq!(stage.calls(PATH, &token).await.0, 200);
}

#[tokio::test]
async fn a_key_that_is_taken_back_takes_along_what_it_signed() {
    let stage = Stage::with(|setup| setup, "refresh = \"1s\"").await;
    let tokens = [stage.good("site", "ann"), stage.good("file", "ann")];
    for token in &tokens {
        assert_eq!(stage.calls(PATH, token).await.0, 200);
    }
    let (site, file) = (Signer::es256("site-2"), Signer::es256("file-2"));
    stage.site.publish(KEYS, &key_set(&[&site]));
    std::fs::write(&stage.file, key_set(&[&file])).expect("the keys");
    for token in &tokens {
        wait::until("the token to be refused", async || (stage.calls(PATH, token).await.0 == 401).then_some(())).await;
    }
    assert_eq!(stage.calls(PATH, &site.token(&stage.claims("site", "ann"))).await.0, 200);
    assert_eq!(stage.calls(PATH, &file.token(&stage.claims("file", "ann"))).await.0, 200);
    // A file that is broken, or gone, takes no key away.
    std::fs::write(&stage.file, "{").expect("the keys");
    until_status(&stage, "file", "warning").await;
    std::fs::remove_file(&stage.file).expect("a file");
    wait::until("the file to be missed", async || {
        health(&stage, "file").await["message"].as_str()?.contains("cannot be read").then_some(())
    })
    .await;
    assert_eq!(stage.calls(PATH, &file.token(&stage.claims("file", "bob"))).await.0, 200);
}

#[tokio::test]
async fn no_answer_at_the_start_is_no_verdict() {
    let site = Site::start().await;
    site.answer(500);
    let table = format!("[issuer.late]\nissuer = \"https://late.example\"\njwks = \"{}\"\n", site.url(KEYS));
    let stage = Stage::with(|setup| setup.table(&table), "").await;
    let signer = Signer::ed25519("late-1");
    let token = signer.token(&stage.claims("late", "ann"));
    assert_eq!(stage.calls(PATH, &token).await, (503, Some("identity-unavailable".to_owned())));
    site.publish(KEYS, &key_set(&[&signer]));
    site.answer(200);
    wait::until("the keys", async || (stage.calls(PATH, &token).await.0 == 200).then_some(())).await;
}

#[tokio::test]
async fn keys_are_found_by_the_issuers_metadata_and_no_redirect_is_followed() {
    let site = Site::start().await;
    let issuer = site.url("/tenant");
    let keys = site.url("/tenant/keys");
    let metadata = json!({"issuer": issuer, "jwks_uri": keys, "response_types_supported": ["code"]}).to_string();
    site.publish("/tenant/.well-known/openid-configuration", &metadata);
    let signer = Signer::ed25519("t-1");
    site.publish("/tenant/keys", &key_set(&[&signer]));
    let table = format!("[issuer.tenant]\nissuer = \"{issuer}\"\nrefresh = \"1s\"\n");
    let stage = Stage::with(|setup| setup.table(&table), "").await;
    let claims = |subject: &str| {
        let mut claims = stage.claims("tenant", subject);
        claims["iss"] = json!(issuer);
        claims
    };
    wait::until("the keys", async || (stage.calls(PATH, &signer.token(&claims("ann"))).await.0 == 200).then_some(()))
        .await;
    assert!(site.asked("/.well-known/oauth-authorization-server/tenant") >= 1);
    site.say("Location: /elsewhere\r\n");
    site.answer(302);
    let check = until_status(&stage, "tenant", "warning").await;
    assert!(check["message"].as_str().unwrap_or_default().contains("status 302"), "{check}");
    assert_eq!(site.asked("/elsewhere"), 0);
}

#[tokio::test]
async fn a_reload_keeps_keys_and_tokens_of_issuers_that_stay() {
    let mut stage = Stage::start().await;
    let token = stage.good("site", "ann");
    assert_eq!(stage.calls(PATH, &token).await.0, 200);
    let asked = stage.site.asked(KEYS);
    stage.site.answer(500);
    stage.gate.change(|setup| setup.daemon("drain_timeout = \"5s\""));
    stage.gate.reload().await;
    assert_eq!(stage.calls(PATH, &token).await.0, 200);
    assert_eq!(stage.calls(PATH, &stage.good("site", "bob")).await.0, 200);
    assert_eq!(stage.site.asked(KEYS), asked);
    let session = stage.caller(PATH, toolgate_tests::mcp::Era::Legacy, Some(&token)).opened().await;
    let mut stream = session.stream().await;
    stage.gate.change(|setup| setup.without_table("[issuer.site]"));
    stage.gate.reload().await;
    while stream.next().await.is_some() {}
    assert_eq!(
        stage.gate.control("GET", "/v1/status").await.1["sessions"],
        0,
        "nobody is left whom nobody vouches for"
    );
    assert_eq!(stage.calls(PATH, &token).await, (401, Some("credential-refused".to_owned())));
    assert!(stage.calls(PATH, &stage.good("file", "ann")).await.0 == 200);
}

#[tokio::test]
async fn a_gate_that_starts_while_an_issuer_is_away_uses_the_keys_that_the_last_one_had() {
    let mut stage = Stage::start().await;
    let token = stage.good("site", "ann");
    assert_eq!(stage.calls(PATH, &token).await.0, 200);
    let saved = stage.gate.folder().join("state/issuers/site.json");
    wait::until("the keys to be written", async || saved.exists().then_some(())).await;
    stage.site.answer(503);
    stage.gate.restart(rustix::process::Signal::TERM).await;
    wait::until("the keys to be used on", async || {
        health(&stage, "site").await["message"].as_str()?.contains("are used on").then_some(())
    })
    .await;
    assert_eq!(stage.calls(PATH, &token).await.0, 200);
    // Of another configuration they are nobody's.
    let mut document: Value = serde_json::from_slice(&std::fs::read(&saved).expect("the keys")).expect("JSON");
    document["whose"] = json!("another's");
    std::fs::write(&saved, document.to_string()).expect("the keys");
    stage.gate.restart(rustix::process::Signal::TERM).await;
    assert_eq!(stage.calls(PATH, &token).await, (503, Some("identity-unavailable".to_owned())));
}

/// How long a call may be held up by an issuer that does not answer.
const HELD: Duration = Duration::from_secs(6);

#[tokio::test]
async fn an_issuer_that_hangs_holds_up_nobody_for_long() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let table = format!("[issuer.hung]\nissuer = \"https://hung.example\"\njwks = \"http://{address}/keys\"\n");
    let stage = Stage::with(|setup| setup.table(&table), "").await;
    let token = Signer::ed25519("h").token(&stage.claims("hung", "ann"));
    let began = Instant::now();
    assert_eq!(stage.calls(PATH, &token).await, (503, Some("identity-unavailable".to_owned())));
    assert!(began.elapsed() < HELD, "{:?}", began.elapsed());
    assert_eq!(stage.calls(PATH, &stage.good("site", "ann")).await.0, 200);
}
