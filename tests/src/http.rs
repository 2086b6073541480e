//! HTTP/1.1 towards a server under test, by hand: one connection, raw requests, answers read exactly.
//!
//! Scenarios, the load generator and the MCP clients of `mcp.rs` use it. It hides nothing: a connection that
//! the server closes is an error here, since what a client sees of a drain or a reload is what is tested.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::client_ca::Shown;

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// Where a server listens, and how.
#[derive(Clone)]
pub struct Target {
    /// `127.0.0.1:PORT`.
    pub address: String,
    /// Sent as `Host`.
    pub host: String,
    /// Without: plain HTTP.
    pub tls: Option<TlsConnector>,
}

impl Target {
    /// Plain HTTP on a loopback port.
    #[must_use]
    pub fn plain(port: u16) -> Self {
        Self { address: format!("127.0.0.1:{port}"), host: format!("localhost:{port}"), tls: None }
    }

    /// TLS on a loopback port with `ca` trusted; no session is resumed, so each connection pays in full.
    ///
    /// # Panics
    /// When `ca` cannot be read.
    #[must_use]
    pub fn tls(port: u16, ca: &Path) -> Self {
        Self::speaking(b"http/1.1", port, ca)
    }

    /// The same, for a client that speaks HTTP/2.
    ///
    /// # Panics
    /// When `ca` cannot be read.
    #[must_use]
    pub fn h2(port: u16, ca: &Path) -> Self {
        Self::speaking(b"h2", port, ca)
    }

    /// The same as [`Target::tls`], with a certificate of its own; sessions are resumed where `resumes`.
    ///
    /// # Panics
    /// When `ca` cannot be read, or the certificate cannot be used.
    #[must_use]
    pub fn showing(port: u16, ca: &Path, shown: &Shown, resumes: bool) -> Self {
        let shown = shown.clone();
        let builder = ClientConfig::builder().with_root_certificates(roots(ca));
        let mut config = builder.with_client_auth_cert(shown.chain, shown.key).expect("a usable certificate");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if !resumes {
            config.resumption = rustls::client::Resumption::disabled();
        }
        Self { tls: Some(TlsConnector::from(Arc::new(config))), ..Self::plain(port) }
    }

    fn speaking(protocol: &[u8], port: u16, ca: &Path) -> Self {
        let mut config = ClientConfig::builder().with_root_certificates(roots(ca)).with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        Self { tls: Some(TlsConnector::from(Arc::new(config))), ..Self::plain(port) }
    }

    /// Opens a connection, TLS included.
    pub async fn connect(&self) -> io::Result<Connection> {
        let socket = TcpStream::connect(&self.address).await?;
        socket.set_nodelay(true)?;
        let wire: Box<dyn Wire> = match &self.tls {
            Some(tls) => Box::new(tls.connect(ServerName::try_from("localhost").expect("a name"), socket).await?),
            None => Box::new(socket),
        };
        Ok(Connection { wire, held: Vec::with_capacity(4096) })
    }
}

fn roots(ca: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).expect("the authority's file") {
        roots.add(certificate.expect("a certificate")).expect("a certificate that can be trusted");
    }
    roots
}

/// One connection; requests on it follow each other.
pub struct Connection {
    wire: Box<dyn Wire>,
    /// Read and not yet used.
    held: Vec<u8>,
}

/// The head of an answer.
#[derive(Debug, Clone)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// Names in lower case, in the order of arrival.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// The first value of a header; `name` in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Whether the body is a stream of events.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"))
    }

    /// Whether the server closes the connection after this answer.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Whether the body's length is told piece by piece.
    #[must_use]
    pub fn is_chunked(&self) -> bool {
        self.header("transfer-encoding") == Some("chunked")
    }
}

/// Raw bytes of a request with a body.
#[must_use]
pub fn request(method: &str, path: &str, host: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let length = body.len().to_string();
    let mut raw = [method, " ", path, " HTTP/1.1\r\nHost: ", host, "\r\nContent-Length: ", &length, "\r\n"].concat();
    for (name, value) in headers {
        raw.extend([name, ": ", value, "\r\n"]);
    }
    raw.push_str("\r\n");
    [raw.as_bytes(), body].concat()
}

impl Connection {
    /// Over a Unix socket.
    pub async fn unix(path: &Path) -> io::Result<Self> {
        let wire = Box::new(tokio::net::UnixStream::connect(path).await?);
        Ok(Self { wire, held: Vec::new() })
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, raw: &[u8]) -> io::Result<()> {
        self.wire.write_all(raw).await?;
        self.wire.flush().await
    }

    /// Says that nothing more is sent.
    pub async fn finish(&mut self) -> io::Result<()> {
        self.wire.shutdown().await
    }

    /// What was read and not used; what is used is to be taken out.
    pub fn held(&mut self) -> &mut Vec<u8> {
        &mut self.held
    }

    /// Reads more; the other side's end is an error.
    pub async fn receive(&mut self) -> io::Result<()> {
        self.fill().await
    }

