//! Tells HTTP servers that sessions have ended which mirrored theirs.
//!
//! For sessions that idled out, gave way or lost their path; a client that ends its session tells
//! the server itself. Best effort, off the way of calls: what is not told in time is left.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;

use crate::core::Core;
use crate::servers::http::Method;
use crate::servers::http_call::Conversation;
use crate::servers::http_stream::bare;
use crate::sessions::{Kind, Mirrored, Session};

/// Servers that are told at once.
const AT_ONCE: usize = 8;
/// How long one may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long all of them may take.
const IN_ALL: Duration = Duration::from_secs(30);

/// Begins to tell the servers of these sessions; to be called on a core.
pub fn begin(core: &Rc<Core>, ended: impl IntoIterator<Item = Arc<Session>>) {
    let mirrored: Vec<_> = ended
        .into_iter()
        .filter_map(|session| match &session.kind {
            Kind::Mirrored(mirrored) => Some(mirrored.clone()),
            Kind::Hosted(_) => None,
        })
        .collect();
    tell(core, mirrored);
}

/// The same for sessions of servers that none of ours stands for.
pub fn tell(core: &Rc<Core>, sessions: Vec<Mirrored>) {
    if !sessions.is_empty() {
        tokio::task::spawn_local(tell_all(Rc::clone(core), sessions));
    }
}

async fn tell_all(core: Rc<Core>, sessions: Vec<Mirrored>) {
    let deadline = Instant::now() + IN_ALL;
    let mut telling = JoinSet::new();
    let mut sessions = sessions.into_iter();
    for session in sessions.by_ref() {
        telling.spawn_local(timeout(PATIENCE, end(Rc::clone(&core), session)));
        if telling.len() >= AT_ONCE && timeout_at(deadline, telling.join_next()).await.is_err() {
            break;
        }
    }
    let left = sessions.len();
    if left > 0 {
        debug!(left, "sessions at servers were left to end by themselves");
    }
    while telling.join_next().await.is_some() {}
}

async fn end(core: Rc<Core>, session: Mirrored) {
    let conversation =
        Conversation { endpoint: Some(session.endpoint), session: Some(session.upstream), revision: None };
    bare(&core, &session.server, &conversation, Method::Delete, None).await;
}
