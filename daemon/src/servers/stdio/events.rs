//! Sessions at a server over HTTP+SSE (2024-11-05): a stream that says where messages are posted, and their answers.
//!
//! To the pool a session is an instance: opening the stream starts it, closing it ends it, and messages pass as lines.
//! Must hold: what the server announces leads to its own origin, with its own credential, and nowhere else.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::connection::{Incoming, OpenCause, OpenError, Writer};
use super::writer::Lines;
use crate::config::settings::{self, Endpoint, Http};
use crate::config::url;
use crate::servers::connections::Connections;
use crate::servers::credentials::Credential;
use crate::servers::http::{HttpClient, HttpServer, Method, Outgoing};
use crate::servers::http_reply::MAX_MESSAGE;
use crate::servers::http_stream::Open;
use crate::servers::readable::Readable;

/// How long a session that is ended may still answer what it was asked; as long as an instance may take.
const GRACE: Duration = Duration::from_secs(2);
/// Messages of a session that wait for their readers.
const UNREAD: usize = 64;

/// A server over SSE.
#[derive(Debug)]
pub struct Events {
    name: Arc<str>,
    server: Arc<HttpServer>,
    endpoints: Vec<Endpoint>,
    next: AtomicUsize,
    /// What the server is shown, where that may change while it runs.
    credential: Option<Arc<Credential>>,
}

/// Where a session's messages are posted.
struct Post {
    name: Arc<str>,
    credential: Option<Arc<Credential>>,
    client: HttpClient,
    endpoint: usize,
    target: String,
}

impl Events {
    /// Prepares what does not depend on a session. The error is a sentence that says what to do.
    pub fn new(settings: &settings::Server, http: &Http, all: &Arc<Connections>) -> Result<Self, String> {
        let (server, credential) = if settings.access.is_fixed() {
            (HttpServer::new(http, &settings.timeout, 1, all)?, None)
        } else {
            let credential = Credential::of_server(settings, http)?;
            (HttpServer::bare(http, &settings.timeout, 1, all)?, Some(Arc::new(credential)))
        };
        let name = settings.name.as_str().into();
        Ok(Self { name, server, endpoints: http.endpoints.clone(), next: AtomicUsize::new(0), credential })
    }

    /// Other times for its connections, which go on.
    pub fn follow(&self, bounds: &settings::Pool) {
        self.server.follow(bounds);
    }

    /// What the server is shown, where that may change while it runs.
    pub fn credential(&self) -> Option<&Credential> {
        self.credential.as_deref()
    }

    /// Opens a session at each endpoint in turn; both ends of it stay on this core.
    pub async fn open(&self, patience: Duration) -> Result<(Incoming, Writer), OpenError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed) % self.endpoints.len();
        let endpoint = &self.endpoints[number];
        let failed = |cause| OpenError { path: PathBuf::from(&endpoint.url), cause };
        let client = showing(self.server.apart(), self.credential.as_deref());
        let opening = timeout(patience, self.announced(&client, number));
        let (stream, data) = match opening.await {
            Ok(opened) => opened.map_err(|why| failed(OpenCause::Events(why)))?,
            Err(_) => return Err(failed(OpenCause::Events("the stream names no URL in time".to_owned()))),
        };
        let target = target(endpoint, &data).ok_or_else(|| {
            failed(OpenCause::Events("the stream names a URL that is not of the server's own origin".to_owned()))
        })?;
        let (writer, lines) = Writer::queue();
        let (said, messages) = mpsc::channel(UNREAD);
        let (name, credential) = (Arc::clone(&self.name), self.credential.clone());
        let post = Post { name, credential, client, endpoint: number, target };
        let ended = writer.ended();
        tokio::task::spawn_local(async move {
            let posted = async {
                if post.all(lines).await {
                    sleep(GRACE).await;
                }
            };
            // Whichever ends first takes the others along, and the session with them.
            tokio::select! {
                () = read(stream, &post.name, said) => {}
                () = posted => {}
                // A server that takes no message must not keep its session from being ended.
                () = async { ended.await; sleep(GRACE).await } => {}
            }
        });
        Ok((Incoming::Events(messages), writer))
    }

    /// The open stream, and the URL that its first event names.
    async fn announced(&self, client: &HttpClient, endpoint: usize) -> Result<(Open, String), String> {
        let headers: &[(&str, &[u8])] = &[("accept", b"text/event-stream"), ("cache-control", b"no-cache")];
        let request = Outgoing { method: Method::Get, endpoint, headers, target: None, body: &[], first_byte: None };
        // It is bounded as a session is.
        let answer = client.clone().aside().send(request).await.map_err(|problem| problem.to_string())?;
        if answer.status != 200 {
            return Err(format!("the stream is refused with status {}", answer.status));
        }
        let body = Readable::new(&answer.headers, answer.body).map_err(|problem| problem.to_string())?;
        let mut stream = Open::new(body, MAX_MESSAGE);
        while let Some(event) = stream.next(&self.name).await {
            if event.event.as_deref() == Some("endpoint") {
                return Ok((stream, String::from_utf8_lossy(&event.data).into_owned()));
            }
        }
        Err("the stream ended before it named a URL".to_owned())
    }
}

