//! A client that writes its messages itself: every request on a connection of its own, answers raw.
//!
//! Scenarios of the relay use it where the exact bytes, ids and headers of a message are what is tested.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::gate::Gate;
use crate::http::{Connection, Event, EventStream, Head, Target, request};
use crate::mcp::Era;
use crate::wait::PATIENCE;

/// A client of one path.
#[derive(Clone)]
pub struct Caller {
    target: Target,
    path: String,
    headers: Vec<(String, String)>,
    era: Era,
    /// The session, once opened.
    pub session: Option<String>,
    /// What a modern client declares.
    pub capabilities: Value,
}

/// An answer that is being read; dropping it closes its connection.
pub struct Reply {
    /// Status and headers.
    pub head: Head,
    connection: Connection,
    events: EventStream,
    over: bool,
    /// What was asked, for whoever reads why a test failed.
    asked: String,
}

impl Caller {
    /// A client with the gate's own key, which has said nothing yet.
    #[must_use]
    pub fn new(gate: &Gate, path: &str, era: Era) -> Self {
        Self {
            target: gate.target().clone(),
            path: path.to_owned(),
            headers: vec![("Authorization".to_owned(), format!("Bearer {}", gate.key()))],
            era,
            session: None,
            capabilities: json!({}),
        }
    }

    /// A modern client.
    #[must_use]
    pub fn modern(gate: &Gate, path: &str) -> Self {
        Self::new(gate, path, Era::Modern)
    }

    /// A legacy client with a session.
    ///
    /// # Panics
    /// When the session is refused.
    pub async fn legacy(gate: &Gate, path: &str) -> Self {
        Self::new(gate, path, Era::Legacy).opened().await
    }

    /// The same at another place, or with another certificate, and without the gate's own key.
    #[must_use]
    pub fn through(mut self, target: Target) -> Self {
        self.target = target;
        self.without("Authorization")
    }

    /// The same with a header, instead of one of that name.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self = self.without(name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same without a header.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self
    }

    /// The same with a session.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn opened(mut self) -> Self {
        let reply = self.initialize().await;
        let head = reply.head.clone();
        let text = reply.text().await;
        // A refusal is an answer as well, in this era.
        assert!(head.status == 200 && text.contains(r#""result":"#), "{} {text}", head.status);
        self.session = head.header("mcp-session-id").map(ToOwned::to_owned);
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized", "params": {}});
        let reply = self.post(&initialized.to_string()).await;
        let status = reply.head.status;
        assert_eq!(status, 202, "{}", reply.text().await);
        self
    }

    /// Asks for a session.
    pub async fn initialize(&self) -> Reply {
        let capabilities = json!({"elicitation": {}, "sampling": {}, "roots": {}});
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": {"name": "caller", "version": "1"}});
        self.request("0", "initialize", params).await
    }

    /// Sends a request whose id is the raw `id`.
    pub async fn request(&self, id: &str, method: &str, mut params: Value) -> Reply {
        if self.era == Era::Modern {
            params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
            params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = self.capabilities.clone();
        }
        self.post(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)).await
    }

    /// Calls a tool.
    pub async fn call(&self, id: &str, tool: &str, arguments: Value) -> Reply {
        self.request(id, "tools/call", json!({"name": tool, "arguments": arguments})).await
    }

    /// Calls a tool and asks for progress under the raw `token`.
    ///
    /// # Panics
    /// When the token is no JSON.
    pub async fn call_with_progress(&self, id: &str, token: &str, tool: &str, arguments: Value) -> Reply {
        let token: Value = serde_json::from_str(token).expect("a token");
        let params = json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": token}});
        self.request(id, "tools/call", params).await
    }

    /// Sends a notification; gives back the status.
    pub async fn notify(&self, method: &str, params: Value) -> u16 {
        self.post(&json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string()).await.head.status
    }

    /// Answers a request of the server's; gives back the status.
    pub async fn respond(&self, id: &Value, result: Value) -> u16 {
        self.post(&json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string()).await.head.status
    }

    /// Sends a text as it is.
    pub async fn post(&self, body: &str) -> Reply {
        self.send("POST", body).await
    }

    /// Opens the session's stream.
    pub async fn stream(&self) -> Reply {
        self.send("GET", "").await
    }

    /// Resumes a stream after an event.
    pub async fn resume(&self, last: &str) -> Reply {
        self.clone().with("Last-Event-ID", last).stream().await
    }

    /// Ends the session; gives back the status.
    pub async fn end(&self) -> u16 {
        self.send("DELETE", "").await.head.status
    }

    async fn send(&self, method: &str, body: &str) -> Reply {
        let mut headers = vec![
            (
                "Accept".to_owned(),
                if method == "GET" { "text/event-stream" } else { "application/json, text/event-stream" }.to_owned(),
            ),
            ("Content-Type".to_owned(), "application/json".to_owned()),
        ];
        headers.extend(self.session.iter().map(|id| ("Mcp-Session-Id".to_owned(), id.clone())));
        if self.era == Era::Modern {
            headers.extend(mirrored(body));
        } else if self.session.is_some() {
            headers.push(("MCP-Protocol-Version".to_owned(), "2025-11-25".to_owned()));
        }
        headers.retain(|(name, _)| !self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)));
        headers.extend(self.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")).cloned());
        let host = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
        let host = host.map_or(self.target.host.as_str(), |(_, host)| host);
        let lines: Vec<(&str, &str)> = headers
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let raw = request(method, &self.path, host, &lines, body.as_bytes());
        let mut connection = self.target.connect().await.expect("a connection");
        let head = timeout(PATIENCE, connection.begin(&raw))
            .await
            .unwrap_or_else(|_| panic!("no answer to {method} {} {body}", self.path))
            .expect("an answer");
        Reply {
            head,
            connection,
            events: EventStream::default(),
            over: false,
            asked: format!("{method} {} {body}", self.path),
        }
    }
}

