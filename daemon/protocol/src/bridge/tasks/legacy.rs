//! A modern client's call of a tool that a legacy server only runs as a task (2025-11-25, "Tasks").
//! Called by the relay: the call with a task, then `tasks/result`, which waits for the end and answers as the tool would.
//! Must hold: what the server asks meanwhile comes on the stream of `tasks/result` and is parked like that of any call.

use crate::bridge::members::{self, is_object, object, whole};
use crate::envelope::Envelope;
use crate::json::{self, Span};
use crate::method::Method;
use crate::splice;

/// Whether a server with these capabilities (raw) runs tools as tasks.
#[must_use]
pub fn are_offered(capabilities: &[u8]) -> bool {
    let all = whole(capabilities);
    let inside = |outer, key| object(capabilities, outer, key);
    let tools = inside(all, "tasks").and_then(|it| inside(it, "requests")).and_then(|it| inside(it, "tools"));
    tools.is_some_and(|tools| inside(tools, "call").is_some())
}

/// Whether an entry of `tools/list` says that the tool only runs as a task.
#[must_use]
pub fn is_required(text: &[u8], tool: Span) -> bool {
    let support = object(text, tool, "execution").and_then(|it| json::get(text, it, "taskSupport"));
    support.is_some_and(|support| json::str_eq(support.of(text), "required"))
}

/// The legacy request (see [`crate::bridge::request::to_legacy`]) as one for a task.
#[must_use]
pub fn as_task(text: &[u8], envelope: &Envelope) -> Vec<u8> {
    let Some(params) = envelope.params.filter(|params| is_object(params.of(text))) else { return text.to_vec() };
    splice::apply(text, &mut members::rewrite(text, params, &[("task", b"{}")], &[]))
}

/// The task's id (raw) in the result of such a request; `None` when the server answered at once instead.
#[must_use]
pub fn task_id(text: &[u8], result: Span) -> Option<&[u8]> {
    let id = json::get(text, object(text, result, "task")?, "taskId")?.of(text);
    id.starts_with(b"\"").then_some(id)
}

/// The request that waits for the task's end and has the tool's result (or error) as its answer. `id` and `task` are
/// raw.
#[must_use]
pub fn result_request(id: &[u8], task: &[u8]) -> Vec<u8> {
    request(id, Method::TasksResult, task)
}

/// The request that cancels the task. `id` and `task` are raw.
#[must_use]
pub fn cancel_request(id: &[u8], task: &[u8]) -> Vec<u8> {
    request(id, Method::TasksCancel, task)
}

fn request(id: &[u8], method: Method, task: &[u8]) -> Vec<u8> {
    let head = format!(r#","method":"{}","params":{{"taskId":"#, method.as_str());
    [b"{\"jsonrpc\":\"2.0\",\"id\":", id, head.as_bytes(), task, b"}}"].concat()
}
