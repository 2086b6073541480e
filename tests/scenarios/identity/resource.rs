//! The gate as an OAuth resource: what it says of itself, what it passes on, and a token's renewal.

use serde_json::{Value, json};
use toolgate_tests::http::{Head, request};
use toolgate_tests::mcp::Era;

use crate::stage::{ISSUERS, PATH, Stage};

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

async fn get(stage: &Stage, method: &str, path: &str, headers: &[(&str, &str)]) -> (Head, Value) {
    let mut connection = stage.gate.target().connect().await.expect("a connection");
    let raw = request(method, path, &stage.gate.target().host, headers, b"");
    let (head, body) = connection.exchange(&raw).await.expect("an answer");
    (head, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn each_path_is_described_without_a_credential_and_for_pages_of_browsers() {
    let stage = Stage::start().await;
    let servers: Vec<_> = ["file", "shared", "site"].map(|name| format!("https://{name}.example")).into();
    for (path, resource) in [("", ""), ("/mcp", "/mcp"), (PATH, PATH), ("/mcp/more/", "/mcp/more")] {
        let origin = [("Origin", "https://evil.example")];
        let (head, description) = get(&stage, "GET", &format!("{WELL_KNOWN}{path}"), &origin).await;
        assert_eq!(head.status, 200, "{path}: {description}");
        let wanted = json!({
            "resource": format!("{}{resource}", stage.url()),
            "authorization_servers": servers,
            "scopes_supported": ["mcp"],
            "bearer_methods_supported": ["header"],
        });
        assert_eq!(description, wanted, "{path}");
        assert_eq!(head.header("access-control-allow-origin"), Some("*"), "{path}");
        assert_eq!(head.header("content-type"), Some("application/json"), "{path}");
    }
    for path in ["/mcp/nobody", "/other", "x", "/mcpx"] {
        assert_eq!(get(&stage, "GET", &format!("{WELL_KNOWN}{path}"), &[]).await.0.status, 404, "{path}");
    }
    let asks = [("Origin", "https://evil.example"), ("Access-Control-Request-Headers", "mcp-protocol-version")];
    let (head, _) = get(&stage, "OPTIONS", &format!("{WELL_KNOWN}{PATH}"), &asks).await;
    assert_eq!((head.status, head.header("access-control-allow-methods")), (204, Some("GET")));
    assert!(head.header("access-control-allow-headers").is_some_and(|names| names.contains("mcp-protocol-version")));
    assert_eq!(get(&stage, "POST", &format!("{WELL_KNOWN}{PATH}"), &[]).await.0.status, 405);
    // Nothing of it at MCP's own paths.
    let (head, _) = get(&stage, "GET", PATH, &[("Origin", "https://evil.example")]).await;
    assert_eq!(head.status, 403);
}

#[tokio::test]
async fn a_written_resource_is_what_tokens_are_for() {
    let stage = Stage::with(|setup| setup.listener("resource = \"https://mcp.example.org\""), "").await;
    let (_, description) = get(&stage, "GET", &format!("{WELL_KNOWN}{PATH}"), &[]).await;
    assert_eq!(description["resource"], format!("https://mcp.example.org{PATH}"));
    assert_eq!(stage.calls(PATH, &stage.good("file", "ann")).await.0, 401, "it is for the name in Host");
    let mut claims = stage.claims("file", "ann");
    for (audience, wanted) in [
        (json!("https://mcp.example.org/mcp/web"), 200),
        (json!("https://mcp.example.org/mcp"), 200),
        (json!(["other", "https://mcp.example.org/"]), 200),
        (json!("https://mcp.example.org/mcp/more"), 401),
        (json!([]), 401),
        (Value::Null, 401),
    ] {
        claims["aud"] = audience.clone();
        assert_eq!(stage.calls(PATH, &stage.token("file", &claims)).await.0, wanted, "{audience}");
    }
}

#[tokio::test]
async fn one_path_says_nothing_of_another() {
    let stage = Stage::start().await;
    let token = stage.good("file", "ann");
    // Remembered from the first path on, and judged at each.
    for (path, wanted) in [(PATH, 200), ("/mcp/more", 401), ("/mcp", 401), (PATH, 200)] {
        assert_eq!(stage.calls(path, &token).await.0, wanted, "{path}");
    }
}

#[tokio::test]
async fn a_renewed_token_keeps_the_session_and_none_goes_upstream() {
    let stage = Stage::start().await;
    for issuer in ISSUERS {
        let (first, mut claims) = (stage.good(issuer, "ann"), stage.claims(issuer, "ann"));
        claims["jti"] = json!("second");
        let second = stage.token(issuer, &claims);
        assert_ne!(first, second);
        let session = stage.caller(PATH, Era::Legacy, Some(&first)).opened().await;
        let renewed = session.with("Authorization", &format!("Bearer {second}"));
        let answer = renewed.call("5", "echo", json!({})).await.answer().await;
        assert!(answer.get("result").is_some(), "{issuer}: {answer}");
        for received in stage.server.record.all() {
            let headers = received.headers.to_string();
            for token in [&first, &second] {
                assert!(!headers.contains(token.as_str()), "{issuer}: {headers}");
            }
            assert!(received.headers.get("authorization").is_none(), "{headers}");
        }
    }
    assert!(!stage.server.record.of("tools/call").is_empty());
}

#[tokio::test]
async fn limits_count_a_tokens_subject() {
    let lines = "claims.tier = \"plan\"\nclaims.organisation = \"org\"\ntier = \"basic\"";
    let stage = Stage::with(
        |setup| {
            setup
                .table("[tier.basic]\nlimits = [{ per = \"client\", rate = \"1/hour\", burst = 1 }]\n")
                .table("[tier.gold]\nlimits = [{ per = \"client\", rate = \"1000/min\", burst = 100 }]\n")
                .table("[organisation.acme]\nlimits = [{ per = \"organisation\", rate = \"2/hour\", burst = 2 }]\n")
        },
        lines,
    )
    .await;
    let token = |subject: &str, more: Value| {
        let mut claims = stage.claims("site", subject);
        for (name, value) in more.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        stage.token("site", &claims)
    };
    let limited = (503, Some("limited".to_owned()));
    // A second token of the same subject is the same client.
    assert_eq!(stage.calls(PATH, &token("ann", json!({"jti": "1"}))).await.0, 200);
    assert_eq!(stage.calls(PATH, &token("ann", json!({"jti": "2"}))).await, limited);
    assert_eq!(stage.calls(PATH, &token("bob", json!({"plan": "nobody-knows"}))).await.0, 200);
    assert_eq!(stage.calls(PATH, &token("bob", json!({"plan": "nobody-knows"}))).await, limited);
    for _ in 0..3 {
        assert_eq!(stage.calls(PATH, &token("eve", json!({"plan": "gold"}))).await.0, 200);
    }
    let of_acme = |subject: &str| token(subject, json!({"plan": "gold", "org": "acme"}));
    for (subject, wanted) in [("kim", 200), ("lee", 200), ("kim", 503), ("lee", 503)] {
        assert_eq!(stage.calls(PATH, &of_acme(subject)).await.0, wanted, "{subject}");
    }
}
