//! An exchange on its way to the client: one JSON body where the answer comes first, a stream of
//! events where something precedes it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use tokio::time::timeout;
use toolgate_protocol::error as code;
use toolgate_protocol::json;
use toolgate_protocol::revision::Era;

use super::links::Links;
use super::overhear;
use super::stream::{Events, KEEP_ALIVE};
use crate::body::Body;
use crate::call::Call;
use crate::core::Core;
use crate::failure::{self, Failure, Kind};
use crate::message::Message;
use crate::servers::exchange::{Exchange, Step, cancellation};
use crate::sessions::{Kind as Served, Outward, Session};

/// Answers a request with what its exchange brings.
pub async fn relay(call: &mut Call, mut exchange: Exchange, wait: Duration) -> Result<Response<Body>, Failure> {
    let session = call.session.as_ref().map(|(session, _)| Arc::clone(session));
    let Ok(step) = timeout(exchange.left(wait), exchange.next()).await else {
        return Err(too_late(call, &exchange, wait).await);
    };
    call.times.first_byte = Some(Instant::now());
    let links = Links::of(call, &exchange.leg.server);
    match step {
        Step::Final(answer) => Ok(json_answer(call.era, with_links(links.as_ref(), answer))),
        Step::Lost(failure) => Err(failure),
        Step::Related(first) => {
            let (events, response) = Events::open();
            let id = call.message().id_bytes();
            let core = Rc::clone(&call.core);
            let feed = Feed { core, exchange, events, session, links, lost: failure::in_stream(call, &id) };
            tokio::task::spawn_local(feed.run(first));
            Ok(response)
        }
    }
}

fn with_links(links: Option<&Links>, answer: Bytes) -> Bytes {
    match links {
        Some(links) => links.answer(answer),
        None => answer,
    }
}

/// The answer of an exchange that only the gate reads, within the time that a server has.
pub async fn whole(call: &Call, mut exchange: Exchange, wait: Duration) -> Result<Message, Failure> {
    match timeout(exchange.left(wait), exchange.answer()).await {
        Ok(answer) => answer,
        Err(_) => Err(too_late(call, &exchange, wait).await),
    }
}

/// One message as the whole answer.
pub fn json_answer(era: Era, answer: Bytes) -> Response<Body> {
    let status = match era {
        Era::Legacy => StatusCode::OK,
        Era::Modern => modern_status(&answer),
    };
    let mut response = Response::new(Body::from(answer));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The status that the modern era ties to an error's code (2026-07-28, "Error Codes").
fn modern_status(answer: &Bytes) -> StatusCode {
    let Ok(message) = Message::parse(answer.clone()) else { return StatusCode::OK };
    let Some(error) = message.envelope.error else { return StatusCode::OK };
    let code = json::get(&message.bytes, error, "code")
        .and_then(|span| std::str::from_utf8(span.of(&message.bytes)).ok()?.parse::<i64>().ok());
    match code {
        Some(code::METHOD_NOT_FOUND) => StatusCode::NOT_FOUND,
        Some(code::HEADER_MISMATCH | code::MISSING_CLIENT_CAPABILITY | code::UNSUPPORTED_PROTOCOL_VERSION) => {
            StatusCode::BAD_REQUEST
        }
        _ => StatusCode::OK,
    }
}

async fn too_late(call: &Call, exchange: &Exchange, wait: Duration) -> Failure {
    let name = &exchange.leg.server.settings.name;
    if exchange.leg.era == Era::Legacy {
        let cancelled = cancellation(&exchange.id_there());
        exchange.leg.cancel(&call.core, cancelled, &call.provenance()).await;
    }
    Failure::new(
        Kind::ServerTimeout,
        format!(
            "The server {name} did not answer within {} s, and the call was cancelled. Whether it had an effect is unknown; check before you repeat it.",
            wait.as_secs()
        ),
    )
}

/// Feeds a client's stream from an exchange.
struct Feed {
    core: Rc<Core>,
    exchange: Exchange,
    events: Events,
    session: Option<Arc<Session>>,
    links: Option<Links>,
    lost: failure::InStream,
}

impl Feed {
    async fn run(mut self, first: Bytes) {
        let mut next = Step::Related(first);
        loop {
            let sent = match next {
                Step::Related(message) => match self.outward(message) {
                    Some(message) => {
                        let sent = self.events.message(&message).await;
                        if sent.is_err() {
                            self.unseen(message);
                        }
                        sent
                    }
                    None => Ok(()),
                },
                Step::Final(answer) => {
                    let answer = with_links(self.links.as_ref(), answer);
                    drop(self.events.message(&answer).await);
                    return;
                }
                Step::Lost(failure) => {
                    drop(self.events.message(&self.lost.body(&failure)).await);
                    return;
                }
            };
            // A modern client that closes its stream cancels; a legacy one only stops reading.
            if sent.is_err() && self.exchange.leg.era == Era::Modern {
                return;
            }
            next = match self.wait().await {
                Some(step) => step,
                None => return,
            };
        }
    }

    /// The next step; comments keep the stream alive while there is none. `None` when a modern
    /// client is gone.
    async fn wait(&mut self) -> Option<Step> {
        loop {
            let modern = self.exchange.leg.era == Era::Modern;
            tokio::select! {
                next = timeout(KEEP_ALIVE, self.exchange.next()) => match next {
                    Ok(step) => return Some(step),
                    Err(_) => drop(self.events.keep_alive().await),
                },
                () = self.events.gone(), if modern => return None,
            }
        }
    }

    /// The client is gone; a server that asked it something must not wait.
    fn unseen(&self, message: Bytes) {
        if let Some(Served::Hosted(hosted)) = self.session.as_deref().map(|session| &session.kind)
            && let Some(asked) = hosted.unseen(message)
        {
            overhear::refuse(&self.core, asked);
        }
    }

    fn outward(&self, message: Bytes) -> Option<Bytes> {
        let Some(Served::Hosted(hosted)) = self.session.as_deref().map(|session| &session.kind) else {
            return Some(message);
        };
        match hosted.outward(&self.exchange.leg, message) {
            Outward::Pass(message) => Some(message),
            Outward::Refuse(asked) => {
                overhear::refuse(&self.core, asked);
                None
            }
            Outward::Nothing => None,
        }
    }
}
