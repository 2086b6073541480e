//! Calls that are answered from the cache, or share the flight of another.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AGE, HeaderName};
use http::{HeaderValue, Response};
use tokio::time::timeout;

use super::cache::{Cache, Entry, Keeping, Keys, Look, Rule, Waited};
use super::reception::Stale;
use crate::body::Body;
use crate::call::Call;
use crate::message::Message;
use crate::relay::answer::json_answer;
use crate::relay::links::Links;
use crate::servers::Server;

/// RFC 9211.
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// What a look into the cache brought.
pub(super) enum Looked {
    /// An answer that holds.
    Found(Found),
    /// The server has to be asked; its answer may be kept.
    Asks(Option<Keeping>),
}

/// A kept answer.
pub(super) struct Found {
    entry: Arc<Entry>,
    /// How it came, for `Cache-Status`.
    how: &'static str,
}

/// Looks for an answer to a request, `message` as its server knows it, and waits where another call fetches it.
pub(super) async fn look(
    call: &Call,
    server: &Arc<Server>,
    message: &Message,
    (cache, rule): (&Arc<Cache>, Rule),
) -> Looked {
    let keys = message.envelope.known_method.and_then(|method| Keys::of(call, server.facet(), method, message));
    let Some(keys) = keys else { return Looked::Asks(None) };
    // A call that lives long is not what others wait for.
    let patience = server.first_byte(message.envelope.name_str(&message.bytes).as_deref());
    find(cache, keys, rule, patience).await
}

/// Looks for an answer under these keys, and waits for one that is being fetched.
pub(super) async fn find(cache: &Arc<Cache>, keys: Keys, rule: Rule, patience: Duration) -> Looked {
    loop {
        let mut follower = match cache.look(keys, rule) {
            Look::Hit(entry) => return Looked::Found(Found { entry, how: "hit" }),
            Look::Miss(keeping) => return Looked::Asks(Some(keeping)),
            Look::Follow(follower) => follower,
        };
        match timeout(patience, follower.wait()).await {
            Ok(Waited::Landed(entry)) => {
                cache.shared();
                return Looked::Found(Found { entry, how: "fwd=miss; collapsed" });
            }
            Ok(Waited::Failed) | Err(_) => return Looked::Asks(Some(cache.alone(keys, rule))),
            Ok(Waited::Abandoned) => {}
        }
    }
}

impl Found {
    /// The text of the answer to a request with this raw id.
    pub(super) fn text(&self, id: &[u8]) -> Bytes {
        self.entry.answer(id)
    }

    /// As its client gets it; `text` is what it is to be told.
    pub(super) fn response(&self, call: &Call, server: &Arc<Server>, text: Bytes) -> Response<Body> {
        respond(call, server, text, &self.entry, self.how)
    }
}

/// A stale answer as its client gets it.
pub(super) fn stale(call: &Call, server: &Arc<Server>, stale: Stale) -> Response<Body> {
    respond(call, server, stale.answer, &stale.entry, "hit; detail=stale")
}

fn respond(call: &Call, server: &Arc<Server>, text: Bytes, entry: &Entry, how: &str) -> Response<Body> {
    let text = match Links::of(call, server) {
        Some(links) => links.answer(text),
        None => text,
    };
    let mut response = json_answer(call.era, text);
    let headers = response.headers_mut();
    headers.insert(AGE, HeaderValue::from(entry.age() / 1000));
    // Below zero for an answer past its time.
    let left = entry.left().div_euclid(1000);
    if let Ok(status) = HeaderValue::from_str(&format!("toolgate; {how}; ttl={left}")) {
        headers.insert(CACHE_STATUS, status);
    }
    response
}
