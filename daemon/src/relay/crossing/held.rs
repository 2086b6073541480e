//! A modern client's call in a legacy session that the gate holds for it.
//!
//! The stateless relay begins it. When the server asks something, the client gets `input_required`
//! and the call goes on in [`parked`](super::parked). A client that goes away cancels.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;
use toolgate_protocol::bridge::levels::{self, Level};
use toolgate_protocol::bridge::parking::{Arrival, Questions};
use toolgate_protocol::bridge::{notification, request, result};
use toolgate_protocol::envelope::Shape;
use toolgate_protocol::method::Method;
use tracing::debug;

use super::{capabilities, parameters, parked, read};
use crate::call::Call;
use crate::core::Core;
use crate::failure::Failure;
use crate::identity::Client;
use crate::listen::drain::Phase;
use crate::message::Message;
use crate::provenance::Provenance;
use crate::servers::Server;
use crate::servers::discovery;
use crate::servers::exchange::{Exchange, Step, cancellation, garbage};
use crate::servers::kept::{self, Aside, Holder, Kept};

/// How long a server may take to set a logging level before its call goes on without.
const LEVEL_TIME: Duration = Duration::from_secs(5);

/// Such a call.
pub struct Held {
    /// What runs; none once it is parked.
    run: Option<Run>,
    client: Arc<Client>,
}

/// What runs at the server, whoever waits for it. Dropped before its end, it is cancelled there.
pub struct Run {
    pub(super) core: Rc<Core>,
    kept: Arc<Kept>,
    aside: Aside,
    exchange: Exchange,
    wanted: Option<Level>,
    /// The call as the client made it.
    pub(super) request: Message,
    pub(super) questions: Questions,
    over: bool,
}

/// What a server's message means for whoever waits.
pub(super) enum Turn {
    /// For the client.
    Step(Step),
    /// The client is to be asked.
    Ask,
}

impl Held {
    /// Sends the call. `message` has the server's own names.
    pub async fn begin(call: &Call, server: &Arc<Server>, message: &Message) -> Result<Self, Failure> {
        parameters::check(call, server, message).await?;
        let run = Run::begin(call, server, message).await?;
        Ok(Self { run: Some(run), client: Arc::clone(call.client()) })
    }

    /// The server.
    pub fn server(&self) -> Option<&Arc<Server>> {
        self.run.as_ref().map(|run| &run.kept.leg.server)
    }

    /// The next message for the client.
    pub async fn next(&mut self) -> Step {
        let Some(run) = &mut self.run else { return Step::Lost(parked::gone()) };
        match run.turn().await {
            Turn::Step(step) => step,
            Turn::Ask => match self.run.take() {
                Some(run) => parked::park(run, &self.client),
                None => Step::Lost(parked::gone()),
            },
        }
    }
}

impl Run {
    async fn begin(call: &Call, server: &Arc<Server>, message: &Message) -> Result<Self, Failure> {
        let holder = server.holder(Holder {
            client: &call.client().id,
            capabilities: capabilities(message),
            info: message.raw(message.envelope.client_info),
        });
        let mut kept = kept::session(&call.core, server, holder).await?;
        let mut aside = Aside::begin(&kept);
        let mut exchange = send(call, &kept, message).await?;
        if exchange.lost_session() {
            kept::forget(server, holder, &kept).await;
            kept = kept::session(&call.core, server, holder).await?;
            aside = Aside::begin(&kept);
            exchange = send(call, &kept, message).await?;
        }
        let wanted = Level::of_request(&message.bytes, &message.envelope);
        let core = Rc::clone(&call.core);
        Ok(Self {
            core,
            kept,
            aside,
            exchange,
            wanted,
            request: message.clone(),
            questions: Questions::default(),
            over: false,
        })
    }

