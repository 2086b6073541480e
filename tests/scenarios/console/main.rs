//! An operator at the console, by keys alone, in front of a real daemon with calls going through it.

mod incidents;
mod screen;

use screen::Screen;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::three::Three;
use toolgate_tests::gate::Gate;
use toolgate_tests::wait;

/// Calls of a client, one after the other, for as long as the scenario goes on.
fn load(client: Caller, tool: &'static str) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            client.call("5", tool, json!({})).await.answer().await;
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
}

/// What a route of the control socket says.
async fn said(gate: &Gate, path: &str) -> Value {
    gate.control("GET", path).await.1
}

/// The newest record of changes must become one of this action, on this, for this reason.
async fn recorded(gate: &Gate, action: &str, target: &str, reason: Option<&str>) {
    let newest = async || {
        let audit = said(gate, "/v1/audit?limit=1").await;
        let record = audit["records"][0].clone();
        if record["action"] == action { Ok(record) } else { Err(audit) }
    };
    let record = wait::or_last(newest).await.unwrap_or_else(|audit| panic!("{action} is not recorded: {audit}"));
    assert_eq!(record["outcome"], "done", "{record}");
    assert!(record["target"].as_str().is_some_and(|known| known.contains(target)), "{record}");
    assert_eq!(record["reason"].as_str(), reason, "{record}");
    assert_eq!(record["uid"], json!(rustix::process::getuid().as_raw()), "{record}");
}

async fn endpoints(gate: &Gate, server: &str) -> Vec<Value> {
    let servers = said(gate, "/v1/servers").await;
    let found = servers.as_array().into_iter().flatten().find(|row| row["name"] == server);
    found.and_then(|row| row["endpoints"].as_array()).expect("the server's endpoints").clone()
}

async fn endpoint(gate: &Gate, server: &str) -> Value {
    endpoints(gate, server).await[0].clone()
}

async fn queue(gate: &Gate, server: &str) -> Value {
    let queues = said(gate, "/v1/queues").await;
    let found = queues["servers"].as_array().into_iter().flatten().find(|queue| queue["server"] == server);
    found.expect("the server's queue").clone()
}

#[tokio::test]
async fn a_server_is_drained_and_resumed_and_its_breaker_forced_and_reset() {
    let (_three, setup) = Three::start("breaker = { failures = 5 }\n").await;
    let gate = setup.start().await;
    let calls = load(Caller::modern(&gate, "/mcp/web"), "echo");
    let screen = Screen::open(&gate).await;
    screen.press(&["2", "/", "server=web", "Enter"]).until("server=web").await;
    screen.until("closed").await;
    screen.press(&["D", "Enter", "an upgrade", "Enter"]).until("Type web to do it").await.keep("drain");
    screen.press(&["web", "Enter"]).until("drained").await;
    recorded(&gate, "server.drain", "web", Some("an upgrade")).await;
    assert_eq!(endpoint(&gate, "web").await["mode"], "drain");
    screen.until("is being drained").await;
    screen.press(&["R"]).until("would begin taking calls").await.press(&["y"]).until("begins taking calls").await;
    recorded(&gate, "server.resume", "web", None).await;
    assert_eq!(endpoint(&gate, "web").await["mode"], "ready");
    screen.press(&[":", "breaker-open web", "Enter"]).until("Type web to do it").await;
    screen.press(&["web", "Enter"]).until("is forced open").await;
    recorded(&gate, "breaker.open", "web", None).await;
    assert_eq!(endpoint(&gate, "web").await["breaker"]["state"], "forced_open");
    screen.until("the breaker was opened by hand").await.press(&["B"]).until("would be closed").await;
    screen.press(&["y"]).until("is closed; it was forced open").await;
    recorded(&gate, "breaker.reset", "web", None).await;
    assert_eq!(endpoint(&gate, "web").await["breaker"]["state"], "closed");
    calls.abort();
}

#[tokio::test]
async fn a_limit_is_overridden_for_a_time_and_reverted_and_a_session_is_ended() {
    let (_three, setup) = Three::start("").await;
    let gate = setup.limit("{ per = \"client\", rate = \"100000/min\" }").start().await;
    let calls = load(Caller::modern(&gate, "/mcp/web"), "echo");
    let session = Caller::legacy(&gate, "/mcp/web").await;
    let screen = Screen::open(&gate).await;
    screen.press(&["5"]).until("100000/min").await;
    screen.press(&["L"]).until("Set another value for").await;
    screen
        .press(&["C-u", "90000/min", "Enter", "Enter", "it is slow", "Enter"])
        .until("becomes 90000/min")
        .await
        .keep("override");
    screen.press(&["y"]).until("becomes 90000/min for 10m.").await;
    recorded(&gate, "limit.override", "tier.test", Some("it is slow")).await;
    let limits = said(&gate, "/v1/limits").await;
    assert_eq!(limits["limits"][0]["effective"], "90000/min", "{limits}");
    screen.until("set by").await.press(&["R"]).until("becomes 100000/min").await.press(&["y"]);
    wait::until("the limit to be reverted", || async {
        (said(&gate, "/v1/limits").await["limits"][0]["effective"] == "100000/min").then_some(())
    })
    .await;
    screen.press(&["3"]).until("key:test").await;
    screen.press(&["X"]).until("1 session would end").await.press(&["y"]).until("1 session ended").await;
    recorded(&gate, "session.end", "", None).await;
    assert_eq!(said(&gate, "/v1/sessions").await["total"], 0);
    calls.abort();
    drop(session);
}
