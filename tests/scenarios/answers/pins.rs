//! Tools that become something else than what was accepted.

use rustix::process::Signal;
use serde_json::{Value, json};
use toolgate_tests::caller::{Caller, Reply};
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::fake::record::{ID, Offer};
use toolgate_tests::gate::Setup;
use toolgate_tests::mcp::Era;
use toolgate_tests::wait;

use crate::stage::{Stage, WAYS, Way, listed, server_of};

const SERVERS: [&str; 3] = ["web", "old", "new"];

/// Changes that wait for approval, as (server, tool).
async fn changes(stage: &Stage) -> Vec<Value> {
    let (status, body) = stage.gate.control("GET", "/v1/tools/changes").await;
    assert_eq!(status, 200, "{body}");
    body["changes"].as_array().expect("changes").clone()
}

async fn approve(stage: &Stage, server: &str, tool: &str) -> u16 {
    let path = format!("/v1/servers/{server}/tools/approve");
    stage.gate.control_with("POST", &path, &json!({"tool": tool, "reason": "read it"})).await.0
}

/// A stream on which a client hears of its tools.
async fn listening(client: &Caller, era: Era) -> Reply {
    if era == Era::Legacy {
        return client.stream().await;
    }
    let listen = json!({"notifications": {"toolsListChanged": true}});
    let mut stream = client.request("9", "subscriptions/listen", listen).await;
    let acknowledged = stream.message().await;
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    stream
}

#[tokio::test]
async fn a_changed_tool_is_withheld_until_it_is_approved() {
    let stage = Stage::new("pin = \"block\"\n").await;
    stage.describe("Reads a file.");
    let mut clients = Vec::new();
    for way in WAYS {
        let client = stage.client(way).await;
        assert!(listed(&client).await.contains(&format!("{}echo", way.2)), "{way:?}");
        clients.push((way, client));
    }
    // A space is enough.
    stage.describe("Reads a file. ");
    for (way, client) in &clients {
        let names = listed(client).await;
        assert!(names.is_empty(), "{way:?}: {names:?}");
        let refused = client.call("1", &format!("{}echo", way.2), json!({})).await.answer().await;
        let said = refused["error"]["message"].as_str().unwrap_or_default();
        assert!(refused["error"]["code"] == -32602 && said.contains("withheld"), "{way:?}: {refused}");
        assert_eq!(stage.calls(*way, "echo"), 0);
    }
    let waiting = changes(&stage).await;
    assert_eq!(waiting.len(), 6, "{waiting:?}");
    let change = waiting.iter().find(|change| change["server"] == "web" && change["tool"] == "echo").expect("a change");
    let text = |when: &str| serde_json::from_str::<Value>(change[when].as_str().expect("a text")).expect("JSON");
    assert_eq!(
        (&text("before")["description"], &text("after")["description"]),
        (&json!("Reads a file."), &json!("Reads a file. "))
    );
    assert_eq!(change["withheld"], true);
    let health = stage.health("web").await;
    assert!(health["message"].as_str().expect("a message").contains("toolgate tools approve web echo"), "{health}");
    for server in SERVERS {
        assert_eq!(approve(&stage, server, "echo").await, 200);
        assert_eq!(approve(&stage, server, "echo").await, 404, "it is approved already");
    }
    for (way, client) in &clients {
        let names = listed(client).await;
        assert!(
            names.iter().all(|name| name.ends_with("echo")) && names.contains(&format!("{}echo", way.2)),
            "{way:?}: {names:?}"
        );
        let answer = client.call("2", &format!("{}echo", way.2), json!({})).await.answer().await;
        assert_eq!(answer["result"]["params"]["name"], "echo", "{way:?}: {answer}");
    }
    assert_eq!(changes(&stage).await.len(), 3);
}

#[tokio::test]
async fn who_listens_hears_that_a_tool_is_back() {
    let stage = Stage::new("pin = \"block\"\n").await;
    for way in WAYS {
        stage.describe("Reads a file.");
        let client = stage.client(way).await;
        listed(&client).await;
        client.call("1", &format!("{}other", way.2), json!({})).await.answer().await;
        let mut stream = listening(&client, way.1).await;
        let server = SERVERS[if way.0 == "/mcp/web" || way.2 == "web__" {
            0
        } else if way.0 == "/mcp/new" || way.2 == "new__" {
            2
        } else {
            1
        }];
        stage.describe("Sends a file.");
        listed(&client).await;
        assert_eq!(approve(&stage, server, "echo").await, 200, "{way:?}");
        loop {
            let message = stream.message().await;
            if message["method"] == "notifications/tools/list_changed" {
                break;
            }
        }
        assert!(listed(&client).await.contains(&format!("{}echo", way.2)), "{way:?}");
        assert_eq!(approve(&stage, server, "other").await, 200);
        // As it was at first, for the next way.
        stage.describe("Reads a file.");
        listed(&client).await;
        for tool in ["echo", "other"] {
            assert_eq!(approve(&stage, server, tool).await, 200, "{way:?}");
        }
    }
}

