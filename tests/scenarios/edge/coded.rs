//! A server that compresses its answers, whatever it was asked for.

use std::io::Write as _;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How an answer is written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Manner {
    /// The value of `Content-Encoding`; absent where empty.
    pub(crate) says: &'static str,
    /// What the body is coded in; may differ from what is said.
    pub(crate) does: &'static str,
    /// Bytes of text that the answer of a tool, or each tool of a list, is longer by.
    pub(crate) longer: usize,
    /// As a stream of events.
    pub(crate) events: bool,
}

/// A running server.
pub(crate) struct Coded {
    pub(crate) url: String,
    manner: Arc<Mutex<Manner>>,
    /// `Accept-Encoding` as it arrived.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

impl Coded {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/mcp", listener.local_addr().expect("its address"));
        let (manner, asked) = (Arc::<Mutex<Manner>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let shared = (Arc::clone(&manner), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (manner, asked) = shared.clone();
                tokio::spawn(async move { serve(socket, &manner, &asked).await });
            }
        });
        Self { url, manner, asked }
    }

    /// How it answers lists and calls from now on; introductions are always plain.
    pub(crate) fn answers(&self, manner: Manner) {
        *self.manner.lock().expect("unpoisoned") = manner;
    }
}

async fn serve(mut socket: TcpStream, manner: &Mutex<Manner>, asked: &Mutex<Vec<String>>) -> Option<()> {
    let mut held = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = held.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if socket.read_buf(&mut held).await.ok()? == 0 {
                return None;
            }
        };
        let lines = String::from_utf8_lossy(&held[..end]).to_lowercase();
        let field =
            |name: &str| lines.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned());
        asked.lock().expect("unpoisoned").extend(field("accept-encoding:"));
        let length: usize = field("content-length:").and_then(|length| length.parse().ok()).unwrap_or(0);
        while held.len() < end + length {
            socket.read_buf(&mut held).await.ok()?;
        }
        let message: Value = serde_json::from_slice(&held[end..end + length]).unwrap_or_default();
        held.drain(..end + length);
        let manner = manner.lock().expect("unpoisoned").clone();
        socket.write_all(&answer(&message, &manner)).await.ok()?;
    }
}

fn answer(message: &Value, manner: &Manner) -> Vec<u8> {
    let padding = "x".repeat(manner.longer);
    let tool = |name: &str| json!({"name": name, "description": padding, "inputSchema": {"type": "object"}});
    let (result, plain) = match message["method"].as_str().unwrap_or_default() {
        "initialize" => (
            json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "coded", "version": "1"}}),
            true,
        ),
        "server/discover" => (
            json!({"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "private"}),
            true,
        ),
        "tools/list" => (
            json!({"resultType": "complete", "ttlMs": 0, "cacheScope": "private", "tools": [tool("echo"), tool("secret")]}),
            false,
        ),
        _ if message.get("id").is_none() => {
            return b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n".to_vec();
        }
        _ => (json!({"resultType": "complete", "content": [], "text": padding}), false),
    };
    let text = json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string();
    if plain {
        return whole("application/json", "", text.as_bytes());
    }
    let (kind, text) =
        if manner.events { ("text/event-stream", format!("data: {text}\n\n")) } else { ("application/json", text) };
    whole(kind, manner.says, &code(manner.does, text.as_bytes()))
}

fn whole(kind: &str, coding: &str, body: &[u8]) -> Vec<u8> {
    let coding = if coding.is_empty() { String::new() } else { format!("Content-Encoding: {coding}\r\n") };
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{coding}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// A body in a coding.
pub(crate) fn code(coding: &str, body: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
            encoder.write_all(body).and_then(|()| encoder.finish()).expect("coded")
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(6));
            encoder.write_all(body).and_then(|()| encoder.finish()).expect("coded")
        }
        "br" => {
            let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 20);
            encoder.write_all(body).expect("coded");
            encoder.into_inner()
        }
        "zstd" => zstd::encode_all(body, 3).expect("coded"),
        _ => body.to_vec(),
    }
}

/// A body out of its coding.
pub(crate) fn plain(coding: &str, body: &[u8]) -> Vec<u8> {
    use std::io::Read as _;
    let mut out = Vec::new();
    match coding {
        "gzip" => flate2::read::GzDecoder::new(body).read_to_end(&mut out),
        "br" => brotli::Decompressor::new(body, 4096).read_to_end(&mut out),
        "zstd" => zstd::stream::read::Decoder::new(body).and_then(|mut decoder| decoder.read_to_end(&mut out)),
        other => panic!("not sent: {other}"),
    }
    .expect("coded as it says");
    out
}
