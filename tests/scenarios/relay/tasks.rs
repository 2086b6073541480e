//! Calls that become tasks: those of the other era are waited for by the gate, those of the client's own era are its own.

use rustix::process::Signal;
use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::fake::record::Record;
use toolgate_tests::fake::stdio::Stdio;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::mcp::Era;
use toolgate_tests::wait::until;

/// A gate before one server over HTTP and one over stdio, of one era.
struct Stage {
    gate: Gate,
    web: Http,
    pipe: Stdio,
}

/// Each way to a server, and what names begin with there.
const WAYS: [(&str, &str); 4] = [("/mcp/web", ""), ("/mcp/pipe", ""), ("/mcp/all", "web__"), ("/mcp/all", "pipe__")];

impl Stage {
    async fn start(speaks: Speaks, lines: &str) -> Self {
        let (web, pipe) = (Http::start(speaks).await, Stdio::new(speaks));
        let gate = Setup::default()
            .server("web", &(web.endpoints() + lines))
            .server("pipe", &(pipe.command() + lines))
            .key("other", "")
            .table("[profile.all]\nservers = [\"web\", \"pipe\"]\n")
            .start()
            .await;
        Self { gate, web, pipe }
    }

    fn modern(&self, path: &str) -> Caller {
        let mut client = Caller::modern(&self.gate, path);
        client.capabilities = json!({"elicitation": {}});
        client
    }

    async fn legacy(&self, path: &str) -> Caller {
        Caller::legacy(&self.gate, path).await
    }

    /// Clients of two keys that know tasks, in this era.
    async fn two(&self, path: &str, speaks: Speaks) -> (Caller, Caller) {
        let other = format!("Bearer {}", self.gate.key_of("other"));
        if speaks == Speaks::Legacy {
            let stranger = Caller::new(&self.gate, path, Era::Legacy).with("Authorization", &other);
            return (self.legacy(path).await, stranger.opened().await);
        }
        let mut client = self.modern(path);
        client.capabilities = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
        (client.clone(), client.with("Authorization", &other))
    }

    fn record(&self, path: &str, prefix: &str) -> &Record {
        if path == "/mcp/web" || prefix == "web__" { &self.web.record } else { &self.pipe.record }
    }
}

async fn until_said(record: &Record, method: &str) -> Value {
    until(method, async || record.of(method).into_iter().next()).await.message
}

#[tokio::test]
async fn a_legacy_client_reads_the_result_of_a_modern_server_s_task() {
    let stage = Stage::start(Speaks::Modern, "").await;
    for (path, prefix) in WAYS {
        let client = stage.legacy(path).await;
        let (tool, record) = (format!("{prefix}task"), stage.record(path, prefix));
        let answer = client.call("\"a\"", &tool, json!({"looks": 2, "n": 1})).await.answer().await;
        assert_eq!(answer["id"], "a", "{path} {prefix}: {answer}");
        assert_eq!(answer["result"]["params"]["arguments"]["n"], 1, "{path} {prefix}: {answer}");
        assert_eq!(answer["result"]["resultType"], Value::Null, "{path} {prefix}: {answer}");
        let asked = record.of("tasks/get");
        assert_eq!(asked.len(), 3, "{path} {prefix}: until it had ended");
        let meta = &asked[0].message["params"]["_meta"];
        assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "caller", "{path} {prefix}");
        if record.of("tools/call")[0].headers["mcp-method"].is_string() {
            assert_eq!(asked[0].headers["mcp-name"], asked[0].message["params"]["taskId"], "{path} {prefix}");
        }
        let failed = client.call("2", &tool, json!({"end": "failed"})).await.answer().await;
        assert_eq!((&failed["id"], &failed["error"]["message"]), (&json!(2), &json!("It broke.")), "{path} {prefix}");
        let cancelled = client.call("3", &tool, json!({"end": "cancelled"})).await.answer().await;
        assert_eq!((&cancelled["id"], &cancelled["error"]["code"]), (&json!(3), &json!(-32603)), "{path} {prefix}");
        assert_eq!(record.of("tasks/cancel").len(), 0, "{path} {prefix}: tasks that have ended are let be");
        record.clear();
    }
}

