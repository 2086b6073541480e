//! An exchange on its way to the client: one JSON body where the answer comes first, a stream of
//! events where something precedes it.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use tokio::time::{sleep, timeout};
use toolgate_protocol::error as code;
use toolgate_protocol::json;
use toolgate_protocol::revision::Era;

use super::course::Course;
use super::links::Links;
use super::stream::{Events, KEEP_ALIVE};
use crate::answers::{self, Reception};
use crate::body::Body;
use crate::call::Call;
use crate::failure::{self, Failure, Kind};
use crate::message::Message;
use crate::servers::Server;
use crate::servers::exchange::{Exchange, Step};
use crate::stages::queue;

/// Answers a request with what its course brings from the server.
pub async fn relay(
    call: &mut Call,
    server: &Arc<Server>,
    mut course: Course,
    wait: Duration,
) -> Result<Response<Body>, Failure> {
    let step = timeout(course.left(wait), course.next()).await;
    call.times.first_byte = Some(Instant::now());
    if matches!(step, Ok(Step::Final(_) | Step::Related(_))) {
        queue::answered(call);
    }
    let mut end = End::of(call, server);
    let first = match step {
        Ok(Step::Final(answer)) => return Ok(json_answer(call.era, end.answer(answer))),
        Ok(Step::Lost(failure)) => return end.rescue(call, server, failure),
        Ok(Step::Related(first)) => Some(first),
        // The time is the server's to answer in, and it has; the stream tells the client that its call lives.
        Err(_) if course.is_task() => None,
        Err(_) => {
            let failure = too_late(call, server, &course, wait).await;
            return end.rescue(call, server, failure);
        }
    };
    let (events, response) = Events::open(&call.core);
    let lost = failure::in_stream(call, &call.message().id_bytes());
    let feed = Feed { era: call.era, course, events, end, lost };
    tokio::task::spawn_local(feed.run(first));
    Ok(response)
}

/// What the answer to a call goes through before its client gets it.
pub(super) struct End {
    reception: Option<Box<Reception>>,
    links: Option<Links>,
}

impl End {
    /// What a call's answer needs.
    pub(super) fn of(call: &mut Call, server: &Arc<Server>) -> Self {
        Self { reception: call.reception.take(), links: Links::of(call, server) }
    }

    /// What stands in for an answer that does not come, before the client has seen anything.
    fn rescue(self, call: &mut Call, server: &Arc<Server>, failure: Failure) -> Result<Response<Body>, Failure> {
        call.reception = self.reception;
        answers::rescue(call, server, failure)
    }

    /// The same as a message.
    pub(super) fn failed(&mut self, failure: Failure) -> Result<Bytes, Failure> {
        match self.reception.take().and_then(|reception| reception.failed(&failure)) {
            Some(stale) => Ok(self.answer(stale.answer)),
            None => Err(failure),
        }
    }

    /// The answer as its client is to see it, with the URIs of its view.
    pub(super) fn answer(&mut self, answer: Bytes) -> Bytes {
        let answer = match self.reception.take() {
            Some(reception) => reception.answer(answer),
            None => answer,
        };
        match &self.links {
            Some(links) => links.answer(answer),
            None => answer,
        }
    }
}

/// The answer of an exchange that only the gate reads, within the time that a server has.
pub async fn whole(call: &Call, mut exchange: Exchange, wait: Duration) -> Result<Message, Failure> {
    if let Ok(answer) = timeout(exchange.left(wait), exchange.answer()).await {
        return answer;
    }
    let server = Arc::clone(&exchange.leg.server);
    let course = Course::straight(&call.core, exchange, None);
    Err(too_late(call, &server, &course, wait).await)
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

/// Cancels a call that had no answer within `wait`, and says so.
pub(super) async fn too_late(call: &Call, server: &Server, course: &Course, wait: Duration) -> Failure {
    course.give_up(&call.core, &call.provenance()).await;
    Failure::new(
        Kind::ServerTimeout,
        format!(
            "The server {} did not answer within {} s, and the call was cancelled. Whether it had an effect is unknown; check before you repeat it.",
            server.settings.name,
            wait.as_secs()
        ),
    )
}

/// Feeds a client's stream from a course.
struct Feed {
    era: Era,
    course: Course,
    events: Events,
    end: End,
    lost: failure::InStream,
}

impl Feed {
    async fn run(mut self, first: Option<Bytes>) {
        let mut next = first.map(Step::Related);
        loop {
            let step = match next.take() {
                Some(step) => step,
                None => match self.wait().await {
                    Some(step) => step,
                    None => return,
                },
            };
            let sent = match step {
                Step::Related(message) => self.events.message(&message).await,
                Step::Final(answer) => {
                    let answer = self.end.answer(answer);
                    drop(self.events.message(&answer).await);
                    return;
                }
                Step::Lost(failure) => {
                    let last = self.end.failed(failure).unwrap_or_else(|failure| self.lost.body(&failure).into());
                    drop(self.events.message(&last).await);
                    return;
                }
            };
            // A modern client that closes its stream cancels; a legacy one only stops reading.
            if sent.is_err() && self.era == Era::Modern {
                return;
            }
        }
    }

    /// The next step; comments keep the stream alive while there is none. `None` when a modern
    /// client is gone.
    async fn wait(&mut self) -> Option<Step> {
        let (modern, events) = (self.era == Era::Modern, &self.events);
        let mut next = pin!(self.course.next());
        loop {
            tokio::select! {
                step = &mut next => return Some(step),
                () = sleep(KEEP_ALIVE) => drop(events.keep_alive().await),
                () = events.gone(), if modern => return None,
            }
        }
    }
}
