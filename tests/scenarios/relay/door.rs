//! What nobody gets past: keys, names, origins, sizes.

use serde_json::json;
use toolgate_tests::caller::Caller;
use toolgate_tests::gate::Setup;
use toolgate_tests::mcp::Era;

use crate::stage::{Stage, stage};

#[tokio::test]
async fn without_a_good_key_there_is_a_401_that_says_how() {
    let stage = stage().await;
    let (key, client) = (stage.gate.key(), Caller::new(&stage.gate, "/mcp/web", Era::Legacy));
    let wrong = key.replace(&key[key.len() - 4..], "XXXX");
    for authorization in
        ["", &format!("Bearer {wrong}"), &format!("Basic {key}"), "Bearer tg_nobody_c2VjcmV0", "Bearer"]
    {
        let reply = client.clone().with("Authorization", authorization).initialize().await;
        assert_eq!(reply.head.status, 401, "{authorization}");
        assert!(reply.head.header("www-authenticate").expect("a challenge").starts_with("Bearer"), "{authorization}");
    }
    let as_header = client.clone().without("Authorization").with("X-API-Key", &key);
    assert_eq!(as_header.initialize().await.head.status, 200);
    assert!(stage.web.record.of("initialize").iter().all(|received| !received.headers.to_string().contains(&key)));
}

#[tokio::test]
async fn a_key_in_the_path_opens_only_where_the_listener_allows_it() {
    let closed = stage().await;
    let path = format!("/mcp/{}", closed.gate.key());
    let client = Caller::new(&closed.gate, &path, Era::Legacy).without("Authorization");
    assert!([401, 404].contains(&client.initialize().await.head.status));
    let open = Stage::with(|setup| setup.listener("key_in_path = true"), "").await;
    let client = Caller::new(&open.gate, &path, Era::Legacy).without("Authorization").opened().await;
    assert_eq!(client.request("1", "ping", json!({})).await.head.status, 200);
    assert!(!open.gate.log().contains(&open.gate.key()), "the key is in the log");
}

#[tokio::test]
async fn foreign_hosts_and_origins_are_refused() {
    let stage = Stage::with(
        |setup: Setup| {
            setup.listener("hosts = [\"localhost\", \"mcp.example.org\"]\norigins = [\"https://app.example.org\"]")
        },
        "",
    )
    .await;
    let client = Caller::new(&stage.gate, "/mcp/web", Era::Legacy);
    for (host, status) in
        [("mcp.example.org", 200), ("mcp.example.org:443", 200), ("evil.example.org", 421), ("127.0.0.1", 421)]
    {
        assert_eq!(client.clone().with("Host", host).initialize().await.head.status, status, "{host}");
    }
    for (origin, status) in [
        ("https://app.example.org", 200),
        ("https://mcp.example.org", 200),
        ("https://evil.example.org", 403),
        ("null", 403),
    ] {
        assert_eq!(client.clone().with("Origin", origin).initialize().await.head.status, status, "{origin}");
    }
}

#[tokio::test]
async fn bodies_and_media_types_are_bounded() {
    let stage = Stage::with(|setup| setup.listener("bounds = { body_bytes = 2000 }"), "").await;
    let client = stage.modern("/mcp/web");
    let big = client.call("1", "echo", json!({"text": "x".repeat(3000)})).await;
    assert_eq!(big.head.status, 413);
    assert_eq!(client.call("1", "echo", json!({"text": "x".repeat(1000)})).await.head.status, 200);
    assert_eq!(client.clone().with("Content-Type", "text/plain").call("1", "echo", json!({})).await.head.status, 415);
    assert_eq!(client.clone().with("Accept", "text/html").call("1", "echo", json!({})).await.head.status, 406);
    let broken = client.post(r#"{"jsonrpc":"2.0","id":77,"method":"tools/call","params":{"name":"#).await;
    assert_eq!(broken.head.status, 400);
    assert_eq!(broken.answer().await["error"]["code"], -32700);
}

#[tokio::test]
async fn unknown_paths_are_not_found() {
    let stage = stage().await;
    for path in ["/mcp/nobody", "/", "/mcpx", "/mcp/web/deeper"] {
        assert_eq!(Caller::new(&stage.gate, path, Era::Legacy).initialize().await.head.status, 404, "{path}");
    }
}
