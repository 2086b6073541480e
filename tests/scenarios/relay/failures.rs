//! Servers that are down, hang, die or talk nonsense, and calls that find no room.

use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::gate::Gate;
use toolgate_tests::http::request;
use toolgate_tests::mcp::Era;
use toolgate_tests::wait;

use crate::stage::{LEGACY, MODERN, Stage, stage};

async fn health(gate: &Gate) -> Value {
    let mut connection = gate.target().connect().await.expect("a connection");
    let raw = request("GET", "/health", &gate.target().host, &[], b"");
    let (_, body) = connection.exchange(&raw).await.expect("an answer");
    serde_json::from_slice(&body).expect("JSON")
}

/// Every path of both eras, with a client for it.
async fn everywhere(stage: &Stage) -> Vec<(Caller, &'static str, Era, &'static str)> {
    let mut all = Vec::new();
    for (path, prefix) in LEGACY {
        all.push((stage.legacy(path).await, prefix, Era::Legacy, path));
    }
    all.extend(MODERN.map(|(path, prefix)| (stage.modern(path), prefix, Era::Modern, path)));
    all
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_and_the_call_cancelled() {
    let stage =
        Stage::with(|setup| setup, "timeout.first_byte = \"30s\"\ntool.silent.timeout.first_byte = \"1s\"\n").await;
    let mut calls = Vec::new();
    for (client, prefix, era, path) in everywhere(&stage).await {
        calls.push(tokio::spawn(async move {
            let reply = client.call("1", &format!("{prefix}silent"), json!({})).await;
            assert_eq!(reply.head.status, if era == Era::Legacy { 200 } else { 504 }, "{path} {prefix} {era:?}");
            let answer = reply.answer().await;
            assert_eq!(
                (&answer["id"], &answer["error"]["code"]),
                (&json!(1), &json!(-31504)),
                "{path} {prefix} {era:?}"
            );
            let next = client.call("2", &format!("{prefix}echo"), json!({})).await.answer().await;
            assert!(next.get("result").is_some(), "{path} {prefix} {era:?}: {next}");
        }));
    }
    for call in calls {
        call.await.expect("as described");
    }
    for record in [&stage.old.record, &stage.new.record] {
        for called in record.of("tools/call").iter().filter(|called| called.message["params"]["name"] == "silent") {
            record
                .until("the cancellation", |received| {
                    received.who == called.who
                        && received.message["method"] == "notifications/cancelled"
                        && received.message["params"]["requestId"] == called.message["id"]
                })
                .await;
        }
    }
}

#[tokio::test]
async fn a_server_that_dies_in_a_call_costs_its_pending_calls_which_are_told_why() {
    let stage = stage().await;
    let folder = tempfile::tempdir().expect("a folder");
    let client = stage.legacy("/mcp/old").await;
    let arguments = json!({"until": folder.path().join("never")});
    let mut held = Vec::new();
    for id in ["1", "2"] {
        let mut reply = client.call_with_progress(id, id, "hold", arguments.clone()).await;
        reply.message().await;
        held.push(reply);
    }
    let killer = client.call("3", "exit", json!({})).await.answer().await;
    let mut answers = vec![killer];
    for reply in held {
        answers.push(reply.answer().await);
    }
    let ids: Vec<_> = answers.iter().map(|answer| answer["id"].clone()).collect();
    assert_eq!(ids, [3, 1, 2]);
    for answer in answers {
        assert_eq!(answer["error"]["code"], -31503, "{answer}");
        let told = answer["error"]["message"].as_str().expect("a message");
        assert!(told.contains("status 3") && told.contains("effect is unknown"), "{told}");
    }
    // The session goes on with a fresh instance, once the pause after a crash is over.
    wait::until("the next instance", || async {
        client.call("4", "echo", json!({})).await.answer().await.get("result").cloned()
    })
    .await;
}

#[tokio::test]
async fn a_server_over_http_that_breaks_off_is_told_of() {
    let stage = stage().await;
    for (client, prefix, _, path) in
        everywhere(&stage).await.into_iter().filter(|(_, prefix, _, path)| *path == "/mcp/web" || *prefix == "web__")
    {
        if path != "/mcp/web" {
            let answer = client.call_with_progress("1", "1", &format!("{prefix}cut"), json!({})).await.answer().await;
            assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(1), &json!(-31502)), "{path}: {answer}");
        }
        let answer = client.call("2", &format!("{prefix}exit"), json!({})).await.answer().await;
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(2), &json!(-31503)), "{path}: {answer}");
        let next = client.call("3", &format!("{prefix}echo"), json!({})).await.answer().await;
        assert!(next.get("result").is_some(), "{path}: {next}");
    }
}

