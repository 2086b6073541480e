//! A gate with listeners and nothing behind them, for tests of the front door.
//!
//! Requests to the listener [`STAND_IN`] are answered here, so that these tests hold whatever the
//! pipeline does.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::client::TlsStream;
use toolgate_protocol::forwarded::Header;

use super::Listeners;
use super::bind::Passed;
use super::connection::Connection;
use super::framing::refusal_in;
use super::open::OpenListener;
use crate::body::Body;
use crate::config::Settings;
use crate::config::settings::*;
use crate::cores::Cores;
use crate::policy::Policy;

/// The listener whose requests are answered by [`serve`].
pub(crate) const STAND_IN: &str = "stand-in";

/// Nothing in a test takes longer than this unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Requests that [`serve`] was asked for with `/smuggled`.
pub(crate) static SMUGGLED: AtomicU64 = AtomicU64::new(0);

/// `/peer` says whose connection it is, `/echo` sends the body back, `/slow` takes its time, `/early` ignores the body, `/panic` panics, `/large` is
/// 16 MiB, everything else is `ok`.
pub(crate) async fn serve(connection: &Connection, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    match head.uri.path() {
        "/peer" => Response::new(Body::from(format!("{} {}", connection.peer, connection.local))),
        "/echo" => match body.collect().await {
            Ok(body) => Response::new(Body::from(body.to_bytes())),
            Err(error) => {
                let refusal = refusal_in(&error).map_or("none", |refusal| refusal.code());
                let mut response = Response::new(Body::from(format!("broken: {refusal}")));
                *response.status_mut() = StatusCode::BAD_REQUEST;
                response
            }
        },
        "/slow" => {
            sleep(Duration::from_millis(600)).await;
            Response::new(Body::from("slow"))
        }
        "/panic" => panic!("a rehearsal outside of calls"),
        "/large" => Response::new(Body::from(vec![b'x'; 16 << 20])),
        "/smuggled" => {
            SMUGGLED.fetch_add(1, Ordering::Relaxed);
            Response::new(Body::from("smuggled"))
        }
        _ => Response::new(Body::from("ok")),
    }
}

/// Small bounds, long deadlines.
pub(crate) fn bounds() -> Bounds {
    Bounds {
        head_bytes: 4096,
        headers: 20,
        uri_bytes: 256,
        body_bytes: 1 << 20,
        head_timeout: PATIENCE,
        body_timeout: PATIENCE,
        keep_alive: PATIENCE,
        connections: 1000,
        connections_per_address: 1000,
        streams: 100,
    }
}

/// A plain listener on a free loopback port.
pub(crate) fn listener(name: &str) -> Listener {
    Listener {
        name: name.into(),
        addresses: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        serve: Serve::default(),
        allow: None,
        trusted_proxies: Vec::new(),
        address_header: Header::default(),
        proxy_protocol: false,
        hosts: Vec::new(),
        origins: Vec::new(),
        resource: None,
        auth: Vec::new(),
        tls: None,
        any_certificate: false,
        redirect_to_https: None,
        key_in_path: false,
        lenient: false,
        compression: Vec::new(),
        refusal_status: RefusalStatus::Auto,
        rate_headers: false,
        bounds: bounds(),
        security_headers: vec![("x-frame-options".into(), "DENY".into())],
        limits: Vec::new(),
    }
}

pub(crate) fn settings(listeners: Vec<Listener>) -> Settings {
    Settings {
        overload: None,
        revision: 1,
        origin: Origin::Files,
        files: Vec::new(),
        listeners: listeners.into_iter().map(Arc::new).collect(),
        servers: BTreeMap::new(),
        profiles: BTreeMap::new(),
        keys: BTreeMap::new(),
        tiers: BTreeMap::new(),
        limits: Vec::new(),
        loops: Loops::default(),
        daemon: Daemon {
            cores: 2,
            runtime_dir: PathBuf::new(),
            state_dir: PathBuf::new(),
            on_bad_config: OnBadConfig::LastGood,
            drain_timeout: Duration::from_secs(10),
            lame_duck: Duration::from_millis(300),
            max_connections: 10_000,
            max_server_connections: 500,
            max_answer_memory: 1 << 28,
            max_sessions: 1000,
            max_sessions_per_client: 1000,
            session_timeout: PATIENCE,
        },
        log: Log { level: "info".into(), format: LogFormat::Auto, access: false, files: None, rotate: Rotate::Size },
        warnings: Vec::new(),
        ..crate::config::from_text("version = 1").expect("what holds where nothing is written")
    }
}

