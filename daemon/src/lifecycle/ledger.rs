//! Calls and who makes them, as the admin sockets tell of them: the ledger's counts with what else is known.

use std::collections::HashMap;

use toolgate_admin_api as api;

use super::daemon::Daemon;
use crate::admin::query::TableQuery;
use crate::admin::{LedgerOperations, ToolOperations};
use crate::config::Settings;
use crate::observe::ledger;
use crate::steering::clients::Holds;

/// Keys of the store that never called and are listed all the same: more of them are found with `GET /v1/keys`.
const IDLE_KEYS: usize = 1_000;

impl Daemon {
    /// Says of clients what the store knows of their keys, and adds keys that never called while there are few.
    fn tell_of_stored(&self, settings: &std::sync::Arc<Settings>, rows: &mut HashMap<String, api::ClientRow>) {
        let store = &self.gate.keys;
        for row in rows.values_mut() {
            let Some(id) = row.id.strip_prefix("key:").filter(|id| !settings.keys.contains_key(*id)) else { continue };
            if let Some(decision) = store.decision(id, settings) {
                row.owner = api::Shown(&decision.client.owner).to_string();
                row.tier = decision.client.tier.as_ref().map(|tier| tier.name.clone());
                row.organisation = decision.client.organisation.as_ref().map(|one| one.name.clone());
                row.roles = decision.client.roles().map(str::to_owned).collect();
                row.scopes = decision.client.scopes().map(str::to_owned).collect();
                row.expires_at_ms = decision.expires_ms;
                row.suspended =
                    decision.client.suspension.as_ref().filter(|suspension| suspension.is_on()).map(Holds::told);
            }
        }
        if store.index().len() > IDLE_KEYS {
            return;
        }
        let walked = store.walk(None, |id, record, _| {
            let client = format!("key:{id}");
            if record.standing.word() != "revoked" && !settings.keys.contains_key(id) && !rows.contains_key(&client) {
                let mut row = api::ClientRow { id: client.clone(), ..api::ClientRow::default() };
                row.owner = api::Shown(&record.owner).to_string();
                (row.organisation, row.tier) = (record.organisation, record.tier);
                (row.roles, row.scopes, row.expires_at_ms) = (record.roles, record.scopes, record.expires_ms);
                rows.insert(client, row);
            }
            true
        });
        // What is wrong with the store is told by its own check.
        walked.unwrap_or_default();
    }
}

impl LedgerOperations for Daemon {
    fn tool_rows(&self, query: &TableQuery) -> Result<api::Tools, api::ApiError> {
        let mut rows = self.gate.ledger.tools();
        let mut changes: HashMap<_, _> = self
            .tool_changes()
            .changes
            .into_iter()
            .map(|change| ((change.server.clone(), change.tool.clone()), change))
            .collect();
        for row in &mut rows {
            if let Some(change) = changes.remove(&(row.server.clone(), row.tool.clone())) {
                row.changed_ms = Some(change.changed_at_ms);
                row.withheld = change.withheld;
            }
        }
        // A tool that changed may need a look before anybody calls it.
        rows.extend(changes.into_values().map(|change| api::ToolRow {
            server: change.server,
            tool: change.tool,
            changed_ms: Some(change.changed_at_ms),
            withheld: change.withheld,
            ..api::ToolRow::default()
        }));
        self.mark_tools_that_are_off(&mut rows);
        let (total, tools) = query.select(rows)?;
        Ok(api::Tools { total, tools })
    }

    fn clients(&self, query: &TableQuery) -> Result<api::Clients, api::ApiError> {
        let policy = self.gate.policy.load_full();
        let mut rows: HashMap<String, api::ClientRow> =
            self.gate.ledger.clients().into_iter().map(|row| (row.id.clone(), row)).collect();
        for client in policy.clients() {
            let row = rows.entry(client.id.to_string()).or_default();
            row.id = client.id.to_string();
            row.owner = api::Shown(&client.owner).to_string();
            row.tier = client.tier.as_ref().map(|tier| tier.name.clone());
            row.organisation = client.organisation.as_ref().map(|organisation| organisation.name.clone());
            row.roles = client.roles().map(str::to_owned).collect();
            row.scopes = client.scopes().map(str::to_owned).collect();
        }
        self.tell_of_stored(&policy.settings, &mut rows);
        self.gate.sessions.look(|session| {
            if let Some(row) = rows.get_mut(&*session.client) {
                row.sessions += 1;
            }
        });
        self.mark_suspended(&mut rows);
        for row in rows.values_mut() {
            row.waiting = self.waiting_of(&row.id);
        }
        let (total, clients) = query.select(rows.into_values().collect())?;
        Ok(api::Clients { total, clients })
    }

    fn sessions(&self, query: &TableQuery) -> Result<api::Sessions, api::ApiError> {
        ledger::picked_sessions(&self.gate, query)
    }

    fn session(&self, handle: &str) -> Result<api::SessionDetail, api::ApiError> {
        ledger::session(&self.gate, handle).ok_or_else(|| {
            api::ApiError::new(api::ErrorCode::NotFound, "There is no such session.")
                .remedy("It may have ended; `GET /v1/sessions` lists those that are open.")
        })
    }

    fn calls(&self, query: &TableQuery) -> Result<api::Calls, api::ApiError> {
        let (total, calls) = query.select(self.gate.ledger.calls().calls)?;
        Ok(api::Calls { total, calls })
    }

    fn call(&self, id: &str) -> Result<api::CallLife, api::ApiError> {
        let mut life = self.gate.ledger.call(id).ok_or_else(|| {
            api::ApiError::new(api::ErrorCode::NotFound, "Nothing is known of such a call.")
                .remedy("Only the calls that ended last are kept; the log has every call under its id.")
        })?;
        let trace = match &mut life {
            api::CallLife::InFlight(row) => &mut row.trace,
            api::CallLife::Ended(ended) => &mut ended.trace,
            api::CallLife::Unknown => return Ok(life),
        };
        *trace = self.gate.traces.of_call(id).map(|trace| trace.to_string()).unwrap_or_default();
        Ok(life)
    }
}
