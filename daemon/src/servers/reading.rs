//! Memory for answers that the gate reads before it passes them on, in all: a server decides how long an answer is, and
//! hundreds of them may come at once.
//!
//! [`super::http_reply`] asks before it keeps more. What must hold: what was asked for is given back with the reading,
//! however that ends.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of one answer that need not be asked for: nearly all answers are shorter.
const FREE: usize = 256 << 10;

/// As the configuration has it where nobody has said otherwise.
const MOST: usize = 256 << 20;

static ALL: Memory = Memory::new(MOST);

/// How much all readings may hold from now on.
pub fn set_most(bytes: usize) {
    ALL.most.store(bytes, Ordering::Relaxed);
}

#[derive(Debug)]
struct Memory {
    held: AtomicUsize,
    most: AtomicUsize,
}

impl Memory {
    const fn new(most: usize) -> Self {
        Self { held: AtomicUsize::new(0), most: AtomicUsize::new(most) }
    }
}

/// What one reading holds of it.
#[derive(Debug)]
pub struct Held {
    of: &'static Memory,
    bytes: usize,
}

impl Default for Held {
    fn default() -> Self {
        Self { of: &ALL, bytes: 0 }
    }
}

impl Held {
    /// Asks for as much as a reading of so many bytes needs; whether there is as much.
    #[must_use]
    pub fn grows_to(&mut self, length: usize) -> bool {
        let Some(more) = length.saturating_sub(FREE).checked_sub(self.bytes).filter(|more| *more > 0) else {
            return true;
        };
        let most = self.of.most.load(Ordering::Relaxed);
        let room = |held: usize| held.checked_add(more).filter(|held| *held <= most);
        let is_there = self.of.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok();
        if is_there {
            self.bytes += more;
        }
        is_there
    }

    /// Gives it back.
    pub fn release(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes > 0 {
            self.of.held.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_answers_need_not_ask_and_long_ones_share_what_there_is() {
        let memory: &'static Memory = Box::leak(Box::new(Memory::new(1 << 20)));
        let new = || Held { of: memory, bytes: 0 };
        let (mut one, mut other) = (new(), new());
        assert!(one.grows_to(FREE) && one.grows_to(FREE + (1 << 20)));
        assert!(other.grows_to(FREE) && !other.grows_to(FREE + 1));
        assert!(one.grows_to(FREE), "less than it has");
        drop(one);
        assert!(other.grows_to(FREE + (1 << 20)));
    }

    proptest! {
        /// Whatever readings do, they never hold more than there is, and all is back in the end.
        #[test]
        fn nothing_is_lost_and_no_more_is_held(
            most in 0..4 * FREE, steps in prop::collection::vec((0..6usize, 0..4 * FREE), 0..60)
        ) {
            let memory: &'static Memory = Box::leak(Box::new(Memory::new(most)));
            let mut readings: Vec<Held> = (0..6).map(|_| Held { of: memory, bytes: 0 }).collect();
            for (number, length) in steps {
                let reading = &mut readings[number];
                if length % 5 == 0 {
                    reading.release();
                } else {
                    let _ = reading.grows_to(length);
                }
                let held: usize = readings.iter().map(|reading| reading.bytes).sum();
                prop_assert_eq!(held, memory.held.load(Ordering::Relaxed));
                prop_assert!(held <= most);
            }
            drop(readings);
            prop_assert_eq!(memory.held.load(Ordering::Relaxed), 0);
        }
    }
}