    /// Reads until the other side closes, however it does; all that was not used.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await.is_ok() {}
        std::mem::take(&mut self.held)
    }

    /// Sends `raw` and reads the whole answer.
    pub async fn exchange(&mut self, raw: &[u8]) -> io::Result<(Head, Vec<u8>)> {
        let head = self.begin(raw).await?;
        let body = self.body(&head).await?;
        Ok((head, body))
    }

    /// Sends `raw` and reads the head of the answer.
    pub async fn begin(&mut self, raw: &[u8]) -> io::Result<Head> {
        self.send(raw).await?;
        self.head().await
    }

    /// Reads the head of an answer.
    pub async fn head(&mut self) -> io::Result<Head> {
        loop {
            if let Some(head) = self.parse_head()? {
                return Ok(head);
            }
            self.fill().await?;
        }
    }

    /// Reads the rest of an answer that ends.
    pub async fn body(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        if head.is_chunked() {
            let mut body = Vec::new();
            while let Some(chunk) = self.chunk().await? {
                body.extend_from_slice(&chunk);
            }
            return Ok(body);
        }
        let length = head.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        self.take(length).await
    }

    /// The data of the next event of a stream that has some; none at the stream's end.
    pub async fn event(&mut self, stream: &mut EventStream) -> io::Result<Option<String>> {
        while let Some(event) = self.whole_event(stream).await? {
            if !event.data.is_empty() {
                return Ok(Some(event.data));
            }
        }
        Ok(None)
    }

    /// The next event of a stream that has data or an id; none at the stream's end.
    pub async fn whole_event(&mut self, stream: &mut EventStream) -> io::Result<Option<Event>> {
        loop {
            if let Some(event) = stream.next_whole() {
                return Ok(Some(event));
            }
            match self.chunk().await? {
                Some(chunk) => stream.text.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }

    fn parse_head(&mut self) -> io::Result<Option<Head>> {
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut answer = httparse::Response::new(&mut fields);
        let parsed = answer.parse(&self.held).map_err(|error| io::Error::other(format!("bad head: {error}")))?;
        let httparse::Status::Complete(length) = parsed else {
            return Ok(None);
        };
        let headers = answer
            .headers
            .iter()
            .map(|field| (field.name.to_ascii_lowercase(), String::from_utf8_lossy(field.value).into_owned()))
            .collect();
        let head = Head { status: answer.code.unwrap_or(0), headers };
        self.held.drain(..length);
        Ok(Some(head))
    }

    /// The next piece of a body that is told piece by piece; none at its end.
    pub async fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let end = loop {
            match self.held.windows(2).position(|pair| pair == b"\r\n") {
                Some(end) => break end,
                None => self.fill().await?,
            }
        };
        let line = String::from_utf8_lossy(&self.held[..end]).into_owned();
        let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)
            .map_err(|_| io::Error::other(format!("bad chunk size {line:?}")))?;
        self.held.drain(..end + 2);
        let mut chunk = self.take(size + 2).await?;
        chunk.truncate(size);
        Ok(if size == 0 { None } else { Some(chunk) })
    }

    async fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.held.len() < length {
            self.fill().await?;
        }
        Ok(self.held.drain(..length).collect())
    }

    async fn fill(&mut self) -> io::Result<()> {
        match self.wire.read_buf(&mut self.held).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// An event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: Option<String>,
    /// Its data; empty where it has none.
    pub data: String,
}

/// What was read of an event stream and not yet returned.
#[derive(Debug, Default)]
pub struct EventStream {
    text: Vec<u8>,
}

impl EventStream {
    /// A stream that is all here already.
    #[must_use]
    pub fn of(text: Vec<u8>) -> Self {
        Self { text }
    }

    /// The data of the next whole event; comments and events without data are skipped.
    pub fn next_event(&mut self) -> Option<String> {
        std::iter::from_fn(|| self.next_whole()).map(|event| event.data).find(|data| !data.is_empty())
    }

    /// The next event that has data or an id.
    pub fn next_whole(&mut self) -> Option<Event> {
        loop {
            let normal = self.text.windows(2).position(|pair| pair == b"\n\n").map(|at| (at, 2));
            let crlf = self.text.windows(4).position(|quad| quad == b"\r\n\r\n").map(|at| (at, 4));
            let (at, width) = [normal, crlf].into_iter().flatten().min()?;
            let event: Vec<u8> = self.text.drain(..at + width).collect();
            let event = String::from_utf8_lossy(&event).into_owned();
            let data: Vec<&str> =
                event.lines().filter_map(|line| line.strip_prefix("data:")).map(without_space).collect();
            let data = data.join("\n");
            let id = event.lines().find_map(|line| line.strip_prefix("id:")).map(without_space).map(ToOwned::to_owned);
            if !data.is_empty() || id.is_some() {
                return Some(Event { id, data });
            }
        }
    }
}

/// The value of a field: one space in front of it belongs to the format, further ones to the value.
fn without_space(value: &str) -> &str {
    value.strip_prefix(' ').unwrap_or(value)
}
