//! Clients of one era in front of servers that speak the other one only.

use serde_json::{Value, json};
use toolgate_tests::caller::{Caller, Reply};
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::fake::record::Record;
use toolgate_tests::fake::stdio::Stdio;
use toolgate_tests::gate::{Gate, Setup};

use crate::stage::names;

/// A gate before two servers of each era.
struct Crossing {
    gate: Gate,
    old_web: Http,
    old_pipe: Stdio,
    new_web: Http,
    new_pipe: Stdio,
}

/// Paths to servers of the legacy era, and what names begin with there.
const OLD: [(&str, &str); 4] =
    [("/mcp/oldweb", ""), ("/mcp/oldpipe", ""), ("/mcp/all", "oldweb__"), ("/mcp/all", "oldpipe__")];
/// Paths to servers of the modern era.
const NEW: [(&str, &str); 4] =
    [("/mcp/newweb", ""), ("/mcp/newpipe", ""), ("/mcp/all", "newweb__"), ("/mcp/all", "newpipe__")];

impl Crossing {
    async fn start() -> Self {
        let (old_web, new_web) = (Http::start(Speaks::Legacy).await, Http::start(Speaks::Modern).await);
        let (old_pipe, new_pipe) = (Stdio::new(Speaks::Legacy), Stdio::new(Speaks::Modern));
        let gate = Setup::default()
            .server("oldweb", &old_web.endpoints())
            .server("oldpipe", &old_pipe.command())
            .server("newweb", &new_web.endpoints())
            .server("newpipe", &new_pipe.command())
            .table("[profile.all]\nservers = [\"oldweb\", \"oldpipe\", \"newweb\", \"newpipe\"]\n")
            .key("other", "")
            .start()
            .await;
        Self { gate, old_web, old_pipe, new_web, new_pipe }
    }

    fn modern(&self, path: &str) -> Caller {
        let mut client = Caller::modern(&self.gate, path);
        client.capabilities = json!({"elicitation": {"form": {}}, "sampling": {}, "roots": {}});
        client
    }

    async fn legacy(&self, path: &str) -> Caller {
        Caller::legacy(&self.gate, path).await
    }

    fn record(&self, path: &str, prefix: &str) -> &Record {
        match (path, prefix) {
            ("/mcp/oldweb", _) | (_, "oldweb__") => &self.old_web.record,
            ("/mcp/oldpipe", _) | (_, "oldpipe__") => &self.old_pipe.record,
            ("/mcp/newweb", _) | (_, "newweb__") => &self.new_web.record,
            _ => &self.new_pipe.record,
        }
    }
}

/// The parameters as the server saw them.
fn seen(answer: &Value) -> &Value {
    &answer["result"]["params"]
}

async fn asked(reply: &mut Reply) -> Value {
    let request = reply.message().await;
    assert_eq!(request["method"], "elicitation/create", "{request}");
    request["id"].clone()
}

#[tokio::test]
async fn every_client_is_introduced_to_every_server_in_its_own_words() {
    let stage = Crossing::start().await;
    for (path, _) in OLD.into_iter().chain(NEW) {
        let discovered = stage.modern(path).request("1", "server/discover", json!({})).await.answer().await;
        assert_eq!(discovered["result"]["supportedVersions"], json!(["2026-07-28"]), "{path}: {discovered}");
        assert_eq!(discovered["result"]["resultType"], "complete", "{path}");
        assert_eq!(discovered["result"]["capabilities"]["tools"]["listChanged"], true, "{path}");
        let greeted =
            Caller::new(&stage.gate, path, toolgate_tests::mcp::Era::Legacy).initialize().await.answer().await;
        assert_eq!(greeted["result"]["protocolVersion"], "2025-11-25", "{path}: {greeted}");
        assert!(greeted["result"]["serverInfo"]["name"].is_string(), "{path}: {greeted}");
        assert_eq!(greeted["result"]["supportedVersions"], Value::Null, "{path}");
    }
}

