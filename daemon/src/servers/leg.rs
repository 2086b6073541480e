//! A leg: one conversation of the gate with one server, over whichever transport.
//!
//! Hosted sessions, discovery and merged views talk to servers through legs. A leg speaks one
//! era; what it relays keeps its bytes but for ids and tokens, which are minted per leg.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::HeaderValue;
use toolgate_protocol::revision::Era;

use super::Server;
use super::endpoints::{self, To};
use super::exchange::{Exchange, one_line};
use super::http_call::{self, Conversation};
use super::news::News;
use super::stdio::link::{Link, Unsent};
use crate::core::Core;
use crate::failure::{Failure, Kind};
use crate::message::Message;
use crate::provenance::Provenance;
use crate::state::entry;

/// A conversation with a server.
#[derive(Debug, Clone)]
pub struct Leg {
    /// The server at the other end.
    pub server: Arc<Server>,
    /// The era that it was opened in.
    pub era: Era,
    /// Others use it as well, so that nobody ends it but the server's own rules.
    shared: bool,
    by: By,
}

#[derive(Debug, Clone)]
enum By {
    Stdio(Link),
    Http(Arc<Conversation>),
}

/// The id that a request has at a server: no other request of ours has it there, whoever made it.
/// Servers key what they run by id, so that equal ids of two clients would cross their answers.
#[derive(Debug, Clone, Copy)]
pub struct Named(u64);

impl Named {
    /// The raw id.
    pub fn bytes(self) -> Bytes {
        self.0.to_string().into()
    }
}

/// Ids for requests over HTTP, where several legs and cores may share a session.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// The last of them; after it they come round. Some servers take no more than 31 bits.
const LAST_ID: u64 = (1 << 31) - 1;

/// Sets the first of them; for a process that goes on with sessions of earlier ones.
pub fn begin_ids_at(first: u64) {
    NEXT_ID.store(first, Ordering::Relaxed);
}

/// The id that stands for a number.
fn within(number: u64) -> u64 {
    number.saturating_sub(1) % LAST_ID + 1
}

impl Leg {
    /// A leg over an instance.
    pub fn stdio(server: Arc<Server>, era: Era, link: Link) -> Self {
        Self { server, era, shared: false, by: By::Stdio(link) }
    }

    /// A leg over HTTP.
    pub fn http(server: Arc<Server>, era: Era, conversation: Conversation) -> Self {
        Self { server, era, shared: false, by: By::Http(Arc::new(conversation)) }
    }

    /// An id for the next request.
    pub fn name(&self) -> Named {
        match &self.by {
            By::Http(_) => Named(within(NEXT_ID.fetch_add(1, Ordering::Relaxed))),
            By::Stdio(link) => Named(link.mint()),
        }
    }

    /// Sends a request and gives back what follows.
    pub async fn call(&self, core: &Rc<Core>, request: &Message, from: &Provenance) -> Result<Exchange, Failure> {
        self.call_named(core, request, self.name(), from).await
    }

    /// Sends a request under an id from [`Leg::name`].
    pub async fn call_named(
        &self,
        core: &Rc<Core>,
        request: &Message,
        named: Named,
        from: &Provenance,
    ) -> Result<Exchange, Failure> {
        let ours = named.bytes();
        let renamed: Bytes =
            request.with(&[(request.envelope.id, &ours), (request.envelope.progress_token, &ours)]).into();
        match &self.by {
            By::Http(conversation) => {
                let renamed =
                    Message::parse(renamed).map_err(|problem| Failure::new(Kind::Internal, problem.to_string()))?;
                let reply = http_call::request(core, &self.server, conversation, (self.era, &renamed), from).await?;
                Ok(Exchange::http(self.clone(), request, reply).renamed(ours))
            }
            By::Stdio(link) => {
                let tool = request.envelope.name_str(&request.bytes);
                let wait = self.server.first_byte(tool.as_deref());
                let (_, attempt) = endpoints::admit(&self.server, self.to(), wait)?;
                let reply = link.request(named.0, one_line(renamed), wait).await;
                let reply = reply.map_err(|unsent| self.unsent(unsent))?;
                Ok(Exchange::stdio(self.clone(), request, reply).renamed(ours).attempted(attempt))
            }
        }
    }

    /// Sends a notification or a response.
    pub async fn send(&self, core: &Rc<Core>, message: Bytes, from: &Provenance) -> Result<(), Failure> {
        match &self.by {
            By::Http(conversation) => {
                http_call::notify(core, &self.server, conversation, (self.era, message), from).await
            }
            By::Stdio(link) => link.send(one_line(message)).await.map_err(|unsent| self.unsent(unsent)),
        }
    }

    /// Sends the cancellation of a request. An instance that takes no messages is not waited for.
    pub async fn cancel(&self, core: &Rc<Core>, cancellation: Bytes, from: &Provenance) {
        match &self.by {
            // A server that has just ended has nothing to cancel.
            By::Http(_) => drop(self.send(core, cancellation, from).await),
            By::Stdio(link) => link.try_send(one_line(cancellation)),
        }
    }

