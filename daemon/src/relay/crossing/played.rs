//! A legacy client's call on a modern server, over as many rounds as the server requires input.
//!
//! Hosted sessions begin it. What the server requires becomes requests of ours to the client; the
//! client's cancellation closes the round that is under way, which is how the modern era cancels. A
//! call that the server makes a task goes on in `tasked`.

use std::collections::VecDeque;
use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use toolgate_protocol::bridge::parking::PARKED_MILLIS;
use toolgate_protocol::bridge::playback::{self, Playback};
use toolgate_protocol::bridge::request::Declared;
use toolgate_protocol::bridge::tasks::Step as Wanted;
use toolgate_protocol::bridge::{capabilities, notification, result};
use toolgate_protocol::envelope::Shape;
use toolgate_protocol::error::HEADER_MISMATCH;
use toolgate_protocol::json::Span;
use toolgate_protocol::method::Method;

use super::tasked::{self, Tasked};
use super::{level, parameters, read};
use crate::call::Call;
use crate::core::Core;
use crate::failure::{Failure, Kind};
use crate::message::Message;
use crate::provenance::Provenance;
use crate::servers::exchange::{Exchange, Step, cancellation, cancelled, garbage};
use crate::servers::leg::Leg;
use crate::servers::queue::{Flow, Permit};
use crate::sessions::{Answerer, Hosted, Place, Running, Session};
use crate::stages::queue;

/// How long a client may take to answer what a server requires.
const PATIENCE: Duration = Duration::from_millis(PARKED_MILLIS);

/// Such a call.
pub struct Played {
    core: Rc<Core>,
    from: Provenance,
    session: Arc<Session>,
    /// The server's leg.
    pub leg: Leg,
    playback: Playback,
    /// The round under way; none while the client is asked, nor in a task.
    round: Option<Exchange>,
    /// Nothing was answered yet.
    is_first: bool,
    /// What the client declared, where the server may make a task of the call.
    may_be_task: Option<Arc<Declared>>,
    /// The task that the call has become.
    task: Option<Tasked>,
    /// What the client is still to be sent.
    unsent: VecDeque<Bytes>,
    /// An answer of our own that follows what is unsent.
    last: Option<Bytes>,
    answers: mpsc::Receiver<Message>,
    answered: mpsc::Sender<Message>,
    /// The place at the server; given up while the client is asked.
    permit: Option<Permit>,
    flow: Flow,
    id: Bytes,
    method: Option<Method>,
    uri: Option<String>,
    running: Running,
}

/// What happened.
enum Turn {
    Server(Step),
    Client(Option<Message>),
    Cancelled,
    Late,
}

impl Played {
    /// Sends the call's first round. `message` has the server's own names; the call holds a permit.
    pub async fn begin(call: &mut Call, session: Arc<Session>, leg: Leg, message: Message) -> Result<Self, Failure> {
        let hosted = session.hosted().ok_or_else(|| Failure::new(Kind::Internal, "The session has no servers."))?;
        let level = level(hosted, &leg.server);
        let may_be_task = with_tasks(call, &leg, hosted.declared.as_ref(), &message).await;
        let declared = may_be_task.as_ref().unwrap_or(&hosted.declared);
        let playback = Playback::new(message.bytes.clone(), message.envelope.clone(), Arc::clone(declared), level);
        let (answered, answers) = mpsc::channel(playback::QUESTIONS);
        let named = leg.name();
        let place = Place { leg: leg.clone(), id: named.bytes(), token: None, stop: Arc::default() };
        let running = hosted.runs(message.id_bytes(), place);
        let mirrored = parameters::mirrored(&call.core, &leg.server, &message).await;
        let from = Provenance { mirrored: Some(mirrored), ..call.provenance() };
        let first = read(playback.first())?;
        // A server may send nothing, not even a head, before it answers.
        let round = tokio::select! {
            biased;
            () = running.stopped() => return Err(cancelled(&leg.server)),
            sent = leg.call_named(&call.core, &first, named, &from) => sent?,
        };
        Ok(Self {
            core: Rc::clone(&call.core),
            from,
            leg,
            playback,
            round: Some(round),
            is_first: true,
            may_be_task,
            task: None,
            unsent: VecDeque::new(),
            last: None,
            answers,
            answered,
            permit: call.permits.pop(),
            flow: queue::flow(call),
            id: message.id_bytes(),
            method: message.envelope.known_method,
            uri: message.envelope.uri_str(&message.bytes).map(std::borrow::Cow::into_owned),
            session,
            running,
        })
    }

    /// Whether the call has become a task, which may take its time.
    pub fn is_task(&self) -> bool {
        self.task.is_some()
    }

