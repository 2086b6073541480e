//! A panic ends what it was met in, and nothing else.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::listen::fixture::{Gate, answer, eventually, exchange, listener, settings};
use crate::observe::panics;

async fn ask(stream: &mut TcpStream, path: &str, rehearse: &str) -> Option<(u16, String)> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{rehearse}\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    answer(stream).await.ok().map(|(status, _, body)| (status, body))
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("connected")
}

#[tokio::test]
async fn a_call_that_panics_is_answered_and_its_connection_goes_on() {
    let mut pages = listener("pages");
    pages.serve.health = true;
    let gate = Gate::start(settings(vec![pages]));
    let address = gate.listeners.addresses("pages")[0];
    let before = panics::count();
    let mut client = connect(address).await;
    let (status, body) = ask(&mut client, "/health", "x-rehearse: call\r\n").await.expect("an answer");
    assert_eq!(status, 500, "{body}");
    assert!(body.contains(r#""reason":"internal""#) && body.contains(r#""callId":""#), "{body}");
    assert!(panics::count() > before);
    assert_eq!(ask(&mut client, "/health", "").await.expect("an answer").0, 200);
}

#[tokio::test]
async fn a_stream_that_panics_breaks_off_and_leaves_others_alone() {
    let mut open = listener("open");
    open.serve.mcp = true;
    let gate = Gate::start(settings(vec![open]));
    let address = gate.listeners.addresses("open")[0];
    let message = r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    let request = |rehearse: &str| {
        format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\n{rehearse}Content-Length: {}\r\n\r\n{message}",
            message.len()
        )
    };
    let mut other = connect(address).await;
    other.write_all(request("").as_bytes()).await.expect("sent");
    assert_eq!(answer(&mut other).await.expect("a stream").0, 200);
    let before = panics::count();
    let text = exchange(&mut connect(address).await, request("x-rehearse: stream\r\n").as_bytes()).await;
    let text = text.expect("it ends");
    assert!(!text.ends_with("0\r\n\r\n"), "{text}");
    assert!(panics::count() > before);
    // The other one is still fed.
    let mut byte = [0];
    other.read_exact(&mut byte).await.expect("the acknowledgement");
}

#[tokio::test]
async fn a_connection_that_panics_takes_none_with_it() {
    let gate = Gate::with(|_| {});
    // On both cores, so that one of them shares its core with the panic.
    let mut others = [connect(gate.address()).await, connect(gate.address()).await];
    for other in &mut others {
        assert_eq!(ask(other, "/", "").await.expect("an answer").0, 200);
    }
    let before = panics::count();
    assert_eq!(ask(&mut connect(gate.address()).await, "/panic", "").await, None, "closed without an answer");
    eventually("it is counted", || panics::count() > before).await;
    for other in &mut others {
        assert_eq!(ask(other, "/", "").await.expect("an answer").0, 200);
    }
    assert_eq!(ask(&mut connect(gate.address()).await, "/", "").await.expect("an answer").0, 200);
    eventually("its place is given back", || gate.listener().connections.load(Ordering::Relaxed) == 2).await;
}
