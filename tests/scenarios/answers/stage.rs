//! A gate before a server of each kind, and a client for each way there is to them.

use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::http::Http;
use toolgate_tests::fake::record::{Offer, Record};
use toolgate_tests::fake::stdio::Stdio;
use toolgate_tests::fake::three::Three;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::http::request;
use toolgate_tests::mcp::Era;

pub(crate) struct Stage {
    pub(crate) gate: Gate,
    /// Over HTTP, of both eras.
    pub(crate) web: Http,
    /// Over stdio, legacy only.
    pub(crate) old: Stdio,
    /// Over stdio, of both eras.
    pub(crate) new: Stdio,
}

/// A path, its era, and what names begin with there.
pub(crate) type Way = (&'static str, Era, &'static str);

pub(crate) const WAYS: [Way; 10] = [
    ("/mcp/web", Era::Legacy, ""),
    ("/mcp/web", Era::Modern, ""),
    ("/mcp/old", Era::Legacy, ""),
    ("/mcp/old", Era::Modern, ""),
    ("/mcp/new", Era::Legacy, ""),
    ("/mcp/new", Era::Modern, ""),
    ("/mcp/pair", Era::Legacy, "web__"),
    ("/mcp/pair", Era::Legacy, "old__"),
    ("/mcp/duo", Era::Modern, "web__"),
    ("/mcp/duo", Era::Modern, "new__"),
];

/// The server at the end of a way.
pub(crate) fn server_of((path, _, prefix): Way) -> &'static str {
    match (path, prefix) {
        ("/mcp/web", _) | (_, "web__") => "web",
        ("/mcp/new", _) | (_, "new__") => "new",
        _ => "old",
    }
}

impl Stage {
    /// `lines` go into each server's table.
    pub(crate) async fn new(lines: &str) -> Self {
        Self::with(|setup| setup, lines).await
    }

    pub(crate) async fn with(more: impl FnOnce(Setup) -> Setup, lines: &str) -> Self {
        let (Three { web, old, new }, setup) = Three::start(lines).await;
        let setup = more(setup);
        Self { gate: setup.start().await, web, old, new }
    }

    /// A client on its way, with a session where its era has them.
    pub(crate) async fn client(&self, (path, era, _): Way) -> Caller {
        let client = Caller::new(&self.gate, path, era);
        if era == Era::Legacy { client.opened().await } else { client }
    }

    /// The same with another key.
    pub(crate) async fn other(&self, (path, era, _): Way) -> Caller {
        let key = format!("Bearer {}", self.gate.key_of("other"));
        let client = Caller::new(&self.gate, path, era).with("Authorization", &key);
        if era == Era::Legacy { client.opened().await } else { client }
    }

    /// A legacy client of the revision that has batches.
    pub(crate) async fn batching(&self, (path, _, _): Way) -> Caller {
        let mut client = Caller::new(&self.gate, path, Era::Legacy).with("MCP-Protocol-Version", "");
        let params =
            json!({"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
        let reply = client.request("0", "initialize", params).await;
        client.session = reply.head.header("mcp-session-id").map(ToOwned::to_owned);
        assert_eq!(reply.answer().await["result"]["protocolVersion"], "2025-03-26");
        client
    }

    /// What reached the server at the end of a way.
    pub(crate) fn record(&self, (path, _, prefix): Way) -> &Record {
        match server_of((path, Era::Legacy, prefix)) {
            "web" => &self.web.record,
            "new" => &self.new.record,
            _ => &self.old.record,
        }
    }

    /// Has the server at the end of a way say for how long and for whom what is read may be kept.
    pub(crate) fn read_hints(&self, way: Way, ttl: u64, scope: &str) {
        let hints = json!({"ttlMs": ttl, "cacheScope": scope});
        self.record(way).offer(&Offer { hints, ..Offer::default() });
    }

    /// Has the server over HTTP answer its next lists with exactly this; see [`Record::tell`].
    pub(crate) fn tell_lists(&self, media_type: &str, body: &str) {
        self.web.record.tell(media_type, body);
        self.web.record.offer(&Offer { told: true, ..Offer::default() });
    }

    /// Has all servers offer these tools with this schema.
    pub(crate) fn offer(&self, names: &[&str], schema: &Value) {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let offer = Offer { names, schema: schema.clone(), ..Offer::default() };
        for record in [&self.web.record, &self.old.record, &self.new.record] {
            record.offer(&offer);
        }
    }

    /// Has all servers offer `echo` with this description.
    pub(crate) fn describe(&self, description: &str) {
        let names = vec!["echo".to_owned(), "other".to_owned()];
        let offer = Offer { names, description: description.into(), ..Offer::default() };
        for record in [&self.web.record, &self.old.record, &self.new.record] {
            record.offer(&offer);
        }
    }

    /// How often a tool was really called.
    pub(crate) fn calls(&self, way: Way, tool: &str) -> usize {
        let calls = self.record(way).of("tools/call");
        calls.iter().filter(|call| call.message["params"]["name"] == tool).count()
    }

    /// What `/health` says of a server.
    pub(crate) async fn health(&self, server: &str) -> Value {
        let mut connection = self.gate.target().connect().await.expect("a connection");
        let (_, body) =
            connection.exchange(&request("GET", "/health", "localhost", &[], b"")).await.expect("an answer");
        serde_json::from_slice::<Value>(&body).expect("JSON")["checks"][format!("server:{server}")].clone()
    }
}

/// Names of the tools that a client is offered.
pub(crate) async fn listed(client: &Caller) -> Vec<String> {
    let page = client.request("1", "tools/list", json!({})).await.answer().await;
    let tools = page["result"]["tools"].as_array().unwrap_or_else(|| panic!("no tools: {page}"));
    tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
}

/// The text of a tool execution error.
pub(crate) fn told(answer: &Value) -> &str {
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    answer["result"]["content"][0]["text"].as_str().expect("a text")
}
