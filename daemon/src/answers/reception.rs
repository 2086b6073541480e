//! What an answer goes through on its way from the server to its client, and what stands in for one that does not come.

use std::sync::Arc;

use bytes::Bytes;
use toolgate_protocol::revision::Era;
use toolgate_protocol::tool_result;
use tracing::{debug, warn};

use super::cache::{Entry, Keeping};
use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::message::Message;
use crate::observe::Shown;
use crate::servers::Server;

/// Waits for the answer to one request. It is in the client's era and has its id, and the server's own names.
#[derive(Debug)]
pub struct Reception {
    server: Arc<Server>,
    /// The tool or resource.
    name: String,
    era: Era,
    /// Of the client's request, raw.
    id: Bytes,
    /// Bytes that the answer may have.
    most: Option<usize>,
    keeping: Option<Keeping>,
    /// It is a list of tools, from which the gate learns.
    learns: bool,
}

/// An answer past its time.
#[derive(Debug)]
pub struct Stale {
    /// With the client's id, marked.
    pub answer: Bytes,
    pub(super) entry: Arc<Entry>,
}

/// What stands in for the answer to a call of a tool that is longer than `most`.
pub fn too_long(server: &str, (era, id, name): (Era, &[u8], &str), has: &str, most: usize) -> Vec<u8> {
    let tool = Shown(name);
    warn!(server, %tool, has, most, "an answer is longer than max_result, and was replaced");
    let text = format!(
        "{name} has run, but its result has {has} and this gate passes on {most} at most. Ask for less: a narrower query, a smaller range or a page of it."
    );
    tool_result::execution_error(era, id, &text)
}

impl Reception {
    pub(super) fn new(
        call: &Call,
        server: &Arc<Server>,
        name: &str,
        most: Option<usize>,
        keeping: Option<Keeping>,
    ) -> Self {
        let id = call.message().id_bytes();
        Self { server: Arc::clone(server), name: name.to_owned(), era: call.era, id, most, keeping, learns: false }
    }

    /// Waits for a list, and learns from it where it is of tools that the gate has to know.
    pub(super) fn of_list(call: &Call, server: &Arc<Server>, keeping: Option<Keeping>, learns: bool) -> Self {
        Self { learns, ..Self::new(call, server, "", None, keeping) }
    }

    /// Whether an answer of this length may pass unread.
    pub fn lets_pass(&self, length: usize) -> bool {
        self.keeping.is_none() && !self.learns && self.most.is_none_or(|most| length <= most)
    }

    /// What the client gets for this answer.
    pub fn answer(self, answer: Bytes) -> Bytes {
        if self.learns
            && let Ok(message) = Message::parse(answer.clone())
            && let Some(result) = message.envelope.result
        {
            self.server.saw_tools(&message.bytes, result);
        }
        let answer = self.bounded(answer);
        if let Some(keeping) = self.keeping {
            keeping.land(&answer);
        }
        answer
    }

    fn bounded(&self, answer: Bytes) -> Bytes {
        let Some(most) = self.most.filter(|most| answer.len() > *most) else { return answer };
        let call = (self.era, &*self.id, &*self.name);
        too_long(&self.server.settings.name, call, &format!("{} bytes", answer.len()), most).into()
    }

    /// The answer has passed and was too long to be read.
    pub fn unread(self) {
        if self.learns {
            self.server.answers.missed_tools();
        }
        self.refused();
    }

    /// The server has refused the request: whoever waits for the same goes its own way, now and not one by one.
    pub fn refused(self) {
        if let Some(keeping) = self.keeping {
            keeping.fail(false);
        }
    }

    /// What stands in for an answer that does not come, where the server could not be reached.
    pub fn failed(self, failure: &Failure) -> Option<Stale> {
        // Nobody said anything about the server: whoever waits for the same takes this call's place.
        if matches!(failure.kind, Kind::Cancelled | Kind::SessionUnknown) {
            return None;
        }
        let unreachable = matches!(failure.kind, Kind::BreakerOpen | Kind::ServerUnavailable | Kind::ServerTimeout);
        let entry = self.keeping?.fail(unreachable)?;
        let (server, name) = (&self.server.settings.name, Shown(&self.name));
        debug!(server, %name, %failure, "a stale answer stands in");
        Some(Stale { answer: entry.stale_answer(&self.id), entry })
    }
}
