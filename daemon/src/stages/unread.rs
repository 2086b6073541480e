//! A request that is refused before its body was read: how much of it is read for the answer's sake.
//!
//! The answer should carry the request's id, and the connection should go on. Neither is worth more than a little of
//! what a refused client sends: beyond that the connection closes behind the answer.

use std::time::Duration;

use bytes::BytesMut;
use http::Method;
use http::header::EXPECT;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;
use toolgate_protocol::envelope::salvage_id;
use toolgate_protocol::revision::Era;

use crate::call::Call;
use crate::message::Message;

/// Bytes that are read.
const ENOUGH: usize = 64 * 1024;
/// How long they may take: a body that was sent with its head is there already.
const PATIENCE: Duration = Duration::from_secs(1);

/// Reads for the id, and remembers whether the connection can go on behind the answer.
pub async fn look(call: &mut Call, mut body: Incoming) {
    if call.method != Method::POST || body.is_end_stream() {
        return;
    }
    let stated = call.header("mcp-protocol-version").map(str::to_owned);
    call.era = stated.as_deref().map_or(Era::Legacy, Era::of_header);
    call.cut = true;
    // A client that asks before it sends its body need not send it.
    if call.headers.contains_key(EXPECT) {
        return;
    }
    let patience = PATIENCE.min(call.entrance.listener.bounds.body_timeout / 2);
    let mut text = BytesMut::new();
    let read = async {
        while text.len() < ENOUGH {
            match body.frame().await {
                Some(Ok(frame)) => text.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Some(Err(_)) => return false,
                None => return true,
            }
        }
        body.is_end_stream()
    };
    call.cut = !timeout(patience, read).await.unwrap_or(false);
    text.truncate(ENOUGH);
    let text = text.freeze();
    if call.cut {
        call.salvaged = salvage_id(&text).map(|_| text);
        return;
    }
    match Message::parse(text.clone()) {
        Ok(message) => {
            call.era = Era::of_request(stated.as_deref(), &message.envelope, &message.bytes);
            call.message = Some(message);
        }
        Err(_) => call.salvaged = Some(text),
    }
}
