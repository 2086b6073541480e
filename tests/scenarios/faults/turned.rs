//! Servers whose calls hold all permits, and that take no others: whoever comes is told so at once, and does not wait for
//! a permit to be refused then.

use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::record::Record;
use toolgate_tests::fake::three::Three;
use toolgate_tests::gate::Gate;
use toolgate_tests::mcp::Era;
use toolgate_tests::wait;

use crate::stage::is_refused;

/// One call at a time, and a wait that no test sees the end of.
const BUSY: &str = "max_calls = 1\nqueue.timeout = \"10m\"\ntimeout.first_byte = \"10m\"\n\
    breaker = { failures = 3, open_for = \"200ms\" }\n\
    tool.echo.cache = { ttl = \"50ms\", stale = \"10m\", shared = true }\n";

/// A path, its era, what names begin with there, and the server.
type Way = (&'static str, Era, &'static str, &'static str);

const WAYS: [Way; 7] = [
    ("/mcp/web", Era::Modern, "", "web"),
    ("/mcp/web", Era::Legacy, "", "web"),
    ("/mcp/new", Era::Modern, "", "new"),
    ("/mcp/old", Era::Legacy, "", "old"),
    ("/mcp/old", Era::Modern, "", "old"),
    ("/mcp/pair", Era::Legacy, "web__", "web"),
    ("/mcp/duo", Era::Modern, "new__", "new"),
];

/// A gate before a server of each kind, of which one is busy.
struct Busy {
    gate: Gate,
    three: Three,
    way: Way,
    /// Once it is there the call that holds the permit ends.
    go: PathBuf,
}

impl Busy {
    async fn new(way: Way) -> Self {
        let (three, setup) = Three::start(BUSY).await;
        let gate = setup.start().await;
        let go = gate.folder().join("go");
        Self { gate, three, way, go }
    }

    /// A client that has called the server before.
    async fn client(&self) -> Caller {
        let client = Caller::new(&self.gate, self.way.0, self.way.1);
        let client = if self.way.1 == Era::Legacy { client.opened().await } else { client };
        // The answer of one is kept, that of the other comes from the server in any case.
        for tool in ["echo", "steps"] {
            let answer = self.call(&client, tool).await;
            assert!(answer.get("result").is_some(), "{answer}");
        }
        client
    }

    async fn call(&self, client: &Caller, tool: &str) -> Value {
        let arguments = json!({"until": self.go});
        client.call("1", &format!("{}{tool}", self.way.2), arguments).await.answer().await
    }

    /// The same, while the test goes on.
    fn calls(&self, client: &Caller, tool: &str) -> JoinHandle<Value> {
        let (client, tool, arguments) = (client.clone(), format!("{}{tool}", self.way.2), json!({"until": self.go}));
        tokio::spawn(async move { client.call("2", &tool, arguments).await.answer().await })
    }

    /// A call that holds the only permit until it may end.
    async fn holds(&self, client: &Caller) -> JoinHandle<Value> {
        let held = self.calls(client, "hold");
        self.record().until_called("hold").await;
        held
    }

    fn lets_go(&self) {
        std::fs::write(&self.go, "").expect("a file");
    }

    fn record(&self) -> &Record {
        match self.way.3 {
            "web" => &self.three.web.record,
            "new" => &self.three.new.record,
            _ => &self.three.old.record,
        }
    }

    async fn until_waiting(&self, number: u64) {
        wait::until(&format!("{number} calls to wait"), async || {
            let (_, queues) = self.gate.control("GET", "/v1/queues").await;
            let servers = queues["servers"].as_array().expect("servers");
            let queue = servers.iter().find(|queue| queue["server"] == self.way.3).expect("a queue");
            (queue["waiting"] == number).then_some(())
        })
        .await;
    }

    async fn operate(&self, what: &str) {
        let (status, outcome) = self.gate.control("POST", &what.replace("NAME", self.way.3)).await;
        assert_eq!(status, 200, "{outcome}");
    }
}

fn is_stale(answer: &Value) -> bool {
    answer["result"]["_meta"]["toolgate/stale"].is_object()
}

#[tokio::test]
async fn where_an_operator_opens_the_breaker_nobody_waits_behind_calls_that_hold_all_permits() {
    for way in WAYS {
        let busy = Busy::new(way).await;
        let (first, second) = (busy.client().await, busy.client().await);
        let held = busy.holds(&first).await;
        let waits = busy.calls(&second, "steps");
        busy.until_waiting(1).await;
        busy.operate("/v1/breakers/NAME/open").await;
        let refused = waits.await.expect("an answer");
        assert!(is_refused(&refused), "{way:?}: who waits already is told: {refused}");
        let refused = busy.call(&second, "steps").await;
        assert!(is_refused(&refused), "{way:?}: and who comes: {refused}");
        let text = refused["error"]["message"].as_str().unwrap_or_default();
        assert!(text.contains("opened its breaker by hand") && text.contains("Nothing was done"), "{way:?}: {text}");
        wait::until("a stale answer", async || is_stale(&busy.call(&second, "echo").await).then_some(())).await;
        busy.until_waiting(0).await;
        busy.lets_go();
        let held = held.await.expect("an answer");
        assert!(held.get("result").is_some(), "{way:?}: what runs goes on: {held}");
        busy.operate("/v1/breakers/NAME/reset").await;
        let answer = busy.call(&second, "steps").await;
        assert!(answer.get("result").is_some(), "{way:?}: {answer}");
    }
}

#[tokio::test]
async fn where_a_server_is_drained_only_its_sessions_wait_for_their_turn() {
    // A modern client of a legacy server has a session there that the gate holds for it.
    let ways = [WAYS[1], WAYS[3], WAYS[4]];
    for (mode, way) in ways.into_iter().flat_map(|way| [("drain", way), ("maintenance", way)]) {
        let busy = Busy::new(way).await;
        let (first, second) = (busy.client().await, busy.client().await);
        let held = busy.holds(&first).await;
        let waits = busy.calls(&second, "steps");
        busy.until_waiting(1).await;
        busy.operate(&format!("/v1/servers/NAME/{mode}")).await;
        let key = format!("Bearer {}", busy.gate.key_of("other"));
        let newcomer = Caller::modern(&busy.gate, way.0).with("Authorization", &key);
        let refused = busy.call(&newcomer, "steps").await;
        assert_eq!(refused["error"]["data"]["reason"], "server-unavailable", "{way:?} {mode}: {refused}");
        busy.until_waiting(1).await;
        busy.lets_go();
        for goes_on in [held, waits] {
            let answer = goes_on.await.expect("an answer");
            assert!(answer.get("result").is_some(), "{way:?} {mode}: {answer}");
        }
    }
}

#[tokio::test]
async fn where_the_call_that_tries_a_server_again_holds_the_only_permit_others_come_back_in_a_second() {
    for way in [WAYS[0], WAYS[1]] {
        let busy = Busy::new(way).await;
        let client = busy.client().await;
        wait::until("the breaker to open", async || {
            let failed = client.call("1", "status", json!({"status": 500, "body": "{}"})).await.text().await;
            failed.contains("breaker-open").then_some(())
        })
        .await;
        let (probing, tries) = (client.clone(), json!({"until": busy.go}));
        let probe = tokio::spawn(async move {
            wait::until("the call that is let through", async || {
                let answer = probing.call("1", "hold", tries.clone()).await.answer().await;
                (!is_refused(&answer)).then_some(answer)
            })
            .await
        });
        busy.record().until_called("hold").await;
        let refused = busy.call(&client, "steps").await;
        assert!(is_refused(&refused), "{way:?}: {refused}");
        assert_eq!(refused["error"]["data"]["retryAfterMs"], 1000, "{way:?}: {refused}");
        assert!(is_stale(&busy.call(&client, "echo").await), "{way:?}");
        busy.lets_go();
        assert!(probe.await.expect("an answer").get("result").is_some(), "{way:?}");
        let answer = busy.call(&client, "steps").await;
        assert!(answer.get("result").is_some(), "{way:?}: it works again: {answer}");
    }
}
