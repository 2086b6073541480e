//! One call, from the console's point of view.

use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::wait;

use crate::stage::Stage;

#[tokio::test]
async fn a_call_is_seen_in_flight_with_its_stage_and_afterwards_with_its_phases() {
    let stage = Stage::new().await;
    for path in ["/mcp/web", "/mcp/new", "/mcp/duo"] {
        let go = stage.go();
        drop(std::fs::remove_file(&go));
        let tool = if path == "/mcp/duo" { "web__hold" } else { "hold" };
        let server = if path == "/mcp/new" { "new" } else { "web" };
        let client = Caller::modern(&stage.gate, path);
        let held = tokio::spawn({
            let go = go.clone();
            async move { client.call("1", tool, json!({"until": go})).await }
        });
        let call = stage
            .until("the call to be at its server", "/v1/calls?filter=hold", |calls| {
                Some(calls["calls"][0].clone()).filter(|call| call["stage"] == "server")
            })
            .await;
        assert_eq!(
            (&call["server"], &call["name"], &call["client"]),
            (&json!(server), &json!("hold"), &json!("key:test"))
        );
        let path_of_call = format!("/v1/calls/{}", call["id"].as_str().expect("an id"));
        assert_eq!(stage.get(&path_of_call).await["state"], "in_flight", "{path}");
        std::fs::write(&go, "").expect("a file");
        let reply = held.await.expect("a caller");
        let id = reply.head.header("x-request-id").expect("an id").to_owned();
        assert_eq!(call["id"], json!(id), "the answer names the call");
        drop(reply.answer().await);
        let ended = stage
            .until("the call to have ended", &path_of_call, |life| {
                Some(life.clone()).filter(|life| life["state"] == "ended")
            })
            .await;
        assert_eq!(
            (&ended["outcome"], &ended["status"], &ended["server"]),
            (&json!("ok"), &json!(200), &json!(server)),
            "{ended}"
        );
        let us = |field: &str| ended[field].as_u64().unwrap_or_else(|| panic!("{field}: {ended}"));
        let phases: u64 = ["read_us", "queue_us", "connect_us", "first_byte_us", "stream_us"].into_iter().map(us).sum();
        assert!(phases <= us("total_us") && us("first_byte_us") > 0, "{ended}");
        assert!(us("bytes_in") > 0 && us("bytes_out") > 0, "{ended}");
    }
    assert_eq!(stage.get("/v1/calls").await["total"], 0);
}

#[tokio::test]
async fn a_call_that_waits_is_in_the_queue_and_its_time_there_is_told() {
    let stage = Stage::with(|setup| setup, "max_calls = 1\n").await;
    let go = stage.go();
    let hold = || {
        let (client, go) = (Caller::modern(&stage.gate, "/mcp/web"), go.clone());
        tokio::spawn(async move { client.call("1", "hold", json!({"until": go})).await.answer().await })
    };
    let first = hold();
    stage.web.record.until_called("hold").await;
    let second = hold();
    let waiting = stage
        .until("a call to wait", "/v1/calls?filter=queue", |calls| calls["calls"][0]["id"].as_str().map(str::to_owned))
        .await;
    std::fs::write(&go, "").expect("a file");
    for held in [first, second] {
        assert!(held.await.expect("a caller")["result"].is_object());
    }
    let life = stage
        .until("the call to have ended", &format!("/v1/calls/{waiting}"), |life| {
            Some(life.clone()).filter(|life| life["state"] == "ended")
        })
        .await;
    assert!(life["queue_us"].as_u64() > Some(0), "{life}");
    let told = wait::until("an access line", || async {
        let log = stage.gate.log();
        log.lines().find(|text| text.contains(&waiting) && text.contains("queue_us")).map(str::to_owned)
    })
    .await;
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert!(told.to_string().contains("\"stream_us\""), "{told}");
}

#[tokio::test]
async fn what_nobody_knows_is_said_so() {
    let stage = Stage::new().await;
    for (path, status) in [
        ("/v1/calls/00000000000000000000", 404),
        ("/v1/sessions/0000000000000000", 404),
        ("/v1/tools?sort=colour", 400),
        ("/v1/clients?limit=all", 400),
        ("/v1/calls?sort=age&sort=age", 400),
    ] {
        let (answered, error) = stage.gate.control("GET", path).await;
        assert_eq!(answered, status, "{path}: {error}");
        assert!(error["error"]["message"].is_string() || error["message"].is_string(), "{error}");
    }
}
