//! The way from a core to the thread that writes: a place for each core where what its calls say is gathered, until the
//! thread takes all of it at once. It is locked for as long as it takes to copy a line, or to change two pieces of memory.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::batch::{BYTES, Batch, ROOM, Record};
use super::ended::{End, Worth, worth};
use super::failures::Failures;
use super::line::Writing;
use super::members::Members;
use super::writer::Shared;
use crate::call::Call;
use crate::clock;
use crate::config::settings::OnFull;
use crate::lock::lock;

/// So many more wake the thread before its time.
const MANY: usize = 1_000;
/// The wall clock is looked at anew after this: it may be set.
const FRESH: Duration = Duration::from_millis(100);

/// A core's end.
pub struct Ring {
    lane: Arc<Lane>,
    shared: Arc<Shared>,
    /// Where lines are written, before the lane is locked.
    members: RefCell<Members>,
    /// A time by both clocks.
    clock: Cell<(Instant, u64)>,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ring({} waiting)", self.lane.calls.load(Ordering::Relaxed))
    }
}

/// What both ends see.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Lane {
    waiting: Mutex<Batch>,
    /// Calls and bytes of it, for those who do not lock it.
    calls: AtomicUsize,
    bytes: AtomicUsize,
    /// Calls that had no room.
    lost: AtomicU64,
    failures: Mutex<Failures>,
}

/// The thread's end.
pub(super) struct Intake {
    lane: Arc<Lane>,
    /// What was taken, and is written piece by piece.
    hand: Batch,
}

/// Both ends.
pub(super) fn ring(shared: &Arc<Shared>) -> (Ring, Intake) {
    let lane = Arc::<Lane>::default();
    let intake = Intake { lane: Arc::clone(&lane), hand: Batch::default() };
    let clock = Cell::new((Instant::now(), clock::unix_millis()));
    (Ring { lane, shared: Arc::clone(shared), members: RefCell::default(), clock }, intake)
}

impl Ring {
    /// A call has ended: hands over what its line says, where it is worth one.
    pub fn ended(&self, call: &Call, end: &End) {
        match worth(call.policy.settings.audit.calls, call, end.failure.as_ref().map(|(kind, _)| *kind)) {
            Worth::Nothing => {}
            Worth::Count(kind) => lock(&self.lane.failures).count(call.address, kind, &call.entrance),
            Worth::Line => self.hand_over(call, end),
        }
    }

    fn hand_over(&self, call: &Call, end: &End) {
        let (calls, bytes) = (self.lane.calls.load(Ordering::Relaxed), self.lane.bytes.load(Ordering::Relaxed));
        // Where there is no room it goes nowhere: what else could be done would hold up the core.
        if calls >= ROOM || !self.put(call, end, bytes < BYTES / 2) {
            self.lane.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn put(&self, call: &Call, end: &End, may_leave: bool) -> bool {
        let rules = self.shared.rules();
        let mut members = self.members.borrow_mut();
        let writing = Writing { at_ms: self.unix_millis(end.at), rules: &rules, may_leave };
        let left = members.call(call, end, &writing);
        let calls = {
            let mut batch = lock(&self.lane.waiting);
            if !batch.push(members.bytes(), left) {
                return false;
            }
            self.lane.shows(&batch);
            batch.calls()
        };
        // More than once, for a thread that is just about to rest is not woken.
        if calls.is_multiple_of(MANY) {
            self.shared.wake();
        }
        true
    }

    /// A time that was just read, in milliseconds since 1970.
    fn unix_millis(&self, at: Instant) -> u64 {
        let (seen, unix_millis) = self.clock.get();
        let since = at.saturating_duration_since(seen);
        if since < FRESH {
            return unix_millis + u64::try_from(since.as_millis()).unwrap_or_default();
        }
        self.clock.set((at, clock::unix_millis()));
        self.clock.get().1
    }

    /// Whether new calls are refused because nothing can be recorded of them. Those that run need the room that is left.
    pub fn refuses(&self, on_full: OnFull) -> bool {
        on_full == OnFull::Deny && (self.shared.refuses() || self.lane.calls.load(Ordering::Relaxed) > ROOM / 2)
    }
}

impl Lane {
    /// Says to others what waits, while it is locked.
    fn shows(&self, waiting: &Batch) {
        self.calls.store(waiting.calls(), Ordering::Relaxed);
        self.bytes.store(waiting.weight(), Ordering::Relaxed);
    }
}

impl Intake {
    /// Gives up to so many calls to `each`, in their order; says how many there were.
    pub(super) fn take(&mut self, most: usize, mut each: impl FnMut(&Record<'_>)) -> usize {
        let mut count = 0;
        while count < most {
            if let Some(record) = self.hand.take() {
                each(&record);
                count += 1;
                continue;
            }
            self.hand.clear();
            let mut waiting = lock(&self.lane.waiting);
            if waiting.calls() == 0 {
                break;
            }
            std::mem::swap(&mut *waiting, &mut self.hand);
            self.lane.shows(&waiting);
        }
        count
    }

    /// Calls that had no room since this was asked last.
    pub(super) fn lost(&self) -> u64 {
        self.lane.lost.swap(0, Ordering::Relaxed)
    }

    /// Refusals since this was asked last.
    pub(super) fn failures(&self) -> Failures {
        std::mem::take(&mut *lock(&self.lane.failures))
    }
}
