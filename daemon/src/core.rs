//! One core: a thread with a runtime of its own, and what every call on it may reach.
//!
//! [`cores`](crate::cores) makes one per thread; connections and calls hold it in an `Rc`.
//! Nothing here is shared with another core but by atomics, so nothing here ever waits.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;

use crate::audit;
use crate::gate::Gate;
use crate::listen::certified::Connections;
use crate::listen::drain::Drain;
use crate::observe::ledger::Desk;
use crate::policy::Policy;
use crate::running::Running;

/// What one core holds of a value that all share: counted without atomics.
type Held<T> = Rc<Arc<T>>;

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
    /// What its calls leave behind.
    pub desk: Desk,
    /// Where they go that are recorded, where there is an audit log.
    pub audit: Option<audit::Ring>,
    /// Calls that run here.
    pub running: Running,
    /// Connections whose clients have shown certificates.
    pub certified: Connections,
    /// Encoders at work on long answers.
    pub encoders: Cell<u32>,
    policy: RefCell<Held<Policy>>,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Core({})", self.index)
    }
}

impl Core {
    /// A core of this gate.
    #[must_use]
    pub fn new(index: usize, load: Arc<Load>, gate: Arc<Gate>) -> Self {
        let policy = RefCell::new(held(gate.policy.load_full()));
        let desk = gate.ledger.desk(&load);
        let (drain, running, audit) = (Drain::default(), Running::default(), gate.audit.ring());
        let certified = Connections::default();
        Self { index, load, drain, gate, desk, audit, running, certified, encoders: Cell::new(0), policy }
    }

    /// What holds for a call that starts now; the call keeps what it took.
    #[must_use]
    pub fn policy(&self) -> Rc<Arc<Policy>> {
        follow(&self.gate.policy, &self.policy)
    }
}

/// The newest value, taken over only where it is another one.
fn follow<T>(shared: &ArcSwap<T>, own: &RefCell<Held<T>>) -> Held<T> {
    let newest = shared.load();
    let mut own = own.borrow_mut();
    if !Arc::ptr_eq(&newest, &own) {
        *own = held(Arc::clone(&newest));
    }
    Rc::clone(&own)
}

// The outer count is the core's own: the shared one would bounce between cores with every call.
fn held<T>(value: Arc<T>) -> Held<T> {
    Rc::new(value)
}
