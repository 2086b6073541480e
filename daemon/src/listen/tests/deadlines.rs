//! What becomes of clients that keep the gate waiting.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::listen::fixture::{Gate, PATIENCE, answer, eventually, exchange, rest};

/// Passed by those who wait for it to pass, kept by a client that sends at once on a busy machine.
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn half_a_head_is_answered_with_408() {
    let gate = Gate::with(|listener| listener.bounds.head_timeout = SHORT);
    let text = exchange(&mut gate.connect().await, b"GET / HTTP/1.1\r\nHo").await.expect("answered");
    assert!(text.starts_with("HTTP/1.1 408 ") && text.contains("head-timeout"), "{text}");
}

#[tokio::test]
async fn half_a_body_is_answered_with_408() {
    let gate = Gate::with(|listener| listener.bounds.body_timeout = SHORT);
    let half = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc";
    let text = exchange(&mut gate.connect().await, half).await.expect("answered");
    assert!(text.starts_with("HTTP/1.1 408 ") && text.contains("body-timeout"), "{text}");
}

#[tokio::test]
async fn a_client_that_trickles_does_not_gain_time() {
    let gate = Gate::with(|listener| listener.bounds.head_timeout = SHORT);
    let mut client = gate.connect().await;
    let (mut read, mut write) = client.split();
    let trickle = async {
        // Ends by error when the gate has closed.
        while write.write_all(b"X").await.is_ok() {
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    tokio::select! {
        () = trickle => panic!("closed without an answer"),
        text = rest(&mut read) => assert!(text.expect("answered").starts_with("HTTP/1.1 408 ")),
        () = tokio::time::sleep(PATIENCE) => panic!("never answered"),
    }
}

#[tokio::test]
async fn connections_without_a_request_are_closed_without_a_word() {
    let gate = Gate::with(|listener| listener.bounds.keep_alive = SHORT);
    let mut silent = gate.connect().await;
    assert_eq!(rest(&mut silent).await.expect("closed"), "");

    let mut idle = gate.connect().await;
    idle.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    assert_eq!(answer(&mut idle).await.expect("answered").0, 200);
    assert_eq!(rest(&mut idle).await.expect("closed"), "");
    drop((silent, idle));
    eventually("both have left", || gate.cores.connections() == 0).await;
}

#[tokio::test]
async fn a_slow_server_is_not_the_clients_fault() {
    let gate = Gate::with(|listener| {
        listener.bounds.keep_alive = SHORT;
        listener.bounds.head_timeout = SHORT;
        listener.bounds.body_timeout = SHORT;
    });
    let mut client = gate.connect().await;
    client.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    assert_eq!(answer(&mut client).await.expect("answered").2, "slow");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_let_go() {
    let gate = Gate::with(|listener| listener.bounds.keep_alive = SHORT);
    let mut client = gate.connect().await;
    client.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    eventually("it was taken in", || gate.cores.connections() == 1).await;
    eventually("it was let go", || gate.cores.connections() == 0).await;
    let read = timeout(PATIENCE, rest(&mut client)).await.expect("closed");
    assert!(read.map_or(0, |text| text.len()) < 16 << 20);
}
