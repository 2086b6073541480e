//! Whom a message of an instance reaches: the call that it names, the session, or nobody.
//!
//! The link reads lines and hands them on here. A request of the server's that reaches nobody is
//! answered by the gate, lest the server wait.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::sync::mpsc;
use toolgate_protocol::envelope::{self, Envelope, Shape};
use toolgate_protocol::method::Method;
use tracing::{debug, warn};

use super::calls::{Arrival, Caller, Waiting};
use super::link::{Command, Serves, Shared, try_send};
use crate::servers::exchange::{one_line, refusal};
use crate::servers::news;
use crate::state::MAX_ID;

/// Bytes outside of calls that a session may have unread.
const UNASKED_BYTES: usize = 4 << 20;

/// The way for the gate's own answers to an instance. It does not keep the connection.
pub(super) struct Back {
    pub(super) shared: Arc<Shared>,
    pub(super) commands: mpsc::WeakSender<Command>,
}

impl Back {
    /// Closes the connection of an instance whose last word was read.
    pub(super) fn end(&self) {
        if let Some(commands) = self.commands.upgrade() {
            // A full channel means that the writer still runs; it ends at a connection that takes nothing.
            drop(commands.try_send(Command::End));
        }
    }

    /// Answers a server's request that reaches nobody; other messages need no answer.
    fn refuse(&self, envelope: &Envelope, message: &[u8]) {
        let Some(id) = envelope.id.filter(|_| envelope.shape == Shape::Request) else { return };
        if let Some(commands) = self.commands.upgrade() {
            try_send(&commands, &self.shared, one_line(refusal(id.of(message))));
        }
    }

    /// What an instance asks is to be answered even by a later process. Only what somebody is about to
    /// be handed is noted, so that what is refused at once costs no record.
    async fn note_question(&self, envelope: &Envelope, message: &[u8]) {
        if let (Some(keep), Shape::Request, Some(id)) = (&self.shared.keep, envelope.shape, envelope.id) {
            keep.asks(id.of(message));
            keep.written().await;
        }
    }

    /// What an instance takes back need not be answered.
    fn note_taken_back(&self, envelope: &Envelope, message: &[u8]) {
        let keep = self.shared.keep.as_ref().filter(|keep| envelope.shape == Shape::Notification && keep.waits());
        if let (Some(keep), Some(id)) = (keep, envelope.request_id) {
            keep.answered(id.of(message));
        }
    }
}

