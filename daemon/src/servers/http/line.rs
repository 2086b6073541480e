//! Calls that wait for a stream of HTTP/2 to one endpoint, on whichever core, in the order in which they came.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use tokio::sync::oneshot;

use super::error::SendError;
use super::lanes::Lease;
use crate::lock::lock;

/// What a call gets that waited.
pub(super) enum Handed {
    Stream(Lease),
    /// The server is spoken to in HTTP/1.1.
    Plain,
    Failed(SendError),
}

#[derive(Default)]
pub(super) struct Line {
    waiting: Mutex<VecDeque<oneshot::Sender<Handed>>>,
    /// Those and, for a while, some that have left.
    length: AtomicUsize,
}

impl Line {
    pub(super) fn join(&self) -> oneshot::Receiver<Handed> {
        let (hand, handed) = oneshot::channel();
        let mut waiting = self.waiting();
        waiting.push_back(hand);
        self.length.store(waiting.len(), Ordering::SeqCst);
        handed
    }

    /// Whether nobody waits: one load. It may say so late of those who left.
    pub(super) fn is_empty(&self) -> bool {
        self.length.load(Ordering::SeqCst) == 0
    }

    /// How many wait, without those who left.
    pub(super) fn count(&self) -> usize {
        if self.is_empty() {
            return 0;
        }
        let mut waiting = self.waiting();
        waiting.retain(|hand| !hand.is_closed());
        self.length.store(waiting.len(), Ordering::SeqCst);
        waiting.len()
    }

    /// Hands it to whoever is first; gives it back where nobody waits.
    pub(super) fn hand(&self, mut handed: Handed) -> Option<Handed> {
        loop {
            let mut waiting = self.waiting();
            let first = waiting.pop_front();
            self.length.store(waiting.len(), Ordering::SeqCst);
            drop(waiting);
            let Some(first) = first else { return Some(handed) };
            match first.send(handed) {
                Ok(()) => return None,
                // It has left.
                Err(unwanted) => handed = unwanted,
            }
        }
    }

    /// Tells all who wait.
    pub(super) fn tell(&self, make: impl Fn() -> Handed) {
        let all = std::mem::take(&mut *self.waiting());
        self.length.store(0, Ordering::SeqCst);
        for hand in all {
            drop(hand.send(make()));
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<oneshot::Sender<Handed>>> {
        lock(&self.waiting)
    }
}
