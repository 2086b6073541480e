//! Requests that say one thing to whoever decides and another to whoever acts.

use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::mcp::Era;

use crate::arguments::call;
use crate::stage::{Stage, WAYS, Way, unknown};

const ROLE: &str = r#"
[role.few]
allow = ["*/echo", "*/transfer"]
when = [{ tool = "*/transfer", argument = "/amount", at_most = 10 }]
"#;

async fn stage() -> Stage {
    Stage::with(|setup| setup.table(ROLE).key("fewer", "roles = [\"few\"]")).await
}

/// The members of `_meta` that a modern request has.
fn meta(way: Way) -> String {
    if way.era == Era::Legacy {
        return String::new();
    }
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}});
    format!(",\"_meta\":{meta}")
}

fn with_headers(client: &Caller, way: Way, name: &str) -> Caller {
    if way.era == Era::Legacy {
        return client.clone();
    }
    let client = client.clone().with("MCP-Protocol-Version", "2026-07-28");
    client.with("Mcp-Method", "tools/call").with("Mcp-Name", name)
}

#[tokio::test]
async fn the_body_decides_and_a_header_that_says_otherwise_is_refused() {
    let stage = stage().await;
    for way in WAYS.into_iter().filter(|way| way.era == Era::Modern) {
        let client = stage.client("fewer", way).await;
        for (header, body) in [("echo", "secret"), ("secret", "echo"), ("Echo", "echo")] {
            let client = with_headers(&client, way, &way.name(header));
            let text = format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{}","arguments":{{}}{}}}}}"#,
                way.name(body),
                meta(way)
            );
            let reply = client.post(&text).await;
            assert_eq!(reply.head.status, 400, "{way:?} {header} {body}");
            assert_eq!(reply.answer().await["error"]["data"]["reason"], "header-mismatch", "{way:?}");
        }
    }
    assert_eq!(stage.called(), Vec::<String>::new());
}

#[tokio::test]
async fn keys_that_stand_twice_or_in_other_letters_are_refused() {
    let stage = stage().await;
    for way in WAYS {
        let client = stage.client("fewer", way).await;
        let (open, closed) = (way.name("echo"), way.name("secret"));
        for members in [
            format!(r#""name":"{open}","name":"{closed}","arguments":{{}}"#),
            format!(r#""name":"{open}","n\u0061me":"{closed}","arguments":{{}}"#),
            format!(r#""name":"{open}","Name":"{closed}","arguments":{{}}"#),
            format!(r#""name":"{open}","arguments":{{}},"ARGUMENTS":{{}}"#),
            format!(r#""name":"{open}","arguments":{{"a":1,"a":2}}"#),
        ] {
            let client = with_headers(&client, way, &open);
            let text =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{members}{}}}}}"#, meta(way));
            let reply = client.post(&text).await;
            let answer = reply.answer().await;
            assert!(answer["error"]["code"].is_number(), "{way:?} {members} {answer}");
        }
        // A name that is escaped is the name that it is.
        let escaped = closed.replace('s', "\\u0073");
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{escaped}","arguments":{{}}{}}}}}"#,
            meta(way)
        );
        let answer = with_headers(&client, way, &closed).post(&text).await.answer().await;
        assert_eq!(answer["error"]["message"], unknown("tool", &closed), "{way:?}");
        let answer = call(&client, way, "transfer", r#"{"amount":5,"amount":5000}"#).await.answer().await;
        assert!(answer["error"]["code"].is_number(), "{way:?} {answer}");
    }
    assert_eq!(stage.called(), Vec::<String>::new());
}

#[tokio::test]
async fn a_server_s_name_within_a_name_leads_nowhere_else() {
    let stage =
        Stage::with(|setup| setup.table("[role.web]\nallow = [\"web/echo\"]\n").key("fewer", "roles = [\"web\"]"))
            .await;
    for way in WAYS.into_iter().filter(|way| ["/mcp/pair", "/mcp/duo"].contains(&way.path)) {
        let client = stage.client("fewer", way).await;
        for name in ["web__new__echo", "new__echo", "old__echo", "web__web__echo", "__echo", "web/echo", "web__/echo"] {
            let answer = client.call("1", name, json!({})).await.answer().await;
            assert_eq!(answer["error"]["message"], unknown("tool", name), "{way:?} {name} {answer}");
        }
    }
    assert_eq!(stage.called(), Vec::<String>::new());
}

#[tokio::test]
async fn messages_of_a_batch_are_decided_each_for_itself() {
    let stage = stage().await;
    for path in ["/mcp/web", "/mcp/old", "/mcp/pair"] {
        let prefix = if path == "/mcp/pair" { "web__" } else { "" };
        let mut client = stage.caller("fewer", path, Era::Legacy).with("MCP-Protocol-Version", "");
        let params =
            json!({"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
        let reply = client.request("0", "initialize", params).await;
        client.session = reply.head.header("mcp-session-id").map(ToOwned::to_owned);
        let _greeting = reply.answer().await;
        let one = |id: u32, tool: &str, arguments: Value| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": format!("{prefix}{tool}"), "arguments": arguments}});
        let batch = json!([
            one(1, "echo", json!({})),
            one(2, "secret", json!({})),
            one(3, "transfer", json!({"amount": 11})),
            one(4, "transfer", json!({"amount": 10}))
        ]);
        let answers = client.post(&batch.to_string()).await.answer().await;
        let outcome = |id: u32| {
            let all = answers.as_array().unwrap_or_else(|| panic!("no array: {answers}"));
            let answer = all.iter().find(|answer| answer["id"] == id).unwrap_or_else(|| panic!("{id}: {answers}"));
            answer["error"]["code"].as_i64()
        };
        assert_eq!([1, 2, 3, 4].map(outcome), [None, Some(-32602), Some(-31403), None], "{path} {answers:?}");
    }
    assert!(stage.called().iter().all(|name| name != "secret"));
}
