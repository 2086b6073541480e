//! Nothing is lost when the gate leaves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::settings::Daemon;
use crate::lifecycle::shutdown::drain;
use crate::listen::drain::NEXT_REQUEST;
use crate::listen::fixture::{Gate, PATIENCE, answer, certificate, client, eventually, handshake, rest, tls};

/// What clients did while the gate drained.
#[derive(Default)]
struct Tally {
    served: AtomicUsize,
    /// Connections whose end was announced.
    told: AtomicUsize,
    failed: AtomicUsize,
    /// Set before accepting ends: from then on a client does not connect anew.
    over: AtomicBool,
}

impl Tally {
    fn count(&self, worked: bool) {
        if worked { &self.served } else { &self.failed }.fetch_add(1, Ordering::Relaxed);
    }

    fn over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// Sends requests, and connects anew whenever it is asked to.
async fn http1_client(address: SocketAddr, tally: Arc<Tally>) {
    while !tally.over() {
        let Ok(mut stream) = TcpStream::connect(address).await else {
            return tally.count(false);
        };
        let mut close = false;
        while !close {
            let body = "x".repeat(200);
            let request = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 200\r\n\r\n{body}");
            let sent = stream.write_all(request.as_bytes()).await;
            let answered = match sent {
                Ok(()) => answer(&mut stream).await,
                Err(error) => Err(error),
            };
            tally.count(answered.as_ref().is_ok_and(|(status, _, echoed)| *status == 200 && *echoed == body));
            close = answered.map_or(true, |(_, close, _)| close);
        }
        tally.told.fetch_add(1, Ordering::Relaxed);
    }
}

async fn http2_client(address: SocketAddr, config: Arc<rustls::ClientConfig>, tally: Arc<Tally>) {
    while !tally.over() {
        let Ok(stream) = handshake(address, &config, "localhost").await else {
            return tally.count(false);
        };
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
        tokio::spawn(connection);
        // After GOAWAY the sender is closed.
        while sender.ready().await.is_ok() {
            let request =
                http::Request::get("https://localhost/").body(Empty::<bytes::Bytes>::new()).expect("a request");
            let body = match sender.send_request(request).await {
                Ok(response) => response.into_body().collect().await.map(|body| body.to_bytes() == "ok"),
                Err(error) if error.is_canceled() => continue,
                Err(error) => Err(error),
            };
            tally.count(body.unwrap_or(false));
        }
        tally.told.fetch_add(1, Ordering::Relaxed);
    }
}

fn daemon(gate: &Gate) -> Daemon {
    gate.settings.load().daemon.clone()
}

#[tokio::test]
async fn no_request_fails_while_clients_come_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = certificate(folder.path(), "a", &["localhost"]);
    for protocol in ["HTTP/1", "HTTP/2"] {
        let gate = if protocol == "HTTP/1" {
            Gate::with(|_| {})
        } else {
            Gate::with(|listener| listener.tls = Some(tls(vec![files.clone()])))
        };
        let tally = Arc::new(Tally::default());
        let config = Arc::new(client(&[&files], &["h2"]));
        let clients: Vec<_> = (0..8)
            .map(|_| match protocol {
                "HTTP/1" => tokio::spawn(http1_client(gate.address(), tally.clone())),
                _ => tokio::spawn(http2_client(gate.address(), config.clone(), tally.clone())),
            })
            .collect();
        eventually("clients are at work", || tally.served.load(Ordering::Relaxed) > 200).await;
        let daemon = daemon(&gate);
        let before = tally.served.load(Ordering::Relaxed);
        // Clients learn elsewhere that the gate leaves, some time before it stops accepting.
        let elsewhere = async {
            tokio::time::sleep(daemon.lame_duck / 2).await;
            tally.over.store(true, Ordering::Relaxed);
        };
        let (cut, ()) = tokio::join!(drain(|| gate.listeners.stop_accepting(), &gate.cores, &daemon), elsewhere);
        for client in clients {
            timeout(PATIENCE, client).await.expect("ended").expect("no panic");
        }
        let served = tally.served.load(Ordering::Relaxed);
        assert_eq!((tally.failed.load(Ordering::Relaxed), cut), (0, 0), "{protocol}: {served} served");
        assert!(tally.told.load(Ordering::Relaxed) >= 8, "{protocol}: every client was told to leave");
        assert!(served > before, "{protocol}: served in the lame-duck phase too");
        assert!(TcpStream::connect(gate.address()).await.is_err(), "{protocol}: accepts no more");
    }
}

