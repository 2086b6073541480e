//! Clients of the modern era, in front of each kind of server.

use std::net::SocketAddr;

use serde_json::{Value, json};
use toolgate_tests::caller::{Caller, Reply};
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::fake::stdio::Stdio;
use toolgate_tests::gate::Setup;

use crate::stage::{MODERN, between, stage};

async fn refused(reply: Reply) -> (u16, Value) {
    (reply.head.status, reply.answer().await["error"]["code"].clone())
}

#[tokio::test]
async fn discovery_names_the_version_and_what_servers_can_do() {
    let stage = stage().await;
    for (path, _) in MODERN {
        let answer = stage.modern(path).request("\"d\"", "server/discover", json!({})).await.answer().await;
        let result = &answer["result"];
        assert_eq!(answer["id"], "d", "{path}");
        assert_eq!(result["supportedVersions"], json!(["2026-07-28"]), "{path}");
        assert_eq!(result["resultType"], "complete", "{path}");
        assert!(result["ttlMs"].is_u64() && result["cacheScope"].is_string(), "{path}: {result}");
        assert_eq!(result["capabilities"]["tools"]["listChanged"], true, "{path}");
    }
}

#[tokio::test]
async fn lists_carry_what_the_era_demands() {
    let stage = stage().await;
    for (path, _) in MODERN {
        for (method, member) in [
            ("tools/list", "tools"),
            ("prompts/list", "prompts"),
            ("resources/list", "resources"),
            ("resources/templates/list", "resourceTemplates"),
        ] {
            let answer = stage.modern(path).request("1", method, json!({})).await.answer().await;
            let result = &answer["result"];
            assert!(!result[member].as_array().expect("entries").is_empty(), "{path} {method}: {answer}");
            assert_eq!(result["resultType"], "complete", "{path} {method}");
            assert_eq!(result["ttlMs"], 60000, "{path} {method}");
            assert_eq!(result["cacheScope"], "public", "{path} {method}");
        }
    }
}

