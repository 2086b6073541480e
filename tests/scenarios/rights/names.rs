//! Decisions by name: deny before allow, kinds apart, and what is not open looks like what is not there.

use serde_json::{Value, json};
use toolgate_tests::mcp::Era;

use crate::stage::{Stage, WAYS, unknown};

/// What a modern request has in `_meta`.
const META: &str =
    r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

#[tokio::test]
async fn what_is_denied_looks_like_what_does_not_exist() {
    let stage = Stage::with(|setup| {
        setup
            .table("[role.all]\nallow = [\"*/*\"]\n[role.careful]\ndeny = [\"*/secret\", \"*/delete_*\"]\n")
            .key("fewer", "roles = [\"all\", \"careful\"]")
    })
    .await;
    for way in WAYS {
        let client = stage.client("fewer", way).await;
        let answer = client.call("1", &way.name("echo"), json!({})).await.answer().await;
        assert!(answer.get("result").is_some(), "{way:?} {answer}");
        let mut statuses = Vec::new();
        // The first exists, the second does not.
        for denied in ["secret", "delete_all"] {
            let name = way.name(denied);
            let reply = client.call("2", &name, json!({})).await;
            statuses.push(reply.head.status);
            let answer = reply.answer().await;
            assert_eq!(answer["error"]["code"], -32602, "{way:?} {answer}");
            assert_eq!(answer["error"]["message"], unknown("tool", &name), "{way:?}");
            assert_eq!(answer["error"]["data"]["reason"], "name-unknown", "{way:?}");
        }
        assert_eq!(statuses, [200, 200], "{way:?}");
    }
    let called = stage.called();
    assert!(called.iter().all(|name| name == "echo") && called.len() >= WAYS.len(), "{called:?}");
}

#[tokio::test]
async fn names_are_told_apart_by_case() {
    let stage =
        Stage::with(|setup| setup.table("[role.one]\nallow = [\"*/echo\"]\n").key("fewer", "roles = [\"one\"]")).await;
    for way in WAYS {
        let client = stage.client("fewer", way).await;
        for other in ["Echo", "ECHO", "echo ", "echo\u{0}", "ec\u{200b}ho", ""] {
            let answer = client.call("1", &way.name(other), json!({})).await.answer().await;
            assert!(answer.get("result").is_none(), "{way:?} {other:?} {answer}");
        }
    }
    assert_eq!(stage.called(), Vec::<String>::new());
}

#[tokio::test]
async fn tools_prompts_and_resources_are_opened_each_for_itself() {
    let stage = Stage::with(|setup| {
        setup
            .table("[role.kinds]\nallow = [\"*/tool:echo\", \"*/prompt:greet\", \"*/resource:mem://x*\"]\n")
            .key("fewer", "roles = [\"kinds\"]")
    })
    .await;
    for way in WAYS {
        let client = stage.client("fewer", way).await;
        let argument = json!({"name": "a", "value": "b"});
        let prompt = |name: &str| json!({"ref": {"type": "ref/prompt", "name": way.name(name)}, "argument": argument});
        let template = |uri: &str| json!({"ref": {"type": "ref/resource", "uri": way.uri(uri)}, "argument": argument});
        let mut asked = vec![
            ("tools/call", json!({"name": way.name("echo"), "arguments": {}}), true),
            ("tools/call", json!({"name": way.name("greet"), "arguments": {}}), false),
            ("tools/call", json!({"name": way.name("mem://x"), "arguments": {}}), false),
            ("prompts/get", json!({"name": way.name("greet")}), true),
            ("prompts/get", json!({"name": way.name("echo")}), false),
            ("resources/read", json!({"uri": way.uri("mem://x1")}), true),
            ("resources/read", json!({"uri": way.uri("mem://one")}), false),
            ("resources/read", json!({"uri": way.uri("greet")}), false),
            ("completion/complete", prompt("greet"), true),
            ("completion/complete", prompt("echo"), false),
            ("completion/complete", template("mem://x{id}"), true),
            ("completion/complete", template("mem://{id}"), false),
        ];
        if way.era == Era::Legacy {
            asked.push(("resources/subscribe", json!({"uri": way.uri("mem://x1")}), true));
            asked.push(("resources/subscribe", json!({"uri": way.uri("mem://one")}), false));
        }
        for (method, params, open) in asked {
            let answer = client.request("1", method, params.clone()).await.answer().await;
            assert_eq!(answer.get("result").is_some(), open, "{way:?} {method} {params} {answer}");
            assert!(open || answer["error"]["code"] == -32602, "{way:?} {method} {answer}");
        }
    }
}

