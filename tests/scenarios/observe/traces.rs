//! Traces: which calls a collector is told of, what their spans say, and what servers are told.

use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::collector::{Collector, Span, attribute, hex};
use toolgate_tests::gate::free_port;
use toolgate_tests::http::{Target, request};
use toolgate_tests::wait;

use crate::stage::Stage;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const NOT_SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// `kind` of a span.
const SERVER: i32 = 2;

fn of(span: &Span, key: &str) -> String {
    attribute(&span.attributes, key).unwrap_or_else(|| panic!("no {key}: {span:?}"))
}

/// The span of a call, and those below it.
async fn trace_of(collector: &Collector, call: &str) -> (Span, Vec<Span>) {
    wait::until("a trace", async || {
        let spans = collector.spans();
        let is_call = |span: &&Span| attribute(&span.attributes, "toolgate.call.id").as_deref() == Some(call);
        let span = spans.iter().find(is_call)?.clone();
        let below = spans.into_iter().filter(|other| other.parent_span_id == span.span_id).collect();
        Some((span, below))
    })
    .await
}

/// `traceparent` in a request's `_meta`.
fn in_message(message: &Value) -> Option<&str> {
    message["params"]["_meta"]["traceparent"].as_str()
}

#[tokio::test]
async fn a_modern_call_goes_on_with_its_callers_trace() {
    let collector = Collector::start().await;
    let table = collector.table("sample = \"0%\"\nheaders.x-token = \"canary-token\"");
    let stage = Stage::with(|setup| setup.table(&table), "").await;
    let client = Caller::modern(&stage.gate, "/mcp/web").with("traceparent", NOT_SAMPLED).with("baggage", "user=7");
    let meta = json!({ "traceparent": PARENT, "tracestate": "vendor=1" });
    let reply = client
        .request("1", "tools/call", json!({"name": "echo", "arguments": {"text": "canary-argument"}, "_meta": meta}))
        .await;
    let id = reply.head.header("x-request-id").expect("an id").to_owned();
    reply.answer().await;

    // Whoever asks about the call finds its trace, and none of a call without.
    let life = stage.get(&format!("/v1/calls/{id}")).await;
    assert_eq!((life["state"].as_str(), life["trace"].as_str()), (Some("ended"), Some(TRACE)), "{life}");
    let other = Caller::modern(&stage.gate, "/mcp/web").call("2", "fail", json!({})).await;
    let untraced = other.head.header("x-request-id").expect("an id").to_owned();
    other.answer().await;
    let life = stage.get(&format!("/v1/calls/{untraced}")).await;
    assert!(life["state"] == "ended" && life.get("trace").is_none(), "{life}");

    let (span, below) = trace_of(&collector, &id).await;
    assert_eq!((hex(&span.trace_id), hex(&span.parent_span_id)), (TRACE.to_owned(), "b7ad6b7169203331".to_owned()));
    assert_eq!((span.name.as_str(), span.kind, span.trace_state.as_str()), ("tools/call echo", SERVER, "vendor=1"));
    assert_eq!(span.flags, 0x301, "its parent is another program's");
    for (key, value) in [
        ("mcp.method.name", "tools/call"),
        ("gen_ai.operation.name", "execute_tool"),
        ("gen_ai.tool.name", "echo"),
        ("mcp.protocol.version", "2026-07-28"),
        ("toolgate.server", "web"),
        ("toolgate.listener", "test"),
        ("toolgate.outcome", "ok"),
        ("http.response.status_code", "200"),
        ("client.address", "127.0.0.1"),
        ("network.protocol.name", "http"),
    ] {
        assert_eq!(of(&span, key), value, "{key}");
    }
    assert!(of(&span, "toolgate.client").starts_with("key:") && span.status.is_none(), "{span:?}");
    // Phases follow on each other within the call.
    assert!(below.iter().any(|phase| phase.name == "first byte"), "{below:?}");
    let mut at = span.start_time_unix_nano;
    for phase in &below {
        assert!(at <= phase.start_time_unix_nano && phase.start_time_unix_nano < phase.end_time_unix_nano, "{phase:?}");
        assert!(phase.end_time_unix_nano <= span.end_time_unix_nano + 1_000, "{phase:?}");
        assert!(phase.trace_id == span.trace_id && attribute(&phase.attributes, "server.port").is_some());
        at = phase.end_time_unix_nano;
    }
    // The server is told the gate's span, wherever the client said something.
    let ours = format!("00-{TRACE}-{}-01", hex(&span.span_id));
    let got = stage.web.record.until_called("echo").await;
    assert_eq!((got.headers["traceparent"].as_str(), in_message(&got.message)), (Some(&*ours), Some(&*ours)));
    assert_eq!(
        (got.headers["tracestate"].as_str(), got.headers["baggage"].as_str()),
        (Some("vendor=1"), Some("user=7"))
    );
    assert_eq!(got.message["params"]["_meta"]["tracestate"], "vendor=1");
    // Whoever is asked knows who asks, and nobody is told what was said.
    let [asked, ..] = &collector.asked()[..] else { panic!("nothing was asked") };
    assert_eq!(asked.line, "POST /v1/traces HTTP/1.1");
    assert_eq!(asked.header("content-type"), Some("application/x-protobuf"));
    assert_eq!(asked.header("x-token"), Some("canary-token"));
    let body = String::from_utf8_lossy(&asked.body);
    assert!(!body.contains("canary-argument") && body.contains("service.name"), "{body}");
}

