//! What calls add up to: by tool, by client, by server.

use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::mcp::Era;
use toolgate_tests::wait;

use crate::stage::Stage;

/// Ways to a server, the last two with a session.
const WAYS: [(&str, Era, &str); 5] = [
    ("/mcp/web", Era::Modern, "web"),
    ("/mcp/new", Era::Modern, "new"),
    ("/mcp/old", Era::Modern, "old"),
    ("/mcp/web", Era::Legacy, "web"),
    ("/mcp/old", Era::Legacy, "old"),
];

async fn client(stage: &Stage, path: &str, era: Era) -> Caller {
    let client = Caller::new(&stage.gate, path, era);
    if era == Era::Legacy { client.opened().await } else { client }
}

async fn tool(stage: &Stage, server: &str, name: &str) -> Value {
    let tools = stage.get("/v1/tools").await;
    let rows = tools["tools"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["server"] == server && row["tool"] == name);
    row.unwrap_or_else(|| panic!("no {server}/{name}: {tools}")).clone()
}

/// A call is counted when its answer has left, which may be after its client has it.
async fn all_counted(stage: &Stage, wanted: u64) {
    let counted = async || {
        let tools = stage.get("/v1/tools").await;
        let calls = tools["tools"].as_array().into_iter().flatten().filter_map(|row| row["traffic"]["calls"].as_u64());
        (calls.sum::<u64>() == wanted).then_some(())
    };
    wait::until("all calls to be counted", counted).await;
}

#[tokio::test]
async fn answers_errors_and_tool_errors_are_told_apart_on_every_way() {
    for (path, era, server) in WAYS {
        let stage = Stage::new().await;
        let client = client(&stage, path, era).await;
        for (id, name) in ["echo", "echo", "echo", "fail", "error"].into_iter().enumerate() {
            client.call(&format!("{}", id + 1), name, json!({})).await.answer().await;
        }
        all_counted(&stage, 5).await;
        let echo = tool(&stage, server, "echo").await;
        let counts = |row: &Value| ["calls", "errors", "refused"].map(|field| row["traffic"][field].as_u64());
        assert_eq!(counts(&echo), [Some(3), Some(0), Some(0)], "{path} {era:?}: {echo}");
        assert!(echo["largest"].as_u64() > Some(0), "{echo}");
        assert_eq!(echo["callers"], json!([{"client": "key:test", "calls": 3}]), "{echo}");
        assert!(echo["traffic"]["latency"]["max_us"].as_u64() > Some(0), "{echo}");
        assert!(echo["traffic"]["calls_per_second"].as_f64() > Some(0.0), "{echo}");
        // No call of them went well, so nothing says that they exist.
        let other = tool(&stage, server, "_other").await;
        assert_eq!(counts(&other), [Some(2), Some(2), Some(0)], "{path} {era:?}: {other}");
        let row = stage.row("clients", "key:test").await;
        assert_eq!(row["traffic"]["errors"], 2, "{row}");
        assert_eq!(row["busiest"], json!({"tool": format!("{server}/echo"), "calls_last_minute": 3}), "{row}");
        assert!(row["last_seen_ms"].as_u64() > Some(0), "{row}");
    }
}

#[tokio::test]
async fn refusals_are_no_errors_and_have_no_latency() {
    let stage = Stage::with(|setup| setup.limit("{ per = \"client\", rate = \"2/h\" }"), "").await;
    let client = Caller::modern(&stage.gate, "/mcp/web");
    for id in 1..=5 {
        client.call(&id.to_string(), "echo", json!({})).await.answer().await;
    }
    let stranger = Caller::modern(&stage.gate, "/mcp/web").with("Authorization", "Bearer tg_nobody_nothing");
    assert_eq!(stranger.call("1", "echo", json!({})).await.head.status, 401);
    all_counted(&stage, 5).await;
    let row = tool(&stage, "web", "echo").await;
    assert_eq!(row["traffic"]["refused"], 3, "{row}");
    assert_eq!(row["traffic"]["errors"], 0, "{row}");
    let (status, unknown) = stage.gate.control("GET", "/v1/clients?filter=nobody").await;
    assert_eq!((status, &unknown["total"]), (200, &json!(0)), "whoever is not identified is no client");
    let log = stage.gate.log();
    assert_eq!(log.lines().filter(|line| line.contains("\"refused\"") && line.contains("limited")).count(), 3, "{log}");
}

#[tokio::test]
async fn names_that_clients_make_up_make_no_rows() {
    let stage = Stage::new().await;
    let client = Caller::modern(&stage.gate, "/mcp/web");
    client.call("0", "echo", json!({})).await.answer().await;
    for id in 1..=50 {
        client.call(&id.to_string(), "error", json!({})).await.answer().await;
        let method = format!("made/up{id}");
        client.request(&id.to_string(), &method, json!({})).await.answer().await;
    }
    assert_eq!(stage.get("/v1/tools").await["total"], 2);
    let client = stage.row("clients", "key:test").await;
    assert_eq!(client["traffic"]["calls"], 101, "{client}");
}

#[tokio::test]
async fn all_keys_are_clients_also_those_that_never_called() {
    let stage = Stage::new().await;
    let other = stage.row("clients", "key:other").await;
    assert_eq!((&other["owner"], &other["traffic"]["calls"]), (&json!("other"), &json!(0)), "{other}");
    assert_eq!(other.get("last_seen_ms"), None, "{other}");
}
