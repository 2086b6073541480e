//! Arguments against the tools' schemas, and answers that are too long.

use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::mcp::Era;
use toolgate_tests::wait;

use crate::stage::{Stage, WAYS, listed, told};

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {"n": {"$ref": "#/$defs/N"}, "mail": {"type": "string", "format": "email"}},
        "required": ["n"],
        "additionalProperties": false,
        "$defs": {"N": {"type": "integer", "minimum": 3}},
    })
}

#[tokio::test]
async fn a_call_that_does_not_fit_never_reaches_its_server() {
    let stage = Stage::new("guard = \"strict\"\n").await;
    stage.offer(&["echo"], &schema());
    for way in WAYS {
        let (client, tool) = (stage.client(way).await, format!("{}echo", way.2));
        // Nobody has listed: the gate finds out by itself.
        let wrong = json!({"n": "many", "mail": "nobody", "odd": 1});
        let answer = client.call("\"a\"", &tool, wrong).await.answer().await;
        assert_eq!(answer["id"], "a");
        let text = told(&answer);
        for part in ["/n: \"many\" is not of type \"integer\"", "/mail: ", "odd"] {
            assert!(text.contains(part), "{way:?} {part}: {text}");
        }
        let complete = answer["result"].get("resultType").is_some_and(|kind| kind == "complete");
        assert_eq!(complete, way.1 == Era::Modern, "{answer}");
        let missing = client.request("2", "tools/call", json!({"name": tool})).await.answer().await;
        assert!(told(&missing).contains("\"n\" is a required property"), "{missing}");
        let fits = client.call("3", &tool, json!({"n": 3, "mail": "a@example.org"})).await.answer().await;
        assert_eq!(fits["result"]["params"]["name"], "echo", "{way:?}: {fits}");
    }
    for call in WAYS.iter().flat_map(|way| stage.record(*way).of("tools/call")) {
        assert_eq!(call.message["params"]["arguments"]["n"], 3, "{}", call.text);
    }
}

#[tokio::test]
async fn what_the_gate_cannot_read_does_not_pass_unchecked() {
    let stage = Stage::new("guard = \"strict\"\n").await;
    stage.offer(&["echo"], &json!({"properties": {"path": {"type": "string", "pattern": "^[a-z]+$"}}}));
    for way in WAYS {
        let (client, tool) = (stage.client(way).await, format!("{}echo", way.2));
        // Tools of tests read JSON as the gate does: what they cannot is put into what they wrote.
        let client = client.with("Mcp-Method", "tools/call").with("Mcp-Name", &tool);
        let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}});
        for beside in [r#""\ud800""#, "1e999"] {
            let mut params = json!({"name": tool, "arguments": {"path": "../../x", "y": "PLACE"}});
            if way.1 == Era::Modern {
                params["_meta"] = meta.clone();
            }
            let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
            let answer = client.post(&call.to_string().replace("\"PLACE\"", beside)).await.answer().await;
            assert!(told(&answer).contains("cannot be read"), "{way:?} {beside}: {answer}");
        }
    }
    assert!(WAYS.iter().all(|way| stage.record(*way).of("tools/call").is_empty()));
}

#[tokio::test]
async fn it_may_only_be_logged() {
    let stage = Stage::new("guard = \"log\"\n").await;
    stage.offer(&["echo"], &schema());
    for way in [WAYS[0], WAYS[5], WAYS[7], WAYS[8]] {
        let client = stage.client(way).await;
        let tool = format!("{}echo", way.2);
        assert!(listed(&client).await.contains(&tool));
        let said = || stage.gate.log().matches("arguments do not fit the tool's inputSchema").count();
        let before = said();
        wait::until("a line in the log", async || {
            let answer = client.call("1", &tool, json!({"n": "sesame"})).await.answer().await;
            assert_eq!(answer["result"]["params"]["name"], "echo", "{way:?}: {answer}");
            (said() > before).then_some(())
        })
        .await;
    }
    assert!(!stage.gate.log().contains("sesame"), "arguments may be secret");
}

