//! A server at a URL, over Streamable HTTP.

use std::path::Path;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use serde_json::Value;
use toolgate_admin_api::Exit;
use toolgate_protocol::sse::Parser;

use super::Peer;
use crate::client::connection::Connections;
use crate::client::url::GateUrl;
use crate::failure::Failure;

/// Bytes of an answer.
const ANSWER_LIMIT: usize = 64 << 20;

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");

/// Where a server is.
pub(crate) struct Address {
    connections: Connections,
    path: String,
    headers: HeaderMap,
}

impl Address {
    /// A server's URL, with headers for every request.
    pub(crate) fn new(url: &str, headers: &[(String, String)], ca: Option<&Path>) -> Result<Self, Failure> {
        let url = GateUrl::parse_anywhere(url)?;
        let path = url.path.clone();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let unfit = || Failure::new(Exit::Usage, format!("{name} is no header that can be sent."));
            let name = HeaderName::try_from(name.as_str()).map_err(|_| unfit())?;
            map.append(name, HeaderValue::try_from(value.as_str()).map_err(|_| unfit())?);
        }
        Ok(Self { connections: Connections::new(url, ca)?, path, headers: map })
    }

    pub(super) fn meet(&self) -> Conversation<'_> {
        Conversation { address: self, session: None, revision: None }
    }
}

/// One conversation with it.
pub(super) struct Conversation<'a> {
    address: &'a Address,
    session: Option<HeaderValue>,
    revision: Option<HeaderValue>,
}

impl Conversation<'_> {
    async fn post(&mut self, message: &Value) -> Result<Response<Incoming>, String> {
        let mut request = Request::post(&self.address.path)
            .header(ACCEPT, "application/json, text/event-stream")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(message.to_string())))
            .map_err(|error| error.to_string())?;
        let headers = request.headers_mut();
        headers.extend(self.address.headers.clone());
        headers.extend(self.session.clone().map(|id| (SESSION, id)));
        headers.extend(self.revision.clone().map(|revision| (VERSION, revision)));
        headers
            .extend(message["method"].as_str().and_then(|method| Some((METHOD, HeaderValue::from_str(method).ok()?))));
        let sent = self.address.connections.send(request).await;
        let exchange = sent.map_err(|error| format!("It cannot be reached: {error}."))?;
        if let Some(id) = exchange.response.headers().get(SESSION) {
            self.session = Some(id.clone());
        }
        Ok(exchange.response)
    }
}

impl Peer for Conversation<'_> {
    async fn ask(&mut self, request: &Value) -> Result<Value, String> {
        let response = self.post(request).await?;
        let status = response.status();
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.starts_with("text/event-stream") && status.is_success() {
            return from_events(response.into_body(), &request["id"]).await;
        }
        let body = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await;
        let body = body.map_err(|error| format!("Its answer broke off: {error}."))?.to_bytes();
        // An error of the protocol may come with any status.
        match serde_json::from_slice::<Value>(&body) {
            Ok(answer) if answer.get("result").is_some() || answer["error"].is_object() => Ok(answer),
            _ => Err(refusal(status)),
        }
    }

    async fn tell(&mut self, notification: &Value) -> Result<(), String> {
        let response = self.post(notification).await?;
        let status = response.status();
        if status.is_success() { Ok(()) } else { Err(refusal(status)) }
    }

    fn agreed(&mut self, revision: &str) {
        self.revision = HeaderValue::from_str(revision).ok();
    }
}

fn refusal(status: http::StatusCode) -> String {
    let hint = match status.as_u16() {
        401 | 403 => ": give it a credential with --header Authorization='Bearer …'",
        404 => ": see whether the path is right; many servers are at /mcp",
        405 => ": perhaps it speaks HTTP+SSE of 2024-11-05, which `server add --sse` takes",
        _ => "",
    };
    format!("It answers {status}{hint}.")
}

/// The answer to a request out of a stream that may bring other messages first.
async fn from_events(mut body: Incoming, id: &Value) -> Result<Value, String> {
    let mut parser = Parser::new(ANSWER_LIMIT);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("Its stream broke off: {error}."))?;
        let Ok(data) = frame.into_data() else { continue };
        let mut rest = &data[..];
        while let Some(event) = parser.push(&mut rest).map_err(|error| error.to_string())? {
            match serde_json::from_slice::<Value>(&event.data) {
                Ok(message) if message.get("method").is_none() && message["id"] == *id => return Ok(message),
                _ => {}
            }
        }
    }
    Err("Its stream ended before it had answered.".into())
}
