//! One check of one endpoint, in the era that its server speaks.
//!
//! A modern server is asked who it is. A legacy one gets a session of the check's own: `initialize`, `ping`, and its
//! end, so that nobody's session is touched and none is left behind. The gate's own credential goes along, as with calls.

use std::rc::Rc;
use std::sync::Arc;

use http::HeaderValue;
use toolgate_protocol::json;
use toolgate_protocol::revision::{LATEST_LEGACY, MODERN};

use super::Server;
use super::discovery;
use super::exchange::Step;
use super::http::{Answer, Method, Outgoing};
use super::http_reply::HttpReply;
use crate::core::Core;
use crate::message::Message;

/// What was wrong, in words that follow "the endpoint".
type Found = Result<(), String>;

/// Asks an endpoint for a sign of life. Whoever calls bounds its time.
pub async fn ask(core: &Rc<Core>, server: &Arc<Server>, endpoint: usize) -> Found {
    let asked = Asked { core, server, endpoint };
    // One that nobody asked yet is taken for modern: a legacy one says at least that it does not know the question.
    match server.eras.spoken() {
        // Where only users' tokens open a session, a refusal is the sign.
        (true, false) if server.is_open_to_all() => asked.legacy().await,
        _ => asked.modern().await,
    }
}

struct Asked<'a> {
    core: &'a Rc<Core>,
    server: &'a Arc<Server>,
    endpoint: usize,
}

impl Asked<'_> {
    async fn modern(&self) -> Found {
        let discover = discovery::own(format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{{{}}}}}"#,
            discovery::own_meta()
        ));
        let version = MODERN.as_str().as_bytes();
        let headers: [(&str, &[u8]); 2] = [("mcp-protocol-version", version), ("mcp-method", b"server/discover")];
        let answer = self.send(Method::Post, &headers, &discover.bytes).await?;
        // Any answer but an error of the server's own is a sign of life, one that refuses the era among them.
        if (400..500).contains(&answer.status) { Ok(()) } else { self.message(answer).await.map(drop) }
    }

    async fn legacy(&self) -> Found {
        let initialize = discovery::own_initialize(LATEST_LEGACY);
        let answer = self.send(Method::Post, &[], &initialize.bytes).await?;
        let session = answer.headers.get("mcp-session-id").and_then(|value| HeaderValue::from_bytes(value).ok());
        let introduced = self.message(answer).await?;
        let agreed = agreed(&introduced).unwrap_or_else(|| LATEST_LEGACY.as_str().to_owned());
        let mut headers: Vec<(&str, &[u8])> = vec![("mcp-protocol-version", agreed.as_bytes())];
        headers.extend(session.as_ref().map(|session| ("mcp-session-id", session.as_bytes())));
        let pinged = self.ping(&headers).await;
        if session.is_some() {
            // A server may refuse that (2025-11-25, "Session Management"); then it ends the session by itself.
            drop(self.send(Method::Delete, &headers, b"").await);
        }
        pinged
    }

    async fn ping(&self, headers: &[(&str, &[u8])]) -> Found {
        let confirmed = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        self.send(Method::Post, headers, confirmed).await?;
        let ping = br#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#;
        let answer = self.send(Method::Post, headers, ping).await?;
        self.message(answer).await.map(drop)
    }

    async fn send(&self, method: Method, more: &[(&str, &[u8])], body: &[u8]) -> Result<Answer, String> {
        let mut headers: Vec<(&str, &[u8])> = vec![("accept", b"application/json, text/event-stream")];
        if !body.is_empty() {
            headers.push(("content-type", b"application/json"));
        }
        headers.extend_from_slice(more);
        let upstream = self.server.http().ok_or("has no endpoints")?;
        if let Some(tokens) = upstream.credential().and_then(|credential| credential.tokens()) {
            tokens.ready().await.map_err(|failure| failure.to_string())?;
        }
        let outgoing = Outgoing {
            method,
            endpoint: self.endpoint,
            headers: &headers,
            target: None,
            body: &[body],
            first_byte: None,
        };
        // A bound of the gate's own says nothing of the endpoint, and it is looked at when it is busy most of all.
        let answer = upstream.client(self.core.index).aside().send(outgoing).await;
        let answer = answer.map_err(|error| format!("cannot be asked: {error}"))?;
        if answer.status >= 500 {
            return Err(format!("answers with status {}", answer.status));
        }
        Ok(answer)
    }

    /// The message that an answer holds.
    async fn message(&self, answer: Answer) -> Result<Message, String> {
        let mut reply = HttpReply::new(self.server, answer).map_err(|failure| failure.to_string())?;
        loop {
            match reply.next().await {
                Step::Related(_) => {}
                Step::Final(message) => return Message::parse(message).map_err(|problem| problem.to_string()),
                Step::Lost(failure) => return Err(format!("gives no answer: {failure}")),
            }
        }
    }
}

fn agreed(introduced: &Message) -> Option<String> {
    let version = json::get(&introduced.bytes, introduced.envelope.result?, "protocolVersion")?;
    Some(json::decode_str(version.of(&introduced.bytes)).into_owned())
}