#[tokio::test]
async fn with_a_warning_a_change_is_announced_and_nothing_else() {
    let stage = Stage::new("pin = \"warn\"\n").await;
    stage.describe("Reads a file.");
    for way in [WAYS[0], WAYS[3], WAYS[9]] {
        let client = stage.client(way).await;
        listed(&client).await;
        stage.describe("Sends a file.");
        assert!(listed(&client).await.contains(&format!("{}echo", way.2)), "{way:?}");
        let answer = client.call("1", &format!("{}echo", way.2), json!({})).await.answer().await;
        assert_eq!(answer["result"]["params"]["name"], "echo", "{way:?}: {answer}");
        stage.describe("Reads a file.");
        listed(&client).await;
    }
    let told = stage.gate.log().matches("a tool is not what it was").count();
    // Of `web` twice within a minute, and said once.
    assert_eq!(told, 6, "once per tool:\n{}", stage.gate.log());
    assert!(changes(&stage).await.is_empty(), "all are what they were");
}

#[tokio::test]
async fn a_server_that_changes_while_the_gate_is_down_is_found_out() {
    let mut stage = Stage::new("pin = \"block\"\n").await;
    stage.describe("Reads a file.");
    for (signal, way) in [(Signal::TERM, WAYS[1]), (Signal::KILL, WAYS[5])] {
        let before = stage.client(way).await;
        listed(&before).await;
        let file = stage.gate.folder().join("state/tools/pins.json");
        let server = way.0.trim_start_matches("/mcp/");
        wait::until("the file", async || {
            let text = std::fs::read_to_string(&file).ok()?;
            text.contains(&format!("\"{server}\":{{\"echo\"")).then_some(())
        })
        .await;
        stage.describe("Sends a file.");
        stage.gate.restart(signal).await;
        // Nobody lists: the call itself must not get through.
        let client = stage.client(way).await;
        let refused = client.call("1", "echo", json!({})).await.answer().await;
        assert!(refused["error"]["message"].as_str().unwrap_or_default().contains("withheld"), "{way:?}: {refused}");
        assert_eq!(approve(&stage, server, "echo").await, 200);
        stage.gate.restart(Signal::KILL).await;
        let client = stage.client(way).await;
        let answer = client.call("2", "echo", json!({})).await.answer().await;
        assert_eq!(answer["result"]["params"]["name"], "echo", "an approval outlives a crash: {answer}");
        stage.describe("Reads a file.");
    }
}

