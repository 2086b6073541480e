//! Connections that begin with a PROXY header.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::settings::Listener;
use crate::lifecycle::shutdown::drain;
use crate::listen::fixture::{Gate, PATIENCE, answer, certificate, client, eventually, rest, tls};

const REQUEST: &[u8] = b"GET /peer HTTP/1.1\r\nHost: localhost\r\n\r\n";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn behind_a_proxy(listener: &mut Listener) {
    listener.proxy_protocol = true;
    listener.trusted_proxies = vec!["127.0.0.1/32".parse().expect("a network")];
}

fn line(last: u8, port: u16) -> Vec<u8> {
    format!("PROXY TCP4 192.0.2.{last} 198.51.100.1 {port} 443\r\n").into_bytes()
}

/// The answer to one request behind a header, and the connection.
async fn served(gate: &Gate, header: &[u8]) -> Option<(String, TcpStream)> {
    let mut stream = gate.connect().await;
    stream.write_all(&[header, REQUEST].concat()).await.ok()?;
    let (status, _, body) = answer(&mut stream).await.ok()?;
    (status == 200).then_some((body, stream))
}

#[tokio::test]
async fn the_header_says_whose_connection_it_is() {
    let gate = Gate::with(behind_a_proxy);
    let binary = [SIGNATURE, &[0x21, 0x11, 0, 15, 192, 0, 2, 8, 198, 51, 100, 1, 0, 9, 1, 187, 4, 0, 0]].concat();
    let known = [(line(7, 51000), "192.0.2.7:51000 198.51.100.1:443"), (binary, "192.0.2.8:9 198.51.100.1:443")];
    for (header, expected) in known {
        assert_eq!(served(&gate, &header).await.expect("served").0, expected);
    }
    // The proxy speaks for itself.
    for header in [[SIGNATURE, &[0x20, 0, 0, 0]].concat(), b"PROXY UNKNOWN\r\n".to_vec()] {
        let (said, stream) = served(&gate, &header).await.expect("served");
        let ends = (stream.local_addr().expect("an address"), stream.peer_addr().expect("an address"));
        assert_eq!(said, format!("{} {}", ends.0, ends.1));
    }
}

#[tokio::test]
async fn a_header_may_arrive_in_pieces() {
    let gate = Gate::with(behind_a_proxy);
    let mut stream = gate.connect().await;
    for byte in line(7, 51000) {
        stream.write_all(&[byte]).await.expect("sent");
        tokio::task::yield_now().await;
    }
    stream.write_all(REQUEST).await.expect("sent");
    assert_eq!(answer(&mut stream).await.expect("answered").2, "192.0.2.7:51000 198.51.100.1:443");
}

#[tokio::test]
async fn without_a_valid_header_a_connection_is_closed_and_counted() {
    let gate = Gate::with(|listener| {
        behind_a_proxy(listener);
        listener.bounds.head_timeout = Duration::from_millis(100);
    });
    let late = &b"PROXY TCP4 192.0"[..];
    let wrong = [REQUEST, b"PROXY TCP4 a b 1 2\r\n", &[SIGNATURE, &[0x21, 0x31, 0, 0]].concat(), late];
    for (count, bytes) in wrong.iter().enumerate() {
        let mut stream = gate.connect().await;
        stream.write_all(bytes).await.expect("sent");
        assert_eq!(rest(&mut stream).await.unwrap_or_default(), "", "{}", bytes.escape_ascii());
        let failed = &gate.listener().counters.headers_failed;
        eventually("it is counted", || failed.load(Ordering::Relaxed) == count as u64 + 1).await;
    }
    eventually("nothing is held", || gate.listener().connections.load(Ordering::Relaxed) == 0).await;
}

#[tokio::test]
async fn only_proxies_may_connect_and_the_list_is_for_their_clients() {
    let gate = Gate::with(|listener| {
        behind_a_proxy(listener);
        listener.trusted_proxies = vec!["10.0.0.0/8".parse().expect("a network")];
    });
    assert!(served(&gate, &line(7, 1)).await.is_none());
    assert_eq!(gate.listener().counters.not_allowed.load(Ordering::Relaxed), 1);

    let gate = Gate::with(|listener| {
        behind_a_proxy(listener);
        listener.allow = Some(vec!["192.0.2.7/32".parse().expect("a network")]);
    });
    assert!(served(&gate, &line(7, 1)).await.is_some());
    assert!(served(&gate, &line(8, 1)).await.is_none());
    eventually("counted", || gate.listener().counters.not_allowed.load(Ordering::Relaxed) == 1).await;
}

#[tokio::test]
async fn connections_are_counted_by_the_client_and_not_by_the_proxy() {
    let gate = Gate::with(|listener| {
        behind_a_proxy(listener);
        listener.bounds.connections_per_address = 2;
    });
    let first = served(&gate, &line(7, 1)).await.expect("below the bound");
    let _second = served(&gate, &line(7, 2)).await.expect("at the bound");
    assert!(served(&gate, &line(7, 3)).await.is_none(), "beyond the bound");
    let _other = served(&gate, &line(8, 1)).await.expect("another client");
    let mut own = Vec::new();
    for _ in 0..4 {
        own.push(served(&gate, b"PROXY UNKNOWN\r\n").await.expect("the proxy itself is not bound"));
    }
    drop(first);
    eventually("the place is free", || gate.listener().connections.load(Ordering::Relaxed) == 6).await;
    assert!(served(&gate, &line(7, 4)).await.is_some());
}

#[tokio::test]
async fn a_proxy_that_says_nothing_does_not_hold_up_the_end() {
    let gate = Gate::with(behind_a_proxy);
    let _silent = gate.connect().await;
    eventually("it was accepted", || gate.listener().connections.load(Ordering::Relaxed) == 1).await;
    let daemon = gate.settings.load().daemon.clone();
    assert_eq!(timeout(PATIENCE, drain(|| {}, &gate.cores, &daemon)).await.expect("in time"), 0);
    assert_eq!(gate.listener().counters.headers_failed.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn tls_begins_behind_the_header() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = certificate(folder.path(), "one", &["localhost"]);
    let gate = Gate::with(|listener| {
        behind_a_proxy(listener);
        listener.tls = Some(tls(vec![files.clone()]));
    });
    let mut stream = gate.connect().await;
    stream.write_all(&line(7, 51000)).await.expect("sent");
    let config = Arc::new(client(&[&files], &["http/1.1"]));
    let name = "localhost".try_into().expect("a name");
    let mut stream = tokio_rustls::TlsConnector::from(config).connect(name, stream).await.expect("a handshake");
    stream.write_all(REQUEST).await.expect("sent");
    assert_eq!(answer(&mut stream).await.expect("answered").2, "192.0.2.7:51000 198.51.100.1:443");
}
