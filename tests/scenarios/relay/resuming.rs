//! Clients of the legacy era that lose their connection and come back, where the gate is the session's end.

use std::path::Path;

use serde_json::{Value, json};
use toolgate_tests::caller::{Caller, Reply};
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::fake::record::Received;
use toolgate_tests::fake::stdio::Stdio;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::mcp::Era;
use toolgate_tests::wait;

use crate::stage::{LEGACY, Stage, stage};

/// Where the gate is the session's end.
fn hosted() -> impl Iterator<Item = (&'static str, &'static str)> {
    LEGACY.into_iter().filter(|(path, _)| *path != "/mcp/web")
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|problem| panic!("{problem}: {text}"))
}

/// The events up to the end of the stream: the last id, and the messages.
async fn rest(mut reply: Reply) -> (Option<String>, Vec<Value>) {
    let (mut last, mut messages) = (None, Vec::new());
    while let Some(event) = reply.event().await {
        last = event.id.or(last);
        messages.extend(Some(event.data).filter(|data| !data.is_empty()).map(|data| read(&data)));
    }
    (last, messages)
}

/// Leaves once the stream has begun; gives back the event to come back to.
async fn left(mut reply: Reply) -> String {
    reply.event().await.expect("an event").id.expect("an id")
}

/// A client that agreed on an earlier revision.
async fn earlier(gate: &Gate, path: &str, revision: &str) -> Caller {
    let client = Caller::new(gate, path, Era::Legacy);
    let params = json!({"protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}});
    let opened = client.request("0", "initialize", params).await;
    let session = opened.head.header("mcp-session-id").map(ToOwned::to_owned);
    assert_eq!(opened.answer().await["result"]["protocolVersion"], revision);
    let mut client = client.with("MCP-Protocol-Version", revision);
    client.session = session;
    client
}

#[tokio::test]
async fn a_call_goes_on_without_its_client_which_finds_the_rest_of_its_stream() {
    let stage = stage().await;
    let folder = tempfile::tempdir().expect("a folder");
    for (number, (path, prefix)) in hosted().enumerate() {
        let client = stage.legacy(path).await;
        let until = folder.path().join(number.to_string());
        let mut reply = client.call_with_progress("5", "5", &format!("{prefix}hold"), json!({"until": until})).await;
        let first = reply.event().await.expect("an event");
        assert_eq!(first.data, "", "{path} {prefix}: a stream begins with an event to come back to");
        let progress = reply.event().await.expect("an event");
        assert_eq!(read(&progress.data)["params"]["progress"], 1, "{path} {prefix}");
        drop(reply);
        let resumed = client.resume(first.id.as_deref().expect("an id")).await;
        assert_eq!((resumed.head.status, resumed.head.is_stream()), (200, true), "{path} {prefix}");
        std::fs::write(&until, "").expect("a file");
        let (last, messages) = rest(resumed).await;
        assert_eq!(messages.len(), 2, "{path} {prefix}: {messages:?}");
        assert_eq!(messages[0], read(&progress.data), "{path} {prefix}");
        assert_eq!((&messages[1]["id"], messages[1].get("result").is_some()), (&json!(5), true), "{path} {prefix}");
        let again = rest(client.resume(progress.id.as_deref().expect("an id")).await).await;
        assert_eq!(again, (last.clone(), vec![messages[1].clone()]), "{path} {prefix}: it may break again");
        let over = client.resume(&last.expect("an id")).await;
        assert_eq!(over.head.status, 204, "{path} {prefix}: it has everything");
    }
}

#[tokio::test]
async fn a_client_that_left_before_the_first_message_is_answered_when_it_comes_back() {
    let stage = stage().await;
    let folder = tempfile::tempdir().expect("a folder");
    for (number, (path, prefix)) in hosted().enumerate() {
        let client = stage.legacy(path).await;
        let until = folder.path().join(number.to_string());
        let mut reply = client.call("\"a\"", &format!("{prefix}hold"), json!({"until": until})).await;
        let first = reply.event().await.expect("an event");
        assert_eq!(first.data, "", "{path} {prefix}");
        drop(reply);
        std::fs::write(&until, "").expect("a file");
        // The session serves other calls meanwhile, whether the first has been answered or not.
        assert_eq!(client.call("2", &format!("{prefix}echo"), json!({})).await.answer().await["id"], 2);
        let (_, messages) = rest(client.resume(&first.id.expect("an id")).await).await;
        assert_eq!(messages.len(), 1, "{path} {prefix}: {messages:?}");
        assert_eq!((&messages[0]["id"], messages[0].get("result").is_some()), (&json!("a"), true), "{path} {prefix}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_at_once_still_has_its_call_done_and_can_cancel_it() {
    let stage = stage().await;
    for (path, prefix) in hosted() {
        let client = stage.legacy(path).await;
        let arguments = json!({"mark": format!("{path}{prefix}")});
        let call = tokio::spawn({
            let (client, tool, arguments) = (client.clone(), format!("{prefix}silent"), arguments.clone());
            async move { client.call("9", &tool, arguments).await }
        });
        let record = stage.record(path, prefix);
        let called = record.until("the call", |received| received.message["params"]["arguments"] == arguments).await;
        call.abort();
        // It may have its stream by now; it leaves all the same.
        drop(call.await);
        let echoed = client.call("2", &format!("{prefix}echo"), json!({})).await;
        assert_eq!(echoed.answer().await["id"], 2, "{path} {prefix}");
        let is_cancelled = |received: &Received| received.cancels(&called) && received.who == called.who;
        assert!(!record.all().iter().any(is_cancelled), "{path} {prefix}: a disconnect is no cancellation");
        assert_eq!(client.notify("notifications/cancelled", json!({"requestId": 9})).await, 202);
        record.until("the cancellation", is_cancelled).await;
    }
}

#[tokio::test]
async fn a_cancelled_call_ends_its_stream() {
    let stage = stage().await;
    for (path, prefix) in hosted() {
        let client = stage.legacy(path).await;
        let first = left(client.call("7", &format!("{prefix}silent"), json!({})).await).await;
        assert_eq!(client.notify("notifications/cancelled", json!({"requestId": 7})).await, 202);
        let (_, messages) = rest(client.resume(&first).await).await;
        assert_eq!(messages.last().expect("an answer")["error"]["data"]["reason"], "cancelled", "{path} {prefix}");
    }
}

#[tokio::test]
async fn the_end_of_its_session_ends_a_call_without_a_client() {
    let stage = stage().await;
    let client = stage.legacy("/mcp/pair").await;
    left(client.call("7", "web__silent", json!({})).await).await;
    let called = stage.web.record.until_called("silent").await;
    assert_eq!(client.end().await, 200);
    stage.web.record.until_cancelled(&called).await;
}

#[tokio::test]
async fn a_question_waits_for_a_client_that_comes_back() {
    let stage = stage().await;
    for (path, prefix) in hosted() {
        let client = stage.legacy(path).await;
        let first = left(client.call("1", &format!("{prefix}ask"), json!({})).await).await;
        let mut resumed = client.resume(&first).await;
        let question = resumed.message().await;
        assert_eq!(question["method"], "elicitation/create", "{path} {prefix}");
        assert_eq!(client.respond(&question["id"], json!({"action": "accept"})).await, 202, "{path} {prefix}");
        assert_eq!(resumed.message().await["result"]["answered"]["result"]["action"], "accept", "{path} {prefix}");
    }
}

#[tokio::test]
async fn clients_of_earlier_revisions_get_ids_but_no_event_without_a_message() {
    let stage = stage().await;
    let folder = tempfile::tempdir().expect("a folder");
    for (number, revision) in ["2025-03-26", "2025-06-18"].into_iter().enumerate() {
        let client = earlier(&stage.gate, "/mcp/old", revision).await;
        let until = folder.path().join(number.to_string());
        let mut reply = client.call_with_progress("1", "1", "hold", json!({"until": until})).await;
        let progress = reply.event().await.expect("an event");
        assert_eq!(read(&progress.data)["method"], "notifications/progress", "{revision}");
        drop(reply);
        std::fs::write(&until, "").expect("a file");
        let (_, messages) = rest(client.resume(&progress.id.expect("an id")).await).await;
        assert_eq!(messages.len(), 1, "{revision}");
        assert_eq!(messages[0]["id"], 1, "{revision}");
    }
}

#[tokio::test]
async fn the_session_s_own_stream_is_resumed_where_it_broke() {
    let stage = stage().await;
    for (path, prefix) in hosted() {
        let client = stage.legacy(path).await;
        client.call("1", &format!("{prefix}echo"), json!({})).await.answer().await;
        let mut stream = client.stream().await;
        let first = stream.event().await.expect("an event");
        assert_eq!(first.data, "", "{path} {prefix}");
        if prefix == "web__" {
            stage.web_stream("tools/call").await;
        }
        let update = async |number: u32| {
            let uri = format!("mem://{number}");
            client.call("2", &format!("{prefix}update"), json!({"uri": uri})).await.answer().await;
        };
        update(1).await;
        let seen = stream.event().await.expect("an event");
        drop(stream);
        update(2).await;
        update(3).await;
        let uri =
            |event: &str| read(event)["params"]["uri"].as_str().expect("a URI").rsplit('/').next().map(str::to_owned);
        for (last, expected) in [(first.id, vec!["1", "2", "3"]), (seen.id, vec!["2", "3"])] {
            let mut resumed = client.resume(&last.expect("an id")).await;
            for expected in expected {
                let event = resumed.event().await.expect("an event");
                assert_eq!(uri(&event.data).as_deref(), Some(expected), "{path} {prefix}");
            }
        }
    }
}

#[tokio::test]
async fn nobody_finds_the_events_of_another_session_or_client() {
    let stage = stage().await;
    let folder = tempfile::tempdir().expect("a folder");
    let until = folder.path().join("until");
    let client = stage.legacy("/mcp/old").await;
    let mut stream = client.stream().await;
    let mut reply = client.call_with_progress("1", "1", "hold", json!({"until": until})).await;
    let ids = [reply.event().await, reply.event().await, stream.event().await].map(|event| event.expect("an event").id);
    let neighbour = stage.legacy("/mcp/old").await;
    let stranger = stage.other(Caller::new(&stage.gate, "/mcp/old", Era::Legacy)).opened().await;
    let thief = stage.other(client.clone());
    for id in ids.into_iter().flatten() {
        for other in [&neighbour, &stranger] {
            let found = other.resume(&id).await;
            assert_eq!(found.head.status, 400, "{id}");
            assert_eq!(found.answer().await["error"]["data"]["reason"], "event-unknown", "{id}");
        }
        assert_eq!(thief.resume(&id).await.head.status, 404, "{id}: another client's session");
    }
    for id in ["", "nonsense", "1.1", "99999999999999999999.1"] {
        let found = client.clone().with("Last-Event-ID", id).stream().await;
        assert_eq!(found.head.status, if id.is_empty() { 200 } else { 400 }, "{id:?}");
    }
    assert_eq!(client.request("2", "ping", json!({})).await.head.status, 200, "the session goes on");
    std::fs::write(&until, "").expect("a file");
    assert_eq!(rest(reply).await.1.pop().expect("an answer")["id"], 1, "nobody took the stream over");
}

/// Reads up to `count` messages, which must be the steps that follow.
async fn steps(reply: &mut Reply, count: u64, last: &mut Option<String>, seen: &mut u64) -> Option<Value> {
    for _ in 0..count {
        let event = reply.event().await?;
        *last = event.id.or(last.take());
        if event.data.is_empty() {
            continue;
        }
        let message = read(&event.data);
        if message.get("method").is_none() {
            return Some(message);
        }
        *seen += 1;
        assert_eq!(message["params"]["progress"], *seen, "each message once and in order");
    }
    None
}

fn allow(file: &Path, steps: u64) {
    std::fs::write(file.with_extension("new"), steps.to_string()).expect("a file");
    std::fs::rename(file.with_extension("new"), file).expect("a file");
}

/// Any generator will do; the seed makes a failure come again.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[tokio::test]
async fn a_thousand_cuts_lose_and_double_nothing() {
    const COUNT: u64 = 6000;
    let stage = stage().await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut random = Seeded(20_251_125);
    for (path, prefix, cuts) in [("/mcp/old", "", 700), ("/mcp/pair", "web__", 300)] {
        let client = stage.legacy(path).await;
        let allowed = folder.path().join(prefix.trim_end_matches('_').to_owned() + "allowed");
        let (mut last, mut seen, mut said) = (None, 0, 100);
        allow(&allowed, said);
        let arguments = json!({"count": COUNT, "allowed": allowed});
        let mut reply = client.call_with_progress("1", "1", &format!("{prefix}steps"), arguments).await;
        // The event without a message, to come back to.
        steps(&mut reply, 1, &mut last, &mut seen).await;
        for cut in 0..cuts {
            // What was said is never further ahead of what was read than a stream keeps.
            said = said.max(seen + random.below(200));
            allow(&allowed, said);
            let ended = steps(&mut reply, random.below((said - seen).min(9) + 1), &mut last, &mut seen).await;
            assert!(ended.is_none(), "{path}: {ended:?}");
            reply = client.resume(last.as_deref().expect("an id")).await;
            assert_eq!(reply.head.status, 200, "{path} {cut}");
        }
        assert!(seen > 2 * cuts && seen < COUNT, "{seen} steps in {cuts} cuts");
        allow(&allowed, COUNT);
        let answer = steps(&mut reply, u64::MAX, &mut last, &mut seen).await.expect("an answer");
        assert_eq!((&answer["id"], answer.get("result").is_some(), seen), (&json!(1), true, COUNT), "{path}");
    }
}

#[tokio::test]
async fn past_the_bound_a_stream_ends_with_an_error_of_its_request() {
    let stage = stage().await;
    let folder = tempfile::tempdir().expect("a folder");
    for (name, count, pad) in [("many", 300, 0), ("long", 40, 40_000)] {
        let client = stage.legacy("/mcp/old").await;
        let allowed = folder.path().join(name);
        allow(&allowed, 1);
        let arguments = json!({"count": count, "pad": pad, "allowed": allowed});
        let mut reply = client.call_with_progress("\"r\"", "1", "steps", arguments).await;
        let (mut last, mut seen) = (None, 0);
        steps(&mut reply, 2, &mut last, &mut seen).await;
        assert_eq!(seen, 1, "{name}");
        drop(reply);
        allow(&allowed, count);
        let error = wait::until("the loss", || async {
            let (_, mut messages) = rest(client.resume(last.as_deref().expect("an id")).await).await;
            let answer = messages.pop().expect("an answer");
            Some(answer).filter(|answer| answer.get("error").is_some())
        })
        .await;
        assert_eq!((&error["id"], &error["error"]["code"]), (&json!("r"), &json!(-31410)), "{name}");
        assert_eq!(error["error"]["data"]["reason"], "events-lost", "{name}");
        let next = client.call("2", "echo", json!({})).await.answer().await;
        assert!(next.get("result").is_some(), "{name}: {next}");
    }
}

/// Kilobytes of memory that the gate has.
fn resident(gate: &Gate) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gate.pid())).expect("a running gate");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[tokio::test]
async fn a_reader_that_never_reads_stalls_its_own_instance_and_takes_bounded_memory() {
    const COUNT: u64 = 4000;
    let stage = stage().await;
    for (path, prefix) in [("/mcp/old", ""), ("/mcp/pair", "web__")] {
        let (client, other) = (stage.legacy(path).await, stage.legacy(path).await);
        for client in [&client, &other] {
            client.call("0", &format!("{prefix}echo"), json!({})).await.answer().await;
        }
        let before = resident(&stage.gate);
        let arguments = json!({"count": COUNT, "pad": 16_000});
        let mut reply = client.call_with_progress("1", "1", &format!("{prefix}steps"), arguments).await;
        for _ in 0..50 {
            assert_eq!(other.call("2", &format!("{prefix}echo"), json!({})).await.answer().await["id"], 2, "{path}");
        }
        let taken = resident(&stage.gate).saturating_sub(before);
        assert!(taken < 12_000, "{path}: {taken} kB for one stream of {} kB", COUNT * 16);
        let (mut last, mut seen) = (None, 0);
        let answer = steps(&mut reply, u64::MAX, &mut last, &mut seen).await.expect("an answer");
        assert_eq!((&answer["id"], seen), (&json!(1), COUNT), "{path}: nothing was lost");
    }
}

#[tokio::test]
async fn a_reader_that_never_reads_loses_its_stream_at_a_shared_instance_which_goes_on() {
    const COUNT: u64 = 4000;
    for per in ["client", "all"] {
        let server = Stdio::new(Speaks::Legacy);
        let lines = format!("{}instances = {{ per = \"{per}\" }}\n", server.command());
        let gate = Setup::default().server("old", &lines).start().await;
        let client = Caller::legacy(&gate, "/mcp/old").await;
        let arguments = json!({"count": COUNT, "pad": 16_000});
        let mut reply = client.call_with_progress("1", "1", "steps", arguments).await;
        // Behind all that the other call says.
        let answer = client.call("2", "echo", json!({})).await.answer().await;
        assert_eq!(answer["id"], 2, "{per}");
        server
            .record
            .until("that it was given up", |received| received.message["method"] == "notifications/cancelled")
            .await;
        let (mut last, mut seen) = (None, 0);
        let answer = steps(&mut reply, u64::MAX, &mut last, &mut seen).await.expect("an answer");
        assert_eq!(answer["error"]["data"]["reason"], "events-lost", "{per}: {answer}");
        assert!(seen < COUNT, "{per}: {seen}");
    }
}

#[tokio::test]
async fn a_session_keeps_so_many_streams_and_says_which_it_has_not() {
    let stage = Stage::with(|setup| setup, "").await;
    let client = stage.legacy("/mcp/old").await;
    let mut firsts = Vec::new();
    for number in 0..80 {
        let mut reply = client.call_with_progress(&number.to_string(), "1", "progress", json!({})).await;
        firsts.push(reply.event().await.expect("an event").id.expect("an id"));
        rest(reply).await;
    }
    let mut lost = 0;
    for (number, first) in firsts.iter().enumerate() {
        let (_, mut messages) = rest(client.resume(first).await).await;
        let answer = messages.pop().expect("an answer");
        assert_eq!(answer["id"], number);
        lost += usize::from(answer.get("error").is_some());
        assert_eq!(answer.get("error").is_some(), number < 16, "{number}: {answer}");
    }
    assert_eq!(lost, 16);
}

#[tokio::test]
async fn modern_clients_get_no_ids() {
    let web = Http::start(Speaks::Both).await;
    let new = Stdio::new(Speaks::Both);
    let gate = Setup::default().server("web", &web.endpoints()).server("new", &new.command()).start().await;
    for tool in ["web__progress", "new__progress"] {
        let mut reply = Caller::modern(&gate, "/mcp").call_with_progress("1", "1", tool, json!({})).await;
        while let Some(event) = reply.event().await {
            assert_eq!(event.id, None, "{tool}");
        }
    }
}
