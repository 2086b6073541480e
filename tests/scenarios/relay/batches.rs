//! Batches of revision 2025-03-26: every message of one is a call of its own, and no server sees an array.

use serde_json::{Value, json};
use toolgate_tests::caller::{Caller, Reply};
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::fake::record::{Received, Record};
use toolgate_tests::fake::stdio::Stdio;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::mcp::Era;

/// A gate before servers of each kind.
struct Stage {
    gate: Gate,
    web: Http,
    pipe: Stdio,
    new: Http,
}

/// Each way to a server, and what names begin with there: mirrored, stdio, modern, merged.
const WAYS: [(&str, &str); 4] = [("/mcp/web", ""), ("/mcp/pipe", ""), ("/mcp/new", ""), ("/mcp/all", "pipe__")];

const NOTE: &str = r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#;

impl Stage {
    async fn start(tables: &str) -> Self {
        let (web, new) = (Http::start(Speaks::Legacy).await, Http::start(Speaks::Modern).await);
        let pipe = Stdio::new(Speaks::Legacy);
        let deny = "tools.deny = [\"secret\"]\n";
        let gate = Setup::default()
            .server("web", &(web.endpoints() + deny))
            .server("pipe", &(pipe.command() + deny))
            .server("new", &(new.endpoints() + deny))
            .table("[profile.all]\nservers = [\"web\", \"pipe\", \"new\"]\n")
            .table(tables)
            .start()
            .await;
        Self { gate, web, pipe, new }
    }

    /// A client whose session agreed on a revision, and that sends no header of it.
    async fn client(&self, path: &str, revision: &str) -> Caller {
        let mut client = Caller::new(&self.gate, path, Era::Legacy).with("MCP-Protocol-Version", "");
        let params = json!({"protocolVersion": revision, "capabilities": {"elicitation": {}}, "clientInfo": {"name": "c", "version": "1"}});
        let reply = client.request("0", "initialize", params).await;
        client.session = reply.head.header("mcp-session-id").map(ToOwned::to_owned);
        assert_eq!(reply.answer().await["result"]["protocolVersion"], revision, "{path}");
        client
    }

    /// Texts that reached any of the servers.
    fn reached(&self) -> Vec<String> {
        let records = [&self.web.record, &self.pipe.record, &self.new.record];
        records.into_iter().flat_map(Record::all).map(|received| received.text).collect()
    }
}

fn call(id: &str, tool: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{{}}}}}}"#)
}

fn ping(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#)
}

fn batch(messages: &[String]) -> String {
    format!("[{}]", messages.join(","))
}

/// The one answer with this id.
fn of<'a>(answers: &'a Value, id: &Value) -> &'a Value {
    let all = answers.as_array().unwrap_or_else(|| panic!("no array: {answers}"));
    let mut with_id = all.iter().filter(|answer| answer["id"] == *id);
    let one = with_id.next().unwrap_or_else(|| panic!("no answer to {id}: {answers}"));
    assert!(with_id.next().is_none(), "{id} is answered once: {answers}");
    one
}

#[tokio::test]
async fn each_request_of_a_batch_is_answered_once_and_no_server_sees_an_array() {
    let stage = Stage::start("").await;
    for (path, prefix) in WAYS {
        let client = stage.client(path, "2025-03-26").await;
        let echo = format!("{prefix}echo");
        let secret = format!("{prefix}secret");
        let body =
            batch(&[ping("1"), call("\"1\"", &echo), NOTE.into(), call("2", &secret), call("3", &echo), "7".into()]);
        let reply = client.post(&format!(" {body}")).await;
        assert_eq!(reply.head.status, 200, "{path}");
        assert_eq!(reply.head.header("content-type"), Some("application/json"), "{path}");
        let answers = reply.answer().await;
        assert_eq!(answers.as_array().map(Vec::len), Some(5), "{path}: {answers}");
        assert_eq!(of(&answers, &json!(1))["result"], json!({}), "{path}");
        for id in [json!("1"), json!(3)] {
            assert_eq!(of(&answers, &id)["result"]["params"]["name"], "echo", "{path}: {answers}");
        }
        // Refused as if it had come alone, and what is no message has no id.
        assert_eq!(of(&answers, &json!(2))["error"]["code"], -32602, "{path}: {answers}");
        assert_eq!(of(&answers, &Value::Null)["error"]["code"], -32600, "{path}: {answers}");
    }
    let reached = stage.reached();
    assert!(reached.iter().all(|text| text.starts_with('{') && !text.contains("secret")), "{reached:#?}");
    assert_eq!(stage.web.record.of("notifications/roots/list_changed").len(), 1, "what is told is passed on");
}

#[tokio::test]
async fn a_batch_without_requests_is_taken_without_a_body() {
    let stage = Stage::start("").await;
    for (path, _) in WAYS {
        let client = stage.client(path, "2025-03-26").await;
        let reply = client.post(&batch(&[NOTE.into(), NOTE.into()])).await;
        assert_eq!((reply.head.status, reply.text().await.as_str()), (202, ""), "{path}");
    }
}