/// Has the server at the end of a way list nothing: it is silent, or answers with an error.
fn keep_tools_back(stage: &Stage, way: Way, silent: bool) {
    let record = stage.record(way);
    let error = format!(r#"{{"jsonrpc":"2.0","id":{ID},"error":{{"code":-32603,"message":"broken"}}}}"#);
    record.tell("application/json", &error);
    record.offer(&Offer { silent, told: !silent, ..Offer::default() });
}

#[tokio::test]
async fn a_call_is_refused_where_nobody_can_tell_whether_its_tool_has_changed() {
    let stage = Stage::new("pin = \"block\"\ntimeout.first_byte = \"1s\"\n").await;
    for way in WAYS {
        let client = stage.client(way).await;
        let name = format!("{}echo", way.2);
        for silent in [false, true] {
            // What is known is what was listed before an approval, or nothing.
            keep_tools_back(&stage, way, silent);
            let refused = client.call("1", &name, json!({})).await.answer().await;
            let error = &refused["error"];
            let said = error["message"].as_str().unwrap_or_default();
            assert!(error["data"]["reason"] == "server-unavailable", "{way:?}, silent {silent}: {refused}");
            assert!(said.contains("nothing was done") && said.contains("echo"), "{way:?}, silent {silent}: {refused}");
            assert_eq!(stage.calls(way, "echo"), 0, "{way:?}, silent {silent}");
        }
        stage.describe("Reads a file.");
        wait::until("a call that goes through", async || {
            let answer = client.call("2", &name, json!({})).await.answer().await;
            (answer["result"]["params"]["name"] == "echo").then_some(())
        })
        .await;
        // The next way finds a server that has to be asked again.
        stage.describe("Sends a file.");
        listed(&client).await;
        assert_eq!(approve(&stage, server_of(way), "echo").await, 200, "{way:?}");
        stage.describe("Reads a file.");
        listed(&client).await;
        for tool in ["echo", "other"] {
            assert_eq!(approve(&stage, server_of(way), tool).await, if tool == "echo" { 200 } else { 404 }, "{way:?}");
        }
        stage.record(way).clear();
    }
}

#[tokio::test]
async fn with_a_warning_a_call_waits_for_no_list() {
    let stage = Stage::new("pin = \"warn\"\ntimeout.first_byte = \"1s\"\n").await;
    for way in [WAYS[0], WAYS[3], WAYS[9]] {
        let client = stage.client(way).await;
        keep_tools_back(&stage, way, false);
        let answer = client.call("1", &format!("{}echo", way.2), json!({})).await.answer().await;
        assert_eq!(answer["result"]["params"]["name"], "echo", "{way:?}: {answer}");
    }
}

#[tokio::test]
async fn a_server_that_has_forgotten_the_gate_s_session_is_greeted_anew_and_asked_again() {
    let server = Http::start(Speaks::Legacy).await;
    let describe = |description: &str| {
        server.record.offer(&Offer { names: vec!["echo".into()], description: description.into(), ..Offer::default() });
    };
    let gate = Setup::default().server("web", &format!("{}pin = \"block\"", server.endpoints())).start().await;
    describe("Reads a file.");
    let first = Caller::legacy(&gate, "/mcp/web").await;
    assert_eq!(first.call("1", "echo", json!({})).await.answer().await["result"]["params"]["name"], "echo");
    describe("Sends a file.");
    assert!(listed(&first).await.is_empty());
    // After an approval the gate lists by itself, in its own session.
    server.forget_sessions();
    let approval = json!({"tool": "echo", "reason": "read it"});
    assert_eq!(gate.control_with("POST", "/v1/servers/web/tools/approve", &approval).await.0, 200);
    let second = Caller::legacy(&gate, "/mcp/web").await;
    let answer = second.call("1", "echo", json!({})).await.answer().await;
    assert_eq!(answer["result"]["params"]["name"], "echo", "{answer}");
}

#[tokio::test]
async fn an_answer_that_is_kept_needs_no_list_and_a_stale_one_stands_in_where_there_is_none() {
    let stage = Stage::new("pin = \"block\"\ntool.echo.cache = { ttl = \"2s\", stale = \"10m\" }\n").await;
    let way = WAYS[1];
    let client = stage.client(way).await;
    stage.describe("Reads a file.");
    listed(&client).await;
    stage.describe("Sends a file.");
    assert!(listed(&client).await.is_empty());
    assert_eq!(approve(&stage, "web", "echo").await, 200);
    assert_eq!(client.call("1", "echo", json!({})).await.answer().await["result"]["params"]["name"], "echo");
    assert_eq!(stage.calls(way, "echo"), 1);
    // What was listed before an approval does not count.
    assert_eq!(approve(&stage, "web", "other").await, 200);
    keep_tools_back(&stage, way, false);
    wait::until("a stale answer", async || {
        let answer = client.call("2", "echo", json!({})).await.answer().await;
        assert_eq!(answer["result"]["params"]["name"], "echo", "{answer}");
        answer["result"]["_meta"].get("toolgate/stale").map(drop)
    })
    .await;
    let other = client.call("3", "echo", json!({"x": 1})).await.answer().await;
    assert_eq!(other["error"]["data"]["reason"], "server-unavailable", "nothing is kept of it: {other}");
    assert_eq!(stage.calls(way, "echo"), 1);
}

#[tokio::test]
async fn what_a_server_announces_to_whoever_listens_is_looked_at_before_the_next_call() {
    for way in [WAYS[0], WAYS[1], WAYS[2], WAYS[4], WAYS[5], WAYS[7]] {
        let stage = Stage::new("pin = \"block\"\n").await;
        stage.describe("Reads a file.");
        let (client, name) = (stage.client(way).await, format!("{}echo", way.2));
        let mut stream = listening(&client, way.1).await;
        let answer = client.call("1", &name, json!({})).await.answer().await;
        assert_eq!(answer["result"]["params"]["name"], "echo", "{way:?}: {answer}");
        stage.describe("Sends a file.");
        client.call("2", &format!("{}change", way.2), json!({})).await.answer().await;
        loop {
            let message = stream.message().await;
            if message["method"] == "notifications/tools/list_changed" {
                break;
            }
        }
        let refused = client.call("3", &name, json!({})).await.answer().await;
        let said = refused["error"]["message"].as_str().unwrap_or_default();
        assert!(said.contains("withheld"), "{way:?}: {refused}");
        assert_eq!(stage.calls(way, "echo"), 1, "{way:?}");
    }
}
