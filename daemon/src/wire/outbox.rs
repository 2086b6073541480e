//! What the connections of one core have written and the kernel does not have yet.
//!
//! The task of [`run`] is woken by the first that waits and comes after all others that are ready by then. Where it does
//! not run, nothing waits.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::sending::Sending;

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
    } };
}

struct Outbox {
    waiting: RefCell<Vec<Arc<Sending>>>,
    /// Buffers to write into: as many are in use as connections wait, not as there are.
    blank: RefCell<Vec<Vec<u8>>>,
    waker: RefCell<Option<Waker>>,
    runs: Cell<bool>,
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
        OUTBOX.with(|outbox| outbox.waker.replace(Some(cx.waker().clone())));
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

/// Whether pieces may wait here.
pub(super) fn runs() -> bool {
    OUTBOX.with(|outbox| outbox.runs.get())
}

/// Has a connection wait.
pub(super) fn wait(sending: &Arc<Sending>) {
    let count = OUTBOX.with(|outbox| {
        let mut waiting = outbox.waiting.borrow_mut();
        waiting.push(Arc::clone(sending));
        waiting.len()
    });
    if count == 1 {
        OUTBOX.with(|outbox| outbox.waker.borrow().as_ref().map(Waker::wake_by_ref));
    } else if count >= MANY {
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
