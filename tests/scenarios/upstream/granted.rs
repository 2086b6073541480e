//! Tokens of the gate's own, by client credentials: asked for once, renewed in time, never shown to anybody else.

use serde_json::json;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::mcp::Era;
use toolgate_tests::provider::Provider;
use toolgate_tests::wait;

use crate::stage::{ERAS, client, echo, health, shown};

async fn stage(provider: &Provider, lines: &str) -> (Gate, Http) {
    let web = Http::start(Speaks::Both).await;
    web.demand(&provider.living);
    let oauth = format!(
        "oauth = {{ issuer = {:?}, client_id = \"the gate\", client_secret = \"s3c:ret\", scopes = [\"a\", \"b\"], {lines} }}\n",
        provider.issuer()
    );
    let gate = Setup::default().server("web", &(web.endpoints() + &oauth)).start().await;
    (gate, web)
}

#[tokio::test]
async fn one_token_is_asked_for_and_shown_by_all_calls() {
    let provider = Provider::start().await;
    let (gate, web) = stage(&provider, "").await;
    for era in ERAS {
        let one = client(&gate, "/mcp/web", era, "test").await;
        let (first, second) = tokio::join!(echo(&one, "echo"), echo(&one, "echo"));
        assert!(first["result"].is_object() && second["result"].is_object(), "{first} {second}");
    }
    let asked = provider.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    let resource = web.url.as_str();
    // base64 of `the%20gate:s3c%3Aret`
    assert_eq!(
        asked[0],
        json!({"grant_type": "client_credentials", "scope": "a b", "resource": resource, "authorization": "Basic dGhlJTIwZ2F0ZTpzM2MlM0FyZXQ="})
    );
    assert!(shown(&web, "tools/call", "authorization").iter().all(|shown| shown == "Bearer access-1"));
    assert!(!gate.log().contains("access-1") && !gate.log().contains("s3c"), "a token or a secret is in the log");
}

#[tokio::test]
async fn the_secret_may_stand_in_the_form() {
    let provider = Provider::start().await;
    let (gate, _web) = stage(&provider, "auth_method = \"client_secret_post\", resource = \"urn:x\"").await;
    assert!(echo(&client(&gate, "/mcp/web", Era::Modern, "test").await, "echo").await["result"].is_object());
    let asked = &provider.asked()[0];
    assert_eq!((&asked["client_id"], &asked["client_secret"]), (&json!("the gate"), &json!("s3c:ret")));
    assert_eq!((&asked["resource"], asked.get("authorization")), (&json!("urn:x"), None));
}

#[tokio::test]
async fn a_token_is_renewed_before_it_lapses_and_no_call_notices() {
    let provider = Provider::start().await;
    provider.lifetime(2);
    let (gate, web) = stage(&provider, "").await;
    let client = client(&gate, "/mcp/web", Era::Legacy, "test").await;
    wait::until("the third token", async || {
        assert!(echo(&client, "echo").await["result"].is_object());
        (provider.asked().len() >= 3).then_some(())
    })
    .await;
    assert!(web.record.all().iter().all(|received| received.message["refused"].is_null()), "none was shown too late");
}

