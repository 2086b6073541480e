//! A modern client's call that waits for its client: a legacy server has asked it something.
//!
//! The call stays in a task of its own, on the core that sent it; a retry finds it by the place that
//! its sealed `requestState` names, and hears from then on what the server says. A repeated retry
//! hears the same. Nothing runs twice: where the call is gone, the answer is an error.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::sleep;
use toolgate_protocol::bridge::digest;
use toolgate_protocol::bridge::parking::{self, PARKED_MILLIS, Place, Retry};

use super::held::{Run, Turn};
use crate::call::Call;
use crate::clock;
use crate::failure::{Failure, Kind};
use crate::gate::Gate;
use crate::identity::Client;
use crate::lock::lock;
use crate::message::Message;
use crate::servers::Server;
use crate::servers::exchange::Step;

/// How long a call stays parked.
const PATIENCE: Duration = Duration::from_millis(PARKED_MILLIS);
/// What a retry may have unread before it counts as gone.
const UNREAD: usize = 256;
/// Retries on their way to their call.
const RETRIES: usize = 8;

type Digest = [u8; 32];

/// The places of all parked calls. Only calls that wait for a client come here.
#[derive(Debug)]
pub struct Parked(Mutex<Places>);

type Places = parking::Parked<Arc<str>, Digest, Way>;

/// The way to a parked call.
#[derive(Debug, Clone)]
struct Way {
    returns: mpsc::Sender<Returned>,
    is_task: Arc<AtomicBool>,
}

/// A client that has come back, and where it listens.
#[derive(Debug)]
pub struct Returned {
    retry: Message,
    steps: mpsc::Sender<Step>,
}

/// What a retry hears of its call.
pub struct Continued {
    steps: mpsc::Receiver<Step>,
    is_task: Arc<AtomicBool>,
}

impl Continued {
    /// Whether the call has become a task, which may take its time.
    pub fn is_task(&self) -> bool {
        self.is_task.load(Ordering::Relaxed)
    }

    /// The next message for the client.
    pub async fn next(&mut self) -> Step {
        self.steps.recv().await.unwrap_or_else(|| Step::Lost(gone()))
    }
}

impl Default for Parked {
    fn default() -> Self {
        let mut first = [0; 8];
        aws_lc_rs::rand::fill(&mut first).expect("the system has a random source");
        Self(Mutex::new(parking::Parked::new(u64::from_ne_bytes(first))))
    }
}

impl Parked {
    fn lock(&self) -> MutexGuard<'_, Places> {
        lock(&self.0)
    }
}

/// What a client reads whose call is not there any more.
pub fn gone() -> Failure {
    Failure::new(Kind::InvalidParams, parking::Lost::Gone.message())
}

/// Parks a call whose server has asked something; gives back the answer for its client.
pub fn park(mut run: Run) -> Step {
    let gate = Arc::clone(&run.core.gate);
    let (sender, returns) = mpsc::channel(RETRIES);
    let way = Way { returns: sender, is_task: run.task_mark() };
    let parked = gate.parked.lock().park(Arc::clone(&run.client.id), digest_of(&run.request), clock::millis(), way);
    let Ok(place) = parked else {
        let mine = parking::PER_OWNER;
        let text = format!("{mine} calls of this client wait for its answers already. Answer one of them first.");
        return Step::Lost(Failure::new(Kind::Limited, text).retry_after(Duration::from_secs(30)));
    };
    run.give_place();
    let waiting = Waiting { run, gate, place, returns, listeners: Vec::new(), answer: None };
    let required = waiting.required(&waiting.run.request);
    tokio::task::spawn_local(waiting.run());
    Step::Final(required)
}

/// The parked call that a request continues: its `requestState` was sealed here for this client and
/// server.
pub fn continued(call: &Call, server: &Server, message: &Message) -> Option<Place> {
    let state = message.envelope.request_state_str(&message.bytes)?;
    let opened = call.core.gate.seal.open(&purpose(call.client(), server), &state)?;
    Some(Place(u64::from_be_bytes(opened.try_into().ok()?)))
}

/// Brings a client back to its call.
pub async fn resume(call: &Call, message: &Message, place: Place) -> Result<Continued, Failure> {
    let found = {
        let mut parked = call.core.gate.parked.lock();
        match parked.retry(place, &call.client().id, &digest_of(message), clock::millis()) {
            Retry::Resumes(way) | Retry::Joins(way) => way.clone(),
            Retry::Lost(lost) => return Err(Failure::new(Kind::InvalidParams, lost.message())),
        }
    };
    let (steps, heard) = mpsc::channel(UNREAD);
    found.returns.send(Returned { retry: message.clone(), steps }).await.map_err(|_| gone())?;
    Ok(Continued { steps: heard, is_task: found.is_task })
}

/// What the seal of a parked call's place is bound to.
fn purpose(client: &Client, server: &Server) -> String {
    format!("requestState {} {}", server.settings.name, client.id)
}

