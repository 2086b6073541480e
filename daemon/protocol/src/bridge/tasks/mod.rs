//! Calls that become tasks. Tasks do not cross: the gate runs them for the other side, which sees an ordinary call.
//! Called by the relay of a call: `legacy` on a server of 2025-11-25 with core tasks, [`Polling`] on a modern server
//! with the tasks extension.
//! Must hold: no task is promised to a client of the other era, and none is left running when its call is cancelled.

pub mod legacy;
mod polling;

pub use polling::{Polling, Step};

use crate::bridge::TASKS_EXTENSION;
use crate::bridge::members::{object, whole};
use crate::json;
use crate::method::Method;
use crate::revision::Era;

/// Whether a modern server with these capabilities (raw) makes tasks of calls that declare the extension.
#[must_use]
pub fn are_offered(capabilities: &[u8]) -> bool {
    let extensions = object(capabilities, whole(capabilities), "extensions");
    extensions.is_some_and(|extensions| json::get(capabilities, extensions, TASKS_EXTENSION).is_some())
}

/// Why a method that is about tasks does not cross to a server of `era`; `None` for a method that is not. The code of
/// such a refusal is [`crate::error::METHOD_NOT_FOUND`]: no such capability was promised.
#[must_use]
pub const fn refusal(method: Method, era: Era) -> Option<&'static str> {
    match (method, era) {
        (Method::TasksGet | Method::TasksCancel | Method::TasksResult, Era::Modern) => Some(
            "This server decides by itself which calls become tasks, and the gate waits for them: call the tool without `task`.",
        ),
        (Method::TasksList, Era::Modern) => Some("This server does not list its tasks; revision 2026-07-28 cannot."),
        (Method::TasksGet | Method::TasksCancel | Method::TasksUpdate, Era::Legacy) => Some(
            "This server's tasks have no handles here: the gate waits for them, call the tool and read its result.",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
