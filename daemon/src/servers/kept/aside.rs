//! What a kept session's HTTP server says outside of its calls' answers: on the session's own stream.
//!
//! It is followed for as long as the session lives. A request that names no call is the lone call's
//! in flight; where several run, or none does, nobody can tell whose it is, and it is refused.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use toolgate_protocol::envelope::Shape;
use toolgate_protocol::method::Method;

use super::Kept;
use crate::core::Core;
use crate::lock::lock;
use crate::message::Message;
use crate::provenance::Provenance;
use crate::servers::exchange::refusal;
use crate::servers::http_stream::{Stream, Unasked};
use crate::servers::news::announced;
use crate::servers::queue::Flow;

/// How often a quiet stream looks whether its session is still there.
const LOOK: Duration = Duration::from_secs(5);
/// How long a server may take to hear that its session has ended.
const FAREWELL: Duration = Duration::from_secs(5);
/// Messages that a call may have unread.
const UNREAD: usize = 64;

/// The calls that run in a session.
#[derive(Debug, Default)]
pub struct Calls {
    running: Mutex<HashMap<u64, mpsc::Sender<Bytes>>>,
    next: AtomicU64,
}

/// A call's ear for what its server says outside of its answer.
#[derive(Debug)]
pub struct Aside {
    kept: Arc<Kept>,
    number: u64,
    said: mpsc::Receiver<Bytes>,
}

impl Aside {
    /// A call that begins.
    pub fn begin(kept: &Arc<Kept>) -> Self {
        let (sender, said) = mpsc::channel(UNREAD);
        let number = kept.calls.next.fetch_add(1, Ordering::Relaxed);
        kept.calls.lock().insert(number, sender);
        Self { kept: Arc::clone(kept), number, said }
    }

    /// What is said next; never where nothing is.
    pub async fn next(&mut self) -> Bytes {
        match self.said.recv().await {
            Some(message) => message,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.kept.calls.lock().remove(&self.number);
    }
}

impl Calls {
    /// The only call that runs.
    fn lone(&self) -> Option<mpsc::Sender<Bytes>> {
        let running = self.lock();
        let mut all = running.values();
        all.next().filter(|_| running.len() == 1).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, mpsc::Sender<Bytes>>> {
        lock(&self.running)
    }
}

/// Follows the session's stream until the session is given up, and then tells the server. An instance
/// needs no such thing: what it says comes among its lines.
pub(super) fn attend(core: &Rc<Core>, kept: &Arc<Kept>) {
    if let Some(stream) = Stream::new(core, &kept.leg, Some(Flow::default())) {
        tokio::task::spawn_local(follow(Rc::clone(core), stream, Arc::downgrade(kept)));
    }
}

async fn follow(core: Rc<Core>, mut stream: Stream, kept: Weak<Kept>) {
    loop {
        let heard = tokio::select! {
            heard = stream.next() => heard,
            () = gone(&kept) => break,
        };
        match heard {
            Unasked::Message(message) => {
                let Some(kept) = kept.upgrade() else { break };
                pass(&core, &kept, message).await;
            }
            Unasked::Reopened => {}
            Unasked::Refused => {
                gone(&kept).await;
                break;
            }
            Unasked::Lost => {
                if let Some(kept) = kept.upgrade() {
                    kept.lose();
                }
                return;
            }
        }
    }
    // Best effort: one that does not answer ends it by its own rules.
    drop(timeout(FAREWELL, stream.end()).await);
}

async fn gone(kept: &Weak<Kept>) {
    while kept.strong_count() > 0 {
        sleep(LOOK).await;
    }
}

async fn pass(core: &Rc<Core>, kept: &Arc<Kept>, message: Bytes) {
    let Ok(message) = Message::parse(message) else { return };
    if let Some(list) = announced(&message.envelope) {
        return kept.news.publish_change(list);
    }
    match (message.shape(), message.envelope.known_method) {
        (Shape::Notification, Some(Method::ResourceUpdated)) => kept.news.publish(message.bytes),
        (Shape::Request, _) => {
            let taken = kept.calls.lone().is_some_and(|call| call.try_send(message.bytes.clone()).is_ok());
            if !taken && let Some(id) = message.id() {
                drop(kept.leg.send(core, refusal(id), &Provenance::own()).await);
            }
        }
        (Shape::Notification, Some(Method::Message | Method::Cancelled)) => {
            if let Some(call) = kept.calls.lone() {
                drop(call.try_send(message.bytes));
            }
        }
        _ => {}
    }
}