fn digest_of(message: &Message) -> Digest {
    let mut context = Context::new(&SHA256);
    digest::digest(&message.bytes, &message.envelope, &mut |piece| context.update(piece));
    let mut digest = Digest::default();
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// A parked call in its task.
struct Waiting {
    run: Run,
    gate: Arc<Gate>,
    place: Place,
    returns: mpsc::Receiver<Returned>,
    /// The retries that wait for its answer.
    listeners: Vec<Returned>,
    /// The end of the call that came before its client did.
    answer: Option<Step>,
}

impl Waiting {
    async fn run(mut self) {
        // Dropping the call cancels it at its server.
        while let Some(returned) = self.client().await {
            if let Some(step) = self.answer.take() {
                self.listeners.push(returned);
                self.tell(&step);
                break;
            }
            if let Err(failure) = self.run.take_place().await {
                drop(returned.steps.try_send(Step::Lost(failure)));
                self.park_again();
                continue;
            }
            self.welcome(returned);
            if self.run.questions.is_empty() && !self.go_on().await {
                break;
            }
            self.ask_again();
        }
        self.gate.parked.lock().take(self.place);
    }

    /// Waits for the client. What the server says meanwhile has no reader, but for the end of the call.
    async fn client(&mut self) -> Option<Returned> {
        let mut late = pin!(sleep(PATIENCE));
        loop {
            tokio::select! {
                returned = self.returns.recv() => return returned,
                () = &mut late => return None,
                turn = self.run.turn(), if self.answer.is_none() => match turn {
                    Turn::Step(Step::Related(_)) | Turn::Ask => {}
                    Turn::Step(step) => self.answer = Some(step),
                },
            }
        }
    }

    /// Hands the client's answers to the server.
    fn welcome(&mut self, returned: Returned) {
        for answer in self.run.questions.retried(&returned.retry.bytes, &returned.retry.envelope) {
            self.run.reply(answer);
        }
        self.listeners.push(returned);
    }

    /// Tells those who listen what the server says; `true` when it asks again, `false` when the
    /// call is over or nobody listens any more.
    async fn go_on(&mut self) -> bool {
        loop {
            match self.turn().await {
                Some(Turn::Step(step)) => {
                    self.tell(&step);
                    if !matches!(step, Step::Related(_)) {
                        return false;
                    }
                }
                Some(Turn::Ask) => return true,
                None => return false,
            }
        }
    }

    /// What the server says next, while further retries join; `None` once all of them are gone.
    async fn turn(&mut self) -> Option<Turn> {
        let Self { run, returns, listeners, .. } = self;
        let mut turn = pin!(run.turn());
        loop {
            tokio::select! {
                turn = &mut turn => return Some(turn),
                Some(returned) = returns.recv() => listeners.push(returned),
                () = gone_all(listeners) => return None,
            }
        }
    }

    /// The same to each, under its own id and progress token. One that does not read is gone.
    fn tell(&mut self, step: &Step) {
        let original = &self.run.request;
        self.listeners.retain(|listener| {
            let own = match step {
                Step::Related(message) => Step::Related(with_token(original, &listener.retry, message)),
                Step::Final(message) => Step::Final(with_id(&listener.retry, message)),
                Step::Lost(failure) => Step::Lost(failure.clone()),
            };
            listener.steps.try_send(own).is_ok()
        });
    }

    /// Whoever listened has to answer more; the call waits again.
    fn ask_again(&mut self) {
        for listener in std::mem::take(&mut self.listeners) {
            drop(listener.steps.try_send(Step::Final(self.required(&listener.retry))));
        }
        self.park_again();
    }

    fn park_again(&mut self) {
        self.run.give_place();
        self.gate.parked.lock().park_again(self.place, clock::millis());
    }

    fn required(&self, request: &Message) -> Bytes {
        // Sealed anew, so that no two rounds have the same state.
        let state = self.gate.seal.seal(&purpose(&self.run.client, self.run.server()), &self.place.0.to_be_bytes());
        self.run.questions.input_required(request.id().unwrap_or(b"null"), &state).into()
    }
}

async fn gone_all(listeners: &[Returned]) {
    for listener in listeners {
        listener.steps.closed().await;
    }
}

fn with_id(retry: &Message, answer: &Bytes) -> Bytes {
    match (Message::parse(answer.clone()), retry.id()) {
        (Ok(parsed), Some(id)) => parsed.with(&[(parsed.envelope.id, id)]).into(),
        _ => answer.clone(),
    }
}

/// Progress of the call, under the token of the retry; the first attempt's is known to nobody.
fn with_token(original: &Message, retry: &Message, message: &Bytes) -> Bytes {
    let Ok(parsed) = Message::parse(message.clone()) else { return message.clone() };
    let theirs = parsed.raw(parsed.envelope.progress_token);
    let own = retry.raw(retry.envelope.progress_token);
    match (theirs, own) {
        (Some(theirs), Some(own)) if original.raw(original.envelope.progress_token) == Some(theirs) => {
            parsed.with(&[(parsed.envelope.progress_token, own)]).into()
        }
        _ => message.clone(),
    }
}

#[cfg(test)]
mod tests;
