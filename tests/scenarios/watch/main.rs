//! Those who look: a watch of a running gate, the tail of its calls, and its past.

mod past;
mod tail;

use serde_json::{Value, json};
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::lines::Lines;
use toolgate_tests::mcp::{Client, Era};

async fn gate(server: &Http) -> Gate {
    Setup::default().server("fake", &server.endpoints()).start().await
}

async fn client(gate: &Gate, era: Era) -> Client {
    gate.aim("/mcp/fake", era).client().await.expect("a client")
}

#[tokio::test]
async fn a_watch_tells_of_calls_sessions_and_tools_and_of_what_operators_do() {
    let server = Http::start(Speaks::Both).await;
    let gate = gate(&server).await;
    let go = gate.folder().join("go");
    let topics = "overview,servers,sessions,tools,clients,calls,limits,queues,health,config";
    let mut watch = Lines::follow(&gate.runtime_dir(), &format!("/v1/watch?topics={topics}&interval=250")).await;
    let hello = watch.next().await;
    assert_eq!((&hello["type"], &hello["privilege"]), (&json!("hello"), &json!("view")));
    assert!(hello["host"].as_str().is_some_and(|host| !host.is_empty()), "{hello}");

    let mut legacy = client(&gate, Era::Legacy).await;
    let held = {
        let arguments = json!({"until": go});
        tokio::spawn(async move { legacy.call("hold", arguments).await.map(|answer| answer.succeeded()) })
    };
    let calls = watch.topic("calls", |data| data["calls"][0]["name"] == "hold").await;
    assert_eq!(calls["calls"][0]["server"], "fake", "{calls}");
    let sessions = watch.topic("sessions", |data| data["sessions"][0]["in_flight"] == 1).await;
    assert_eq!(sessions["total"], 1, "{sessions}");
    watch.topic("servers", |data| data[0]["traffic"]["in_flight"] == 1 && data[0]["in_flight"] == 1).await;
    std::fs::write(&go, "").expect("a file");
    assert!(held.await.expect("a task").expect("an answer"));
    let tools = watch.topic("tools", |data| data["tools"][0]["traffic"]["calls"] == 1).await;
    assert_eq!(tools["tools"][0]["tool"], "hold", "{tools}");
    let overview = watch.topic("overview", |data| data["traffic"]["calls"].as_u64() > Some(0)).await;
    assert_eq!(overview["status"]["servers"], json!([]), "what servers do is in their own topic");
    assert!(overview["saturation"].as_array().is_some_and(|all| !all.is_empty()), "{overview}");

    let (status, answer) = gate.control("POST", "/v1/servers/fake/drain").await;
    assert_eq!(status, 200, "{answer}");
    watch.topic("servers", |data| data[0]["endpoints"][0]["mode"] == "drain").await;
}

#[tokio::test]
async fn long_tables_are_sorted_filtered_and_cut_by_the_daemon() {
    let server = Http::start(Speaks::Both).await;
    let gate = gate(&server).await;
    let mut modern = client(&gate, Era::Modern).await;
    for (tool, times) in [("echo", 1), ("alpha", 3), ("beta", 2)] {
        for _ in 0..times {
            modern.call(tool, json!({})).await.expect("an answer");
        }
    }
    let names = |data: &Value| -> Vec<String> {
        let rows = data["tools"].as_array().expect("rows");
        rows.iter().map(|row| row["tool"].as_str().expect("a name").to_owned()).collect()
    };
    let query = "/v1/watch?topics=tools&interval=250&tools.sort=calls&tools.descending=true&tools.limit=2";
    let mut watch = Lines::follow(&gate.runtime_dir(), query).await;
    let tools = watch.topic("tools", |_| true).await;
    assert_eq!((names(&tools), &tools["total"]), (vec!["alpha".to_owned(), "beta".to_owned()], &json!(3)));
    let query = "/v1/watch?topics=tools&interval=250&tools.sort=tool&tools.filter=a%20!alpha";
    let mut watch = Lines::follow(&gate.runtime_dir(), query).await;
    assert_eq!(names(&watch.topic("tools", |_| true).await), ["beta", "echo"], "each has an a: of fake");
}
