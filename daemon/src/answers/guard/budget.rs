//! Room for compiled schemas: of each server, and of all of them together.
//!
//! Schemas are the servers', and may be made to fill the memory: what finds no room here is not kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of one server's.
pub(super) const OF_ONE: usize = 64 << 20;
/// Bytes of all servers'.
pub(super) const OF_ALL: usize = 256 << 20;

static ALL: AtomicUsize = AtomicUsize::new(0);

/// The room of one server.
#[derive(Debug, Clone)]
pub(super) struct Room {
    own: Arc<AtomicUsize>,
    all: &'static AtomicUsize,
}

/// Room that is taken, until this is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    room: Room,
    bytes: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self::within(&ALL)
    }
}

impl Room {
    fn within(all: &'static AtomicUsize) -> Self {
        Self { own: Arc::default(), all }
    }

    /// Takes room, where there is enough.
    pub(super) fn take(&self, bytes: usize) -> Option<Taken> {
        if !add(&self.own, bytes, OF_ONE) {
            return None;
        }
        if !add(self.all, bytes, OF_ALL) {
            self.own.fetch_sub(bytes, Ordering::Relaxed);
            return None;
        }
        Some(Taken { room: self.clone(), bytes })
    }

    /// Whether there is this much now.
    pub(super) fn has(&self, bytes: usize) -> bool {
        let left = |taken: &AtomicUsize, most: usize| most.saturating_sub(taken.load(Ordering::Relaxed));
        bytes <= left(&self.own, OF_ONE) && bytes <= left(self.all, OF_ALL)
    }

    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.own.load(Ordering::Relaxed)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.own.fetch_sub(self.bytes, Ordering::Relaxed);
        self.room.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn add(taken: &AtomicUsize, bytes: usize, most: usize) -> bool {
    let sum = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= most);
    taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_server_has_more_than_its_share_nor_all_more_than_all() {
        static TOGETHER: AtomicUsize = AtomicUsize::new(0);
        let servers: Vec<Room> = (0..6).map(|_| Room::within(&TOGETHER)).collect();
        let mut taken = Vec::new();
        for server in &servers {
            while let Some(more) = server.take(7 << 20) {
                taken.push(more);
            }
            assert!(server.taken() <= OF_ONE && !server.has(7 << 20));
        }
        let all = TOGETHER.load(Ordering::Relaxed);
        assert!(all <= OF_ALL && all > OF_ALL - (7 << 20), "{all}");
        assert!(servers[0].take(usize::MAX).is_none());
        taken.clear();
        assert_eq!(TOGETHER.load(Ordering::Relaxed), 0);
        assert!(servers.iter().all(|server| server.taken() == 0 && server.has(OF_ONE)));
    }
}
