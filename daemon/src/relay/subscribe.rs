//! `subscriptions/listen` on a merged view: one stream out of several servers' streams.
//!
//! The first message is the acknowledgement with what all servers together honour; afterwards
//! each server's notifications follow under the client's subscription (2026-07-28, "Subscriptions").

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use toolgate_protocol::names;

use super::links;
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
    for (exchange, acknowledged) in opened(call).await {
        grant(&mut granted, &acknowledged, &exchange.leg.server.settings.name);
        exchanges.push(exchange);
    }
    let id = call.message().id_bytes();
    // The channel is empty and longer than one message.
    drop(sender.try_send(acknowledgement(&id, granted)));
    tokio::task::spawn_local(forward_all(exchanges, sender));
    let (events, response) = Events::open();
    tokio::task::spawn_local(pump(receiver, events));
    Ok(response)
}

/// The streams of all servers that acknowledge in time, in the order of the view.
async fn opened(call: &Call) -> Vec<(Exchange, Bytes)> {
    let message = call.message();
    let capabilities = Bytes::copy_from_slice(message.raw(message.envelope.client_capabilities).unwrap_or(b"{}"));
    let mut asked = JoinSet::new();
    let open = call.view().servers.iter().filter(|server| call.client().may_reach(&server.settings.name));
    for (place, server) in open.enumerate() {
        let (core, server, from) = (Rc::clone(&call.core), Arc::clone(server), call.provenance());
        let (client, capabilities) = (Arc::clone(&call.client().id), capabilities.clone());
        let message = own_filter(message, &server.settings.name);
        asked.spawn_local(async move {
            let listening = async {
                let leg = server.modern_leg(&client, &capabilities).await.ok()?;
                let mut exchange = leg.call(&core, &message, &from).await.ok()?;
                match exchange.next().await {
                    Step::Related(acknowledged) => Some((exchange, acknowledged)),
                    Step::Final(_) | Step::Lost(_) => None,
                }
            };
            (place, timeout(PATIENCE, listening).await.ok().flatten())
        });
    }
    let mut answered = asked.join_all().await;
    answered.sort_by_key(|(place, _)| *place);
    answered.into_iter().filter_map(|(_, opened)| opened).collect()
}

/// Passes on what the servers say until the first of them ends: the client then opens a new
/// stream, which it could not know to do while the others still speak.
async fn forward_all(exchanges: Vec<Exchange>, sender: mpsc::Sender<Bytes>) {
    let mut running = JoinSet::new();
    for exchange in exchanges {
        running.spawn_local(forward(exchange, sender.clone()));
    }
    if running.join_next().await.is_none() {
        sender.closed().await;
    }
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
