//! Reading event streams, and the stream that a session keeps open for what the server says by itself.
//!
//! Events without data (the first of a resumable stream) only move the position.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use toolgate_protocol::sse::Parser;

use super::refusal::Refusal;
use super::relay::Relay;
use super::stdio::LINE_LIMIT;
use crate::client::connection::{Exchange, Sender};

/// Between two streams where the server names no time.
const RETRY: Duration = Duration::from_secs(1);

/// The longest pause after streams that brought nothing.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// The most a server may ask to wait.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// Where reading a sequence of streams has come to.
#[derive(Debug, Default)]
pub(super) struct Position {
    /// The last id that an event had.
    pub(super) last_event: Option<String>,
    /// Events seen.
    pub(super) events: u64,
    retry: Option<Duration>,
}

impl Position {
    /// How long to wait before the next stream.
    pub(super) fn retry(&self) -> Duration {
        self.retry.unwrap_or(RETRY)
    }
}

/// One event stream.
pub(super) struct Events {
    body: Incoming,
    sender: Option<Sender>,
    parser: Parser,
    chunk: Bytes,
}

impl Events {
    /// The stream that an answer is.
    pub(super) fn new(exchange: Exchange) -> Self {
        let (_, body, sender) = exchange.into_parts();
        Self { body, sender: Some(sender), parser: Parser::new(LINE_LIMIT), chunk: Bytes::new() }
    }

    /// The next message; `None` when the stream ended or broke.
    pub(super) async fn next(&mut self, relay: &Relay, position: &mut Position) -> Option<Bytes> {
        loop {
            if let Some(message) = self.buffered(position) {
                return Some(message);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.chunk = frame.into_data().unwrap_or_default(),
                Some(Err(_)) => return None,
                None => {
                    self.sender.take().into_iter().for_each(|sender| relay.connections().keep(sender));
                    return None;
                }
            }
        }
    }

    /// The next message of the chunk that was read.
    fn buffered(&mut self, position: &mut Position) -> Option<Bytes> {
        while !self.chunk.is_empty() {
            let mut rest: &[u8] = &self.chunk;
            let event = self.parser.push(&mut rest);
            let used = self.chunk.len() - rest.len();
            self.chunk = self.chunk.slice(used..);
            let event = match event {
                Ok(Some(event)) => event,
                Ok(None) => continue,
                Err(error) => {
                    eprintln!("toolgate bridge: {error}");
                    continue;
                }
            };
            position.events += 1;
            position.last_event = event.id.or(position.last_event.take());
            let retry = event.retry.map(|retry| Duration::from_millis(retry).min(LONGEST_ASKED));
            position.retry = retry.or(position.retry);
            if !event.data.is_empty() {
                return Some(event.data);
            }
        }
        None
    }
}

/// Keeps the session's stream open until the gate says that there is none.
pub(super) async fn run(relay: Rc<Relay>) {
    let mut position = Position::default();
    let mut failures = 0;
    loop {
        let before = position.events;
        if let Err(refusal) = once(&relay, &mut position).await {
            match refusal {
                Refusal::Unreachable(_) | Refusal::Cut => {}
                // No stream is offered: the standard's own way to say so.
                Refusal::Status(StatusCode::METHOD_NOT_ALLOWED) => return,
                refusal => return relay.log(&refusal),
            }
        }
        failures = if position.events == before { failures + 1 } else { 0 };
        tokio::time::sleep(pause(position.retry(), failures)).await;
    }
}

/// Doubles with every stream that brought nothing.
fn pause(retry: Duration, failures: u32) -> Duration {
    let doubled = retry.saturating_mul(1 << failures.saturating_sub(1).min(8));
    doubled.min(LONGEST_RETRY.max(retry))
}

async fn once(relay: &Relay, position: &mut Position) -> Result<(), Refusal> {
    let session = relay.session();
    let request = relay
        .head()
        .stream(&session, position.last_event.as_deref())
        .map_err(|error| Refusal::Unreachable(error.to_string()))?;
    let exchange = relay.connections().send(request).await?;
    let status = exchange.response.status();
    if status != StatusCode::OK {
        return Err(match status {
            StatusCode::METHOD_NOT_ALLOWED => Refusal::Status(status),
            _ => Refusal::of_answer(status, session.id.is_some(), b""),
        });
    }
    let mut events = Events::new(exchange);
    while let Some(message) = events.next(relay, position).await {
        relay.say(message.to_vec()).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_never_undercut_the_server() {
        let second = Duration::from_secs(1);
        let pauses = [0, 1, 2, 3, 9, u32::MAX].map(|failures| pause(second, failures).as_secs());
        assert_eq!(pauses, [1, 1, 2, 4, 30, 30]);
        assert_eq!(pause(Duration::from_secs(100), 5), Duration::from_secs(100));
    }
}
