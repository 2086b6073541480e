//! A call of a hosted session, driven by a task of its own: it goes on without its client.
//!
//! `hosted` begins it. The HTTP request waits for the first message: an answer that comes at once is
//! plain JSON, anything else a stream that a client finds again by the id of an event. A client that
//! disconnects cancels nothing (2025-11-25, "Sending Messages to the Server") but a call that still waits for its turn;
//! the session's end does.

mod opening;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use tokio::time::timeout;
use toolgate_protocol::envelope::{self, Shape};
use toolgate_protocol::revision::{Era, LATEST_LEGACY, Revision};

use self::opening::{Opening, Waiting};
use super::answer::{End, too_late};
use super::course::Course;
use super::{hosted, overhear};
use crate::body::Body;
use crate::call::Call;
use crate::core::Core;
use crate::failure::{self, Failure, Kind};
use crate::message::Message;
use crate::provenance::Provenance;
use crate::servers::Server;
use crate::servers::exchange::{Step, cancellation};
use crate::sessions::{Hosted, Session, overrun};
use crate::stages::queue;

/// After this long without a message a client gets a stream that it can find again.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long a server may take to hear that a call's session has ended.
const FAREWELL: Duration = Duration::from_secs(1);

/// Questions of a call whose client cannot come back that are kept, lest it never saw them.
const HANDED: usize = 256;

/// Answers a request that goes to this server, `message` with the server's own names.
pub async fn serve(call: &mut Call, server: Arc<Server>, message: Message) -> Result<Response<Body>, Failure> {
    let Some((session, _)) = &call.session else { return Err(gone()) };
    let session = Arc::clone(session);
    let Some(hosted) = session.hosted() else { return Err(gone()) };
    let id = call.message().id_bytes();
    let lost = failure::in_stream(call, &id);
    let stream = hosted.streams.begin(id, lost);
    if call.is_part {
        stream.line.hide_ids();
    }
    let (waiting, opening) = Waiting::open(stream, call.times);
    let driver = Driver {
        core: Rc::clone(&call.core),
        from: call.provenance(),
        session: Arc::clone(&session),
        server,
        opening,
        handed: call.is_part.then(RefCell::default),
    };
    tokio::task::spawn_local(driver.run(Box::new(call.detach()), message));
    waiting.answer(call, hosted).await
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
    /// What the server asked, where nobody can come back for what was handed over and never seen.
    handed: Option<RefCell<VecDeque<Bytes>>>,
}

impl Drop for Driver {
    /// A task that was dropped, or panicked, must not leave its client waiting.
    fn drop(&mut self) {
        self.opening.finish(Err(Failure::new(Kind::Internal, "The call was given up by the gate. Try again.")));
    }
}

impl Driver {
    async fn run(self, mut call: Box<Call>, message: Message) {
        let Some(hosted) = self.session.hosted() else { return };
        // Its own mark: the request's goes with the request.
        let mark = call.mark.again();
        let mut over = pin!(async {
            tokio::select! {
                () = hosted.outbox.ended() => gone(),
                ordered = mark.met() => ordered,
            }
        });
        let mut ending = End::of(&mut call, &self.server);
        let outcome = self.drive(hosted, call, message, &mut ending, over.as_mut()).await;
        let outcome = outcome.or_else(|failure| ending.failed(failure));
        self.opening.finish(outcome);
        self.settle(hosted);
    }

