//! The two tasks of a link: one hands what is to be sent to the writer, one hands on what is read.
//!
//! They live on the core that has the connection, and end with it. When the process ends first, they
//! leave what they have not passed on for the next one.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tracing::{debug, warn};

use super::{Command, Serves};
use crate::instance::notice::Exit;
use crate::observe::Shown;
use crate::servers::stdio::calls::Waiting;
use crate::servers::stdio::connection::{Incoming, Line, Writer};
use crate::servers::stdio::delivery::{Back, deliver, lose_oversized};
use crate::servers::stdio::writer::answered;
use crate::state::Keep;

/// Lines that came in one read and are handed on before others of the core have their turn: each may cost a record.
const LINES_AT_ONCE: usize = 16;

/// Messages on their way to the writer.
struct Inbox {
    commands: mpsc::Receiver<Command>,
    /// A notification or a response that the writer is about to take.
    taken: Option<Bytes>,
    keep: Option<Arc<Keep>>,
}

impl Drop for Inbox {
    /// The process ends: what a client has been told is accepted is for the next one to write. Requests
    /// are not, for nobody waits for their answers any more.
    fn drop(&mut self) {
        let Some(keep) = &self.keep else { return };
        let mut left: Vec<Bytes> = self.taken.take().into_iter().collect();
        while let Ok(command) = self.commands.try_recv() {
            if let Command::Send(message, _) = command {
                left.push(message);
            }
        }
        left.iter().filter_map(answered).for_each(|id| keep.answered(&id));
        keep.leave_unsent(&left);
    }
}

pub(super) async fn write(
    commands: mpsc::Receiver<Command>,
    writer: Writer,
    waiting: Rc<RefCell<Waiting>>,
    serves: Rc<OnceCell<Serves>>,
    keep: Option<Arc<Keep>>,
) {
    let mut inbox = Inbox { commands, taken: None, keep: keep.clone() };
    while let Some(command) = inbox.commands.recv().await {
        let (message, _room) = match command {
            Command::Request { id, message, reply, room } => {
                waiting.borrow_mut().add(id, reply);
                (message, room)
            }
            Command::Send(message, room) => {
                inbox.taken = Some(message.clone());
                (message, room)
            }
            Command::Serve(whom) => {
                drop(serves.set(whom));
                continue;
            }
            Command::Forget(id) => {
                waiting.borrow_mut().remove(id);
                continue;
            }
            Command::End => break,
        };
        if writer.send(message).await.is_err() {
            break;
        }
        inbox.taken = None;
    }
    writer.end();
    if let Some(keep) = keep {
        keep.end();
    }
}

pub(super) async fn read(
    mut reader: Incoming,
    waiting: Rc<RefCell<Waiting>>,
    serves: Rc<OnceCell<Serves>>,
    back: Back,
    place: OwnedSemaphorePermit,
) {
    let shared = &back.shared;
    let mut unread = 0;
    let mut exit = None;
    let mut endless = false;
    let mut lines = 0_usize;
    while let Some(line) = reader.next().await {
        lines = lines.wrapping_add(1);
        if lines.is_multiple_of(LINES_AT_ONCE) {
            tokio::task::yield_now().await;
        }
        match line {
            Line::Message(message) => deliver(message, &waiting, serves.get(), &back, &mut unread).await,
            Line::Oversized { prefix } => lose_oversized(&prefix, &waiting),
            Line::Noise => warn!("a stdio server wrote a long line to stdout that is no message; it was dropped"),
            Line::Endless => endless = true,
            Line::Exited(reason) => exit = Some(reason),
        }
    }
    if let Some(keep) = &shared.keep {
        keep.end();
    }
    let reason = match reader {
        Incoming::Instance(_) if endless => "it wrote a line that has no end".into(),
        Incoming::Instance(_) => epitaph(exit.as_ref()),
        Incoming::Events(_) => "its stream of events ended".into(),
    };
    // Before the end is noted: whoever finds it ended finds out how.
    if let Some(exit) = exit {
        drop(shared.exit.set(exit));
    }
    shared.ended.store(true, Ordering::Relaxed);
    shared.news.retire();
    debug!(pid = shared.pid, %reason, "an instance ended");
    waiting.borrow_mut().lose_all(&reason);
    // Who waits for what it says holds a handle, and would keep the connection for ever.
    back.end();
    // Whoever waits for the place finds the end noted.
    shared.left.store(true, Ordering::Relaxed);
    drop(place);
}

/// What callers read when the instance ended under them.
pub(in crate::servers::stdio) fn epitaph(exit: Option<&Exit>) -> Arc<str> {
    match exit {
        // 137 is how a shell says that its child was killed.
        Some(Exit { oom_kills: 1.., signal: Some(9), .. } | Exit { oom_kills: 1.., status: Some(137), .. }) => {
            "its memory ran out".into()
        }
        Some(Exit { status: Some(status), .. }) => format!("its process ended with status {status}").into(),
        Some(Exit { signal: Some(signal), .. }) => format!("its process was ended by signal {signal}").into(),
        // The wrapper's line, or what the server wrote to look like it.
        Some(Exit { error: Some(error), .. }) => format!("its process could not be started: {}", Shown(error)).into(),
        Some(_) | None => "its process ended".into(),
    }
}
