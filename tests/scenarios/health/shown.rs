//! What everybody sees, what operators see, and what agents that watch are answered.

use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::Setup;

use crate::stage::Stage;

/// Names of the members of an object.
fn members(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[tokio::test]
async fn everybody_sees_statuses_and_operators_see_why() {
    let setup = Setup::default()
        .server("web", "endpoints = \"http://127.0.0.1:1/mcp\"\nhealth = { interval = \"100ms\", fall = 1 }\n");
    let stage = Stage::start(setup).await;
    let inside = stage.until("server:web", "warning").await;
    assert!(inside["checks"]["server:web"]["message"].is_string(), "{inside}");
    for detail in ["system", "pools", "limiter", "alerts"] {
        assert!(inside.get(detail).is_some(), "{detail}: {inside}");
    }
    let (status, outside) = stage.public("/health").await;
    assert_eq!((status, &outside["checks"]["server:web"]["status"]), (200, &json!("warning")));
    let mut shape = members(&outside);
    shape.sort_unstable();
    assert_eq!(shape, ["checks", "memory", "status", "timestamp", "uptime", "version"]);
    for check in outside["checks"].as_object().expect("checks").values() {
        assert!(members(check).iter().all(|member| ["status", "era"].contains(member)), "{check}");
    }
}

#[tokio::test]
async fn health_is_served_where_the_configuration_says() {
    let mut stage = Stage::start(Setup::default()).await;
    stage.gate.change(|setup| setup.table("[health]\npath = \"/healthz\"\n"));
    stage.gate.reload().await;
    assert_eq!(stage.public("/healthz").await.1["status"], "healthy");
    assert_eq!(stage.public("/health").await.0, 404);
}

#[tokio::test]
async fn agents_that_watch_are_answered_whatever_they_leave_out() {
    let web = Http::start(Speaks::Both).await;
    let stage = Stage::start(Setup::default().http("web", &web.url)).await;
    let (status, answer) = stage.inquire(r#"{"method":"get_health_status"}"#).await;
    assert_eq!((status, &answer["id"], &answer["result"]["status"]), (200, &Value::Null, &json!("healthy")));
    assert_eq!(answer["result"].get("system"), None);
    let asked = r#"{"jsonrpc":"2.0","id":"a","method":"get_health_status","params":{"detailed":true}}"#;
    let (_, answer) = stage.inquire(asked).await;
    let result = &answer["result"];
    assert!(answer["id"] == "a" && result["system"]["memory"].is_u64() && result["alerts"].is_array(), "{answer}");
    assert_eq!(stage.inquire(r#"{"method":"shutdown"}"#).await.1["error"]["code"], -32_601);
    assert_eq!(stage.inquire("{").await.0, 400);
    let client = Caller::legacy(&stage.gate, "/mcp/web").await;
    assert!(client.call("1", "echo", json!({})).await.answer().await.get("result").is_some());
    let (_, answer) = stage.inquire(r#"{"method":"list_sessions"}"#).await;
    let session = &answer["result"]["sessions"][0];
    assert_eq!((&answer["result"]["total"], &session["view"]), (&json!(1), &json!("web")), "{answer}");
    let asked = json!({ "id": 1, "method": "tools/call", "params": { "name": "get_session", "arguments": { "id": session["id"] } } });
    let (_, answer) = stage.inquire(&asked.to_string()).await;
    assert_eq!(answer["result"]["structuredContent"]["id"], session["id"], "{answer}");
    let (_, answer) = stage.inquire(r#"{"method":"get_health_status"}"#).await;
    assert!(answer["result"]["method_breakdown"]["tools/call"]["calls"].as_u64() >= Some(1), "{answer}");
    assert_eq!(stage.page("/mcp").await.0, 405);
}

#[tokio::test]
async fn a_missing_secret_is_not_named_to_everybody() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("weather-token");
    let server =
        format!("endpoints = \"http://127.0.0.1:1/mcp\"\ncritical = true\nbearer = \"file:{}\"", secret.display());
    let stage = Stage::start(Setup::default().server("web", &server)).await;
    let name = "weather-token";
    let (status, ready) = stage.public("/ready").await;
    assert_eq!((status, &ready["reason"]), (503, &json!("critical server web fails")));
    assert!(!stage.public("/health").await.1.to_string().contains(name));
    assert!(stage.page("/ready").await.1["reason"].as_str().is_some_and(|reason| reason.contains(name)));
    assert!(stage.health().await["checks"]["server:web"].to_string().contains(name));
}

#[tokio::test]
async fn the_command_line_shows_it() {
    let setup = Setup::default().table("[scaling]\nreplicas = 3\ncpu = \"100%\"\n");
    let stage = Stage::start(setup).await;
    let (code, said) = stage.toolgate(&["health"]);
    assert_eq!(code, 0, "{said}");
    // On a machine that does other things as well, a fourth one may be advised.
    let is_advice = said.contains("3 replicas are right") || said.contains("Scale up from 3 to 4 replicas");
    assert!(said.starts_with("healthy  CPU ") && said.contains("memory*") && is_advice, "{said}");
    assert_eq!(stage.toolgate(&["alerts"]), (0, "There are no alerts.\n".to_owned()));
    let (code, certs) = stage.toolgate(&["certs", "--json"]);
    let certs: Value = serde_json::from_str(&certs).expect("JSON");
    assert_eq!((code, &certs["certificates"][0]["listener"]), (0, &json!("test")));
    let advised = stage.health().await["advice"].clone();
    assert!(advised["action"] == "stay" || advised["action"] == "up", "{advised}");
    assert_eq!(advised["current"], 3);
}
