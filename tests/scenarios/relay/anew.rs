//! Servers that are not any more what the gate took them for: other tools, another version, gone.

use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::fake::record::{ID, Offer};
use toolgate_tests::fake::stdio::Stdio;
use toolgate_tests::gate::Setup;
use toolgate_tests::wait::until;

/// A tool's schema whose argument `region` is mirrored into a header.
fn mirrored() -> Value {
    json!({"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}})
}

fn offer(schema: Value) -> Offer {
    Offer { names: vec!["told".to_owned(), "echo".to_owned()], schema, ..Offer::default() }
}

#[tokio::test]
async fn what_a_tool_wanted_once_is_not_held_against_a_modern_client() {
    let (web, pipe) = (Http::start(Speaks::Legacy).await, Stdio::new(Speaks::Legacy));
    let gate = Setup::default().server("web", &web.endpoints()).server("pipe", &pipe.command()).start().await;
    for (path, record) in [("/mcp/web", &web.record), ("/mcp/pipe", &pipe.record)] {
        let client = Caller::modern(&gate, path);
        let call = async || client.call("1", "echo", json!({"region": "eu"})).await.answer().await;
        record.offer(&offer(mirrored()));
        assert_eq!(call().await["error"]["code"], -32020, "{path}");
        record.offer(&offer(Value::Null));
        // The server says nothing of it.
        until("the call to be served", async || call().await.get("result").cloned()).await;
    }
}

#[tokio::test]
async fn what_a_modern_server_s_tool_wants_by_now_is_found_out_when_it_refuses() {
    let web = Http::start(Speaks::Modern).await;
    let gate = Setup::default().server("web", &web.endpoints()).start().await;
    let (client, record) = (Caller::legacy(&gate, "/mcp/web").await, &web.record);
    record.offer(&offer(Value::Null));
    record.tell("application/json", &format!(r#"{{"jsonrpc":"2.0","id":{ID},"result":{{"content":[]}}}}"#));
    let call = async || client.call("1", "told", json!({"region": "eu"})).await.answer().await;
    assert!(call().await["result"].is_object());
    record.offer(&offer(mirrored()));
    let refusal = r#""error":{"code":-32020,"message":"Header mismatch"}"#;
    record.tell("application/json", &format!(r#"{{"jsonrpc":"2.0","id":{ID},{refusal}}}"#));
    until("the header", async || {
        record.clear();
        assert!(call().await["error"]["code"].is_i64(), "what the server says in the end is for the client");
        let called = record.of("tools/call");
        called.last().filter(|last| called.len() == 2 && last.headers["mcp-param-region"] == "eu").map(drop)
    })
    .await;
}

#[tokio::test]
async fn a_new_instance_of_another_version_ends_the_one_that_lists_come_from() {
    let old = Stdio::new(Speaks::Legacy);
    let gate = Setup::default().server("old", &old.command()).start().await;
    let lists = async || {
        let answer = Caller::modern(&gate, "/mcp/old").request("1", "tools/list", json!({})).await.answer().await;
        assert!(answer["result"]["tools"].is_array(), "{answer}");
        old.record.of("tools/list").pop().expect("a list").who
    };
    let first = lists().await;
    let mut session = Caller::legacy(&gate, "/mcp/old").await;
    session.call("1", "echo", json!({})).await.answer().await;
    assert_eq!(lists().await, first, "it is the same program");
    let names = vec!["fresh".to_owned()];
    old.record.offer(&Offer { names, version: Some("2".to_owned()), ..Offer::default() });
    session = Caller::legacy(&gate, "/mcp/old").await;
    session.call("2", "echo", json!({})).await.answer().await;
    let second = lists().await;
    assert_ne!(second, first);
    // What calls itself otherwise at each start is not replaced for each of them.
    let names = vec!["fresher".to_owned()];
    old.record.offer(&Offer { names, version: Some("3".to_owned()), ..Offer::default() });
    for _ in 0..3 {
        session = Caller::legacy(&gate, "/mcp/old").await;
        session.call("3", "echo", json!({})).await.answer().await;
        assert_eq!(lists().await, second);
    }
    old.record.until("its end", |received| received.who == first && received.message["closed"] == true).await;
}

#[tokio::test]
async fn endpoints_of_two_versions_are_one_server() {
    let (one, two) = (Http::start(Speaks::Legacy).await, Http::start(Speaks::Legacy).await);
    two.record.offer(&Offer { names: vec!["echo".to_owned()], version: Some("2".to_owned()), ..Offer::default() });
    let urls = [one.endpoints(), two.endpoints()].map(|line| line.split('"').nth(1).expect("a URL").to_owned());
    let setup = Setup::default().server("web", &format!("endpoints = {urls:?}\n"));
    let gate = setup.server("pipe", &Stdio::new(Speaks::Legacy).command()).start().await;
    let greeted = || one.record.of("initialize").len() + two.record.of("initialize").len();
    let mut before = None;
    for _ in 0..8 {
        let session = Caller::legacy(&gate, "/mcp").await;
        let list = session.request("1", "tools/list", json!({})).await.answer().await;
        assert!(list["result"]["tools"].is_array(), "{list}");
        before.get_or_insert_with(greeted);
        let call = session.call("2", "web__echo", json!({})).await.answer().await;
        assert!(call["result"].is_object(), "{call}");
    }
    let opened = greeted() - before.expect("a count");
    assert_eq!(opened, 8, "the sessions' own, and none for what is known");
    assert!(!gate.log().contains("program of a server has changed"), "{}", gate.log());
}

#[tokio::test]
async fn a_server_that_a_reload_changed_hears_of_the_end_of_sessions_that_were_held_there() {
    let web = Http::start(Speaks::Legacy).await;
    let mut gate = Setup::default().server("web", &web.endpoints()).start().await;
    let client = Caller::modern(&gate, "/mcp/web");
    assert_eq!(client.call("1", "echo", json!({})).await.answer().await["id"], 1);
    let session = web.record.of("tools/call").pop().expect("a call").who;
    let lines = format!("{}timeout = {{ connect = \"9s\" }}\n", web.endpoints());
    gate.change(|setup| setup.server("web", &lines));
    gate.reload().await;
    web.record.until("DELETE", |received| received.message["http"] == "DELETE" && received.who == session).await;
    assert_eq!(client.call("2", "echo", json!({})).await.answer().await["id"], 2, "in another one");
}
