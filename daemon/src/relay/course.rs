//! What a call brings, message by message, as its client is to see it.
//!
//! The relays make one per call and `answer` sends it on. Ids, tokens and eras are the client's own
//! by then, whatever they were at the server.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use toolgate_protocol::revision::Era;

use super::crossing::held::Held;
use super::crossing::parked::Continued;
use super::crossing::played::Played;
use super::overhear;
use crate::core::Core;
use crate::provenance::Provenance;
use crate::servers::exchange::{Exchange, Step, cancellation};
use crate::sessions::{Outward, Session};
use crate::tasks::Whose;

/// A call under way.
pub enum Course {
    /// Client and server speak the same era.
    Straight(Box<Straight>),
    /// A legacy client on a modern server.
    Played(Box<Played>),
    /// A modern client on a legacy server.
    Held(Box<Held>),
    /// A modern client that came back to its call.
    Resumed(Continued),
}

/// A call whose messages pass as they are, but for the requests of servers, which get ids of ours.
pub struct Straight {
    core: Rc<Core>,
    exchange: Exchange,
    session: Option<Arc<Session>>,
    /// Whose tasks the server may speak of, where it may.
    tasks: Option<Whose>,
}

impl Course {
    /// The course of one exchange; `session` is the hosted one that it belongs to.
    pub fn straight(core: &Rc<Core>, exchange: Exchange, session: Option<Arc<Session>>) -> Self {
        Self::about_tasks(core, exchange, session, None)
    }

    /// The same where the server may speak of tasks, which are this client's or not for it to see.
    pub fn about_tasks(
        core: &Rc<Core>,
        exchange: Exchange,
        session: Option<Arc<Session>>,
        tasks: Option<Whose>,
    ) -> Self {
        Self::Straight(Box::new(Straight { core: Rc::clone(core), exchange, session, tasks }))
    }

    /// The next message for the client. A dropped future has lost nothing.
    pub async fn next(&mut self) -> Step {
        match self {
            Self::Straight(straight) => straight.next().await,
            Self::Played(played) => played.next().await,
            Self::Held(held) => held.next().await,
            Self::Resumed(continued) => continued.next().await,
        }
    }

    /// Whether the server has made a task of the call: it has answered, and the rest takes its time.
    pub fn is_task(&self) -> bool {
        match self {
            Self::Straight(_) => false,
            Self::Played(played) => played.is_task(),
            Self::Held(held) => held.is_task(),
            Self::Resumed(continued) => continued.is_task(),
        }
    }

    /// What is left of the time until the first message.
    pub fn left(&self, wait: Duration) -> Duration {
        match self {
            Self::Straight(straight) => straight.exchange.left(wait),
            Self::Played(_) | Self::Held(_) | Self::Resumed(_) => wait,
        }
    }

    /// Whether its server may be kept waiting by whoever reads slowly.
    pub fn may_wait(&self) -> bool {
        match self {
            Self::Straight(straight) => straight.exchange.leg.may_wait(),
            Self::Played(played) => played.leg.may_wait(),
            Self::Held(_) | Self::Resumed(_) => false,
        }
    }

    /// Tells the server that nobody waits any more, where dropping the course does not say it.
    pub async fn give_up(&self, core: &Rc<Core>, from: &Provenance) {
        let Self::Straight(straight) = self else { return };
        let exchange = &straight.exchange;
        if exchange.leg.era == Era::Legacy {
            exchange.leg.cancel(core, cancellation(&exchange.id_there()), from).await;
        }
    }
}

impl Straight {
    async fn next(&mut self) -> Step {
        loop {
            match self.exchange.next().await {
                Step::Related(message) => {
                    if let Some(message) = self.outward(message).and_then(|message| self.named(message)) {
                        return Step::Related(message);
                    }
                }
                Step::Final(answer) => return Step::Final(self.named(answer.clone()).unwrap_or(answer)),
                step @ Step::Lost(_) => return step,
            }
        }
    }

    /// With the ids that tasks have for the client.
    fn named(&self, message: Bytes) -> Option<Bytes> {
        match &self.tasks {
            Some(tasks) => tasks.outward(message),
            None => Some(message),
        }
    }

    fn outward(&self, message: Bytes) -> Option<Bytes> {
        let Some(hosted) = self.session.as_ref().and_then(|session| session.hosted()) else { return Some(message) };
        match hosted.outward(&self.exchange.leg, message) {
            Outward::Pass(message) => Some(message),
            Outward::Refuse(asked) => {
                overhear::refuse(&self.core, asked);
                None
            }
            Outward::Nothing => None,
        }
    }
}
