//! HTTP/1.1 connections to a gate.
//!
//! The bridge and the probe send through this. A kept connection that the gate has closed meanwhile
//! costs a new one, never a request: what was not sent is sent again, what was sent never is.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::url::GateUrl;
use crate::failure::Failure;

/// Until a connection stands, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Kept connections are used again within this, well before a gate closes them (65 s).
const IDLE: Duration = Duration::from_secs(30);

/// Kept connections.
const KEPT: usize = 8;

/// One connection, ready for the next request when its last answer was read.
pub(crate) type Sender = SendRequest<Full<Bytes>>;

/// Where requests to one gate leave.
pub(crate) struct Connections {
    url: GateUrl,
    tls: Option<Arc<ClientConfig>>,
    host: HeaderValue,
    kept: RefCell<Vec<(Instant, Sender)>>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum SendError {
    /// Nothing was sent.
    Unreachable(String),
    /// The request was sent, at least in part; whether it had an effect is unknown.
    Broken(String),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) | Self::Broken(why) => f.write_str(why),
        }
    }
}

/// Why a connection could not be made.
type ConnectError = Box<dyn std::error::Error + Send + Sync>;

/// An answer whose body is still to be read, and the connection that it comes on.
pub(crate) struct Exchange {
    pub(crate) response: Response<Incoming>,
    sender: Sender,
}

impl Connections {
    /// Connections to `url`, none of them open yet.
    pub(crate) fn new(url: GateUrl, ca: Option<&std::path::Path>) -> Result<Self, Failure> {
        let tls = if url.tls { Some(super::tls::config(ca)?) } else { None };
        let host = HeaderValue::from_str(&url.authority)
            .map_err(|error| Failure::local("The address cannot be used", error))?;
        Ok(Self { url, tls, host, kept: RefCell::default() })
    }

    /// The gate's address.
    pub(crate) fn url(&self) -> &GateUrl {
        &self.url
    }

    /// Sends a request; resolves with the head of the answer.
    pub(crate) async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Exchange, SendError> {
        request.headers_mut().insert(header::HOST, self.host.clone());
        while let Some(mut sender) = self.take() {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(Exchange { response, sender }),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(SendError::Broken(error.into_error().to_string())),
                },
            }
        }
        let mut sender = timeout(CONNECT_TIMEOUT, self.connect())
            .await
            .map_err(|_| SendError::Unreachable("no connection within ten seconds".into()))?
            .map_err(|error| SendError::Unreachable(error.to_string()))?;
        sender
            .try_send_request(request)
            .await
            .map_err(|mut error| match error.take_message() {
                Some(_) => SendError::Unreachable(error.into_error().to_string()),
                None => SendError::Broken(error.into_error().to_string()),
            })
            .map(|response| Exchange { response, sender })
    }

    /// Keeps the connection of an answer that was read to its end.
    pub(crate) fn keep(&self, sender: Sender) {
        let mut kept = self.kept.borrow_mut();
        if kept.len() < KEPT {
            kept.push((Instant::now(), sender));
        }
    }

    fn take(&self) -> Option<Sender> {
        let mut kept = self.kept.borrow_mut();
        kept.retain(|(since, sender)| since.elapsed() < IDLE && !sender.is_closed());
        // One whose answer is not read to its end yet is not ready.
        let ready = kept.iter().rposition(|(_, sender)| sender.is_ready())?;
        Some(kept.swap_remove(ready).1)
    }

    async fn connect(&self) -> Result<Sender, ConnectError> {
        let stream = TcpStream::connect((self.url.host.as_str(), self.url.port)).await?;
        stream.set_nodelay(true)?;
        let Some(config) = &self.tls else {
            return shake(stream).await;
        };
        let name = ServerName::try_from(self.url.host.clone())?;
        let connector = TlsConnector::from(Arc::clone(config));
        shake(connector.connect(name, stream).await?).await
    }
}

impl Exchange {
    /// The answer's head and body, and the connection to give back after the body's end.
    pub(crate) fn into_parts(self) -> (http::response::Parts, Incoming, Sender) {
        let (head, body) = self.response.into_parts();
        (head, body, self.sender)
    }
}

async fn shake<S>(stream: S) -> Result<Sender, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}
