//! Incidents, from what is first seen to what mends them.

use serde_json::json;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::three::Three;

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
    screen.press(&["Escape", "Escape", "1"]).until("Servers to look at").await;
    screen.press(&["Enter"]).until("(Esc goes back)").await;
    drop(three);
}
