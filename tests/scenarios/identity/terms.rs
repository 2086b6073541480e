//! Streams end with the token that they were opened with, unless their client has come with a newer one that opens as much.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use toolgate_tests::caller::{Caller, Reply};
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::stdio::Stdio;
use toolgate_tests::issuer::in_seconds;
use toolgate_tests::mcp::Era;
use toolgate_tests::wait;

use crate::stage::Stage;

/// Paths whose sessions the gate keeps in different ways: mirrored, at a command, merged.
const PATHS: [&str; 3] = ["/mcp/web", "/mcp/both", "/mcp/pair"];

/// Until then all of a test's streams are open: it begins with an end so many seconds ahead.
const AHEAD: i64 = 8;

/// A gate whose tokens end on time, with a server at a command and a profile.
async fn start() -> Stage {
    let both = Stdio::new(Speaks::Both);
    let lines = both.command();
    let more = |setup: toolgate_tests::gate::Setup| {
        setup.server("both", &lines).table("[profile.pair]\nservers = [\"web\", \"both\"]\n")
    };
    let mut stage = Stage::with(more, "leeway = \"0s\"").await;
    stage.stdio = Some(both);
    stage
}

/// What a token of the issuer `site` says of somebody who may use everything until then.
fn claims(stage: &Stage, subject: &str, ends: i64) -> Value {
    let mut claims = stage.claims("site", subject);
    (claims["aud"], claims["exp"], claims["tools"]) = (json!(stage.url()), json!(ends), json!("*"));
    claims
}

fn with(caller: &Caller, token: &str) -> Caller {
    caller.clone().with("Authorization", &format!("Bearer {token}"))
}

fn tool(path: &str, own: &str) -> String {
    if path == "/mcp/pair" { format!("both__{own}") } else { own.to_owned() }
}

/// A call that streams until a file is there; its stream is open.
async fn held(client: &Caller, path: &str, until: &Path) -> (Reply, Option<String>) {
    let arguments = json!({"until": until});
    let mut reply = client.call_with_progress("7", "\"p\"", &tool(path, "hold"), arguments).await;
    let mut last = None;
    loop {
        let event = reply.event().await.expect("an event");
        last = event.id.or(last);
        if event.data.contains("notifications/progress") {
            return (reply, last);
        }
    }
}

/// A subscription that was acknowledged.
async fn listening(client: &Caller) -> Reply {
    let filter = json!({"notifications": {"toolsListChanged": true}});
    let mut reply = client.request("11", "subscriptions/listen", filter).await;
    let first = reply.message().await;
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged", "{first}");
    reply
}

/// The last message of a stream that ends; none where it has none any more.
async fn last(mut stream: Reply) -> Option<Value> {
    let mut last = None;
    while let Some(text) = stream.next().await {
        last = Some(serde_json::from_str(&text).expect("JSON"));
    }
    last
}

fn is_told(answer: Option<&Value>, id: u64) {
    let Some(answer) = answer else { panic!("{id} has no answer") };
    let message = answer["error"]["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("The token that this stream was opened with has expired."), "{answer}");
    let error = &answer["error"];
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-31401), &json!("credential-refused")));
    assert_eq!(answer["id"], id, "{answer}");
}

/// What is open of one client at one path.
struct Open {
    path: &'static str,
    legacy: Caller,
    unasked: Reply,
    call: Reply,
    event: Option<String>,
    modern: Caller,
    subscription: Reply,
    modern_call: Reply,
}

async fn open(stage: &Stage, path: &'static str, token: &str, until: &Path) -> Open {
    let legacy = stage.caller(path, Era::Legacy, Some(token)).opened().await;
    let modern = stage.caller(path, Era::Modern, Some(token));
    let unasked = legacy.stream().await;
    assert_eq!(unasked.head.status, 200, "{path}");
    let (call, event) = held(&legacy, path, until).await;
    let (modern_call, _) = held(&modern, path, until).await;
    let subscription = listening(&modern).await;
    Open { path, legacy, unasked, call, event, modern, subscription, modern_call }
}

