//! A held call's request on its way to the server, and then its answer.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;
use toolgate_protocol::bridge::levels::Level;
use tracing::debug;

use super::{Awaited, parked};
use crate::core::Core;
use crate::failure::Failure;
use crate::message::Message;
use crate::provenance::Provenance;
use crate::servers::discovery;
use crate::servers::exchange::{Exchange, Step};
use crate::servers::kept::Kept;

/// How long a server may take to set a logging level before its call goes on without.
const LEVEL_TIME: Duration = Duration::from_secs(5);

type Sending = Pin<Box<dyn Future<Output = Result<Exchange, Failure>>>>;

/// The request on its way, and then its answer.
pub(super) struct Upstream {
    /// The id that the call has at the server.
    pub(super) id: Bytes,
    sending: Option<Sending>,
    exchange: Option<Exchange>,
}

impl Upstream {
    /// A request that is sent as soon as somebody waits for it, with the level set before that it wants.
    pub(super) fn new(
        core: &Rc<Core>,
        kept: &Arc<Kept>,
        legacy: Message,
        from: &Provenance,
        level: Option<Level>,
    ) -> Self {
        let named = kept.leg.name();
        let (core, kept, from) = (Rc::clone(core), Arc::clone(kept), from.clone());
        let sending = async move {
            if let Some(level) = level {
                set_level(&core, &kept, &from, level).await;
            }
            kept.leg.call_named(&core, &legacy, named, &from).await
        };
        Self { id: named.bytes(), sending: Some(Box::pin(sending)), exchange: None }
    }

    /// Waits for the result of the task that the call has become.
    pub(super) fn follow(&mut self, core: &Rc<Core>, kept: &Arc<Kept>, request: Message, from: &Provenance) {
        let (core, kept, from) = (Rc::clone(core), Arc::clone(kept), from.clone());
        self.sending = Some(Box::pin(async move { Awaited::ask(&core, &kept.leg, &request, &from).await }));
        self.exchange = None;
    }

    /// What comes next; `None` where the server knows nothing of the session. A dropped future has
    /// lost nothing: the request goes on its way when it is asked again.
    pub(super) async fn next(&mut self) -> Option<Step> {
        if let Some(sending) = &mut self.sending {
            let sent = sending.await;
            self.sending = None;
            match sent {
                Ok(exchange) if exchange.lost_session() => return None,
                Ok(exchange) => self.exchange = Some(exchange),
                Err(failure) => return Some(Step::Lost(failure)),
            }
        }
        match &mut self.exchange {
            Some(exchange) => Some(exchange.next().await),
            None => Some(Step::Lost(parked::gone())),
        }
    }
}

/// A server that does not take the level says too much or too little; its call goes on.
async fn set_level(core: &Rc<Core>, kept: &Kept, from: &Provenance, level: Level) {
    let request = discovery::own(format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{{"level":"{}"}}}}"#,
        level.as_str()
    ));
    let told = async { kept.leg.call(core, &request, from).await?.answer().await };
    if !matches!(timeout(LEVEL_TIME, told).await, Ok(Ok(_))) {
        debug!(server = kept.leg.server.settings.name, "a logging level was not taken");
        kept.forget_level();
    }
}
