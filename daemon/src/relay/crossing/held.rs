//! A modern client's call in a legacy session that the gate holds for it.
//!
//! The stateless relay begins it. When the server asks something, the client gets `input_required`
//! and the call goes on in [`parked`](super::parked). A client that goes away cancels.

mod upstream;

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use toolgate_protocol::bridge::levels::{self, Level};
use toolgate_protocol::bridge::parking::{Arrival, Questions};
use toolgate_protocol::bridge::tasks::legacy;
use toolgate_protocol::bridge::{notification, request, result};
use toolgate_protocol::envelope::Shape;
use toolgate_protocol::method::Method;
use tracing::debug;

use self::upstream::Upstream;
use super::awaited::Awaited;
use super::{capabilities, parameters, parked, read};
use crate::call::Call;
use crate::core::Core;
use crate::failure::{Failure, Kind};
use crate::identity::Client;
use crate::listen::drain::Phase;
use crate::message::Message;
use crate::provenance::Provenance;
use crate::servers::Server;
use crate::servers::catalog::Tool;
use crate::servers::endpoints::To;
use crate::servers::exchange::{Step, cancellation, garbage};
use crate::servers::kept::{self, Aside, Holder, Kept};
use crate::servers::queue::{Flow, Permit};
use crate::stages::queue;

/// Such a call.
pub struct Held {
    /// What runs; none once it is parked.
    run: Option<Run>,
}

/// What runs at the server, whoever waits for it. Dropped before its end, it is cancelled there.
pub struct Run {
    pub(super) core: Rc<Core>,
    pub(super) client: Arc<Client>,
    /// The call as the client made it.
    pub(super) request: Message,
    pub(super) questions: Questions,
    kept: Arc<Kept>,
    aside: Aside,
    upstream: Upstream,
    from: Provenance,
    /// Its tool only runs as a task.
    needs_task: bool,
    /// The task that the call has become.
    task: Option<Awaited>,
    /// That it has, for whoever waits elsewhere.
    is_task: Arc<AtomicBool>,
    wanted: Option<Level>,
    /// The place at the server; given up while the client is asked.
    permit: Option<Permit>,
    flow: Flow,
    /// Opens a session in place of the one that the server has forgotten, once.
    renewal: Option<Renewal>,
    renewed: bool,
    over: bool,
}

type Renewal = Pin<Box<dyn Future<Output = Result<Arc<Kept>, Failure>>>>;

/// What a server's message means for whoever waits.
pub(super) enum Turn {
    /// For the client.
    Step(Step),
    /// The client is to be asked.
    Ask,
}

impl Held {
    /// Where a call of this client would go, see [`crate::servers::endpoints::would_admit`].
    pub fn to(server: &Server, client: &Client, message: &Message) -> Option<To> {
        server.kept.to(server, &holder(server, client, message).owner())
    }

    /// Begins the call. `message` has the server's own names; the call holds a permit.
    pub async fn begin(call: &mut Call, server: &Arc<Server>, message: &Message) -> Result<Self, Failure> {
        let tool = parameters::checked(call, server, message).await?;
        Ok(Self { run: Some(Run::begin(call, server, message, &tool).await?) })
    }

    /// Whether the call has become a task, which may take its time.
    pub fn is_task(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.task.is_some())
    }

    /// The next message for the client. A dropped future has lost nothing.
    pub async fn next(&mut self) -> Step {
        let Some(run) = &mut self.run else { return Step::Lost(parked::gone()) };
        match run.turn().await {
            Turn::Step(step) => step,
            Turn::Ask => match self.run.take() {
                Some(run) => parked::park(run),
                None => Step::Lost(parked::gone()),
            },
        }
    }
}