#[tokio::test]
async fn what_a_modern_task_asks_is_asked_of_the_legacy_client_once() {
    let stage = Stage::start(Speaks::Modern, "").await;
    for (path, prefix) in WAYS {
        let client = stage.legacy(path).await;
        let mut reply = client.call("5", &format!("{prefix}task"), json!({"ask": true})).await;
        let question = reply.message().await;
        assert_eq!(question["method"], "elicitation/create", "{path} {prefix}: {question}");
        assert_eq!(client.respond(&question["id"], json!({"action": "accept", "content": {"x": 1}})).await, 202);
        let answer = reply.message().await;
        assert_eq!(answer["id"], 5, "{path} {prefix}: {answer}");
        assert_eq!(answer["result"]["answered"]["q"]["content"]["x"], 1, "{path} {prefix}: {answer}");
        assert_eq!(client.respond(&question["id"], json!({})).await, 400, "each is answered once");
    }
}

#[tokio::test]
async fn a_modern_task_ends_with_the_call_of_its_legacy_client() {
    let stage = Stage::start(Speaks::Modern, "").await;
    for (path, prefix) in WAYS {
        let record = stage.record(path, prefix);
        for cancels in [true, false] {
            record.clear();
            let client = stage.legacy(path).await;
            let (calling, tool) = (client.clone(), format!("{prefix}task"));
            let call =
                tokio::spawn(async move { calling.call("1", &tool, json!({"end": "never"})).await.answer().await });
            let task = until_said(record, "tasks/get").await["params"]["taskId"].clone();
            if cancels {
                assert_eq!(client.notify("notifications/cancelled", json!({"requestId": 1})).await, 202);
            } else {
                assert_eq!(client.end().await, 200);
            }
            assert_eq!(until_said(record, "tasks/cancel").await["params"]["taskId"], task, "{path} {prefix}");
            let answer = call.await.expect("an answer");
            let reason = if cancels { "cancelled" } else { "session-unknown" };
            assert_eq!(answer["error"]["data"]["reason"], reason, "{path} {prefix}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_task_may_take_longer_than_a_server_may_be_silent() {
    let lines = "timeout = { first_byte = \"1s\" }\n";
    let stage = Stage::start(Speaks::Modern, lines).await;
    for path in ["/mcp/web", "/mcp/pipe"] {
        // Asked for every 100 ms.
        let reply = stage.legacy(path).await.call("1", "task", json!({"looks": 15})).await;
        assert!(reply.head.is_stream(), "{path}: the client sees that its call lives");
        assert_eq!(reply.answer().await["id"], 1, "{path}");
        // A client of a revision whose streams do not begin with an event of their own.
        let mut client = Caller::new(&stage.gate, path, Era::Legacy).with("MCP-Protocol-Version", "2025-06-18");
        let params =
            json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
        let greeted = client.request("0", "initialize", params).await;
        client.session = greeted.head.header("mcp-session-id").map(ToOwned::to_owned);
        let reply = client.call("1", "task", json!({"looks": 15})).await;
        assert!(reply.head.is_stream(), "{path}: the client sees that its call lives");
        assert_eq!(reply.answer().await["id"], 1, "{path}");
    }
}

#[tokio::test]
async fn a_legacy_task_may_take_longer_than_a_server_may_be_silent_also_once_its_client_was_asked() {
    let lines = "timeout = { first_byte = \"1s\" }\n";
    let stage = Stage::start(Speaks::Legacy, lines).await;
    for path in ["/mcp/web", "/mcp/pipe"] {
        let (client, record) = (stage.modern(path), stage.record(path, ""));
        let reply = client.call("1", "task", json!({"end": "never"})).await;
        assert!(reply.head.is_stream(), "{path}: the client sees that its call lives");
        drop(reply);
        until_said(record, "tasks/cancel").await;
        record.clear();
        let arguments = json!({"ask": true, "end": "never"});
        let answer = client.call("2", "task", arguments.clone()).await.answer().await;
        let result = &answer["result"];
        let key = result["inputRequests"].as_object().and_then(|all| all.keys().next()).expect("a question");
        let params = json!({"name": "task", "arguments": arguments, "requestState": result["requestState"],
            "inputResponses": {key: {"action": "accept"}}});
        let reply = client.request("3", "tools/call", params).await;
        assert!(reply.head.is_stream(), "{path}: the client sees that its call lives");
        drop(reply);
        until_said(record, "tasks/cancel").await;
    }
}

#[tokio::test]
async fn a_legacy_task_that_is_lost_with_its_session_is_not_run_again() {
    let lines = "timeout = { first_byte = \"1s\" }\n";
    let stage = Stage::start(Speaks::Legacy, lines).await;
    let client = stage.modern("/mcp/web");
    let call = tokio::spawn(async move { client.call("1", "task", json!({"end": "never"})).await.answer().await });
    until_said(&stage.web.record, "tasks/result").await;
    // The gate asks for the result again when the server is silent for long.
    stage.web.forget_sessions();
    let answer = call.await.expect("an answer");
    assert_eq!(answer["error"]["data"]["reason"], "server-unavailable", "{answer}");
    assert_eq!(stage.web.record.of("tools/call").len(), 1, "{answer}");
}

#[tokio::test]
async fn a_modern_client_calls_a_tool_that_a_legacy_server_only_runs_as_a_task() {
    let stage = Stage::start(Speaks::Legacy, "").await;
    for (path, prefix) in WAYS {
        let (client, tool) = (stage.modern(path), format!("{prefix}task"));
        let answer = client.call("\"a\"", &tool, json!({"n": 1})).await.answer().await;
        assert_eq!(answer["id"], "a", "{path} {prefix}: {answer}");
        assert_eq!(answer["result"]["resultType"], "complete", "{path} {prefix}: {answer}");
        assert_eq!(answer["result"]["params"]["arguments"]["n"], 1, "{path} {prefix}: {answer}");
        let failed = client.call("2", &tool, json!({"end": "failed"})).await.answer().await;
        assert_eq!((&failed["id"], &failed["error"]["message"]), (&json!(2), &json!("It broke.")), "{path} {prefix}");
        assert_eq!(stage.record(path, prefix).of("tasks/cancel").len(), 0, "{path} {prefix}");
    }
}

#[tokio::test]
async fn progress_of_a_legacy_task_has_the_modern_client_s_token() {
    let stage = Stage::start(Speaks::Legacy, "").await;
    for (path, prefix) in [WAYS[0], WAYS[2]] {
        let client = stage.modern(path);
        let mut reply =
            client.call_with_progress("9", "\"t\"", &format!("{prefix}task"), json!({"progress": true})).await;
        assert_eq!(reply.message().await["params"]["progressToken"], "t", "{path} {prefix}");
        assert_eq!(reply.message().await["id"], 9, "{path} {prefix}");
    }
}

#[tokio::test]
async fn what_a_legacy_task_asks_is_required_of_the_modern_client() {
    let stage = Stage::start(Speaks::Legacy, "").await;
    for (path, prefix) in WAYS {
        let (client, tool) = (stage.modern(path), format!("{prefix}task"));
        let arguments = json!({"ask": true});
        let answer = client.call("1", &tool, arguments.clone()).await.answer().await;
        let result = &answer["result"];
        assert_eq!(result["resultType"], "input_required", "{path} {prefix}: {answer}");
        let key = result["inputRequests"].as_object().and_then(|all| all.keys().next()).expect("a question");
        let params = json!({"name": tool, "arguments": arguments, "requestState": result["requestState"],
            "inputResponses": {key: {"action": "accept"}}});
        let done = client.request("2", "tools/call", params).await.answer().await;
        assert_eq!((&done["id"], &done["result"]["answered"]["action"]), (&json!(2), &json!("accept")), "{done}");
    }
    let made = stage.web.record.of("tools/call").len() + stage.pipe.record.of("tools/call").len();
    assert_eq!(made, 4, "each ran once");
}

#[tokio::test]
async fn a_call_that_becomes_a_task_while_its_client_is_asked_goes_on_as_one() {
    let stage = Stage::start(Speaks::Legacy, "").await;
    for (path, prefix) in WAYS {
        let (client, tool, record) = (stage.modern(path), format!("{prefix}task"), stage.record(path, prefix));
        record.clear();
        let arguments = json!({"before": true});
        let answer = client.call("1", &tool, arguments.clone()).await.answer().await;
        let result = &answer["result"];
        assert_eq!(result["resultType"], "input_required", "{path} {prefix}: {answer}");
        let task = until_said(record, "tasks/result").await["params"]["taskId"].clone();
        assert!(task.is_string(), "{path} {prefix}: it is waited for meanwhile");
        let key = result["inputRequests"].as_object().and_then(|all| all.keys().next()).expect("a question");
        let params = json!({"name": tool, "arguments": arguments, "requestState": result["requestState"],
            "inputResponses": {key: {"action": "accept"}}});
        let done = client.request("2", "tools/call", params).await.answer().await;
        assert_eq!((&done["id"], &done["result"]["answered"]["action"]), (&json!(2), &json!("accept")), "{done}");
        assert_eq!(record.of("tools/call").len(), 1, "{path} {prefix}: it ran once");
        assert_eq!(record.of("tasks/cancel").len(), 0, "{path} {prefix}");
    }
}

#[tokio::test]
async fn a_legacy_task_ends_with_the_call_of_its_modern_client() {
    let stage = Stage::start(Speaks::Legacy, "").await;
    for (path, prefix) in WAYS {
        let record = stage.record(path, prefix);
        record.clear();
        let (client, tool) = (stage.modern(path), format!("{prefix}task"));
        let call = tokio::spawn(async move { client.call("1", &tool, json!({"end": "never"})).await.answer().await });
        let task = until_said(record, "tasks/result").await["params"]["taskId"].clone();
        call.abort();
        assert_eq!(until_said(record, "tasks/cancel").await["params"]["taskId"], task, "{path} {prefix}");
        assert_eq!(record.of("notifications/cancelled").len(), 0, "{path} {prefix}: a task is cancelled as one");
    }
}

#[tokio::test]
async fn tasks_of_the_client_s_own_era_are_its_own() {
    let stage = Stage::start(Speaks::Legacy, "").await;
    for path in ["/mcp/web", "/mcp/pipe"] {
        let client = stage.legacy(path).await;
        let made = client.request("1", "tools/call", json!({"name": "task", "arguments": {}, "task": {}})).await;
        let task = made.answer().await["result"]["task"]["taskId"].clone();
        for (method, wanted) in [("tasks/get", "/taskId"), ("tasks/cancel", "/status"), ("tasks/list", "/tasks")] {
            let answer = client.request("2", method, json!({"taskId": task})).await.answer().await;
            assert!(answer["result"].pointer(wanted).is_some(), "{path} {method}: {answer}");
        }
    }
    let stage = Stage::start(Speaks::Modern, "").await;
    for path in ["/mcp/web", "/mcp/pipe"] {
        let mut client = stage.modern(path);
        client.capabilities = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
        let made = client.call("1", "task", json!({"looks": 0})).await.answer().await;
        assert_eq!(made["result"]["resultType"], "task", "{path}: {made}");
        let task = json!({"taskId": made["result"]["taskId"]});
        let got = client.request("2", "tasks/get", task.clone()).await.answer().await;
        assert_eq!(got["result"]["status"], "completed", "{path}: {got}");
        let cancelled = client.request("3", "tasks/cancel", task).await.answer().await;
        assert_eq!(cancelled["id"], 3, "{path}: {cancelled}");
        assert!(cancelled["result"].is_object(), "{path}: {cancelled}");
    }
}

/// The parameters of requests about a task of this id.
fn of_task(id: &Value) -> Value {
    json!({"taskId": id})
}

/// What a client reads of a task that is not its own, without the id that it asked by.
async fn refused(client: &Caller, method: &str, id: &str) -> String {
    let reply = client.request("7", method, json!({"taskId": id, "inputResponses": {}})).await;
    let status = reply.head.status;
    let mut answer = reply.answer().await;
    assert_eq!(answer["error"]["code"], -32602, "{method} {id}: {answer}");
    assert!(answer["error"]["data"]["callId"].take().is_string(), "{answer}");
    let own = ["web__", "pipe__"].iter().find_map(|prefix| id.strip_prefix(prefix)).unwrap_or(id);
    format!("{status} {}", answer.to_string().replace(&own.chars().take(64).collect::<String>(), "ID"))
}

/// Makes a task; gives back its id as the client reads it, and as the server that has this record does.
async fn make(client: &Caller, tool: &str, record: &Record, speaks: Speaks) -> (Value, String) {
    let mut params = json!({"name": tool, "arguments": {"tells": true}});
    if speaks == Speaks::Legacy {
        params["task"] = json!({});
    }
    let made = client.request("1", "tools/call", params).await.answer().await;
    let id = made["result"].pointer("/task/taskId").unwrap_or(&made["result"]["taskId"]).clone();
    assert!(id.is_string(), "{made}");
    let asked = client.request("2", "tasks/get", of_task(&id)).await.answer().await;
    assert_eq!(asked["result"]["taskId"], id, "a client reads one id of a task: {asked}");
    let own = record.of("tasks/get").last().expect("it was asked").message["params"]["taskId"].clone();
    assert_ne!(own, id);
    (id, own.as_str().expect("an id").to_owned())
}

#[tokio::test]
async fn a_task_is_its_maker_s_and_to_everybody_else_there_is_none() {
    for (speaks, methods) in [
        (Speaks::Legacy, ["tasks/get", "tasks/result", "tasks/cancel"]),
        (Speaks::Modern, ["tasks/get", "tasks/update", "tasks/cancel"]),
    ] {
        let mut stage = Stage::start(speaks, "").await;
        for (path, prefix) in WAYS {
            let (client, stranger) = stage.two(path, speaks).await;
            let (id, own) = make(&client, &format!("{prefix}task"), stage.record(path, prefix), speaks).await;
            let shown = id.as_str().expect("an id");
            stage.record(path, prefix).clear();
            for method in methods {
                let unknown = refused(&stranger, method, &format!("{prefix}{}", "x".repeat(64))).await;
                assert_eq!(refused(&stranger, method, shown).await, unknown, "{path} {method}");
                for caller in [&stranger, &client] {
                    assert_eq!(refused(caller, method, &format!("{prefix}{own}")).await, unknown, "{path} {method}");
                }
            }
            let heard = stage.record(path, prefix).all();
            assert!(heard.iter().all(|it| !it.method.starts_with("tasks/")), "{path}: the server hears nothing of it");
            let cancelled = client.request("8", "tasks/cancel", of_task(&id)).await.answer().await;
            assert!(cancelled["result"].is_object(), "{path}: {cancelled}");
            assert_eq!(until_said(stage.record(path, prefix), "tasks/cancel").await["params"]["taskId"], own, "{path}");
        }
        // What was handed out outlives the process.
        let (client, _) = stage.two("/mcp/web", speaks).await;
        let (id, _) = make(&client, "task", &stage.web.record, speaks).await;
        stage.gate.restart(Signal::TERM).await;
        let (client, _) = stage.two("/mcp/web", speaks).await;
        let asked = client.request("9", "tasks/get", of_task(&id)).await.answer().await;
        assert_eq!(asked["result"]["taskId"], id, "{asked}");
    }
}

#[tokio::test]
async fn a_client_is_told_of_its_own_tasks_only() {
    let stage = Stage::start(Speaks::Legacy, "").await;
    for path in ["/mcp/web", "/mcp/pipe"] {
        let ((client, stranger), record) = (stage.two(path, Speaks::Legacy).await, stage.record(path, ""));
        let (hers, _) = make(&client, "task", record, Speaks::Legacy).await;
        let (his, _) = make(&stranger, "task", record, Speaks::Legacy).await;
        for (caller, own) in [(&client, &hers), (&stranger, &his)] {
            let listed = caller.request("3", "tasks/list", json!({})).await.answer().await;
            let ids: Vec<_> =
                listed["result"]["tasks"].as_array().into_iter().flatten().map(|it| &it["taskId"]).collect();
            assert_eq!(ids, [own], "{path}: {listed}");
            // An instance says on its session's stream what belongs to no call.
            let mut stream = if path == "/mcp/pipe" { Some(caller.stream().await) } else { None };
            let mut waits = caller.request("4", "tasks/result", of_task(own)).await;
            let told = stream.as_mut().unwrap_or(&mut waits).message().await;
            assert_eq!((&told["method"], &told["params"]["taskId"]), (&json!("notifications/tasks/status"), own));
            let done = waits.message().await;
            let related = &done["result"]["_meta"]["io.modelcontextprotocol/related-task"]["taskId"];
            assert_eq!((&done["id"], related), (&json!(4), own), "{path}: {done}");
        }
    }
}

#[tokio::test]
async fn tasks_of_the_other_era_have_no_handles() {
    let stage = Stage::start(Speaks::Modern, "").await;
    for path in ["/mcp/web", "/mcp/pipe"] {
        let client = stage.legacy(path).await;
        for method in ["tasks/get", "tasks/result", "tasks/cancel", "tasks/list"] {
            let reply = client.request("1", method, json!({"taskId": "task-1"})).await;
            assert_eq!(reply.head.status, 200, "{path} {method}");
            let refused = reply.answer().await;
            assert_eq!(refused["error"]["code"], -32601, "{path} {method}: {refused}");
        }
        assert_eq!(stage.record(path, "").all().iter().filter(|it| it.method.starts_with("tasks/")).count(), 0);
    }
    let stage = Stage::start(Speaks::Legacy, "").await;
    for path in ["/mcp/web", "/mcp/pipe"] {
        for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
            let reply = stage.modern(path).request("1", method, json!({"taskId": "task-1"})).await;
            assert_eq!(reply.head.status, 404, "{path} {method}");
            let refused = reply.answer().await;
            assert_eq!(refused["error"]["code"], -32601, "{path} {method}: {refused}");
            assert!(
                refused["error"]["message"].as_str().is_some_and(|text| text.contains("waits for them")),
                "{refused}"
            );
        }
    }
}

#[tokio::test]
async fn a_merged_view_promises_no_tasks() {
    for speaks in [Speaks::Legacy, Speaks::Modern] {
        let stage = Stage::start(speaks, "").await;
        let discovered = stage.modern("/mcp/all").request("1", "server/discover", json!({})).await.answer().await;
        let greeted = Caller::new(&stage.gate, "/mcp/all", Era::Legacy).initialize().await.answer().await;
        for answer in [discovered, greeted] {
            let capabilities = &answer["result"]["capabilities"];
            assert!(capabilities["tools"].is_object() && capabilities["tasks"].is_null(), "{answer}");
            assert!(capabilities["extensions"]["io.modelcontextprotocol/tasks"].is_null(), "{answer}");
        }
    }
}
