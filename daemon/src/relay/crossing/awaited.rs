//! A modern client's call of a tool that its legacy server only runs as a task (2025-11-25, "Tasks").
//!
//! `held` makes it a task and waits for `tasks/result` in the place of the call's own answer: what the server asks
//! meanwhile comes there, and the answer is the tool's.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;
use toolgate_protocol::bridge::tasks::legacy;
use toolgate_protocol::method::Method;
use tracing::debug;

use super::read;
use crate::core::Core;
use crate::failure::{Failure, Kind};
use crate::message::Message;
use crate::provenance::Provenance;
use crate::servers::exchange::Exchange;
use crate::servers::leg::Leg;

/// How long a server may take to confirm that a task is cancelled.
const CANCEL_TIME: Duration = Duration::from_secs(10);

/// A task in the place of a call.
pub(super) struct Awaited {
    /// Its id, raw.
    id: Vec<u8>,
    /// What stands for the call's progress token at the server for as long as the task lives.
    token: Bytes,
}

impl Awaited {
    /// The task that a call became which had the id `there` at the server; `None` where it was answered at once.
    pub(super) fn of(answer: &Message, there: Bytes) -> Option<Self> {
        let id = legacy::task_id(&answer.bytes, answer.envelope.result?)?;
        Some(Self { id: id.to_vec(), token: there })
    }

    /// The request for its result, in the name of `call`.
    pub(super) fn request(&self, call: &Message) -> Result<Message, Failure> {
        read(legacy::result_request(call.id().unwrap_or(b"1"), &self.id))
    }

    /// Asks for a result. A server that answers in one piece says nothing until the end, so silence only means that it
    /// is to be asked again.
    pub(super) async fn ask(
        core: &Rc<Core>,
        leg: &Leg,
        request: &Message,
        from: &Provenance,
    ) -> Result<Exchange, Failure> {
        loop {
            match leg.call(core, request, from).await {
                Err(failure) if failure.kind == Kind::ServerTimeout => {}
                asked => return asked,
            }
        }
    }

    /// Progress of the task under the token of `call`: it came as that of the call which made the task.
    pub(super) fn progress(&self, call: &Message, message: Message) -> Bytes {
        let own = call.raw(call.envelope.progress_token);
        match (message.envelope.known_method, message.raw(message.envelope.progress_token), own) {
            (Some(Method::Progress), Some(theirs), Some(own)) if theirs == self.token => {
                message.with(&[(message.envelope.progress_token, own)]).into()
            }
            _ => message.bytes,
        }
    }

    /// Cancels it; off the way of the call, which is over.
    pub(super) async fn cancel(&self, core: &Rc<Core>, leg: &Leg) {
        let Ok(request) = read(legacy::cancel_request(b"1", &self.id)) else { return };
        let told = async { leg.call(core, &request, &Provenance::own()).await?.answer().await };
        if !matches!(timeout(CANCEL_TIME, told).await, Ok(Ok(_))) {
            debug!(server = leg.server.settings.name, "a task may still run: its cancellation was not confirmed");
        }
    }
}