#[tokio::test]
async fn a_subscription_names_no_resource_that_is_closed() {
    let stage = Stage::with(|setup| {
        setup.table("[role.x]\nallow = [\"*/resource:mem://x*\"]\n").key("fewer", "roles = [\"x\"]")
    })
    .await;
    for way in WAYS.into_iter().filter(|way| way.era == Era::Modern) {
        let client = stage.client("fewer", way).await;
        let listen = |uris: Value| json!({"notifications": {"resourceSubscriptions": uris}});
        let closed = way.uri("mem://one");
        let params = listen(json!([way.uri("mem://x1"), closed]));
        let answer = client.request("1", "subscriptions/listen", params).await.answer().await;
        assert_eq!(answer["error"]["message"], unknown("resource", &closed), "{way:?}");
        // A number that not every parser takes hides nothing.
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{{"x":1e400,"_meta":{META},"notifications":{{"resourceSubscriptions":["{closed}"]}}}}}}"#
        );
        let raw = client.clone().with("MCP-Protocol-Version", "2026-07-28").with("Mcp-Method", "subscriptions/listen");
        let answer = raw.post(&text).await.answer().await;
        assert_eq!(answer["error"]["message"], unknown("resource", &closed), "{way:?}");
        let mut open = client.request("1", "subscriptions/listen", listen(json!([way.uri("mem://x1")]))).await;
        assert_eq!(open.message().await["method"], "notifications/subscriptions/acknowledged", "{way:?}");
    }
}

