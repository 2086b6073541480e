//! The answers to the requests of a batch: one array, or one stream as soon as something precedes an answer.
//!
//! 2025-03-26, Streamable HTTP, "Sending Messages": what a server says in the course of a request comes before its
//! answer, so it cannot wait for an array. Each request is answered once, whatever becomes of its call.

use std::pin::pin;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use http::Response;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;
use toolgate_protocol::bridge::batch::Answers;
use toolgate_protocol::envelope::Shape;
use toolgate_protocol::revision::Era;
use toolgate_protocol::sse::Parser;

use super::answer;
use super::stream::{Events, KEEP_ALIVE};
use crate::body::Body;
use crate::call::Call;
use crate::core::Core;
use crate::failure::{self, Failure, InStream, Kind};
use crate::message::Message;
use crate::pipeline;
use crate::servers::http_reply::MAX_MESSAGE;

/// Messages of all requests together that their client may have unread.
pub const UNREAD: usize = 64;
/// Bytes of answers that are kept for an array; beyond, they go as a stream.
const KEPT: usize = 1 << 20;

/// What comes of one request.
#[derive(Debug)]
pub enum Said {
    /// Before its answer.
    Related(Bytes),
    /// Its answer.
    Answer(Bytes),
}

/// One request of a batch.
pub struct Part {
    /// What it is answered with where its call brings nothing.
    lost: InStream,
    said: mpsc::Sender<Said>,
}

impl Part {
    /// The request that this call serves; what comes of it goes to `said`.
    pub fn of(call: &Call, said: &mpsc::Sender<Said>) -> Self {
        Self { lost: failure::in_stream(call, &call.message().id_bytes()), said: said.clone() }
    }

    /// Serves it.
    pub async fn serve(self, call: Call) {
        let response = pipeline::part(call).await;
        let failure = self.read(response).await.err();
        if let Some(failure) = failure {
            self.say(Said::Answer(self.lost.body(&failure).into())).await;
        }
    }

    /// Passes on what a response holds, up to the answer; an error where there is none.
    async fn read(&self, response: Response<Body>) -> Result<(), Failure> {
        let status = response.status();
        let kind = response.headers().get(CONTENT_TYPE).map(http::HeaderValue::as_bytes).unwrap_or_default();
        let mut events = kind.starts_with(b"text/event-stream").then(|| Parser::new(MAX_MESSAGE));
        let (mut body, mut whole) = (response.into_body(), BytesMut::new());
        while let Some(frame) = body.frame().await {
            let chunk = frame.map_err(|problem| unanswered().because(problem))?.into_data().unwrap_or_default();
            let Some(parser) = &mut events else {
                if whole.len() + chunk.len() > MAX_MESSAGE {
                    return Err(unanswered().because("the answer is too long"));
                }
                whole.extend_from_slice(&chunk);
                continue;
            };
            let mut rest = &chunk[..];
            while let Some(event) = parser.push(&mut rest).map_err(|problem| unanswered().because(problem))? {
                // Events without data open a stream that can be resumed; they carry no message.
                if !event.data.is_empty() && self.pass(event.data).await? {
                    return Ok(());
                }
            }
        }
        if events.is_none() && self.pass(whole.freeze()).await.map_err(|lost| lost.because(status))? {
            return Ok(());
        }
        Err(unanswered())
    }

    /// Passes a message on; whether it was the answer.
    async fn pass(&self, text: Bytes) -> Result<bool, Failure> {
        let message = Message::parse(text).map_err(|problem| unanswered().because(problem))?;
        let is_answer = message.shape() == Shape::Response;
        self.say(if is_answer { Said::Answer(message.bytes) } else { Said::Related(message.bytes) }).await;
        Ok(is_answer)
    }

    async fn say(&self, said: Said) {
        // Where nobody is there any more, the call goes on as that of any client that went away, and sees
        // to what its server asked.
        drop(self.said.send(said).await);
    }
}

fn unanswered() -> Failure {
    Failure::new(
        Kind::ServerGarbage,
        "The server gave no complete answer to this request of the batch. Whether it had an effect is unknown; check before you repeat it.",
    )
}

/// The answer to a batch from what comes of its requests; `None` where there was none to answer.
pub async fn answer(
    core: &Rc<Core>,
    mut answers: Answers,
    mut heard: mpsc::Receiver<Said>,
    running: JoinSet<()>,
) -> Option<Response<Body>> {
    let mut kept = 0;
    while let Some(said) = heard.recv().await {
        let related = match said {
            Said::Answer(text) => {
                kept += text.len();
                answers.answered(text);
                None
            }
            Said::Related(text) => Some(text),
        };
        if related.is_some() || (kept > KEPT && answers.missing() > 0) {
            let (events, response) = Events::open(core);
            let stream = Stream { heard, _running: running, events };
            tokio::task::spawn_local(stream.run(answers, related));
            return Some(response);
        }
    }
    let array = answers.finish()?;
    Some(answer::json_answer(Era::Legacy, array.into()))
}

/// What comes of a batch, as a stream.
struct Stream {
    heard: mpsc::Receiver<Said>,
    /// Whoever reads the calls ends with it; what servers have asked on them is then the calls' own business.
    _running: JoinSet<()>,
    events: Events,
}

impl Stream {
    async fn run(mut self, answers: Answers, related: Option<Bytes>) {
        let before: Vec<Bytes> = answers.each().chain(related).collect();
        for message in before {
            if self.events.message(&message).await.is_err() {
                return;
            }
        }
        while let Some(said) = self.next().await {
            let (Said::Answer(message) | Said::Related(message)) = said;
            if self.events.message(&message).await.is_err() {
                return;
            }
        }
    }

    /// What is said next, for as long as the client is there; comments keep the stream alive while that is
    /// nothing.
    async fn next(&mut self) -> Option<Said> {
        let mut next = pin!(self.heard.recv());
        loop {
            tokio::select! {
                said = &mut next => return said,
                () = self.events.gone() => return None,
                () = sleep(KEEP_ALIVE) => drop(self.events.keep_alive().await),
            }
        }
    }
}