    /// The next message for the client.
    pub async fn next(&mut self) -> Step {
        loop {
            if let Some(message) = self.unsent.pop_front() {
                return Step::Related(message);
            }
            if let Some(answer) = self.last.take() {
                return Step::Final(answer);
            }
            let turn = self.turn().await;
            if let (Some(permit), Turn::Server(Step::Related(_) | Step::Final(_))) = (&mut self.permit, &turn) {
                permit.answered();
            }
            let done = match turn {
                Turn::Server(Step::Related(message)) => related(message),
                Turn::Server(Step::Final(message)) => self.said(message).await,
                Turn::Server(lost @ Step::Lost(_)) => Some(lost),
                Turn::Client(Some(answer)) => self.heard(&answer).await,
                Turn::Client(None) | Turn::Cancelled => Some(Step::Lost(cancelled(&self.leg.server))),
                Turn::Late => Some(Step::Lost(Failure::new(
                    Kind::ServerTimeout,
                    "The question of the server was not answered in time. Call again when it can be.",
                ))),
            };
            if let Some(step) = done {
                return step;
            }
        }
    }

    async fn turn(&mut self) -> Turn {
        let (round, task, answers) = (&mut self.round, &mut self.task, &mut self.answers);
        let asked = task.as_ref().map_or(round.is_none(), Tasked::asks_client);
        let server = async {
            match (task, round) {
                (Some(task), _) => task.next().await,
                (None, Some(round)) => round.next().await,
                (None, None) => pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.running.stopped() => Turn::Cancelled,
            step = server => Turn::Server(step),
            answer = timeout(PATIENCE, answers.recv()), if asked => answer.map_or(Turn::Late, Turn::Client),
        }
    }

    /// The client's answer to a question.
    async fn heard(&mut self, answer: &Message) -> Option<Step> {
        if let Some(task) = &mut self.task {
            let wanted = task.answered(answer);
            return self.follow(wanted).await;
        }
        let step = self.playback.answered(&answer.bytes, &answer.envelope);
        self.obey(step).await
    }

    /// The server's answer to a round.
    async fn said(&mut self, message: Bytes) -> Option<Step> {
        self.round = None;
        let answer = match Message::parse(message) {
            Ok(answer) => answer,
            Err(problem) => return Some(Step::Lost(garbage(&self.leg, &problem))),
        };
        if self.task.is_some() {
            return self.told_of_task(&answer).await;
        }
        let is_first = std::mem::replace(&mut self.is_first, false);
        let Some(result) = answer.envelope.result else {
            return if is_first { self.refused(&answer).await } else { Some(self.translated(&answer)) };
        };
        match result::kind(&answer.bytes, result) {
            result::Kind::Complete => Some(self.translated(&answer)),
            result::Kind::InputRequired => {
                let step = self.ask(&answer.bytes, result);
                self.obey(step).await
            }
            result::Kind::Task if self.may_be_task.is_some() => self.become_task(&answer, result),
            result::Kind::Task | result::Kind::Unknown => {
                Some(Step::Lost(garbage(&self.leg, &"a type of result that was not asked for")))
            }
        }
    }

    /// An error instead of the first round. Where the server does not like the headers that the gate wrote
    /// for its tool, the tool may have changed: nothing was run, and it is called again, once, as it is now.
    async fn refused(&mut self, answer: &Message) -> Option<Step> {
        let code = answer.envelope.error.and_then(|error| result::code(&answer.bytes, error));
        let again = if code == Some(HEADER_MISMATCH) { self.mirror_again().await } else { None };
        match again {
            None => Some(self.translated(answer)),
            Some(Ok(round)) => {
                self.round = Some(round);
                None
            }
            Some(Err(failure)) => Some(Step::Lost(failure)),
        }
    }

    async fn mirror_again(&mut self) -> Option<Result<Exchange, Failure>> {
        let first = self.playback.first();
        let request = read(first.clone()).ok()?;
        let mirrored = parameters::mirrored_again(&self.core, &self.leg.server, &request).await?;
        if self.from.mirrored.replace(mirrored.clone()) == Some(mirrored) {
            return None;
        }
        Some(self.again(first, 0).await)
    }

    fn become_task(&mut self, answer: &Message, created: Span) -> Option<Step> {
        let client = self.may_be_task.as_ref()?;
        match Tasked::begin((&self.core, &self.leg, &self.from), &self.id, client, (answer, created)) {
            Ok(task) => self.task = Some(task),
            Err(cause) => return Some(Step::Final(cause.answer(&self.id).into())),
        }
        None
    }

    /// The server's answer to a request about the task.
    async fn told_of_task(&mut self, answer: &Message) -> Option<Step> {
        let (task, hosted) = (self.task.as_mut()?, self.session.hosted()?);
        let mut minted = Minted { hosted, answered: &self.answered, ids: Vec::new() };
        let wanted = task.said(answer, &mut || minted.one());
        if !matches!(wanted, Wanted::Ask(_)) {
            minted.take_back();
        }
        self.follow(wanted).await
    }

    async fn follow(&mut self, wanted: Wanted) -> Option<Step> {
        match wanted {
            Wanted::Wait(_) | Wanted::Nothing => None,
            Wanted::Ask(questions) => self.obey(playback::Step::Ask(questions)).await,
            Wanted::Update(_) => {
                let entered = tokio::select! {
                    entered = enter_again(&mut self.permit, &self.leg, self.flow.clone()) => entered,
                    () = self.running.stopped() => Err(cancelled(&self.leg.server)),
                };
                entered.err().map(Step::Lost)
            }
            Wanted::Answer(answer) => Some(Step::Final(answer.into())),
            Wanted::Fail(cause, open) => self.obey(playback::Step::Fail(cause, open)).await,
        }
    }

    fn translated(&self, answer: &Message) -> Step {
        Step::Final(result::to_legacy(&answer.bytes, &answer.envelope, self.method, self.uri.as_deref()).into())
    }

    fn ask(&mut self, text: &[u8], result: Span) -> playback::Step {
        let Some(hosted) = self.session.hosted() else { return playback::Step::Nothing };
        let mut minted = Minted { hosted, answered: &self.answered, ids: Vec::new() };
        let step = self.playback.input_required(text, result, &mut || minted.one());
        if !matches!(step, playback::Step::Ask(_)) {
            minted.take_back();
        }
        step
    }

    async fn obey(&mut self, step: playback::Step) -> Option<Step> {
        match step {
            playback::Step::Nothing => None,
            playback::Step::Ask(questions) => {
                // Whoever is asked may be a person; the server does nothing meanwhile.
                self.permit = None;
                self.unsent.extend(questions.into_iter().map(Bytes::from));
                None
            }
            playback::Step::Retry { request, after } => match self.again(request, after).await {
                Ok(round) => {
                    self.round = Some(round);
                    None
                }
                Err(failure) => Some(Step::Lost(failure)),
            },
            playback::Step::Fail(failure, open) => {
                self.withdraw(open);
                self.last = Some(failure.answer(&self.id).into());
                None
            }
        }
    }

    async fn again(&mut self, request: Vec<u8>, after: u64) -> Result<Exchange, Failure> {
        let request = read(request)?;
        let round = async {
            sleep(Duration::from_millis(after)).await;
            enter_again(&mut self.permit, &self.leg, self.flow.clone()).await?;
            self.leg.call(&self.core, &request, &self.from).await
        };
        tokio::select! {
            round = round => round,
            () = self.running.stopped() => Err(cancelled(&self.leg.server)),
        }
    }

    /// Tells the client that questions are not to be answered any more.
    fn withdraw(&mut self, open: Vec<Vec<u8>>) {
        for id in open {
            if let Some(hosted) = self.session.hosted() {
                hosted.answered(&id);
            }
            self.unsent.push_back(cancellation(&id));
        }
    }
}

/// Ids of ours for what a client is to be asked.
struct Minted<'a> {
    hosted: &'a Hosted,
    answered: &'a mpsc::Sender<Message>,
    ids: Vec<Vec<u8>>,
}