#[tokio::test]
async fn nonsense_on_stdout_costs_nothing() {
    let stage = stage().await;
    for (client, prefix, era, path) in
        everywhere(&stage).await.into_iter().filter(|(_, prefix, _, path)| *path != "/mcp/web" && *prefix != "web__")
    {
        let answer = client.call("1", &format!("{prefix}garbage"), json!({})).await.answer().await;
        assert!(answer.get("result").is_some(), "{path} {prefix} {era:?}: {answer}");
    }
}

#[tokio::test]
async fn a_line_that_is_too_long_costs_its_own_call_only() {
    let web = toolgate_tests::fake::stdio::Stdio::new(toolgate_tests::fake::Speaks::Both);
    let gate = toolgate_tests::gate::Setup::default()
        .server("short", &(web.command() + "line_bytes = \"4KiB\"\n"))
        .start()
        .await;
    let folder = tempfile::tempdir().expect("a folder");
    let held = folder.path().join("go");
    for client in [Caller::legacy(&gate, "/mcp/short").await, Caller::modern(&gate, "/mcp/short")] {
        std::fs::remove_file(&held).ok();
        let mut other = client.call_with_progress("1", "1", "hold", json!({"until": held})).await;
        other.message().await;
        let long = client.call("2", "long", json!({"bytes": 10_000})).await.answer().await;
        assert_eq!(long["id"], 2, "{long}");
        assert!(long["error"]["message"].as_str().expect("a message").contains("line_bytes"), "{long}");
        std::fs::write(&held, "").expect("a file");
        assert!(other.message().await.get("result").is_some());
    }
}

#[tokio::test]
async fn a_crash_loop_is_backed_off_and_named_in_health() {
    let gate = toolgate_tests::gate::Setup::default().server("broken", "command = [\"/bin/false\"]\n").start().await;
    assert_eq!(health(&gate).await["checks"]["server:broken"]["status"], "healthy");
    let client = Caller::new(&gate, "/mcp/broken", Era::Legacy);
    let answer = client.initialize().await.answer().await;
    assert_eq!(answer["error"]["code"], -31503, "{answer}");
    let check = wait::until("health to say so", || async {
        let check = health(&gate).await["checks"]["server:broken"].clone();
        (check["status"] == "warning").then_some(check)
    })
    .await;
    assert!(check["message"].is_string(), "{check}");
    // Asked again and again, it is not started again and again.
    for _ in 0..20 {
        client.initialize().await.answer().await;
    }
    let starts = gate.log().matches("an instance started").count();
    assert!(starts < 5, "{starts} starts");
}

#[tokio::test]
async fn a_server_that_forgot_its_session_is_introduced_anew_or_the_client_is_told() {
    let stage = stage().await;
    let (mirrored, merged) = (stage.legacy("/mcp/web").await, stage.legacy("/mcp/pair").await);
    merged.call("1", "web__echo", json!({})).await.answer().await;
    stage.web.forget_sessions();
    assert_eq!(mirrored.call("1", "echo", json!({})).await.head.status, 404);
    assert_eq!(mirrored.call("1", "echo", json!({})).await.head.status, 404);
    let answer = merged.call("2", "web__echo", json!({})).await.answer().await;
    assert!(answer.get("result").is_some(), "{answer}");
    let listed = merged.request("3", "tools/list", json!({})).await.answer().await;
    assert!(listed.to_string().contains("web__echo"), "{listed}");
}

