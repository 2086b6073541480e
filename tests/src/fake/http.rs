//! The fake over Streamable HTTP, within the scenario's own process.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::record::Record;
use crate::provider::Living;

use super::{Fake, Incoming, Said, Speaks, lock};

/// Tokens of which each request must show one, where any are demanded.
type Demanded = Arc<Mutex<Option<Living>>>;

/// A running server.
#[derive(Debug)]
pub struct Http {
    /// What reached it.
    pub record: Record,
    /// Where it is.
    pub url: String,
    fake: Arc<Fake>,
    sessions: Arc<Mutex<HashSet<String>>>,
    demanded: Demanded,
    task: tokio::task::JoinHandle<()>,
    connections: Arc<Mutex<JoinSet<()>>>,
}

impl Http {
    /// Starts a server on a free port.
    ///
    /// # Panics
    /// When there is none.
    pub async fn start(speaks: Speaks) -> Self {
        Self::start_at(speaks, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts a server at this address.
    ///
    /// # Panics
    /// When it is taken.
    pub async fn start_at(speaks: Speaks, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("a port");
        let url = format!("http://{}/mcp", listener.local_addr().expect("its address"));
        let record = Record::create();
        let fake = Arc::new(Fake::new(speaks, record.clone()));
        let sessions = Arc::<Mutex<HashSet<String>>>::default();
        let (known, shared) = (Arc::clone(&sessions), Arc::clone(&fake));
        let demanded = Demanded::default();
        let demands = Arc::clone(&demanded);
        let connections = Arc::<Mutex<JoinSet<()>>>::default();
        let opened = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (fake, sessions) = (Arc::clone(&shared), Arc::clone(&known));
                let server = Server { fake, sessions, demanded: Arc::clone(&demands) };
                // A client that goes away in the middle is its own business.
                lock(&opened).spawn(async move { drop(server.serve(socket).await) });
            }
        });
        Self { record, url, fake, sessions, demanded, task, connections }
    }

    /// The line of its table that says where it is.
    #[must_use]
    pub fn endpoints(&self) -> String {
        format!("endpoints = [{:?}]\n", self.url)
    }

    /// Takes so many milliseconds for every answer from now on.
    pub fn slow_down(&self, milliseconds: u64) {
        self.fake.delay.store(milliseconds, Ordering::Relaxed);
    }

    /// Answers 401 from now on to whoever does not show one of these tokens.
    pub fn demand(&self, tokens: &Living) {
        *lock(&self.demanded) = Some(Arc::clone(tokens));
    }

    /// Forgets every session, as a restart does.
    pub fn forget_sessions(&self) {
        lock(&self.sessions).clear();
    }

    /// Ends every stream for what belongs to no request.
    pub fn cut_streams(&self) {
        lock(&self.fake.streams).retain(|(subscription, _)| subscription.is_some());
    }

    /// Is gone, with all its connections, as a process that was killed.
    pub fn kill(&self) {
        self.stop();
        lock(&self.connections).abort_all();
    }

    /// Listens no more.
    pub fn stop(&self) {
        self.task.abort();
    }
}

struct Server {
    fake: Arc<Fake>,
    sessions: Arc<Mutex<HashSet<String>>>,
    demanded: Demanded,
}

pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: Value,
    pub(crate) body: String,
}

