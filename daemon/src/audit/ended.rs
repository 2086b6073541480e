//! A call that has ended: how, and whether it is worth a line.

use std::time::Instant;

use toolgate_protocol::envelope::Shape;
use toolgate_protocol::method::Method;

use crate::call::Call;
use crate::config::settings::AuditedCalls;
use crate::failure::Kind;
use crate::observe::ledger::{Outcome, Spent};

/// How a call ended.
pub struct End {
    /// When.
    pub at: Instant,
    /// In one word.
    pub outcome: Outcome,
    /// The HTTP status of its answer.
    pub status: u16,
    /// Why it failed, and what the log says of it.
    pub failure: Option<(Kind, String)>,
    /// Bytes of its answer.
    pub bytes: u64,
    /// What it spent its time with.
    pub spent: Spent,
}

/// What is done about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worth {
    /// Nothing.
    Nothing,
    /// It is counted, together with others like it: whoever is not known must not fill the log.
    Count(Kind),
    /// A line of its own.
    Line,
}

/// What a call is worth that ended so.
pub(super) fn worth(which: AuditedCalls, call: &Call, failed: Option<Kind>) -> Worth {
    let is_ruled_out = call.ruling.as_ref().is_some_and(|ruling| !ruling.allowed);
    if let Some(kind) = failed.filter(|kind| is_ruled_out || is_denial(*kind)) {
        let known = call.client.is_some() && kind != Kind::AuditFull;
        return if known { Worth::Line } else { Worth::Count(kind) };
    }
    let request = call.message.as_ref().filter(|message| message.shape() == Shape::Request);
    let Some(message) = request.filter(|_| call.client.is_some()) else { return Worth::Nothing };
    let wanted = match which {
        AuditedCalls::All => true,
        AuditedCalls::Tools => message.envelope.known_method == Some(Method::ToolsCall),
        AuditedCalls::Denied => false,
    };
    if wanted { Worth::Line } else { Worth::Nothing }
}

/// Whether somebody decided that the call was not to be: its message was sound, and its server had not failed.
pub(super) fn is_denial(kind: Kind) -> bool {
    kind.is_refusal()
        || matches!(kind.status().as_u16(), 401 | 403 | 421)
        || matches!(kind, Kind::NameUnknown | Kind::ToolDisabled | Kind::Stopped | Kind::SessionUnknown)
}