    /// Introduces the gate with an `initialize` message, waits for the answer and confirms it.
    /// The leg that comes back is the one to go on with: it knows the server's session id.
    pub async fn initialize(
        self,
        core: &Rc<Core>,
        initialize: &Message,
        from: &Provenance,
    ) -> Result<(Self, Message), Failure> {
        let mut exchange = self.call(core, initialize, from).await?;
        let answer = exchange.answer().await?;
        let leg = match (&self.by, exchange.session()) {
            (By::Http(conversation), session) => {
                let revision = agreed_revision(&answer);
                let endpoint = exchange.endpoint().or(conversation.endpoint);
                let known = Conversation { endpoint, session, revision };
                Self { by: By::Http(Arc::new(known)), ..self }
            }
            (By::Stdio(_), _) => self,
        };
        if !answer.is_error() {
            let confirmed = Bytes::from_static(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
            leg.send(core, confirmed, from).await?;
        }
        Ok((leg, answer))
    }

    /// Where its next request goes.
    pub fn to(&self) -> To {
        match &self.by {
            By::Http(conversation) => conversation.to(),
            // An instance that runs is the call's session: draining keeps new ones from starting.
            By::Stdio(_) => To::Session(0),
        }
    }

    /// Whether the other end is gone.
    pub fn is_ended(&self) -> bool {
        match &self.by {
            By::Stdio(link) => link.is_ended(),
            By::Http(_) => false,
        }
    }

    /// Whether something new may begin on it.
    pub fn is_open(&self) -> bool {
        match &self.by {
            By::Stdio(link) => link.is_open(),
            By::Http(conversation) => {
                conversation.endpoint.is_none_or(|endpoint| !self.server.endpoints.get(endpoint).is_closed())
            }
        }
    }

    /// Whether something new may begin on it, and it leads to this server as it is now.
    pub fn leads_to(&self, server: &Server) -> bool {
        self.is_open() && self.server.generation == server.generation
    }

    /// What a later process needs to go on with it; `None` where it is opened anew in any case.
    pub fn entry(&self) -> Option<entry::Leg> {
        if self.shared || self.era == Era::Modern {
            return None;
        }
        match &self.by {
            By::Stdio(link) => Some(entry::Leg::Instance(link.keep()?.number())),
            By::Http(conversation) => Some(entry::Leg::Http {
                endpoint: self.server.endpoint_url(conversation.endpoint?)?.to_owned(),
                session: conversation.session.as_ref().map(|session| session.as_bytes().into()),
                revision: conversation.revision.as_ref().and_then(|revision| revision.to_str().ok()).map(str::to_owned),
                facet: self.server.facet().map(str::to_owned),
            }),
        }
    }

    /// Has a later process know what was negotiated on an instance that several share.
    pub async fn introduced(&self, introduction: impl FnOnce() -> entry::Introduction) {
        if let By::Stdio(link) = &self.by
            && let Some(keep) = link.keep()
        {
            keep.introduced(introduction());
            keep.written().await;
        }
    }

    /// Whether both are the same conversation.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.server, &other.server)
            && match (&self.by, &other.by) {
                (By::Stdio(one), By::Stdio(two)) => one.is_same(two),
                (By::Http(one), By::Http(two)) => Arc::ptr_eq(one, two),
                _ => false,
            }
    }

    /// What the instance at the other end announces to all that share it.
    pub fn news(&self) -> Option<&News> {
        match &self.by {
            By::Stdio(link) => Some(link.news()),
            By::Http(_) => None,
        }
    }

    /// Whether the server may be kept waiting by whoever reads slowly: nobody else waits for it.
    pub fn may_wait(&self) -> bool {
        match &self.by {
            By::Http(_) => true,
            // Modern calls share their instances.
            By::Stdio(_) => self.era == Era::Legacy && !self.shared,
        }
    }

    /// Whether others use it as well.
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// Whether an instance's end was the gate's decision.
    pub fn was_told_to_end(&self) -> bool {
        matches!(&self.by, By::Stdio(link) if link.was_told_to_end())
    }

    /// Ends the conversation where that is the gate's to do: an instance of its own.
    pub fn end(&self) {
        if !self.shared {
            self.end_instance();
        }
    }

    /// Ends the instance at the other end, whoever shares it.
    pub fn end_instance(&self) {
        if let By::Stdio(link) = &self.by {
            link.end();
        }
    }

    /// Has the instance at the other end replaced: nothing new begins with it, and it ends once it is done.
    pub fn leave(&self) {
        if let By::Stdio(link) = &self.by
            && let Some(instances) = self.server.instances()
        {
            instances.leave(link);
        }
    }

    /// The same leg for one of several users.
    #[must_use]
    pub fn to_shared(&self) -> Self {
        Self { shared: true, ..self.clone() }
    }

    /// Does not count the instance's end as a crash.
    pub fn forgive(&self) {
        if let By::Stdio(link) = &self.by {
            link.forgive();
        }
    }

    /// The HTTP conversation, for streams that only HTTP has.
    pub fn conversation(&self) -> Option<&Arc<Conversation>> {
        match &self.by {
            By::Http(conversation) => Some(conversation),
            By::Stdio(_) => None,
        }
    }

    fn unsent(&self, unsent: Unsent) -> Failure {
        let name = &self.server.settings.name;
        match unsent {
            Unsent::Ended => {
                Failure::new(Kind::ServerUnavailable, format!("The server {name} has just ended. Try again."))
            }
            Unsent::Full => Failure::new(
                Kind::ServerTimeout,
                format!("The server {name} takes no messages. Nothing was done; try again later."),
            ),
        }
    }
}

fn agreed_revision(answer: &Message) -> Option<HeaderValue> {
    let result = answer.envelope.result?;
    let span = toolgate_protocol::json::get(&answer.bytes, result, "protocolVersion")?;
    let text = toolgate_protocol::json::decode_str(span.of(&answer.bytes));
    HeaderValue::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_round_before_they_pass_31_bits() {
        assert_eq!([1, LAST_ID, LAST_ID + 1].map(within), [1, LAST_ID, 1]);
    }
}
