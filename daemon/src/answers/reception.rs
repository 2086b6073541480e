//! What an answer goes through on its way from the server to its client.

use std::sync::Arc;

use bytes::Bytes;
use toolgate_protocol::revision::Era;
use toolgate_protocol::tool_result;
use tracing::warn;

use crate::call::Call;
use crate::observe::Shown;
use crate::servers::Server;

/// Waits for the answer to one call. It is in the client's era and has its id, and the server's own names.
#[derive(Debug)]
pub struct Reception {
    server: Arc<Server>,
    tool: String,
    era: Era,
    /// Of the client's request, raw.
    id: Bytes,
}

impl Reception {
    /// For a call of this tool.
    pub fn new(call: &Call, server: &Arc<Server>, tool: &str) -> Self {
        Self { server: Arc::clone(server), tool: tool.to_owned(), era: call.era, id: call.message().id_bytes() }
    }

    /// What the client gets for this answer.
    pub fn answer(self, answer: Bytes) -> Bytes {
        let Some(most) = self.server.answers.rules.max_result.filter(|most| answer.len() > *most) else {
            return answer;
        };
        let (server, tool, bytes) = (&self.server.settings.name, Shown(&self.tool), answer.len());
        warn!(server, %tool, bytes, most, "an answer is longer than max_result, and was replaced");
        let text = format!(
            "{} has run, but its result has {bytes} bytes and this gate passes on {most} at most. Ask for less: a narrower query, a smaller range or a page of it.",
            self.tool
        );
        tool_result::execution_error(self.era, &self.id, &text).into()
    }
}
