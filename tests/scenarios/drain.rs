//! SIGTERM: calls in flight finish, new connections are answered for a while, and then the gate ends with 0.

use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::LocalSet;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::stdio::Stdio;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::load::{Calls, Clients, Pace, Seen, Until};
use toolgate_tests::mcp::Era;
use toolgate_tests::standin;

async fn gate() -> Gate {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/mcp", listener.local_addr().expect("its address"));
    tokio::spawn(standin::serve(listener));
    Setup::default().http("standin", &url).daemon("lame_duck = \"500ms\"").start().await
}

fn calls(gate: &Gate, era: Era, tool: &str) -> Calls {
    Calls { aim: gate.aim("/mcp/standin", era), tool: tool.to_owned(), padding: 100 }
}

#[tokio::test]
async fn sigterm_under_load_cuts_no_call() {
    let mut gate = gate().await;
    let local = LocalSet::new();
    let never = || Until::Told(Rc::new(AtomicBool::new(false)));
    let mut loads = Vec::new();
    for (era, tool, pace) in [
        (Era::Legacy, "echo", Pace::Closed),
        (Era::Modern, "echo", Pace::Closed),
        (Era::Legacy, "slow", Pace::Closed),
        (Era::Modern, "slow", Pace::Closed),
        // Connections of the lame-duck phase: each call comes on a new one.
        (Era::Modern, "echo", Pace::Connect),
    ] {
        let clients = Clients::connect(calls(&gate, era, tool), 4, pace).await;
        loads.push(local.spawn_local(clients.call(never())));
    }
    let seen: Vec<Seen> = local
        .run_until(async {
            tokio::time::sleep(Duration::from_millis(700)).await;
            gate.signal(Signal::TERM);
            let mut seen = Vec::new();
            for load in loads {
                seen.push(load.await.expect("the load's task"));
            }
            seen
        })
        .await;
    for one in &seen {
        assert!(one.calls > 0 && one.nobody_listens, "the load ended before the gate did: {one:?}");
        assert_eq!(one.failed, 0, "calls were cut: {:?}\n{}", one.reasons, gate.log());
    }
    let status = gate.ended().await;
    assert!(status.success(), "{status}\n{}", gate.log());
}

#[tokio::test]
async fn a_connection_that_has_not_asked_yet_is_answered_once() {
    let mut gate = gate().await;
    let mut idle = gate.target().connect().await.expect("a connection");
    let mut client = gate.aim("/mcp/standin", Era::Modern).client().await.expect("a client");
    gate.signal(Signal::TERM);
    // Answers say that they are the last as soon as the drain has begun; it begins within the lame duck.
    let mut calls = 0;
    while !client.call("echo", json!({})).await.expect("an answer").head.is_last() {
        calls += 1;
        assert!(calls < 100_000, "no answer said that it was the last");
    }
    let key = format!("Bearer {}", gate.key());
    let raw = toolgate_tests::http::request("GET", "/health", &gate.target().host, &[("Authorization", &key)], b"");
    let (head, _) = idle.exchange(&raw).await.expect("an answer on a connection that was open before");
    assert!(head.is_last(), "{head:?}");
    assert!(gate.ended().await.success());
}

#[tokio::test]
async fn a_call_behind_the_end_of_a_stream_is_answered() {
    let fake = Stdio::new(Speaks::Legacy);
    let setup = Setup::default().server("fake", &fake.command()).daemon("lame_duck = \"1s\"");
    let mut gate = setup.start().await;
    let mut client = gate.aim("/mcp/fake", Era::Legacy).client().await.expect("a client");
    let head = client.open_stream().await.expect("a stream");
    assert!(head.is_stream() && !head.is_last(), "{head:?}");
    gate.signal(Signal::TERM);
    client.connection().body(&head).await.expect("it ends in order");
    gate.target().connect().await.expect("and while the gate still accepts");
    // HTTP clients send what comes next where something was just answered.
    let answer = client.call("echo", json!({})).await.expect("an answer on the same connection");
    assert!(answer.succeeded() && answer.head.is_last(), "{:?}", answer.head);
    assert!(gate.ended().await.success());
}