impl Minted<'_> {
    fn one(&mut self) -> Vec<u8> {
        let id = self.hosted.expect(Answerer::Call(self.answered.clone())).to_string().into_bytes();
        self.ids.push(id.clone());
        id
    }

    /// Nobody is asked, so nobody will answer.
    fn take_back(self) {
        for id in self.ids {
            self.hosted.answered(&id);
        }
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        let mut open = self.playback.end();
        open.extend(self.task.as_mut().map(Tasked::end).unwrap_or_default());
        if let Some(hosted) = self.session.hosted() {
            for id in open {
                hosted.answered(&id);
            }
        }
    }
}

/// Waits for a place at the server, where it was given up.
async fn enter_again(permit: &mut Option<Permit>, leg: &Leg, flow: Flow) -> Result<(), Failure> {
    if permit.is_none() {
        *permit = Some(queue::wait_to(&leg.server, || Some(leg.to()), flow).await?);
    }
    Ok(())
}

/// What the client declared and that the gate waits for tasks, for a call of which the server may make one.
async fn with_tasks(call: &Call, leg: &Leg, client: &Declared, message: &Message) -> Option<Arc<Declared>> {
    if message.envelope.known_method != Some(Method::ToolsCall) || !tasked::are_offered(&call.core, leg).await {
        return None;
    }
    let capabilities = capabilities::with_tasks(&client.capabilities);
    Some(Arc::new(Declared { capabilities, info: client.info.clone() }))
}

/// What comes before an answer; a modern server asks nothing there.
fn related(message: Bytes) -> Option<Step> {
    let parsed = Message::parse(message).ok().filter(|message| message.shape() == Shape::Notification)?;
    notification::passes_to_client(parsed.envelope.known_method).then_some(Step::Related(parsed.bytes))
}
