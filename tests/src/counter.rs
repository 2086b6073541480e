//! A server of the legacy era that counts: each of its processes, or over HTTP each of its sessions, by itself.
//!
//! The tool `count` says which process it is and how often it was called. A call that comes twice under the same
//! `token` is an error; `pad` asks for a longer answer. The tool `ask` asks the client something and waits for ever;
//! `halve` says half of an announcement, and neither reads nor says anything until a file exists.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::fake::http::{plain, read_request};

const CHANGED: &str = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"by":"the counter"}}"#;

/// What one process or session has counted.
#[derive(Debug, Default)]
pub struct Counter {
    count: u64,
    tokens: HashSet<String>,
    asked: u64,
    /// Lines that were no JSON.
    broken: u64,
    /// What was answered to what it asked.
    answers: Vec<Value>,
}

impl Counter {
    /// Takes a message; gives back what it says.
    pub fn take(&mut self, message: &Value) -> Vec<Value> {
        let Some(id) = message.get("id").filter(|id| !id.is_null()) else { return Vec::new() };
        let Some(method) = message["method"].as_str() else {
            self.answers.push(message.clone());
            return Vec::new();
        };
        let result = match method {
            "initialize" => json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                "serverInfo": {"name": "counter", "version": "1"}}),
            "tools/list" => json!({"tools": [
                {"name": "count", "description": "Counts", "inputSchema": {"type": "object"}},
                {"name": "answers", "description": "What was answered", "inputSchema": {"type": "object"}},
                {"name": "ask", "description": "Asks", "inputSchema": {"type": "object"}}]}),
            "tools/call" => match message["params"]["name"].as_str() {
                Some("ask") => {
                    self.asked += 1;
                    return vec![
                        json!({"jsonrpc": "2.0", "id": format!("asked-{}", self.asked), "method": "roots/list"}),
                    ];
                }
                Some("answers") => text(&json!(self.answers).to_string()),
                _ => self.count(&message["params"]["arguments"]),
            },
            "ping" => json!({}),
            _ => {
                let error = json!({"code": -32601, "message": "Method not found"});
                return vec![json!({"jsonrpc": "2.0", "id": id, "error": error})];
            }
        };
        vec![json!({"jsonrpc": "2.0", "id": id, "result": result})]
    }

    fn count(&mut self, arguments: &Value) -> Value {
        let token = arguments["token"].as_str().unwrap_or_default();
        if !token.is_empty() && !self.tokens.insert(token.to_owned()) {
            return json!({"isError": true, "content": [{"type": "text", "text": format!("{token} came twice")}]});
        }
        self.count += 1;
        let pad = usize::try_from(arguments["pad"].as_u64().unwrap_or(0)).unwrap_or(0);
        text(
            &json!({"pid": std::process::id(), "count": self.count, "broken": self.broken, "pad": "x".repeat(pad)})
                .to_string(),
        )
    }
}

fn text(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}]})
}

/// Serves lines until the input ends.
pub fn serve_lines(input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    let mut counter = Counter::default();
    for line in input.lines() {
        let Ok(message) = serde_json::from_str::<Value>(&line?) else {
            counter.broken += 1;
            continue;
        };
        for said in counter.take(&message) {
            writeln!(output, "{said}")?;
        }
        output.flush()?;
        if message["params"]["name"] == "halve" {
            halve(&mut output, Path::new(message["params"]["arguments"]["until"].as_str().unwrap_or("/")))?;
        }
    }
    Ok(())
}

/// A line in two parts.
fn halve(output: &mut impl Write, until: &Path) -> io::Result<()> {
    let (one, other) = CHANGED.split_at(CHANGED.len() / 2);
    output.write_all(one.as_bytes())?;
    output.flush()?;
    while !until.exists() {
        thread::sleep(Duration::from_millis(5));
    }
    writeln!(output, "{other}")?;
    output.flush()
}

type Sessions = Arc<Mutex<HashMap<String, Counter>>>;

/// Starts it over HTTP; gives back its URL.
///
/// # Panics
/// When there is no port.
pub async fn serve_http() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/mcp", listener.local_addr().expect("its address"));
    let sessions = Sessions::default();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let sessions = Arc::clone(&sessions);
            // A client that goes away in the middle is its own business.
            tokio::spawn(async move { serve(socket, sessions).await.ok() });
        }
    });
    url
}

async fn serve(mut socket: TcpStream, sessions: Sessions) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut held = Vec::new();
    while let Some(request) = read_request(&mut socket, &mut held).await? {
        let answer = answered(&request.method, request.headers["mcp-session-id"].as_str(), &request.body, &sessions);
        socket.write_all(&answer).await?;
    }
    Ok(())
}

fn answered(method: &str, session: Option<&str>, body: &str, sessions: &Sessions) -> Vec<u8> {
    let mut sessions = sessions.lock().unwrap_or_else(PoisonError::into_inner);
    let message: Value = serde_json::from_str(body).unwrap_or_default();
    match method {
        "POST" if message["method"] == "initialize" => {
            let id = format!("counted-{}", sessions.len());
            let said = sessions.entry(id.clone()).or_default().take(&message);
            plain(200, &format!("Mcp-Session-Id: {id}\r\n"), &said[0].to_string())
        }
        "POST" => match session.and_then(|id| sessions.get_mut(id)) {
            Some(counter) => match counter.take(&message).first() {
                Some(said) => plain(200, "", &said.to_string()),
                None => plain(202, "", ""),
            },
            None => plain(404, "", "no such session"),
        },
        _ => plain(405, "", ""),
    }
}
