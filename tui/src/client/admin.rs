//! The client of the admin sockets.
//!
//! One connection per client; reads prefer the view socket, changes need the control socket. The
//! daemon's version is asked for first, so that a mismatch is named and not guessed.

mod stream;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;
use toolgate_admin_api::{API_MINIMUM, API_VERSION, ApiError, Exit, Socket, Version};

use crate::failure::Failure;
pub(crate) use stream::LineStream;

/// For the connection and for reads.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// For changes, which may wait for one another.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(120);

/// The largest answer that is read.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;

/// A connection to a daemon's admin socket.
#[derive(Debug)]
pub(crate) struct AdminClient {
    path: PathBuf,
    sender: SendRequest<Full<Bytes>>,
}

/// The body of a successful answer.
#[derive(Debug)]
pub(crate) struct Answer(Bytes);

impl Answer {
    /// The JSON as the daemon sent it, fields that this build does not know included.
    pub(crate) fn json(&self) -> &[u8] {
        &self.0
    }

    /// The typed value.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.0).map_err(|error| {
            Failure::new(Exit::Failed, format!("The daemon's answer cannot be read: {error}."))
                .remedy("Use the toolgate of the daemon's version.")
        })
    }
}

impl AdminClient {
    /// Connects for reading: to the view socket, or to the control socket where only that is allowed.
    pub(crate) async fn view(runtime_dir: &Path) -> Result<Self, Failure> {
        match Self::connect(runtime_dir, Socket::View).await {
            Err(view) if view.exit == Exit::Denied => {
                Self::connect(runtime_dir, Socket::Control).await.map_err(|_| view)
            }
            connected => connected,
        }
    }

    /// Connects for changes.
    pub(crate) async fn control(runtime_dir: &Path) -> Result<Self, Failure> {
        Self::connect(runtime_dir, Socket::Control).await
    }

    async fn connect(runtime_dir: &Path, socket: Socket) -> Result<Self, Failure> {
        let path = socket.path(runtime_dir);
        let stream = timeout(READ_TIMEOUT, UnixStream::connect(&path))
            .await
            .map_err(|_| silent(&path))?
            .map_err(|error| unreachable(&path, socket, &error))?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&path, &error))?;
        tokio::spawn(connection);
        let mut client = Self { path, sender };
        client.compare_versions().await?;
        Ok(client)
    }

    async fn compare_versions(&mut self) -> Result<(), Failure> {
        let daemon: Version = self.get("/v1/version").await?.read()?;
        if daemon.api < API_MINIMUM {
            return Err(mismatch(&daemon, "daemon"));
        }
        if daemon.api_minimum > API_VERSION {
            return Err(mismatch(&daemon, "toolgate command"));
        }
        Ok(())
    }

    /// Reads a route.
    pub(crate) async fn get(&mut self, route: &str) -> Result<Answer, Failure> {
        let request = Request::get(route).body(Full::default());
        self.send(request, READ_TIMEOUT).await
    }

    /// Reads a route whose answer the daemon has to fetch first.
    pub(crate) async fn get_slowly(&mut self, route: &str) -> Result<Answer, Failure> {
        let request = Request::get(route).body(Full::default());
        self.send(request, CHANGE_TIMEOUT).await
    }

    /// Asks for a change, for the running revision `if_match` where given.
    pub(crate) async fn post(
        &mut self,
        route: &str,
        body: &impl Serialize,
        if_match: Option<u64>,
    ) -> Result<Answer, Failure> {
        self.change(Method::POST, route, body, if_match).await
    }

    /// Sets something.
    pub(crate) async fn put(
        &mut self,
        route: &str,
        body: &impl Serialize,
        if_match: Option<u64>,
    ) -> Result<Answer, Failure> {
        self.change(Method::PUT, route, body, if_match).await
    }

    /// Takes something away.
    pub(crate) async fn delete(
        &mut self,
        route: &str,
        body: &impl Serialize,
        if_match: Option<u64>,
    ) -> Result<Answer, Failure> {
        self.change(Method::DELETE, route, body, if_match).await
    }

    /// Asks for a change by any method.
    pub(crate) async fn change(
        &mut self,
        method: Method,
        route: &str,
        body: &impl Serialize,
        if_match: Option<u64>,
    ) -> Result<Answer, Failure> {
        let body = serde_json::to_vec(body).map_err(|error| Failure::local("The request cannot be written", error))?;
        let mut request = Request::builder().method(method).uri(route).header(header::CONTENT_TYPE, "application/json");
        if let Some(revision) = if_match {
            request = request.header(header::IF_MATCH, format!("\"{revision}\""));
        }
        self.send(request.body(Full::new(Bytes::from(body))), CHANGE_TIMEOUT).await
    }

    async fn send(
        &mut self,
        request: http::Result<Request<Full<Bytes>>>,
        deadline: Duration,
    ) -> Result<Answer, Failure> {
        let mut request = request.map_err(|error| Failure::local("The request cannot be made", error))?;
        request.headers_mut().insert(header::HOST, header::HeaderValue::from_static("toolgate"));
        let (status, body) = timeout(deadline, self.exchange(request))
            .await
            .map_err(|_| silent(&self.path))?
            .map_err(|error| broken(&self.path, error.as_ref()))?;
        if status.is_success() {
            return Ok(Answer(body));
        }
        let error: ApiError = serde_json::from_slice(&body)
            .map_err(|_| Failure::new(Exit::Failed, format!("{} answers {status}.", self.path.display())))?;
        Err(error.into())
    }

    async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<(http::StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await?;
        Ok((status, body.to_bytes()))
    }
}

fn unreachable(path: &Path, socket: Socket, error: &io::Error) -> Failure {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            let group = socket.group();
            Failure::new(Exit::Denied, format!("You may not connect to {shown}.")).remedy(format!(
                "Join the group {group} (`sudo usermod -aG {group} $USER`, then log in again), or use sudo."
            ))
        }
        io::ErrorKind::NotFound => {
            Failure::new(Exit::Unreachable, format!("No daemon is at {shown}: there is no such socket."))
                .remedy("Start it (`systemctl start toolgated`), or name its runtime folder with --socket-dir.")
        }
        io::ErrorKind::ConnectionRefused => {
            Failure::new(Exit::Unreachable, format!("Nobody answers at {shown}: the daemon has ended."))
                .remedy("`systemctl status toolgated` and `journalctl -u toolgated` say why.")
        }
        _ => Failure::new(Exit::Unreachable, format!("{shown} cannot be reached: {error}.")),
    }
}

fn silent(path: &Path) -> Failure {
    let message = format!("The daemon at {} does not answer in time.", path.display());
    Failure::new(Exit::Unreachable, message).remedy("`journalctl -u toolgated` may say why.")
}

fn broken(path: &Path, error: &dyn std::error::Error) -> Failure {
    let message = format!("The connection to {} broke off: {error}.", path.display());
    Failure::new(Exit::Unreachable, message).remedy("`journalctl -u toolgated` may say why.")
}

fn mismatch(daemon: &Version, older: &str) -> Failure {
    let message = format!(
        "The daemon is version {} and this command is {}; they share no interface.",
        daemon.version,
        env!("CARGO_PKG_VERSION")
    );
    Failure::new(Exit::Failed, message).remedy(format!("Upgrade the {older}."))
}