#[tokio::test]
async fn metadata_send_the_gate_nowhere_that_their_issuer_is_not() {
    let root = rustix::process::geteuid().is_root();
    let folder = tempfile::tempdir().expect("a folder");
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 localhost\n169.254.7.7 rebound.toolgate.test\n").expect("hosts");
    for (at, why) in [
        ("http://169.254.169.254/token", "where a cloud keeps a machine's credentials"),
        ("http://169.254.7.7/token", "a link-local address"),
        ("http://rebound.toolgate.test/token", "a link-local address"),
        ("http://10.1.2.3/token", "an address of a private network"),
    ] {
        // It takes root to change what names mean.
        if at.contains("rebound") && !root {
            continue;
        }
        let (provider, web) = (Provider::start().await, Http::start(Speaks::Both).await);
        provider.sends_to(Some(at));
        let oauth =
            format!("oauth = {{ issuer = {:?}, client_id = \"gate\", client_secret = \"own\" }}\n", provider.issuer());
        let setup = Setup::default().server("web", &(web.endpoints() + &oauth));
        let gate = if root { setup.hosts(&hosts) } else { setup }.start().await;
        let answer = echo(&client(&gate, "/mcp/web", Era::Modern, "test").await, "echo").await;
        assert_eq!(answer["error"]["data"]["reason"], "server-unavailable", "{at}: {answer}");
        let told = health(&gate, "web").await.to_string();
        assert!(told.contains(why), "{at}: {told}");
        assert!(!answer.to_string().contains("169.254"), "no address is for clients: {answer}");
        assert_eq!(provider.asked().len(), 0, "{at}");
    }
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_and_the_call_repeated() {
    let provider = Provider::start().await;
    let (gate, web) = stage(&provider, "").await;
    let client = client(&gate, "/mcp/web", Era::Modern, "test").await;
    assert!(echo(&client, "echo").await["result"].is_object());
    // A server that refuses a token which was only just given is not believed to mean the token.
    provider.forget_access();
    let refused = echo(&client, "echo").await;
    assert_eq!(refused["error"]["data"]["reason"], "server-unavailable", "{refused}");
    assert_eq!(provider.asked().len(), 1);
    assert_eq!(health(&gate, "web").await["status"], "warning");
    // After a while it is.
    wait::until("a second token", async || {
        let answer = echo(&client, "echo").await;
        answer["result"].is_object().then_some(())
    })
    .await;
    assert_eq!(provider.asked().len(), 2);
    let calls = shown(&web, "tools/call", "authorization");
    assert_eq!(calls.last().map(String::as_str), Some("Bearer access-2"), "{calls:?}");
    assert_eq!(health(&gate, "web").await["status"], "healthy");
}

#[tokio::test]
async fn while_nobody_grants_tokens_calls_are_told_and_health_says_why() {
    let mut provider = Provider::start().await;
    provider.leave();
    let (gate, web) = stage(&provider, "").await;
    let client = client(&gate, "/mcp/web", Era::Modern, "test").await;
    let refused = echo(&client, "echo").await;
    let error = &refused["error"];
    assert_eq!(error["data"]["reason"], "server-unavailable", "{refused}");
    assert!(error["message"].as_str().is_some_and(|text| text.contains("no token for it")), "{refused}");
    assert!(error["data"]["retryAfterMs"].as_u64().is_some_and(|wait| wait >= 1000), "{refused}");
    let told = health(&gate, "web").await;
    let message = told["message"].as_str().unwrap_or_default();
    assert!(told["status"] == "warning" && message.contains("no token is to be had"), "{told}");
    assert!(web.record.all().is_empty(), "the server was disturbed");
    provider.come_back();
    wait::until("tokens again", async || echo(&client, "echo").await["result"].is_object().then_some(())).await;
    wait::until("health to be well", async || (health(&gate, "web").await["status"] == "healthy").then_some(())).await;
}

#[tokio::test]
async fn what_is_refused_is_not_asked_for_with_every_call() {
    let provider = Provider::start().await;
    provider.says(Some((401, r#"{"error":"invalid_client","error_description":"who?"}"#)));
    let (gate, _web) = stage(&provider, "").await;
    let client = client(&gate, "/mcp/web", Era::Modern, "test").await;
    for _ in 0..20 {
        assert!(echo(&client, "echo").await["error"].is_object());
    }
    assert!(provider.asked().len() <= 3, "{} questions", provider.asked().len());
    let told = health(&gate, "web").await["message"].as_str().unwrap_or_default().to_owned();
    assert!(told.contains("invalid_client: who?"), "{told}");
}

#[tokio::test]
async fn an_authorization_server_that_calls_itself_otherwise_gets_no_secret() {
    let provider = Provider::start().await;
    provider.calls_itself("http://127.0.0.1:1");
    let (gate, _web) = stage(&provider, "").await;
    let client = client(&gate, "/mcp/web", Era::Modern, "test").await;
    assert!(echo(&client, "echo").await["error"].is_object());
    assert!(provider.asked().is_empty());
    let told = health(&gate, "web").await["message"].as_str().unwrap_or_default().to_owned();
    assert!(told.contains("calls itself http://127.0.0.1:1"), "{told}");
}