/// The headers that must repeat what the body says.
fn mirrored(body: &str) -> Vec<(String, String)> {
    let message: Value = serde_json::from_str(body).unwrap_or_default();
    let mut headers = vec![("MCP-Protocol-Version".to_owned(), "2026-07-28".to_owned())];
    let mut push = |name: &str, value: &Value| {
        headers.extend(value.as_str().map(|value| (name.to_owned(), value.to_owned())));
    };
    push("Mcp-Method", &message["method"]);
    match message["method"].as_str() {
        Some("tools/call" | "prompts/get") => push("Mcp-Name", &message["params"]["name"]),
        Some("resources/read") => push("Mcp-Name", &message["params"]["uri"]),
        Some("tasks/get" | "tasks/update" | "tasks/cancel") => push("Mcp-Name", &message["params"]["taskId"]),
        _ => {}
    }
    headers
}

impl Reply {
    /// The next message as it came; none at the end.
    ///
    /// # Panics
    /// When it does not come, or the connection breaks within the answer.
    pub async fn next(&mut self) -> Option<String> {
        if self.over {
            return self.events.next_event();
        }
        if self.head.is_stream() && self.head.is_chunked() {
            let event = self.connection.event(&mut self.events);
            return timeout(PATIENCE, event)
                .await
                .unwrap_or_else(|_| panic!("no further event for {}", self.asked))
                .expect("a whole stream");
        }
        self.over = true;
        let body = timeout(PATIENCE, self.connection.body(&self.head))
            .await
            .unwrap_or_else(|_| panic!("no body for {}", self.asked))
            .expect("a body");
        if self.head.is_stream() {
            self.events = EventStream::of(body);
            return self.events.next_event();
        }
        Some(String::from_utf8(body).expect("text")).filter(|text| !text.is_empty())
    }

    /// The next event of a stream with its id, be there a message in it or not; none at the end.
    ///
    /// # Panics
    /// When it does not come, or the connection breaks within the answer.
    pub async fn event(&mut self) -> Option<Event> {
        if !self.head.is_chunked() {
            if !std::mem::replace(&mut self.over, true) {
                self.events = EventStream::of(self.connection.body(&self.head).await.expect("a body"));
            }
            return self.events.next_whole();
        }
        let event = self.connection.whole_event(&mut self.events);
        let event = timeout(PATIENCE, event).await;
        event.unwrap_or_else(|_| panic!("no further event for {}", self.asked)).expect("a whole stream")
    }

    /// The next message, read.
    ///
    /// # Panics
    /// When there is none, or it is no JSON.
    pub async fn message(&mut self) -> Value {
        let text = self.next().await.expect("a message");
        serde_json::from_str(&text).unwrap_or_else(|problem| panic!("{problem}: {text}"))
    }

    /// The last message as it came; empty where there is none.
    pub async fn text(mut self) -> String {
        let mut last = String::new();
        while let Some(text) = self.next().await {
            last = text;
        }
        last
    }

    /// The last message, read.
    ///
    /// # Panics
    /// When there is none, or it is no JSON.
    pub async fn answer(self) -> Value {
        let text = self.text().await;
        serde_json::from_str(&text).unwrap_or_else(|problem| panic!("{problem}: {text:?}"))
    }

    /// The whole body, as it came.
    ///
    /// # Panics
    /// When it does not come, or is cut short.
    pub async fn raw(mut self) -> Vec<u8> {
        timeout(PATIENCE, self.connection.body(&self.head))
            .await
            .unwrap_or_else(|_| panic!("no body for {}", self.asked))
            .expect("a whole body")
    }

    /// Whether nothing comes for a moment; to be used only after something that would have come first.
    pub async fn is_silent(&mut self) -> bool {
        timeout(Duration::from_millis(50), self.next()).await.is_err()
    }
}