impl Server {
    async fn serve(self, mut socket: TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        let mut held = Vec::new();
        while let Some(request) = read_request(&mut socket, &mut held).await? {
            let who = request.headers["mcp-session-id"].as_str().unwrap_or_default();
            if !self.is_taken(&request) {
                self.fake.record.write(who, &request.headers, r#"{"refused":401}"#);
                socket.write_all(&plain(401, "WWW-Authenticate: Bearer\r\n", "")).await?;
                continue;
            }
            let noted = if request.body.is_empty() {
                json!({"http": request.method}).to_string()
            } else {
                request.body.clone()
            };
            self.fake.record.write(who, &request.headers, &noted);
            if !who.is_empty() && !lock(&self.sessions).contains(who) {
                socket.write_all(&plain(404, "", "no such session")).await?;
                continue;
            }
            match request.method.as_str() {
                "GET" => return self.stream(socket, who).await,
                "DELETE" => {
                    lock(&self.sessions).remove(who);
                    socket.write_all(&plain(200, "", "")).await?;
                }
                _ => self.post(&mut socket, &request, who).await?,
            }
        }
        Ok(())
    }

    fn is_taken(&self, request: &Request) -> bool {
        let Some(living) = lock(&self.demanded).clone() else { return true };
        let token = request.headers["authorization"].as_str().and_then(|value| value.strip_prefix("Bearer "));
        token.is_some_and(|token| lock(&living).contains(token))
    }

    async fn post(&self, socket: &mut TcpStream, request: &Request, who: &str) -> io::Result<()> {
        let incoming: Incoming = serde_json::from_str(&request.body).unwrap_or_default();
        let (out, mut said) = mpsc::unbounded_channel();
        let (Some(id), Some(method)) = (incoming.id, incoming.method) else {
            self.fake.take(&request.body, &out).await;
            return socket.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n").await;
        };
        let mut session = String::new();
        if method == "initialize" {
            let id = format!("fake-{}", self.fake.mint());
            session = format!("Mcp-Session-Id: {id}\r\n");
            lock(&self.sessions).insert(id);
        }
        let (fake, body) = (Arc::clone(&self.fake), request.body.clone());
        let mut work = Box::pin(async move { fake.take(&body, &out).await });
        let (mut streaming, mut worked, mut scratch) = (false, false, [0; 64]);
        loop {
            let next = tokio::select! {
                () = &mut work, if !worked => {
                    worked = true;
                    continue;
                }
                next = said.recv() => next,
                read = socket.read(&mut scratch) => {
                    if read.unwrap_or(0) == 0 {
                        self.fake.record.write(who, &request.headers, &json!({"closed": &id}).to_string());
                        return Err(io::ErrorKind::ConnectionAborted.into());
                    }
                    continue;
                }
            };
            match next {
                None if streaming => return socket.write_all(b"0\r\n\r\n").await,
                None => return socket.write_all(&plain(202, "", "")).await,
                Some(Said::Status(status, text)) => return socket.write_all(&plain(status, "", &text)).await,
                Some(Said::Raw(bytes)) => socket.write_all(&bytes).await?,
                Some(Said::Body(media_type, bytes)) => return socket.write_all(&whole(&media_type, &bytes)).await,
                Some(Said::End) => return Err(io::ErrorKind::ConnectionAborted.into()),
                Some(Said::Message(text)) if !streaming && is_response(&text) => {
                    let status = status_of(&text, request.headers["mcp-protocol-version"] == "2026-07-28");
                    return socket.write_all(&plain(status, &session, &text)).await;
                }
                Some(Said::Message(text)) => {
                    if !streaming {
                        socket.write_all(&stream_head(&session)).await?;
                        streaming = true;
                    }
                    socket.write_all(&event(&text)).await?;
                }
            }
        }
    }

    /// The stream for what belongs to no request.
    async fn stream(&self, mut socket: TcpStream, who: &str) -> io::Result<()> {
        let (out, mut said) = mpsc::unbounded_channel();
        lock(&self.fake.streams).push((None, out));
        socket.write_all(&stream_head("")).await?;
        let mut scratch = [0; 64];
        loop {
            tokio::select! {
                next = said.recv() => match next {
                    Some(Said::Message(text)) => socket.write_all(&event(&text)).await?,
                    _ => return Ok(()),
                },
                _ = socket.read(&mut scratch) => {
                    self.fake.record.write(who, &json!({}), r#"{"closed":"stream"}"#);
                    return Ok(());
                }
            }
        }
    }
}

fn is_response(text: &str) -> bool {
    let message: Value = serde_json::from_str(text).unwrap_or_else(|_| json!({"id": 0}));
    message.get("method").is_none()
}

fn status_of(text: &str, modern: bool) -> u16 {
    let message: Value = serde_json::from_str(text).unwrap_or_default();
    match message["error"]["code"].as_i64() {
        Some(-32601) if modern => 404,
        Some(-32022..=-32020) => 400,
        _ => 200,
    }
}

pub(crate) fn plain(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let retry = if status == 429 { "Retry-After: 7\r\n" } else { "" };
    format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{headers}{retry}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

pub(super) fn stream_head(headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n{headers}\r\n")
        .into_bytes()
}

/// A stream in pieces that are cut anywhere, everything else in one.
fn whole(media_type: &str, bytes: &[u8]) -> Vec<u8> {
    if media_type != "text/event-stream" {
        let lines = media_type.replace('|', "\r\n");
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {lines}\r\nContent-Length: {}\r\n\r\n", bytes.len());
        return [head.as_bytes(), bytes].concat();
    }
    let mut out = stream_head("");
    for piece in bytes.chunks(bytes.len() / 3 + 1) {
        out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

fn event(text: &str) -> Vec<u8> {
    let event = format!("event: message\ndata: {text}\n\n");
    format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
}

pub(crate) async fn read_request(socket: &mut TcpStream, held: &mut Vec<u8>) -> io::Result<Option<Request>> {
    loop {
        if let Some((length, request)) = parse(held)? {
            held.drain(..length);
            return Ok(Some(request));
        }
        if socket.read_buf(held).await? == 0 {
            return Ok(None);
        }
    }
}

fn parse(read: &[u8]) -> io::Result<Option<(usize, Request)>> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(head) = request.parse(read).map_err(io::Error::other)? else { return Ok(None) };
    let mut headers = Map::new();
    for field in request.headers.iter() {
        headers.insert(field.name.to_ascii_lowercase(), String::from_utf8_lossy(field.value).into());
    }
    let length: usize =
        headers.get("content-length").and_then(Value::as_str).and_then(|text| text.parse().ok()).unwrap_or(0);
    let Some(body) = read.get(head..head + length) else { return Ok(None) };
    let request = Request {
        method: request.method.unwrap_or_default().to_owned(),
        target: request.path.unwrap_or_default().to_owned(),
        headers: headers.into(),
        body: String::from_utf8_lossy(body).into_owned(),
    };
    Ok(Some((head + length, request)))
}
