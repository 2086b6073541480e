//! Whose a server's task is: its client knows it by a sealed id, which opens for that client at that server only.
//!
//! The relays have each request that names a task pass [`enter`] on its way to the server; where its answer may speak of
//! tasks, what the server says passes [`Whose::outward`]. Must hold: no server's own id opens anything, so what slips
//! through unnamed is of no use. Seals outlive the process; which tasks lists and news may speak of is only remembered.

mod noted;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use toolgate_protocol::envelope::Shape;
use toolgate_protocol::method::Method;
use toolgate_protocol::names;
use toolgate_protocol::tasks::{self, Said, Turned};

pub use toolgate_protocol::tasks::mentions;

use self::noted::Noted;
use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::lock::lock;
use crate::message::Message;
use crate::relay::names::unknown;
use crate::seal::Seal;
use crate::servers::Server;

/// All tasks that were met lately. Locked by what is about tasks, and by no other call.
#[derive(Debug)]
pub struct Tasks {
    seal: Arc<Seal>,
    noted: Mutex<Noted>,
}

/// A client at a server, whose tasks are its own.
#[derive(Debug, Clone)]
pub struct Whose {
    tasks: Arc<Tasks>,
    /// The client's id, and the server's name.
    owner: (Arc<str>, Arc<str>),
    /// Whether names begin with the server's.
    merged: bool,
}

impl Tasks {
    /// None yet.
    pub fn new(seal: &Arc<Seal>) -> Arc<Self> {
        Arc::new(Self { seal: Arc::clone(seal), noted: Mutex::default() })
    }
}

/// Takes a request that may be about tasks, and has it name them as its server does: then it is the second of what is
/// given back. `None` where neither the request nor what the server says to it is about tasks.
///
/// # Errors
/// Where it names a task that is not its client's, which looks like one that does not exist.
pub fn enter(call: &Call, server: &Server, message: &Message) -> Result<Option<(Whose, Option<Message>)>, Failure> {
    if !tasks::concerns(&message.bytes, &message.envelope) {
        return Ok(None);
    }
    let whose = Whose::of(call, server);
    let exists = message.envelope.known_method.is_none_or(|method| method.exists_in(call.era));
    let named = whose.inward(message).map_err(|failure| {
        let absent = || Failure::new(Kind::MethodUnknown, "This revision has no such method.");
        // Whether there is such a task is no question then.
        if exists { failure } else { absent() }
    })?;
    Ok(Some((whose, named)))
}

impl Whose {
    /// The client of a call at a server.
    pub fn of(call: &Call, server: &Server) -> Self {
        Self::new(&call.core.gate.tasks, &call.client().id, server, call.view().single().is_none())
    }

    /// A client at a server; `merged` where it meets several as one.
    pub fn new(tasks: &Arc<Tasks>, client: &Arc<str>, server: &Server, merged: bool) -> Self {
        let owner = (Arc::clone(client), server.settings.name.as_str().into());
        Self { tasks: Arc::clone(tasks), owner, merged }
    }

    /// A server's message as the client is to see it; `None` where it is about another client's task.
    pub fn outward(&self, message: Bytes) -> Option<Bytes> {
        if !tasks::mentions(&message) {
            return Some(message);
        }
        let Ok(message) = Message::parse(message.clone()) else { return Some(message) };
        let turned = tasks::outward(&message.bytes, &message.envelope, &mut |said, own| match said {
            Said::Made => Some(self.offered(self.made(own))),
            Said::Told => self.known(own).map(|shown| self.offered(shown)),
        });
        match turned {
            Turned::Same => Some(message.bytes),
            Turned::Into(text) => Some(text.into()),
            Turned::Nothing => None,
        }
    }

    /// The client's message as the server is to see it, where it names a task.
    ///
    /// # Errors
    /// As [`enter`].
    pub fn inward(&self, message: &Message) -> Result<Option<Message>, Failure> {
        // What a request names has led to its server already, and is its server's own.
        let is_led = message.shape() == Shape::Request;
        let opened = tasks::inward(&message.bytes, &message.envelope, &mut |shown| {
            self.open(if is_led { shown } else { self.led(shown) })
        });
        let method = || message.envelope.known_method.unwrap_or(Method::TasksGet);
        let Some(text) = opened.map_err(|tasks::Unknown(id)| unknown(method(), &id))? else { return Ok(None) };
        let named = Message::parse(text.into());
        named.map(Some).map_err(|problem| Failure::new(Kind::Internal, problem.to_string()))
    }

    /// A notification or an answer of the client's as the server is to see it.
    pub fn said(&self, text: Bytes) -> Bytes {
        if !tasks::mentions(&text) {
            return text;
        }
        let named = Message::parse(text.clone()).ok().and_then(|message| self.inward(&message).ok().flatten());
        named.map_or(text, |named| named.bytes)
    }

    /// The server's own id of one of the client's tasks.
    fn open(&self, shown: &str) -> Option<String> {
        let own = String::from_utf8(self.tasks.seal.open(&self.seal_owner(), shown)?).ok()?;
        // The client goes on reading the id that it asked by, whichever key seals by now.
        lock(&self.tasks.noted).note(&self.owner, &own, shown);
        Some(own)
    }

    fn made(&self, own: &str) -> String {
        // A stream that is read again says it again.
        if let Some(known) = self.known(own) {
            return known;
        }
        let shown = self.tasks.seal.seal(&self.seal_owner(), own.as_bytes());
        lock(&self.tasks.noted).note(&self.owner, own, &shown);
        shown
    }

    fn known(&self, own: &str) -> Option<String> {
        lock(&self.tasks.noted).shown(&self.owner, own).map(str::to_owned)
    }

    /// What is sealed for a client itself, such as a cursor, is no task of it.
    fn seal_owner(&self) -> String {
        let (client, server) = &self.owner;
        format!("task\0{server}\0{client}")
    }

    fn offered(&self, shown: String) -> String {
        if self.merged { names::join(&self.owner.1, &shown) } else { shown }
    }

    fn led<'s>(&self, offered: &'s str) -> &'s str {
        let own = names::split(offered).filter(|(server, _)| self.merged && *server == &*self.owner.1);
        own.map_or(offered, |(_, own)| own)
    }
}

#[cfg(test)]
mod tests;