#[tokio::test]
async fn off_is_off() {
    let stage = Stage::new("guard = \"off\"\npin = \"off\"\n").await;
    stage.offer(&["echo"], &schema());
    let client = stage.client(WAYS[0]).await;
    listed(&client).await;
    client.call("1", "echo", json!({"n": "many"})).await.answer().await;
    assert!(!stage.gate.log().contains("do not fit"));
}

#[tokio::test]
async fn a_schema_that_was_changed_holds_for_the_next_call() {
    let stage = Stage::new("guard = \"strict\"\n").await;
    stage.offer(&["echo"], &schema());
    for way in [WAYS[1], WAYS[4], WAYS[6]] {
        let (client, tool) = (stage.client(way).await, format!("{}echo", way.2));
        stage.offer(&["echo"], &schema());
        listed(&client).await;
        // No list, no announcement: who is refused is refused by what holds now.
        stage.offer(&["echo"], &json!({"properties": {"n": {"type": "string"}}}));
        wait::until("the new schema", async || {
            let answer = client.call("1", &tool, json!({"n": "many"})).await.answer().await;
            answer["result"].get("params").map(drop)
        })
        .await;
        let answer = client.call("2", &tool, json!({"n": 3})).await.answer().await;
        assert!(told(&answer).contains("/n: 3 is not of type \"string\""), "{way:?}: {answer}");
    }
}

#[tokio::test]
async fn a_schema_that_cannot_be_used_is_named_and_calls_pass() {
    let stage = Stage::new("guard = \"strict\"\n").await;
    stage.offer(&["echo"], &json!({"$ref": "http://127.0.0.1:1/schema.json"}));
    let client = stage.client(WAYS[0]).await;
    let answer = client.call("1", "echo", json!({"n": "many"})).await.answer().await;
    assert_eq!(answer["result"]["params"]["name"], "echo", "{answer}");
    let health = stage.health("web").await;
    let said = health["message"].as_str().unwrap_or_default();
    assert!(health["status"] == "warning" && said.contains("never fetched"), "{health}");
}

#[tokio::test]
async fn each_call_of_a_batch_is_checked() {
    let stage = Stage::new("guard = \"strict\"\n").await;
    stage.offer(&["echo"], &schema());
    for way in [WAYS[0], WAYS[2], WAYS[7]] {
        let client = stage.batching(way).await;
        let call = |id: u32, arguments: Value| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": format!("{}echo", way.2), "arguments": arguments}});
        let batch = json!([call(1, json!({"n": 1})), call(2, json!({"n": 3}))]);
        let mut answers: Vec<Value> = Vec::new();
        let mut reply = client.post(&batch.to_string()).await;
        while let Some(text) = reply.next().await {
            let value: Value = serde_json::from_str(&text).expect("JSON");
            match value {
                Value::Array(all) => answers.extend(all),
                one => answers.push(one),
            }
        }
        answers.sort_by_key(|answer| answer["id"].as_u64());
        assert!(told(&answers[0]).contains("/n: 1 is less"), "{way:?}: {answers:?}");
        assert_eq!(answers[1]["result"]["params"]["arguments"]["n"], 3, "{way:?}: {answers:?}");
    }
}

async fn long(client: &Caller, tool: &str, streamed: bool, bytes: usize) -> Value {
    let arguments = json!({"count": u8::from(streamed), "pad": 1, "more": "x".repeat(bytes)});
    let reply = client.call_with_progress("7", "5", tool, arguments).await;
    reply.answer().await
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_replaced_also_on_a_stream() {
    let stage = Stage::new("max_result = \"2KiB\"\n").await;
    for way in WAYS {
        let (client, tool) = (stage.client(way).await, format!("{}steps", way.2));
        for streamed in [false, true] {
            let short = long(&client, &tool, streamed, 100).await;
            assert_eq!(short["result"]["params"]["name"], "steps", "{way:?}: {short}");
            let replaced = long(&client, &tool, streamed, 4000).await;
            assert_eq!(replaced["id"], 7);
            assert!(told(&replaced).contains("passes on 2048 at most"), "{way:?}: {replaced}");
        }
        // What is no answer to a call is not bound by it.
        let prompt = client.request(
            "8",
            "prompts/get",
            json!({"name": format!("{}greet", way.2), "arguments": {"x": "x".repeat(4000)}}),
        );
        assert!(prompt.await.answer().await["result"].get("isError").is_none());
    }
}