#[tokio::test]
async fn calls_pass_both_ways_byte_for_byte() {
    let stage = stage().await;
    for (path, prefix) in MODERN {
        let client = stage.modern(path);
        let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"x":1.0}"#;
        let params = |name: &str| {
            format!(r#"{{ "arguments":{{"big":123456789012345678901234567890}}, {meta},"name":"{name}" }}"#)
        };
        let text = client
            .post(&format!(
                r#"{{"jsonrpc":"2.0","id":1.0,"method":"tools/call","params":{}}}"#,
                params(&format!("{prefix}echo"))
            ))
            .await
            .text()
            .await;
        assert_eq!(between(&text, r#""params":"#, r#","resultType""#), params("echo"), "{path} {prefix}");
        assert!(text.contains(r#""id":1.0,"#), "{path} {prefix}: {text}");
        let odd = client.call("1", &format!("{prefix}odd"), json!({})).await.text().await;
        assert!(odd.contains(toolgate_tests::fake::ODD) && odd.contains("1e400"), "{path} {prefix}: {odd}");
        let failed = client.call("1", &format!("{prefix}fail"), json!({})).await.answer().await;
        assert_eq!(failed["result"]["isError"], true, "{path} {prefix}");
    }
}

#[tokio::test]
async fn headers_name_the_tool_as_the_server_knows_it() {
    let stage = stage().await;
    for prefix in ["", "web__"] {
        let path = if prefix.is_empty() { "/mcp/web" } else { "/mcp/duo" };
        let client = stage.modern(path).with("Mcp-Param-Region", "eu").with("traceparent", "00-1-2-01");
        client.call("1", &format!("{prefix}echo"), json!({"for": path})).await.answer().await;
        let called =
            stage.web.record.until("the call", |received| received.message["params"]["arguments"]["for"] == path).await;
        assert_eq!(called.headers["mcp-name"], "echo", "{path}");
        assert_eq!(called.headers["mcp-method"], "tools/call", "{path}");
        assert_eq!(called.headers["mcp-param-region"], "eu", "{path}");
        assert_eq!(called.headers["traceparent"], "00-1-2-01", "{path}");
        assert_eq!(called.headers.get("authorization"), None, "{path}");
    }
}

#[tokio::test]
async fn progress_comes_on_the_call_s_stream_before_its_answer() {
    let stage = stage().await;
    for (path, prefix) in MODERN {
        for token in ["\"t\"", "1"] {
            let mut reply =
                stage.modern(path).call_with_progress("9", token, &format!("{prefix}progress"), json!({})).await;
            assert!(reply.head.is_stream(), "{path} {prefix}");
            assert_eq!(reply.message().await["params"]["progressToken"].to_string(), token, "{path} {prefix}");
            assert_eq!(reply.message().await["id"], 9, "{path} {prefix}");
            assert!(reply.next().await.is_none(), "{path} {prefix}");
        }
    }
}

#[tokio::test]
async fn clients_that_number_alike_on_one_instance_never_meet() {
    let stage = stage().await;
    let folder = tempfile::tempdir().expect("a folder");
    let held = folder.path().join("go");
    let mut replies = Vec::new();
    for (number, client) in [stage.modern("/mcp/new"), stage.other(stage.modern("/mcp/new"))].into_iter().enumerate() {
        let arguments = json!({"until": held, "mark": number});
        let mut reply = client.call_with_progress("1", "1", "hold", arguments).await;
        assert_eq!(reply.message().await["params"]["progressToken"], 1);
        replies.push(reply);
    }
    let calls: Vec<_> = stage.new.record.of("tools/call");
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].who, calls[1].who, "the instance is shared");
    assert_ne!(calls[0].message["id"], calls[1].message["id"]);
    std::fs::write(&held, "").expect("a file");
    for (number, mut reply) in replies.into_iter().enumerate() {
        let answer = reply.message().await;
        assert_eq!(answer["result"]["params"]["arguments"]["mark"], number, "{answer}");
        assert_eq!(answer["id"], 1);
    }
}

#[tokio::test]
async fn a_closed_stream_cancels() {
    let stage = stage().await;
    let folder = tempfile::tempdir().expect("a folder");
    for (path, prefix) in MODERN {
        let mark = format!("{path}{prefix}");
        let arguments = json!({"until": folder.path().join("never"), "mark": mark});
        let mut reply = stage.modern(path).call_with_progress("1", "1", &format!("{prefix}hold"), arguments).await;
        reply.message().await;
        let record = stage.record(path, prefix);
        let called =
            record.until("the call", |received| received.message["params"]["arguments"]["mark"] == *mark).await;
        drop(reply);
        record
            .until(&format!("the end of {mark}"), |received| match prefix {
                "web__" => {
                    received.message["closed"] == called.message["id"]
                        && received.headers["x-request-id"] == called.headers["x-request-id"]
                }
                _ if path == "/mcp/web" => received.message["closed"] == 1,
                _ => received.cancels(&called),
            })
            .await;
    }
}

#[tokio::test]
async fn a_client_that_goes_away_before_the_first_byte_cancels_too() {
    let stage = stage().await;
    for (path, prefix) in MODERN {
        let mark = format!("{path}{prefix}");
        let client = stage.modern(path);
        let (tool, arguments) = (format!("{prefix}silent"), json!({"mark": mark}));
        let call = tokio::spawn(async move { client.call("1", &tool, arguments).await });
        let record = stage.record(path, prefix);
        let called =
            record.until("the call", |received| received.message["params"]["arguments"]["mark"] == *mark).await;
        call.abort();
        record
            .until(&format!("the end of {mark}"), |received| {
                received.message["closed"] == called.message["id"] || received.cancels(&called)
            })
            .await;
    }
}

#[tokio::test]
async fn what_the_revision_removed_is_not_found() {
    let stage = stage().await;
    for path in ["/mcp/new", "/mcp/duo"] {
        for method in ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"] {
            let params = json!({"uri": "mem://one", "protocolVersion": "2026-07-28"});
            assert_eq!(
                refused(stage.modern(path).request("1", method, params).await).await,
                (404, json!(-32601)),
                "{path} {method}"
            );
        }
        assert_eq!(stage.modern(path).stream().await.head.status, 405, "{path}");
        assert_eq!(stage.modern(path).end().await, 405, "{path}");
    }
}

#[tokio::test]
async fn requests_that_lack_what_the_revision_demands_are_refused() {
    let stage = stage().await;
    for path in ["/mcp/new", "/mcp/duo", "/mcp/web"] {
        let client = stage.modern(path);
        let version = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
        // A mirrored server judges by itself what else it demands.
        for meta in ["", version].into_iter().filter(|meta| meta.is_empty() || path != "/mcp/web") {
            let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{"_meta":{{{meta}}}}}}}"#);
            assert_eq!(refused(client.post(&body).await).await, (400, json!(-32602)), "{path} {meta}");
        }
        let wrong_method = client.clone().with("Mcp-Method", "tools/call").request("1", "tools/list", json!({})).await;
        assert_eq!(refused(wrong_method).await, (400, json!(-32020)), "{path}");
        let wrong_name = client.clone().with("Mcp-Name", "other").call("1", "echo", json!({})).await;
        assert_eq!(refused(wrong_name).await, (400, json!(-32020)), "{path}");
        let no_name = client.clone().with("Mcp-Name", "").call("1", "echo", json!({})).await;
        assert_eq!(refused(no_name).await, (400, json!(-32020)), "{path}");
    }
}

