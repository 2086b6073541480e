//! One core: a thread with a runtime of its own, and what every call on it may reach.
//!
//! [`cores`](crate::cores) makes one per thread; connections and calls hold it in an `Rc`.
//! Nothing here is shared with another core but by atomics, so nothing here ever waits.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::config::Settings;
use crate::gate::Gate;
use crate::policy::Policy;
use crate::listen::drain::Drain;

/// The running configuration as one core holds it: counted without atomics.
pub type Running = Rc<Arc<Settings>>;

/// What a core can be weighed by from outside.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Load {
    connections: AtomicUsize,
}

impl Load {
    /// Open client connections.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Counts a connection until the returned value is dropped.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> Loaded {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Loaded(self.clone())
    }
}

/// A connection that counts towards a core's load.
#[derive(Debug)]
pub struct Loaded(Arc<Load>);

impl Drop for Loaded {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The value per core.
pub struct Core {
    /// From 0; names the thread `core-INDEX`.
    pub index: usize,
    /// How busy this core is.
    pub load: Arc<Load>,
    /// Where this core stands between serving and having ended.
    pub drain: Drain,
    /// What all cores share.
    pub gate: Arc<Gate>,
    running: RefCell<Running>,
}

impl Core {
    /// A core of this gate.
    #[must_use]
    pub fn new(index: usize, load: Arc<Load>, gate: Arc<Gate>) -> Self {
        let running = RefCell::new(running(gate.settings.load_full()));
        Self { index, load, drain: Drain::default(), gate, running }
    }

    /// What holds for a call that starts now.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        self.gate.policy.load_full()
    }

    /// The running configuration: to be taken once per call, which keeps what it took.
    #[must_use]
    pub fn settings(&self) -> Running {
        let newest = self.gate.settings.load();
        let mut held = self.running.borrow_mut();
        if !Arc::ptr_eq(&newest, &held) {
            *held = running(Arc::clone(&newest));
        }
        Rc::clone(&held)
    }
}

#[expect(
    clippy::redundant_allocation,
    reason = "the outer count is the core's own: the shared one would bounce between cores with every call"
)]
fn running(settings: Arc<Settings>) -> Rc<Arc<Settings>> {
    Rc::new(settings)
}
