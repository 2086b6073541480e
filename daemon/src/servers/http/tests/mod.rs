//! The client against servers written by hand, one behaviour each, on loopback.

mod bodies;
mod bounds;
mod connections;
mod failures;
mod peers;
mod reloads;
mod shared;

use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A server on loopback that hands every connection, counted from 0, to `serve`.
struct Raw {
    address: SocketAddr,
    connections: Rc<Cell<usize>>,
}

impl Raw {
    async fn start<F: Future<Output = ()> + 'static>(serve: impl Fn(TcpStream, usize) -> F + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Rc::new(Cell::new(0));
        let counted = Rc::clone(&connections);
        tokio::task::spawn_local(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tcp.set_nodelay(true).unwrap();
                let number = counted.replace(counted.get() + 1);
                tokio::task::spawn_local(serve(tcp, number));
            }
        });
        Self { address, connections }
    }

    /// Answers every request on every connection with these bytes.
    async fn answering(answer: &'static [u8]) -> Self {
        Self::start(move |mut tcp, _| async move {
            while request(&mut tcp).await.is_some() {
                tcp.write_all(answer).await.unwrap();
            }
        })
        .await
    }

    /// Answers the first request of every connection with these bytes, then closes it.
    async fn closing(answer: &'static [u8]) -> Self {
        Self::start(move |mut tcp, _| async move {
            request(&mut tcp).await.unwrap();
            tcp.write_all(answer).await.unwrap();
        })
        .await
    }

    fn client(&self) -> HttpClient {
        server(self.address, |_, _| {}).client(0)
    }
}

/// A server's settings for one address, changed by `change`.
fn server(address: SocketAddr, change: impl FnOnce(&mut settings::Http, &mut settings::Timeouts)) -> Arc<HttpServer> {
    server_within(&Connections::new(100), address, change)
}

/// The same, one of several that share a bound.
fn server_within(
    all: &Arc<Connections>,
    address: SocketAddr,
    change: impl FnOnce(&mut settings::Http, &mut settings::Timeouts),
) -> Arc<HttpServer> {
    let endpoint = settings::Endpoint {
        url: format!("http://{address}/mcp"),
        tls: false,
        host: address.ip().to_string(),
        port: address.port(),
        path: "/mcp".to_owned(),
    };
    let mut http = settings::Http {
        endpoints: vec![endpoint],
        pool: settings::Pool {
            max_connections: 8,
            max_per_endpoint: None,
            idle_timeout: Duration::from_secs(60),
            max_age: None,
            min_idle: 0,
            http2: false,
        },
        headers: Vec::new(),
        tls: settings::UpstreamTls::default(),
        lacks: None,
        forward_client: false,
        word: toolgate_protocol::reach::Word::Operator { link_local: false },
    };
    let mut timeout =
        settings::Timeouts { connect: Duration::from_secs(10), first_byte: Duration::from_secs(10), total: None };
    change(&mut http, &mut timeout);
    HttpServer::new(&http, &timeout, 2, all).unwrap()
}

/// Runs a test where futures may stay on their thread, as they do on a core.
fn on_a_core(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test hangs");
    });
}

/// Waits until `reached` says so; polls, because it waits for what another task does.
async fn eventually(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !reached() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Lets everybody else on this thread go as far as they can without waiting for one another. On loopback what was
/// written is there at once; each turn asks the reactor for it.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

/// Reads one request with its body; `None` at the end of the connection.
async fn request(tcp: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    loop {
        if let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(text[..end + 4].to_vec()).unwrap();
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            if text.len() == end + 4 + length.map_or(0, |length| length.parse().unwrap()) {
                return Some(String::from_utf8_lossy(&text).into_owned());
            }
        }
        if tcp.read_buf(&mut text).await.ok()? == 0 {
            return None;
        }
    }
}

/// A POST of `body`.
fn post<'a>(body: &'a [&'a [u8]]) -> Outgoing<'a> {
    Outgoing { method: Method::Post, endpoint: 0, headers: &[], target: None, body, first_byte: None }
}

/// Sends `{}` and reads the whole answer.
async fn call(client: &HttpClient) -> (u16, String) {
    let answer = client.send(post(&[b"{}"])).await.unwrap();
    let status = answer.status;
    (status, text(answer).await.unwrap())
}

/// The whole body.
async fn text(answer: Answer) -> Result<String, BodyError> {
    let body = answer.body.collect().await?.to_bytes();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}