#[tokio::test]
async fn a_legacy_call_is_traced_over_both_transports() {
    let collector = Collector::start().await;
    let stage = Stage::with(|setup| setup.table(&collector.table("sample = \"100%\"")), "").await;
    for (server, record) in [("web", &stage.web.record), ("old", &stage.old.record)] {
        let client = Caller::legacy(&stage.gate, &format!("/mcp/{server}")).await;
        let params =
            |text: &str| json!({"name": "echo", "arguments": {"text": text}, "_meta": {"traceparent": PARENT}});
        let reply = client.request("1", "tools/call", params("a")).await;
        let id = reply.head.header("x-request-id").expect("an id").to_owned();
        reply.answer().await;
        let (span, _) = trace_of(&collector, &id).await;
        assert_eq!((hex(&span.trace_id).as_str(), of(&span, "mcp.protocol.version").as_str()), (TRACE, "2025-11-25"));
        assert_eq!(of(&span, "toolgate.session").len(), 16, "a handle, and not the session's id");
        let ours = format!("00-{TRACE}-{}-01", hex(&span.span_id));
        let got = record.until_called("echo").await;
        assert_eq!(in_message(&got.message), Some(&*ours), "{server}");
        // Who says nothing in the message has nothing put there; over HTTP its server is told by a header.
        let reply = client.request("2", "tools/call", json!({"name": "echo", "arguments": {"text": "b"}})).await;
        let id = reply.head.header("x-request-id").expect("an id").to_owned();
        reply.answer().await;
        let (span, _) = trace_of(&collector, &id).await;
        assert!(span.parent_span_id.is_empty() && hex(&span.trace_id) != TRACE, "{span:?}");
        let got = record.of("tools/call").pop().expect("a call");
        assert_eq!(in_message(&got.message), None, "{server}");
        let ours = format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id));
        if server == "web" {
            assert_eq!(got.headers["traceparent"].as_str(), Some(&*ours));
        }
    }
}

#[tokio::test]
async fn failures_are_told_apart_and_names_that_nobody_answered_make_no_span_names() {
    let collector = Collector::start().await;
    let stage =
        Stage::with(|setup| setup.table(&collector.table("sample = \"100%\"")), "tools.deny = [\"denied\"]\n").await;
    let client = Caller::modern(&stage.gate, "/mcp/web");
    for (tool, name, error, status) in
        [("fail", "tools/call fail", "tool_error", 2), ("denied", "tools/call", "name-unknown", 0)]
    {
        let reply = client.call("1", tool, json!({})).await;
        let id = reply.head.header("x-request-id").expect("an id").to_owned();
        reply.answer().await;
        let (span, _) = trace_of(&collector, &id).await;
        assert_eq!((span.name.as_str(), of(&span, "error.type").as_str()), (name, error));
        assert_eq!(span.status.as_ref().map_or(0, |status| status.code), status, "{tool}: {span:?}");
    }
}

