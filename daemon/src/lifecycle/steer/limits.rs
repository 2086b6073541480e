//! Limits that an operator adds for a time, and what a call would meet.

use std::net::{IpAddr, Ipv4Addr};

use toolgate_admin_api as api;

use super::super::daemon::Daemon;
use super::{end_of, length, words};
use crate::admin::{Peer, audit};
use crate::clock;
use crate::identity::Client;
use crate::limits::temporary::{self, MOST};
use crate::limits::{Keys, text};
use crate::lock::lock;
use crate::steering::limits::temporary_of;
use crate::steering::{TemporaryLimit, Value};

impl Daemon {
    /// Adds a limit for a client, a tool or both.
    pub(super) fn limit_for_a_time(
        &self,
        peer: &Peer,
        request: &api::TemporaryLimit,
    ) -> Result<api::OverrideOutcome, api::ApiError> {
        let wrong = |field: &str, message: String, remedy: &str| {
            Err(api::ApiError::new(api::ErrorCode::BadRequest, message).remedy(remedy).field(field))
        };
        let api::TemporaryLimit { client, tool, value, say, seconds, dry_run, reason } = request;
        if client.is_none() && tool.is_none() {
            let message = "Nothing says whom the limit is for.".to_owned();
            return wrong(
                "client",
                message,
                "Say `client`, `tool` or both; what is for everybody belongs into the files.",
            );
        }
        if let Some(client) = client {
            self.known_client(client)?;
        }
        if let Some(tool) = tool
            && !tool.split_once('/').is_some_and(|(server, own)| {
                !own.is_empty() && self.gate.policy.load().settings.servers.contains_key(server)
            })
        {
            let message = format!("{} is no tool of a server.", api::Shown(tool));
            return wrong("tool", message, "Write it as SERVER/TOOL, with the server's own name for the tool.");
        }
        if let Some((server, own)) = tool.as_deref().and_then(|tool| tool.split_once('/'))
            && let Some(server) = self.gate.policy.load().servers.get(server)
        {
            self.known_tool(server, own)?;
        }
        let length = length(Some(*seconds))?.unwrap_or_default();
        let measure = match temporary::measure(value) {
            Ok(measure) => measure,
            Err(help) => {
                let message = format!("{} bounds nothing.", api::Shown(value));
                return wrong("value", message, &format!("{}{}.", help[..1].to_uppercase(), &help[1..]));
            }
        };
        let say = Some(words(say.as_deref())?).filter(|say| !say.is_empty());
        let who = audit::who(peer);
        let value = Value { value: value.clone(), burst: None, until_ms: end_of(length), who, reason: reason.clone() };
        let kept = TemporaryLimit { client: client.clone(), tool: tool.clone(), say, value };
        let mut outcome = api::OverrideOutcome {
            name: "temporary".to_owned(),
            applied: !dry_run,
            before: "-".to_owned(),
            after: text(measure),
            expires_in_seconds: Some(*seconds),
        };
        let full = || {
            let message = format!("{MOST} limits by hand hold already.");
            wrong("body", message, "End some with `toolgate limits revert`, or write them into the files.")
        };
        let _turn = lock(&self.turn);
        let policy = self.gate.policy.load_full();
        if *dry_run {
            return if policy.limits.have_room_for_temporary() { Ok(outcome) } else { full() };
        }
        let added = temporary_of(&kept).and_then(|limit| policy.limits.add_temporary(limit, None));
        let Some(name) = added else { return full() };
        outcome.name.clone_from(&name);
        self.gate.steering.change(|book| book.limits.insert(name, kept));
        self.gate.policy.store(std::sync::Arc::new(policy.with_limits_anew()));
        Ok(outcome)
    }

    /// Which limits a call of a client to a tool would meet.
    pub(super) fn explain_limits(&self, asked: &api::ExplainQuery) -> Result<api::Explained, api::ApiError> {
        let policy = self.gate.policy.load_full();
        let client = self.known_client(&asked.client)?;
        let Some((server, tool)) = asked.tool.split_once('/') else {
            return Err(api::ApiError::new(api::ErrorCode::BadRequest, "Nothing says which tool.")
                .remedy("Write ?client=CLIENT&tool=SERVER/TOOL.")
                .field("tool"));
        };
        let mut listeners = policy.settings.listeners.iter().filter(|listener| listener.serve.mcp);
        let listener = match &asked.listener {
            Some(name) => listeners.find(|listener| listener.name == *name).ok_or_else(|| {
                let message = format!("There is no listener {}.", api::Shown(name));
                api::ApiError::new(api::ErrorCode::NotFound, message)
                    .remedy("`toolgate status` names those that there are.")
                    .field("listener")
            })?,
            None => listeners.next().ok_or_else(|| {
                api::ApiError::new(api::ErrorCode::NotFound, "No listener serves MCP.")
                    .remedy("Write `serve = [\"mcp\"]` into one.")
            })?,
        };
        let by_address = Client::address_of(client);
        let known = client.strip_prefix("key:").and_then(|key| self.gate.client_of_key(key));
        let keys = Keys {
            listener: &listener.name,
            address: by_address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            client,
            tier: known.as_ref().and_then(|client| client.tier.as_ref()).map(|tier| tier.name.as_str()),
            organisation: known
                .as_ref()
                .and_then(|client| client.organisation.as_ref())
                .map(|organisation| organisation.name.as_str()),
            server: Some(server),
            tool: Some(tool),
            tell: false,
        };
        let (limits, refuses) = policy.limits.explain(&keys, by_address.is_some(), clock::nanos());
        Ok(api::Explained { client: client.to_owned(), tool: asked.tool.clone(), limits, refuses })
    }
}