#[tokio::test]
async fn an_unknown_version_is_refused_with_those_that_are_served() {
    let stage = stage().await;
    for path in ["/mcp/new", "/mcp/duo"] {
        let client = stage.modern(path).with("MCP-Protocol-Version", "2031-01-01");
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2031-01-01","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
        let reply = client.post(body).await;
        assert_eq!(reply.head.status, 400, "{path}");
        let error = reply.answer().await["error"].clone();
        assert_eq!(error["code"], -32022, "{path}");
        assert_eq!(error["data"]["requested"], "2031-01-01", "{path}");
        assert!(error["data"]["supported"].as_array().expect("versions").contains(&json!("2026-07-28")), "{path}");
    }
}

#[tokio::test]
async fn a_subscription_carries_the_client_s_id_and_what_servers_announce() {
    let stage = stage().await;
    for (path, prefix) in MODERN {
        let client = stage.modern(path);
        let uri = if prefix.is_empty() {
            "mem://one".to_owned()
        } else {
            format!("{}+mem://one", prefix.trim_end_matches('_'))
        };
        let wanted = json!({"toolsListChanged": true, "resourceSubscriptions": [uri]});
        let mut stream = client.request("\"s\"", "subscriptions/listen", json!({"notifications": wanted})).await;
        let acknowledged = stream.message().await;
        assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged", "{path} {prefix}");
        assert_eq!(acknowledged["params"]["notifications"], wanted, "{path} {prefix}");
        let id = |message: &Value| message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"].clone();
        assert_eq!(id(&acknowledged), "s", "{path} {prefix}");
        client.call("1", &format!("{prefix}change"), json!({})).await.answer().await;
        let changed = stream.message().await;
        assert_eq!(changed["method"], "notifications/tools/list_changed", "{path} {prefix}");
        assert_eq!(id(&changed), "s", "{path} {prefix}");
        client.call("2", &format!("{prefix}update"), json!({"uri": "mem://one"})).await.answer().await;
        let updated = stream.message().await;
        assert_eq!(updated["params"]["uri"], uri, "{path} {prefix}");
    }
}