    async fn drive(
        &self,
        hosted: &Hosted,
        mut call: Box<Call>,
        message: Message,
        ending: &mut End,
        mut over: Pin<&mut impl Future<Output = Failure>>,
    ) -> Result<Bytes, Failure> {
        let wait = self.server.first_byte(message.envelope.name_str(&message.bytes).as_deref());
        let mut course = {
            // What it takes to begin is freed once it has: streams live long.
            let mut beginning = Box::pin(self.begin(hosted, &mut call, message));
            tokio::select! {
                begun = &mut beginning => begun?,
                why = &mut over => return self.end(hosted, why).await,
            }
        };
        let first = tokio::select! {
            first = self.in_time(hosted, timeout(wait, course.next())) => first,
            why = &mut over => return self.end(hosted, why).await,
        };
        let mut next = match first {
            Ok(first) => Some(first),
            // The time is the server's to answer in, and it has; the stream tells the client that its call lives.
            Err(_) if course.is_task() => {
                self.opening.streams();
                None
            }
            Err(_) => return Err(too_late(&call, &self.server, &course, wait).await),
        };
        call.times.first_byte = Some(Instant::now());
        if !matches!(next, Some(Step::Lost(_))) {
            queue::answered(&mut call);
        }
        self.opening.reached(call.times);
        // From here on only a client that listens keeps the session from idling.
        call.session = None;
        let mut is_within_reach = true;
        loop {
            let step = if let Some(first) = next.take() {
                first
            } else {
                tokio::select! {
                    step = course.next() => step,
                    () = self.opening.stream.line.out_of_reach(), if is_within_reach => {
                        is_within_reach = false;
                        self.unseen(hosted);
                        continue;
                    }
                    why = &mut over => return self.end(hosted, why).await,
                }
            };
            match step {
                Step::Related(message) => {
                    tokio::select! {
                        said = self.say(hosted, &course, message) => said?,
                        why = &mut over => return self.end(hosted, why).await,
                    }
                }
                Step::Final(answer) => return Ok(ending.answer(answer)),
                Step::Lost(failure) => return Err(failure),
            }
        }
    }

    /// Has the call admitted, and sends it.
    async fn begin(&self, hosted: &Hosted, call: &mut Call, message: Message) -> Result<Course, Failure> {
        tokio::select! {
            biased;
            // Refused here, it is answered as a whole, with the time to come back at in the head.
            admitted = queue::admit(call, &self.server, || hosted.to(&self.server)) => admitted?,
            // Nothing was sent, and nobody can come back for the answer: others need not wait for it.
            () = self.opening.stream.line.out_of_reach() => return Err(left()),
        }
        self.opening.reached(call.times);
        self.in_time(hosted, hosted::begin(call, hosted, &self.server, message)).await
    }

    /// Waits for something that precedes the first message. Where that takes long, the client gets
    /// its stream meanwhile.
    async fn in_time<T>(&self, hosted: &Hosted, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        if primes(hosted.revision) && !self.opening.is_decided() {
            if let Ok(done) = timeout(PATIENCE, &mut work).await {
                return done;
            }
            self.opening.streams();
        }
        work.await
    }

    /// Passes on what precedes the answer.
    async fn say(&self, hosted: &Hosted, course: &Course, message: Bytes) -> Result<(), Failure> {
        // What it asks is kept before anybody can answer it.
        hosted.kept().await;
        self.opening.streams();
        let line = &self.opening.stream.line;
        if !line.is_within_reach() {
            // Its client left before it knew of an event to come back to.
            self.unseen(hosted);
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
        if let Some(handed) = &self.handed
            && envelope::scan(&message).is_ok_and(|envelope| envelope.shape == Shape::Request)
        {
            let mut handed = handed.borrow_mut();
            // The oldest were answered long ago.
            handed.truncate(HANDED - 1);
            handed.push_front(message);
        }
        Ok(())
    }

    /// Its client has left and cannot come back: what the server asked is not to be answered any more.
    fn unseen(&self, hosted: &Hosted) {
        overhear::unseen(&self.core, hosted, self.opening.stream.line.shrink());
        if let Some(handed) = &self.handed {
            overhear::unseen(&self.core, hosted, handed.take().into());
        }
    }

    fn settle(&self, hosted: &Hosted) {
        overhear::unseen(&self.core, hosted, hosted.streams.settle());
    }

    /// The session has ended, or an operator ordered the end, while the call runs, if only on its way to the server.
    async fn end(&self, hosted: &Hosted, why: Failure) -> Result<Bytes, Failure> {
        // A modern call is cancelled by closing it.
        let running = hosted.running(&self.opening.stream.request).filter(|place| place.leg.era == Era::Legacy);
        if let Some(place) = running {
            // A server that takes no messages must not keep what has ended.
            let cancelled = place.leg.cancel(&self.core, cancellation(&place.id), &self.from);
            drop(timeout(FAREWELL, cancelled).await);
        }
        Err(why)
    }
}

fn left() -> Failure {
    Failure::new(Kind::Cancelled, "The client of this call left before it was its turn. Nothing was done.")
}

fn gone() -> Failure {
    Failure::new(
        Kind::SessionUnknown,
        "The session of this call has ended. Whether the call had an effect is unknown; check before you repeat it.",
    )
}
