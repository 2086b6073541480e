//! Instances started in advance, for nobody yet: a session's first call does not wait for a start.
//!
//! A spare has a place like any other, and whoever needs an instance takes a spare first, so that
//! it keeps nobody from a place. Nothing is asked of one: the first request fixes the era of some
//! programs. One that ends unused is started anew, ever more slowly.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use toolgate_protocol::backoff::{Backoff, Verdict};
use tracing::{info, warn};

use super::instances::{Instances, Role, seed};
use crate::lock::lock;

use super::link::{Link, Serves};
use crate::clock;

/// What is kept of the spares of one server beside the instances themselves.
#[derive(Debug)]
pub(super) struct Spares {
    wanted: AtomicUsize,
    /// Somebody starts the missing ones.
    starting: AtomicBool,
    /// Of spares that could not be started or ended unused.
    backoff: Mutex<Backoff>,
    ready: Notify,
}

impl Spares {
    pub(super) fn new(wanted: usize) -> Self {
        Self {
            wanted: AtomicUsize::new(wanted),
            starting: AtomicBool::new(false),
            backoff: Mutex::new(Backoff::new(seed())),
            ready: Notify::new(),
        }
    }

    /// Waits for the next spare that is ready, from the call on.
    pub(super) fn ready(&self) -> Notified<'_> {
        self.ready.notified()
    }

    /// Notes that a spare could not be started, or ended unused though it had run for a while.
    pub(super) fn failed(&self) {
        lock(&self.backoff).failed(clock::millis());
    }

    /// Starts are tried again at once.
    pub(super) fn forget_failures(&self) {
        lock(&self.backoff).succeeded();
    }

    fn may_start(&self) -> bool {
        lock(&self.backoff).verdict(clock::millis()) == Verdict::Start
    }
}

impl Instances {
    /// Spares that run; `None` where none are to be kept.
    pub fn spares(&self) -> Option<usize> {
        (self.spares.wanted.load(Ordering::Relaxed) > 0).then(|| self.running_spares())
    }

    /// Starts the spares that are missing, in the background; to be called on a core.
    pub fn keep_spares(self: &Arc<Self>) {
        if !self.lacks_spares() || self.spares.starting.swap(true, Ordering::AcqRel) {
            return;
        }
        let instances = Arc::clone(self);
        tokio::task::spawn_local(async move {
            instances.start_spares().await;
            instances.spares.starting.store(false, Ordering::Release);
        });
    }

    /// Ends the spares and keeps none from now on.
    pub fn end_spares(&self) {
        self.spares.wanted.store(0, Ordering::Relaxed);
        for slot in self.lock().values().filter(|slot| slot.role == Role::Spare) {
            slot.link.end();
        }
    }

    /// The spare that has run for longest, from now on for whom it is taken.
    pub(super) fn take_spare(self: &Arc<Self>, serves: &Serves, role: &Role) -> Option<Link> {
        let taken = {
            let mut running = self.lock();
            let mut spares: Vec<_> = running.values_mut().filter(|slot| slot.role == Role::Spare).collect();
            spares.sort_by_key(|slot| std::cmp::Reverse(clock::millis_since(slot.started)));
            let slot = spares.into_iter().find(|slot| !slot.link.is_ended() && slot.link.serve(serves.clone()))?;
            slot.role = role.clone();
            if let Some(keep) = slot.link.keep() {
                keep.serves(role.kept(serves));
            }
            // A program that crashes at its first message crashes at its start.
            slot.started = clock::millis();
            slot.link.clone()
        };
        lock(&self.spares.backoff).succeeded();
        self.keep_spares();
        Some(taken)
    }

    async fn start_spares(&self) {
        while self.lacks_spares() {
            // One that was started a moment ago may have crashed.
            self.sweep();
            if self.admit().is_err() || !self.spares.may_start() {
                return;
            }
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return };
            match self.open(place, Role::Spare, None).await {
                Ok(link) => info!(server = self.server, pid = link.pid(), "a spare instance is ready"),
                Err(failure) => {
                    self.spares.failed();
                    warn!(server = self.server, %failure, "no spare instance was started");
                    return;
                }
            }
            // A drain may have begun meanwhile.
            if self.spares.wanted.load(Ordering::Relaxed) == 0 {
                return self.end_spares();
            }
            self.spares.ready.notify_waiters();
        }
    }

    pub(super) fn lacks_spares(&self) -> bool {
        self.running_spares() < self.spares.wanted.load(Ordering::Relaxed)
    }

    fn running_spares(&self) -> usize {
        self.lock().values().filter(|slot| slot.role == Role::Spare && !slot.link.is_ended()).count()
    }
}
