//! A legacy client's call that a modern server has made a task: it is asked for until it has ended.
//!
//! `played` waits for what comes of it and for its client's answers. One that is dropped before its end is cancelled
//! at the server, so that none runs for nobody.

use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until, timeout};
use toolgate_protocol::bridge::playback::Failure as Cause;
use toolgate_protocol::bridge::request::Declared;
use toolgate_protocol::bridge::result;
use toolgate_protocol::bridge::tasks::{self, Polling, Step as Wanted};
use toolgate_protocol::json::Span;
use toolgate_protocol::method::Method;
use toolgate_protocol::revision::MODERN;
use tracing::debug;

use super::read;
use crate::core::Core;
use crate::failure::Failure;
use crate::listen::drain::Phase;
use crate::message::Message;
use crate::provenance::Provenance;
use crate::servers::discovery::introduced;
use crate::servers::exchange::{Exchange, Step};
use crate::servers::leg::Leg;

/// How long a server may take to confirm that a task is cancelled.
const CANCEL_TIME: Duration = Duration::from_secs(10);

/// A task in the place of a call.
pub(super) struct Tasked {
    core: Rc<Core>,
    leg: Leg,
    from: Provenance,
    /// The call's id at the client, raw.
    id: Bytes,
    polling: Polling,
    next: Next,
    /// What the server is being asked.
    under_way: Option<Exchange>,
    over: bool,
}

/// What the server is asked next.
enum Next {
    /// How the task is, from this time on.
    Get(Instant),
    /// To take the client's answers.
    Update(Vec<u8>),
    /// Nothing: the client is.
    Client,
}

/// Whether a server makes tasks of calls. One that cannot be asked is not offered to.
pub(super) async fn are_offered(core: &Rc<Core>, leg: &Leg) -> bool {
    let known = introduced(core, &leg.server, MODERN).await;
    known.is_ok_and(|known| known.capabilities_raw().is_some_and(tasks::are_offered))
}

impl Tasked {
    /// Takes over the call with this `id` (raw); `created` is the result in `answer` that says so.
    pub(super) fn begin(
        (core, leg, from): (&Rc<Core>, &Leg, &Provenance),
        id: &Bytes,
        client: &Declared,
        (answer, created): (&Message, Span),
    ) -> Result<Self, Cause> {
        let (polling, first) = Polling::new(id, client, &answer.bytes, created)?;
        let mut tasked = Self {
            core: Rc::clone(core),
            leg: leg.clone(),
            from: Provenance { mirrored: Some(Vec::new()), ..from.clone() },
            id: id.clone(),
            polling,
            next: Next::Client,
            under_way: None,
            over: false,
        };
        tasked.follow(&first);
        Ok(tasked)
    }

    /// Whether the client has questions.
    pub(super) fn asks_client(&self) -> bool {
        matches!(self.next, Next::Client)
    }

    /// What the server says next; never while the client is asked. A dropped future has lost nothing, though the server
    /// may be asked the same again.
    pub(super) async fn next(&mut self) -> Step {
        if self.under_way.is_none() {
            let request = match &self.next {
                Next::Get(due) => {
                    sleep_until(*due).await;
                    self.polling.get(&self.id)
                }
                Next::Update(responses) => self.polling.update(&self.id, responses),
                Next::Client => return pending().await,
            };
            match self.send(request).await {
                Ok(exchange) => self.under_way = Some(exchange),
                Err(failure) => return Step::Lost(failure),
            }
        }
        match &mut self.under_way {
            Some(exchange) => exchange.next().await,
            None => pending().await,
        }
    }

    async fn send(&self, request: Vec<u8>) -> Result<Exchange, Failure> {
        self.leg.call(&self.core, &read(request)?, &self.from).await
    }

    /// What the server's answer means; `mint` gives an id (raw) that is new at the client.
    pub(super) fn said(&mut self, answer: &Message, mint: &mut dyn FnMut() -> Vec<u8>) -> Wanted {
        self.under_way = None;
        let wanted = match (answer.envelope.result, &self.next) {
            (Some(_), Next::Update(_)) => Wanted::Wait(0),
            (Some(result), _) => self.polling.got(&answer.bytes, result, mint),
            // It knows the task no more, or does not take the answers; it has the call's own id by now.
            (None, _) => {
                Wanted::Answer(result::to_legacy(&answer.bytes, &answer.envelope, Some(Method::ToolsCall), None))
            }
        };
        self.follow(&wanted);
        wanted
    }

    /// What the client's answer means.
    pub(super) fn answered(&mut self, answer: &Message) -> Wanted {
        let wanted = self.polling.answered(&answer.bytes, &answer.envelope);
        self.follow(&wanted);
        wanted
    }

    fn follow(&mut self, wanted: &Wanted) {
        match wanted {
            Wanted::Wait(millis) => self.next = Next::Get(Instant::now() + Duration::from_millis(*millis)),
            Wanted::Ask(_) => self.next = Next::Client,
            Wanted::Update(responses) => self.next = Next::Update(responses.clone()),
            Wanted::Answer(_) | Wanted::Fail(Cause::TaskCancelled, _) => self.over = true,
            Wanted::Fail(..) | Wanted::Nothing => {}
        }
    }

    /// The ids of questions whose answers nobody waits for any more.
    pub(super) fn end(&mut self) -> Vec<Vec<u8>> {
        self.polling.end()
    }
}

impl Drop for Tasked {
    fn drop(&mut self) {
        // A core that ends has no time to cancel anything, nor a runtime to do it.
        if self.over || self.core.drain.phase() >= Phase::Ending {
            return;
        }
        let (core, leg) = (Rc::clone(&self.core), self.leg.clone());
        let Ok(request) = read(self.polling.cancel(&self.id)) else { return };
        tokio::task::spawn_local(async move {
            let told = async { leg.call(&core, &request, &Provenance::own()).await?.answer().await };
            if !matches!(timeout(CANCEL_TIME, told).await, Ok(Ok(_))) {
                debug!(server = leg.server.settings.name, "a task may still run: its cancellation was not confirmed");
            }
        });
    }
}
