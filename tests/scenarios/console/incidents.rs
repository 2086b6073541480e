//! Incidents, from what is first seen to what mends them.

use serde_json::json;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::three::Three;
use toolgate_tests::wait;

use crate::screen::Screen;
use crate::{load, recorded, said};

#[tokio::test]
async fn an_agent_in_a_loop_is_found_and_suspended_with_words_and_let_go_on() {
    let (_three, setup) = Three::start("").await;
    let gate = setup.start().await;
    let calls = load(Caller::modern(&gate, "/mcp/web"), "echo");
    let screen = Screen::open(&gate).await;
    // Who calls most is the first row, with what it calls.
    screen.press(&["6"]).until("web/echo").await.keep("loop_found");
    // A limit for this client and this tool, both of which are written already, that ends by itself.
    screen.press(&["L"]).until("Set a limit for client").await;
    screen
        .press(&["Enter", "C-u", "3/min", "Enter", "Slow down.", "Enter", "Enter", "Enter"])
        .until("3/min holds")
        .await;
    screen.keep("loop_limit").press(&["y"]).until("for 10m 0s.").await;
    recorded(&gate, "limit.add", "", None).await;
    let refused = wait::until("the limit to refuse", || async {
        let said = Caller::modern(&gate, "/mcp/web").call("6", "echo", json!({})).await.answer().await;
        said.get("error").is_some().then_some(said)
    })
    .await;
    assert!(refused["error"]["message"].as_str().is_some_and(|said| said.starts_with("Slow down.")), "{refused}");
    screen.press(&["5"]).until("stands in     temporary").await.press(&["R"]).until("3/min ends").await.press(&["y"]);
    wait::until("the limit to be gone", || async {
        said(&gate, "/v1/limits").await["limits"].as_array().is_some_and(Vec::is_empty).then_some(())
    })
    .await;
    screen.press(&["6"]).until("web/echo").await;
    screen.press(&["D", "Stop, and ask your user.", "Enter", "Enter", "it loops", "Enter"]);
    screen.until("Type key:test to do it").await.keep("loop_suspend");
    screen.press(&["key:test", "Enter"]).until("is suspended").await;
    recorded(&gate, "client.suspend", "key:test", Some("it loops")).await;
    calls.abort();
    let client = Caller::modern(&gate, "/mcp/web");
    let refused = client.call("6", "echo", json!({})).await.answer().await;
    assert!(refused["error"]["message"].as_str().is_some_and(|said| said.starts_with("Stop, and ask")), "{refused}");
    screen.until("test           suspended").await.press(&["R"]).until("would be answered again").await.press(&["y"]);
    screen.until("is answered again").await;
    let answer = client.call("7", "echo", json!({})).await.answer().await;
    assert!(answer.get("result").is_some(), "{answer}");
    assert_eq!(said(&gate, "/v1/clients").await["clients"][0]["suspended"], json!(null));
}

#[tokio::test]
async fn a_server_that_is_gone_is_an_alert_that_leads_to_its_cause() {
    let (three, setup) = Three::start("").await;
    let gate =
        setup.server("away", "endpoints = [\"http://127.0.0.1:9/mcp\"]\nhealth = { interval = \"1s\" }").start().await;
    let screen = Screen::open(&gate).await;
    screen.press(&["2", "/", "server=away", "Enter"]).until("down").await;
    screen.press(&["i"]).until("last check").await.keep("gone");
    screen.press(&["q", "1"]).until("Servers to look at").await;
    screen.press(&["Enter"]).until("(Esc goes back)").await;
    drop(three);
}
