//! How many calls of a server were answered and how long they took, for the machine that moves its cap.
//!
//! Counted by every release where that machine is switched on, and read once a second. Calls that a breaker or a refused
//! connection ended at once do not count, nor those whose callers left: they say nothing of how fast the server is.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Counts; costs one relaxed load where it is off.
#[derive(Debug, Default)]
pub(super) struct Meter {
    on: AtomicBool,
    calls: AtomicU64,
    nanos: AtomicU64,
}

/// What was counted in a while.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sample {
    /// Calls that were answered, and have ended.
    pub calls: u64,
    /// How long they took, all together.
    pub time: Duration,
}

impl Meter {
    pub(super) fn measure(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    pub(super) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    pub(super) fn note(&self, held: Duration) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(u64::try_from(held.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// A call that ends between the two reads is counted half in either; among many that does not matter.
    pub(super) fn take(&self) -> Sample {
        let calls = self.calls.swap(0, Ordering::Relaxed);
        Sample { calls, time: Duration::from_nanos(self.nanos.swap(0, Ordering::Relaxed)) }
    }
}
