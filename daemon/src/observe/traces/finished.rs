//! A traced call that has ended: what its spans are made of, taken on its core and worked on elsewhere.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use toolgate_protocol::method::Method;
use toolgate_protocol::revision::{self, Era, Revision};

use super::context::Traced;
use crate::call::{Call, CallId};
use crate::config::settings::{Listener, Server};
use crate::identity::Client;
use crate::listen::connection::Protocol;
use crate::observe::ledger::{self, Facts, Outcome, Spent, cut};
use crate::sessions::Handle;

/// A call that has ended.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) traced: Arc<Traced>,
    pub(super) id: CallId,
    /// In nanoseconds since 1970.
    pub(super) ended: u64,
    pub(super) spent: Spent,
    pub(super) outcome: Outcome,
    pub(super) failure: &'static str,
    pub(super) status: u16,
    pub(super) method: Option<Method>,
    /// The tool, the prompt or the URI, as its server calls it.
    pub(super) name: Box<str>,
    pub(super) revision: Option<&'static str>,
    pub(super) client: Option<Arc<Client>>,
    pub(super) session: Option<Handle>,
    pub(super) server: Option<Arc<Server>>,
    pub(super) listener: Arc<Listener>,
    pub(super) address: IpAddr,
    pub(super) protocol: Protocol,
}

impl Finished {
    pub(super) fn of(call: &Call, traced: &Arc<Traced>, facts: &Facts<'_>) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let message = call.message.as_ref();
        let own = call.routed.as_ref().map(|routed| cut(&routed.name).into());
        let asked =
            || message.and_then(|message| message.envelope.target_str(&message.bytes)).map(|name| cut(&name).into());
        Self {
            traced: Arc::clone(traced),
            id: call.id,
            ended: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX),
            spent: facts.spent,
            outcome: facts.outcome,
            failure: facts.failure,
            status: facts.status,
            method: message.and_then(|message| message.envelope.known_method),
            name: own.or_else(asked).unwrap_or_default(),
            revision: match call.era {
                Era::Modern => Some(revision::MODERN.as_str()),
                Era::Legacy => call.header("mcp-protocol-version").and_then(Revision::parse).map(Revision::as_str),
            },
            client: call.client.clone(),
            session: call.session.as_ref().map(|(session, _)| session.handle),
            server: ledger::server_of(call).map(|server| Arc::clone(&server.settings)),
            listener: Arc::clone(&call.entrance.listener),
            address: call.address,
            protocol: call.connection.protocol,
        }
    }

    /// Where its time went: what for, and for how many microseconds. What it did not come to is left out.
    pub(super) fn phases(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let spent = &self.spent;
        let all = [
            ("queue", spent.queue),
            ("connect", spent.connect),
            ("first byte", spent.first_byte),
            ("stream", spent.stream),
        ];
        all.into_iter().filter(|(_, us)| *us > 0)
    }

    /// How many spans it makes.
    pub(super) fn spans(&self) -> u64 {
        1 + self.phases().count() as u64
    }
}
