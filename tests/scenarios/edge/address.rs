//! Whom a proxy speaks for, and that nobody else speaks for anybody.

use serde_json::json;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::mcp::Era;
use toolgate_tests::wait;

async fn gate(web: &Http, lines: &str) -> Gate {
    Setup::default().server("web", &web.endpoints()).listener(lines).start().await
}

#[tokio::test]
async fn a_trusted_proxy_speaks_for_its_clients() {
    let web = Http::start(Speaks::Both).await;
    let gate = gate(&web, "trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]").await;
    for client in [Caller::modern(&gate, "/mcp/web"), Caller::legacy(&gate, "/mcp/web").await] {
        web.record.clear();
        let client = client
            .with("X-Forwarded-For", "6.6.6.6, 203.0.113.9, 10.0.0.2")
            .with("X-Forwarded-Proto", "http")
            .with("X-Real-IP", "6.6.6.6")
            .with("Forwarded", "for=6.6.6.6");
        assert_eq!(client.call("1", "echo", json!({})).await.head.status, 200);
        let told = web.record.until_called("echo").await.headers;
        assert_eq!(told["x-real-ip"], "203.0.113.9");
        assert_eq!(told["x-forwarded-for"], "203.0.113.9, 10.0.0.2, 127.0.0.1");
        assert_eq!(told["x-forwarded-proto"], "http");
        assert_eq!(told["forwarded"], json!(null));
    }
    let line = wait::until("the line of the call", || async {
        gate.log().lines().find(|line| line.contains("203.0.113.9")).map(str::to_owned)
    });
    let line = line.await;
    assert!(line.contains(r#""address":"203.0.113.9""#) && line.contains(r#""via":"127.0.0.1""#), "{line}");
}

#[tokio::test]
async fn the_operator_says_which_header_the_proxies_write() {
    let web = Http::start(Speaks::Both).await;
    let lines = "trusted_proxies = \"127.0.0.1\"\naddress_header = \"forwarded\"";
    let gate = gate(&web, lines).await;
    let client = Caller::modern(&gate, "/mcp/web")
        .with("Forwarded", "for=6.6.6.6, for=\"[2001:db8::7]:4711\";proto=http")
        .with("X-Forwarded-For", "6.6.6.6");
    assert_eq!(client.call("1", "echo", json!({})).await.head.status, 200);
    let told = web.record.until_called("echo").await.headers;
    assert_eq!(told["x-forwarded-for"], "2001:db8::7, 127.0.0.1");
    assert_eq!(told["x-forwarded-proto"], "http");
}

#[tokio::test]
async fn anybody_else_speaks_for_himself() {
    let web = Http::start(Speaks::Both).await;
    let gate = gate(&web, "trusted_proxies = [\"10.0.0.0/8\"]").await;
    let client = Caller::modern(&gate, "/mcp/web").with("X-Forwarded-For", "6.6.6.6").with("X-Forwarded-Proto", "http");
    assert_eq!(client.call("1", "echo", json!({})).await.head.status, 200);
    let told = web.record.until_called("echo").await.headers;
    assert_eq!((&told["x-real-ip"], &told["x-forwarded-for"]), (&json!("127.0.0.1"), &json!("127.0.0.1")));
    assert_eq!(told["x-forwarded-proto"], "https");
}

#[tokio::test]
async fn limits_per_address_are_for_whom_the_proxy_speaks_for() {
    let web = Http::start(Speaks::Both).await;
    let lines = "trusted_proxies = \"127.0.0.1\"\nlimits = [{ per = \"address\", rate = \"1/h\", burst = 1 }]";
    let gate = gate(&web, lines).await;
    let from = |address: &str| Caller::modern(&gate, "/mcp/web").with("X-Forwarded-For", address);
    // What a client writes in front of what its proxy adds makes it nobody else.
    for (chain, status) in [
        ("203.0.113.1", 200),
        ("203.0.113.2", 200),
        ("203.0.113.1", 503),
        ("203.0.113.3, 203.0.113.1", 503),
        ("rubbish, 203.0.113.1:4711", 503),
        ("2001:db8::1", 200),
        ("2001:db8::2", 503),
        // Nobody can tell: the proxy itself.
        ("unknown", 200),
        ("_hidden", 503),
    ] {
        assert_eq!(from(chain).call("1", "echo", json!({})).await.head.status, status, "{chain}");
    }
}

#[tokio::test]
async fn the_allow_list_is_for_whom_the_proxy_speaks_for() {
    let web = Http::start(Speaks::Both).await;
    let lines = "trusted_proxies = \"127.0.0.1\"\nallow = [\"203.0.113.0/24\"]";
    let gate = gate(&web, lines).await;
    let from = |address: &str| Caller::new(&gate, "/mcp/web", Era::Legacy).with("X-Forwarded-For", address);
    assert_eq!(from("203.0.113.9").initialize().await.head.status, 200);
    for refused in ["198.51.100.1", "203.0.113.9, 198.51.100.1", "unknown", ""] {
        let reply = from(refused).initialize().await;
        assert_eq!(reply.head.status, 403, "{refused}");
        assert_eq!(reply.answer().await["error"]["data"]["reason"], "address-refused", "{refused}");
    }
}

#[tokio::test]
async fn what_cannot_be_told_is_on_no_list() {
    let web = Http::start(Speaks::Both).await;
    let lines = "trusted_proxies = \"127.0.0.1\"\nallow = [\"127.0.0.0/8\"]";
    let gate = gate(&web, lines).await;
    let client = Caller::new(&gate, "/mcp/web", Era::Legacy);
    assert_eq!(client.initialize().await.head.status, 200, "the proxy itself");
    assert_eq!(client.clone().with("X-Forwarded-For", "unknown").initialize().await.head.status, 403);
}
