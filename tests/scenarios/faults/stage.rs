//! A gate in front of servers that break on demand, and what its clients and its operator see.

use std::net::SocketAddr;

use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::faulty::Faulty;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::http::request;

/// Times that a test can wait for.
pub(crate) const HASTY: &str = r#"
timeout = { connect = "1s", first_byte = "500ms" }
breaker = { failures = 3, slow = "200ms", slow_rate = "50%", min_calls = 4, window = "30s", open_for = "300ms", max_open = "1s" }
"#;

/// Where a fake listens.
pub(crate) fn address(fake: &Http) -> SocketAddr {
    let authority = fake.url.trim_start_matches("http://").trim_end_matches("/mcp");
    authority.parse().expect("an address")
}

/// A gate before `/mcp/bad`, which can be broken, and `/mcp/good`, which cannot.
pub(crate) struct Stage {
    pub(crate) gate: Gate,
    pub(crate) faulty: Faulty,
    /// What is behind the faults.
    pub(crate) bad: Http,
    good: Http,
}

impl Stage {
    pub(crate) async fn start(speaks: Speaks) -> Self {
        Self::named(speaks, "127.0.0.1", |setup| setup).await
    }

    /// The same under a name, with more of a configuration.
    pub(crate) async fn named(speaks: Speaks, host: &str, more: impl FnOnce(Setup) -> Setup) -> Self {
        let (bad, good) = (Http::start(speaks).await, Http::start(speaks).await);
        let faulty = Faulty::before(address(&bad)).await;
        let port = faulty.address.port();
        let setup = Setup::default()
            .server("bad", &format!("endpoints = \"http://{host}:{port}/mcp\"\n{HASTY}"))
            .http("good", &good.url);
        Self { gate: more(setup).start().await, faulty, bad, good }
    }

    /// What `/health` says of a server.
    pub(crate) async fn health(&self, server: &str) -> Value {
        health(&self.gate).await["checks"][format!("server:{server}")].clone()
    }

    /// The healthy server is as it was.
    pub(crate) async fn good_works(&self, client: &Caller) {
        let answer = call(client).await;
        assert!(answer.get("result").is_some(), "{answer}");
        assert!(!self.good.record.of("tools/call").is_empty());
    }
}

pub(crate) async fn health(gate: &Gate) -> Value {
    let mut connection = gate.target().connect().await.expect("a connection");
    let raw = request("GET", "/health", &gate.target().host, &[], b"");
    let (_, body) = connection.exchange(&raw).await.expect("an answer");
    serde_json::from_slice(&body).expect("JSON")
}

/// One call, and its answer; a status without a message where the server mumbles.
pub(crate) async fn call(client: &Caller) -> Value {
    let reply = client.call("1", "echo", json!({})).await;
    let text = reply.text().await;
    serde_json::from_str(&text).unwrap_or_else(|_| json!({ "text": text }))
}

/// Whether the breaker has answered.
pub(crate) fn is_refused(answer: &Value) -> bool {
    answer["error"]["data"]["reason"] == "breaker-open"
}

/// A gate before `/mcp/two`, a server with two endpoints, of which each can be broken.
pub(crate) struct Two {
    pub(crate) gate: Gate,
    pub(crate) faulty: [Faulty; 2],
    /// What is behind the faults.
    pub(crate) behind: [Http; 2],
}

impl Two {
    /// `weights` of the endpoints, and further lines of the server's table.
    pub(crate) async fn start(speaks: Speaks, weights: [u32; 2], lines: &str) -> Self {
        let behind = [Http::start(speaks).await, Http::start(speaks).await];
        let faulty = [Faulty::before(address(&behind[0])).await, Faulty::before(address(&behind[1])).await];
        let endpoint = |at: usize| format!("{{ url = \"{}\", weight = {} }}", url(&faulty[at]), weights[at]);
        let lines = format!("endpoints = [{}, {}]\n{lines}\n", endpoint(0), endpoint(1));
        let gate = Setup::default().server("two", &lines).start().await;
        Self { gate, faulty, behind }
    }

    /// Calls of tools that each endpoint has had.
    pub(crate) fn shares(&self) -> [usize; 2] {
        [0, 1].map(|at| self.behind[at].record.of("tools/call").len())
    }

    /// What the operator sees of each.
    pub(crate) async fn endpoints(&self) -> [Value; 2] {
        let (_, server) = self.gate.control("GET", "/v1/servers/two").await;
        [0, 1].map(|at| server["endpoints"][at].clone())
    }

    pub(crate) fn url(&self, at: usize) -> String {
        url(&self.faulty[at])
    }
}

fn url(faulty: &Faulty) -> String {
    format!("http://{}/mcp", faulty.address)
}
