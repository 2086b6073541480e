//! A client that goes round in circles, as it meets the gate and as the server sees it.

use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::Setup;

const LOOPS: &str =
    "[loops]\nwarn = 3\nslow = 4\nrefuse = 5\nwindow = \"1h\"\ndelay = \"50ms\"\nexcept = [\"web/fa*\"]\n";

async fn call(client: &Caller, tool: &str, arguments: Value) -> Value {
    client.call("9", tool, arguments).await.answer().await
}

#[tokio::test]
async fn a_loop_is_warned_then_slowed_then_refused() {
    let web = Http::start(Speaks::Both).await;
    let gate = Setup::default().server("web", &web.endpoints()).table(LOOPS).start().await;
    for client in [Caller::legacy(&gate, "/mcp/web").await, Caller::modern(&gate, "/mcp/web")] {
        let client = client.clone();
        for tool in ["echo", "progress"] {
            let arguments = json!({"era": client.session.is_some(), "tool": tool});
            let before = web.record.of("tools/call").len();
            let mut answers = Vec::new();
            for _ in 0..6 {
                answers.push(call(&client, tool, arguments.clone()).await);
            }
            let warned = |index: usize| &answers[index]["result"]["_meta"]["toolgate/loop"];
            assert!(warned(0).is_null() && warned(1).is_null(), "{tool}: {answers:?}");
            assert_eq!((&warned(2)["calls"], &warned(2)["slowed"]), (&json!(3), &json!(false)), "{tool}: {answers:?}");
            assert_eq!((&warned(3)["calls"], &warned(3)["slowed"]), (&json!(4), &json!(true)), "{tool}");
            for refused in &answers[4..] {
                let error = &refused["error"];
                assert_eq!((&error["code"], &error["data"]["limit"]), (&json!(-31429), &json!("loops")), "{tool}");
                assert!(
                    error["message"].as_str().is_some_and(|words| words.contains("tell your user that you are stuck"))
                );
            }
            assert_eq!(web.record.of("tools/call").len(), before + 4, "{tool}");
            // Another question is another question.
            assert!(
                call(&client, tool, json!({"other": tool, "era": client.session.is_some()})).await["error"].is_null()
            );
        }
        for _ in 0..8 {
            let polled = call(&client, "fail", json!({})).await;
            assert!(polled["error"].is_null() && polled["result"]["_meta"].is_null(), "{polled}");
        }
    }
}

#[tokio::test]
async fn what_was_noted_outlives_a_reload() {
    let web = Http::start(Speaks::Both).await;
    let server = web.endpoints();
    let with = move |loops: &str| Setup::default().server("web", &server).table(loops);
    let mut gate = with("[loops]\nrefuse = 4\n").start().await;
    let client = Caller::modern(&gate, "/mcp/web");
    for _ in 0..3 {
        assert!(call(&client, "echo", json!({})).await["error"].is_null());
    }
    gate.change(|_| with("[loops]\nwarn = 2\nrefuse = 5\n"));
    gate.reload().await;
    assert_eq!(call(&client, "echo", json!({})).await["result"]["_meta"]["toolgate/loop"]["calls"], 4);
    assert!(call(&client, "echo", json!({})).await["error"].is_object());
    gate.change(|_| with(""));
    gate.reload().await;
    assert!(call(&client, "echo", json!({})).await["error"].is_null());
}
