//! Tools that an operator switches off, and on again.

use std::sync::Arc;

use toolgate_admin_api as api;
use toolgate_protocol::bridge::listen::List;

use super::super::daemon::Daemon;
use super::super::offer::known;
use super::{end_of, length, words};
use crate::admin::{Peer, audit};
use crate::clock;
use crate::config;
use crate::lock::lock;
use crate::servers::Server;

/// Tools of one server that may be off at once.
const MOST: usize = 1000;

impl Daemon {
    /// Takes a tool out of the lists, and has calls to it refused.
    pub(super) fn switch_off(
        &self,
        peer: &Peer,
        name: &str,
        request: &api::DisableRequest,
    ) -> Result<api::ToolOutcome, api::ApiError> {
        let policy = self.gate.policy.load_full();
        let server = known(&policy, name)?;
        let (tool, say, length) = (tool(&request.tool)?, words(request.say.as_deref())?, length(request.seconds)?);
        let was_enabled = !server.off.is(tool);
        self.known_tool(server, tool)?;
        if self.gate.steering.book().tools.get(name).is_some_and(|tools| tools.len() >= MOST) {
            return Err(api::ApiError::new(api::ErrorCode::BadRequest, format!("{MOST} tools of {name} are off."))
                .remedy("Write them into `tools.deny` of the server, and reload."));
        }
        if !request.dry_run {
            let off = api::Suspension {
                say,
                since_ms: clock::unix_millis(),
                until_ms: length.map(end_of),
                who: audit::who(peer),
                reason: request.reason.clone(),
            };
            let put = |book: &mut crate::steering::Book| {
                book.tools.entry(name.to_owned()).or_default().insert(tool.to_owned(), off);
            };
            self.gate.steering.change(put);
            self.follow_by_hand();
        }
        let mut outcome = outcome(name, tool, (was_enabled, false), request.dry_run);
        let rows = self.gate.ledger.tools();
        let row = rows.iter().find(|row| row.server == name && row.tool == tool);
        outcome.in_flight = row.map_or(0, |row| row.traffic.in_flight);
        Ok(outcome)
    }

    /// Has clients get a tool again.
    pub(super) fn switch_on(
        &self,
        name: &str,
        request: &api::EnableRequest,
    ) -> Result<api::ToolOutcome, api::ApiError> {
        let tool = tool(&request.tool)?;
        // Also of a server that is not there any more.
        if !self.gate.steering.book().tools.get(name).is_some_and(|tools| tools.contains_key(tool)) {
            let message = format!("The tool {} of {} is not switched off.", api::Shown(tool), api::Shown(name));
            return Err(api::ApiError::new(api::ErrorCode::NotFound, message)
                .remedy("`toolgate tools list` says which are.")
                .field("tool"));
        }
        if !request.dry_run {
            self.gate.steering.change(|book| book.tools.get_mut(name).and_then(|tools| tools.remove(tool)));
            self.follow_by_hand();
        }
        Ok(outcome(name, tool, (false, true), request.dry_run))
    }

    /// Refuses a tool that its server did not list, that nobody called, and that is not off already. Of a server that
    /// was not asked for its tools any may be.
    pub(super) fn known_tool(&self, server: &Server, tool: &str) -> Result<(), api::ApiError> {
        let Some(names) = server.catalog.names().filter(|names| !names.contains(tool)) else { return Ok(()) };
        let (name, shown) = (&server.settings.name, api::Shown(tool).to_string());
        let called = || self.gate.ledger.tools().iter().any(|row| row.server == *name && row.tool == shown);
        if server.off.is(tool) || called() {
            return Ok(());
        }
        let remedy = match config::nearest(tool, names.iter().map(String::as_str)) {
            Some(near) => format!("Did you mean {}?", api::Shown(near)),
            None => format!("`GET /v1/servers/{name}/tools` asks the server for its tools anew."),
        };
        let message = format!("The server {name} has no tool {shown}.");
        Err(api::ApiError::new(api::ErrorCode::NotFound, message).remedy(remedy).field("tool"))
    }

    /// Says of tools which are off, also of those that nobody called.
    pub(in super::super) fn mark_tools_that_are_off(&self, rows: &mut Vec<api::ToolRow>) {
        for (server, tools) in self.gate.steering.book().tools {
            for (tool, off) in tools {
                let at = rows.iter().position(|row| row.server == server && row.tool == tool).unwrap_or_else(|| {
                    rows.push(api::ToolRow { server: server.clone(), tool, ..api::ToolRow::default() });
                    rows.len() - 1
                });
                (rows[at].disabled, rows[at].disabled_until_ms) = (Some(off.say), off.until_ms);
            }
        }
    }

    /// Has servers and queues keep to what holds by hand, and clients learn which lists changed. Not for those who have
    /// the turn already.
    pub(in super::super) fn follow_by_hand(&self) {
        let switched = {
            // A reload at the same time may have read the book before, and have servers that are not in the policy yet.
            let _turn = lock(&self.turn);
            self.gate.steering.bear_on(&self.gate.policy.load())
        };
        for server in switched {
            self.tools_changed(&server);
        }
    }

    /// Tells whoever listens, on the gate's own streams and on those that pass a server's words through.
    pub(in super::super) fn tools_changed(&self, server: &Arc<Server>) {
        let facets = server.each_facet();
        for facet in &facets {
            facet.lists_changed();
            facet.news.publish_change(List::Tools);
        }
        let generations: Vec<u64> = facets.iter().map(|facet| facet.generation).collect();
        self.on_each_core(move |core| {
            for generation in &generations {
                core.running.tell_listeners(*generation);
            }
            core.drain.ring();
        });
    }
}

fn tool(written: &str) -> Result<&str, api::ApiError> {
    if !written.is_empty() && written.len() <= 256 {
        return Ok(written);
    }
    Err(api::ApiError::new(api::ErrorCode::BadRequest, "Nothing says which tool.")
        .remedy("Send its own name at the server as `tool`, of 256 bytes at most.")
        .field("tool"))
}

fn outcome(server: &str, tool: &str, (before, enabled): (bool, bool), dry_run: bool) -> api::ToolOutcome {
    api::ToolOutcome {
        server: server.to_owned(),
        tool: tool.to_owned(),
        applied: !dry_run,
        enabled,
        before: Some(before),
        in_flight: 0,
    }
}
