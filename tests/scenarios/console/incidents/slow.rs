//! A server slows down: in which phase and against what is usual, one endpoint drained, the queue's deadline
//! shortened, the breaker forced.
//!
//! An answer takes 1.6 s instead of the 8 s of the incident that this is made after: more than the alert's second, a
//! fifth of the wait.

use serde_json::json;
use tokio::task::JoinHandle;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::wait;

use crate::screen::Screen;
use crate::{endpoints, queue, recorded, said};

const SLOW_MS: u64 = 1_600;

/// Clients, each with a call at a time; more than the server takes at once.
const CLIENTS: usize = 4;

fn calls(gate: &Gate) -> Vec<JoinHandle<()>> {
    let call = |number: usize| {
        let client = Caller::modern(gate, "/mcp/web");
        tokio::spawn(async move {
            loop {
                client.call(&number.to_string(), "echo", json!({})).await.answer().await;
                // Seldom enough for slow calls to be more than the few that the alert overlooks.
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        })
    };
    (1..=CLIENTS).map(call).collect()
}

#[tokio::test]
async fn a_server_that_slows_down_is_drained_its_queue_shortened_and_its_breaker_forced() {
    let (slow, fast) = (Http::start(Speaks::Both).await, Http::start(Speaks::Both).await);
    let lines = format!(
        "endpoints = [{:?}, {:?}]\nmax_calls = 2\nhealth = {{ interval = \"1s\", timeout = \"20s\" }}\n\
         breaker = {{ failures = 5 }}\n",
        slow.url, fast.url
    );
    let gate = Setup::default().server("web", &lines).start().await;
    let calls = calls(&gate);
    wait::until("what is usual to be remembered", || async {
        let history = said(&gate, "/v1/history?series=p99:web").await;
        let points = history["series"][0]["points"].as_array()?.clone();
        points.iter().any(|point| point.as_f64().is_some_and(|us| us > 0.0)).then_some(())
    })
    .await;
    slow.slow_down(SLOW_MS);

    let screen = Screen::open(&gate).await;
    seen(&screen).await;
    drained(&gate, &screen, &slow.url).await;
    shortened(&gate, &screen).await;
    forced(&gate, &screen).await;
    slow.slow_down(0);
    resumed(&gate, &screen).await;
    calls.iter().for_each(JoinHandle::abort);
}

/// The alert leads to the server, which says where the time goes, and to the endpoint.
async fn seen(screen: &Screen) {
    screen.until("longest take those to the server web").await.keep("slow_alert");
    screen.press(&["Enter"]).until("server=web").await.until("slow").await.keep("slow_found");
    screen.press(&["i"]).until("usual p99").await.until("ago, took 1.6 s").await.keep("slow_phases").press(&["q"]);
}

async fn drained(gate: &Gate, screen: &Screen, url: &str) {
    let brief = url.trim_start_matches("http://").trim_end_matches("/mcp");
    screen.press(&["g", "j", "D"]).until(&format!("Drain endpoint {url} of web")).await;
    screen.press(&["Enter", "it is slow", "Enter"]).until("1 other goes on.").await.keep("slow_drain");
    screen.press(&["y"]).until("1 endpoint of web is drained").await;
    recorded(gate, "server.drain", "web", Some("it is slow")).await;
    let modes: Vec<_> = endpoints(gate, "web").await.iter().map(|one| one["mode"].clone()).collect();
    assert_eq!(modes, [json!("drain"), json!("ready")], "{brief}");
}

async fn shortened(gate: &Gate, screen: &Screen) {
    screen.press(&["g", "Q"]).until("Queue's deadline for a time: server web").await;
    screen
        .press(&["C-u", "500ms", "Enter", "Enter", "fail early", "Enter"])
        .until("would wait, none longer than 500 ms")
        .await;
    screen.keep("slow_queue").press(&["y"]).until("calls for web wait, none longer").await;
    recorded(gate, "queue.override", "web", Some("fail early")).await;
    assert_eq!(queue(gate, "web").await["timeout_ms"], 500);
}

async fn forced(gate: &Gate, screen: &Screen) {
    screen.press(&["a"]).until("Force open the breaker of web").await.keep("slow_menu");
    screen.press(&["a"]).until_gone("Force open the breaker of web").await;
    screen.press(&[":", "breaker-open web", "Enter"]).until("Type web to do it").await;
    screen.press(&["web", "Enter"]).until("is forced open").await;
    recorded(gate, "breaker.open", "web", None).await;
    for endpoint in endpoints(gate, "web").await {
        assert_eq!(endpoint["breaker"]["state"], "forced_open", "{endpoint}");
    }
    let refused = Caller::modern(gate, "/mcp/web").call("9", "echo", json!({})).await.answer().await;
    assert!(refused.get("error").is_some(), "{refused}");
    screen
        .until("failing")
        .await
        .keep("slow_forced")
        .press(&["B"])
        .until("would be closed")
        .await
        .press(&["y"])
        .until("is closed")
        .await;
    recorded(gate, "breaker.reset", "web", None).await;
    let answer = Caller::modern(gate, "/mcp/web").call("9", "echo", json!({})).await.answer().await;
    assert!(answer.get("result").is_some(), "{answer}");
}

/// It is fast again, and takes calls again.
async fn resumed(gate: &Gate, screen: &Screen) {
    screen.press(&["g", "j", "R"]).until("1 endpoint of web would begin taking calls").await.press(&["y"]);
    screen.until("begins taking calls").await;
    recorded(gate, "server.resume", "web", None).await;
    assert!(endpoints(gate, "web").await.iter().all(|one| one["mode"] == "ready"));
}
