//! Each way in which a server can fail opens its breaker within the configured bound, costs no other server anything,
//! and is over by itself once the server works again.

use std::time::Duration;

use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::stdio::Stdio;
use toolgate_tests::faulty::Fault;
use toolgate_tests::gate::Setup;
use toolgate_tests::mcp::Era;
use toolgate_tests::wait;

use crate::stage::{Stage, call, health, is_refused};

/// Failures in a row, and calls of which half are slow, that open it.
const FAILURES: usize = 3;
const MIN_CALLS: usize = 4;

/// Calls until the breaker answers; how many went through before.
async fn until_refused(client: &Caller) -> (usize, Value) {
    for through in 0..20 {
        let answer = call(client).await;
        if is_refused(&answer) {
            return (through, answer);
        }
    }
    panic!("the breaker did not open");
}

async fn fails_and_recovers(stage: &Stage, client: &Caller, good: &Caller, fault: Fault) {
    let recovered = || async { call(client).await.get("result").cloned() };
    wait::until("a server that works", recovered).await;
    stage.faulty.set(fault);
    let (through, refusal) = until_refused(client).await;
    let bound = if matches!(fault, Fault::Slow(_)) { 2 * MIN_CALLS } else { FAILURES };
    assert!(through <= bound, "{fault:?}: {through} calls went through");
    let (message, data) = (&refusal["error"]["message"], &refusal["error"]["data"]);
    assert!(message.as_str().is_some_and(|text| text.contains("The server bad has failed too often")), "{refusal}");
    assert!(data["retryAfterMs"].as_u64().is_some_and(|wait| wait <= 1000), "{refusal}");
    assert_eq!(refusal["error"]["code"], -31503);
    let ill = || async { (stage.health("bad").await["status"] == "warning").then_some(()) };
    wait::until(&format!("{fault:?} in health"), ill).await;
    stage.good_works(good).await;
    stage.faulty.set(Fault::None);
    wait::until("recovery", recovered).await;
    // A machine that is slow for a moment makes for a slow call, which keeps the breaker open: another one is let through.
    wait::until("health", || async {
        recovered().await;
        (stage.health("bad").await["status"] == "healthy").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_modern_server_that_fails_is_refused_calls_until_it_works_again() {
    let stage = Stage::start(Speaks::Both).await;
    let (client, good) = (Caller::modern(&stage.gate, "/mcp/bad"), Caller::modern(&stage.gate, "/mcp/good"));
    for fault in [
        Fault::Hangs,
        Fault::Babbles,
        Fault::Mumbles,
        Fault::Resets,
        Fault::Fails,
        Fault::Opens,
        Fault::Slow(Duration::from_millis(300)),
        Fault::Deaf,
        Fault::Gone,
    ] {
        fails_and_recovers(&stage, &client, &good, fault).await;
    }
    let reached = stage.bad.record.of("tools/call").len();
    stage.faulty.set(Fault::Fails);
    until_refused(&client).await;
    assert_eq!(stage.bad.record.of("tools/call").len(), reached, "no call reaches a server that fails");
}

#[tokio::test]
async fn sessions_of_a_server_that_fails_are_refused_calls_and_go_on() {
    let stage = Stage::start(Speaks::Legacy).await;
    let (client, good) =
        (Caller::legacy(&stage.gate, "/mcp/bad").await, Caller::legacy(&stage.gate, "/mcp/good").await);
    for fault in [Fault::Hangs, Fault::Babbles, Fault::Resets, Fault::Fails, Fault::Opens, Fault::Gone] {
        fails_and_recovers(&stage, &client, &good, fault).await;
    }
}

#[tokio::test]
async fn merged_sessions_keep_what_works_while_one_server_is_refused_calls() {
    let stage = Stage::start(Speaks::Both).await;
    for era in [Era::Legacy, Era::Modern] {
        let client = match era {
            Era::Legacy => Caller::legacy(&stage.gate, "/mcp").await,
            Era::Modern => Caller::modern(&stage.gate, "/mcp"),
        };
        let tool = async |tool: &str| client.call("1", tool, json!({})).await.answer().await;
        wait::until("a server that works", || async { tool("bad__echo").await.get("result").cloned() }).await;
        stage.faulty.set(Fault::Mumbles);
        let mut through = 0;
        while !is_refused(&tool("bad__echo").await) {
            through += 1;
            assert!(through <= FAILURES, "{era:?}: {through} calls went through");
        }
        assert!(tool("good__echo").await.get("result").is_some());
        stage.faulty.set(Fault::None);
        wait::until("recovery", || async { tool("bad__echo").await.get("result").cloned() }).await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_keeps_nobody_from_a_server_that_works_again() {
    let stage = Stage::start(Speaks::Both).await;
    let (client, idler) = (Caller::modern(&stage.gate, "/mcp/bad"), Caller::modern(&stage.gate, "/mcp/bad"));
    stage.faulty.set(Fault::Fails);
    until_refused(&client).await;
    stage.faulty.set(Fault::None);
    // Its call is the one that sees whether the server works; the answer is too long for what buffers there are.
    let unread = wait::until("the call that is let through", || async {
        let reply = idler.call("1", "long", json!({"bytes": 24 << 20})).await;
        (reply.head.status == 200).then_some(reply)
    })
    .await;
    let recovered = || async { call(&client).await.get("result").cloned() };
    wait::until("a server that works for others", recovered).await;
    drop(unread);
}

/// The daemon reads a file of the test's own as `/etc/hosts`; only root may have it do so.
#[tokio::test]
async fn a_server_that_disappears_from_the_name_service_comes_back() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("passed over: it takes root to change what names mean");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let hosts = folder.path().join("hosts");
    let known = "127.0.0.1 localhost\n127.0.0.1 bad.toolgate.test\n";
    std::fs::write(&hosts, known).expect("a file");
    let stage = Stage::named(Speaks::Both, "bad.toolgate.test", |setup| setup.hosts(&hosts)).await;
    let (client, good) = (Caller::modern(&stage.gate, "/mcp/bad"), Caller::modern(&stage.gate, "/mcp/good"));
    assert!(call(&client).await.get("result").is_some());
    std::fs::write(&hosts, "127.0.0.1 localhost\n").expect("a file");
    // What was looked up holds for a moment. What is open is cut, as by the machine's end.
    wait::until("the breaker to open", async || {
        stage.faulty.set(Fault::Gone);
        stage.faulty.set(Fault::None);
        is_refused(&call(&client).await).then_some(())
    })
    .await;
    assert!(stage.gate.log().contains("a breaker opens"), "{}", stage.gate.log());
    stage.good_works(&good).await;
    std::fs::write(&hosts, known).expect("a file");
    wait::until("recovery", || async { call(&client).await.get("result").cloned() }).await;
}

#[tokio::test]
async fn a_stdio_server_that_hangs_is_refused_calls_until_it_works_again() {
    let stdio = Stdio::new(Speaks::Both);
    let rules = "timeout.first_byte = \"2s\"\ntool.silent.timeout.first_byte = \"200ms\"\n\
                 breaker = { failures = 2, open_for = \"300ms\" }\n";
    let gate = Setup::default().server("bad", &(stdio.command() + rules)).start().await;
    for client in [Caller::modern(&gate, "/mcp/bad"), Caller::legacy(&gate, "/mcp/bad").await] {
        let tool = async |tool: &str| client.call("1", tool, json!({})).await.answer().await;
        // A tool's own error is an answer.
        for name in ["fail", "error", "fail", "error", "echo"] {
            assert!(!is_refused(&tool(name).await));
        }
        for _ in 0..2 {
            assert_eq!(tool("silent").await["error"]["code"], -31504);
        }
        let refusal = tool("echo").await;
        assert!(is_refused(&refusal), "{refusal}");
        let told = health(&gate).await["checks"]["server:bad"].clone();
        assert!(
            told["message"].as_str().is_some_and(|text| text.contains("2 calls failed one after the other")),
            "{told}"
        );
        wait::until("recovery", || async { tool("echo").await.get("result").cloned() }).await;
    }
}

#[tokio::test]
async fn what_a_server_refuses_is_no_failure_and_neither_is_a_client_that_leaves() {
    let stage = Stage::start(Speaks::Both).await;
    let client = Caller::modern(&stage.gate, "/mcp/bad");
    for status in [429, 429, 404, 400, 429, 429] {
        client.call("1", "status", json!({"status": status, "body": "{}"})).await.text().await;
    }
    for _ in 0..5 {
        let left = tokio::time::timeout(Duration::from_millis(50), client.call("1", "silent", json!({}))).await;
        assert!(left.is_err(), "nobody answers `silent`");
    }
    assert!(call(&client).await.get("result").is_some());
    assert!(!stage.gate.log().contains("a breaker opens"));
}

#[tokio::test]
async fn an_open_breaker_stays_open_over_a_reload_that_changes_other_things() {
    let mut stage = Stage::start(Speaks::Both).await;
    let client = Caller::modern(&stage.gate, "/mcp/bad");
    assert!(call(&client).await.get("result").is_some());
    stage.gate.change(|setup| setup.daemon("lame_duck = \"0s\""));
    stage.faulty.set(Fault::Fails);
    for _ in 0..FAILURES - 1 {
        call(&client).await;
    }
    stage.gate.reload().await;
    call(&client).await;
    assert!(is_refused(&call(&client).await), "failures before the reload count");
    stage.gate.change(|setup| setup.daemon("drain_timeout = \"7s\""));
    stage.gate.reload().await;
    let opened = stage.gate.log().matches("a breaker opens").count();
    stage.faulty.set(Fault::None);
    wait::until("recovery", || async { call(&client).await.get("result").cloned() }).await;
    assert_eq!(stage.gate.log().matches("a breaker opens").count(), opened);
}

#[tokio::test]
async fn a_stream_that_opens_and_says_nothing_is_ended_in_time_also_without_a_breaker() {
    let bad = toolgate_tests::fake::http::Http::start(Speaks::Both).await;
    let faulty = toolgate_tests::faulty::Faulty::before(crate::stage::address(&bad)).await;
    let lines = format!("endpoints = \"http://{}/mcp\"\ntimeout.first_byte = \"300ms\"\nmax_calls = 1", faulty.address);
    let gate = Setup::default().server("bad", &lines).start().await;
    let client = Caller::modern(&gate, "/mcp/bad");
    assert!(call(&client).await.get("result").is_some(), "{}", gate.log());
    faulty.set(Fault::Opens);
    for _ in 0..2 {
        let mut reply = client.call("5", "echo", json!({})).await;
        let answer = reply.message().await;
        assert_eq!(
            (&answer["id"], &answer["error"]["data"]["reason"]),
            (&json!(5), &json!("server-timeout")),
            "{answer}"
        );
        assert!(reply.next().await.is_none(), "the stream ends well");
    }
    faulty.set(Fault::None);
    wait::until("the server to be called", async || call(&client).await.get("result").cloned()).await;
}
