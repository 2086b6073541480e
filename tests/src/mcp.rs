//! MCP clients of both eras over raw HTTP, just enough to play a client in scenarios and benchmarks.
//!
//! A client keeps one connection. What the server answers is returned as it came: a refusal is a value.
//! They share no code with the gate, so that a misreading of the protocol cannot cancel itself out.

use std::io;

use serde_json::{Value, json};

use crate::http::{Connection, EventStream, Head, Target, request};

/// An MCP revision's way to talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Era {
    /// `initialize` and sessions, at 2025-11-25.
    Legacy,
    /// Metadata on every request, at 2026-07-28.
    Modern,
}

/// A client with a connection, and with a session in the legacy era.
pub struct Client {
    connection: Connection,
    host: String,
    path: String,
    key: Option<String>,
    era: Era,
    session: Option<String>,
    last_id: u64,
}

/// The answer to a request.
#[derive(Debug)]
pub struct Answer {
    /// Status and headers.
    pub head: Head,
    /// The JSON-RPC answer; `Null` where there is none.
    pub body: Value,
    /// Messages that came on the same stream before it.
    pub before: Vec<Value>,
}

impl Answer {
    /// Whether this is a result without `isError`.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.head.status == 200 && self.body.get("result").is_some_and(|result| result["isError"] != true)
    }
}

impl Client {
    /// Connects, and opens a session in the legacy era.
    pub async fn connect(target: &Target, path: &str, key: Option<&str>, era: Era) -> io::Result<Self> {
        let mut client = Self {
            connection: target.connect().await?,
            host: target.host.clone(),
            path: path.to_owned(),
            key: key.map(ToOwned::to_owned),
            era,
            session: None,
            last_id: 0,
        };
        if era == Era::Legacy {
            client.open_session().await?;
        }
        Ok(client)
    }

    /// Opens a session (legacy); one that it had before is left behind.
    pub async fn open_session(&mut self) -> io::Result<()> {
        let answer = self
            .request(
                "initialize",
                json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "toolgate-tests", "version": "1"}}),
            )
            .await?;
        if !answer.succeeded() {
            return Err(io::Error::other(format!("initialize was refused: {} {}", answer.head.status, answer.body)));
        }
        self.session = answer.head.header("mcp-session-id").map(ToOwned::to_owned);
        let (head, _) = self.connection.exchange(&self.raw("POST", &initialized())).await?;
        if head.status != 202 {
            return Err(io::Error::other(format!("notifications/initialized was answered {}", head.status)));
        }
        Ok(())
    }

    /// Opens another connection; a session goes on. The old one is closed first: a gate that ends waits for it.
    pub async fn reconnect(&mut self, target: &Target) -> io::Result<()> {
        self.connection.finish().await.ok();
        self.connection = target.connect().await?;
        Ok(())
    }

    /// The session's id.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// Sends a request and waits for its answer, be it JSON or on a stream.
    pub async fn request(&mut self, method: &str, params: Value) -> io::Result<Answer> {
        self.last_id += 1;
        let raw = self.raw("POST", &message(self.era, self.last_id, method, params));
        let head = self.connection.begin(&raw).await?;
        if !head.is_stream() {
            let body = self.connection.body(&head).await?;
            return Ok(Answer { head, body: serde_json::from_slice(&body).unwrap_or(Value::Null), before: Vec::new() });
        }
        let (mut stream, mut before, mut answer) = (EventStream::default(), Vec::new(), Value::Null);
        while let Some(data) = self.connection.event(&mut stream).await? {
            let message: Value = serde_json::from_str(&data).map_err(io::Error::other)?;
            if message["id"] == self.last_id && message.get("method").is_none() {
                answer = message;
            } else {
                before.push(message);
            }
        }
        Ok(Answer { head, body: answer, before })
    }

    /// Calls a tool.
    pub async fn call(&mut self, tool: &str, arguments: Value) -> io::Result<Answer> {
        self.request("tools/call", json!({"name": tool, "arguments": arguments})).await
    }

    /// Opens the server's stream (legacy) and returns when its head has come; the connection is spent on it.
    pub async fn open_stream(&mut self) -> io::Result<Head> {
        let raw = match self.era {
            Era::Legacy => self.raw("GET", &Message { body: Vec::new(), method: String::new(), name: None }),
            Era::Modern => {
                let params = json!({"notifications": {"toolsListChanged": true}});
                self.raw("POST", &message(self.era, 1, "subscriptions/listen", params))
            }
        };
        self.connection.begin(&raw).await
    }

    /// Ends the session (legacy).
    pub async fn close(mut self) -> io::Result<u16> {
        let raw = self.raw("DELETE", &Message { body: Vec::new(), method: String::new(), name: None });
        Ok(self.connection.exchange(&raw).await?.0.status)
    }

    /// Calls at another path from now on, on the same connection.
    pub fn go_to(&mut self, path: &str) {
        path.clone_into(&mut self.path);
    }

    /// The bytes of a `tools/call` that may be sent again and again, for load; `padding` lengthens its argument.
    #[must_use]
    pub fn raw_call(&self, tool: &str, padding: usize) -> Vec<u8> {
        let arguments = json!({"text": "x".repeat(padding)});
        self.raw("POST", &message(self.era, 7, "tools/call", json!({"name": tool, "arguments": arguments})))
    }

    /// The connection, for callers that measure.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    fn raw(&self, http_method: &str, message: &Message) -> Vec<u8> {
        let key = self.key.as_ref().map(|key| format!("Bearer {key}"));
        let accept = if http_method == "GET" { "text/event-stream" } else { "application/json, text/event-stream" };
        let mut headers = vec![("Accept", accept), ("Content-Type", "application/json")];
        headers.extend(key.as_ref().map(|key| ("Authorization", key.as_str())));
        headers.extend(self.session.as_ref().map(|id| ("Mcp-Session-Id", id.as_str())));
        match self.era {
            Era::Legacy if self.session.is_some() => {
                headers.push(("MCP-Protocol-Version", "2025-11-25"));
            }
            Era::Legacy => {}
            Era::Modern => {
                headers.push(("MCP-Protocol-Version", "2026-07-28"));
                headers.push(("Mcp-Method", &message.method));
                headers.extend(message.name.as_ref().map(|name| ("Mcp-Name", name.as_str())));
            }
        }
        request(http_method, &self.path, &self.host, &headers, &message.body)
    }
}

struct Message {
    body: Vec<u8>,
    method: String,
    name: Option<String>,
}

fn initialized() -> Message {
    let body = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    Message { body: body.to_string().into_bytes(), method: String::new(), name: None }
}

fn message(era: Era, id: u64, method: &str, mut params: Value) -> Message {
    let name = params.get("name").or_else(|| params.get("uri")).and_then(Value::as_str).map(ToOwned::to_owned);
    if era == Era::Modern {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        });
    }
    let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
    Message { body: body.to_string().into_bytes(), method: method.to_owned(), name }
}