#[tokio::test]
async fn lists_carry_what_the_client_s_era_demands() {
    let stage = Crossing::start().await;
    for (path, prefix) in OLD.into_iter().chain(NEW) {
        let modern = stage.modern(path).request("1", "tools/list", json!({})).await.answer().await;
        assert_eq!(modern["result"]["resultType"], "complete", "{path}: {modern}");
        assert!(modern["result"]["ttlMs"].is_u64() && modern["result"]["cacheScope"].is_string(), "{path}: {modern}");
        let legacy = stage.legacy(path).await.request("1", "tools/list", json!({})).await.answer().await;
        // What a legacy server says to a legacy client passes as it is.
        assert!(path.contains("old") || legacy["result"]["resultType"].is_null(), "{path}: {legacy}");
        for answer in [modern, legacy] {
            assert!(names(&answer, "tools", "name").contains(&format!("{prefix}echo")), "{path} {prefix}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_legacy_call_reaches_a_modern_server_with_what_the_client_declared() {
    let stage = Crossing::start().await;
    for (path, prefix) in NEW {
        let client = stage.legacy(path).await;
        let params = json!({"name": format!("{prefix}echo"), "arguments": {"n": 1}, "_meta": {"x": 1}});
        let answer = client.request("\"a\"", "tools/call", params).await.answer().await;
        assert_eq!(answer["id"], "a", "{path} {prefix}");
        assert_eq!(answer["result"]["resultType"], Value::Null, "{path} {prefix}");
        let meta = &seen(&answer)["_meta"];
        assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28", "{path} {prefix}: {answer}");
        assert!(meta["io.modelcontextprotocol/clientCapabilities"]["elicitation"].is_object(), "{path} {prefix}");
        assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "caller", "{path} {prefix}");
        assert_eq!(meta["x"], 1, "{path} {prefix}");
        assert_eq!(seen(&answer)["name"], "echo", "{path} {prefix}");
        let failed = client.call("2", &format!("{prefix}fail"), json!({})).await.answer().await;
        assert_eq!(failed["result"]["isError"], true, "{path} {prefix}");
        assert_eq!(client.request("3", "ping", json!({})).await.answer().await["result"], json!({}), "{path}");
    }
}

#[tokio::test]
async fn a_modern_call_reaches_a_legacy_server_as_one_of_a_session() {
    let stage = Crossing::start().await;
    for (path, prefix) in OLD {
        let client = stage.modern(path);
        for id in ["1", "\"1\""] {
            let params = json!({"name": format!("{prefix}echo"), "arguments": {"n": 1}, "_meta": {"x": 1}});
            let answer = client.request(id, "tools/call", params).await.answer().await;
            assert_eq!(answer["id"].to_string(), id, "{path} {prefix}");
            assert_eq!(answer["result"]["resultType"], "complete", "{path} {prefix}: {answer}");
            assert_eq!(answer["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "fake", "{path}");
            assert_eq!(seen(&answer)["_meta"], json!({"x": 1}), "{path} {prefix}: {answer}");
        }
        let failed = client.call("2", &format!("{prefix}fail"), json!({})).await.answer().await;
        assert_eq!((&failed["result"]["isError"], &failed["result"]["resultType"]), (&json!(true), &json!("complete")));
        let read = client.request("3", "resources/read", json!({"uri": resource(prefix)})).await.answer().await;
        assert_eq!(read["result"]["cacheScope"], "private", "{path} {prefix}: {read}");
    }
    // One session for the gate's own questions, one for the client.
    assert_eq!(stage.old_web.record.of("initialize").len(), 2);
}

fn resource(prefix: &str) -> String {
    match prefix.strip_suffix("__") {
        Some(server) => format!("{server}+mem://one"),
        None => "mem://one".to_owned(),
    }
}

#[tokio::test]
async fn progress_crosses_under_the_client_s_own_token() {
    let stage = Crossing::start().await;
    for (path, prefix) in OLD.into_iter().chain(NEW) {
        for (client, token) in [(stage.modern(path), "\"t\""), (stage.legacy(path).await, "1")] {
            let mut reply = client.call_with_progress("9", token, &format!("{prefix}progress"), json!({})).await;
            assert_eq!(reply.message().await["params"]["progressToken"].to_string(), token, "{path} {prefix}");
            assert_eq!(reply.message().await["id"], 9, "{path} {prefix}");
        }
    }
}

#[tokio::test]
async fn a_cancellation_reaches_the_server_in_its_own_way() {
    let stage = Crossing::start().await;
    let never = json!({"until": "/nowhere"});
    for (path, prefix) in OLD {
        let record = stage.record(path, prefix);
        record.clear();
        let mut reply = stage.modern(path).call_with_progress("1", "1", &format!("{prefix}hold"), never.clone()).await;
        reply.message().await;
        let id = record.until_called("hold").await.message["id"].clone();
        // A closed answer is how the modern era cancels.
        drop(reply);
        let cancelled =
            record.until("the cancellation", |received| received.message["method"] == "notifications/cancelled").await;
        assert_eq!(cancelled.message["params"]["requestId"], id, "{path} {prefix}");
    }
    for (path, prefix) in NEW {
        let client = stage.legacy(path).await;
        let mut reply = client.call_with_progress("1", "1", &format!("{prefix}hold"), never.clone()).await;
        reply.message().await;
        assert_eq!(client.notify("notifications/cancelled", json!({"requestId": 1})).await, 202);
        let answer = reply.message().await;
        assert_eq!(answer["error"]["data"]["reason"], "cancelled", "{path} {prefix}: {answer}");
        let after = client.call("2", &format!("{prefix}echo"), json!({})).await.answer().await;
        assert_eq!(after["id"], 2, "{path} {prefix}");
    }
    stage
        .new_pipe
        .record
        .until("the cancellation", |received| received.message["method"] == "notifications/cancelled")
        .await;
}

#[tokio::test]
async fn a_cancellation_reaches_a_modern_server_that_has_not_begun_to_answer() {
    let stage = Crossing::start().await;
    for (path, prefix) in NEW {
        let client = stage.legacy(path).await;
        let record = stage.record(path, prefix);
        let tool = format!("{prefix}silent");
        let (reply, called) = tokio::join!(client.call("1", &tool, json!({})), async {
            let called = record.until_called("silent").await;
            assert_eq!(client.notify("notifications/cancelled", json!({"requestId": 1})).await, 202);
            called
        });
        let answer = reply.answer().await;
        assert_eq!(answer["error"]["data"]["reason"], "cancelled", "{path} {prefix}: {answer}");
        record
            .until("the cancellation", |received| {
                received.message["closed"] == called.message["id"]
                    || received.message["method"] == "notifications/cancelled"
                        && received.message["params"]["requestId"] == called.message["id"]
            })
            .await;
        record.clear();
    }
}

#[tokio::test]
async fn what_a_modern_server_requires_is_asked_of_a_legacy_client() {
    let stage = Crossing::start().await;
    for (path, prefix) in NEW {
        let client = stage.legacy(path).await;
        let mut reply = client.call("5", &format!("{prefix}input"), json!({"n": 1})).await;
        let question = asked(&mut reply).await;
        assert_eq!(client.respond(&question, json!({"action": "accept", "content": {"x": 1}})).await, 202);
        let answer = reply.message().await;
        assert_eq!(answer["id"], 5, "{path} {prefix}: {answer}");
        assert_eq!(seen(&answer)["inputResponses"]["a"]["content"]["x"], 1, "{path} {prefix}: {answer}");
        assert_eq!(seen(&answer)["requestState"], "opaque é", "{path} {prefix}");
        assert_eq!(seen(&answer)["arguments"]["n"], 1, "{path} {prefix}");
        assert_eq!(client.respond(&question, json!({})).await, 400, "each is answered once");
    }
}

#[tokio::test]
async fn a_legacy_client_that_refuses_an_elicitation_cancels_it() {
    let stage = Crossing::start().await;
    for (path, prefix) in NEW {
        let client = stage.legacy(path).await;
        let mut reply = client.call("5", &format!("{prefix}input"), json!({})).await;
        let question = asked(&mut reply).await;
        let refusal = json!({"jsonrpc": "2.0", "id": question, "error": {"code": -1, "message": "no"}});
        assert_eq!(client.post(&refusal.to_string()).await.head.status, 202);
        assert_eq!(seen(&reply.message().await)["inputResponses"]["a"]["action"], "cancel", "{path} {prefix}");
    }
}

/// `input_required`: the key and the state of its only question.
fn required(answer: &Value) -> (String, Value) {
    let result = &answer["result"];
    assert_eq!(result["resultType"], "input_required", "{answer}");
    let requests = result["inputRequests"].as_object().expect("questions");
    assert_eq!(requests.len(), 1, "{answer}");
    let (key, request) = requests.iter().next().expect("a question");
    assert_eq!(request["params"]["message"], "Which?", "{answer}");
    (key.clone(), result["requestState"].clone())
}

fn retry(tool: &str, arguments: &Value, (key, sealed): (String, Value), response: &Value) -> Value {
    json!({"name": tool, "arguments": arguments, "inputResponses": {key: response}, "requestState": sealed})
}

#[tokio::test]
async fn what_a_legacy_server_asks_is_required_of_a_modern_client() {
    let stage = Crossing::start().await;
    for (path, prefix) in OLD {
        for method in ["elicitation/create", "sampling/createMessage", "roots/list"] {
            let (client, tool) = (stage.modern(path), format!("{prefix}ask"));
            let arguments = json!({"method": method, "id": "seven"});
            let answer = client.call("1", &tool, arguments.clone()).await.answer().await;
            assert_eq!(answer["id"], 1, "{path} {prefix}");
            let question = required(&answer);
            let params = retry(&tool, &arguments, question.clone(), &json!({"action": "accept", "big": 1}));
            let done = client.request("\"two\"", "tools/call", params.clone()).await.answer().await;
            assert_eq!(done["id"], "two", "{path} {prefix}: {done}");
            assert_eq!(done["result"]["answered"]["result"]["action"], "accept", "{path} {prefix}: {done}");
            assert_eq!(done["result"]["answered"]["id"], "seven", "{path} {prefix}: the server's own id");
            let again = client.request("3", "tools/call", params).await.answer().await;
            assert_eq!(again["error"]["code"], -32602, "a call that is over is not run again: {again}");
        }
    }
    let calls = stage.old_web.record.of("tools/call").len() + stage.old_pipe.record.of("tools/call").len();
    assert_eq!(calls, 12, "each call ran once");
}

#[tokio::test]
async fn a_parked_call_opens_to_its_client_and_the_same_call_only() {
    let stage = Crossing::start().await;
    for path in ["/mcp/oldweb", "/mcp/oldpipe"] {
        let client = stage.modern(path);
        let arguments = json!({"id": 7});
        let question = required(&client.call("1", "ask", arguments.clone()).await.answer().await);
        let accepted = json!({"action": "accept"});
        let stranger = client.clone().with("Authorization", &format!("Bearer {}", stage.gate.key_of("other")));
        let params = retry("ask", &arguments, question.clone(), &accepted);
        for (who, params) in [
            (&stranger, params.clone()),
            (&client, retry("ask", &json!({"id": 8}), question.clone(), &accepted)),
            (&client, retry("ask", &arguments, (question.0.clone(), json!("forged")), &accepted)),
        ] {
            let refused = who.request("2", "tools/call", params).await.answer().await;
            assert_eq!(refused["error"]["code"], -32602, "{path}: {refused}");
        }
        let done = client.request("3", "tools/call", params).await.answer().await;
        assert_eq!(done["result"]["answered"]["result"]["action"], "accept", "{path}: {done}");
    }
}

#[tokio::test]
async fn a_retry_that_answers_nothing_is_asked_again() {
    let stage = Crossing::start().await;
    for path in ["/mcp/oldweb", "/mcp/oldpipe"] {
        let client = stage.modern(path);
        let (key, sealed) = required(&client.call("1", "ask", json!({})).await.answer().await);
        let wrong = json!({"name": "ask", "arguments": {}, "inputResponses": {"other": {}}, "requestState": sealed});
        let (again, sealed) = required(&client.request("2", "tools/call", wrong).await.answer().await);
        assert_eq!(again, key, "{path}");
        let params = retry("ask", &json!({}), (again, sealed), &json!({"action": "decline"}));
        let done = client.request("3", "tools/call", params).await.answer().await;
        assert_eq!(done["result"]["answered"]["result"]["action"], "decline", "{path}: {done}");
    }
}

#[tokio::test]
async fn a_server_that_asks_what_the_client_did_not_declare_is_refused_at_once() {
    let stage = Crossing::start().await;
    for path in ["/mcp/oldweb", "/mcp/oldpipe"] {
        let mut client = stage.modern(path);
        client.capabilities = json!({});
        let answer = client.call("1", "ask", json!({})).await.answer().await;
        assert_eq!(answer["result"]["resultType"], "complete", "{path}: {answer}");
        assert!(answer["result"]["answered"]["error"]["code"].is_i64(), "{path}: {answer}");
    }
}

#[tokio::test]
async fn log_messages_are_seen_by_those_who_asked_for_them() {
    let stage = Crossing::start().await;
    for (path, prefix) in OLD {
        let tool = format!("{prefix}log");
        let level =
            |level: &str| json!({"name": tool, "arguments": {}, "_meta": {"io.modelcontextprotocol/logLevel": level}});
        let mut wanted = stage.modern(path).request("1", "tools/call", level("debug")).await;
        assert_eq!(wanted.message().await["method"], "notifications/message", "{path} {prefix}");
        assert_eq!(wanted.message().await["id"], 1, "{path} {prefix}");
        let mut severe = stage.modern(path).request("2", "tools/call", level("error")).await;
        assert_eq!(severe.message().await["id"], 2, "{path} {prefix}: information is no error");
        let mut silent = stage.modern(path).call("3", &tool, json!({})).await;
        assert_eq!(silent.message().await["id"], 3, "{path} {prefix}");
        let told = stage.record(path, prefix).of("logging/setLevel");
        assert_eq!(told.first().expect("a level").message["params"]["level"], "debug", "{path} {prefix}");
    }
    for (path, prefix) in NEW {
        let client = stage.legacy(path).await;
        client.request("1", "logging/setLevel", json!({"level": "warning"})).await.answer().await;
        let answer = client.call("2", &format!("{prefix}echo"), json!({})).await.answer().await;
        let meta = &seen(&answer)["_meta"];
        assert_eq!(meta["io.modelcontextprotocol/logLevel"], "warning", "{path} {prefix}: {answer}");
    }
}

#[tokio::test]
async fn a_legacy_server_that_forgot_its_sessions_gets_new_ones_behind_modern_clients() {
    let stage = Crossing::start().await;
    let client = stage.modern("/mcp/oldweb");
    assert_eq!(client.call("1", "echo", json!({})).await.answer().await["id"], 1);
    stage.old_web.forget_sessions();
    let answer = client.call("2", "echo", json!({})).await.answer().await;
    assert_eq!(answer["result"]["resultType"], "complete", "{answer}");
}

#[tokio::test]
async fn clients_of_one_legacy_server_have_sessions_of_their_own() {
    let stage = Crossing::start().await;
    for path in ["/mcp/oldweb", "/mcp/oldpipe"] {
        let record = stage.record(path, "");
        record.clear();
        let client = stage.modern(path);
        let stranger = client.clone().with("Authorization", &format!("Bearer {}", stage.gate.key_of("other")));
        let mut bare = client.clone();
        bare.capabilities = json!({});
        for who in [&client, &stranger, &bare, &client] {
            assert_eq!(who.call("1", "echo", json!({})).await.answer().await["id"], 1, "{path}");
        }
        let greeted = record.of("initialize");
        let declared: Vec<String> =
            greeted.iter().map(|one| one.message["params"]["capabilities"].to_string()).collect();
        // The first may be the gate's own, which declares nothing as well.
        let own = declared.iter().filter(|one| one.contains("elicitation")).count();
        assert_eq!(own, 2, "{path}: one for each client, whatever it calls: {declared:?}");
    }
}

#[tokio::test]
async fn a_modern_client_listens_to_legacy_servers() {
    let stage = Crossing::start().await;
    for (path, prefix) in OLD {
        let client = stage.modern(path);
        let uri = resource(prefix);
        let wanted = json!({"notifications": {"toolsListChanged": true, "resourceSubscriptions": [uri]}});
        let mut stream = client.request("\"s\"", "subscriptions/listen", wanted).await;
        let acknowledged = stream.message().await;
        assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged", "{path} {prefix}");
        assert_eq!(acknowledged["params"]["notifications"]["toolsListChanged"], true, "{path}: {acknowledged}");
        assert_eq!(acknowledged["params"]["notifications"]["resourceSubscriptions"], json!([uri]), "{path} {prefix}");
        let record = stage.record(path, prefix);
        record.until("the subscription", |received| received.message["method"] == "resources/subscribe").await;
        if prefix.contains("web") || path.contains("web") {
            record.until("the stream", |received| received.message["http"] == "GET").await;
        }
        client.call("1", &format!("{prefix}update"), json!({"uri": "mem://one"})).await.answer().await;
        let updated = stream.message().await;
        assert_eq!(updated["method"], "notifications/resources/updated", "{path} {prefix}: {updated}");
        assert_eq!(updated["params"]["uri"], uri, "{path} {prefix}");
        assert_eq!(updated["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "s", "{path} {prefix}");
        drop(stream);
        record.until("the end of it", |received| received.message["method"] == "resources/unsubscribe").await;
        record.clear();
    }
}

#[tokio::test]
async fn a_modern_client_hears_that_lists_of_legacy_servers_changed() {
    let stage = Crossing::start().await;
    for (path, prefix) in OLD {
        let client = stage.modern(path);
        let wanted = json!({"notifications": {"toolsListChanged": true}});
        let mut stream = client.request("7", "subscriptions/listen", wanted).await;
        stream.message().await;
        let record = stage.record(path, prefix);
        if prefix.contains("web") || path.contains("web") {
            record.until("the stream", |received| received.message["http"] == "GET").await;
        }
        // Whoever shares the server's announcements hears it, whosever call it was.
        stage.legacy(path).await.call("1", &format!("{prefix}change"), json!({})).await.answer().await;
        if path == "/mcp/oldpipe" || prefix == "oldpipe__" {
            // A session's own instance announces to its own session only.
            continue;
        }
        let changed = stream.message().await;
        assert_eq!(changed["method"], "notifications/tools/list_changed", "{path} {prefix}: {changed}");
        assert_eq!(changed["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 7, "{path} {prefix}");
        record.clear();
    }
}

#[tokio::test]
async fn a_modern_client_hears_that_lists_of_its_own_instance_changed() {
    let stage = Crossing::start().await;
    for path in ["/mcp/oldpipe", "/mcp/all"] {
        let prefix = if path == "/mcp/all" { "oldpipe__" } else { "" };
        let client = stage.modern(path);
        let wanted = json!({"notifications": {"toolsListChanged": true}});
        let mut stream = client.request("7", "subscriptions/listen", wanted).await;
        stream.message().await;
        // The call comes later than the subscription, and opens the instance that announces.
        client.call("1", &format!("{prefix}change"), json!({})).await.answer().await;
        let changed = stream.message().await;
        assert_eq!(changed["method"], "notifications/tools/list_changed", "{path}: {changed}");
        assert_eq!(changed["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 7, "{path}");
        let mut other = stage.modern(path);
        other.capabilities = json!({});
        other.call("2", &format!("{prefix}change"), json!({})).await.answer().await;
        assert!(stream.is_silent().await, "{path}: another's instance is no business of this client");
    }
}

#[tokio::test]
async fn a_legacy_client_watches_resources_and_lists_of_modern_servers() {
    let stage = Crossing::start().await;
    for (path, prefix) in NEW {
        let client = stage.legacy(path).await;
        let uri = resource(prefix);
        let mut stream = client.stream().await;
        let answer = client.request("1", "resources/subscribe", json!({"uri": uri})).await.answer().await;
        assert_eq!(answer["result"], json!({}), "{path} {prefix}: {answer}");
        client.call("2", &format!("{prefix}update"), json!({"uri": "mem://one"})).await.answer().await;
        let updated = stream.message().await;
        assert_eq!(updated["method"], "notifications/resources/updated", "{path} {prefix}: {updated}");
        assert_eq!(updated["params"], json!({"uri": uri}), "{path} {prefix}");
        client.call("3", &format!("{prefix}change"), json!({})).await.answer().await;
        let changed = stream.message().await;
        assert_eq!(changed["method"], "notifications/tools/list_changed", "{path} {prefix}: {changed}");
        let ended = client.request("4", "resources/unsubscribe", json!({"uri": uri})).await.answer().await;
        assert_eq!(ended["result"], json!({}), "{path} {prefix}");
        client.call("5", &format!("{prefix}update"), json!({"uri": "mem://one"})).await.answer().await;
        assert!(stream.is_silent().await, "{path} {prefix}");
    }
}
