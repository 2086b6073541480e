//! A legacy client's call that a modern server has made a task: the gate asks for it until it has ended.
//! Called by the relay of the call with each answer of the server and of the client.
//! Must hold: each question is asked once, whatever the server repeats; the call ends with the task's result or error.

use std::collections::HashSet;

use crate::bridge::members::is_object;
use crate::bridge::playback::Failure;
use crate::bridge::playback::round::{self, Round};
use crate::bridge::request::{self, Declared};
use crate::bridge::{capabilities, result};
use crate::envelope::{Envelope, scan};
use crate::error::result_body;
use crate::json::{self, Span, decode_str};
use crate::list;
use crate::method::Method;

/// How often a task is asked for whose server does not say.
const POLL_MILLIS: u64 = 1_000;
/// The shortest and the longest time between two questions, whatever the server says.
const POLL_BOUNDS: (u64, u64) = (100, 60_000);

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Wait so many milliseconds, then send [`Polling::get`] and hand its result to [`Polling::got`].
    Wait(u64),
    /// Send these requests to the client, and hand each answer to [`Polling::answered`].
    Ask(Vec<Vec<u8>>),
    /// Send [`Polling::update`] with this `inputResponses`; then [`Polling::get`], or the server's error is the answer.
    Update(Vec<u8>),
    /// The call is over: this is the answer for the client.
    Answer(Vec<u8>),
    /// The call is over. The client gets [`Failure::answer`], its open questions, by these ids, are cancelled, and so is
    /// the task.
    Fail(Failure, Vec<Vec<u8>>),
    /// Nothing: it came late, twice, or from somebody who was not asked.
    Nothing,
}

/// A task in the place of a call.
#[derive(Clone, Debug)]
pub struct Polling {
    /// The call's id at the client, raw.
    call: Vec<u8>,
    /// The task's id, raw.
    task: Vec<u8>,
    client: Declared,
    /// Keys of everything that was asked, decoded: a server repeats them until it has seen the answers.
    asked: HashSet<String>,
    round: Round,
}

impl Polling {
    /// The call with the id `call` (raw) was answered with a result of type `task`. The client's capabilities gain the
    /// tasks extension, which the call must have declared. Then wait as the first step says.
    ///
    /// # Errors
    /// When the result names no task.
    pub fn new(call: &[u8], client: &Declared, text: &[u8], created: Span) -> Result<(Self, Step), Failure> {
        let task = json::get(text, created, "taskId").map(|id| id.of(text)).filter(|id| id.starts_with(b"\""));
        let task = task.ok_or(Failure::Malformed("the task that it made has no id"))?.to_vec();
        let capabilities = capabilities::with_tasks(&client.capabilities);
        let client = Declared { capabilities, info: client.info.clone() };
        let (asked, round) = (HashSet::new(), Round::default());
        Ok((Self { call: call.to_vec(), task, client, asked, round }, Step::Wait(interval(text, created))))
    }

    /// The task's id, raw: the header `Mcp-Name` of each request about it repeats it.
    #[must_use]
    pub fn task(&self) -> &[u8] {
        &self.task
    }

    /// The request that asks how the task is. `id` is raw.
    #[must_use]
    pub fn get(&self, id: &[u8]) -> Vec<u8> {
        request::made(id, Method::TasksGet, &self.client, &[("taskId", &self.task)])
    }

    /// The request that hands the client's answers to the task. `id` is raw.
    #[must_use]
    pub fn update(&self, id: &[u8], responses: &[u8]) -> Vec<u8> {
        let params = [("taskId", &self.task[..]), ("inputResponses", responses)];
        request::made(id, Method::TasksUpdate, &self.client, &params)
    }

    /// The request that cancels the task: when the call was cancelled, or has failed. `id` is raw.
    #[must_use]
    pub fn cancel(&self, id: &[u8]) -> Vec<u8> {
        request::made(id, Method::TasksCancel, &self.client, &[("taskId", &self.task)])
    }

    /// How the task is: the result of [`Polling::get`]. `mint` gives an id (raw JSON) that is new at the client.
    pub fn got(&mut self, text: &[u8], task: Span, mint: &mut dyn FnMut() -> Vec<u8>) -> Step {
        let status = json::get(text, task, "status").map(|status| decode_str(status.of(text)));
        match status.as_deref() {
            Some("working") => Step::Wait(interval(text, task)),
            Some("input_required") => match self.ask(text, task, mint) {
                Ok(step) => step,
                Err(failure) => self.fail(failure),
            },
            Some("completed") => match json::get(text, task, "result").filter(|it| is_object(it.of(text))) {
                Some(result) => Step::Answer(crossed(result_body(&self.call, result.of(text)))),
                None => self.fail(Failure::Malformed("its task is completed and has no result")),
            },
            Some("failed") => match json::get(text, task, "error").filter(|it| is_object(it.of(text))) {
                Some(error) => Step::Answer(crossed(Failure::Client(error.of(text).to_vec()).answer(&self.call))),
                None => self.fail(Failure::Malformed("its task has failed and has no error")),
            },
            Some("cancelled") => self.fail(Failure::TaskCancelled),
            _ => self.fail(Failure::Malformed("its task has a status that is none of the five")),
        }
    }

    fn ask(&mut self, text: &[u8], task: Span, mint: &mut dyn FnMut() -> Vec<u8>) -> Result<Step, Failure> {
        let (round, messages) = round::read(text, task, &self.asked, mint)?;
        if round.questions.is_empty() {
            return Ok(Step::Wait(interval(text, task)));
        }
        round.check_declared(&self.client.capabilities)?;
        self.asked.extend(round.questions.iter().map(round::Question::key));
        self.round = round;
        Ok(Step::Ask(messages))
    }

    /// The client answered a request of ours: `envelope` is its response.
    pub fn answered(&mut self, text: &[u8], envelope: &Envelope) -> Step {
        match self.round.answered(text, envelope) {
            Ok(true) => match std::mem::take(&mut self.round).responses() {
                Some(responses) => Step::Update(responses),
                None => Step::Nothing,
            },
            Ok(false) => Step::Nothing,
            Err(failure) => self.fail(failure),
        }
    }

    /// The call is over. The ids of questions that the client still has, whose answers nobody waits for.
    pub fn end(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.round).open()
    }

    fn fail(&mut self, failure: Failure) -> Step {
        Step::Fail(failure, self.end())
    }
}

fn interval(text: &[u8], task: Span) -> u64 {
    let said = list::milliseconds(text, task, "pollIntervalMs").unwrap_or(POLL_MILLIS);
    said.clamp(POLL_BOUNDS.0, POLL_BOUNDS.1)
}

/// The tool's answer as the legacy client reads it.
fn crossed(answer: Vec<u8>) -> Vec<u8> {
    match scan(&answer) {
        Ok(envelope) => result::to_legacy(&answer, &envelope, Some(Method::ToolsCall), None),
        Err(_) => answer,
    }
}
