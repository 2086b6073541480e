//! A tool that is switched off: it leaves the lists of both eras, listeners hear of it, calls are refused with words.

use rustix::process::Signal;
use serde_json::{Value, json};
use toolgate_tests::caller::{Caller, Reply};
use toolgate_tests::gate::Gate;
use toolgate_tests::mcp::Era;
use toolgate_tests::wait;

use crate::stage::{change, newest, start};

/// Paths, the server whose tool is switched, and what the path puts before its name.
const VIEWS: [(&str, &str, &str); 5] = [
    ("/mcp/web", "web", ""),
    ("/mcp/old", "old", ""),
    ("/mcp/new", "new", ""),
    ("/mcp/pair", "old", "old__"),
    ("/mcp/duo", "web", "web__"),
];

async fn lists(client: &Caller, name: &str) -> bool {
    let answer = client.request("3", "tools/list", json!({})).await.answer().await;
    let tools = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}"));
    tools.iter().any(|tool| tool["name"] == name)
}

async fn listening(client: &Caller, era: Era) -> Reply {
    if era == Era::Legacy {
        return client.stream().await;
    }
    let filter = json!({"notifications": {"toolsListChanged": true}});
    let mut reply = client.request("11", "subscriptions/listen", filter).await;
    let first = reply.message().await;
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged", "{first}");
    reply
}

async fn hears(stream: &mut Reply, era: Era) {
    loop {
        let message = stream.message().await;
        if message["method"] == "notifications/tools/list_changed" {
            let subscription = &message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
            assert_eq!(*subscription == 11, era == Era::Modern, "{message}");
            return;
        }
    }
}

async fn switch(gate: &Gate, server: &str, verb: &str, body: Value) -> Value {
    change(gate, "POST", &format!("/v1/servers/{server}/tools/{verb}"), body).await
}

#[tokio::test]
async fn a_tool_that_is_off_is_not_listed_and_not_called_until_it_is_on() {
    let (_three, gate) = start().await;
    for (path, server, prefix) in VIEWS {
        for era in [Era::Legacy, Era::Modern] {
            let name = format!("{prefix}echo");
            let client = Caller::new(&gate, path, era);
            let client = if era == Era::Legacy { client.opened().await } else { client };
            assert!(lists(&client, &name).await, "{path}");
            let mut stream = listening(&client, era).await;
            let off = json!({"tool": "echo", "say": "It is too dear today", "reason": "costs"});
            let outcome = switch(&gate, server, "disable", off).await;
            assert_eq!((&outcome["enabled"], &outcome["before"]), (&json!(false), &json!(true)), "{outcome}");
            hears(&mut stream, era).await;
            assert!(!lists(&client, &name).await, "{path}");
            let answer = client.call("5", &name, json!({})).await.answer().await;
            let said = answer["error"]["message"].as_str().unwrap_or_default();
            assert!(said.contains("switched the tool echo off. It is too dear today. Do without it."), "{answer}");
            assert_eq!(answer["error"]["data"]["reason"], "tool-disabled", "{answer}");
            let record = newest(&gate).await;
            assert_eq!(
                (&record["action"], &record["target"]),
                (&json!("tool.disable"), &json!(format!("{server}/echo")))
            );
            let (_, tools) = gate.control("GET", "/v1/tools?filter=echo").await;
            let mut rows = tools["tools"].as_array().expect("a list").iter();
            let row = rows.find(|row| row["server"] == server).expect("the tool");
            assert_eq!(row["disabled"], "It is too dear today", "{tools}");
            let other = client.call("5", &format!("{prefix}progress"), json!({})).await.answer().await;
            assert!(other.get("result").is_some(), "{path}: {other}");
            switch(&gate, server, "enable", json!({"tool": "echo"})).await;
            hears(&mut stream, era).await;
            assert!(lists(&client, &name).await, "{path}");
            let answer = client.call("5", &name, json!({})).await.answer().await;
            assert!(answer.get("result").is_some(), "{path}: {answer}");
        }
    }
}

#[tokio::test]
async fn it_stays_off_across_reload_and_restart_and_comes_back_with_its_time() {
    let (_three, mut gate) = start().await;
    let client = Caller::modern(&gate, "/mcp/old");
    switch(&gate, "old", "disable", json!({"tool": "echo"})).await;
    gate.change(|setup| setup.daemon("lame_duck = \"0s\""));
    gate.reload().await;
    assert!(!lists(&client, "echo").await);
    gate.restart(Signal::TERM).await;
    assert!(!lists(&client, "echo").await);
    let mut stream = listening(&client, Era::Modern).await;
    switch(&gate, "old", "disable", json!({"tool": "echo", "seconds": 1})).await;
    hears(&mut stream, Era::Modern).await;
    wait::until("the tool to be back", || async { lists(&client, "echo").await.then_some(()) }).await;
    let (status, answer) = gate.control_with("POST", "/v1/servers/old/tools/enable", &json!({"tool": "echo"})).await;
    assert_eq!(status, 404, "{answer}");
}

#[tokio::test]
async fn a_tool_that_its_server_does_not_list_is_refused_with_the_one_that_may_be_meant() {
    let (_three, gate) = start().await;
    let off = |tool: &str| json!({"tool": tool, "dry_run": true});
    let route = "/v1/servers/web/tools/disable";
    let (status, answer) = gate.control_with("POST", route, &off("ecoh")).await;
    assert_eq!(status, 200, "the server was not asked yet: {answer}");
    gate.control("GET", "/v1/servers/web/tools").await;
    let (status, answer) = gate.control_with("POST", route, &off("ecoh")).await;
    assert_eq!((status, &answer["remedy"]), (404, &json!("Did you mean echo?")), "{answer}");
    let limit = json!({"tool": "web/ecoh", "value": "1/s", "seconds": 9, "dry_run": true});
    let (status, answer) = gate.control_with("POST", "/v1/limits", &limit).await;
    assert_eq!((status, &answer["field"]), (404, &json!("tool")), "{answer}");
    assert_eq!(gate.control_with("POST", route, &off("echo")).await.0, 200);
    let purge = json!({"client": "key:nobody"});
    let (status, answer) = gate.control_with("POST", "/v1/servers/web/queue/purge", &purge).await;
    assert_eq!((status, &answer["field"]), (404, &json!("client")), "{answer}");
}
