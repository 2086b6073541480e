//! A server that hangs, with more callers than the gate may have connections: what the others notice is nothing.

use serde_json::json;
use tokio::task::JoinSet;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::faulty::{Fault, Faulty};
use toolgate_tests::gate::Setup;
use toolgate_tests::wait;

use crate::stage::{address, call};

const CALLERS: usize = 60;

#[tokio::test]
async fn a_server_that_hangs_with_all_of_its_callers_costs_others_no_call() {
    for fault in [Fault::Hangs, Fault::Opens] {
        let (behind, good) = (Http::start(Speaks::Both).await, Http::start(Speaks::Both).await);
        let faulty = Faulty::before(address(&behind)).await;
        let lines = format!(
            "endpoints = \"http://{}/mcp\"\npool.max_connections = 100\ntimeout = {{ connect = \"60s\", first_byte = \"60s\" }}",
            faulty.address
        );
        let setup = Setup::default().server("bad", &lines).http("good", &good.url);
        let gate = setup.daemon("max_server_connections = 20").start().await;
        let (bad, good) = (Caller::modern(&gate, "/mcp/bad"), Caller::modern(&gate, "/mcp/good"));
        for client in [&bad, &good] {
            assert!(call(client).await.get("result").is_some(), "{}", gate.log());
        }
        faulty.set(fault);
        let mut crowd = JoinSet::new();
        for _ in 0..CALLERS {
            let bad = bad.clone();
            crowd.spawn(async move { bad.call("1", "echo", json!({})).await.text().await });
        }
        wait::until("all connections to be wanted", async || {
            let (_, status) = gate.control("GET", "/v1/status").await;
            status["server_connections"]["waiting"].as_u64().filter(|waiting| *waiting > 30)
        })
        .await;
        for _ in 0..30 {
            assert!(call(&good).await.get("result").is_some(), "{fault:?}: {}", gate.log());
        }
        let (one, two) = tokio::join!(call(&good), call(&good));
        assert!(one.get("result").is_some() && two.get("result").is_some(), "{fault:?}: {one} {two}");
        crowd.shutdown().await;
        faulty.set(Fault::None);
        wait::until("the server to be called again", async || call(&bad).await.get("result").cloned()).await;
    }
}
