//! Where a call and the HTTP request that waits for its first message meet.
//!
//! The driver decides what the request gets: an answer that comes before anything else is plain
//! JSON, and the call's stream otherwise. Decided once, the rest of the call is on the stream.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http::Response;
use tokio::sync::Notify;
use toolgate_protocol::revision::Era;

use super::primes;
use crate::body::Body;
use crate::call::{Call, Times};
use crate::failure::Failure;
use crate::lock::lock;
use crate::relay::answer::json_answer;
use crate::relay::{overhear, stream};
use crate::sessions::{Hosted, Reading, Stream};

/// The driver's side.
pub(super) struct Opening {
    /// The call's stream.
    pub(super) stream: Arc<Stream>,
    state: Mutex<State>,
    news: Notify,
}

struct State {
    phase: Phase,
    over: bool,
    times: Times,
}

enum Phase {
    /// Nothing was said.
    Waited,
    /// All that there is, said before anything else.
    Whole(Result<Bytes, Failure>),
    /// There is a stream: something precedes the answer, or the client waited for long.
    Streams,
}

impl Opening {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Notes how far the call has come.
    pub(super) fn reached(&self, times: Times) {
        self.lock().times = times;
    }

    /// The request gets the stream, unless it has it.
    pub(super) fn streams(&self) {
        if !self.is_decided() {
            self.decide(Phase::Streams);
        }
    }

    pub(super) fn is_decided(&self) -> bool {
        !matches!(self.lock().phase, Phase::Waited)
    }

    fn decide(&self, phase: Phase) {
        self.lock().phase = phase;
        self.news.notify_one();
    }

    /// The end of the call; a second one is none.
    pub(super) fn finish(&self, outcome: Result<Bytes, Failure>) {
        if mem::replace(&mut self.lock().over, true) {
            return;
        }
        if !self.is_decided() {
            return self.decide(Phase::Whole(outcome));
        }
        let answer = match outcome {
            Ok(answer) => answer,
            Err(failure) => self.stream.lost.body(&failure).into(),
        };
        // One message more than fits, at most: nobody waits for a reader to end a call. What gives way
        // for it was said by a call that is over.
        drop(self.stream.line.say(&answer));
        self.stream.line.end();
    }
}

/// The request's own side. It reads from the start, so that nothing gives way before it does.
pub(super) struct Waiting {
    opening: Arc<Opening>,
    reading: Reading,
}

impl Waiting {
    /// Both sides of a call that has this stream.
    pub(super) fn open(stream: Arc<Stream>, times: Times) -> (Self, Arc<Opening>) {
        let reading = stream.line.read();
        let state = Mutex::new(State { phase: Phase::Waited, over: false, times });
        let opening = Arc::new(Opening { stream, state, news: Notify::new() });
        (Self { opening: Arc::clone(&opening), reading }, opening)
    }

    /// What the request is answered with.
    pub(super) async fn answer(self, call: &mut Call, hosted: &Hosted) -> Result<Response<Body>, Failure> {
        while !self.opening.is_decided() {
            self.opening.news.notified().await;
        }
        let Self { opening, reading } = self;
        let (phase, times) = {
            let mut state = opening.lock();
            (mem::replace(&mut state.phase, Phase::Streams), state.times)
        };
        call.times = times;
        if let Phase::Whole(answer) = phase {
            return answer.map(|answer| json_answer(Era::Legacy, answer));
        }
        overhear::unseen(&call.core, hosted, hosted.streams.keep(&opening.stream));
        Ok(stream::resumable(call, reading, primes(hosted.revision)))
    }
}