impl Run {
    async fn begin(call: &mut Call, server: &Arc<Server>, message: &Message, tool: &Tool) -> Result<Self, Failure> {
        let client = Arc::clone(call.client());
        let kept = kept::session(&call.core, server, holder(server, &client, message)).await?;
        let wanted = Level::of_request(&message.bytes, &message.envelope);
        let (core, from) = (Rc::clone(&call.core), call.provenance());
        let legacy = to_legacy(&kept, message, tool.needs_task)?;
        let upstream = Upstream::new(&core, &kept, legacy, &from, kept.enter(wanted));
        Ok(Self {
            core,
            client,
            request: message.clone(),
            questions: Questions::default(),
            aside: Aside::begin(&kept),
            kept,
            upstream,
            from,
            needs_task: tool.needs_task,
            task: None,
            is_task: Arc::default(),
            wanted,
            permit: call.permits.pop(),
            flow: queue::flow(call),
            renewal: None,
            renewed: false,
            over: false,
        })
    }

    /// The server has forgotten the session: the call begins again in a new one, once.
    fn renew(&mut self) -> Renewal {
        let (core, old, client) = (Rc::clone(&self.core), Arc::clone(&self.kept), Arc::clone(&self.client));
        let (request, is_task) = (self.request.clone(), self.task.is_some());
        let again = std::mem::replace(&mut self.renewed, true);
        Box::pin(async move {
            let server = Arc::clone(&old.leg.server);
            if again && !is_task {
                return Err(super::refused(&server));
            }
            let holder = holder(&server, &client, &request);
            kept::forget(&server, holder, &old).await;
            if is_task {
                return Err(lost_task(&server));
            }
            kept::session(&core, &server, holder).await
        })
    }

    fn begin_again(&mut self, kept: Arc<Kept>) -> Result<(), Failure> {
        let legacy = to_legacy(&kept, &self.request, self.needs_task)?;
        self.upstream = Upstream::new(&self.core, &kept, legacy, &self.from, kept.enter(self.wanted));
        self.aside = Aside::begin(&kept);
        std::mem::replace(&mut self.kept, kept).leave(self.wanted);
        Ok(())
    }

    /// What the server says next, in a new session where it has forgotten the old one. A dropped future
    /// has lost nothing.
    async fn said(&mut self) -> Step {
        loop {
            if let Some(renewal) = &mut self.renewal {
                let renewed = renewal.await;
                self.renewal = None;
                if let Err(failure) = renewed.and_then(|kept| self.begin_again(kept)) {
                    return Step::Lost(failure);
                }
            }
            let step = tokio::select! {
                step = self.upstream.next() => step,
                said = self.aside.next() => Some(Step::Related(said)),
            };
            match step {
                Some(step) => return step,
                None => self.renewal = Some(self.renew()),
            }
        }
    }

    /// Waits for what concerns the client. A dropped future has lost nothing.
    pub(super) async fn turn(&mut self) -> Turn {
        loop {
            let said = self.said().await;
            if let (Some(permit), Step::Related(_) | Step::Final(_)) = (&mut self.permit, &said) {
                permit.answered();
            }
            let done = match said {
                Step::Related(message) => self.related(message),
                Step::Final(message) => self.answered(message),
                Step::Lost(failure) => {
                    // A task may go on; nobody waits for it.
                    self.over = self.task.is_none();
                    Some(Turn::Step(Step::Lost(failure)))
                }
            };
            if let Some(turn) = done {
                return turn;
            }
        }
    }

