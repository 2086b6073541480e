//! `/metrics`, as Prometheus would read it.

use std::collections::HashMap;

use serde_json::json;
use toolgate_tests::caller::Caller;
use toolgate_tests::gate::free_port;
use toolgate_tests::http::{Target, request};

use crate::stage::Stage;

/// The text of one scrape.
async fn scrape(target: &Target) -> String {
    let mut connection = target.connect().await.expect("a connection");
    let (head, body) =
        connection.exchange(&request("GET", "/metrics", "localhost", &[], b"")).await.expect("an answer");
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    String::from_utf8(body).expect("text")
}

/// Samples by what stands before their value.
fn samples(text: &str) -> HashMap<&str, f64> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
            (name, value.parse().unwrap_or_else(|_| panic!("no number: {line}")))
        })
        .collect()
}

#[tokio::test]
async fn calls_are_found_in_the_metrics_that_dashboards_know() {
    let port = free_port();
    let internal =
        format!("[listener.internal]\naddress = [\"127.0.0.1:{port}\"]\nserve = [\"metrics\"]\nplain = true\n");
    let stage =
        Stage::with(|setup| setup.table(&internal), "breaker = { failures = 5 }\ncache = { size = \"1MiB\" }\n").await;
    let client = Caller::modern(&stage.gate, "/mcp/web");
    for (id, tool) in ["echo", "fail", "echo"].into_iter().enumerate() {
        client.call(&format!("{}", id + 1), tool, json!({})).await.answer().await;
    }
    client.request("9", "resources/read", json!({"uri": "mem://one"})).await.answer().await;
    let session = Caller::legacy(&stage.gate, "/mcp/old").await;
    session.call_with_progress("1", "7", "progress", json!({})).await.text().await;
    let text = scrape(&Target::plain(port)).await;
    let samples = samples(&text);
    let value = |name: &str| *samples.get(name).unwrap_or_else(|| panic!("no {name}:\n{text}"));
    assert!(
        (value("mcp_tool_executions_total{server=\"web\",tool_name=\"echo\",status=\"success\"}") - 2.0).abs() < 0.1
    );
    assert!(value("mcp_tool_executions_total{server=\"web\",tool_name=\"_other\",status=\"error\"}") > 0.0);
    assert!(value("mcp_resource_requests_total{server=\"web\",resource_type=\"mem\",status=\"success\"}") > 0.0);
    for name in [
        "mcp_http_request_duration_seconds_count{method=\"POST\",route=\"/mcp/web\",status_code=\"200\"}",
        "mcp_http_request_duration_seconds_bucket{method=\"POST\",route=\"/mcp/web\",status_code=\"200\",le=\"+Inf\"}",
        "mcp_request_duration_seconds_count{server=\"web\",method=\"tools/call\",status=\"success\"}",
        "mcp_request_duration_seconds_count{server=\"web\",method=\"tools/call\",status=\"error\"}",
        "toolgate_phase_duration_seconds_sum{server=\"web\",phase=\"first_byte\"}",
        "mcp_active_connections",
        "mcp_active_sessions",
        "mcp_sessions_created_total",
        "mcp_stream_events_total",
        "mcp_stream_update_latency_seconds_count",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_start_time_seconds",
        "toolgate_received_bytes_total{server=\"web\"}",
        "toolgate_sent_bytes_total{server=\"web\"}",
        "toolgate_instances_started_total{server=\"old\"}",
        "toolgate_breaker_state{server=\"old\",endpoint=\"\",state=\"closed\"}",
        "toolgate_server_up{server=\"web\"}",
        "toolgate_ready",
    ] {
        assert!(value(name) > 0.0, "{name}:\n{text}");
    }
    well_formed(&text);
    // Nobody else is told.
    let mut public = stage.gate.target().connect().await.expect("a connection");
    let (head, _) = public.exchange(&request("GET", "/metrics", "localhost", &[], b"")).await.expect("an answer");
    assert_eq!(head.status, 404);
}

/// Each metric is announced once, with help and type, before its samples; no sample stands there twice.
fn well_formed(text: &str) {
    let mut announced = Vec::new();
    let mut seen = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, _) = rest.split_once(' ').expect("a type");
            assert!(!announced.contains(&name), "{name} is announced twice");
            announced.push(name);
        } else if !line.starts_with('#') {
            let last = announced.last().expect("a type before the first sample");
            assert!(line.starts_with(last), "{line} is not of {last}");
            let (sample, _) = line.rsplit_once(' ').expect("a value");
            assert!(!seen.contains(&sample), "{sample} is there twice");
            seen.push(sample);
        }
    }
    assert!(announced.len() > 40, "{announced:?}");
}
