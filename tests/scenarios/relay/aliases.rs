//! Names that do not fit into a merged view, and the aliases that mend them.

use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::record::Offer;
use toolgate_tests::gate::Gate;
use toolgate_tests::http::request;
use toolgate_tests::mcp::Era;

use crate::stage::{Stage, names, stage};

fn long() -> String {
    "a_tool_with_a_very_long_name_".repeat(3)
}

async fn health(gate: &Gate) -> Value {
    let mut connection = gate.target().connect().await.expect("a connection");
    let (_, body) = connection.exchange(&request("GET", "/health", "localhost", &[], b"")).await.expect("an answer");
    serde_json::from_slice(&body).expect("JSON")
}

async fn warnings(gate: &Gate) -> Vec<String> {
    let (_, status) = gate.control("GET", "/v1/status").await;
    let warnings = status["warnings"].as_array().expect("warnings");
    warnings.iter().map(|warning| warning.as_str().expect("a text").to_owned()).collect()
}

async fn listed(client: &Caller, kind: &str) -> Vec<String> {
    let page = client.request("1", &format!("{kind}/list"), json!({})).await.answer().await;
    names(&page, kind, "name")
}

async fn clients(stage: &Stage, scope: Option<&str>) -> Vec<Caller> {
    let mut clients = Vec::new();
    for (path, era) in [("/mcp/pair", Era::Legacy), ("/mcp/duo", Era::Modern)] {
        let mut client = Caller::new(&stage.gate, path, era);
        if let Some(key) = scope {
            client = client.with("Authorization", &format!("Bearer {}", stage.gate.key_of(key)));
        }
        clients.push(if era == Era::Legacy { client.opened().await } else { client });
    }
    clients
}

#[tokio::test]
async fn a_name_that_is_too_long_is_named_with_the_line_that_mends_it() {
    let mut stage = stage().await;
    stage.web.record.offer(&Offer { names: vec![long(), "short".to_owned()], ..Offer::default() });
    for client in clients(&stage, None).await {
        for _ in 0..3 {
            assert!(!listed(&client, "tools").await.iter().any(|name| name.starts_with("web__a_tool")));
        }
    }
    let check = health(&stage.gate).await["checks"]["server:web"].clone();
    assert_eq!(check["status"], "warning", "{check}");
    let told = check["message"].as_str().expect("a message").to_owned();
    assert_eq!(warnings(&stage.gate).await, [told.as_str()]);
    assert_eq!(stage.gate.log().matches("a name is left out of merged views").count(), 1, "once, not per list");
    let line = told.rsplit("[server.web]: ").next().expect("a line").to_owned();
    let lines = format!("{}{line}\n", stage.web.endpoints());
    stage.gate.change(|setup| setup.server("web", &lines));
    stage.gate.reload().await;
    for client in clients(&stage, None).await {
        assert_eq!(listed(&client, "tools").await.iter().filter(|name| name.starts_with("web__")).count(), 2);
    }
    assert!(warnings(&stage.gate).await.is_empty());
    assert_eq!(health(&stage.gate).await["checks"]["server:web"]["status"], "healthy");
}

#[tokio::test]
async fn what_is_called_by_its_alias_is_known_to_all_rules_by_its_own_name() {
    let own = long();
    let aliases =
        format!("aliases = {{ brief = {own:?}, plain = \"echo\", fail = \"secret\" }}\ntools.deny = [\"secret\"]\n");
    let stage = Stage::with(
        |setup| {
            setup.key("open", &format!("scopes = [\"*/{own}\"]")).key("closed", "scopes = [\"*/brief\", \"*/plain\"]")
        },
        &aliases,
    )
    .await;
    for record in [&stage.web.record, &stage.old.record, &stage.new.record] {
        record.offer(&Offer { names: vec!["echo".to_owned(), own.clone(), "secret".to_owned()], ..Offer::default() });
    }
    for (client, second) in clients(&stage, None).await.into_iter().zip(["old", "new"]) {
        for server in ["web", second] {
            let (brief, plain) = (format!("{server}__brief"), format!("{server}__plain"));
            for kind in ["tools", "prompts"] {
                let listed = listed(&client, kind).await;
                assert!(listed.contains(&brief) && listed.contains(&plain), "{kind}: {listed:?}");
                assert!(!listed.contains(&format!("{server}__echo")), "{kind}: {listed:?}");
            }
            let called = client.call("1", &brief, json!({"n": 1})).await.answer().await;
            assert_eq!(called["result"]["params"]["name"], own.as_str(), "{called}");
            let prompt = client.request("2", "prompts/get", json!({"name": plain})).await.answer().await;
            assert_eq!(prompt["result"]["params"]["name"], "echo", "{prompt}");
            let reference =
                json!({"ref": {"type": "ref/prompt", "name": brief}, "argument": {"name": "a", "value": "b"}});
            let completed = client.request("3", "completion/complete", reference).await.answer().await;
            assert_eq!(completed["result"]["params"]["ref"]["name"], own.as_str(), "{completed}");
            // An alias opens nothing that is denied, and a refusal names what was asked for.
            let denied = client.call("4", &format!("{server}__fail"), json!({})).await.answer().await;
            let told = denied["error"]["message"].as_str().expect("a message");
            assert!(told.starts_with(&format!("Unknown tool: {server}__fail.")), "{told}");
        }
    }
    for (key, open) in [("open", true), ("closed", false)] {
        for client in clients(&stage, Some(key)).await {
            let listed = listed(&client, "tools").await;
            assert_eq!(listed.contains(&"web__brief".to_owned()), open, "{key}: {listed:?}");
            let called = client.call("1", "web__brief", json!({})).await.answer().await;
            assert_eq!(called.get("result").is_some(), open, "{key}: {called}");
        }
    }
    for path in ["/mcp/web", "/mcp/old"] {
        let alone = stage.legacy(path).await;
        assert!(listed(&alone, "tools").await.contains(&own), "{path}: alone it has its own names");
    }
}
