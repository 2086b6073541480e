//! A way in HTTP/2 to a server that speaks HTTP/1.1: each stream becomes a request on a connection of its own.
//!
//! What the server behind says is passed on as it comes; a stream that the other side resets ends its request.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::http::{Request, Response};
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::certificates::Certificates;
use crate::http::{Head, Target, request};

/// A running one.
pub struct Multiplexing {
    /// Where it is.
    pub address: SocketAddr,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

/// What it has seen.
#[derive(Default)]
struct Counts {
    connections: AtomicUsize,
    streams: AtomicUsize,
    resets: AtomicUsize,
}

impl Drop for Multiplexing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Multiplexing {
    /// Starts one in front of a server on loopback, which takes this many streams at once per connection. Without
    /// certificates it speaks HTTP/2 at once, else as TLS agrees.
    ///
    /// # Panics
    /// When there is no port, or the certificates cannot be read.
    pub async fn before(server: u16, streams: u32, certificates: Option<&Certificates>) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), server, streams, certificates).await
    }

    /// The same at this address.
    ///
    /// # Panics
    /// As [`Multiplexing::before`].
    pub async fn at(at: SocketAddr, server: u16, streams: u32, certificates: Option<&Certificates>) -> Self {
        let listener = TcpListener::bind(at).await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let acceptor = certificates.map(acceptor);
        let counts = Arc::<Counts>::default();
        let counted = Arc::clone(&counts);
        let task = tokio::spawn(async move {
            // They end with this task.
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (counts, acceptor) = (Arc::clone(&counted), acceptor.clone());
                connections.spawn(async move {
                    match acceptor {
                        None => connection(socket, server, streams, &counts).await,
                        Some(acceptor) => match acceptor.accept(socket).await {
                            Ok(socket) => connection(socket, server, streams, &counts).await,
                            Err(_) => Ok(()),
                        },
                    }
                });
            }
        });
        Self { address, counts, task }
    }

    /// Connections so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::Relaxed)
    }

    /// Streams so far.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.counts.streams.load(Ordering::Relaxed)
    }

    /// Streams that the other side has reset.
    #[must_use]
    pub fn resets(&self) -> usize {
        self.counts.resets.load(Ordering::Relaxed)
    }
}

fn acceptor(certificates: &Certificates) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(&certificates.chain).expect("a chain").map(|one| one.expect("one"));
    let key = PrivateKeyDer::from_pem_file(&certificates.key).expect("a key");
    let builder = ServerConfig::builder().with_no_client_auth();
    let mut config = builder.with_single_cert(chain.collect(), key).expect("a usable certificate");
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

async fn connection(
    socket: impl AsyncRead + AsyncWrite + Unpin,
    server: u16,
    streams: u32,
    counts: &Arc<Counts>,
) -> Result<(), h2::Error> {
    counts.connections.fetch_add(1, Ordering::Relaxed);
    let mut connection = h2::server::Builder::new().max_concurrent_streams(streams).handshake(socket).await?;
    let mut calls = JoinSet::new();
    while let Some(asked) = connection.accept().await {
        let (request, reply) = asked?;
        counts.streams.fetch_add(1, Ordering::Relaxed);
        let counts = Arc::clone(counts);
        calls.spawn(async move {
            if relay(request, reply, server).await.is_err() {
                counts.resets.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    Ok(())
}

/// Ends with an error where the other side has reset the stream.
async fn relay(asked: Request<RecvStream>, mut reply: SendResponse<Bytes>, server: u16) -> io::Result<()> {
    let (head, mut incoming) = asked.into_parts();
    let mut body = Vec::new();
    while let Some(piece) = incoming.data().await {
        let piece = piece.map_err(io::Error::other)?;
        body.extend_from_slice(&piece);
        incoming.flow_control().release_capacity(piece.len()).map_err(io::Error::other)?;
    }
    let target = Target::plain(server);
    let headers: Vec<_> = head.headers.iter().filter(|(name, _)| *name != "content-length").collect();
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default())).collect();
    let raw = request(head.method.as_str(), head.uri.path(), &target.host, &headers, &body);
    let mut connection = target.connect().await?;
    let answer = tokio::select! {
        answer = connection.begin(&raw) => answer?,
        reset = std::future::poll_fn(|cx| reply.poll_reset(cx)) => return Err(io::Error::other(format!("{reset:?}"))),
    };
    let mut stream = reply.send_response(response(&answer), false).map_err(io::Error::other)?;
    if !answer.is_chunked() {
        let body = connection.body(&answer).await?;
        return stream.send_data(body.into(), true).map_err(io::Error::other);
    }
    loop {
        let chunk = tokio::select! {
            chunk = connection.chunk() => chunk?,
            reset = reset(&mut stream) => return Err(reset),
        };
        let Some(chunk) = chunk else { return stream.send_data(Bytes::new(), true).map_err(io::Error::other) };
        stream.send_data(chunk.into(), false).map_err(io::Error::other)?;
    }
}

async fn reset(stream: &mut SendStream<Bytes>) -> io::Error {
    io::Error::other(format!("{:?}", std::future::poll_fn(|cx| stream.poll_reset(cx)).await))
}

fn response(head: &Head) -> Response<()> {
    let mut response = Response::builder().status(head.status);
    for (name, value) in &head.headers {
        if !matches!(name.as_str(), "connection" | "transfer-encoding" | "keep-alive") {
            response = response.header(name, value);
        }
    }
    response.body(()).expect("what was a head is one")
}
