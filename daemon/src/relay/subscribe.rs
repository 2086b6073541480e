//! `subscriptions/listen` on a merged view: one stream out of several servers' streams.
//!
//! The first message is the acknowledgement with what all servers together honour; afterwards
//! each server's notifications follow under the client's subscription (2026-07-28, "Subscriptions").

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;
use toolgate_protocol::names;

use super::links;
use super::stateless;
use super::stream::{Events, pump};
use crate::body::Body;
use crate::call::Call;
use crate::failure::Failure;
use crate::message::Message;
use crate::servers::exchange::{Exchange, Step};

/// How long the acknowledgement waits for a server's.
const PATIENCE: Duration = Duration::from_secs(5);
/// Notifications that a client may have unread.
const BUFFER: usize = 256;

/// Opens the stream.
pub async fn merged(call: &mut Call) -> Result<Response<Body>, Failure> {
    let (sender, receiver) = mpsc::channel(BUFFER);
    let mut granted = Map::new();
    let mut exchanges = Vec::new();
    let open = |server: &Arc<crate::servers::Server>| call.client().may_reach(&server.settings.name);
    let servers: Vec<_> = call.view().servers.iter().filter(|server| open(server)).map(Arc::clone).collect();
    for server in servers {
        let Ok(mut exchange) = listen(call, &server).await else { continue };
        if let Ok(Step::Related(first)) = timeout(PATIENCE, exchange.next()).await {
            grant(&mut granted, &first, &server.settings.name);
            exchanges.push(exchange);
        }
    }
    let id = call.message().id_bytes();
    // The channel is empty and longer than one message.
    drop(sender.try_send(acknowledgement(&id, granted)));
    for exchange in exchanges {
        tokio::task::spawn_local(forward(exchange, sender.clone()));
    }
    let (events, response) = Events::open();
    tokio::task::spawn_local(pump(receiver, events));
    Ok(response)
}

async fn listen(call: &Call, server: &Arc<crate::servers::Server>) -> Result<Exchange, Failure> {
    let message = own_filter(call.message(), &server.settings.name);
    let leg = stateless::leg(call, server).await?;
    leg.call(&call.core, &message, &call.provenance()).await
}

/// The request with the resources that belong to one server, under the URIs that it knows.
fn own_filter(message: &Message, server: &str) -> Message {
    let parsed: Option<Value> = serde_json::from_slice(&message.bytes).ok();
    let Some(mut whole) = parsed else { return message.clone() };
    if let Some(Value::Array(uris)) = whole.pointer_mut("/params/notifications/resourceSubscriptions") {
        let own = |uri: &Value| {
            let (owner, uri) = names::split_uri(uri.as_str()?)?;
            (owner == server).then(|| Value::from(uri))
        };
        *uris = uris.iter().filter_map(own).collect();
    }
    Message::parse(whole.to_string().into()).unwrap_or_else(|_| message.clone())
}

fn grant(granted: &mut Map<String, Value>, acknowledgement: &[u8], server: &str) {
    let parsed: Option<Value> = serde_json::from_slice(acknowledgement).ok();
    let Some(Value::Object(one)) = parsed.and_then(|whole| whole.pointer("/params/notifications").cloned()) else {
        return;
    };
    for (key, value) in one {
        match value {
            Value::Array(uris) => {
                let merged = uris.iter().filter_map(Value::as_str).map(|uri| Value::from(names::join_uri(server, uri)));
                if let Value::Array(all) = granted.entry(key).or_insert_with(|| json!([])) {
                    all.extend(merged);
                }
            }
            value => drop(granted.insert(key, value)),
        }
    }
}

fn acknowledgement(id: &[u8], granted: Map<String, Value>) -> Bytes {
    let id = String::from_utf8_lossy(id);
    let granted = Value::Object(granted);
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}},"notifications":{granted}}}}}"#
    )
    .into()
}

/// Passes one server's notifications on until either side is gone.
async fn forward(mut exchange: Exchange, sender: mpsc::Sender<Bytes>) {
    loop {
        let step = tokio::select! {
            step = exchange.next() => step,
            () = sender.closed() => return,
        };
        let Step::Related(message) = step else { return };
        let message = match Message::parse(message.clone()) {
            Ok(parsed) => links::updated(&exchange.leg.server.settings.name, parsed),
            Err(_) => message,
        };
        if sender.send(message).await.is_err() {
            return;
        }
    }
}
