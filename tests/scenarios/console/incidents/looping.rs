//! An agent calls a paid tool in a loop.

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::three::Three;
use toolgate_tests::gate::Gate;
use toolgate_tests::wait;

use crate::screen::Screen;
use crate::{load, queue, recorded, said};

#[tokio::test]
async fn an_agent_in_a_loop_is_found_limited_taken_from_the_queue_suspended_with_words_and_let_go_on() {
    let (_three, setup) = Three::start("max_calls = 2\nqueue = { timeout = \"60s\" }\n").await;
    let gate = setup.start().await;
    let calls = load(Caller::modern(&gate, "/mcp/web"), "echo");
    let screen = Screen::open(&gate).await;
    // Who calls most is the first row, with what it calls.
    screen.press(&["6"]).until("key:test").await.until("web/echo").await.keep("loop_found");
    limited_for_a_time(&gate, &screen).await;
    calls.abort();
    purged(&gate, &screen).await;
    let calls = load(Caller::modern(&gate, "/mcp/web"), "echo");
    suspended(&gate, &screen).await;
    calls.abort();
}

/// A limit for this client and this tool, both of which are written already, that ends by itself, or at once.
async fn limited_for_a_time(gate: &Gate, screen: &Screen) {
    screen.press(&["L"]).until("Set a limit for client").await;
    screen
        .press(&["Enter", "C-u", "3/min", "Enter", "Slow down.", "Enter", "Enter", "Enter"])
        .until("No more than 3/min of its calls of web/echo would pass")
        .await;
    screen.keep("loop_limit").press(&["y"]).until_gone("Set a limit for client").await;
    recorded(gate, "limit.add", "", None).await;
    let refused = wait::until("the limit to refuse", || async {
        let said = Caller::modern(gate, "/mcp/web").call("6", "echo", json!({})).await.answer().await;
        said.get("error").is_some().then_some(said)
    })
    .await;
    assert!(refused["error"]["message"].as_str().is_some_and(|said| said.starts_with("Slow down.")), "{refused}");
    screen.press(&["5"]).until("stands in     temporary").await.press(&["R"]).until("3/min ends").await.press(&["y"]);
    wait::until("the limit to be gone", || async {
        said(gate, "/v1/limits").await["limits"].as_array().is_some_and(Vec::is_empty).then_some(())
    })
    .await;
}

/// Its calls that wait are taken out, and those that run go on.
async fn purged(gate: &Gate, screen: &Screen) {
    let folder = tempfile::tempdir().expect("a folder");
    let go = folder.path().join("go");
    let held: Vec<JoinHandle<Value>> = (0..5)
        .map(|_| {
            let (client, until) = (Caller::modern(gate, "/mcp/web"), json!({ "until": go }));
            tokio::spawn(async move { client.call("7", "hold", until).await.answer().await })
        })
        .collect();
    wait::until("three to wait", || async { (queue(gate, "web").await["waiting"] == 3).then_some(()) }).await;
    screen.press(&["2", "/", "server=web", "Enter"]).until("server=web").await.until("3/1.0k").await;
    screen.press(&["i"]).until("3 of key:test").await.press(&["q", "P"]).until("only calls of this client").await;
    screen.press(&["key:test", "Enter", "a loop", "Enter"]).until("3 calls would leave the queue of web.").await;
    screen.keep("loop_purge").press(&["y"]).until("3 calls left the queue of web.").await;
    recorded(gate, "queue.purge", "web/key:test", Some("a loop")).await;
    assert_eq!(queue(gate, "web").await["waiting"], 0);
    std::fs::write(&go, "").expect("a file");
    let (mut purged, mut went_on) = (0, 0);
    for call in held {
        let answer = call.await.expect("no panic");
        let said = answer["error"]["message"].as_str().unwrap_or_default();
        purged += usize::from(said.contains("taken your call out of the queue"));
        went_on += usize::from(answer.get("result").is_some());
    }
    assert_eq!((purged, went_on), (3, 2));
}

async fn suspended(gate: &Gate, screen: &Screen) {
    screen.press(&["6"]).until("key:test").await.until("web/echo").await;
    screen.press(&["D", "Stop, and ask your user.", "Enter", "Enter", "it loops", "Enter"]);
    screen.until("Type key:test to do it").await.keep("loop_suspend");
    screen.press(&["key:test", "Enter"]).until("is suspended").await;
    recorded(gate, "client.suspend", "key:test", Some("it loops")).await;
    let client = Caller::modern(gate, "/mcp/web");
    let refused = client.call("6", "echo", json!({})).await.answer().await;
    assert!(refused["error"]["message"].as_str().is_some_and(|said| said.starts_with("Stop, and ask")), "{refused}");
    screen.until("suspended     by ").await.press(&["R"]).until("would be answered again").await.press(&["y"]);
    screen.until("is answered again").await;
    let answer = client.call("7", "echo", json!({})).await.answer().await;
    assert!(answer.get("result").is_some(), "{answer}");
    assert_eq!(said(gate, "/v1/clients").await["clients"][0]["suspended"], json!(null));
}
