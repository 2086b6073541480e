//! One call as the ledger knows it: while it runs, and as a line afterwards.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use toolgate_admin_api as api;
use toolgate_protocol::envelope::Shape;
use toolgate_protocol::method::Method;

use super::outcome::Outcome;
use super::spent::Spent;
use super::what::What;
use crate::call::{Call, CallId};
use crate::config::settings::Listener;
use crate::identity::Client;
use crate::observe::Shown;
use crate::servers::Server;
use crate::sessions::Handle;

/// Bytes of a name or a method that are kept.
const KEPT: usize = 200;

/// What a call is.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: CallId,
    pub(super) started: Instant,
    pub(super) kind: Kind,
    pub(super) client: Option<Arc<Client>>,
    pub(super) session: Option<Handle>,
    pub(super) what: Arc<What>,
}

/// What kind of request it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A JSON-RPC request, or what was to be one when it was refused: what is counted as a call.
    Request,
    /// A request that has no end of its own: `subscriptions/listen`.
    Subscription,
    /// The stream of a session.
    Listening,
    /// A notification, a client's answer, the end of a session.
    Word,
    /// The frame of several messages, which are counted themselves, or a page of the gate's own.
    Frame,
}

impl Kind {
    /// Whether it counts as a call.
    pub(super) fn is_call(self) -> bool {
        matches!(self, Self::Request | Self::Subscription)
    }

    fn of(call: &Call) -> Self {
        let Some(message) = &call.message else {
            return match call.method {
                _ if call.view.is_none() || call.batch.is_some() => Self::Frame,
                http::Method::GET => Self::Listening,
                http::Method::DELETE => Self::Word,
                _ => Self::Request,
            };
        };
        match message.shape() {
            Shape::Request if message.envelope.known_method == Some(Method::Listen) => Self::Subscription,
            Shape::Request => Self::Request,
            Shape::Notification | Shape::Response => Self::Word,
        }
    }
}

impl Row {
    /// A call of which only the head has been read, and `nothing` is known.
    pub(super) fn begun(id: CallId, started: Instant, nothing: Arc<What>) -> Self {
        Self { id, started, kind: Kind::Frame, client: None, session: None, what: nothing }
    }

    /// Takes what the stages have found out.
    pub(super) fn learn(&mut self, call: &Call, what: Arc<What>) {
        self.kind = Kind::of(call);
        self.client.clone_from(&call.client);
        self.session = call.session.as_ref().map(|(session, _)| session.handle);
        self.what = what;
    }

    /// As the admin sockets show it.
    pub(super) fn shown(&self, stage: &str, now: Instant) -> api::CallRow {
        api::CallRow {
            id: self.id.to_string(),
            stage: stage.to_owned(),
            age_ms: u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX),
            client: self.client.as_ref().map(|client| client.id.to_string()).unwrap_or_default(),
            session: self.session.map(|session| session.to_string()).unwrap_or_default(),
            server: self.what.server.as_deref().unwrap_or_default().to_owned(),
            method: Shown(&self.what.method).to_string(),
            name: Shown(&self.what.name).to_string(),
            trace: String::new(),
        }
    }
}

/// The method of a call, and what it names there.
pub(super) fn named(call: &Call) -> (Option<Method>, Cow<'static, str>, Cow<'_, str>) {
    let Some(message) = &call.message else {
        let method = match call.method {
            http::Method::GET => "GET",
            http::Method::DELETE => "DELETE",
            _ => "",
        };
        return (None, Cow::Borrowed(method), Cow::Borrowed(""));
    };
    let known = message.envelope.known_method;
    let method = match known {
        Some(method) => Cow::Borrowed(method.as_str()),
        None => Cow::Owned(cut(&message.method()).to_owned()),
    };
    let name = match &call.routed {
        Some(routed) => Cow::Borrowed(routed.name.as_str()),
        None => message.envelope.target_str(&message.bytes).unwrap_or_default(),
    };
    (known, method, name)
}

/// The server that a call goes to, where it is one.
pub fn server_of(call: &Call) -> Option<&Arc<Server>> {
    let routed = call.routed.as_ref().map(|routed| &routed.server);
    routed.or_else(|| call.view.as_ref().and_then(|view| view.single()))
}

/// A call that ended.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) row: Row,
    /// In microseconds since 1970.
    pub(super) at_us: u64,
    pub(super) listener: Arc<Listener>,
    pub(super) outcome: Outcome,
    pub(super) status: u16,
    pub(super) failure: &'static str,
    pub(super) cause: Box<str>,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) spent: Spent,
}

impl Ended {
    /// Bytes that it takes.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + self.row.what.texts() + self.cause.len()
    }

    /// As the admin sockets show it.
    pub(super) fn shown(&self) -> api::RequestLine {
        api::RequestLine {
            at_ms: self.at_us / 1000,
            id: self.row.id.to_string(),
            client: self.row.client.as_ref().map(|client| client.id.to_string()).unwrap_or_default(),
            session: self.row.session.map(|session| session.to_string()).unwrap_or_default(),
            listener: self.listener.name.clone(),
            server: self.row.what.server.as_deref().unwrap_or_default().to_owned(),
            method: Shown(&self.row.what.method).to_string(),
            name: Shown(&self.row.what.name).to_string(),
            outcome: self.outcome.word().to_owned(),
            status: self.status,
            failure: self.failure.to_owned(),
            cause: Shown(&self.cause).to_string(),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            read_us: self.spent.read,
            queue_us: self.spent.queue,
            connect_us: self.spent.connect,
            first_byte_us: self.spent.first_byte,
            stream_us: self.spent.stream,
            total_us: self.spent.total,
            trace: String::new(),
        }
    }
}

/// The beginning of a text that somebody else has chosen.
pub fn cut(text: &str) -> &str {
    let end = (0..=KEPT.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}
