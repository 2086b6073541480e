//! A call of a hosted session, driven by a task of its own: it goes on without its client.
//!
//! `hosted` begins it. The HTTP request waits for the first message: an answer that comes at once is
//! plain JSON, anything else a stream that a client finds again by the id of an event. A client that
//! disconnects cancels nothing (2025-11-25, "Sending Messages to the Server"); the session's end does.

use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use toolgate_protocol::revision::{Era, LATEST_LEGACY, Revision};

use super::answer::{json_answer, too_late, with_links};
use super::course::Course;
use super::links::Links;
use super::{hosted, overhear, stream};
use crate::body::Body;
use crate::call::{Call, Times};
use crate::core::Core;
use crate::failure::{self, Failure, Kind};
use crate::message::Message;
use crate::provenance::Provenance;
use crate::servers::Server;
use crate::servers::exchange::Step;
use crate::sessions::{Hosted, Session, Stream, overrun};
use crate::stages::queue;

/// After this long without a message a client gets a stream that it can find again.
const PATIENCE: Duration = Duration::from_millis(500);

/// Answers a request that goes to this server, `message` with the server's own names.
pub async fn serve(call: &mut Call, server: Arc<Server>, message: Message) -> Result<Response<Body>, Failure> {
    let Some((session, _)) = &call.session else { return Err(gone()) };
    let session = Arc::clone(session);
    let Some(hosted) = session.hosted() else { return Err(gone()) };
    let id = call.message().id_bytes();
    let lost = failure::in_stream(call, &id);
    let opening = Arc::new(Opening { stream: hosted.streams.begin(id, lost), state: Mutex::default(), news: Notify::new() });
    let driver = Driver {
        core: Rc::clone(&call.core),
        from: call.provenance(),
        session: Arc::clone(&session),
        server,
        opening: Arc::clone(&opening),
    };
    tokio::task::spawn_local(driver.run(Box::new(call.detach()), message));
    Waiting(opening).answer(call, hosted).await
}

/// Where a call and the request that waits for its first message meet.
struct Opening {
    stream: Arc<Stream>,
    state: Mutex<State>,
    news: Notify,
}

#[derive(Default)]
struct State {
    phase: Phase,
    times: Times,
}

#[derive(Default)]
enum Phase {
    /// The request waits, and nothing was said.
    #[default]
    Waited,
    /// All that there is, said before anything else.
    Whole(Result<Bytes, Failure>),
    /// There is a stream.
    Streams,
    /// The request's client left before there was a stream.
    Left,
}

impl Opening {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is more than one message: a stream, unless nobody waits for it any more.
    fn streams(&self) {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Waited) {
            state.phase = Phase::Streams;
            self.news.notify_one();
        }
    }

    /// Whether a client can still be told anything.
    fn is_within_reach(&self) -> bool {
        !matches!(self.lock().phase, Phase::Left)
    }

    /// The end of the call.
    fn finish(&self, outcome: Result<Bytes, Failure>) {
        {
            let mut state = self.lock();
            if matches!(state.phase, Phase::Waited) {
                state.phase = Phase::Whole(outcome);
                self.news.notify_one();
                return;
            }
        }
        let answer = match outcome {
            Ok(answer) => answer,
            Err(failure) => self.stream.lost.body(&failure).into(),
        };
        // The last message of a stream is one more than its bounds at most.
        drop(self.stream.line.say(&answer));
        self.stream.line.end();
    }
}

/// The request's own side; dropped before there was a stream, its client has no way back.
struct Waiting(Arc<Opening>);

impl Waiting {
    async fn answer(self, call: &mut Call, hosted: &Hosted) -> Result<Response<Body>, Failure> {
        let primed = primes(hosted.revision);
        self.opened(primed).await;
        let (phase, times) = {
            let mut state = self.0.lock();
            (std::mem::replace(&mut state.phase, Phase::Streams), state.times)
        };
        call.times = times;
        match phase {
            Phase::Whole(answer) => answer.map(|answer| json_answer(Era::Legacy, answer)),
            Phase::Waited | Phase::Streams | Phase::Left => {
                let stream = &self.0.stream;
                let response = stream::resumable(call, stream.line.read(), primed);
                overhear::unseen(&call.core, hosted, hosted.streams.keep(stream));
                Ok(response)
            }
        }
    }

