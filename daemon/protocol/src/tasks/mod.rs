//! Ids of tasks in messages (2025-11-25, "Tasks"; the extension `io.modelcontextprotocol/tasks`): where they stand, and
//! the same messages with other ids in their place.
//! Called for messages that may speak of tasks, so that a client knows a server's task by an id that is its own.
//! Must hold: only ids of a server's tasks are changed. Tasks that a client runs for a server have ids of the client's.

use std::borrow::Cow;

use memchr::memmem;

use crate::bridge::TASKS_EXTENSION;
use crate::envelope::{Envelope, Shape};
use crate::json::{self, Span, decode_str};
use crate::list;
use crate::method::{Method, NamedBy};
use crate::splice::{self, Edit, leave_out};

/// The key of `_meta` under which a message says to which task it belongs (2025-11-25, "Related Task Metadata").
const RELATED: &str = "io.modelcontextprotocol/related-task";

/// How a server's message speaks of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It has just made it, of the call that the message answers.
    Made,
    /// It says something of it.
    Told,
}

/// What becomes of a server's message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turned {
    /// It passes as it is.
    Same,
    /// This passes in its place.
    Into(Vec<u8>),
    /// It is about somebody else's task.
    Nothing,
}

/// A request names a task that is not its client's: this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown(pub String);

/// Whether what a server says to this request may speak of tasks.
#[must_use]
pub fn concerns(text: &[u8], envelope: &Envelope) -> bool {
    match envelope.known_method {
        Some(Method::Listen) => watched(text, envelope).is_some(),
        Some(Method::TasksList) => true,
        Some(method) => {
            method.named_by() == Some(NamedBy::TaskId) || envelope.task.is_some() || declares(text, envelope)
        }
        None => is_about_tasks(text, envelope) || envelope.task.is_some() || declares(text, envelope),
    }
}

/// Whether a message speaks of tasks. All keys that hold an id have this in them; a server that spells them otherwise has
/// ids that open nothing here.
#[must_use]
pub fn mentions(text: &[u8]) -> bool {
    memmem::find(text, b"askId").is_some()
}

/// Whether a modern request says that its client knows tasks: a server makes none of others.
fn declares(text: &[u8], envelope: &Envelope) -> bool {
    const NOTHING: usize = "{}".len();
    let Some(all) = envelope.client_capabilities.filter(|all| all.of(text).len() > NOTHING) else { return false };
    json::get(text, all, "extensions").is_some_and(|extensions| json::get(text, extensions, TASKS_EXTENSION).is_some())
}

/// A method that the gate does not know, of those that are about tasks.
fn is_about_tasks(text: &[u8], envelope: &Envelope) -> bool {
    envelope.method_str(text).is_some_and(|method| method.starts_with("tasks/"))
}

/// The ids of the tasks that a subscription is about.
fn watched(text: &[u8], envelope: &Envelope) -> Option<Span> {
    json::get(text, json::get(text, envelope.params?, "notifications")?, "taskIds")
}

/// A server's message for a client. `name` gives the client's id of a task, by the server's own; `None` for a task that
/// is not the client's.
pub fn outward(text: &[u8], envelope: &Envelope, name: &mut dyn FnMut(Said, &str) -> Option<String>) -> Turned {
    let mut edits = match envelope.shape {
        Shape::Response => in_result(text, envelope, name),
        Shape::Request | Shape::Notification => {
            let mut edits = related(text, envelope.meta, &mut |id| name(Said::Told, id));
            match envelope.known_method {
                Some(Method::TaskStatus | Method::TaskChanged) => {
                    match string(text, envelope.task_id).map(|id| name(Said::Told, &id)) {
                        Some(Some(id)) => edits.extend(envelope.task_id.map(|span| list::rename(span, &id))),
                        Some(None) => return Turned::Nothing,
                        None => {}
                    }
                }
                Some(Method::SubscriptionAcknowledged) => {
                    let ids = watched(text, envelope).into_iter().flat_map(|ids| json::elements(text, ids));
                    edits.extend(ids.filter_map(|span| renamed(text, span, &mut |id| name(Said::Told, id))));
                }
                _ => {}
            }
            edits
        }
    };
    if edits.is_empty() { Turned::Same } else { Turned::Into(splice::apply(text, &mut edits)) }
}

