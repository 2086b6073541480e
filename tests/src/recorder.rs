//! An HTTP server that keeps every byte that reaches it, and answers each request as an MCP server would.
//!
//! It stands where smuggled bytes would arrive: what it holds must be whole requests, and as many as were sent.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `POST /mcp HTTP/1.1`.
    pub line: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// All of it.
    pub body: Vec<u8>,
}

impl Request {
    /// The only value of a header; none also where there are several.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(found, _)| found == name);
        values.next().filter(|_| values.next().is_none()).map(|(_, value)| value.as_str())
    }
}

/// A running server.
#[derive(Debug, Clone)]
pub struct Recorder {
    /// Where it is.
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    strays: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    /// Starts it on a free port.
    ///
    /// # Panics
    /// When there is none.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/mcp", listener.local_addr().expect("its address"));
        let recorder = Self { url, requests: Arc::default(), strays: Arc::default() };
        let serving = recorder.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { serving.serve(socket).await.ok() });
            }
        });
        recorder
    }

    /// What came since the last time, in order.
    ///
    /// # Panics
    /// When bytes came that belong to no request.
    #[must_use]
    pub fn take(&self) -> Vec<Request> {
        let strays = std::mem::take(&mut *self.strays.lock().unwrap_or_else(PoisonError::into_inner));
        assert!(strays.is_empty(), "bytes outside of requests: {strays:?}");
        std::mem::take(&mut *self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn serve(&self, mut socket: TcpStream) -> io::Result<()> {
        let mut held = Vec::new();
        loop {
            match parse(&held) {
                Ok(Some((request, used))) => {
                    held.drain(..used);
                    // A client sends no second request before the first is answered.
                    if !held.is_empty() {
                        self.stray(&held);
                    }
                    let answer = answer(&request);
                    self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                    socket.write_all(&answer).await?;
                }
                Ok(None) => {
                    if socket.read_buf(&mut held).await? == 0 {
                        if !held.is_empty() {
                            self.stray(&held);
                        }
                        return Ok(());
                    }
                }
                Err(()) => {
                    self.stray(&held);
                    return Ok(());
                }
            }
        }
    }

    fn stray(&self, bytes: &[u8]) {
        let text = bytes.escape_ascii().to_string();
        self.strays.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }
}

/// A request and its length; an error where the bytes are none, or say their length in any way but one.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, ()> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let line = lines.next().ok_or(())?.to_owned();
    let headers: Vec<_> = lines
        .map(|line| line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).ok_or(()))
        .collect::<Result<_, _>>()?;
    let lengths: Vec<_> = headers.iter().filter(|(name, _)| name == "content-length").collect();
    let chunked = headers.iter().any(|(name, _)| name == "transfer-encoding");
    if lengths.len() > 1
        || chunked
        || head.contains(['\n', '\0']) && head.replace("\r\n", "").contains(['\r', '\n', '\0'])
    {
        return Err(());
    }
    let length: usize = lengths.first().map_or(Ok(0), |(_, value)| value.parse()).map_err(drop)?;
    let start = end + 4;
    let Some(body) = bytes.get(start..start + length) else { return Ok(None) };
    Ok(Some((Request { line, headers, body: body.to_vec() }, start + length)))
}

fn answer(request: &Request) -> Vec<u8> {
    let message: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let result = match message["method"].as_str() {
        Some("server/discover") => {
            r#"{"resultType":"complete","ttlMs":60000,"cacheScope":"public","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}"#
        }
        Some("tools/list") => {
            r#"{"resultType":"complete","ttlMs":60000,"cacheScope":"public","tools":[{"name":"echo","inputSchema":{"type":"object"}}]}"#
        }
        _ => r#"{"resultType":"complete","content":[]}"#,
    };
    let body = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, message["id"]);
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}
