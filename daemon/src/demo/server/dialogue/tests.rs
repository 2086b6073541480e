use super::*;

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

fn request(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

/// A modern request with everything it needs.
fn stamped(method: &str, mut params: Value) -> Value {
    params["_meta"][VERSION_KEY] = json!(MODERN.as_str());
    params["_meta"][CAPABILITIES_KEY] = json!({});
    request(method, &params)
}

async fn ask(dialogue: &Dialogue, message: &Value) -> Value {
    dialogue.answer(message, &|_| {}).await.expect("an answer").body
}

async fn initialized(version: &str) -> (Dialogue, Value) {
    let dialogue = Dialogue::default();
    let answer = ask(&dialogue, &request("initialize", &json!({ "protocolVersion": version }))).await;
    (dialogue, answer)
}

#[test]
fn every_legacy_revision_is_spoken_and_others_are_answered_with_the_newest() {
    run(async {
        for revision in Revision::ALL.into_iter().filter(|revision| *revision <= LATEST_LEGACY) {
            assert_eq!(initialized(revision.as_str()).await.1["result"]["protocolVersion"], revision.as_str());
        }
        for other in ["2026-07-28", "1999-01-01"] {
            assert_eq!(initialized(other).await.1["result"]["protocolVersion"], LATEST_LEGACY.as_str());
        }
    });
}

#[test]
fn modern_results_say_what_they_are() {
    run(async {
        for method in ["server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list"] {
            let answer = ask(&Dialogue::default(), &stamped(method, json!({}))).await;
            assert_eq!(answer["result"]["resultType"], "complete", "{answer}");
            assert!(answer["result"]["ttlMs"].is_u64() && answer["result"]["cacheScope"] == "public", "{answer}");
        }
        let answer = ask(
            &Dialogue::default(),
            &stamped("tools/call", json!({ "name": "add", "arguments": { "a": 1, "b": 2 } })),
        )
        .await;
        assert_eq!(answer["result"]["structuredContent"]["sum"], 3);
        assert_eq!(answer["result"].get("ttlMs"), None);
    });
}

#[test]
fn an_era_is_kept() {
    run(async {
        let (legacy, _) = initialized("2025-06-18").await;
        assert_eq!(ask(&legacy, &stamped("tools/list", json!({}))).await["error"]["code"], INVALID_REQUEST);
        let modern = Dialogue::default();
        ask(&modern, &stamped("server/discover", json!({}))).await;
        let refused = ask(&modern, &request("initialize", &json!({ "protocolVersion": "2025-06-18" }))).await;
        assert_eq!(refused["error"]["code"], UNSUPPORTED_VERSION);
        assert_eq!(refused["error"]["data"]["supported"], json!(["2026-07-28"]));
    });
}

#[test]
fn removed_methods_are_gone_in_the_modern_era() {
    run(async {
        for method in ["ping", "logging/setLevel", "resources/subscribe"] {
            let reply = Dialogue::default().answer(&stamped(method, json!({})), &|_| {}).await.unwrap();
            assert_eq!((reply.body["error"]["code"].as_i64(), reply.status), (Some(METHOD_NOT_FOUND), 404));
        }
    });
}

#[test]
fn progress_is_told_with_the_token_of_the_caller() {
    run(async {
        let (dialogue, _) = initialized("2025-11-25").await;
        let told = RefCell::new(Vec::new());
        let call = request(
            "tools/call",
            &json!({ "name": "slow", "arguments": { "seconds": 0, "steps": 3 }, "_meta": { "progressToken": "p" } }),
        );
        dialogue.answer(&call, &|message| told.borrow_mut().push(message)).await.unwrap();
        let steps: Vec<_> = told
            .borrow()
            .iter()
            .map(|message| (message["params"]["progressToken"].clone(), message["params"]["progress"].clone()))
            .collect();
        assert_eq!(steps, [1, 2, 3].map(|step| (json!("p"), json!(step))));
    });
}

#[test]
fn a_cancelled_call_gets_no_answer() {
    run(async {
        let (dialogue, _) = initialized("2025-11-25").await;
        let call = request("tools/call", &json!({ "name": "slow", "arguments": { "seconds": 600 } }));
        let cancel =
            |id: Value| json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } });
        let (answer, ()) = tokio::join!(dialogue.answer(&call, &|_| {}), async {
            assert!(dialogue.answer(&cancel(json!("1")), &|_| {}).await.is_none());
            assert_eq!(dialogue.in_flight.borrow().len(), 1, "another id is another request");
            dialogue.answer(&cancel(json!(1)), &|_| {}).await;
        });
        assert!(answer.is_none());
        assert!(dialogue.in_flight.borrow().is_empty());
    });
}

#[test]
fn wrong_arguments_are_results_that_a_model_can_read() {
    run(async {
        let (dialogue, _) = initialized("2025-11-25").await;
        for (tool, arguments) in [
            ("add", json!({ "a": "x" })),
            ("echo", json!({})),
            ("roll", json!({ "sides": 1 })),
            ("slow", json!({ "seconds": -1 })),
            ("fail", json!({})),
        ] {
            let answer = ask(&dialogue, &request("tools/call", &json!({ "name": tool, "arguments": arguments }))).await;
            assert_eq!(answer["result"]["isError"], true, "{tool}: {answer}");
        }
        let unknown = ask(&dialogue, &request("tools/call", &json!({ "name": "none" }))).await;
        assert_eq!(unknown["error"]["code"], INVALID_PARAMS);
    });
}

#[test]
fn a_missing_resource_has_the_code_of_its_era() {
    run(async {
        let (dialogue, _) = initialized("2025-11-25").await;
        let uri = json!({ "uri": "demo://greeting/" });
        assert_eq!(ask(&dialogue, &request("resources/read", &uri)).await["error"]["code"], RESOURCE_NOT_FOUND);
        assert_eq!(ask(&Dialogue::default(), &stamped("resources/read", uri)).await["error"]["code"], INVALID_PARAMS);
    });
}
