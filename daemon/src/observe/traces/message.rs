//! Finished calls as OTLP says them: a span for each, with one below it for each phase.
//!
//! Names are those of OpenTelemetry's semantic conventions for MCP; what has none there begins with `toolgate.`.
//! Arguments and answers are never among them, and what others have chosen is shown as it is in the log.

use std::fmt::Display;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use toolgate_protocol::method::Method;

use super::finished::Finished;
use crate::config::settings::{self, Transport};
use crate::listen::connection::Protocol;
use crate::observe::Shown;
use crate::observe::ledger::Outcome;

/// The span was recorded (W3C), and it is known whether its parent is another program's, which it is not.
const OURS: u32 = 0x101;
/// The same, of a span whose parent is.
const CALLED: u32 = 0x301;

/// What is sent to a collector.
pub(super) fn request(batch: &[Finished], service: &str, instance: &str) -> ExportTraceServiceRequest {
    let spans = batch.iter().flat_map(spans).collect();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let scope = InstrumentationScope { name: "toolgated".to_owned(), version: version.clone(), ..Default::default() };
    let attributes = vec![
        text("service.name", service),
        text("service.version", version),
        text("service.instance.id", instance),
        text("process.pid", std::process::id()),
    ];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes, ..Default::default() }),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans, ..Default::default() }],
            ..Default::default()
        }],
    }
}

fn spans(call: &Finished) -> Vec<Span> {
    let traced = &call.traced;
    let nanos = |us: u64| us.saturating_mul(1_000);
    let start = call.ended.saturating_sub(nanos(call.spent.total));
    let base = Span {
        trace_id: traced.trace.bytes().to_vec(),
        trace_state: traced.state().unwrap_or_default().to_owned(),
        flags: OURS,
        ..Default::default()
    };
    let mut all = vec![Span {
        span_id: traced.span.bytes().to_vec(),
        parent_span_id: traced.parent.map(|parent| parent.bytes().to_vec()).unwrap_or_default(),
        flags: if traced.parent.is_some() { CALLED } else { OURS },
        name: name(call),
        kind: SpanKind::Server as i32,
        start_time_unix_nano: start,
        end_time_unix_nano: call.ended,
        attributes: attributes(call),
        links: traced.link.iter().map(link).collect(),
        status: status(call),
        ..base.clone()
    }];
    let mut at = start + nanos(call.spent.read);
    for (number, (phase, us)) in (1..).zip(call.phases()) {
        let end = at + nanos(us);
        all.push(Span {
            span_id: traced.span.nth(number).bytes().to_vec(),
            parent_span_id: traced.span.bytes().to_vec(),
            name: phase.to_owned(),
            kind: SpanKind::Internal as i32,
            start_time_unix_nano: at,
            end_time_unix_nano: end,
            attributes: call.server.as_deref().map(upstream).unwrap_or_default(),
            ..base.clone()
        });
        at = end;
    }
    all
}

fn link(said: &toolgate_protocol::trace::Parent) -> Link {
    Link {
        trace_id: said.trace.bytes().to_vec(),
        span_id: said.span.bytes().to_vec(),
        flags: 0x300 | u32::from(said.sampled),
        ..Default::default()
    }
}

/// `tools/call search`: few names in all, for what nobody answered may be made up.
fn name(call: &Finished) -> String {
    let Some(method) = call.method else { return "request".to_owned() };
    let is_known = matches!(call.outcome, Outcome::Ok | Outcome::Error);
    match method {
        Method::ToolsCall | Method::PromptsGet if is_known => format!("{} {}", method.as_str(), Shown(&call.name)),
        _ => method.as_str().to_owned(),
    }
}

fn status(call: &Finished) -> Option<Status> {
    // What a client is to blame for is no failure of the one that it calls.
    let failed = call.outcome == Outcome::Error;
    failed.then(|| Status { code: StatusCode::Error as i32, message: error(call).unwrap_or_default().to_owned() })
}

/// `error.type`.
fn error(call: &Finished) -> Option<&'static str> {
    match (call.outcome, call.failure, call.method) {
        (Outcome::Ok, ..) => None,
        (_, "", Some(Method::ToolsCall)) if call.outcome == Outcome::Error => Some("tool_error"),
        (Outcome::Gone, "", _) => Some("gone"),
        (_, "", _) => Some("_OTHER"),
        (_, failure, _) => Some(failure),
    }
}

fn attributes(call: &Finished) -> Vec<KeyValue> {
    let mut all = vec![
        text("toolgate.call.id", call.id),
        text("toolgate.listener", &call.listener.name),
        text("toolgate.outcome", call.outcome.word()),
        text("client.address", call.address),
        number("http.response.status_code", i64::from(call.status)),
        text("network.transport", "tcp"),
        text("network.protocol.name", "http"),
        text("network.protocol.version", if call.protocol == Protocol::Http2 { "2" } else { "1.1" }),
    ];
    if let Some(method) = call.method {
        all.push(text("mcp.method.name", method.as_str()));
        all.extend(target(method, &call.name));
    }
    all.extend(call.revision.map(|revision| text("mcp.protocol.version", revision)));
    all.extend(error(call).map(|error| text("error.type", error)));
    // Not the session's id, which lets its holder use it.
    all.extend(call.session.map(|session| text("toolgate.session", session)));
    if let Some(client) = &call.client {
        all.push(text("toolgate.client", Shown(&client.id)));
        all.extend(client.tier.as_ref().map(|tier| text("toolgate.tier", &tier.name)));
        all.extend(client.organisation.as_ref().map(|group| text("toolgate.organisation", &group.name)));
    }
    all.extend(call.server.as_ref().map(|server| text("toolgate.server", &server.name)));
    all
}

/// What the request is about.
fn target(method: Method, name: &str) -> Vec<KeyValue> {
    match method {
        Method::ToolsCall => vec![text("gen_ai.operation.name", "execute_tool"), text("gen_ai.tool.name", Shown(name))],
        Method::PromptsGet => vec![text("gen_ai.prompt.name", Shown(name))],
        Method::ResourcesRead => vec![text("mcp.resource.uri", Shown(name))],
        _ => Vec::new(),
    }
}

/// Whom a phase was spent with.
fn upstream(server: &settings::Server) -> Vec<KeyValue> {
    let mut all = vec![text("toolgate.server", &server.name)];
    match &server.transport {
        Transport::Http(http) | Transport::Sse(http) => {
            all.push(text("network.transport", "tcp"));
            // Of several it is not known which it was.
            if let [endpoint] = &http.endpoints[..] {
                all.push(text("server.address", &endpoint.host));
                all.push(number("server.port", i64::from(endpoint.port)));
            }
        }
        Transport::Stdio(_) => all.push(text("network.transport", "pipe")),
    }
    all
}

fn text(key: &str, value: impl Display) -> KeyValue {
    of(key, Value::StringValue(value.to_string()))
}

fn number(key: &str, value: i64) -> KeyValue {
    of(key, Value::IntValue(value))
}

fn of(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}