#[tokio::test]
async fn streams_end_with_their_token_and_the_session_goes_on_with_the_next() {
    let stage = start().await;
    let file: PathBuf = stage.gate.folder().join("go-on");
    let ends = in_seconds(AHEAD);
    let short = stage.token("site", &claims(&stage, "ann", ends));
    let mut all = Vec::new();
    for path in PATHS {
        all.push(open(&stage, path, &short, &file).await);
    }
    let mut waiting = Vec::new();
    for open in all {
        assert_eq!(last(open.unasked).await, None, "{}: nobody asked for anything", open.path);
        assert!(in_seconds(0) >= ends, "not before the end");
        let answer = last(open.call).await;
        // A client that finds its stream again is owed its answer there.
        if open.path == "/mcp/web" {
            is_told(answer.as_ref(), 7);
        } else {
            assert_eq!(answer, None, "{}", open.path);
        }
        is_told(last(open.modern_call).await.as_ref(), 7);
        is_told(last(open.subscription).await.as_ref(), 11);
        waiting.push((open.path, open.legacy, open.event, open.modern));
    }
    assert_eq!(stage.calls("/mcp/web", &short).await, (401, Some("credential-refused".to_owned())));
    let fresh = stage.token("site", &claims(&stage, "ann", in_seconds(600)));
    std::fs::write(&file, "").expect("the file");
    for (path, legacy, event, modern) in waiting {
        for client in [&legacy, &modern] {
            let answer = with(client, &fresh).call("8", &tool(path, "echo"), json!({})).await.answer().await;
            assert!(answer.get("result").is_some(), "{path}: {answer}");
        }
        if path != "/mcp/web" {
            let event = event.expect("an event with an id");
            let resumed = with(&legacy, &fresh).resume(&event).await;
            let answer = last(resumed).await.expect("the answer");
            assert!(answer["id"] == 7 && answer.get("result").is_some(), "{path}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_newer_token_that_opens_as_much_keeps_what_is_open() {
    let stage = start().await;
    let file: PathBuf = stage.gate.folder().join("go-on");
    let ends = in_seconds(AHEAD);
    let short = |subject: &str| stage.token("site", &claims(&stage, subject, ends));
    let kept = open(&stage, "/mcp/both", &short("ann"), &file).await;
    let alone = stage.caller("/mcp/web", Era::Modern, Some(&short("bob")));
    let narrowed = stage.caller("/mcp/web", Era::Modern, Some(&short("eve")));
    let elsewhere = stage.caller("/mcp/web", Era::Modern, Some(&short("dan")));
    let ending = [listening(&alone).await, listening(&narrowed).await, listening(&elsewhere).await];
    // Refreshed: as good, of fewer rights, and for another path.
    let mut newer = claims(&stage, "ann", in_seconds(600));
    newer["jti"] = json!("another");
    assert_eq!(stage.calls("/mcp/web", &stage.token("site", &newer)).await.0, 200);
    newer["sub"] = json!("eve");
    newer["tools"] = json!("web/*");
    assert_eq!(stage.calls("/mcp/web", &stage.token("site", &newer)).await.0, 200);
    (newer["sub"], newer["tools"], newer["aud"]) =
        (json!("dan"), json!("*"), json!(format!("{}/mcp/web", stage.url())));
    assert_eq!(stage.calls("/mcp/web", &stage.token("site", &newer)).await.0, 200);
    for stream in ending {
        is_told(last(stream).await.as_ref(), 11);
    }
    // By now what was to end has ended.
    std::fs::write(&file, "").expect("the file");
    for call in [kept.call, kept.modern_call] {
        let answer = last(call).await.expect("an answer");
        assert!(answer.get("result").is_some(), "{answer}");
    }
    for mut stream in [kept.unasked, kept.subscription] {
        assert!(stream.is_silent().await, "it goes on");
    }
    drop((kept.legacy, kept.modern, kept.event));
}

#[tokio::test]
async fn what_an_issuer_opened_ends_with_it() {
    let mut stage = start().await;
    let never: PathBuf = stage.gate.folder().join("never");
    let token = |issuer: &str| {
        let mut claims = claims(&stage, "ann", in_seconds(600));
        claims["iss"] = json!(format!("https://{issuer}.example"));
        stage.token(issuer, &claims)
    };
    let gone = open(&stage, "/mcp/both", &token("shared"), &never).await;
    let mut other = open(&stage, "/mcp/both", &token("site"), &never).await;
    stage.gate.change(|setup| setup.without_table("[issuer.shared]"));
    stage.gate.reload().await;
    for stream in [gone.call, gone.modern_call, gone.subscription] {
        let answer = last(stream).await.expect("an answer");
        let error = &answer["error"];
        assert!(error["code"].as_i64().is_some_and(|code| code < -31000), "{answer}");
    }
    assert_eq!(last(gone.unasked).await, None);
    let refused = gone.modern.call("5", "echo", json!({})).await;
    assert_eq!(refused.head.status, 401);
    for stream in [&mut other.call, &mut other.modern_call, &mut other.subscription, &mut other.unasked] {
        assert!(stream.is_silent().await, "{} goes on", other.path);
    }
    wait::until("its calls to be gone", async || {
        let (_, status) = stage.gate.control("GET", "/v1/status").await;
        (status["calls_in_flight"] == 4).then_some(())
    })
    .await;
    drop((gone.legacy, gone.event, other.legacy, other.event, other.modern));
}