#[tokio::test]
async fn a_caller_whose_word_is_not_taken_begins_no_trace() {
    let collector = Collector::start().await;
    let lines = "sample = \"0%\"\ntrust_parent = false";
    let mut stage = Stage::with(|setup| setup.table(&collector.table(lines)), "").await;
    let client = Caller::modern(&stage.gate, "/mcp/web");
    let params = json!({"name": "echo", "arguments": {}, "_meta": {"traceparent": PARENT}});
    client.request("1", "tools/call", params.clone()).await.answer().await;
    let got = stage.web.record.until_called("echo").await;
    assert_eq!(in_message(&got.message), Some(PARENT), "what is not traced here passes as it came");
    // A reload has the next one traced, in a trace of its own that refers to the caller's.
    let (from, to) = (collector.table(lines), collector.table("sample = \"100%\"\ntrust_parent = false"));
    stage.gate.change(|setup| setup.without_table("[trace]").table(&to));
    assert_ne!(from, to);
    stage.gate.reload().await;
    let reply = client.request("2", "tools/call", params).await;
    let id = reply.head.header("x-request-id").expect("an id").to_owned();
    reply.answer().await;
    let (span, _) = trace_of(&collector, &id).await;
    assert!(span.parent_span_id.is_empty() && hex(&span.trace_id) != TRACE, "{span:?}");
    assert_eq!(span.links.iter().map(|link| hex(&link.trace_id)).collect::<Vec<_>>(), [TRACE]);
    assert_eq!(collector.spans().iter().filter(|span| span.kind == SERVER).count(), 1);
}

/// What health says of the collector, where it says anything.
async fn check(stage: &Stage) -> Option<String> {
    let health = stage.get("/v1/health").await;
    let checks = health["checks"].as_array().expect("a list");
    let found = checks.iter().find(|check| check["name"] == "traces")?;
    Some(found["message"].as_str().expect("a sentence").to_owned())
}

#[tokio::test]
async fn a_collector_that_is_away_costs_spans_that_are_counted() {
    let port = free_port();
    let internal = format!("[listener.internal]\naddress = [\"127.0.0.1:{port}\"]\nserve = [\"metrics\"]\n");
    let mut collector = Collector::start().await;
    let table = collector.table("sample = \"100%\"\nqueue = 16\nbatch = 4");
    let stage = Stage::with(|setup| setup.table(&internal).table(&table), "").await;
    let number = async |outcome: &str| {
        let mut connection = Target::plain(port).connect().await.expect("a connection");
        let asked = request("GET", "/metrics", "localhost", &[], b"");
        let text = String::from_utf8(connection.exchange(&asked).await.expect("an answer").1).expect("text");
        let name = format!("toolgate_trace_spans_total{{outcome=\"{outcome}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name)).expect("the metric");
        line.parse::<f64>().expect("a number")
    };
    let client = Caller::modern(&stage.gate, "/mcp/web");
    collector.leave();
    for id in 1..=60 {
        client.call(&id.to_string(), "echo", json!({})).await.answer().await;
    }
    let lost = wait::until("lost spans", async || Some(number("lost").await).filter(|lost| *lost > 0.0)).await;
    let said = check(&stage).await.expect("a check");
    assert!(said.starts_with("127.0.0.1 cannot be reached"), "{said}");
    assert!(collector.spans().is_empty() && lost > 20.0, "{lost}");
    // What waits is delivered when it comes back, and what it does not want counts as lost.
    collector.come_back();
    wait::until("what had waited", async || (!collector.spans().is_empty()).then_some(())).await;
    wait::until("health", async || check(&stage).await.is_none().then_some(())).await;
    let before = number("lost").await;
    collector.reject(1);
    client.call("99", "echo", json!({})).await.answer().await;
    wait::until("what was rejected", async || (number("lost").await > before).then_some(())).await;
    assert!(number("sent").await > 0.0);
}

#[tokio::test]
async fn what_waits_is_delivered_at_the_end() {
    let collector = Collector::start().await;
    let table = collector.table("sample = \"100%\"").replace("50ms", "60s");
    let mut stage = Stage::with(|setup| setup.table(&table), "").await;
    Caller::modern(&stage.gate, "/mcp/web").call("1", "echo", json!({})).await.answer().await;
    stage.gate.signal(rustix::process::Signal::TERM);
    stage.gate.ended().await;
    let spans = collector.spans();
    assert!(spans.iter().any(|span| span.name == "tools/call echo"), "{spans:?}");
}