fn in_result(
    text: &[u8],
    envelope: &Envelope,
    name: &mut dyn FnMut(Said, &str) -> Option<String>,
) -> Vec<Edit<'static>> {
    let Some(result) = envelope.result else { return Vec::new() };
    let get = |key| json::get(text, result, key);
    let mut edits = related(text, get("_meta"), &mut |id| name(Said::Told, id));
    // As the legacy era says it, and as the modern one does.
    if let Some(id) = get("task").and_then(|task| json::get(text, task, "taskId")) {
        edits.extend(renamed(text, id, &mut |id| name(Said::Made, id)));
    }
    if let Some(id) = get("taskId") {
        let is_new = get("resultType").is_some_and(|kind| json::str_eq(kind.of(text), "task"));
        let said = if is_new { Said::Made } else { Said::Told };
        edits.extend(renamed(text, id, &mut |id| name(said, id)));
    }
    edits.extend(in_list(text, result, &mut |id| name(Said::Told, id)));
    edits
}

/// Of a list of tasks the client sees its own.
fn in_list(text: &[u8], result: Span, name: &mut dyn FnMut(&str) -> Option<String>) -> Vec<Edit<'static>> {
    let mut renames = Vec::new();
    let mut edits = list::retain(text, result, "tasks", |item| {
        let rename = json::get(text, item.span, "taskId").and_then(|id| renamed(text, id, name));
        let is_own = rename.is_some();
        renames.extend(rename);
        is_own
    });
    edits.extend(renames);
    edits
}

/// A client's message for a server. `own` gives the server's id of a task, by the client's.
///
/// # Errors
/// Where a request is about a task that is not the client's.
pub fn inward(
    text: &[u8],
    envelope: &Envelope,
    own: &mut dyn FnMut(&str) -> Option<String>,
) -> Result<Option<Vec<u8>>, Unknown> {
    let mut edits = match (envelope.shape, envelope.known_method) {
        (Shape::Request, Some(Method::Listen)) => subscribed(text, envelope, own),
        (Shape::Request, Some(method)) if method.named_by() == Some(NamedBy::TaskId) => named(text, envelope, own)?,
        (Shape::Request, None) if is_about_tasks(text, envelope) => named(text, envelope, own)?,
        (Shape::Request, _) => Vec::new(),
        (Shape::Notification, _) => related(text, envelope.meta, own),
        (Shape::Response, _) => related(text, envelope.result.and_then(|result| json::get(text, result, "_meta")), own),
    };
    Ok((!edits.is_empty()).then(|| splice::apply(text, &mut edits)))
}

fn named(
    text: &[u8],
    envelope: &Envelope,
    own: &mut dyn FnMut(&str) -> Option<String>,
) -> Result<Vec<Edit<'static>>, Unknown> {
    // What names nothing is the server's to refuse.
    let (Some(span), Some(id)) = (envelope.task_id, string(text, envelope.task_id)) else { return Ok(Vec::new()) };
    match own(&id) {
        Some(own) => Ok(vec![list::rename(span, &own)]),
        None => Err(Unknown(id.into_owned())),
    }
}

/// The tasks that a client follows: a server says which of those that were asked for it knows, so others are left out.
fn subscribed(text: &[u8], envelope: &Envelope, own: &mut dyn FnMut(&str) -> Option<String>) -> Vec<Edit<'static>> {
    let Some(ids) = watched(text, envelope) else { return Vec::new() };
    let renames: Vec<_> = json::elements(text, ids).map(|span| (span, renamed(text, span, own))).collect();
    let stay: Vec<_> = renames.iter().map(|(span, rename)| (*span, rename.is_some())).collect();
    let mut edits = leave_out(&stay);
    edits.extend(renames.into_iter().filter_map(|(_, rename)| rename));
    edits
}

/// The edit of what `_meta` says of a task. One that nobody knows may be the other side's own, and stays.
fn related(text: &[u8], meta: Option<Span>, name: &mut dyn FnMut(&str) -> Option<String>) -> Vec<Edit<'static>> {
    let id = meta.and_then(|meta| json::get(text, json::get(text, meta, RELATED)?, "taskId"));
    id.and_then(|id| renamed(text, id, name)).into_iter().collect()
}

fn renamed(text: &[u8], id: Span, name: &mut dyn FnMut(&str) -> Option<String>) -> Option<Edit<'static>> {
    name(&string(text, Some(id))?).map(|name| list::rename(id, &name))
}

fn string(text: &[u8], span: Option<Span>) -> Option<Cow<'_, str>> {
    span.map(|span| span.of(text)).filter(|raw| raw.starts_with(b"\"")).map(decode_str)
}

#[cfg(test)]
mod tests;
