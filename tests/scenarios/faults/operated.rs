//! What operators do to endpoints and breakers by hand, over the admin socket and with `toolgate`.

use std::process::Command;

use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::gate::{Gate, program};
use toolgate_tests::wait;

use crate::stage::{Stage, Two, call, is_refused};

/// Where a session's calls go.
async fn home(two: &Two, client: &Caller) -> usize {
    let before = two.shares();
    assert!(call(client).await.get("result").is_some());
    usize::from(two.shares()[0] == before[0])
}

/// `toolgate` at a prompt.
async fn toolgate(gate: &Gate, words: &[&str]) -> String {
    let mut command = Command::new(program("toolgate"));
    command.arg("--socket-dir").arg(gate.runtime_dir()).args(words);
    let said = tokio::task::spawn_blocking(move || command.output()).await.expect("a thread").expect("toolgate");
    assert!(said.status.success(), "{words:?}: {}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8_lossy(&said.stdout).into_owned()
}

#[tokio::test]
async fn a_drained_endpoint_keeps_its_sessions_and_gets_no_new_ones() {
    let mut two = Two::start(Speaks::Both, [1, 1], "").await;
    let staying = Caller::legacy(&two.gate, "/mcp/two").await;
    let drained = home(&two, &staying).await;
    let (status, outcome) = two
        .gate
        .control_with("POST", "/v1/servers/two/drain", &json!({"endpoint": two.url(drained), "dry_run": true}))
        .await;
    assert_eq!((status, &outcome["applied"], &outcome["left"]), (200, &json!(false), &json!(1)), "{outcome}");
    assert_eq!(outcome["endpoints"][0]["sessions"], 1, "{outcome}");
    let said = toolgate(&two.gate, &["server", "drain", "two", "--endpoint", &two.url(drained)]).await;
    assert!(said.contains("get nothing new, with 1 sessions"), "{said}");
    // A reload that changes other things does not undo it.
    two.gate.change(|setup| setup.daemon("lame_duck = \"0s\""));
    two.gate.reload().await;
    for _ in 0..8 {
        assert_ne!(home(&two, &Caller::legacy(&two.gate, "/mcp/two").await).await, drained);
        assert_ne!(home(&two, &Caller::modern(&two.gate, "/mcp/two")).await, drained);
    }
    assert_eq!(home(&two, &staying).await, drained);
    let shown = toolgate(&two.gate, &["server", "show", "two"]).await;
    assert!(shown.contains("drain") && shown.contains("is being drained"), "{shown}");
    toolgate(&two.gate, &["server", "resume", "two"]).await;
    wait::until("calls at the endpoint that serves again", || async {
        (home(&two, &Caller::modern(&two.gate, "/mcp/two")).await == drained).then_some(())
    })
    .await;
}

#[tokio::test]
async fn maintenance_ends_sessions_at_its_deadline_and_tells_the_server() {
    let two = Two::start(Speaks::Both, [1, 1], "").await;
    let client = Caller::legacy(&two.gate, "/mcp/two").await;
    let at = home(&two, &client).await;
    let request = json!({"endpoint": two.url(at), "deadline_ms": 200, "reason": "disks"});
    let (status, outcome) = two.gate.control_with("POST", "/v1/servers/two/maintenance", &request).await;
    assert_eq!((status, &outcome["mode"], &outcome["deadline_ms"]), (200, &json!("maintenance"), &json!(200)));
    wait::until("the end of the session", || async {
        (client.call("1", "echo", json!({})).await.head.status == 404).then_some(())
    })
    .await;
    let told = |said: &toolgate_tests::fake::record::Received| said.message["http"] == "DELETE";
    wait::until("the end at the server", || async { two.behind[at].record.all().iter().any(told).then_some(()) }).await;
    let next = Caller::legacy(&two.gate, "/mcp/two").await;
    assert_ne!(home(&two, &next).await, at);
}

#[tokio::test]
async fn a_deadline_that_was_taken_back_ends_nothing() {
    let two = Two::start(Speaks::Both, [1, 1], "").await;
    let client = Caller::legacy(&two.gate, "/mcp/two").await;
    let at = home(&two, &client).await;
    two.gate.control_with("POST", "/v1/servers/two/maintenance", &json!({"deadline_ms": 200})).await;
    let refused = Caller::modern(&two.gate, "/mcp/two").call("1", "echo", json!({})).await;
    let status = refused.head.status;
    assert_eq!(status, 503, "{}", refused.text().await);
    two.gate.control("POST", "/v1/servers/two/resume").await;
    // When a later deadline of the other endpoint has come, the first one has passed.
    let later = json!({"endpoint": two.url(1 - at), "deadline_ms": 400});
    two.gate.control_with("POST", "/v1/servers/two/drain", &later).await;
    wait::until("the later deadline", || async { two.gate.log().contains("sessions end").then_some(()) }).await;
    assert_eq!(home(&two, &client).await, at);
}

#[tokio::test]
async fn breakers_are_opened_and_closed_by_hand_and_stay_so_over_a_reload() {
    let mut stage = Stage::start(Speaks::Both).await;
    let client = Caller::modern(&stage.gate, "/mcp/bad");
    let breaker = async |gate: &Gate| -> Value {
        gate.control("GET", "/v1/servers/bad").await.1["endpoints"][0]["breaker"]["state"].clone()
    };
    let said = toolgate(&stage.gate, &["breaker", "open", "bad", "--confirm", "bad", "--reason", "a test"]).await;
    assert!(said.contains("refuses all calls") && said.contains("it was closed"), "{said}");
    assert!(is_refused(&call(&client).await));
    stage.gate.change(|setup| setup.daemon("lame_duck = \"0s\""));
    stage.gate.reload().await;
    assert!(is_refused(&call(&client).await));
    assert_eq!(breaker(&stage.gate).await, "forced_open");
    toolgate(&stage.gate, &["breaker", "close", "bad"]).await;
    stage.faulty.set(toolgate_tests::faulty::Fault::Fails);
    for _ in 0..6 {
        assert!(!is_refused(&call(&client).await));
    }
    toolgate(&stage.gate, &["breaker", "reset", "bad"]).await;
    for _ in 0..3 {
        assert!(!is_refused(&call(&client).await));
    }
    assert!(is_refused(&call(&client).await));
    let (status, _) = stage.gate.control("POST", "/v1/servers/nobody/drain").await;
    assert_eq!(status, 404);
}