/// Hands a message to whom it concerns; `unread` counts what a session has not read.
pub(super) async fn deliver(
    message: Bytes,
    waiting: &RefCell<Waiting>,
    serves: Option<&Serves>,
    back: &Back,
    unread: &mut usize,
) {
    let envelope = match envelope::scan(&message) {
        Ok(envelope) => envelope,
        Err(problem) => {
            warn!(%problem, "a stdio server wrote something to stdout that is no message; the line was dropped");
            return;
        }
    };
    if envelope.shape == Shape::Request && envelope.id.is_some_and(|id| id.of(&message).len() > MAX_ID) {
        debug!("a stdio server asked something under an id that is too long");
        back.refuse(&envelope, &message);
        return;
    }
    let Some(serves) = serves else {
        debug!("an instance that serves nobody yet said something");
        back.refuse(&envelope, &message);
        return;
    };
    let bytes = message.len();
    back.note_taken_back(&envelope, &message);
    if envelope.shape == Shape::Response {
        let Some(reply) = envelope_id(&envelope, &message).and_then(|id| waiting.borrow_mut().remove(id)) else {
            debug!("a stdio server answered a request that nobody waits for");
            return;
        };
        back.shared.answered.fetch_add(1, Ordering::Relaxed);
        hand(&reply, Arrival::Final(message), bytes, serves).await;
        return;
    }
    let named = named_call(&envelope, &message);
    // A list that changed for one user of a shared instance changed for all of them.
    if let Some(list) = news::announced(&envelope).filter(|_| named.is_none() && !serves.is_session()) {
        back.shared.news.publish_change(list);
        return;
    }
    // Of resources only the one client hears whose instance it is.
    let updated = envelope.known_method == Some(Method::ResourceUpdated) && named.is_none();
    if matches!(serves, Serves::Client) && updated {
        back.shared.news.publish(message);
        return;
    }
    let id = match (named, serves) {
        (Some(id), _) => Some(id),
        (None, Serves::Client) => waiting.borrow().only(),
        (None, Serves::Session(_)) if belongs_to_a_call(&envelope, &message) => waiting.borrow().newest(),
        (None, Serves::Session(_) | Serves::Everybody) => None,
    };
    let reply = id.and_then(|id| Some((id, waiting.borrow().find(id)?)));
    if let Some((id, reply)) = reply.filter(|(_, reply)| !reply.is_gone()) {
        back.note_question(&envelope, &message).await;
        if !hand(&reply, Arrival::Related(message.clone()), bytes, serves).await {
            back.refuse(&envelope, &message);
            // What follows would follow a gap.
            waiting.borrow_mut().remove(id);
        }
        return;
    }
    match serves {
        Serves::Session(unasked) if named.is_none() => {
            if unasked.capacity() == unasked.max_capacity() {
                *unread = 0;
            }
            *unread += bytes;
            let fits = *unread <= bytes || *unread <= UNASKED_BYTES;
            let Some(place) = fits.then(|| unasked.try_reserve().ok()).flatten() else {
                debug!("a stdio server said too much outside of calls, or to a session that has ended");
                back.refuse(&envelope, &message);
                return;
            };
            back.note_question(&envelope, &message).await;
            place.send(message);
        }
        _ => {
            debug!("a stdio server's message had no reader and was dropped");
            back.refuse(&envelope, &message);
        }
    }
}

/// Hands a message to its reader. A dedicated instance waits for a slow reader, a shared one gives
/// the reader up; then it is `false`.
async fn hand(reply: &Caller, arrival: Arrival, bytes: usize, serves: &Serves) -> bool {
    if serves.is_session() {
        reply.hand(arrival, bytes).await;
        return true;
    }
    if reply.is_full() {
        // One that is on this core and not slow gets its turn.
        tokio::task::yield_now().await;
    }
    let handed = reply.try_hand(arrival, bytes);
    if !handed {
        debug!("a reader of a shared instance is gone or too slow");
    }
    handed
}

/// The call that a notification names, by progress token or subscription.
fn named_call(envelope: &Envelope, message: &[u8]) -> Option<u64> {
    let span = envelope.progress_token.or(envelope.subscription_id)?;
    parse_id(span.of(message))
}

/// Server requests and log messages arise from a call where one runs; list changes do not.
fn belongs_to_a_call(envelope: &Envelope, message: &[u8]) -> bool {
    envelope.shape == Shape::Request
        || envelope.method_str(message).is_some_and(|method| method == "notifications/message")
}

fn envelope_id(envelope: &Envelope, message: &[u8]) -> Option<u64> {
    parse_id(envelope.id?.of(message))
}

fn parse_id(raw: &[u8]) -> Option<u64> {
    std::str::from_utf8(raw).ok()?.parse().ok()
}

/// A line that was too long costs the one call that it answers, where that can be told.
pub(super) fn lose_oversized(prefix: &[u8], waiting: &RefCell<Waiting>) {
    let reason: Arc<str> = "its answer is longer than line_bytes allows; ask for less, or raise it".into();
    let mut waiting = waiting.borrow_mut();
    let named = envelope::salvage_id(prefix).and_then(|span| parse_id(span.of(prefix)));
    let id = named.or_else(|| waiting.only());
    if let Some(reply) = id.and_then(|id| waiting.remove(id)) {
        reply.lose(&reason);
    } else {
        warn!("a stdio server wrote a line longer than line_bytes; it could not be told whose answer it was");
    }
}
