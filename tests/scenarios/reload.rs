//! A reload is a transaction: what is in flight goes on, and no call fails because of it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::TcpListener;
use tokio::task::LocalSet;
use toolgate_tests::gate::Setup;
use toolgate_tests::load::{Calls, Clients, Pace, Until};
use toolgate_tests::mcp::Era;
use toolgate_tests::standin;

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