#[tokio::test]
async fn a_subscription_hears_the_instance_that_is_its_client_s_own() {
    for per in ["client", "session"] {
        let (new, other) = (Stdio::new(Speaks::Modern), Stdio::new(Speaks::Modern));
        let gate = Setup::default()
            .server("new", &format!("{}instances = {{ per = \"{per}\" }}\n", new.command()))
            .server("other", &other.command())
            .key("other", "")
            .start()
            .await;
        for (path, prefix, uri) in [("/mcp/new", "", "mem://one"), ("/mcp", "new__", "new+mem://one")] {
            let client = Caller::modern(&gate, path);
            let wanted = json!({"notifications": {"resourceSubscriptions": [uri]}});
            let mut stream = client.request("\"s\"", "subscriptions/listen", wanted.clone()).await;
            assert_eq!(stream.message().await["params"]["notifications"], wanted["notifications"], "{per} {path}");
            let (tool, resource) = (format!("{prefix}update"), json!({"uri": "mem://one"}));
            let stranger = client.clone().with("Authorization", &format!("Bearer {}", gate.key_of("other")));
            assert_eq!(stranger.call("1", &tool, resource.clone()).await.answer().await["id"], 1, "{per} {path}");
            client.call("2", &tool, resource).await.answer().await;
            let updated = stream.message().await;
            assert_eq!(updated["method"], "notifications/resources/updated", "{per} {path}: {updated}");
            assert_eq!(updated["params"]["uri"], uri, "{per} {path}");
            assert_eq!(updated["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "s", "{per} {path}");
            assert!(stream.is_silent().await, "{per} {path}: another client has another instance");
        }
    }
}

#[tokio::test]
async fn a_subscription_ends_when_a_server_that_it_missed_is_back() {
    let (web, old) = (Http::start(Speaks::Both).await, Stdio::new(Speaks::Legacy));
    let address = SocketAddr::from(([127, 0, 0, 1], toolgate_tests::gate::free_port()));
    let gate = Setup::default()
        .server("web", &web.endpoints())
        .server("away", &format!("endpoints = [\"http://{address}/mcp\"]\n"))
        .server("old", &old.command())
        .start()
        .await;
    let client = Caller::modern(&gate, "/mcp");
    let uri = "away+mem://one";
    let wanted = json!({"notifications": {"toolsListChanged": true, "resourceSubscriptions": [uri]}});
    let mut stream = client.request("\"s\"", "subscriptions/listen", wanted.clone()).await;
    let granted = stream.message().await["params"]["notifications"].clone();
    assert_eq!((&granted["toolsListChanged"], granted["resourceSubscriptions"].get(0)), (&json!(true), None));
    client.call("1", "web__change", json!({})).await.answer().await;
    assert_eq!(stream.message().await["method"], "notifications/tools/list_changed", "the others are heard");
    let _away = Http::start_at(Speaks::Both, address).await;
    let end = stream.message().await;
    assert_eq!((&end["id"], &end["result"]["resultType"]), (&json!("s"), &json!("complete")), "{end}");
    let mut stream = client.request("\"t\"", "subscriptions/listen", wanted.clone()).await;
    assert_eq!(stream.message().await["params"]["notifications"], wanted["notifications"]);
    client.call("2", "away__update", json!({"uri": "mem://one"})).await.answer().await;
    assert_eq!(stream.message().await["params"]["uri"], uri);
}

#[tokio::test]
async fn a_closed_subscription_ends_at_the_server() {
    let stage = stage().await;
    for (path, prefix) in [("/mcp/new", ""), ("/mcp/duo", "new__")] {
        let params = json!({"notifications": {"toolsListChanged": true}, "mark": prefix});
        let mut stream = stage.modern(path).request("1", "subscriptions/listen", params).await;
        stream.message().await;
        let asked =
            stage.new.record.until("the subscription", |received| received.message["params"]["mark"] == prefix).await;
        drop(stream);
        stage.new.record.until_cancelled(&asked).await;
    }
}

#[tokio::test]
async fn a_call_that_needs_input_is_repeated_with_the_state_that_the_server_gave() {
    let stage = stage().await;
    for (path, prefix) in MODERN {
        let client = stage.modern(path);
        let first = client.call("1", &format!("{prefix}input"), json!({})).await.text().await;
        assert!(first.contains(r#""requestState":"opaque \u00e9""#), "{path} {prefix}: {first}");
        let params = json!({"name": format!("{prefix}input"), "arguments": {}, "requestState": "opaque é", "inputResponses": {"a": {"action": "accept"}}});
        let second = client.request("2", "tools/call", params).await.answer().await;
        assert_eq!(second["result"]["params"]["requestState"], "opaque é", "{path} {prefix}");
        assert_eq!(second["result"]["params"]["inputResponses"]["a"]["action"], "accept", "{path} {prefix}");
    }
}

#[tokio::test]
async fn a_program_that_ends_or_falls_silent_upon_an_unknown_method_is_a_legacy_one() {
    let (touchy, mute) = (Stdio::new(Speaks::Touchy), Stdio::new(Speaks::Mute));
    let gate = Setup::default()
        .server("touchy", &touchy.command())
        .server("mute", &(mute.command() + "timeout = { connect = \"1s\", first_byte = \"1s\" }\n"))
        .start()
        .await;
    for path in ["/mcp/touchy", "/mcp/mute"] {
        let answer = Caller::modern(&gate, path).request("1", "server/discover", json!({})).await.answer().await;
        assert_eq!(answer["result"]["supportedVersions"], json!(["2026-07-28"]), "{path}: {answer}");
        // The probe must not count as a crash: what comes next is `initialize`.
        let client = Caller::legacy(&gate, path).await;
        assert!(client.call("1", "echo", json!({})).await.answer().await.get("result").is_some(), "{path}");
    }
}
