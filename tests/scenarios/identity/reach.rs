//! Where the gate connects to: not to where names lead that should not, and never where a server sends it on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::wait;

async fn call(gate: &Gate) -> Value {
    Caller::modern(gate, "/mcp/web").call("1", "echo", json!({})).await.answer().await
}

#[tokio::test]
async fn a_name_that_leads_to_a_clouds_credentials_is_not_connected_to() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("passed over: it takes root to change what names mean");
    }
    let web = Http::start(Speaks::Both).await;
    let folder = tempfile::tempdir().expect("a folder");
    let hosts = folder.path().join("hosts");
    let lead = |address: &str| {
        std::fs::write(&hosts, format!("127.0.0.1 localhost\n{address} rebound.toolgate.test\n")).expect("hosts");
    };
    lead("169.254.169.254");
    let url = web.url.replace("127.0.0.1", "rebound.toolgate.test");
    let lines = format!("endpoints = [{url:?}]\nallow_link_local = true\npool = {{ max_age = \"1ms\" }}");
    let gate = Setup::default().server("web", &lines).hosts(&hosts).start().await;
    for address in ["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254", "0.0.0.0", "224.0.0.1"] {
        lead(address);
        let answer = call(&gate).await;
        assert_eq!(answer["error"]["data"]["reason"], "server-unavailable", "{address}: {answer}");
        assert!(!answer.to_string().contains("169.254"), "no address is for clients: {answer}");
    }
    assert!(gate.log().contains("is where a cloud keeps a machine's credentials"), "{}", gate.log());
    // What a name led to is known for a moment; then connections go where it leads by then.
    lead("127.0.0.1");
    wait::until("an answer", async || call(&gate).await.get("result").map(drop)).await;
    lead("169.254.169.254");
    wait::until("a new connection", async || call(&gate).await.get("error").map(drop)).await;
}

/// A server that sends everybody on to another place.
async fn redirects(to: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (address, asked) = (listener.local_addr().expect("its address"), Arc::<AtomicUsize>::default());
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let mut read = [0; 4096];
                // One read is one request: all of them are short.
                while matches!(stream.read(&mut read).await, Ok(1..)) {
                    count.fetch_add(1, Ordering::Relaxed);
                    let answer = format!(
                        "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://{to}/\r\nContent-Length: 0\r\n\r\n"
                    );
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, asked)
}

#[tokio::test]
async fn nobody_sends_the_gate_on() {
    let target = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (server, by_server) = redirects(target.local_addr().expect("its address")).await;
    let (check, by_check) = redirects(target.local_addr().expect("its address")).await;
    let (hook, by_hook) = redirects(target.local_addr().expect("its address")).await;
    let (stream, by_stream) = redirects(target.local_addr().expect("its address")).await;
    let (issuer, by_issuer) = redirects(target.local_addr().expect("its address")).await;
    let (tokens, by_tokens) = redirects(target.local_addr().expect("its address")).await;
    let granted = |from: &str| {
        format!(
            "endpoints = [\"http://{server}/mcp\"]\n\
             oauth = {{ {from}, client_id = \"gate\", client_secret = \"own\" }}"
        )
    };
    let tables = format!(
        "[check.one]\nurl = \"http://{check}/\"\ninterval = \"100ms\"\n[check.two]\ntcp = \"127.0.0.1:1\"\n\
         interval = \"100ms\"\n[alerts]\nwebhook = \"http://{hook}/\"\n"
    );
    let gate = Setup::default()
        .http("web", &format!("http://{server}/mcp"))
        .server("old", &format!("endpoints = [\"http://{stream}/sse\"]\ntransport = \"sse\""))
        .server("named", &granted(&format!("issuer = \"http://{issuer}\"")))
        .server("granted", &granted(&format!("token_endpoint = \"http://{tokens}/token\"")))
        .table(&tables)
        .start()
        .await;
    for path in ["/mcp/named", "/mcp/granted"] {
        let refused = Caller::modern(&gate, path).call("1", "echo", json!({})).await.answer().await;
        assert!(refused.get("error").is_some(), "{path}: {refused}");
    }
    assert!(call(&gate).await.get("error").is_some());
    let over_sse = Caller::modern(&gate, "/mcp/old").call("1", "echo", json!({})).await.answer().await;
    assert!(over_sse.get("error").is_some(), "{over_sse}");
    for (who, asked) in [
        ("server", by_server),
        ("check", by_check),
        ("webhook", by_hook),
        ("stream", by_stream),
        ("issuer", by_issuer),
        ("tokens", by_tokens),
    ] {
        wait::until(who, async || (asked.load(Ordering::Relaxed) > 0).then_some(())).await;
    }
    // Whoever was sent on would have connected by now, and would wait in the backlog.
    let nobody = tokio::time::timeout(std::time::Duration::from_millis(50), target.accept()).await;
    assert!(nobody.is_err(), "{nobody:?}");
}
