//! Clients of the legacy era, in front of each kind of server.

use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::stdio::Stdio;
use toolgate_tests::gate::Setup;
use toolgate_tests::mcp::Era;

use crate::stage::{LEGACY, between, names, stage};

/// Written as no serialiser would.
const PARAMS: &str = r#"{ "arguments" : {"big":123456789012345678901234567890,"one":1.0,"a":"\u0041\/","deep":[null,{}]}, "name": "NAME","unknown":{"x":1E5} }"#;

#[tokio::test]
async fn a_session_opens_pings_and_ends() {
    let stage = stage().await;
    for (path, _) in LEGACY {
        let client = stage.legacy(path).await;
        assert_eq!(
            client.request("\"p\"", "ping", json!({})).await.text().await,
            r#"{"jsonrpc":"2.0","id":"p","result":{}}"#,
            "{path}"
        );
        assert_eq!(client.end().await, 200, "{path}");
        assert_eq!(client.request("1", "ping", json!({})).await.head.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_single_server_introduces_itself_in_its_own_words() {
    let stage = stage().await;
    for path in ["/mcp/web", "/mcp/old", "/mcp/solo"] {
        let text = Caller::new(&stage.gate, path, Era::Legacy).initialize().await.text().await;
        assert!(
            text.contains(r#""serverInfo":{"name":"fake","version":"1","x":12345678901234567890}"#),
            "{path}: {text}"
        );
        assert!(text.contains(r#""protocolVersion":"2025-11-25""#), "{path}: {text}");
    }
    let merged = Caller::new(&stage.gate, "/mcp/pair", Era::Legacy).initialize().await.answer().await;
    assert_eq!(merged["result"]["serverInfo"]["name"], "toolgate");
    assert_eq!(merged["result"]["capabilities"]["tools"]["listChanged"], true);
}

#[tokio::test]
async fn the_agreed_version_is_the_one_that_was_asked_for_or_the_newest_of_the_era() {
    let stage = stage().await;
    for path in ["/mcp/old", "/mcp/pair"] {
        for (asked, agreed) in
            [("2025-03-26", "2025-03-26"), ("2024-11-05", "2024-11-05"), ("1999-01-01", "2025-11-25")]
        {
            let client = Caller::new(&stage.gate, path, Era::Legacy);
            let params =
                json!({"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}});
            let answer = client.request("1", "initialize", params).await.answer().await;
            assert_eq!(answer["result"]["protocolVersion"], agreed, "{path}");
        }
    }
}

#[tokio::test]
async fn unknown_fields_and_big_numbers_pass_both_ways_byte_for_byte() {
    let stage = stage().await;
    for (path, prefix) in LEGACY {
        let client = stage.legacy(path).await;
        let params = PARAMS.replace("NAME", &format!("{prefix}echo"));
        let text = client
            .post(&format!(
                r#"{{"x":{{}},"jsonrpc":"2.0","id":18446744073709551617,"method":"tools/call","params":{params}}}"#
            ))
            .await
            .text()
            .await;
        let echoed = between(&text, r#""params":"#, "}}");
        assert_eq!(echoed, PARAMS.replace("NAME", "echo"), "{path} {prefix}");
        assert!(text.contains(r#""id":18446744073709551617,"#), "{path} {prefix}: {text}");
        let odd = client.call("\"\\u0041\"", &format!("{prefix}odd"), json!({})).await.text().await;
        assert_eq!(
            odd,
            format!(
                r#"{{"extra":{{"x":1e400}},"id":"\u0041","result":{},"jsonrpc":"2.0"}}"#,
                toolgate_tests::fake::ODD
            ),
            "{path} {prefix}"
        );
    }
}

#[tokio::test]
async fn results_tool_errors_and_json_rpc_errors_pass() {
    let stage = stage().await;
    for (path, prefix) in LEGACY {
        let client = stage.legacy(path).await;
        let failed = client.call("1", &format!("{prefix}fail"), json!({})).await.answer().await;
        assert_eq!(failed["result"]["isError"], true, "{path} {prefix}");
        let error = client.call("2", &format!("{prefix}error"), json!({})).await;
        assert_eq!(error.head.status, 200, "{path} {prefix}");
        let error = error.answer().await;
        assert_eq!(
            (&error["error"]["code"], &error["error"]["data"]),
            (&json!(-32042), &json!({"n": 1})),
            "{path} {prefix}"
        );
    }
}

#[tokio::test]
async fn methods_that_the_gate_does_not_know_pass_to_a_single_server() {
    let stage = stage().await;
    for path in ["/mcp/web", "/mcp/old", "/mcp/solo"] {
        let answer = stage.legacy(path).await.request("1", "x/thing", json!({"n": 1})).await.answer().await;
        assert_eq!(answer["result"]["method"], "x/thing", "{path}");
    }
    let answer = stage.legacy("/mcp/pair").await.request("1", "x/thing", json!({})).await.answer().await;
    assert_eq!(answer["error"]["code"], -32601);
}

#[tokio::test]
async fn lists_come_in_the_pages_of_the_server() {
    let stage = stage().await;
    for path in ["/mcp/web", "/mcp/old", "/mcp/solo"] {
        let client = stage.legacy(path).await;
        let first = client.request("1", "tools/list", json!({})).await.answer().await;
        assert_eq!(names(&first, "tools", "name"), ["echo", "secret"], "{path}");
        let second =
            client.request("2", "tools/list", json!({"cursor": first["result"]["nextCursor"]})).await.answer().await;
        assert_eq!(names(&second, "tools", "name"), ["fail", "task"], "{path}");
    }
}

#[tokio::test]
async fn progress_comes_under_the_client_s_token_whatever_it_is() {
    let stage = stage().await;
    for (path, prefix) in LEGACY {
        let client = stage.legacy(path).await;
        for token in ["\"t\"", "1", "-7"] {
            let mut reply = client.call_with_progress("1", token, &format!("{prefix}progress"), json!({})).await;
            assert!(reply.head.is_stream(), "{path} {prefix}");
            let progress = reply.message().await;
            assert_eq!(progress["params"]["progressToken"].to_string(), token, "{path} {prefix}");
            let answer = reply.message().await;
            assert_eq!(answer["id"], 1, "{path} {prefix}");
            assert_eq!(answer["result"]["content"], json!([]), "{path} {prefix}");
            assert!(reply.next().await.is_none(), "{path} {prefix}");
        }
    }
}

#[tokio::test]
async fn a_cancellation_reaches_the_server_under_the_id_that_the_request_has_there() {
    let stage = stage().await;
    for (path, prefix) in LEGACY {
        let client = stage.legacy(path).await;
        let tool = format!("{prefix}silent");
        let params = json!({"_nothing": path});
        let arguments = json!({"mark": format!("{path}{prefix}")});
        let call = tokio::spawn({
            let (client, tool, arguments) = (client.clone(), tool.clone(), arguments.clone());
            async move { client.call("\"c\"", &tool, arguments).await }
        });
        let record = stage.record(path, prefix);
        let called = record.until("the call", |received| received.message["params"]["arguments"] == arguments).await;
        let sent = client
            .notify("notifications/cancelled", json!({"requestId": "c", "reason": "enough", "extra": params}))
            .await;
        assert_eq!(sent, 202, "{path} {prefix}");
        let cancelled = record
            .until("the cancellation", |received| {
                received.message["method"] == "notifications/cancelled"
                    && received.who == called.who
                    && received.message["params"]["extra"]["_nothing"] == path
            })
            .await;
        assert_eq!(cancelled.message["params"]["requestId"], called.message["id"], "{path} {prefix}");
        call.abort();
    }
}

#[tokio::test]
async fn a_legacy_client_that_goes_away_cancels_nothing() {
    let stage = stage().await;
    let folder = tempfile::tempdir().expect("a folder");
    for (number, (path, prefix)) in LEGACY.into_iter().enumerate() {
        let client = stage.legacy(path).await;
        let until = folder.path().join(number.to_string());
        let mut reply = client.call_with_progress("5", "5", &format!("{prefix}hold"), json!({"until": until})).await;
        reply.message().await;
        drop(reply);
        // The next call on the same session is answered while the first still runs, and after it.
        let answer = client.call("6", &format!("{prefix}echo"), json!({})).await.answer().await;
        assert_eq!(answer["id"], 6, "{path} {prefix}");
        std::fs::write(&until, "").expect("a file");
        let answer = client.call("7", &format!("{prefix}echo"), json!({})).await.answer().await;
        assert_eq!(answer["id"], 7, "{path} {prefix}");
        let cancelled = stage.record(path, prefix).of("notifications/cancelled");
        assert!(cancelled.is_empty(), "{path} {prefix}: {cancelled:?}");
    }
}

#[tokio::test]
async fn list_changes_reach_the_session_s_stream() {
    let stage = stage().await;
    for (path, prefix) in LEGACY {
        let client = stage.legacy(path).await;
        // The server must know the session before it can say anything to it.
        client.call("1", &format!("{prefix}echo"), json!({})).await.answer().await;
        let mut stream = client.stream().await;
        assert_eq!(stream.head.status, 200, "{path} {prefix}");
        if path == "/mcp/web" || prefix == "web__" {
            stage.web_stream("tools/call").await;
        }
        client.call("2", &format!("{prefix}change"), json!({})).await.answer().await;
        assert_eq!(stream.message().await["method"], "notifications/tools/list_changed", "{path} {prefix}");
    }
}

#[tokio::test]
async fn a_second_stream_takes_the_place_of_the_first() {
    let stage = stage().await;
    for path in ["/mcp/old", "/mcp/pair"] {
        let client = stage.legacy(path).await;
        let mut first = client.stream().await;
        let second = client.stream().await;
        assert_eq!(second.head.status, 200, "{path}");
        assert!(first.next().await.is_none(), "{path}");
    }
}

#[tokio::test]
async fn the_log_level_is_told_to_instances_that_start_later() {
    let stage = stage().await;
    for path in ["/mcp/old", "/mcp/pair"] {
        let client = stage.legacy(path).await;
        let level = json!({"level": "debug", "for": path});
        assert_eq!(
            client.request("1", "logging/setLevel", level.clone()).await.answer().await["result"],
            json!({}),
            "{path}"
        );
        let prefix = if path == "/mcp/pair" { "old__" } else { "" };
        client.call("2", &format!("{prefix}echo"), json!({"for": path})).await.answer().await;
        let called =
            stage.old.record.until("the call", |received| received.message["params"]["arguments"]["for"] == path).await;
        let told = stage.old.record.until("the level", |received| received.message["params"] == level).await;
        assert_eq!(told.who, called.who, "{path}");
    }
}

#[tokio::test]
async fn each_session_has_an_instance_of_its_own_which_ends_with_it() {
    let stage = stage().await;
    let (one, two) = (stage.legacy("/mcp/old").await, stage.legacy("/mcp/old").await);
    one.call("1", "echo", json!({"for": "one"})).await.answer().await;
    two.call("1", "echo", json!({"for": "two"})).await.answer().await;
    let who = async |mark: &str| {
        stage.old.record.until(mark, |received| received.message["params"]["arguments"]["for"] == mark).await.who
    };
    let (first, second) = (who("one").await, who("two").await);
    assert_ne!(first, second);
    assert_eq!(one.end().await, 200);
    stage.old.record.until("its end", |received| received.who == first && received.message["closed"] == true).await;
    assert_eq!(two.call("2", "echo", json!({})).await.answer().await["id"], 2);
}

#[tokio::test]
async fn instances_are_shared_as_far_as_the_configuration_says() {
    for (per, alike) in [("client", [true, false]), ("all", [true, true])] {
        let server = Stdio::new(Speaks::Legacy);
        let lines = format!("{}instances = {{ per = \"{per}\" }}\n", server.command());
        let gate = Setup::default().server("old", &lines).key("other", "").start().await;
        let other = Caller::new(&gate, "/mcp/old", Era::Legacy)
            .with("Authorization", &format!("Bearer {}", gate.key_of("other")));
        let first = Caller::legacy(&gate, "/mcp/old").await;
        let clients = [first.clone(), Caller::legacy(&gate, "/mcp/old").await, other.opened().await];
        for client in &clients {
            let answer = client.call_with_progress("1", "1", "progress", json!({})).await.answer().await;
            assert_eq!(answer["id"], 1, "{per}");
        }
        let who: Vec<_> = server.record.of("tools/call").into_iter().map(|received| received.who).collect();
        assert_eq!([who[0] == who[1], who[0] == who[2]], alike, "{per}");
        assert_eq!(first.end().await, 200, "{per}");
        assert!(clients[1].call("2", "echo", json!({})).await.answer().await.get("result").is_some(), "{per}");
        let last = server.record.of("tools/call").pop().expect("a call");
        assert_eq!(last.who, who[1], "{per}: it goes on for the others");
    }
}

#[tokio::test]
async fn a_session_is_its_client_s_alone_and_on_its_path_alone() {
    let stage = stage().await;
    for (path, _) in LEGACY {
        let client = stage.legacy(path).await;
        let thief = stage.other(client.clone());
        let ping = thief.request("1", "ping", json!({})).await;
        assert_eq!(ping.head.status, 404, "{path}");
        assert_eq!(thief.stream().await.head.status, 404, "{path}");
        assert_eq!(thief.end().await, 404, "{path}");
        let mut elsewhere = Caller::new(&stage.gate, "/mcp", Era::Legacy);
        elsewhere.session.clone_from(&client.session);
        assert_eq!(elsewhere.request("1", "ping", json!({})).await.head.status, 404, "{path}");
        assert_eq!(client.request("1", "ping", json!({})).await.head.status, 200, "{path}");
    }
}

#[tokio::test]
async fn without_a_session_there_is_a_400_and_with_an_unknown_one_a_404() {
    let stage = stage().await;
    for path in ["/mcp/old", "/mcp/pair", "/mcp/solo"] {
        let client = Caller::new(&stage.gate, path, Era::Legacy);
        let none = client.request("1", "tools/list", json!({})).await;
        assert_eq!(none.head.status, 400, "{path}");
        assert_eq!(none.answer().await["id"], 1, "{path}");
        for id in ["00000000000000000000000000000000", "nonsense"] {
            let mut unknown = client.clone();
            unknown.session = Some(id.to_owned());
            assert_eq!(unknown.request("1", "tools/list", json!({})).await.head.status, 404, "{path}");
            assert_eq!(unknown.stream().await.head.status, 404, "{path}");
        }
    }
}

#[tokio::test]
async fn a_batch_is_refused_with_what_to_do() {
    let stage = stage().await;
    for (path, _) in LEGACY {
        let client = stage.legacy(path).await;
        let reply =
            client.post(r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"ping"}]"#).await;
        assert_eq!(reply.head.status, 400, "{path}");
        let answer = reply.answer().await;
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(-32600), &Value::Null), "{path}");
        assert!(answer["error"]["message"].as_str().expect("a message").contains("Batches"), "{path}: {answer}");
    }
}
