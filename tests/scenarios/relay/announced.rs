//! Lists that change, and who is told: legacy sessions without a leg of their own, and those that share an instance.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use toolgate_tests::caller::{Caller, Reply};
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::fake::record::Record;
use toolgate_tests::fake::stdio::Stdio;
use toolgate_tests::gate::Setup;
use toolgate_tests::wait::until;

use crate::stage::{Stage, stage};

const CHANGED: &str = "notifications/tools/list_changed";

/// Makes an instance say that its tools changed.
fn tell(who: &str) {
    let pid = who.parse().ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, Signal::USR1).expect("a running instance");
}

/// The instance that answers questions of the gate: the first that was spoken to.
fn discovery(record: &Record) -> String {
    record.of("initialize").first().expect("an introduction").who.clone()
}

/// Reads until it is said that tools changed. Whoever lagged behind says of all lists that they may have, and the one
/// that was announced a moment ago comes last of them.
async fn changed(stream: &mut Reply) {
    while stream.message().await["method"] != CHANGED {}
}

/// Tells until the session hears it: whoever listens for it does so a moment after its stream was opened.
async fn heard(stream: &mut Reply, tell: impl AsyncFn()) {
    let told = async {
        loop {
            tell().await;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = changed(stream) => {}
        () = told => {}
    }
}

/// Reads what was said so far: no announcement is held back for longer than this waits.
async fn settle(stream: &mut Reply) {
    let mut silent = 0;
    while silent < 4 {
        silent = if stream.is_silent().await { silent + 1 } else { 0 };
    }
}

#[tokio::test]
async fn a_session_that_only_lists_hears_that_lists_changed() {
    let stage = stage().await;
    for path in ["/mcp/old", "/mcp/pair"] {
        let client = stage.legacy(path).await;
        client.request("1", "tools/list", json!({})).await.answer().await;
        let mut stream = client.stream().await;
        heard(&mut stream, async || tell(&discovery(&stage.old.record))).await;
    }
    assert_eq!(stage.old.record.of("initialize").len(), 1, "no instance was started for it");
}

#[tokio::test]
async fn a_session_hears_of_an_http_server_that_it_has_not_called() {
    let stage = stage().await;
    let (quiet, caller) = (stage.legacy("/mcp/pair").await, stage.legacy("/mcp/web").await);
    let mut stream = quiet.stream().await;
    heard(&mut stream, async || drop(caller.call("1", "change", json!({})).await)).await;
}

#[tokio::test]
async fn sessions_that_share_an_instance_hear_what_it_announces() {
    for per in ["client", "all"] {
        let server = Stdio::new(Speaks::Legacy);
        let lines = format!("{}instances = {{ per = \"{per}\" }}\n", server.command());
        let gate = Setup::default().server("old", &lines).start().await;
        let (one, two) = (Caller::legacy(&gate, "/mcp/old").await, Caller::legacy(&gate, "/mcp/old").await);
        for client in [&one, &two] {
            client.call("1", "echo", json!({})).await.answer().await;
        }
        let mut stream = two.stream().await;
        heard(&mut stream, async || drop(one.call("2", "change", json!({})).await)).await;
    }
}

#[tokio::test]
async fn a_session_with_an_instance_of_its_own_hears_that_one_only() {
    let stage = stage().await;
    let client = stage.legacy("/mcp/old").await;
    let mut stream = client.stream().await;
    heard(&mut stream, async || tell(&discovery(&stage.old.record))).await;
    client.call("1", "echo", json!({})).await.answer().await;
    let own = stage.old.record.of("tools/call").pop().expect("a call").who;
    let other = stage.legacy("/mcp/old").await;
    let mut theirs = other.stream().await;
    settle(&mut stream).await;
    tell(&own);
    changed(&mut stream).await;
    heard(&mut theirs, async || tell(&discovery(&stage.old.record))).await;
    assert!(stream.is_silent().await);
}

#[tokio::test]
async fn a_session_is_told_at_once_and_then_in_bounds() {
    let stage = stage().await;
    let client = stage.legacy("/mcp/old").await;
    let mut stream = client.stream().await;
    heard(&mut stream, async || tell(&discovery(&stage.old.record))).await;
    let begun = std::time::Instant::now();
    let mut told = 0;
    // A burst without end: what comes of it depends on time alone.
    let burst = async {
        loop {
            tell(&discovery(&stage.old.record));
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    let reading = async {
        while told < 8 {
            changed(&mut stream).await;
            told += 1;
        }
    };
    tokio::select! {
        () = burst => {}
        () = reading => {}
    }
    assert!(begun.elapsed().as_millis() >= 600, "eight in {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_server_that_a_reload_changed_is_heard_again() {
    let mut stage = stage().await;
    let client = stage.legacy("/mcp/pair").await;
    let mut stream = client.stream().await;
    heard(&mut stream, async || tell(&discovery(&stage.old.record))).await;
    let before = discovery(&stage.old.record);
    let lines = format!("{}timeout = {{ connect = \"9s\" }}\n", stage.old.command());
    stage.gate.change(|setup| setup.server("old", &lines));
    stage.gate.reload().await;
    // What it offers may be another thing now; nobody had to ask.
    changed(&mut stream).await;
    let anew = until("a new introduction", async || {
        stage.old.record.of("initialize").pop().map(|received| received.who).filter(|who| *who != before)
    })
    .await;
    heard(&mut stream, async || tell(&anew)).await;
}

#[tokio::test]
async fn a_merged_subscription_brings_each_change_once() {
    let stage = stage().await;
    let client = stage.modern("/mcp/duo");
    let wanted = json!({"notifications": {"toolsListChanged": true, "promptsListChanged": true}});
    let mut stream = client.request("\"s\"", "subscriptions/listen", wanted).await;
    let granted = stream.message().await;
    assert_eq!(granted["params"]["notifications"], json!({"toolsListChanged": true, "promptsListChanged": true}));
    for server in ["web", "new"] {
        client.call("1", &format!("{server}__change"), json!({})).await.answer().await;
        let changed = stream.message().await;
        assert_eq!(
            (&changed["method"], &changed["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"]),
            (&json!(CHANGED), &json!("s"))
        );
        assert!(stream.is_silent().await, "{server}");
    }
}

#[tokio::test]
async fn a_stream_that_broke_counts_as_a_change() {
    let web = Http::start(Speaks::Legacy).await;
    let other = Stdio::new(Speaks::Legacy);
    let setup = Setup::default().server("web", &web.endpoints()).server("old", &other.command());
    let gate = setup.start().await;
    let client = Caller::legacy(&gate, "/mcp").await;
    let mut stream = client.stream().await;
    web.record.until("the gate's own stream", |received| received.message["http"] == "GET").await;
    web.cut_streams();
    changed(&mut stream).await;
}

#[tokio::test]
async fn nobody_listens_for_sessions_that_have_ended() {
    let stage = Stage::with(|setup| setup, "").await;
    let client = stage.legacy("/mcp/pair").await;
    let stream = client.stream().await;
    let get = stage.web.record.until("a stream", |received| received.message["http"] == "GET").await;
    assert_eq!(client.end().await, 200);
    drop(stream);
    stage
        .web
        .record
        .until("its end", |received| received.who == get.who && received.message["closed"] == "stream")
        .await;
}