    /// Waits for the first message, or until the client is to have a stream.
    async fn opened(&self, primed: bool) {
        let said = async {
            while matches!(self.0.lock().phase, Phase::Waited) {
                self.0.news.notified().await;
            }
        };
        if primed { drop(timeout(PATIENCE, said).await) } else { said.await }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if matches!(state.phase, Phase::Waited) || (matches!(state.phase, Phase::Streams) && !self.0.stream.line.is_within_reach()) {
            state.phase = Phase::Left;
        }
    }
}

/// Whether a stream begins with an event that has an id and no message. Clients of earlier
/// revisions take every event for a message.
pub fn primes(revision: Revision) -> bool {
    revision == LATEST_LEGACY
}

/// The task.
struct Driver {
    core: Rc<Core>,
    from: Provenance,
    session: Arc<Session>,
    server: Arc<Server>,
    opening: Arc<Opening>,
}

impl Driver {
    async fn run(self, call: Box<Call>, message: Message) {
        let Some(hosted) = self.session.hosted() else { return };
        let mut over = pin!(hosted.outbox.ended());
        let outcome = self.drive(hosted, call, message, over.as_mut()).await;
        self.opening.finish(outcome);
        self.settle(hosted);
    }

    async fn drive(
        &self,
        hosted: &Hosted,
        mut call: Box<Call>,
        message: Message,
        mut over: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Bytes, Failure> {
        let links = Links::of(&call, &self.server);
        let (mut course, first) = tokio::select! {
            begun = self.begin(hosted, &mut call, message) => begun?,
            () = &mut over => return Err(gone()),
        };
        // From here on only a client that listens keeps the session from idling.
        call.session = None;
        let mut next = first;
        loop {
            match next {
                Step::Related(message) => {
                    tokio::select! {
                        said = self.say(hosted, &course, message) => said?,
                        () = &mut over => return self.end(&course).await,
                    }
                }
                Step::Final(answer) => return Ok(with_links(links.as_ref(), answer)),
                Step::Lost(failure) => return Err(failure),
            }
            next = tokio::select! {
                step = course.next() => step,
                () = &mut over => return self.end(&course).await,
            };
        }
    }

    /// Sends the call and waits for the first message.
    async fn begin(&self, hosted: &Hosted, call: &mut Call, message: Message) -> Result<(Course, Step), Failure> {
        let wait = self.server.first_byte(message.envelope.name_str(&message.bytes).as_deref());
        queue::admit(call, &self.server).await?;
        self.opening.lock().times = call.times;
        let mut course = hosted::begin(call, hosted, &self.server, message).await?;
        let Ok(first) = timeout(wait, course.next()).await else {
            return Err(too_late(call, &self.server, &course, wait).await);
        };
        call.times.first_byte = Some(Instant::now());
        self.opening.lock().times = call.times;
        Ok((course, first))
    }

    /// Passes on what precedes the answer.
    async fn say(&self, hosted: &Hosted, course: &Course, message: Bytes) -> Result<(), Failure> {
        self.opening.streams();
        if !self.opening.is_within_reach() {
            overhear::unseen(&self.core, hosted, vec![message]);
            return Ok(());
        }
        let line = &self.opening.stream.line;
        let gone = if course.is_shared() {
            // Others wait for the same instance, so nobody waits for this reader.
            match line.try_say(&message) {
                Ok(gone) => gone,
                Err(_) => {
                    overhear::unseen(&self.core, hosted, vec![message]);
                    course.give_up(&self.core, &self.from).await;
                    return Err(overrun());
                }
            }
        } else {
            line.say_in_turn(&message).await
        };
        overhear::unseen(&self.core, hosted, gone);
        self.settle(hosted);
        Ok(())
    }

    fn settle(&self, hosted: &Hosted) {
        overhear::unseen(&self.core, hosted, hosted.streams.settle());
    }

    async fn end(&self, course: &Course) -> Result<Bytes, Failure> {
        // A server that takes no messages must not keep what has ended.
        drop(timeout(Duration::from_secs(1), course.give_up(&self.core, &self.from)).await);
        Err(gone())
    }
}

fn gone() -> Failure {
    Failure::new(
        Kind::SessionUnknown,
        "The session of this call has ended. Whether the call had an effect is unknown; check before you repeat it.",
    )
}
