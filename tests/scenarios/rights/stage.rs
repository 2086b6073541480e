//! A gate before three servers, with clients that have roles.

use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::record::Record;
use toolgate_tests::fake::three::Three;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::mcp::Era;

pub(crate) struct Stage {
    pub(crate) three: Three,
    pub(crate) gate: Gate,
}

/// A way to a server: the client's era, the path, and the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) era: Era,
    pub(crate) path: &'static str,
    pub(crate) server: &'static str,
    merged: bool,
}

const fn way(era: Era, path: &'static str, server: &'static str, merged: bool) -> Way {
    Way { era, path, server, merged }
}

/// Mirrored, at a command, merged; for clients of both eras, on servers of both.
pub(crate) const WAYS: [Way; 8] = [
    way(Era::Legacy, "/mcp/web", "web", false),
    way(Era::Legacy, "/mcp/old", "old", false),
    way(Era::Legacy, "/mcp/pair", "web", true),
    way(Era::Legacy, "/mcp/pair", "old", true),
    way(Era::Modern, "/mcp/web", "web", false),
    way(Era::Modern, "/mcp/new", "new", false),
    way(Era::Modern, "/mcp/duo", "web", true),
    way(Era::Modern, "/mcp/duo", "new", true),
];

impl Way {
    /// The name of a tool or prompt on this way.
    pub(crate) fn name(&self, own: &str) -> String {
        if self.merged { format!("{}__{own}", self.server) } else { own.to_owned() }
    }

    /// A URI on this way.
    pub(crate) fn uri(&self, own: &str) -> String {
        if self.merged { format!("{}+{own}", self.server) } else { own.to_owned() }
    }
}

impl Stage {
    /// With these tables.
    pub(crate) async fn with(more: impl FnOnce(Setup) -> Setup) -> Self {
        let (three, setup) = Three::start("").await;
        let gate = more(setup).start().await;
        Self { three, gate }
    }

    /// The client of a key on a path, which has said nothing yet.
    pub(crate) fn caller(&self, key: &str, path: &str, era: Era) -> Caller {
        Caller::new(&self.gate, path, era).with("Authorization", &format!("Bearer {}", self.gate.key_of(key)))
    }

    /// The same, ready to ask.
    pub(crate) async fn client(&self, key: &str, way: Way) -> Caller {
        let client = self.caller(key, way.path, way.era);
        if way.era == Era::Legacy { client.opened().await } else { client }
    }

    /// Names of tools that were called at any server since the start.
    pub(crate) fn called(&self) -> Vec<String> {
        let records: [&Record; 3] = [&self.three.web.record, &self.three.old.record, &self.three.new.record];
        let calls = records.into_iter().flat_map(|record| record.of("tools/call"));
        calls.map(|call| call.message["params"]["name"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

/// What a refusal by name says of a tool, a prompt or a resource.
pub(crate) fn unknown(kind: &str, name: &str) -> Value {
    json!(format!("Unknown {kind}: {name}. List what there is and use a name from there."))
}