    fn related(&mut self, message: Bytes) -> Option<Turn> {
        let message = Message::parse(message).ok()?;
        let (text, envelope) = (&message.bytes, &message.envelope);
        if envelope.shape == Shape::Request {
            // Only these methods may be answered with a wish for input (2026-07-28).
            let may_ask = self.request.envelope.known_method.is_some_and(Method::may_require_input);
            let declared = if may_ask { capabilities(&self.request) } else { b"{}" };
            return match self.questions.arrived(text, envelope, declared) {
                Arrival::Answer(answer) => {
                    self.reply(answer);
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
        let own = |message: Message| match &self.task {
            Some(task) => task.progress(&self.request, message),
            None => message.bytes,
        };
        passes.then(|| Turn::Step(Step::Related(own(message))))
    }

    /// The answer to the call, or the task that stands in its place.
    fn answered(&mut self, message: Bytes) -> Option<Turn> {
        match self.become_task(&message) {
            Ok(true) => return None,
            Ok(false) => {}
            Err(failure) => return Some(Turn::Step(Step::Lost(failure))),
        }
        self.over = true;
        Some(Turn::Step(self.translated(message)))
    }

    /// Whether this answer says that the call has become a task; its result is then waited for.
    fn become_task(&mut self, answer: &Bytes) -> Result<bool, Failure> {
        if !runs_as_task(&self.kept, self.needs_task) || self.task.is_some() {
            return Ok(false);
        }
        let Some(answer) = Message::parse(answer.clone()).ok() else { return Ok(false) };
        let Some(task) = Awaited::of(&answer, self.upstream.id.clone()) else { return Ok(false) };
        let request = self.task.insert(task).request(&self.request)?;
        self.is_task.store(true, Ordering::Relaxed);
        self.upstream.follow(&self.core, &self.kept, request, &self.from);
        Ok(true)
    }

    /// Tells whether the call has become a task, also whoever waits elsewhere.
    pub(super) fn task_mark(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_task)
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
    pub(super) fn reply(&self, answer: Vec<u8>) {
        let (core, kept) = (Rc::clone(&self.core), Arc::clone(&self.kept));
        tokio::task::spawn_local(async move {
            let sent = kept.leg.send(&core, answer.into(), &Provenance::own()).await;
            if let Err(failure) = sent {
                debug!(server = kept.leg.server.settings.name, %failure, "an answer did not reach its server");
            }
        });
    }

    /// The server it runs at.
    pub(super) fn server(&self) -> &Arc<Server> {
        &self.kept.leg.server
    }

    /// Gives the place at the server to others, while the client is asked.
    pub(super) fn give_place(&mut self) {
        self.permit = None;
    }

    /// Takes a place at the server again.
    pub(super) async fn take_place(&mut self) -> Result<(), Failure> {
        if self.permit.is_none() {
            self.permit = Some(queue::wait(&self.kept.leg.server, self.flow.clone()).await?);
        }
        Ok(())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.kept.leave(self.wanted);
        // A core that ends has no time to cancel anything, nor a runtime to do it.
        if self.over || self.core.drain.phase() >= Phase::Ending {
            return;
        }
        let (core, kept, id) = (Rc::clone(&self.core), Arc::clone(&self.kept), self.upstream.id.clone());
        let (given_up, task) = (self.questions.give_up(), self.task.take());
        tokio::task::spawn_local(async move {
            for answer in given_up {
                drop(kept.leg.send(&core, answer.into(), &Provenance::own()).await);
            }
            match task {
                Some(task) => task.cancel(&core, &kept.leg).await,
                None => kept.leg.cancel(&core, cancellation(&id), &Provenance::own()).await,
            }
        });
    }
}

fn holder<'a>(server: &Server, client: &'a Client, message: &'a Message) -> Holder<'a> {
    server.holder(Holder {
        client: &client.id,
        capabilities: capabilities(message),
        info: message.raw(message.envelope.client_info),
    })
}

/// The request as the session's server takes it.
fn to_legacy(kept: &Kept, message: &Message, needs_task: bool) -> Result<Message, Failure> {
    let plain = read(request::to_legacy(&message.bytes, &message.envelope))?;
    if !runs_as_task(kept, needs_task) {
        return Ok(plain);
    }
    read(legacy::as_task(&plain.bytes, &plain.envelope))
}

fn runs_as_task(kept: &Kept, needs_task: bool) -> bool {
    needs_task && legacy::are_offered(kept.capabilities())
}

/// A task ends with its session as far as anybody can tell, and must not be run anew.
fn lost_task(server: &Server) -> Failure {
    Failure::new(
        Kind::ServerUnavailable,
        format!(
            "The server {} has lost the session in which this call ran as a task. Whether it had an effect is unknown; check before you repeat it.",
            server.settings.name
        ),
    )
}
