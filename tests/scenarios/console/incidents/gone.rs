//! A server is gone.

use toolgate_tests::fake::three::Three;

use crate::screen::Screen;

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