#[tokio::test]
async fn a_full_queue_and_a_late_place_are_refused_and_the_next_call_works() {
    for (queue, code) in [("queue = { max_size = 0 }", -31503), ("queue = { max_size = 1, timeout = \"1s\" }", -31503)]
    {
        let stage = Stage::with(|setup| setup, &format!("max_calls = 1\n{queue}\n")).await;
        let folder = tempfile::tempdir().expect("a folder");
        for (number, (client, prefix, era, path)) in everywhere(&stage).await.into_iter().enumerate() {
            let held = folder.path().join(number.to_string());
            let mut running =
                client.call_with_progress("1", "1", &format!("{prefix}hold"), json!({"until": held})).await;
            running.message().await;
            let refused = client.call("2", &format!("{prefix}echo"), json!({})).await;
            assert_eq!(
                refused.head.status,
                if era == Era::Legacy { 200 } else { 503 },
                "{path} {prefix} {era:?} {queue}"
            );
            assert!(refused.head.header("retry-after").is_some(), "{path} {prefix} {era:?}");
            let answer = refused.answer().await;
            assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(2), &json!(code)), "{path} {prefix} {era:?}");
            std::fs::write(&held, "").expect("a file");
            assert!(running.answer().await.get("result").is_some(), "{path} {prefix} {era:?}");
            until_served(&client, prefix).await;
        }
    }
}

/// Waits until there is room for the next call.
async fn until_served(client: &Caller, prefix: &str) {
    wait::until("room for the next call", || async {
        client.call("3", &format!("{prefix}echo"), json!({})).await.answer().await.get("result").cloned()
    })
    .await;
}

#[tokio::test]
async fn a_limit_of_one_call_refuses_the_second_and_the_next_works() {
    let stage = Stage::with(|setup| setup.limit("{ per = \"client\", concurrent = 1 }"), "").await;
    let folder = tempfile::tempdir().expect("a folder");
    for (number, (client, prefix, era, path)) in everywhere(&stage).await.into_iter().enumerate() {
        let held = folder.path().join(number.to_string());
        let mut running = client.call_with_progress("1", "1", &format!("{prefix}hold"), json!({"until": held})).await;
        running.message().await;
        let refused = client.call("\"r\"", &format!("{prefix}echo"), json!({})).await;
        let told = refused.head.clone();
        let answer = refused.answer().await;
        assert_eq!(told.status, if era == Era::Legacy { 200 } else { 503 }, "{path} {prefix} {era:?} {answer}");
        assert!(told.header("retry-after").is_some(), "{path} {prefix} {era:?}");
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!("r"), &json!(-31429)), "{path} {prefix} {era:?}");
        assert!(answer["error"]["data"]["retryAfterMs"].is_u64(), "{path} {prefix} {era:?}: {answer}");
        std::fs::write(&held, "").expect("a file");
        assert!(running.answer().await.get("result").is_some(), "{path} {prefix} {era:?}");
        until_served(&client, prefix).await;
    }
}

#[tokio::test]
async fn a_server_s_own_refusal_passes() {
    let stage = stage().await;
    let body = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"slow down"}}"#;
    let reply = stage.modern("/mcp/web").call("1", "status", json!({"status": 429, "body": body})).await;
    assert_eq!((reply.head.status, reply.head.header("retry-after")), (429, Some("7")));
    assert_eq!(reply.text().await, body);
    let merged = stage.modern("/mcp/duo").call("1", "web__status", json!({"status": 429, "body": ""})).await;
    assert_eq!(merged.head.status, 503);
    assert_eq!(merged.answer().await["id"], 1);
}
