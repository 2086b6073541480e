//! The way from a core to the thread that writes: a bounded queue for each core, which only these two touch.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use super::failures::Failures;
use super::finished::{End, Finished, Worth, worth};
use super::writer::Shared;
use crate::call::Call;
use crate::config::settings::OnFull;
use crate::lock::lock;

/// Calls that wait on one core.
const ROOM: u64 = 8_192;
/// Bytes of their messages.
const BYTES: u64 = 16 << 20;
/// So many wake the thread before its time.
const MANY: u64 = 1_000;

/// A core's end.
pub struct Ring {
    calls: SyncSender<Box<Finished>>,
    lane: Arc<Lane>,
    shared: Arc<Shared>,
    /// Calls and bytes that were ever handed over.
    sent: Cell<u64>,
    sent_bytes: Cell<u64>,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ring({} waiting)", self.waiting())
    }
}

/// What both ends see.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Lane {
    taken: AtomicU64,
    taken_bytes: AtomicU64,
    /// Calls that had no room.
    lost: AtomicU64,
    failures: Mutex<Failures>,
}

/// The thread's end.
pub(super) struct Intake {
    calls: Receiver<Box<Finished>>,
    lane: Arc<Lane>,
}

/// Both ends.
pub(super) fn ring(shared: &Arc<Shared>) -> (Ring, Intake) {
    let (sender, calls) = sync_channel(usize::try_from(ROOM).unwrap_or(usize::MAX));
    let lane = Arc::<Lane>::default();
    let intake = Intake { calls, lane: Arc::clone(&lane) };
    let ring =
        Ring { calls: sender, lane, shared: Arc::clone(shared), sent: Cell::default(), sent_bytes: Cell::default() };
    (ring, intake)
}

impl Ring {
    /// A call has ended: hands over what its line needs, where it is worth one.
    pub fn ended(&self, call: &mut Call, end: End) {
        match worth(call.policy.settings.audit.calls, call, end.failure.as_ref().map(|(kind, _)| *kind)) {
            Worth::Nothing => {}
            Worth::Count(kind) => lock(&self.lane.failures).count(call.address, kind, &call.entrance),
            Worth::Line => self.hand_over(call, end),
        }
    }

    fn hand_over(&self, call: &mut Call, end: End) {
        let waiting_bytes = self.sent_bytes.get() - self.lane.taken_bytes.load(Ordering::Relaxed);
        let room = usize::try_from(BYTES.saturating_sub(waiting_bytes)).unwrap_or(usize::MAX);
        let finished = Box::new(Finished::take(call, end, room));
        let bytes = finished.asked.weight() as u64;
        // Where there is no room it goes nowhere: what else could be done would hold up the core.
        if self.calls.try_send(finished).is_err() {
            self.lane.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.sent.set(self.sent.get() + 1);
        self.sent_bytes.set(self.sent_bytes.get() + bytes);
        if self.waiting() == MANY {
            self.shared.wake();
        }
    }

    fn waiting(&self) -> u64 {
        self.sent.get() - self.lane.taken.load(Ordering::Relaxed)
    }

    /// Whether new calls are refused because nothing can be recorded of them. Those that run need the room that is left.
    pub fn refuses(&self, on_full: OnFull) -> bool {
        on_full == OnFull::Deny && (self.shared.refuses() || self.waiting() > ROOM / 2)
    }
}

impl Intake {
    /// Gives up to so many calls to `each`, in their order; says how many there were.
    pub(super) fn take(&self, most: usize, mut each: impl FnMut(Finished)) -> usize {
        let (mut count, mut bytes) = (0, 0);
        for finished in self.calls.try_iter().take(most) {
            count += 1;
            bytes += finished.asked.weight() as u64;
            each(*finished);
        }
        self.lane.taken.fetch_add(count as u64, Ordering::Relaxed);
        self.lane.taken_bytes.fetch_add(bytes, Ordering::Relaxed);
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
