//! Calls that become tasks, as each era has them. The tool `task` does what its arguments say:
//! `ask` asks the client something, `before` does so before there is a task, `progress` tells of some, `end` is how it ends instead of well
//! (`failed`, `cancelled`, `never`), `tells` has it say how all tasks are, `looks` is how often a modern task is still at work when it is asked for.

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::script::{fail, result};
use super::{Fake, Out, Request, lock, say};

const QUESTION: &str = r#"{"message":"Which?","requestedSchema":{"type":"object"}}"#;

const EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// What became of such a call.
#[derive(Debug)]
pub(super) struct Task {
    arguments: Value,
    raw_params: String,
    token: Option<String>,
    looks: u64,
    /// The client's answer to its question.
    answered: Option<Value>,
    /// The same, where the call asked before it became a task.
    asked: Option<oneshot::Receiver<String>>,
}

impl Fake {
    pub(super) fn make_task(&self, request: &Request, out: &Out) {
        let declared = &request.params["_meta"]["io.modelcontextprotocol/clientCapabilities"]["extensions"][EXTENSION];
        if request.modern && declared.is_null() {
            let data = json!({"requiredCapabilities": {"extensions": {EXTENSION: {}}}});
            return fail(request, out, &json!({"code": -32021, "message": "I only run it as a task.", "data": data}));
        }
        if !request.modern && !request.params["task"].is_object() {
            return fail(request, out, &json!({"code": -32601, "message": "I only run it as a task."}));
        }
        let id = format!("task-{}", self.mint());
        let arguments = request.params["arguments"].clone();
        let looks = arguments["looks"].as_u64().unwrap_or(1);
        let task = Task {
            arguments,
            raw_params: request.raw_params.clone(),
            token: request.token.clone(),
            looks,
            answered: None,
            asked: (request.params["arguments"]["before"] == true)
                .then(|| self.begin_to_ask(&self.mint().to_string(), "elicitation/create", QUESTION, out)),
        };
        lock(&self.tasks).insert(id.clone(), task);
        if request.modern {
            let made =
                json!({"resultType": "task", "taskId": id, "status": "working", "ttlMs": null, "pollIntervalMs": 1});
            result(request, out, &made.to_string());
        } else {
            result(request, out, &json!({"task": {"taskId": id, "status": "working", "ttl": null}}).to_string());
        }
    }

    pub(super) async fn about_task(&self, request: &Request, out: &Out) {
        let id = request.params["taskId"].as_str().unwrap_or_default();
        if request.method == "tasks/list" {
            // To it, all that a gate sends is of one client.
            let all: Vec<_> = lock(&self.tasks).keys().map(|id| json!({"taskId": id, "status": "working"})).collect();
            return result(request, out, &json!({"tasks": all}).to_string());
        }
        if !lock(&self.tasks).contains_key(id) {
            return fail(request, out, &json!({"code": -32602, "message": "There is no such task."}));
        }
        match request.method.as_str() {
            "tasks/cancel" => {
                lock(&self.tasks).remove(id);
                result(
                    request,
                    out,
                    &json!({"taskId": id, "status": "cancelled", "resultType": "complete"}).to_string(),
                );
            }
            "tasks/update" => {
                if let Some(task) = lock(&self.tasks).get_mut(id) {
                    task.answered = Some(request.params["inputResponses"].clone());
                }
                result(request, out, r#"{"resultType":"complete"}"#);
            }
            "tasks/result" => self.task_result(id, request, out).await,
            _ => result(request, out, &self.task_status(id)),
        }
    }

    /// How a task is, as the modern era is told; whoever asks for it often enough sees its end.
    fn task_status(&self, id: &str) -> String {
        let mut tasks = lock(&self.tasks);
        let Some(task) = tasks.get_mut(id) else { return String::new() };
        let head = format!(r#""resultType":"complete","taskId":"{id}","pollIntervalMs":1"#);
        if task.looks > 0 || task.arguments["end"] == "never" {
            task.looks = task.looks.saturating_sub(1);
            return format!(r#"{{{head},"status":"working"}}"#);
        }
        if task.arguments["ask"] == true && task.answered.is_none() {
            let question = json!({"q": {"method": "elicitation/create", "params": {"message": "Which?"}}});
            return format!(r#"{{{head},"status":"input_required","inputRequests":{question}}}"#);
        }
        match task.arguments["end"].as_str() {
            Some("failed") => {
                format!(r#"{{{head},"status":"failed","error":{{"code":-32603,"message":"It broke."}}}}"#)
            }
            Some(end) => format!(r#"{{{head},"status":"{end}"}}"#),
            None => {
                let done = task.done(task.answered.as_ref().unwrap_or(&Value::Null));
                format!(r#"{{{head},"status":"completed","result":{done}}}"#)
            }
        }
    }

    /// The legacy era's way to wait for a task.
    async fn task_result(&self, id: &str, request: &Request, out: &Out) {
        let known = lock(&self.tasks).get(id).map(|task| (task.arguments.clone(), task.token.clone()));
        let Some((arguments, token)) = known else { return };
        if let (true, Some(token)) = (arguments["progress"] == true, token) {
            say(
                out,
                &format!(
                    r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1}}}}"#
                ),
            );
        }
        // It tells whoever listens of all its tasks.
        let all: Vec<_> = lock(&self.tasks).keys().cloned().collect();
        for id in all.iter().filter(|_| arguments["tells"] == true) {
            let params = json!({"taskId": id, "status": "working"});
            say(out, &json!({"jsonrpc": "2.0", "method": "notifications/tasks/status", "params": params}).to_string());
        }
        let mut answered = Value::Null;
        if arguments["ask"] == true {
            let answer = self.ask(&self.mint().to_string(), "elicitation/create", QUESTION, out).await;
            answered = serde_json::from_str::<Value>(&answer).unwrap_or_default()["result"].clone();
        }
        let asked = lock(&self.tasks).get_mut(id).and_then(|task| task.asked.take());
        if let Some(asked) = asked {
            let answer = asked.await.unwrap_or_default();
            answered = serde_json::from_str::<Value>(&answer).unwrap_or_default()["result"].clone();
        }
        match arguments["end"].as_str() {
            Some("never") => std::future::pending().await,
            Some(_) => fail(request, out, &json!({"code": -32603, "message": "It broke."})),
            None => {
                let done = lock(&self.tasks).get(id).map(|task| task.done(&answered)).unwrap_or_default();
                let meta = json!({"io.modelcontextprotocol/related-task": {"taskId": id}});
                result(request, out, &done.replacen('{', &format!(r#"{{"_meta":{meta},"#), 1));
            }
        }
    }
}

impl Task {
    /// The tool's result.
    fn done(&self, answered: &Value) -> String {
        let raw_params = &self.raw_params;
        format!(r#"{{"content":[],"resultType":"complete","params":{raw_params},"answered":{answered}}}"#)
    }
}
