//! Several servers as one: names, lists, cursors, and who may see what.

use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::fake::record::Offer;
use toolgate_tests::fake::stdio::Stdio;
use toolgate_tests::gate::Setup;
use toolgate_tests::mcp::Era;
use toolgate_tests::wait::until;

use crate::stage::{Stage, names, stage};

/// Clients of both eras on views of two servers, and the second server's name there.
async fn both(stage: &Stage) -> [(Caller, &'static str); 2] {
    [(stage.legacy("/mcp/pair").await, "old"), (stage.modern("/mcp/duo"), "new")]
}

async fn all_tools(client: &Caller) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let params = if cursor.is_null() { json!({}) } else { json!({"cursor": cursor}) };
        let page = client.request("1", "tools/list", params).await.answer().await;
        found.extend(names(&page, "tools", "name"));
        cursor = page["result"]["nextCursor"].clone();
        if cursor.is_null() {
            return found;
        }
    }
}

#[tokio::test]
async fn tools_have_their_server_s_name_in_front_and_keep_their_bytes() {
    let stage = stage().await;
    for (client, second) in both(&stage).await {
        let page = client.request("1", "tools/list", json!({})).await.text().await;
        let kept = r#"","inputSchema":{"type":"object"},"big":123456789012345678901234567890}"#;
        for server in ["web", second] {
            assert!(page.contains(&format!(r#"{{"name":"{server}__echo{kept}"#)), "{page}");
        }
    }
}

#[tokio::test]
async fn pages_of_all_servers_come_to_an_end_with_every_tool_once() {
    let stage = stage().await;
    for (client, second) in both(&stage).await {
        let mut found = all_tools(&client).await;
        found.sort();
        let mut expected: Vec<String> = ["web", second]
            .iter()
            .flat_map(|server| ["echo", "fail", "secret", "task"].map(|tool| format!("{server}__{tool}")))
            .collect();
        expected.sort();
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn a_cursor_serves_the_client_that_got_it_and_nobody_else() {
    let stage = stage().await;
    for (client, _) in both(&stage).await {
        let page = client.request("1", "tools/list", json!({})).await.answer().await;
        let cursor = page["result"]["nextCursor"].clone();
        assert!(!cursor.as_str().expect("a cursor").contains("second"), "it is sealed");
        let mut stranger = stage.other(client.clone());
        if stranger.session.take().is_some() {
            stranger = stranger.opened().await;
        }
        for forged in [cursor, json!("second"), json!("")] {
            let answer = stranger.request("1", "tools/list", json!({"cursor": forged})).await.answer().await;
            assert_eq!(answer["error"]["code"], -32602, "{answer}");
        }
    }
}

#[tokio::test]
async fn resources_prompts_and_completions_find_their_server() {
    let stage = stage().await;
    for (client, second) in both(&stage).await {
        for server in ["web", second] {
            let uris = client.request("1", "resources/list", json!({})).await.answer().await;
            assert!(names(&uris, "resources", "uri").contains(&format!("{server}+mem://one")), "{uris}");
            let templates = client.request("1", "resources/templates/list", json!({})).await.answer().await;
            assert!(
                names(&templates, "resourceTemplates", "uriTemplate").contains(&format!("{server}+mem://{{id}}")),
                "{templates}"
            );
            let read =
                client.request("2", "resources/read", json!({"uri": format!("{server}+mem://x")})).await.answer().await;
            assert_eq!(read["result"]["params"]["uri"], "mem://x", "{read}");
            let uri = format!("{server}+mem://linked");
            let linked =
                client.call("2", &format!("{server}__link"), json!({"uri": "mem://linked"})).await.answer().await;
            assert_eq!(linked["result"]["content"][0]["uri"], uri, "{linked}");
            assert_eq!(linked["result"]["content"][1]["resource"]["uri"], uri, "{linked}");
            let prompt =
                client.request("3", "prompts/get", json!({"name": format!("{server}__greet")})).await.answer().await;
            assert_eq!(prompt["result"]["params"]["name"], "greet", "{prompt}");
            for (reference, own) in [
                (
                    json!({"type": "ref/prompt", "name": format!("{server}__greet")}),
                    json!({"type": "ref/prompt", "name": "greet"}),
                ),
                (
                    json!({"type": "ref/resource", "uri": format!("{server}+mem://{{id}}")}),
                    json!({"type": "ref/resource", "uri": "mem://{id}"}),
                ),
            ] {
                let params = json!({"ref": reference, "argument": {"name": "a", "value": "b"}});
                let answer = client.request("4", "completion/complete", params).await.answer().await;
                assert_eq!(answer["result"]["params"]["ref"], own, "{answer}");
            }
        }
    }
}

#[tokio::test]
async fn updates_of_resources_name_them_as_the_view_does() {
    let stage = stage().await;
    let client = stage.legacy("/mcp/pair").await;
    for server in ["web", "old"] {
        let uri = format!("{server}+mem://one");
        assert_eq!(
            client.request("1", "resources/subscribe", json!({"uri": uri})).await.answer().await["result"],
            json!({})
        );
        let mut stream = client.stream().await;
        if server == "web" {
            stage.web_stream("resources/subscribe").await;
        }
        client.call("2", &format!("{server}__update"), json!({"uri": "mem://one"})).await.answer().await;
        assert_eq!(stream.message().await["params"]["uri"], uri);
    }
}

#[tokio::test]
async fn a_server_that_is_down_costs_its_own_entries_only() {
    let stage = Stage::with(
        |setup| {
            setup
                .server("down", "endpoints = [\"http://127.0.0.1:1/mcp\"]\n")
                .server("lost", "command = [\"/nonexistent/program\"]\n")
                .table("[profile.some]\nservers = [\"web\", \"down\", \"lost\", \"new\"]\n")
        },
        "",
    )
    .await;
    for era in [Era::Legacy, Era::Modern] {
        let mut client = Caller::new(&stage.gate, "/mcp/some", era);
        if era == Era::Legacy {
            client = client.opened().await;
        }
        let found = all_tools(&client).await;
        assert!(
            found.iter().any(|name| name == "web__echo") && found.iter().any(|name| name == "new__echo"),
            "{era:?}: {found:?}"
        );
        assert!(!found.iter().any(|name| name.starts_with("down") || name.starts_with("lost")), "{era:?}: {found:?}");
        let called = client.call("1", "down__echo", json!({})).await.answer().await;
        assert_eq!(called["error"]["code"], -31503, "{era:?}: {called}");
        let called = client.call("2", "web__echo", json!({})).await;
        assert_eq!(called.head.status, 200, "{era:?}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_holds_a_list_up_once_and_not_for_long() {
    // It takes connections and never says anything.
    let hanging = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/mcp", hanging.local_addr().expect("its address"));
    let stage = Stage::with(
        |setup| setup.http("hanging", &url).table("[profile.some]\nservers = [\"web\", \"hanging\"]\n"),
        "",
    )
    .await;
    // Greeting and lists together wait for it once: else three times its patience would pass ours.
    let client = stage.legacy("/mcp/some").await;
    for _ in 0..10 {
        assert!(all_tools(&client).await.contains(&"web__echo".to_owned()));
    }
}

#[tokio::test]
async fn a_server_that_does_not_list_is_waited_for_once_and_named() {
    let stage = stage().await;
    stage.web.record.offer(&Offer { silent: true, ..Offer::default() });
    let client = stage.modern("/mcp/duo");
    let begun = std::time::Instant::now();
    for _ in 0..10 {
        assert!(all_tools(&client).await.iter().all(|name| name.starts_with("new__")));
    }
    assert!(begun.elapsed().as_secs() < 10, "it was waited for more than once: {:?}", begun.elapsed());
    let (_, status) = stage.gate.control("GET", "/v1/status").await;
    assert!(status["warnings"][0].as_str().is_some_and(|told| told.contains("its tools are missing")), "{status}");
    assert_eq!(stage.gate.log().matches("entries are missing from merged lists").count(), 1);
    stage.web.record.offer(&Offer { names: vec!["back".to_owned()], ..Offer::default() });
    until("its tools", async || all_tools(&client).await.contains(&"web__back".to_owned()).then_some(())).await;
    let (_, status) = stage.gate.control("GET", "/v1/status").await;
    assert_eq!(status["warnings"], json!([]));
}

#[tokio::test]
async fn a_list_without_end_is_cut_where_it_goes_round() {
    let stage = stage().await;
    for cursor in ["", "again"] {
        stage.web.record.offer(&Offer {
            names: vec!["one".to_owned()],
            cursor: Some(cursor.to_owned()),
            ..Offer::default()
        });
        stage.web.record.clear();
        for (client, second) in both(&stage).await {
            let found = all_tools(&client).await;
            // The second page is asked for: the empty string is a cursor like any other.
            assert_eq!(found.iter().filter(|name| *name == "web__one").count(), 2, "{found:?}");
            assert!(found.contains(&format!("{second}__fail")), "{found:?}");
        }
        let asked = stage.web.record.of("tools/list");
        assert_eq!(asked.len(), 4, "{cursor:?}");
        assert_eq!(asked[1].message["params"]["cursor"], cursor);
    }
}

#[tokio::test]
async fn merged_lists_promise_no_more_than_each_of_their_parts() {
    let stage = stage().await;
    let client = stage.modern("/mcp/duo");
    for (web, new, ttl, scope) in [
        (json!({"ttlMs": 5}), json!({}), 5, "public"),
        (json!({"ttlMs": 70000, "cacheScope": "private"}), json!({}), 60000, "private"),
        (json!({"ttlMs": 70000}), json!({"ttlMs": 80000}), 70000, "public"),
        (json!({"ttlMs": null}), json!({}), 0, "public"),
        (json!({"cacheScope": "everybody"}), json!({}), 60000, "private"),
    ] {
        for (record, hints) in [(&stage.web.record, web), (&stage.new.record, new)] {
            record.offer(&Offer { names: vec!["z".to_owned(), "a".to_owned()], hints, ..Offer::default() });
        }
        for kind in ["tools", "prompts"] {
            let page = client.request("1", &format!("{kind}/list"), json!({})).await.answer().await;
            assert_eq!(
                (&page["result"]["ttlMs"], &page["result"]["cacheScope"]),
                (&json!(ttl), &json!(scope)),
                "{page}"
            );
            assert_eq!(page["result"]["resultType"], "complete");
            // The order of the view, and of each server: the same every time.
            assert_eq!(names(&page, kind, "name"), ["web__z", "web__a", "new__z", "new__a"]);
        }
    }
}

#[tokio::test]
async fn filters_of_servers_profiles_and_keys_hold_in_lists_and_for_calls() {
    let stage = Stage::with(
        |setup| {
            setup
                .table("[profile.few]\nservers = [\"web\", \"new\"]\ntools.deny = [\"new__secret\"]\n")
                .table("[profile.one]\nservers = [\"new\"]\ntools.allow = [\"ec*\"]\n")
                .key("scoped", "scopes = [\"web/echo\"]")
        },
        "tools.deny = [\"fail\"]\n",
    )
    .await;
    let scoped = format!("Bearer {}", stage.gate.key_of("scoped"));
    for era in [Era::Legacy, Era::Modern] {
        for (path, key, expected) in [
            ("/mcp/web", None, vec!["echo", "secret", "task"]),
            ("/mcp/new", None, vec!["echo", "secret", "task"]),
            ("/mcp/one", None, vec!["echo"]),
            ("/mcp/few", None, vec!["new__echo", "new__task", "web__echo", "web__secret", "web__task"]),
            ("/mcp/few", Some(&scoped), vec!["web__echo"]),
            ("/mcp/web", Some(&scoped), vec!["echo"]),
        ] {
            let mut client = Caller::new(&stage.gate, path, era);
            if let Some(key) = key {
                client = client.with("Authorization", key);
            }
            if era == Era::Legacy {
                client = client.opened().await;
            }
            let mut found = all_tools(&client).await;
            found.sort();
            assert_eq!(found, expected, "{era:?} {path} {key:?}");
            let prefixes: &[&str] = if path == "/mcp/few" { &["web__", "new__", "nobody__"] } else { &[""] };
            for name in prefixes
                .iter()
                .flat_map(|prefix| ["echo", "secret", "fail", "other"].map(|tool| format!("{prefix}{tool}")))
            {
                let answer = client.call("1", &name, json!({})).await.answer().await;
                let listed = expected.contains(&name.as_str());
                // What is not listed for other reasons than a filter may be called.
                if listed {
                    assert!(answer.get("result").is_some(), "{era:?} {path} {name}: {answer}");
                } else if !name.ends_with("other") || key.is_some() || path == "/mcp/one" || name.starts_with("nobody")
                {
                    assert_eq!(answer["error"]["code"], -32602, "{era:?} {path} {name}: {answer}");
                    let told = answer["error"]["message"].as_str().expect("a message");
                    assert_eq!(told, format!("Unknown tool: {name}. List what there is and use a name from there."));
                }
            }
        }
    }
    let reached: Vec<_> =
        stage.new.record.of("tools/call").into_iter().chain(stage.web.record.of("tools/call")).collect();
    assert!(
        reached.iter().all(|received| received.message["params"]["name"] != "fail"),
        "a denied call reached its server"
    );
}

#[tokio::test]
async fn no_two_requests_have_the_same_id_at_a_server() {
    let stage = stage().await;
    let (one, two) = (stage.legacy("/mcp/pair").await, stage.legacy("/mcp/pair").await);
    let modern = stage.modern("/mcp/duo");
    for client in [&one, &two, &modern] {
        client.request("1", "tools/list", json!({})).await.answer().await;
        let mut reply = client.call_with_progress("1", "1", "web__progress", json!({})).await;
        assert_eq!(reply.message().await["params"]["progressToken"], 1);
        assert_eq!(reply.answer().await["id"], 1);
    }
    let mut ids: Vec<String> = Vec::new();
    for received in stage.web.record.all() {
        if received.message["method"].is_string() && received.message["id"].is_number() {
            ids.push(received.message["id"].to_string());
        }
    }
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all, "ids that were given twice");
}

#[tokio::test]
async fn a_server_that_starts_slowly_is_left_out_until_it_has_started() {
    let slow = Stdio::new(Speaks::Legacy);
    // Longer than a greeting or a merged list waits for one server.
    let command = format!(
        "command = [\"/bin/sh\", \"-c\", 'sleep 6; exec \"$@\"', \"sh\", {}",
        slow.command().trim_start_matches("command = [")
    );
    let web = Http::start(Speaks::Both).await;
    let setup = Setup::default().server("web", &web.endpoints()).server("slow", &command);
    let gate = setup.table("[profile.pair]\nservers = [\"web\", \"slow\"]\n").start().await;
    let client = Caller::legacy(&gate, "/mcp/pair").await;
    assert!(all_tools(&client).await.contains(&"web__echo".to_owned()), "the others are there at once");
    until("its tools", async || all_tools(&client).await.contains(&"slow__echo".to_owned()).then_some(())).await;
    // The session's own instance starts as slowly, and holds up nobody else.
    let held_up = async { client.call("1", "slow__echo", json!({})).await.answer().await };
    let free = async {
        let answer = client.call("2", "web__echo", json!({})).await.answer().await;
        assert!(slow.record.of("tools/call").is_empty(), "it has not waited");
        answer
    };
    let (last, first) = tokio::join!(held_up, free);
    assert!(last["result"].is_object() && first["result"].is_object(), "{last} {first}");
}
