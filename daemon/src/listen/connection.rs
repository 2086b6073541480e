//! One client connection on its core: handshake, choice of protocol, HTTP.
//!
//! The acceptor starts it with [`run`]; every request of it shares one [`Connection`].

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::{HandshakeKind, ProtocolVersion};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::accept::Accepted;
use super::admission::Permit;
use super::certified::Certified;
use super::open::{Counters, OpenListener};
use super::{http1, http2, proxied};
use crate::config::settings::Listener;
use crate::core::Core;
use crate::wire::Wire;

/// HTTP as it is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 or 1.0.
    Http1,
    /// HTTP/2.
    Http2,
}

/// What the handshake agreed upon.
#[derive(Debug)]
pub struct TlsInfo {
    /// TLS 1.2 or 1.3.
    pub version: Option<ProtocolVersion>,
    /// The name that the client asked for.
    pub server_name: Option<String>,
    /// Of the client, where it has shown one.
    pub certificate: Option<Box<Certified>>,
}

/// Who stands at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A client, through a listener.
    Client,
    /// The watchdog, through memory: such a connection cannot be made from outside.
    Canary,
}

/// What every request of a connection may know of it.
#[derive(Debug)]
pub struct Connection {
    /// Unique in this process.
    pub id: u64,
    /// Who connected, or whom the PROXY header of a trusted proxy names.
    pub peer: SocketAddr,
    /// The peer's address without port, as servers are told it: written once, not for every call.
    pub address: Arc<str>,
    /// The address that was connected to, at the proxy where a PROXY header names it.
    pub local: SocketAddr,
    /// The listener's settings when the connection was accepted.
    pub listener: Arc<Listener>,
    /// HTTP/1 or HTTP/2.
    pub protocol: Protocol,
    /// None for plain HTTP.
    pub tls: Option<TlsInfo>,
    /// Client or canary.
    pub origin: Origin,
    /// When it was accepted.
    pub opened: Instant,
    /// When requests could arrive: after the handshake.
    pub(super) ready: Instant,
    pub(super) requests: Cell<u64>,
    pub(super) in_flight: Cell<u32>,
}

impl Connection {
    /// A connection without requests so far, from the first address to the second.
    pub fn new(
        (peer, local): (SocketAddr, SocketAddr),
        listener: Arc<Listener>,
        protocol: Protocol,
        origin: Origin,
    ) -> Self {
        let opened = Instant::now();
        Self {
            id: next_id(),
            peer,
            address: peer.ip().to_canonical().to_string().into(),
            local,
            listener,
            protocol,
            tls: None,
            origin,
            opened,
            ready: opened,
            requests: Cell::new(0),
            in_flight: Cell::new(0),
        }
    }

    /// Requests that arrived so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.get()
    }

    /// Requests whose answer is not yet whole.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.get()
    }

    /// The client's certificate, where it has shown one.
    #[must_use]
    pub fn certified(&self) -> Option<&Certified> {
        self.tls.as_ref()?.certificate.as_deref()
    }

    /// Whether HTTPS is spoken.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
    }
}

fn next_id() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// Serves an accepted connection until it ends.
pub async fn run(core: Rc<Core>, accepted: Accepted) {
    let Accepted { stream, peer, listener, mut permit, loaded } = accepted;
    // Each step is boxed so that its memory ends with it: a connection lives long.
    let established = Box::pin(establish(&core, stream, peer, &listener, &mut permit)).await;
    let counted = (permit, loaded);
    if let Ok((_, connection)) = &established
        && connection.certified().is_some()
    {
        core.certified.enter(connection);
    }
    let counters = &listener.counters;
    // HTTP/1 in place, for there are the most of it: all that a request touches first lies together.
    let ended = match established {
        Ok((stream, connection)) if connection.protocol == Protocol::Http2 => match stream {
            Stream::Plain(stream) => Box::pin(http2::serve(&core, stream, &connection, counters)).await,
            Stream::Secure(stream) => Box::pin(http2::serve(&core, stream, &connection, counters)).await,
        },
        Ok((Stream::Plain(stream), connection)) => http1::serve(&core, stream, &connection, counters).await,
        Ok((Stream::Secure(stream), connection)) => http1::serve(&core, *stream, &connection, counters).await,
        Err(error) => Err(error),
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, listener = listener.settings().name, "connection ended: {error}");
    }
    drop(counted);
}

enum Stream {
    Plain(Wire),
    Secure(Box<TlsStream<Wire>>),
}

/// Brings a connection to where requests can arrive.
async fn establish(
    core: &Core,
    stream: std::net::TcpStream,
    peer: SocketAddr,
    listener: &Arc<OpenListener>,
    permit: &mut Permit,
) -> io::Result<(Stream, Rc<Connection>)> {
    let mut stream = tokio::net::TcpStream::from_std(stream)?;
    let mut addresses = (SocketAddr::new(peer.ip().to_canonical(), peer.port()), stream.local_addr()?);
    let settings = listener.settings();
    if permit.awaits_name() {
        let client = proxied::client(core, &mut stream, addresses, (&settings, &listener.counters), permit);
        addresses = Box::pin(client).await?;
    }
    let stream = Wire::from(stream);
    let mut connection = Connection::new(addresses, settings, Protocol::Http1, Origin::Client);
    // Before the rest: what changes from here on is held against the certificate by the first request.
    let generation = listener.clients.load(Ordering::Acquire);
    let Some(secured) = listener.secured() else {
        return Ok((Stream::Plain(stream), Rc::new(connection)));
    };
    let limit = connection.listener.tls.as_ref().map_or(Duration::MAX, |tls| tls.handshake_timeout);
    let handshake = timeout(limit, TlsAcceptor::from(secured.config.clone()).accept(stream));
    let late = |_| Err(io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long"));
    let stream = handshake.await.unwrap_or_else(late).inspect_err(|_| {
        Counters::count(&listener.counters.handshakes_failed);
    })?;
    let session = stream.get_ref().1;
    if session.alpn_protocol() == Some(b"h2") {
        connection.protocol = Protocol::Http2;
    }
    let resumed = session.handshake_kind() != Some(HandshakeKind::Full)
        && session.handshake_kind() != Some(HandshakeKind::FullWithHelloRetryRequest);
    let certificate = match session.peer_certificates() {
        Some(chain) => {
            let unreadable = || io::Error::new(io::ErrorKind::InvalidData, "the client's certificate cannot be read");
            let certified = Certified::new(listener, chain, generation, resumed).ok_or_else(unreadable)?;
            Some(Box::new(certified))
        }
        None => None,
    };
    connection.tls = Some(TlsInfo {
        version: session.protocol_version(),
        server_name: session.server_name().map(str::to_owned),
        certificate,
    });
    connection.ready = Instant::now();
    Ok((Stream::Secure(Box::new(stream)), Rc::new(connection)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of the future that an async function makes.
    fn size_of_future<A, B, F: Future>(_: impl Fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_connection_stays_small() {
        // With what the runtime adds, a size class of the allocator. TLS has half of it.
        let size = size_of_future(run);
        assert!(size <= 2432, "{size} bytes per connection: box what few of them need");
    }
}