#[tokio::test]
async fn a_method_that_no_rule_knows_is_closed_to_whoever_has_rules() {
    let stage =
        Stage::with(|setup| setup.table("[role.one]\nallow = [\"*/echo\"]\n").key("fewer", "roles = [\"one\"]")).await;
    let way = WAYS[0];
    for (key, open) in [("other", true), ("fewer", false)] {
        let client = stage.client(key, way).await;
        let answer = client.request("1", "vendor/anything", json!({"name": "secret"})).await.answer().await;
        assert_eq!(answer.get("result").is_some(), open, "{key} {answer}");
        assert!(open || answer["error"]["code"] == -32601, "{key} {answer}");
        // Nor does it pass as a notification, which nobody answers.
        let told = client.post(r#"{"jsonrpc":"2.0","method":"vendor/told","params":{"name":"secret"}}"#).await;
        assert_eq!(told.head.status == 202, open, "{key}");
        client.post(r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#).await;
    }
    assert_eq!(stage.three.web.record.of("vendor/anything").len(), 1);
    assert_eq!(stage.three.web.record.of("vendor/told").len(), 1);
    assert_eq!(stage.three.web.record.of("notifications/roots/list_changed").len(), 2, "known ones pass");
}

#[tokio::test]
async fn a_server_of_which_nothing_is_open_is_not_there() {
    let stage = Stage::with(|setup| {
        setup
            .table("[role.web]\nallow = [\"web/*\"]\n[role.but]\ndeny = [\"new/*\"]\n")
            .key("fewer", "roles = [\"web\"]")
            .key("butone", "roles = [\"but\"]")
    })
    .await;
    for (key, path) in [("fewer", "/mcp/new"), ("fewer", "/mcp/old"), ("butone", "/mcp/new")] {
        for era in [Era::Legacy, Era::Modern] {
            let mut said = Vec::new();
            for path in [path, "/mcp/nothing"] {
                let client = stage.caller(key, path, era);
                let reply = if era == Era::Legacy {
                    client.initialize().await
                } else {
                    client.request("1", "tools/list", json!({})).await
                };
                let status = reply.head.status;
                let answer = reply.answer().await;
                said.push((status, answer["error"]["message"].clone(), answer["error"]["code"].clone()));
            }
            assert_eq!(said[0], said[1], "{key} {path} {era:?}");
            assert_eq!(said[0].0, 404, "{key} {path} {era:?}");
        }
    }
    // What else is behind the path is there all the same.
    for way in WAYS.into_iter().filter(|way| way.server == "web") {
        let client = stage.client("fewer", way).await;
        assert!(client.call("1", &way.name("echo"), json!({})).await.answer().await.get("result").is_some());
    }
}

#[tokio::test]
async fn roles_of_an_organisation_are_its_clients_and_scopes_narrow_them() {
    let stage = Stage::with(|setup| {
        setup
            .table("[role.a]\nallow = [\"*/echo\"]\n[role.b]\nallow = [\"*/progress\"]\n")
            .table("[organisation.acme]\nroles = [\"a\"]\n")
            .key("member", "organisation = \"acme\"\nroles = [\"b\"]")
            .key("narrow", "organisation = \"acme\"\nscopes = [\"web/*\", \"*/progress\"]")
    })
    .await;
    for way in WAYS {
        for (key, tool, open) in [
            ("member", "echo", true),
            ("member", "progress", true),
            ("member", "secret", false),
            ("narrow", "echo", way.server == "web"),
            ("narrow", "progress", false),
        ] {
            let client = stage.caller(key, way.path, way.era);
            if key == "narrow" && ["/mcp/old", "/mcp/new"].contains(&way.path) {
                continue;
            }
            let client = if way.era == Era::Legacy { client.opened().await } else { client };
            let answer = client.call("1", &way.name(tool), json!({})).await.answer().await;
            assert_eq!(answer.get("result").is_some(), open, "{way:?} {key} {tool} {answer}");
        }
    }
    let (_, clients) = stage.gate.control("GET", "/v1/clients").await;
    let rows = clients["clients"].as_array().expect("clients");
    let member = rows.iter().find(|row| row["id"] == "key:member").expect("a row");
    assert_eq!((&member["organisation"], &member["roles"]), (&json!("acme"), &json!(["b", "a"])), "{member}");
}

#[tokio::test]
async fn a_changed_role_holds_for_the_next_call_of_an_open_session() {
    let role = |allow: &str| format!("[role.one]\nallow = [\"*/{allow}\"]\n");
    let mut stage = Stage::with(|setup| setup.table(&role("echo")).key("fewer", "roles = [\"one\"]")).await;
    let mut open = Vec::new();
    for way in WAYS {
        open.push((way, stage.client("fewer", way).await));
    }
    stage.gate.change(|setup| setup.without_table("[role.one]").table(&role("progress")));
    stage.gate.reload().await;
    for (way, client) in open {
        for (tool, may) in [("echo", false), ("progress", true)] {
            let answer = client.call("1", &way.name(tool), json!({})).await.answer().await;
            assert_eq!(answer.get("result").is_some(), may, "{way:?} {tool} {answer}");
        }
    }
}

#[tokio::test]
async fn a_session_is_its_clients_alone() {
    let stage =
        Stage::with(|setup| setup.table("[role.all]\nallow = [\"*/*\"]\n").key("fewer", "roles = [\"all\"]")).await;
    for path in ["/mcp/web", "/mcp/old", "/mcp/pair"] {
        let client = stage.caller("fewer", path, Era::Legacy).opened().await;
        let session = client.session.clone().expect("a session");
        let digits = session.chars().filter(char::is_ascii_hexdigit).count();
        assert!(digits >= 32 || session.len() >= 22, "128 bits: {session}");
        let mut thief = stage.caller("other", path, Era::Legacy);
        thief.session = Some(session.clone());
        let stolen = thief.request("1", "ping", json!({})).await;
        thief.session = Some("0".repeat(session.len()));
        let unknown = thief.request("1", "ping", json!({})).await;
        assert_eq!((stolen.head.status, unknown.head.status), (404, 404), "{path}");
        assert_eq!(stolen.answer().await["error"]["message"], unknown.answer().await["error"]["message"], "{path}");
        assert!(client.request("1", "ping", json!({})).await.answer().await.get("result").is_some(), "{path}");
    }
}
