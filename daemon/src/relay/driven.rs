//! A call of a hosted session, driven by a task of its own: it goes on without its client.
//!
//! `hosted` begins it. The HTTP request waits for the first message: an answer that comes at once is
//! plain JSON, anything else a stream that a client finds again by the id of an event. A client that
//! disconnects cancels nothing (2025-11-25, "Sending Messages to the Server"); the session's end does.

use std::mem;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use tokio::sync::Notify;
use tokio::time::timeout;
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
use crate::sessions::{Hosted, Reading, Session, Stream, overrun};
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
    let stream = hosted.streams.begin(id, lost);
    let reading = stream.line.read();
    let opening = Arc::new(Opening { stream, state: Mutex::default(), news: Notify::new() });
    let driver = Driver {
        core: Rc::clone(&call.core),
        from: call.provenance(),
        session: Arc::clone(&session),
        server,
        opening: Arc::clone(&opening),
    };
    tokio::task::spawn_local(driver.run(Box::new(call.detach()), message));
    Waiting { opening, reading }.answer(call, hosted).await
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
    /// Nothing was said.
    #[default]
    Waited,
    /// All that there is, said before anything else.
    Whole(Result<Bytes, Failure>),
    /// There is a stream: something precedes the answer, or the client waited for long.
    Streams,
}

impl Opening {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves the first phase for another one.
    fn decide(&self, phase: Phase) {
        self.lock().phase = phase;
        self.news.notify_one();
    }

    fn is_decided(&self) -> bool {
        !matches!(self.lock().phase, Phase::Waited)
    }

    /// The end of the call.
    fn finish(&self, outcome: Result<Bytes, Failure>) {
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
struct Waiting {
    opening: Arc<Opening>,
    reading: Reading,
}

impl Waiting {
    async fn answer(self, call: &mut Call, hosted: &Hosted) -> Result<Response<Body>, Failure> {
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

    /// Has the call admitted, sends it and waits for the first message.
    async fn begin(&self, hosted: &Hosted, call: &mut Call, message: Message) -> Result<(Course, Step), Failure> {
        // Refused here, it is answered as a whole, with the time to come back at in the head.
        queue::admit(call, &self.server).await?;
        self.opening.lock().times = call.times;
        let mut sent = pin!(self.send(hosted, call, message));
        if primes(hosted.revision) {
            if let Ok(sent) = timeout(PATIENCE, &mut sent).await {
                return sent;
            }
            self.opening.decide(Phase::Streams);
        }
        sent.await
    }

    async fn send(&self, hosted: &Hosted, call: &mut Call, message: Message) -> Result<(Course, Step), Failure> {
        let wait = self.server.first_byte(message.envelope.name_str(&message.bytes).as_deref());
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
        if !self.opening.is_decided() {
            self.opening.decide(Phase::Streams);
        }
        let line = &self.opening.stream.line;
        if !line.is_within_reach() {
            // Its client left before it knew of an event to come back to.
            overhear::unseen(&self.core, hosted, line.shrink());
            overhear::unseen(&self.core, hosted, vec![message]);
            return Ok(());
        }
        let gone = if course.may_wait() {
            line.say_in_turn(&message).await
        } else if let Ok(gone) = line.try_say(&message) {
            gone
        } else {
            overhear::unseen(&self.core, hosted, vec![message]);
            course.give_up(&self.core, &self.from).await;
            return Err(overrun());
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
