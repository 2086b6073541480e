//! Numbers that one core changes and anybody reads: without the price of an atomic addition.
//!
//! Must hold: only the core that owns a number writes it. A reader may see one of two numbers that belong
//! together before the other.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A 64-bit number.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(super) fn add(&self, more: u64) {
        self.set(self.get().wrapping_add(more));
    }

    pub(super) fn raise(&self, value: u64) {
        if value > self.get() {
            self.set(value);
        }
    }
}

/// A 32-bit number.
#[derive(Debug, Default)]
pub(super) struct Count32(AtomicU32);

impl Count32 {
    pub(super) fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, value: u32) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(super) fn increment(&self) {
        self.set(self.get().saturating_add(1));
    }
}