#[tokio::test]
async fn a_call_that_runs_is_finished() {
    let gate = Gate::with(|_| {});
    let mut client = gate.connect().await;
    client.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    eventually("it was taken in", || gate.cores.connections() == 1).await;
    let daemon = Daemon { lame_duck: Duration::ZERO, ..daemon(&gate) };
    let (cut, answered) =
        tokio::join!(drain(|| gate.listeners.stop_accepting(), &gate.cores, &daemon), answer(&mut client));
    assert_eq!(answered.expect("answered"), (200, true, "slow".into()));
    assert_eq!(cut, 0);
}

#[tokio::test]
async fn a_connection_that_has_said_nothing_may_send_its_first_request() {
    let gate = Gate::with(|_| {});
    let mut early = gate.connect().await;
    eventually("it was taken in", || gate.cores.connections() == 1).await;
    let daemon = Daemon { lame_duck: Duration::from_millis(50), ..daemon(&gate) };
    let ask = async {
        // Accepting has ended when nobody can connect any more.
        while TcpStream::connect(gate.address()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        early.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
        answer(&mut early).await.expect("answered")
    };
    let (cut, answered) = tokio::join!(drain(|| gate.listeners.stop_accepting(), &gate.cores, &daemon), ask);
    assert_eq!(answered, (200, true, "ok".into()));
    assert_eq!(cut, 0);
}

#[tokio::test]
async fn idle_connections_stay_until_accepting_ends() {
    let gate = Gate::with(|_| {});
    let mut idle = gate.connect().await;
    let get = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    idle.write_all(get).await.expect("sent");
    assert_eq!(answer(&mut idle).await.expect("answered"), (200, false, "ok".into()));
    let mut late = gate.connect().await;
    late.write_all(get).await.expect("sent");
    assert!(!answer(&mut late).await.expect("answered").1);

    let daemon = daemon(&gate);
    let ask = async {
        tokio::time::sleep(daemon.lame_duck / 2).await;
        late.write_all(get).await.expect("still open");
        let answered = answer(&mut late).await.expect("answered");
        (answered, rest(&mut idle).await)
    };
    let (cut, (answered, closed)) = tokio::join!(drain(|| gate.listeners.stop_accepting(), &gate.cores, &daemon), ask);
    assert_eq!(answered, (200, true, "ok".into()));
    assert_eq!(closed.expect("closed in order"), "");
    assert_eq!(cut, 0);
}

#[tokio::test]
async fn who_was_answered_without_a_farewell_may_ask_once_more() {
    let gate = Gate::with(|_| {});
    let mut client = gate.connect().await;
    let daemon = Daemon { lame_duck: Duration::ZERO, ..daemon(&gate) };
    // The head is on its way before the drain begins, and the rest of the answer after accepting has ended.
    client.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    client.readable().await.expect("the head has come");
    let ask = async {
        while TcpStream::connect(gate.address()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (status, told, large) = answer(&mut client).await.expect("answered");
        assert_eq!((status, told, large.len()), (200, false, 16 << 20));
        timeout(NEXT_REQUEST / 3, client.read(&mut [0])).await.expect_err("it is not closed at once");
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
        answer(&mut client).await.expect("answered")
    };
    let (cut, answered) = tokio::join!(drain(|| gate.listeners.stop_accepting(), &gate.cores, &daemon), ask);
    assert_eq!(answered, (200, true, "ok".into()));
    assert_eq!(cut, 0);
}

#[tokio::test]
async fn what_does_not_finish_is_counted() {
    let gate = Gate::with(|_| {});
    let mut stuck = gate.connect().await;
    stuck.write_all(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc").await.expect("sent");
    eventually("it was taken in", || gate.cores.connections() == 1).await;
    let daemon = Daemon { drain_timeout: Duration::from_millis(50), lame_duck: Duration::ZERO, ..daemon(&gate) };
    assert_eq!(drain(|| gate.listeners.stop_accepting(), &gate.cores, &daemon).await, 1);
}