    /// Waits for what concerns the client.
    pub(super) async fn turn(&mut self) -> Turn {
        loop {
            let step = tokio::select! {
                step = self.exchange.next() => step,
                said = self.aside.next() => Step::Related(said),
            };
            let done = match step {
                Step::Related(message) => self.related(message).await,
                Step::Final(message) => {
                    self.over = true;
                    Some(Turn::Step(self.translated(message)))
                }
                Step::Lost(failure) => {
                    self.over = true;
                    Some(Turn::Step(Step::Lost(failure)))
                }
            };
            if let Some(turn) = done {
                return turn;
            }
        }
    }

    async fn related(&mut self, message: Bytes) -> Option<Turn> {
        let message = Message::parse(message).ok()?;
        let (text, envelope) = (&message.bytes, &message.envelope);
        if envelope.shape == Shape::Request {
            return match self.questions.arrived(text, envelope, capabilities(&self.request)) {
                Arrival::Answer(answer) => {
                    self.reply(answer).await;
                    None
                }
                Arrival::Ask => Some(Turn::Ask),
                Arrival::Nothing => None,
            };
        }
        let passes = match envelope.known_method {
            Some(Method::Message) => levels::may_see(self.wanted, text, envelope),
            Some(Method::Cancelled) => {
                self.questions.withdrawn(text, envelope);
                false
            }
            method => notification::passes_to_client(method),
        };
        passes.then(|| Turn::Step(Step::Related(message.bytes)))
    }

    fn translated(&self, message: Bytes) -> Step {
        let answer = match Message::parse(message) {
            Ok(answer) => answer,
            Err(problem) => return Step::Lost(garbage(&self.kept.leg, &problem)),
        };
        let asked = result::Asked {
            method: self.request.envelope.known_method,
            capabilities: capabilities(&self.request),
            server_info: self.kept.server_info(),
        };
        Step::Final(result::to_modern(&answer.bytes, &answer.envelope, &asked).into())
    }

    /// Answers a request of the server.
    pub(super) async fn reply(&self, answer: Vec<u8>) {
        let sent = self.kept.leg.send(&self.core, answer.into(), &Provenance::own()).await;
        if let Err(failure) = sent {
            debug!(server = self.kept.leg.server.settings.name, %failure, "an answer did not reach its server");
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.kept.leave(self.wanted);
        // A core that ends has no time to cancel anything, nor a runtime to do it.
        if self.over || self.core.drain.phase() >= Phase::Ending {
            return;
        }
        let (core, kept, id) = (Rc::clone(&self.core), Arc::clone(&self.kept), self.exchange.id_there());
        let given_up: Vec<Vec<u8>> = self.questions.give_up();
        tokio::task::spawn_local(async move {
            for answer in given_up {
                drop(kept.leg.send(&core, answer.into(), &Provenance::own()).await);
            }
            kept.leg.cancel(&core, cancellation(&id), &Provenance::own()).await;
        });
    }
}

/// Sends the request in the session.
async fn send(call: &Call, kept: &Arc<Kept>, message: &Message) -> Result<Exchange, Failure> {
    let wanted = Level::of_request(&message.bytes, &message.envelope);
    if let Some(level) = kept.enter(wanted) {
        set_level(call, kept, level).await;
    }
    let sent = match read(request::to_legacy(&message.bytes, &message.envelope)) {
        Ok(legacy) => kept.leg.call(&call.core, &legacy, &call.provenance()).await,
        Err(failure) => Err(failure),
    };
    sent.inspect_err(|_| kept.leave(wanted))
}

/// A server that does not take the level says too much or too little; its call goes on.
async fn set_level(call: &Call, kept: &Kept, level: Level) {
    let request = discovery::own(format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{{"level":"{}"}}}}"#,
        level.as_str()
    ));
    let told = async { kept.leg.call(&call.core, &request, &call.provenance()).await?.answer().await };
    if !matches!(timeout(LEVEL_TIME, told).await, Ok(Ok(_))) {
        debug!(server = kept.leg.server.settings.name, "a logging level was not taken");
    }
}
