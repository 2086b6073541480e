//! A new connection to an endpoint: name, address, TCP, TLS.
//!
//! Called by the pool when no kept connection is at hand; everything happens within the server's connect timeout.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use toolgate_protocol::reach::{Word, Zone};

use super::error::{SendError, SendErrorKind};
use super::names::Name;
use super::socket::{Socket, Stream};
use crate::config::settings;
use crate::servers::reach;

/// Where an endpoint is, resolved as far as the configuration allows.
pub(super) struct Target {
    /// As written, for messages.
    url: String,
    host: Host,
    port: u16,
    word: Word,
    tls: Option<Secured>,
}

/// How TLS is spoken to an endpoint.
pub(super) struct Secured {
    pub(super) connector: TlsConnector,
    /// Where the server chooses between HTTP/2 and HTTP/1.1.
    pub(super) choosing: TlsConnector,
    pub(super) name: ServerName<'static>,
}

/// What is to be spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speech {
    Http1,
    /// HTTP/2, unless TLS lets the server choose and it chooses otherwise.
    Http2,
}

enum Host {
    Address(IpAddr),
    Name(Arc<Name>),
}

impl Target {
    pub(super) fn new(endpoint: &settings::Endpoint, tls: Option<Secured>, word: Word) -> Self {
        let name = |_| Host::Name(Name::new(endpoint.host.clone(), endpoint.port));
        let host = endpoint.host.parse().map_or_else(name, Host::Address);
        Self { url: endpoint.url.clone(), host, port: endpoint.port, word, tls }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Connects, giving up at `deadline`.
    pub(super) async fn connect(&self, speech: Speech, deadline: Instant) -> Result<Stream, SendError> {
        match tokio::time::timeout_at(deadline, self.connect_unbounded(speech, deadline)).await {
            Ok(result) => result,
            Err(_) => Err(SendError::unsent(
                SendErrorKind::ConnectTimeout,
                format!("{} did not accept a connection within `timeout.connect`", self.url),
            )),
        }
    }

    /// Whether somebody takes a connection before `deadline`. Nothing is said on it, not even for TLS.
    pub(super) async fn knock(&self, deadline: Instant) -> Result<(), SendError> {
        let opened = tokio::time::timeout_at(deadline, self.tcp(deadline)).await;
        let late = || SendError::unsent(SendErrorKind::ConnectTimeout, format!("{} does not open in time", self.url));
        opened.map_err(|_| late())?.map(drop)
    }

    async fn connect_unbounded(&self, speech: Speech, deadline: Instant) -> Result<Stream, SendError> {
        let tcp = self.tcp(deadline).await?;
        // A call is one write: waiting for more to send would only delay it.
        tcp.set_nodelay(true).map_err(|error| self.failed(&error))?;
        let Some(secured) = &self.tls else { return Ok(Stream::Plain(Socket::Open(tcp.into()))) };
        let connector = if speech == Speech::Http2 { &secured.choosing } else { &secured.connector };
        match connector.connect(secured.name.clone(), Socket::Open(tcp.into())).await {
            Ok(tls) => Ok(Stream::Tls(Box::new(tls))),
            Err(error) => Err(SendError::unsent(
                SendErrorKind::Tls,
                format!("the TLS handshake with {} failed: {error}", self.url),
            )),
        }
    }

    /// Tries every address, each with an equal share of the time that is left.
    async fn tcp(&self, deadline: Instant) -> Result<TcpStream, SendError> {
        let addresses = reach::permitted(self.addresses().await?, self.word).map_err(|forbidden| {
            let mut cause = format!("{} is not connected to: {forbidden}", self.url);
            if forbidden.zone == Zone::LinkLocal {
                cause.push_str("; `allow_link_local` of a server makes an exception");
            }
            SendError::unsent(SendErrorKind::Forbidden, cause)
        })?;
        let mut last = None;
        for (tried, address) in addresses.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            match tokio::time::timeout(share.max(Duration::from_millis(1)), TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => return Ok(tcp),
                Ok(Err(error)) => last = Some(self.failed(&error)),
                Err(_) => {
                    last = Some(SendError::unsent(
                        SendErrorKind::ConnectTimeout,
                        format!("{} at {address} did not accept a connection within its time", self.url),
                    ));
                }
            }
        }
        Err(last.unwrap_or_else(|| {
            SendError::unsent(SendErrorKind::Resolve, format!("the name of {} has no address", self.url))
        }))
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, SendError> {
        let name = match &self.host {
            Host::Address(address) => return Ok(vec![SocketAddr::new(*address, self.port)]),
            Host::Name(name) => name,
        };
        let found = name.addresses().await.map_err(|error| {
            SendError::unsent(SendErrorKind::Resolve, format!("the name of {} cannot be resolved: {error}", self.url))
        })?;
        Ok(found.to_vec())
    }

    fn failed(&self, error: &std::io::Error) -> SendError {
        SendError::unsent(SendErrorKind::Connect, format!("{} cannot be connected to: {error}", self.url))
    }
}
