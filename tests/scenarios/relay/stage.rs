//! The gate that scenarios of the relay play on, and the servers behind it.

use serde_json::Value;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::http::Http;
use toolgate_tests::fake::record::Record;
use toolgate_tests::fake::stdio::Stdio;
use toolgate_tests::fake::three::Three;
use toolgate_tests::gate::{Gate, Setup};

/// A gate before three servers.
pub(crate) struct Stage {
    pub(crate) gate: Gate,
    /// `/mcp/web`: over HTTP, of both eras.
    pub(crate) web: Http,
    /// `/mcp/old`: over stdio, legacy only.
    pub(crate) old: Stdio,
    /// `/mcp/new`: over stdio, of both eras.
    pub(crate) new: Stdio,
}

/// Paths for clients of the legacy era, and what names begin with there.
pub(crate) const LEGACY: [(&str, &str); 5] =
    [("/mcp/web", ""), ("/mcp/old", ""), ("/mcp/solo", ""), ("/mcp/pair", "web__"), ("/mcp/pair", "old__")];
/// Paths for clients of the modern era, and what names begin with there.
pub(crate) const MODERN: [(&str, &str); 4] =
    [("/mcp/web", ""), ("/mcp/new", ""), ("/mcp/duo", "web__"), ("/mcp/duo", "new__")];

/// Servers, two profiles of two and one of one.
pub(crate) async fn stage() -> Stage {
    Stage::with(|setup| setup, "").await
}

impl Stage {
    /// The same with more in its configuration; `lines` go into each server's table.
    pub(crate) async fn with(more: impl FnOnce(Setup) -> Setup, lines: &str) -> Self {
        let (Three { web, old, new }, setup) = Three::start(lines).await;
        let setup = more(setup.table("[profile.solo]\nservers = [\"old\"]\n"));
        Self { gate: setup.start().await, web, old, new }
    }

    /// A legacy client with a session.
    pub(crate) async fn legacy(&self, path: &str) -> Caller {
        Caller::legacy(&self.gate, path).await
    }

    /// A modern client.
    pub(crate) fn modern(&self, path: &str) -> Caller {
        Caller::modern(&self.gate, path)
    }

    /// The client of another key.
    pub(crate) fn other(&self, caller: Caller) -> Caller {
        caller.with("Authorization", &format!("Bearer {}", self.gate.key_of("other")))
    }

    /// Waits until the session that the last request of this `method` to `web` came from has its stream there.
    pub(crate) async fn web_stream(&self, method: &str) {
        let who = self
            .web
            .record
            .all()
            .iter()
            .rev()
            .find(|received| received.method == method)
            .expect("a request")
            .who
            .clone();
        self.web.record.until("its stream", |received| received.message["http"] == "GET" && received.who == who).await;
    }

    /// What reached the server behind a path and prefix.
    pub(crate) fn record(&self, path: &str, prefix: &str) -> &Record {
        match (path, prefix) {
            ("/mcp/web", _) | (_, "web__") => &self.web.record,
            ("/mcp/new", _) | (_, "new__") => &self.new.record,
            _ => &self.old.record,
        }
    }
}

/// Names of a list's entries.
pub(crate) fn names(answer: &Value, list: &str, member: &str) -> Vec<String> {
    let entries = answer["result"][list].as_array().unwrap_or_else(|| panic!("no {list}: {answer}"));
    entries.iter().map(|entry| entry[member].as_str().expect("a name").to_owned()).collect()
}

/// The whole of one text between two others.
pub(crate) fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let start = text.find(before).unwrap_or_else(|| panic!("no {before} in {text}")) + before.len();
    let end = text[start..].rfind(after).unwrap_or_else(|| panic!("no {after} in {text}"));
    &text[start..start + end]
}