/// Listeners on two cores.
pub(crate) struct Gate {
    pub(crate) settings: Arc<ArcSwap<Settings>>,
    pub(crate) cores: Cores,
    pub(crate) listeners: Listeners,
}

impl Gate {
    pub(crate) fn start(settings: Settings) -> Self {
        let policy = Policy::new(Arc::new(settings), None).expect("a policy");
        let gate = crate::gate::Gate::new(policy);
        let cores = Cores::start(2, &gate).expect("cores start");
        let settings = Arc::clone(&gate.settings);
        let listeners = Listeners::open(&settings, &cores, &mut Passed::default()).expect("listeners open");
        Self { settings, cores, listeners }
    }

    /// One listener, answered by [`serve`].
    pub(crate) fn with(change: impl FnOnce(&mut Listener)) -> Self {
        let mut listener = listener(STAND_IN);
        change(&mut listener);
        Self::start(settings(vec![listener]))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listeners.addresses(STAND_IN)[0]
    }

    pub(crate) fn listener(&self) -> &Arc<OpenListener> {
        self.listeners.all().find(|(name, _)| *name == STAND_IN).expect("it was opened").1
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.expect("connected")
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.listeners.stop_accepting();
        self.cores.stop();
    }
}

/// Polls until `done`, or fails.
pub(crate) async fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let poll = async {
        while !done() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, poll).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Sends, and reads until the other side closes. A reset is an error.
pub(crate) async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> io::Result<String> {
    stream.write_all(bytes).await?;
    rest(stream).await
}

/// Reads until the other side closes.
pub(crate) async fn rest<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<String> {
    let mut read = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut read)).await.expect("closed in time")?;
    Ok(String::from_utf8_lossy(&read).into_owned())
}

/// Reads one answer with a length: status, whether it closes the connection, body.
pub(crate) async fn answer<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<(u16, bool, String)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next());
    let mut body = vec![0; length.and_then(|length| length.parse().ok()).unwrap_or(0)];
    stream.read_exact(&mut body).await?;
    Ok((status, head.contains("connection: close"), String::from_utf8_lossy(&body).into_owned()))
}

/// A certificate for `names`, self-signed, written to `folder/NAME.pem` and `folder/NAME.key`.
pub(crate) fn certificate(folder: &Path, file: &str, names: &[&str]) -> CertificateFiles {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let files = CertificateFiles { chain: folder.join(format!("{file}.pem")), key: folder.join(format!("{file}.key")) };
    std::fs::write(&files.chain, made.cert.pem()).expect("written");
    std::fs::write(&files.key, made.signing_key.serialize_pem()).expect("written");
    files
}

pub(crate) fn tls(certificates: Vec<CertificateFiles>) -> Tls {
    Tls {
        certificates,
        self_signed: None,
        clients: None,
        min_version: TlsVersion::V1_2,
        tickets: true,
        session_timeout: Duration::from_secs(86_400),
        handshake_timeout: PATIENCE,
    }
}

/// A client's configuration that trusts the certificates in these files.
pub(crate) fn client(trusted: &[&CertificateFiles], alpn: &[&str]) -> rustls::ClientConfig {
    client_of(rustls::ALL_VERSIONS, trusted, alpn)
}

/// The same, speaking only these versions.
pub(crate) fn client_of(
    versions: &[&'static rustls::SupportedProtocolVersion],
    trusted: &[&CertificateFiles],
    alpn: &[&str],
) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    for files in trusted {
        let pem = std::fs::read(&files.chain).expect("a chain");
        roots.add(CertificateDer::from_pem_slice(&pem).expect("PEM")).expect("a root");
    }
    let mut config = rustls::ClientConfig::builder_with_provider(super::tls::provider())
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// A handshake that asks for `name`.
pub(crate) async fn handshake(
    address: SocketAddr,
    config: &Arc<rustls::ClientConfig>,
    name: &str,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    tokio_rustls::TlsConnector::from(config.clone()).connect(name, stream).await
}
