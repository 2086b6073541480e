//! A server that speaks HTTP/2: calls share connections, streams and cancellations pass, and what fails is told.

use serde_json::{Value, json};
use tokio::task::JoinSet;
use toolgate_tests::caller::Caller;
use toolgate_tests::certificates::Certificates;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::multiplexing::Multiplexing;
use toolgate_tests::wait::until;

fn port(server: &Http) -> u16 {
    let (_, rest) = server.url.rsplit_once(':').expect("a port");
    rest.trim_end_matches("/mcp").parse().expect("a number")
}

fn lines(way: &Multiplexing, scheme: &str, more: &str) -> String {
    format!("endpoints = [\"{scheme}://localhost:{}/mcp\"]\nhttp2 = true\n{more}", way.address.port())
}

async fn gate(way: &Multiplexing, more: &str) -> Gate {
    Setup::default().server("shared", &lines(way, "http", more)).start().await
}

async fn echo(caller: &Caller) -> Value {
    caller.call("1", "echo", json!({"text": "x"})).await.answer().await
}

#[tokio::test]
async fn calls_at_once_share_a_connection_in_both_eras() {
    let server = Http::start(Speaks::Both).await;
    let way = Multiplexing::before(port(&server), 100, None).await;
    let gate = gate(&way, "pool = { max_connections = 1 }\nmax_calls = 50\n").await;
    let folder = tempfile::tempdir().expect("a folder");
    let go = folder.path().join("go");
    let (legacy, modern) = (Caller::legacy(&gate, "/mcp/shared").await, Caller::modern(&gate, "/mcp/shared"));
    let mut calls = JoinSet::new();
    for number in 0..40 {
        let (caller, go) = (if number % 2 == 0 { &legacy } else { &modern }.clone(), go.clone());
        calls.spawn(async move {
            let id = number.to_string();
            caller.call_with_progress(&id, &id, "hold", json!({ "until": go })).await.answer().await
        });
    }
    let in_flight = || async {
        let queue = gate.control("GET", "/v1/servers/shared").await.1;
        (queue["connections"]["open"] == 1 && way.streams() >= 40).then_some(())
    };
    until("forty calls on one connection", in_flight).await;
    std::fs::write(&go, "").expect("a file");
    while let Some(answer) = calls.join_next().await {
        assert!(answer.expect("an answer").get("result").is_some());
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_stream_and_not_the_connection() {
    let server = Http::start(Speaks::Both).await;
    let way = Multiplexing::before(port(&server), 100, None).await;
    let gate = gate(&way, "").await;
    let caller = Caller::modern(&gate, "/mcp/shared");
    assert!(echo(&caller).await.get("result").is_some());
    let (connections, folder) = (way.connections(), tempfile::tempdir().expect("a folder"));
    let mut held = caller.call_with_progress("2", "2", "hold", json!({ "until": folder.path().join("never") })).await;
    held.message().await;
    drop(held);
    until("the stream is reset", || async { (way.resets() > 0).then_some(()) }).await;
    assert!(echo(&caller).await.get("result").is_some());
    assert!(way.connections() <= connections + 1, "another core may have opened one of its own");
}

#[tokio::test]
async fn streams_of_a_session_pass_and_a_server_that_is_built_anew_has_connections_of_its_own() {
    let server = Http::start(Speaks::Legacy).await;
    let way = Multiplexing::before(port(&server), 100, None).await;
    let mut gate = gate(&way, "").await;
    let legacy = Caller::legacy(&gate, "/mcp/shared").await;
    let stream = legacy.stream().await;
    assert_eq!(stream.head.status, 200);
    let long = "y".repeat(3 << 20);
    let answer = legacy.call("3", "echo", json!({ "text": long })).await.answer().await;
    assert!(answer.to_string().contains(&long), "three megabytes there and back");
    let before = way.connections();
    gate.change(|setup| setup.server("shared", &lines(&way, "http", "timeout.connect = \"3s\"\n")));
    gate.reload().await;
    assert!(echo(&Caller::legacy(&gate, "/mcp/shared").await).await.get("result").is_some());
    assert!(way.connections() > before);
}

#[tokio::test]
async fn over_tls_it_is_agreed_upon() {
    let server = Http::start(Speaks::Both).await;
    let folder = tempfile::tempdir().expect("a folder");
    let certificates = Certificates::write(folder.path());
    let way = Multiplexing::before(port(&server), 4, Some(&certificates)).await;
    let tls = format!("tls = {{ ca = \"file:{}\" }}\n", certificates.ca.display());
    let gate = Setup::default().server("shared", &lines(&way, "https", &tls)).start().await;
    for _ in 0..20 {
        assert!(echo(&Caller::modern(&gate, "/mcp/shared")).await.get("result").is_some());
    }
    assert!(way.streams() >= 20);
}

#[tokio::test]
async fn a_server_that_is_gone_opens_the_breaker_and_is_used_again_when_it_is_back() {
    let server = Http::start(Speaks::Both).await;
    let way = Multiplexing::before(port(&server), 100, None).await;
    let address = way.address;
    let gate = gate(&way, "breaker = { failures = 3, open_for = \"1s\" }\n").await;
    let caller = Caller::modern(&gate, "/mcp/shared");
    assert!(echo(&caller).await.get("result").is_some());
    drop(way);
    let refused = || async {
        let answer = echo(&caller).await;
        (answer["error"]["data"]["reason"] == "breaker-open").then_some(())
    };
    until("the breaker opens", refused).await;
    let back = Multiplexing::at(address, port(&server), 100, None).await;
    until("calls get through", || async { echo(&caller).await.get("result").map(drop) }).await;
    assert!(back.streams() > 0);
}

#[tokio::test]
async fn a_server_of_http1_is_told_apart_with_the_remedy() {
    let server = Http::start(Speaks::Both).await;
    let lines = format!("{}http2 = true\n", server.endpoints());
    let gate = Setup::default().server("plain", &lines).start().await;
    let answer = echo(&Caller::modern(&gate, "/mcp/plain")).await;
    assert!(answer.get("error").is_some(), "{answer}");
    let told = || async { gate.log().contains("take `http2` out").then_some(()) };
    until("the log says what to do", told).await;
}
