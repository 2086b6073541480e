//! A call that has ended, as its core hands it over: what the line needs, moved out of the call and not copied.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use toolgate_protocol::canonical;
use toolgate_protocol::envelope::Shape;
use toolgate_protocol::json;
use toolgate_protocol::method::Method;

use super::file::hash;
use crate::call::{Call, CallId};
use crate::config::settings::{AuditedArguments, AuditedCalls};
use crate::failure::Kind;
use crate::identity::Client;
use crate::identity::rights::Ruling;
use crate::message::Message;
use crate::observe::ledger::{Outcome, Spent};
use crate::policy::{Entrance, View};
use crate::servers::Server;
use crate::sessions::Handle;

/// Bytes of a message that is handed over; what is longer is hashed on its core, so that what waits is bounded.
const MOST: usize = 64 << 10;

/// A call that has ended.
pub(super) struct Finished {
    pub(super) id: CallId,
    pub(super) address: IpAddr,
    pub(super) entrance: Arc<Entrance>,
    pub(super) client: Option<Arc<Client>>,
    pub(super) session: Option<Handle>,
    pub(super) place: Place,
    pub(super) asked: Asked,
    pub(super) ruling: Option<Ruling>,
    pub(super) end: End,
    pub(super) revision: u64,
}

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

/// Where a call went.
pub(super) struct Place {
    routed: Option<(Arc<Server>, String)>,
    view: Option<Arc<View>>,
}

impl Place {
    /// The server's name, where it went to one.
    pub(super) fn server(&self) -> Option<&str> {
        let routed = self.routed.as_ref().map(|(server, _)| server);
        let server = routed.or_else(|| self.view.as_ref().and_then(|view| view.single()))?;
        Some(&server.settings.name)
    }

    /// What it named, as the server knows it.
    pub(super) fn name(&self) -> Option<&str> {
        self.routed.as_ref().map(|(_, name)| name.as_str())
    }
}

/// What a call asked for.
pub(super) enum Asked {
    /// There was no message, or none that could be read.
    Nothing,
    /// The message.
    Message(Message),
    /// What is kept of one that is too long to wait.
    Long { method: Cow<'static, str>, name: String, arguments: Option<[u8; 32]>, bytes: usize },
}

impl Asked {
    /// Bytes that wait.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Message(message) => message.bytes.len(),
            Self::Nothing | Self::Long { .. } => 0,
        }
    }
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

impl Finished {
    /// Takes a call's parts; it must not be needed any more. `room` is how many bytes may still wait.
    pub(super) fn take(call: &mut Call, end: End, room: usize) -> Self {
        let policy = &call.policy.settings;
        let message = call.message.take();
        let asked = match message {
            None => Asked::Nothing,
            Some(message) if message.bytes.len() <= MOST.min(room) => Asked::Message(message),
            Some(message) => long(&message, policy.audit.arguments),
        };
        Self {
            id: call.id,
            address: call.address,
            entrance: Arc::clone(&call.entrance),
            client: call.client.take(),
            session: call.session.as_ref().map(|(session, _)| session.handle),
            place: Place {
                routed: call.routed.take().map(|routed| (routed.server, routed.name)),
                view: call.view.take(),
            },
            asked,
            ruling: call.ruling.take(),
            end,
            revision: policy.revision,
        }
    }
}

fn long(message: &Message, arguments: AuditedArguments) -> Asked {
    let method = match message.envelope.known_method {
        Some(method) => Cow::Borrowed(method.as_str()),
        None => Cow::Owned(cut(&message.method()).to_owned()),
    };
    let name = message.envelope.target_str(&message.bytes).map(|name| cut(&name).to_owned()).unwrap_or_default();
    let hashed = (arguments != AuditedArguments::None).then(|| argument(message)).flatten();
    let arguments = hashed.map(|value| hash(&canonical::of(&message.bytes, value)));
    Asked::Long { method, name, arguments, bytes: message.bytes.len() }
}

/// Where a message has its arguments.
pub(super) fn argument(message: &Message) -> Option<json::Span> {
    json::get(&message.bytes, message.envelope.params?, "arguments")
}

/// The beginning of a text that somebody else has chosen.
fn cut(text: &str) -> &str {
    const KEPT: usize = 200;
    let end = (0..=KEPT.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}