/// With what the server is shown now.
fn showing(client: HttpClient, credential: Option<&Credential>) -> HttpClient {
    match credential {
        None => client,
        Some(credential) => client.showing(credential.proofs()),
    }
}

/// Hands on what the server says, until it or whoever reads is gone.
async fn read(mut stream: Open, name: &str, said: mpsc::Sender<Bytes>) {
    while let Some(event) = stream.next(name).await {
        let is_message = event.event.as_deref().is_none_or(|kind| kind == "message");
        if is_message && !event.data.is_empty() && said.send(event.data).await.is_err() {
            return;
        }
    }
}

impl Post {
    /// Posts each message. `false` when the server took one no more, `true` when there are no more of them.
    async fn all(&self, mut lines: Lines) -> bool {
        while let Some(queued) = lines.recv().await {
            if let Err(why) = self.one(&queued.line).await {
                debug!(server = &*self.name, why, "a session over SSE ends: a message was not taken");
                return false;
            }
        }
        true
    }

    async fn one(&self, message: &[u8]) -> Result<(), String> {
        let request = Outgoing {
            method: Method::Post,
            endpoint: self.endpoint,
            headers: &[("content-type", b"application/json")],
            target: Some(&self.target),
            body: &[message],
            first_byte: None,
        };
        let client = showing(self.client.clone(), self.credential.as_deref());
        let answer = client.send(request).await.map_err(|problem| problem.to_string())?;
        match answer.status {
            200..=299 => Ok(()),
            status => Err(format!("status {status}")),
        }
    }
}

/// Path and query of the URL that a stream names; `None` where that is not of the endpoint's origin.
fn target(endpoint: &Endpoint, named: &str) -> Option<String> {
    let named = named.split('#').next().unwrap_or_default();
    if named.contains("://") && !named.starts_with(['/', '?']) {
        let other = url::endpoint(named).ok()?;
        let same =
            other.tls == endpoint.tls && other.port == endpoint.port && other.host.eq_ignore_ascii_case(&endpoint.host);
        return same.then_some(other.path);
    }
    // Another host by another spelling: RFC 3986 section 4.2, and what browsers make of a backslash.
    if named.is_empty() || named.starts_with("//") || named.contains('\\') {
        return None;
    }
    if named.starts_with('/') {
        return Some(named.to_owned());
    }
    let path = endpoint.path.split('?').next().unwrap_or("/");
    if named.starts_with('?') {
        return Some(format!("{path}{named}"));
    }
    let folder = path.rfind('/').map_or("/", |end| &path[..=end]);
    // A scheme without an authority, as in `data:x`, is no path.
    let first = named.split(['/', '?']).next().unwrap_or_default();
    (!first.contains(':')).then(|| format!("{folder}{named}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_posted_to_the_server_s_own_origin_only() {
        let endpoint = url::endpoint("http://tools.example:8080/a/sse?x=1").unwrap();
        for (named, wanted) in [
            ("/messages?id=1", Some("/messages?id=1")),
            ("/messages?to=http://b/", Some("/messages?to=http://b/")),
            ("messages?id=1", Some("/a/messages?id=1")),
            ("?id=1", Some("/a/sse?id=1")),
            ("http://tools.example:8080/m?id=1#x", Some("/m?id=1")),
            ("HTTP://TOOLS.example:8080/m", Some("/m")),
            ("http://tools.example/m", None),
            ("https://tools.example:8080/m", None),
            ("http://169.254.169.254:8080/m", None),
            ("http://tools.example:8080@evil.example/m", None),
            ("//evil.example/m", None),
            ("/\\evil.example/m", None),
            ("file:///etc/passwd", None),
            ("data:x", None),
            ("", None),
        ] {
            assert_eq!(target(&endpoint, named).as_deref(), wanted, "{named}");
        }
    }
}
