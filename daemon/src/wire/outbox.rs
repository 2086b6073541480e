//! What the connections of one core have written and the kernel does not have yet.
//!
//! The task of [`run`] is woken by the first piece of a turn and comes after all others that are ready by then. Pieces
//! wait for it while turns have many; where a turn had few, those of the next leave at once, so that each peer begins
//! while this core goes on. Where the task does not run, nothing waits.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::sending::Sending;

/// Pieces of a turn beyond which those of the next wait for its end.
pub(super) const FEW: usize = 4;
/// Connections whose pieces wait at most: then their peers have something to do for a while.
const MANY: usize = 32;
/// Bytes that an empty buffer is kept with.
const KEEP: usize = 16 * 1024;

thread_local! {
    static OUTBOX: Outbox = const { Outbox {
        waiting: RefCell::new(Vec::new()),
        blank: RefCell::new(Vec::new()),
        waker: RefCell::new(None),
        runs: Cell::new(false),
        written: Cell::new(0),
        gathers: Cell::new(true),
    } };
}

struct Outbox {
    waiting: RefCell<Vec<Arc<Sending>>>,
    /// Buffers to write into: as many are in use as connections wait, not as there are.
    blank: RefCell<Vec<Vec<u8>>>,
    waker: RefCell<Option<Waker>>,
    runs: Cell<bool>,
    /// Pieces of this turn.
    written: Cell<usize>,
    /// The last turn that had any had more than [`FEW`].
    gathers: Cell<bool>,
}

/// Sends what waits at the end of each turn of this core; it never ends.
pub async fn run() {
    struct Runs;
    impl Drop for Runs {
        fn drop(&mut self) {
            OUTBOX.with(|outbox| outbox.runs.set(false));
            flush();
        }
    }
    let _runs = Runs;
    OUTBOX.with(|outbox| outbox.runs.set(true));
    poll_fn(|cx| {
        flush();
        OUTBOX.with(|outbox| {
            if let written @ 1.. = outbox.written.take() {
                outbox.gathers.set(written > FEW);
            }
            outbox.waker.replace(Some(cx.waker().clone()));
        });
        Poll::<()>::Pending
    })
    .await;
}

/// Sends all that waits on this core now.
pub fn flush() {
    OUTBOX.with(|outbox| {
        let mut waiting = outbox.waiting.take();
        waiting.drain(..).for_each(|sending| sending.depart());
        // Nothing was written meanwhile: nobody else had a turn.
        outbox.waiting.replace(waiting);
    });
}

/// Whether a piece that is written now waits for the end of the turn.
pub(super) fn gathers() -> bool {
    OUTBOX.with(|outbox| {
        if !outbox.runs.get() {
            return false;
        }
        let before = outbox.written.replace(outbox.written.get() + 1);
        if before == 0 {
            outbox.waker.borrow().as_ref().map(Waker::wake_by_ref);
        }
        outbox.gathers.get()
    })
}

/// Has a connection wait.
pub(super) fn wait(sending: &Arc<Sending>) {
    let count = OUTBOX.with(|outbox| {
        let mut waiting = outbox.waiting.borrow_mut();
        waiting.push(Arc::clone(sending));
        waiting.len()
    });
    if count >= MANY {
        flush();
    }
}

/// An empty buffer.
pub(super) fn blank() -> Vec<u8> {
    OUTBOX.with(|outbox| outbox.blank.borrow_mut().pop()).unwrap_or_default()
}

/// Takes a buffer back.
pub(super) fn spare(mut buffer: Vec<u8>) {
    if buffer.capacity() > 0 && buffer.capacity() <= 2 * KEEP {
        buffer.clear();
        OUTBOX.with(|outbox| {
            let mut blank = outbox.blank.borrow_mut();
            if blank.len() < MANY {
                blank.push(buffer);
            }
        });
    }
}
