//! A client on rmcp over reqwest, in the era that PLAN names: `rmcp_client PLAN`.
//!
//! Does what `tests/peers/clients/steps.py` and `features.py` do and prints the same line of JSON. It is an example and not a
//! binary, since rmcp is here as a peer to test with, and no dependency of anything that is built to be used.

#[expect(deprecated, reason = "what 2026-07-28 deprecates, clients still use")]
mod features;
#[expect(deprecated, reason = "what 2026-07-28 deprecates, clients still use")]
mod heard;

use std::time::Duration;

use rmcp::model::{CallToolRequest, CallToolRequestParams, CallToolResult, ClientRequest, ProtocolVersion};
use rmcp::service::{
    ClientLifecycleMode, PeerRequestOptions, RoleClient, RunningService, ServiceError, serve_client_with_lifecycle,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::{Value, json};

use crate::features::features;
use crate::heard::Heard;

type Service = RunningService<RoleClient, Heard>;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let plan: Value = serde_json::from_str(&std::env::args().nth(1).expect("usage: rmcp_client PLAN")).expect("JSON");
    let heard = Heard::default();
    let service = connect(&plan, heard.clone()).await;
    let seen = match plan["mode"].as_str() {
        Some("refusal") => refusal(&service, &plan).await,
        Some("features") => features(&service, &plan, &heard).await,
        _ => calls(&service, &plan, &heard).await,
    };
    println!("{seen}");
    service.cancel().await.expect("an orderly end");
}

async fn connect(plan: &Value, heard: Heard) -> Service {
    let mut config = StreamableHttpClientTransportConfig::with_uri(plan["url"].as_str().expect("a URL"));
    config.auth_header = plan["key"].as_str().map(ToOwned::to_owned);
    let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
    let lifecycle = match plan["era"].as_str() {
        Some("modern") => ClientLifecycleMode::Discover { preferred_versions },
        Some("auto") => ClientLifecycleMode::Auto { preferred_versions, legacy_version: None },
        _ => ClientLifecycleMode::Initialize,
    };
    let transport = StreamableHttpClientTransport::from_config(config);
    serve_client_with_lifecycle(heard, transport, lifecycle).await.expect("a connection")
}

async fn calls(service: &Service, plan: &Value, heard: &Heard) -> Value {
    let tools = service.list_all_tools().await.expect("the list of tools");
    let tools: Vec<_> = tools.iter().map(|tool| tool.name.to_string()).collect();
    let succeed = shown(service.call_tool(params(&plan["succeed"])).await);
    let fail = shown(service.call_tool(params(&plan["fail"])).await);
    let progressed = shown(service.call_tool(params(&plan["progress"])).await);
    // Progress is dispatched beside answers: what came on the same stream may be counted a moment later.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let progress = heard.notes().progress;
    let cancel = cancelled(service, params(&plan["cancel"])).await;
    let after = shown(service.call_tool(params(&plan["succeed"])).await);
    json!({"tools": tools, "succeed": succeed, "fail": fail, "progressed": progressed, "progress": progress,
        "cancel": cancel, "after": after})
}

async fn refusal(service: &Service, plan: &Value) -> Value {
    let first = shown(service.call_tool(params(&plan["succeed"])).await);
    let refused = shown(service.call_tool(params(&plan["succeed"])).await);
    let mut after = refused.clone();
    for _ in 0..40 {
        if after["failed"] == false {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        after = shown(service.call_tool(params(&plan["succeed"])).await);
    }
    json!({"first": first, "refused": refused, "after": after})
}

async fn cancelled(service: &Service, params: CallToolRequestParams) -> Value {
    let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
    let handle =
        service.send_cancellable_request(request, PeerRequestOptions::no_options()).await.expect("a request in flight");
    tokio::time::sleep(Duration::from_millis(700)).await;
    let ended = handle.rx.is_terminated() || !handle.rx.is_empty();
    let sent = handle.cancel(Some("no longer wanted".to_owned())).await;
    json!({"failed": !ended && sent.is_ok(), "text": "cancelled"})
}

fn params(step: &Value) -> CallToolRequestParams {
    let mut params = CallToolRequestParams::new(step["tool"].as_str().expect("a tool").to_owned());
    params.arguments = step["arguments"].as_object().cloned();
    params
}

fn shown(outcome: Result<CallToolResult, ServiceError>) -> Value {
    match outcome {
        Ok(result) => {
            let result = serde_json::to_value(result).expect("JSON");
            let content = result["content"].as_array().cloned().unwrap_or_default();
            let texts: Vec<_> = content.iter().map(|item| item["text"].as_str().unwrap_or("?")).collect();
            json!({"failed": result["isError"] == true, "text": texts.join(" ")})
        }
        Err(error) => json!({"failed": true, "text": error.to_string()}),
    }
}
