//! A legacy client's call on a modern server: what the server requires is asked of the client, then the call is sent
//! again.
//! Called by the relay of one call, which sends what each [`Step`] says and keeps upstream and client apart.
//! Must hold: every question is answered once or given up once; a retry differs from the call by what it adds, no more.

mod failure;
pub(super) mod round;

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

pub use failure::Failure;

use self::round::Round;
use super::levels::Level;
use super::members::Set;
use super::request::{self, Declared};
use crate::envelope::Envelope;
use crate::json::Span;
use crate::method::Method;

/// Rounds in a row in which a server may ask for nothing but patience.
pub const QUIET_ROUNDS: u32 = 16;
/// Rounds of one call in all.
pub const ROUNDS: u32 = 128;
/// Questions of one round.
pub const QUESTIONS: usize = 32;

/// The wait before the second quiet retry in a row; each further one doubles it. The first is sent at once.
const FIRST_WAIT_MILLIS: u64 = 100;
/// The longest wait before a quiet retry.
const LONGEST_WAIT_MILLIS: u64 = 5_000;

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send these requests to the client, and hand each answer to [`Playback::answered`].
    Ask(Vec<Vec<u8>>),
    /// Send this request to the server, under an id that is new there.
    Retry {
        /// The message, with the client's own id.
        request: Vec<u8>,
        /// Milliseconds to wait before.
        after: u64,
    },
    /// The call is over. The client gets [`Failure::answer`], and its open questions, by these ids, are cancelled.
    Fail(Failure, Vec<Vec<u8>>),
    /// Nothing: it came late, twice, or from somebody who was not asked.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The server has the call.
    Upstream,
    /// The client has questions.
    Asking,
    Over,
}

/// One call over all its rounds.
#[derive(Clone, Debug)]
pub struct Playback {
    request: Bytes,
    envelope: Envelope,
    client: Arc<Declared>,
    level: Option<Level>,
    phase: Phase,
    round: Round,
    rounds: u32,
    quiet: u32,
}

impl Playback {
    /// A call that was not sent yet. `request` is the client's legacy message.
    #[must_use]
    pub fn new(request: Bytes, envelope: Envelope, client: Arc<Declared>, level: Option<Level>) -> Self {
        let (phase, round) = (Phase::Upstream, Round::default());
        Self { request, envelope, client, level, phase, round, rounds: 0, quiet: 0 }
    }

    /// The request as it is sent first.
    #[must_use]
    pub fn first(&self) -> Vec<u8> {
        request::to_modern(&self.request, &self.envelope, &self.client, self.level)
    }

    /// The server answered with `input_required`. `result` is that object within `text`; `mint` gives an id (raw JSON)
    /// that is new at the client.
    pub fn input_required(&mut self, text: &[u8], result: Span, mint: &mut dyn FnMut() -> Vec<u8>) -> Step {
        if self.phase != Phase::Upstream {
            return Step::Nothing;
        }
        match self.begin(text, result, mint) {
            Ok(step) => step,
            Err(failure) => self.fail(failure),
        }
    }

    fn begin(&mut self, text: &[u8], result: Span, mint: &mut dyn FnMut() -> Vec<u8>) -> Result<Step, Failure> {
        if !self.envelope.known_method.is_some_and(Method::may_require_input) {
            return Err(Failure::Malformed("it required input for a method that cannot ask for it"));
        }
        self.rounds += 1;
        if self.rounds > ROUNDS {
            return Err(Failure::TooManyRounds);
        }
        let (round, asked) = round::read(text, result, &HashSet::new(), mint)?;
        round.check_declared(&self.client.capabilities)?;
        self.round = round;
        if asked.is_empty() {
            self.quiet += 1;
            if self.quiet > QUIET_ROUNDS {
                return Err(Failure::TooManyRounds);
            }
            return Ok(self.retry());
        }
        self.quiet = 0;
        self.phase = Phase::Asking;
        Ok(Step::Ask(asked))
    }

    /// The client answered a request of ours: `envelope` is its response. A refused form or URL is a cancelled one; of
    /// all else an error ends the call.
    pub fn answered(&mut self, text: &[u8], envelope: &Envelope) -> Step {
        if self.phase != Phase::Asking {
            return Step::Nothing;
        }
        match self.round.answered(text, envelope) {
            Ok(true) => self.retry(),
            Ok(false) => Step::Nothing,
            Err(failure) => self.fail(failure),
        }
    }

    /// The call is over: it was cancelled, answered, or lost. The ids of questions that the client still has, whose
    /// answers nobody waits for.
    pub fn end(&mut self) -> Vec<Vec<u8>> {
        self.phase = Phase::Over;
        std::mem::take(&mut self.round).open()
    }

    fn fail(&mut self, failure: Failure) -> Step {
        Step::Fail(failure, self.end())
    }

    fn retry(&mut self) -> Step {
        self.phase = Phase::Upstream;
        let round = std::mem::take(&mut self.round);
        let responses = round.responses();
        let mut set: Vec<Set<'_>> = Vec::new();
        set.extend(responses.as_deref().map(|responses| ("inputResponses", responses)));
        set.extend(round.state.as_deref().map(|state| ("requestState", state)));
        let request = request::again(&self.request, &self.envelope, &self.client, self.level, &set);
        Step::Retry { request, after: self.wait() }
    }

    fn wait(&self) -> u64 {
        match self.quiet {
            0 | 1 => 0,
            quiet => LONGEST_WAIT_MILLIS.min(FIRST_WAIT_MILLIS << (quiet - 2)),
        }
    }
}

#[cfg(test)]
mod tests;