#[tokio::test]
async fn what_comes_before_an_answer_makes_a_stream_of_the_batch() {
    let stage = Stage::start("").await;
    for (path, prefix) in [WAYS[0], WAYS[1], WAYS[3]] {
        let client = stage.client(path, "2025-03-26").await;
        let mut reply = client.post(&batch(&[ping("1"), call("2", &format!("{prefix}ask")), "7".into()])).await;
        assert!(reply.head.is_stream(), "{path}");
        let mut seen = Vec::new();
        while let Some(message) = next(&mut reply).await {
            if message["method"] == "elicitation/create" {
                assert_eq!(client.respond(&message["id"], json!({"action": "accept"})).await, 202, "{path}");
                continue;
            }
            seen.push(message);
        }
        let answers = Value::Array(seen);
        assert_eq!(answers.as_array().map(Vec::len), Some(3), "{path}: {answers}");
        assert_eq!(of(&answers, &json!(1))["result"], json!({}), "{path}");
        assert_eq!(of(&answers, &json!(2))["result"]["answered"]["result"]["action"], "accept", "{path}: {answers}");
    }
}

async fn next(reply: &mut Reply) -> Option<Value> {
    reply.next().await.map(|text| serde_json::from_str(&text).expect("JSON"))
}

#[tokio::test]
async fn a_server_that_asks_for_a_batch_whose_client_has_left_is_not_kept_waiting() {
    let stage = Stage::start("").await;
    let folder = tempfile::tempdir().expect("a folder");
    for (number, (path, prefix)) in [WAYS[1], WAYS[3]].into_iter().enumerate() {
        let client = stage.client(path, "2025-03-26").await;
        let (until, id) = (folder.path().join(number.to_string()), format!("question {number}"));
        let params = json!({"name": format!("{prefix}ask"), "arguments": {"until": until, "id": id}});
        let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}).to_string();
        let leaving = client.clone();
        let left = tokio::spawn(async move { leaving.post(&batch(&[ping("1"), call])).await });
        let asks = |received: &Received| received.message["params"]["arguments"]["id"] == *id;
        stage.pipe.record.until("the call", asks).await;
        left.abort();
        assert!(left.await.is_err_and(|gone| gone.is_cancelled()), "{path}: nothing precedes the question");
        std::fs::write(&until, "").expect("a file");
        let told = stage.pipe.record.until("an answer", |received| received.message["id"] == *id).await;
        assert!(told.message["error"]["code"].is_i64(), "{path}: {}", told.text);
        let next = client.call("3", &format!("{prefix}echo"), json!({})).await.answer().await;
        assert_eq!(next["id"], 3, "{path}: the session goes on");
    }
}

#[tokio::test]
async fn a_batch_can_be_refused_as_a_whole() {
    let stage = Stage::start("").await;
    for (path, prefix) in WAYS {
        let client = stage.client(path, "2025-03-26").await;
        let echo = format!("{prefix}echo");
        let many: Vec<String> = (0..101).map(|id| call(&id.to_string(), &echo)).collect();
        for body in [batch(&many), batch(&[call("1", &echo), call("1", &echo)]), "[]".to_owned()] {
            let reply = client.post(&body).await;
            assert_eq!(reply.head.status, 400, "{path}");
            let answer = reply.answer().await;
            assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(-32600), &Value::Null), "{path}: {answer}");
        }
        let mut unknown = client.clone();
        unknown.session = Some("0".repeat(32));
        assert_eq!(unknown.post(&batch(&[ping("1")])).await.head.status, 404, "{path}");
    }
    assert!(stage.reached().iter().all(|text| !text.contains("tools/call")));
}

#[tokio::test]
async fn what_must_come_alone_is_refused_within_a_batch() {
    let stage = Stage::start("").await;
    for (path, prefix) in WAYS {
        let client = stage.client(path, "2025-03-26").await;
        let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;
        let modern = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
        let body = batch(&[initialize.into(), modern.into(), call("3", &format!("{prefix}echo"))]);
        let answers = client.post(&body).await.answer().await;
        for id in [1, 2] {
            assert_eq!(of(&answers, &json!(id))["error"]["code"], -32600, "{path}: {answers}");
        }
        assert!(of(&answers, &json!(3))["result"].is_object(), "{path}: {answers}");
    }
}

#[tokio::test]
async fn other_revisions_have_no_batches() {
    let stage = Stage::start("").await;
    for (path, _) in [WAYS[1], WAYS[2], WAYS[3]] {
        for revision in ["2025-06-18", "2025-11-25"] {
            let client = stage.client(path, revision).await;
            for client in [client.clone(), client.with("MCP-Protocol-Version", revision)] {
                let reply = client.post(&batch(&[ping("1"), ping("2")])).await;
                assert_eq!(reply.head.status, 400, "{path} {revision}");
                assert_eq!(reply.answer().await["error"]["code"], -32600, "{path} {revision}");
            }
        }
    }
}

#[tokio::test]
async fn limits_count_each_message_of_a_batch() {
    for (path, prefix) in WAYS {
        let stage = Stage::start("[[limit]]\nper = \"client\"\nrate = \"2/hour\"\n").await;
        let client = stage.client(path, "2025-03-26").await;
        let calls: Vec<String> = (0..4).map(|id| call(&id.to_string(), &format!("{prefix}echo"))).collect();
        let answers = client.post(&batch(&calls)).await.answer().await;
        let all = answers.as_array().unwrap_or_else(|| panic!("no array: {answers}"));
        let limited = all.iter().filter(|answer| answer["error"]["data"]["reason"] == "limited").count();
        let served = all.iter().filter(|answer| answer["result"].is_object()).count();
        assert_eq!((served, limited), (2, 2), "{path}: {answers}");
    }
}
