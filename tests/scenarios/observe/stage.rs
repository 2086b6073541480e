//! A gate before three servers, asked over its control socket.

use std::path::PathBuf;

use serde_json::Value;
use toolgate_tests::fake::http::Http;
use toolgate_tests::fake::stdio::Stdio;
use toolgate_tests::fake::three::Three;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::wait;

pub(crate) struct Stage {
    pub(crate) gate: Gate,
    pub(crate) web: Http,
    /// Over stdio, legacy only; it lives as long as the stage.
    pub(crate) old: Stdio,
    pub(crate) _new: Stdio,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(|setup| setup, "").await
    }

    /// `lines` go into each server's table.
    pub(crate) async fn with(more: impl FnOnce(Setup) -> Setup, lines: &str) -> Self {
        let (Three { web, old, new }, setup) = Three::start(lines).await;
        Self { gate: more(setup).start().await, web, old, _new: new }
    }

    /// What a path of the control socket answers.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.gate.control("GET", path).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// Asks until the answer has what is looked for.
    pub(crate) async fn until<T>(&self, what: &str, path: &str, found: impl Fn(&Value) -> Option<T>) -> T {
        wait::until(what, async || found(&self.get(path).await)).await
    }

    /// The only row of a table that fits a filter.
    pub(crate) async fn row(&self, table: &str, filter: &str) -> Value {
        let answer = self.get(&format!("/v1/{table}?filter={filter}")).await;
        assert_eq!(answer["total"], 1, "{table} {filter}: {answer}");
        answer[table][0].clone()
    }

    /// A file that calls of `hold` wait for.
    pub(crate) fn go(&self) -> PathBuf {
        self.web.record.path().with_extension("go")
    }
}
