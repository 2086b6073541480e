//! A reload is a transaction: what is in flight goes on, and no call fails because of it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::LocalSet;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::load::{Calls, Clients, Pace, Until};
use toolgate_tests::mcp::Era;
use toolgate_tests::{standin, wait};

const RELOADS: u32 = 100;

async fn standin() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/mcp", listener.local_addr().expect("its address"));
    tokio::spawn(standin::serve(listener));
    url
}

#[tokio::test]
async fn a_hundred_reloads_under_load_fail_no_call() {
    let url = standin().await;
    let mut gate = Setup::default().http("steady", &url).http("changing", &url).start().await;
    let done = Rc::new(AtomicBool::new(false));
    let seen = Rc::new(Cell::new((0, Vec::new())));
    let local = LocalSet::new();
    let mut loads = Vec::new();
    for (era, pace) in [(Era::Legacy, Pace::Closed), (Era::Modern, Pace::Closed), (Era::Modern, Pace::Connect)] {
        let calls = Calls { aim: gate.aim("/mcp/steady", era), tool: "echo".to_owned(), padding: 100 };
        let clients = Clients::connect(calls, 4, pace).await;
        let (until, seen) = (Until::Told(Rc::clone(&done)), Rc::clone(&seen));
        loads.push(local.spawn_local(async move {
            let one = clients.call(until).await;
            let (calls, mut reasons) = seen.take();
            reasons.extend(one.reasons);
            seen.set((calls + one.calls, reasons));
            assert!(one.calls > u64::from(RELOADS), "too little load to mean anything: {} calls", one.calls);
        }));
    }
    local
        .run_until(async {
            for round in 0..RELOADS {
                // Another server comes, changes and goes; the one under load stays what it is.
                gate.change(|setup| {
                    setup.server("changing", &format!("endpoints = [{url:?}]\nmax_calls = {}", 10 + round))
                });
                gate.reload().await;
            }
            done.store(true, Ordering::Relaxed);
            for load in loads {
                load.await.expect("the load's task");
            }
        })
        .await;
    let (_, failed) = seen.take();
    assert!(failed.is_empty(), "calls failed: {failed:?}\n{}", gate.log());
}

#[tokio::test]
async fn a_session_outlives_the_reload_of_another_server() {
    let url = standin().await;
    let mut gate = Setup::default().http("steady", &url).http("changing", &url).start().await;
    let mut client = gate.aim("/mcp/steady", Era::Legacy).client().await.expect("a session");
    let session = client.session().map(ToOwned::to_owned);
    gate.change(|setup| setup.server("changing", &format!("endpoints = [{url:?}]\nmax_calls = 7")));
    gate.reload().await;
    let answer = client.call("echo", serde_json::json!({})).await.expect("an answer on the same connection");
    assert!(answer.succeeded(), "{answer:?}");
    assert_eq!(client.session().map(ToOwned::to_owned), session);
}

/// A server whose calls may take a minute, and one that nobody answers at; with these lines more.
fn pooled(setup: Setup, url: &str, lines: &str, bad: &str) -> Setup {
    let timeout = "timeout = { connect = \"20s\", first_byte = \"60s\" }\n";
    setup
        .server("good", &format!("endpoints = [{url:?}]\n{timeout}tool.echo.cache = {{ ttl = \"1h\" }}\n{lines}"))
        .server(
            "bad",
            &format!(
                "endpoints = \"http://127.0.0.1:1/mcp\"\nbreaker = {{ failures = 1, open_for = \"1h\" }}\n{bad}{lines}"
            ),
        )
}

async fn seen(gate: &Gate, server: &str) -> Value {
    gate.control("GET", &format!("/v1/servers/{server}")).await.1
}

#[tokio::test]
async fn a_reload_of_the_pool_changes_its_bounds_and_lets_everything_go_on() {
    let server = Http::start(Speaks::Both).await;
    let mut gate = pooled(Setup::default(), &server.url, "", "").start().await;
    let (client, session) = (Caller::modern(&gate, "/mcp/good"), Caller::legacy(&gate, "/mcp/good").await);
    // Kept, and given again.
    let cached = json!({"cached": true});
    assert!(client.call("1", "echo", cached.clone()).await.answer().await.get("result").is_some());
    let bad = Caller::modern(&gate, "/mcp/bad");
    bad.call("1", "echo", json!({})).await.answer().await;
    assert_eq!(bad.call("2", "echo", json!({})).await.answer().await["error"]["code"], -31503);
    let go = gate.folder().join("go");
    let mut held = Vec::new();
    for id in ["2", "3", "4"] {
        let mut call = client.call_with_progress(id, id, "hold", json!({ "until": go })).await;
        call.message().await;
        held.push(call);
    }
    let lower = "pool = { max_connections = 2, idle_timeout = \"1s\", max_age = \"1h\" }\n";
    gate.change(|setup| pooled(setup, &server.url, lower, ""));
    gate.reload().await;

    let now = seen(&gate, "good").await;
    assert_eq!((&now["connections"]["open"], &now["connections"]["max"]), (&json!(3), &json!(2)), "none is cut off");
    // As many calls as connections, and those from before count.
    let late = async { client.call("5", "echo", json!({"late": true})).await.answer().await };
    let (late, ()) = tokio::join!(late, async {
        wait::until("a call that waits", || async { (seen(&gate, "good").await["waiting"] == 1).then_some(()) }).await;
        std::fs::write(&go, "").expect("a file");
    });
    assert!(late.get("result").is_some(), "{late}");
    for call in held {
        assert!(call.answer().await.get("result").is_some());
    }
    let now = seen(&gate, "good").await;
    assert!(now["connections"]["open"].as_u64().is_some_and(|open| open <= 2), "{now}");
    assert!(session.call("1", "echo", json!({})).await.answer().await.get("result").is_some(), "{}", gate.log());
    let again = client.call("6", "echo", cached).await;
    assert!(again.head.header("cache-status").is_some_and(|status| status.contains("hit")));
    let idle = || async { (seen(&gate, "good").await["connections"]["open"] == 0).then_some(()) };
    wait::until("idle connections that are closed", idle).await;

    // Nor does a breaker forget where its server has to start anew.
    for (lines, more) in [(lower, ""), (lower, "timeout.connect = \"9s\"\n")] {
        gate.change(|setup| pooled(setup, &server.url, lines, more));
        gate.reload().await;
        assert_eq!(bad.call("3", "echo", json!({})).await.answer().await["error"]["code"], -31503);
        let breaker = &seen(&gate, "bad").await["endpoints"][0]["breaker"];
        assert_eq!((&breaker["state"], &breaker["opened"]), (&json!("open"), &json!(1)));
    }
    gate.change(|setup| pooled(setup, &server.url, "pool.max_connections = 9\n", ""));
    gate.reload().await;
    assert_eq!(seen(&gate, "good").await["connections"]["max"], 9);
}
