//! Who may connect, and how many.

use std::sync::atomic::Ordering;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::listen::fixture::{Gate, STAND_IN, answer, eventually, listener, rest, settings};

/// A connection that was served once.
async fn served(gate: &Gate) -> Option<TcpStream> {
    let mut client = gate.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.ok()?;
    answer(&mut client).await.is_ok().then_some(client)
}

#[tokio::test]
async fn addresses_off_the_allow_list_are_closed_at_once() {
    let gate = Gate::with(|listener| {
        listener.allow = Some(vec!["10.0.0.0/8".parse().expect("a network")]);
    });
    // Closed before or after the request was written.
    assert!(served(&gate).await.is_none());
    assert_eq!(gate.listener().counters.not_allowed.load(Ordering::Relaxed), 1);

    let gate = Gate::with(|listener| {
        listener.allow = Some(vec!["127.0.0.0/8".parse().expect("a network")]);
    });
    assert!(served(&gate).await.is_some());
}

#[tokio::test]
async fn a_place_is_free_again_when_its_connection_has_gone() {
    type Change = fn(&mut crate::config::Settings);
    let per_listener: Change = |_| {};
    let in_all: Change = |settings| settings.daemon.max_connections = 2;
    for (change, connections, per_address) in [(per_listener, 2, 9), (per_listener, 9, 2), (in_all, 9, 9)] {
        let mut listener = listener(STAND_IN);
        listener.bounds.connections = connections;
        listener.bounds.connections_per_address = per_address;
        let mut settings = settings(vec![listener]);
        change(&mut settings);
        let gate = Gate::start(settings);

        let first = served(&gate).await.expect("below the bound");
        let second = served(&gate).await.expect("at the bound");
        assert!(served(&gate).await.is_none(), "beyond the bound");
        assert_eq!(gate.listener().counters.over_limit.load(Ordering::Relaxed), 1);
        drop(first);
        eventually("the place is free", || gate.listener().connections.load(Ordering::Relaxed) == 1).await;
        assert!(served(&gate).await.is_some());
        drop(second);
    }
}

#[tokio::test]
async fn a_reload_moves_sockets_and_leaves_connections_alone() {
    let mut gate = Gate::with(|_| {});
    let mut old = served(&gate).await.expect("served");
    let address = gate.address();

    let mut changed = settings(vec![listener(STAND_IN), listener("other")]);
    changed.revision = 2;
    assert!(gate.listeners.reload(&changed).is_empty());
    assert_eq!(gate.address(), address, "an address that stayed keeps its socket");
    assert_eq!(gate.listeners.addresses("other").len(), 1);

    assert!(gate.listeners.reload(&settings(vec![listener("other")])).is_empty());
    assert!(TcpStream::connect(address).await.is_err(), "closed");
    old.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    assert_eq!(answer(&mut old).await.expect("still served").0, 200);
}

#[tokio::test]
async fn an_address_in_use_is_reported_and_what_is_open_stays() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let mut gate = Gate::with(|_| {});
    let mut wrong = listener(STAND_IN);
    wrong.addresses.push(taken.local_addr().expect("an address"));
    let problems = gate.listeners.reload(&settings(vec![wrong]));
    assert_eq!(problems.len(), 1);
    assert!(problems[0].to_string().contains("end the program that holds it"), "{}", problems[0]);
    assert!(served(&gate).await.is_some());
}

#[tokio::test]
async fn accepted_connections_do_not_delay_small_writes() {
    let socket = crate::listen::bind::bind("127.0.0.1:0".parse().expect("an address")).expect("bound");
    socket2::SockRef::from(&socket).set_tcp_nodelay(true).expect("set");
    let _client = TcpStream::connect(socket.local_addr().expect("an address")).await.expect("connected");
    let (accepted, _) = socket.accept().expect("accepted");
    assert!(accepted.nodelay().expect("read"), "the kernel passes it on: accept relies on it");
}

#[tokio::test]
async fn plain_http_is_sent_to_https() {
    let gate = Gate::with(|listener| {
        listener.redirect_to_https = Some(8443);
        listener.hosts = vec!["mcp.example.org".to_owned()];
    });
    let mut client = gate.connect().await;
    let request = b"GET /mcp?x=1 HTTP/1.1\r\nHost: mcp.example.org:8080\r\nConnection: close\r\n\r\n";
    client.write_all(request).await.expect("sent");
    let text = rest(&mut client).await.expect("answered");
    assert!(text.starts_with("HTTP/1.1 301 "), "{text}");
    assert!(text.contains("location: https://mcp.example.org:8443/mcp?x=1\r\n"), "{text}");
}
